"""What holds for every text: real statements, places in errors, deep nesting, and nothing lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rome.errors import DatabaseError, NotSupportedError, ProgrammingError, SyntaxError_
from rome.sql import syntax
from rome.sql.parse import kept, nesting, parse, words
from tests.sql.parse.shape import nodes

LIB = str(Path(__file__).resolve().parents[3] / "lib")
_LINES = (Path(__file__).parent / "statements.sql").read_text().splitlines()
STATEMENTS = [line.removesuffix(";") for line in _LINES if not line.startswith("--")]


@pytest.mark.parametrize("sql", STATEMENTS, ids=range(len(STATEMENTS)))
def test_what_glance_and_nova_send_is_read_with_every_parameter_and_value(sql: str) -> None:
    statement = parse(sql)
    found = list(nodes(statement))
    parameters = [node.name for node in found if isinstance(node, syntax.Parameter)]
    assert sorted(parameters, key=lambda name: int(name[1:])) == [f"?{n + 1}" for n in range(sql.count("?"))]
    values = [node.value for node in found if isinstance(node, syntax.Literal) and isinstance(node.value, str)]
    assert sorted(values) == sorted(re.findall(r"'([^']*)'", sql))


@pytest.mark.parametrize("sql", STATEMENTS, ids=range(len(STATEMENTS)))
def test_every_name_points_at_itself(sql: str) -> None:
    for node in nodes(parse(sql)):
        if isinstance(node, syntax.Name):
            assert sql[node.at :].lstrip('"').startswith(node.parts[0])
        elif isinstance(node, syntax.TableName):
            assert sql[node.at :].lstrip('"').startswith(node.name)
        elif isinstance(node, syntax.Function):
            assert sql[node.at :].lower().startswith(node.name)
        elif isinstance(node, syntax.Parameter):
            assert sql[node.at] == "?"


@pytest.mark.parametrize(
    ("sql", "line", "column"),
    [
        ("SELECT a,\n  b c d\nFROM t", 2, 7),
        ("SELECT a FROM t\nWHERE a GLOB 'x'", 2, 7),
        ("SELECT 'abc", 1, 8),
        ("SELECT a FROM t WHERE", 1, 22),
        ("CREATE TABLE t (\n  a INTEGER,\n  b VARCHA(3)\n)", 3, 5),
        ("SELECT 1; SELECT 2", 1, 9),
        ("EXPLAIN SELECT a b c FROM t", 1, 20),
        ("SELECT ä, 'ß' FROM t WHERE x GLOB 'y'", 1, 28),
    ],
)
def test_an_error_shows_its_place_with_a_caret(sql: str, line: int, column: int) -> None:
    with pytest.raises((ProgrammingError, NotSupportedError)) as wrong:
        parse(sql)
    first, text, caret = str(wrong.value).split("\n")
    assert f"(line {line}, column {column})" in first
    assert text[2:] == sql.split("\n")[line - 1][:100]
    assert caret == "  " + " " * (column - 1) + "^"


def test_a_comment_without_an_end_is_a_syntax_error() -> None:
    with pytest.raises(SyntaxError_, match="comment"):
        parse("SELECT 1 /* no end")


# ---- nesting -------------------------------------------------------------------------------------------------------

DEEP = {
    "parentheses": lambda n: "SELECT " + "(" * n + "1" + ")" * n,
    "sums": lambda n: "SELECT " + "(" * n + "a" + " + 1)" * n,
    "negations": lambda n: "SELECT " + "NOT (" * n + "a" + ")" * n,
    "connectives": lambda n: "SELECT " + "(a OR b AND " * n + "a" + ")" * n,
    "calls": lambda n: "SELECT " + "f(" * n + "a" + ")" * n,
    "cases": lambda n: "SELECT " + "CASE WHEN a THEN " * n + "a" + " END" * n,
    "subqueries": lambda n: "SELECT " + "(SELECT " * n + "a" + ")" * n,
    "tables": lambda n: "SELECT * FROM " + "(SELECT * FROM " * n + "a" + ") AS x" * n,
    "conditions": lambda n: "SELECT * FROM t WHERE " + "a IN (SELECT b FROM t WHERE " * n + "a" + ")" * n,
    "joins": lambda n: "SELECT * FROM " + "(a JOIN " * n + "a" + " ON b)" * n,
    "unions": lambda n: "(SELECT 1 UNION " * n + "SELECT 2" + ")" * n,
}


@pytest.mark.parametrize("form", DEEP)
def test_two_hundred_levels_are_read_at_the_ordinary_recursion_limit(form: str) -> None:
    limit = sys.getrecursionlimit()
    assert isinstance(parse(DEEP[form](200)), syntax.Query)
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize("form", DEEP)
def test_more_levels_than_the_limit_are_one_clear_error(form: str) -> None:
    with pytest.raises(ProgrammingError, match="54001.*nested too deeply"):
        parse(DEEP[form](nesting.MOST_LEVELS + 1))


def test_a_chain_of_prefixes_is_one_clear_error() -> None:
    with pytest.raises(ProgrammingError, match="54001"):
        parse("SELECT " + "NOT " * 5000 + "a")


@pytest.mark.parametrize("word", ["AND", "OR"])
def test_a_chain_of_a_thousand_terms_becomes_a_shallow_tree_in_the_same_order(word: str) -> None:
    query = parse("SELECT 1 WHERE " + f" {word} ".join(f"a = {n}" for n in range(1000)))
    assert isinstance(query, syntax.Query) and isinstance(query.body, syntax.Select)
    values = [node.value for node in nodes(query.body.where) if isinstance(node, syntax.Literal)]
    assert values == list(range(1000))

    def depth(node: object) -> int:
        if isinstance(node, syntax.Binary) and node.op == word:
            return 1 + max(depth(node.left), depth(node.right))
        return 0

    assert depth(query.body.where) == 10


def test_long_lists_are_read() -> None:
    query = parse("SELECT 1 WHERE a IN (" + ", ".join(["?"] * 10_000) + ")")
    assert isinstance(query, syntax.Query) and isinstance(query.body, syntax.Select)
    assert isinstance(query.body.where, syntax.InList) and len(query.body.where.items) == 10_000
    insert = parse("INSERT INTO t (a, b) VALUES " + ", ".join(["(?, ?)"] * 1000))
    assert len([node for node in nodes(insert) if isinstance(node, syntax.Parameter)]) == 2000


# ---- nothing is lost -----------------------------------------------------------------------------------------------

_PARTS = re.compile(r"""'[^']*'|"[^"]*"|\w+|[^\w\s]|\s+""")
_FOUND = {part for sql in STATEMENTS for part in _PARTS.findall(sql) if not part.isspace()}
_SOME_WORDS = sorted(_FOUND | words.RESERVED)


