"""The allow-list: what is not on it is refused, and it speaks of the sqlglot that is installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from rome.dialect.compiler import RESERVED_WORDS
from rome.errors import NotSupportedError
from rome.sql.parse import allow, words
from rome.sql.parse.source import Source

PLACES = [allow.EXPRESSIONS, allow.QUERIES, allow.FROM_ITEMS, allow.STATEMENTS, allow.ACTIONS]


def column(**arguments: object) -> exp.Column:
    return exp.Column(this=exp.Identifier(this="a"), **arguments)


def test_a_node_without_a_reader_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="XOR as an expression"):
        allow.EXPRESSIONS.read(Source("", []), exp.Xor(this=column(), expression=column()))


@pytest.mark.parametrize("value", [True, "x", 0, column(), [column()]])
def test_an_argument_that_no_reader_consumes_is_refused(value: object) -> None:
    assert allow.EXPRESSIONS.read(Source("", []), column(join_mark=None))
    with pytest.raises(NotSupportedError, match="JOIN MARK in COLUMN"):
        allow.EXPRESSIONS.read(Source("", []), column(join_mark=value))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.what)
def test_the_list_names_arguments_that_sqlglot_has(place: allow.Place[object]) -> None:
    for kind, (arguments, _) in place.readers.items():
        assert arguments <= set(kind.arg_types), kind


def test_the_installed_sqlglot_is_the_one_that_the_list_was_written_for() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    [pinned] = [line for line in project["project"]["dependencies"] if line.startswith("sqlglot")]
    assert re.fullmatch(r"sqlglot~=\d+\.\d+\.\d+", pinned)
    assert sqlglot.__version__.split(".")[:2] == pinned.removeprefix("sqlglot~=").split(".")[:2]


def test_the_dialect_quotes_every_reserved_word() -> None:
    assert {word.lower() for word in words.RESERVED} <= RESERVED_WORDS
