"""SQL text into `rome.sql.syntax`: the only package that imports sqlglot.

`grammar` (a sqlglot dialect) makes sqlglot's tree; `expressions`, `queries`, `changes` and `definitions` read it
through the allow-list in `allow` and make ours. What is not on the list is refused with its place in the text.
"""

from __future__ import annotations

import re
from functools import lru_cache

from sqlglot import Token, TokenType
from sqlglot.errors import ParseError, TokenError

from rome.errors import Place, SyntaxError_
from rome.sql import syntax
from rome.sql.parse import changes, definitions, expressions, queries, windows
from rome.sql.parse.allow import STATEMENTS
from rome.sql.parse.nesting import room_for
from rome.sql.parse.source import Source
from rome.sql.parse.statements import DIALECT

# Imported so that their readers stand on the allow-list.
READERS = (expressions, windows, queries, changes, definitions)

STATEMENT_WORDS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES", "CREATE", "DROP", "ALTER", "COMMENT", "(")
# Statements of SQL that ROME has not, to tell them from misspellings.
OTHER_STATEMENTS = frozenset(
    ("ANALYZE", "ATTACH", "CALL", "COPY", "DECLARE", "DESCRIBE", "EXECUTE", "FETCH", "GRANT", "LOCK", "MERGE", "PRAGMA")
    + ("PREPARE", "REINDEX", "RENAME", "REPLACE", "REVOKE", "SET", "SHOW", "TABLE", "TRUNCATE", "USE", "VACUUM")
    + ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "START", "END")
)


KEPT = 1024  # trees, of all databases of the process
LONGEST_KEPT = 16384  # characters: an INSERT of a thousand rows is sent once


def parse(sql: str) -> syntax.Statement:
    """The syntax tree of the one statement in `sql`; a semicolon may end it.

    Raises SyntaxError_ when the text is not SQL, NotSupportedError when it is SQL that ROME does not take, and
    UndefinedObject for an unknown type, each with the place and a caret; ProgrammingError (54001) for a text nested
    too deeply. Trees are immutable, and kept: those who make and drop databases all day send each the same texts.
    """
    return _kept(sql) if len(sql) <= LONGEST_KEPT else _parse(sql)


def _parse(sql: str) -> syntax.Statement:
    source = Source(sql, _tokens(sql))
    tokens = source.tokens
    if not tokens:
        raise SyntaxError_("the statement is empty")
    explain = analyze = False
    if tokens[0].text.upper() == "EXPLAIN":
        explain, tokens = True, tokens[1:]
        if tokens and tokens[0].text.upper() == "ANALYZE":
            analyze, tokens = True, tokens[1:]
    if not tokens:
        raise source.wrong(len(sql), "a statement is missing after EXPLAIN")
    word = tokens[0].text.upper()
    if word in OTHER_STATEMENTS:
        raise source.refuse(tokens[0].start, f"the statement {word}")
    if word not in STATEMENT_WORDS:
        raise source.wrong(tokens[0].start, f"a statement begins with {', '.join(STATEMENT_WORDS[:-2])} or COMMENT ON")
    with room_for(tokens):
        statement = _statement(source, tokens)
    source.check_all_taken()
    return syntax.Explain(statement, analyze) if explain else statement


_kept = lru_cache(maxsize=KEPT)(_parse)


def _tokens(sql: str) -> list[Token]:
    """The tokens of `sql` without the semicolon that may end it."""
    try:
        tokens = DIALECT.tokenize(sql)
    except TokenError as error:
        raise _unreadable(sql, error) from None
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    end = -1  # of the number before, if there is one
    for token in tokens:
        kind = token.token_type
        if kind is TokenType.SEMICOLON:
            raise Source(sql, tokens).refuse(token.start, "more than one statement in a text")
        if token.start == end and kind is TokenType.VAR:  # 1_000 is not 1 AS _000
            raise Source(sql, tokens).wrong(token.start, f"{token.text!r} is not part of a number")
        if kind is TokenType.HEX_STRING and sql[token.start] == "0":  # 0x1F: a number to some, bytes to others
            raise Source(sql, tokens).refuse(token.start, "a number that begins with 0x")
        end = token.end + 1 if kind is TokenType.NUMBER else -1
    return tokens


def _unreadable(sql: str, error: TokenError) -> SyntaxError_:
    """The text cannot be cut into words: it ends inside a string or a quoted name, or X'…' holds no digits."""
    # sqlglot says where only in the text of the error below: "Missing ' from <line>:<offset of the opening quote>"
    opened = re.search(r"^Missing (.*) from \d+:(\d+)$", str(error.__cause__))
    if opened is None:
        where = Place.at(sql, min(error.end or len(sql), len(sql)))
        what = error.__cause__ if isinstance(error.__cause__, TokenError) else "a comment may have no end"
        return SyntaxError_(where.describe(f"the text cannot be read ({what})"))
    return SyntaxError_(Place.at(sql, int(opened[2])).describe(f"what begins here has no closing {opened[1]}"))


def _statement(source: Source, tokens: list[Token]) -> syntax.Statement:
    try:
        trees = DIALECT.parser().parse(tokens, source.sql)
    except ParseError as error:
        where = error.errors[0]
        raise source.wrong(where.get("offset", 0), where["description"] or "syntax error") from None
    [tree] = trees
    if tree is None or (tokens[0].token_type is TokenType.L_PAREN and type(tree) not in STATEMENTS.readers):
        raise source.wrong(tokens[0].start, "this is no statement")
    return STATEMENTS.read(source, tree)
