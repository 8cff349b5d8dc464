"""executemany of an INSERT does what its rows do one by one: the same rows, the same numbers, the same refusals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from rome.dbapi import Connection, connect
from rome.errors import Error

SCHEMA = (
    "CREATE TABLE owners (name VARCHAR(8) PRIMARY KEY)",
    "INSERT INTO owners VALUES ('ann'), ('bob')",
    "CREATE TABLE things (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(8) NOT NULL, size INTEGER DEFAULT 7, "
    "made DATETIME, owner VARCHAR(8) REFERENCES owners (name), above INTEGER REFERENCES things (id), "
    "share NUMERIC(6, 2), twice INTEGER GENERATED ALWAYS AS (size * 2) STORED, UNIQUE (name, size), "
    "CHECK (size < 100))",
    "CREATE INDEX by_size ON things (size)",
    "CREATE INDEX by_owner ON things (owner)",
    "CREATE TABLE notes (line VARCHAR(8), size INTEGER)",
    "CREATE UNIQUE INDEX by_line ON notes (line)",
)
NAMED = "INSERT INTO things (name, size, made, owner, share) VALUES (:name, :size, :made, :owner, :share)"
PLAIN = {"name": "a", "size": 1, "made": datetime(2026, 1, 31, 1, 2, 3), "owner": "ann", "share": 1}


def things(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**PLAIN, "name": f"n{number}", **change} for number, change in enumerate(changes)]


CASES: dict[str, tuple[str, list[Any]]] = {
    "all is well": (NAMED, things({}, {"size": 2}, {"owner": "bob"})),
    "values are converted": (
        NAMED,
        things({"size": "12"}, {"made": "2026-02-01 10:00:00"}, {"made": datetime(2026, 1, 1, tzinfo=UTC)}, {"name": 5},
               {"share": "2.345"}, {"size": True}),
    ),
    "NULL where it may be": (NAMED, things({"size": None}, {"owner": None}, {"made": None}, {"share": None})),
    "NULL twice in a unique key": (NAMED, things({"name": "x", "size": None}, {"name": "x", "size": None})),
    "letters beyond ASCII": (NAMED, things({"name": "Zürich"}, {"name": "\0\1"})),
    "a default": ("INSERT INTO things (name, owner) VALUES (:name, 'bob')", [{"name": "a"}, {"name": "b"}]),
    "a default that differs": ("INSERT INTO notes VALUES (:line, CAST(random() * 0 AS INTEGER))", [{"line": None}] * 2),
    "an expression": ("INSERT INTO notes VALUES (upper(:line), :size + 1)", [{"line": x, "size": 1} for x in "ab"]),
    "question marks": ("INSERT INTO notes VALUES (?, ?)", [("a", 1), ("b", 2)]),
    "numbers given": (
        "INSERT INTO things (id, name) VALUES (:id, :name)", [{"id": 9, "name": "a"}, {"id": 8, "name": "b"}],
    ),
    "numbers given and drawn": (
        "INSERT INTO things (id, name) VALUES (:id, :name)", [{"id": 9, "name": "a"}, {"id": None, "name": "b"}],
    ),
    "a row that references one beside it": (
        "INSERT INTO things (id, name, above) VALUES (:id, :name, :above)",
        [{"id": 1, "name": "a", "above": None}, {"id": 2, "name": "b", "above": 1}, {"id": 3, "name": "c", "above": 3}],
    ),
    "without a primary key": ("INSERT INTO notes VALUES (:line, :size)", [{"line": None, "size": 1}] * 3),
    "NULL where it must not be": (NAMED, things({}, {"name": None}, {"name": None, "size": None})),
    "too long": (NAMED, things({}, {"name": "123456789"}, {"size": 1 << 40})),
    "too large": (NAMED, things({}, {"size": 1 << 31}, {"name": "123456789"})),
    "not a number": (NAMED, things({}, {"size": "many"})),
    "a lone surrogate": (NAMED, things({}, {"name": "\ud800"})),
    "refused by a CHECK": (NAMED, things({}, {"size": 100})),
    "a key taken in the batch": (NAMED, things({"name": "x"}, {}, {"name": "x"})),
    "a number taken in the batch": (
        "INSERT INTO things (id, name) VALUES (:id, :name)", [{"id": 9, "name": "a"}, {"id": 9, "name": "b"}],
    ),
    "a key taken before": (NAMED, things({}, {"name": "taken"})),
    "no such owner": (NAMED, things({}, {"owner": "eve"}, {"owner": "joe"})),
    "a parameter missing": (NAMED, [PLAIN, {"name": "b"}]),
    "a question mark too many": ("INSERT INTO notes VALUES (?, ?)", [("a", 1), ("b", 2, 3)]),
    "a question mark too few": ("INSERT INTO notes VALUES (?, ?)", [("a", 1), ("b",)]),
    "no value of SQL": (NAMED, things({}, {"name": object()})),
}


@pytest.fixture
def pair() -> Iterator[tuple[Connection, Connection]]:
    """Two new databases with the same tables."""
    with closing(connect("rome+memory://")) as one, closing(connect("rome+memory://")) as two:
        for each in (one, two):
            for statement in SCHEMA:
                each.execute(statement, [{}])
            each.cursor().execute(NAMED, {**PLAIN, "name": "taken"})
            each.commit()
        yield one, two


def outcome(connection: Connection, sql: str, sets: list[Any], together: bool) -> tuple[object, ...]:
    """What was refused (or the row count and the last number), and all rows then."""
    told: object
    cursor = connection.cursor()
    try:
        if together:
            cursor.executemany(sql, sets)
            told = (cursor.rowcount, cursor.lastrowid)
        else:
            counts = [cursor.execute(sql, each).rowcount for each in sets]
            told = (sum(counts), cursor.lastrowid)
        connection.commit()
    except Error as error:
        connection.rollback()
        told = (type(error), str(error))
    tables = [sorted(map(repr, connection.cursor().execute(f"SELECT * FROM {name}"))) for name in ("things", "notes")]
    return told, tables


@pytest.mark.parametrize("case", CASES)
def test_rows_together_are_as_rows_one_by_one(pair: tuple[Connection, Connection], case: str) -> None:
    sql, sets = CASES[case]
    assert outcome(pair[0], sql, sets, True) == outcome(pair[1], sql, sets, False)