@given(
    sql=st.sampled_from([sql for sql in STATEMENTS if len(sql) < 700]),
    changes=st.lists(
        st.tuples(st.integers(0, 10_000), st.sampled_from(["drop", "insert", "replace"]), st.sampled_from(_SOME_WORDS)),
        min_size=1,
        max_size=3,
    ),
)
def test_a_mangled_text_is_read_or_refused_and_its_parameters_are_never_lost(
    sql: str, changes: list[tuple[int, str, str]]
) -> None:
    parts = _PARTS.findall(sql)
    for place, change, word in changes:
        place %= len(parts) + 1
        parts[place : place + (change != "insert")] = [] if change == "drop" else [f" {word} "]
    text = "".join(parts)
    try:
        statement = parse(text)
    except DatabaseError as error:
        assert "sqlglot" not in str(error) and re.match(r"\[\w{5}\] ", str(error))
        return
    parameters = [node for node in nodes(statement) if isinstance(node, syntax.Parameter)]
    assert len(parameters) == re.sub(r"""'[^']*'|"[^"]*"|--.*|/\*.*?\*/""", "", text).count("?")


# ---- texts that the catalogue keeps --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "renamed"),
    [
        ("size > 0", "length > 0"),
        ("SIZE>0 AND name <> 'size'", "length>0 AND name <> 'size'"),
        ('"size" IN (0, 1) -- size', "length IN (0, 1) -- size"),
        ("size + sizes", "length + sizes"),
        ("f(size, lower(size))", "f(length, lower(length))"),
        ("other > 0", "other > 0"),
    ],
)
def test_a_column_is_renamed_in_a_kept_text_and_nothing_else_changes(sql: str, renamed: str) -> None:
    assert kept.rename_column(sql, "Size", "length") == renamed


@pytest.mark.parametrize(("name", "written"), [("order", '"order"'), ("a b", '"a b"'), ('q"q', '"q""q"'), ("Ab", "Ab")])
def test_a_new_name_is_quoted_where_it_must_be(name: str, written: str) -> None:
    text = kept.rename_column("size > 0", "size", name)
    assert text == f"{written} > 0"
    assert kept.columns_of(text) == {name.lower()}


def test_the_columns_of_a_kept_text() -> None:
    assert kept.columns_of("A > 0 AND lower(b) IN ('c', \"D\")") == {"a", "b", "d"}
    assert not kept.has_qualified_names("a > 0")
    assert kept.has_qualified_names("t.a > 0")


def test_the_compiled_sqlglot_is_refused_with_the_line_that_mends_it() -> None:
    text = "import sqlglot; sqlglot.Parser.parse = len; import rome"  # a function of compiled code is no FunctionType
    done = subprocess.run(
        [sys.executable, "-c", text], env={**os.environ, "PYTHONPATH": LIB}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.endswith("pip uninstall sqlglotc\n")
