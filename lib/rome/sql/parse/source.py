"""One SQL text under the parser: where things stand in it, and the errors that point at them."""

from __future__ import annotations

from typing import Any

from sqlglot import Token, TokenType, exp

from rome.errors import NotSupportedError, Place, SyntaxError_

# Words that the tokenizer takes for names although the grammar reads them as words of the language.
_SOFT_WORDS = """
    ACTION ADD ALWAYS ANALYZE ASC AUTOINCREMENT AUTO_INCREMENT BOTH BY CACHE CASCADE CHECK COMMENT COMMIT
    CONCURRENTLY CONFLICT CYCLE DATA DEFERRABLE DO EXPLAIN FIRST GENERATED IDENTITY IF IMMEDIATE INCREMENT INITIALLY
    KEY LAST
    LEADING LOCKED MATCH MATERIALIZED MAXVALUE MINVALUE NEXT NO NOTHING NOWAIT NULLS ONLY OVERRIDING POSITION
    PRECISION
    PRESERVE RENAME RESTRICT ROW ROWS SIMPLE SKIP START STORED SYSTEM TIES TO TRAILING TYPE VALUE VARYING
    VIRTUAL WITHOUT ZONE
"""
SOFT_WORDS = frozenset(_SOFT_WORDS.split())


class Source:
    """The text, its tokens, and the offsets of the tokens that the converter has taken so far."""

    def __init__(self, sql: str, tokens: list[Token]) -> None:
        self.sql = sql
        self.tokens = tokens
        self.taken: set[int] = set()
        marks = [token.start for token in tokens if token.token_type is TokenType.PLACEHOLDER]
        self.parameter_numbers = {offset: number for number, offset in enumerate(marks, 1)}

    def start(self, node: exp.Expr) -> int:
        """The offset of `node`, or of the first node below it that has one, or of what it is a part of."""
        whole: exp.Expr | None = node
        while whole is not None:
            offset = self.start_within(whole)
            if offset is not None:
                return offset
            whole = whole.parent
        return 0

    @staticmethod
    def start_within(node: exp.Expr) -> int | None:
        """The offset of `node` or of the first node below it that has one; None for what is all keywords: (FALSE)."""
        for part in node.walk(bfs=False):
            # sqlglot keeps the last part of t.a first
            offset = (part.args.get("table") or part if type(part) is exp.Column else part).meta_get("start")
            if offset is not None:
                return int(offset)
        return None

    def take(self, node: exp.Expr) -> int:
        """The offset of `node`, noted as taken."""
        offset = node.meta_get("start")
        if offset is None:
            return 0
        self.taken.add(offset)
        return int(offset)

    def refuse(self, node: exp.Expr | int, what: str) -> NotSupportedError:
        """The error that says ROME does not take `what`."""
        offset = node if isinstance(node, int) else self.start(node)
        return NotSupportedError(Place.at(self.sql, offset).describe(f"{what} is not supported"))

    def wrong(self, node: exp.Expr | int, message: str) -> SyntaxError_:
        """The error that says the text is not SQL there."""
        offset = node if isinstance(node, int) else self.start(node)
        return SyntaxError_(Place.at(self.sql, offset).describe(message))

    def take_range(self, node: exp.Expr) -> None:
        """Note every token from the meta "first" to the meta "last" of `node` as taken."""
        first, last = node.meta["first"], node.meta["last"]
        self.taken.update(token.start for token in self.tokens if first <= token.start <= last)

    def check_all_taken(self) -> None:
        """Refuse a text of which a name, a value or a parameter did not reach the syntax tree.

        sqlglot reads far more than ROME takes and drops some of it without a word; what it drops must not be lost.
        """
        taken = self.taken
        for token in self.tokens:
            if token.start in taken:
                continue
            kind = token.token_type
            if kind is TokenType.VAR:
                lost = token.text.upper() not in SOFT_WORDS
            else:  # by identity: a set would hash the member's name each time
                lost = (
                    kind is TokenType.PLACEHOLDER
                    or kind is TokenType.STRING
                    or kind is TokenType.NUMBER
                    or kind is TokenType.IDENTIFIER
                    or kind is TokenType.HEX_STRING
                )
            if lost:
                raise self.refuse(token.start, f"{token.text!r} in this place")


def spelled(node: Any) -> str:
    """A class of the sqlglot tree in plain words: `JSONExtract` is "json extract"."""
    name = type(node).__name__
    words = "".join(f" {c}" if c.isupper() and not name[max(0, i - 1)].isupper() else c for i, c in enumerate(name))
    return words.strip().lower()
