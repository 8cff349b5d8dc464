"""LIKE patterns, against SQLite where it has an opinion."""

from __future__ import annotations

import itertools
import re
import sqlite3

import pytest

from rome.errors import DataError
from rome.sql.bound import ColumnRef, Const, Expr, Like, Not, Slot
from rome.sql.expr import predicate, scalar
from rome.sql.like import is_exact, like_matcher, like_prefix
from rome.values import TEXT
from tests.sql.expr.sqlite_opinion import bindings


@pytest.mark.parametrize("escape", [None, "b", "%", "_"])
def test_every_short_pattern_matches_what_sqlite_says(escape: str | None) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA case_sensitive_like = on")
    connection.execute("CREATE TABLE text (t TEXT)")
    texts = ["".join(letters) for size in range(4) for letters in itertools.product("ab%_", repeat=size)]
    connection.executemany("INSERT INTO text VALUES (?)", [(text,) for text in texts])
    patterns = ["".join(letters) for size in range(5) for letters in itertools.product("ab%_", repeat=size)]
    ending = "" if escape is None else " ESCAPE ?"
    for pattern in patterns:
        try:
            matches = like_matcher(pattern, escape)
        except DataError:
            assert escape is not None and pattern.endswith(escape)
            continue
        given = (pattern,) if escape is None else (pattern, escape)
        expected = [text for (text,) in connection.execute(f"SELECT t FROM text WHERE t LIKE ?{ending}", given)]
        assert [text for text in texts if matches(text)] == expected, (pattern, escape)
        prefix = like_prefix(pattern, escape) or ""
        assert all(text.startswith(prefix) for text in expected)
        if is_exact(pattern, escape):
            assert expected in ([prefix], [])
    connection.close()


def test_an_underscore_is_any_one_character_a_line_break_too() -> None:
    assert like_matcher("a_c")("a\nc")
    assert like_matcher("%c")("a\nc")
    assert like_matcher("a%c_")("a\n\nc𝄞")
    assert not like_matcher("a")("a\n")
    assert not like_matcher("a_")("a")


def test_characters_of_regular_expressions_are_themselves() -> None:
    for character in r".^$*+?{}[]\|()-&~# ":
        assert like_matcher(f"_{character}_%")(f"x{character}yz")
        assert not like_matcher(f"_{character}_%")("xqyz")


def test_case_matters_to_like_and_not_to_ilike() -> None:
    assert not like_matcher("ab%")("ABC")
    assert like_matcher("aB%", None, True)("AbC")
    assert like_matcher("É_", None, True)("éa")
    assert like_matcher("aX%", "x", True)("A%")


def test_many_wildcards_take_no_exponential_time() -> None:
    assert not like_matcher("%a%a%a%a%a%a%a%a%a%a%a%a%b")("a" * 500)
    assert like_matcher("%a%a_a%b")("a" * 500 + "b")


@pytest.mark.parametrize(
    ("pattern", "escape", "prefix"),
    [("abc%", None, "abc"), ("a_c", None, "a"), ("%a", None, None), ("", None, None), ("a!%b%", "!", "a%b"),
     ("!_", "!", "_"), ("abc", None, "abc")],
)  # fmt: skip
def test_the_prefix_is_the_text_before_the_first_wildcard(pattern: str, escape: str | None, prefix: str | None) -> None:
    assert like_prefix(pattern, escape) == prefix


@pytest.mark.parametrize(
    ("pattern", "escape", "sqlstate"), [("a", "", "22019"), ("a", "ab", "22019"), ("a!", "!", "22025")]
)
def test_a_bad_escape_is_a_data_error(pattern: str, escape: str, sqlstate: str) -> None:
    node = Like(ColumnRef(0, TEXT), Slot(0, TEXT), Slot(1, TEXT))
    with pytest.raises(DataError, match=re.escape(f"[{sqlstate}]")):
        scalar(node, {0: 0})(("a",), bindings(pattern, escape))


def test_a_pattern_may_come_from_a_column() -> None:
    rows = [("abc", "a%"), ("abc", "b%"), ("abc", None), (None, "%")]
    node: Expr = Like(ColumnRef(0, TEXT), ColumnRef(1, TEXT))
    assert predicate(node, {0: 0, 1: 1})(rows, bindings()) == rows[:1]
    assert predicate(Not(node), {0: 0, 1: 1})(rows, bindings()) == rows[1:2]
    with_escape = Like(ColumnRef(0, TEXT), ColumnRef(1, TEXT), Const("!", TEXT), ignore_case=True)
    assert predicate(with_escape, {0: 0, 1: 1})([("A%", "a!%")], bindings()) == [("A%", "a!%")]
