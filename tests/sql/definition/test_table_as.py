"""CREATE TABLE … AS: a table that takes the rows of a query."""

from __future__ import annotations

import pytest

from rome.errors import (
    DataError,
    DuplicateColumn,
    DuplicateTable,
    NotSupportedError,
    ProgrammingError,
    UndefinedTable,
)
from tests.sql.definition.conversation import Conversation


def test_it_has_the_columns_and_the_rows_of_the_query(filled: Conversation) -> None:
    filled.run("CREATE TABLE sums AS SELECT parent_id, name || '!' AS loud, sum(size) AS total FROM child "
               "JOIN parent ON parent.id = parent_id GROUP BY parent_id, name")  # fmt: skip
    filled.run("UPDATE child SET size = 1")
    assert filled.run("SELECT * FROM sums ORDER BY 1") == [(1, "x!", 10), (2, "y!", 20)]
    assert [(column.name, column.type.name, column.nullable) for column in filled.table("sums").columns] == [
        ("parent_id", "INTEGER", True), ("loud", "TEXT", True), ("total", "BIGINT", True)
    ]  # fmt: skip
    assert filled.table("sums").primary_key == ()


def test_the_columns_may_have_names_of_their_own(filled: Conversation) -> None:
    filled.run("CREATE TABLE pairs (a, b) AS VALUES (1, 'x'), (2, 'y')")
    assert filled.run("SELECT b FROM pairs WHERE a = 2") == [("y",)]
    filled.run("CREATE TABLE IF NOT EXISTS pairs AS SELECT id FROM child")
    assert filled.run("SELECT a FROM pairs") == [(1,), (2,)]


def test_it_fails_as_a_whole(filled: Conversation) -> None:
    with pytest.raises(DataError, match=r"\[22012\]"):
        filled.run("CREATE TABLE bad AS SELECT 1 / (id - 1) AS n FROM child")
    with pytest.raises(UndefinedTable):
        filled.run("SELECT * FROM bad")


@pytest.mark.parametrize(
    ("sql", "error"),
    [("CREATE TABLE child AS SELECT 1 AS a", DuplicateTable), ("CREATE TABLE u AS SELECT NULL AS a", ProgrammingError),
     ("CREATE TABLE u AS SELECT :a AS a", NotSupportedError), ("CREATE TABLE u (a) AS SELECT 1, 2", ProgrammingError),
     ("CREATE TABLE u AS SELECT * FROM child FOR UPDATE", NotSupportedError),
     ("CREATE TABLE u AS SELECT 1 AS a, 2 AS a", DuplicateColumn)],
)  # fmt: skip
def test_what_is_refused(filled: Conversation, sql: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        filled.run(sql)
