"""EXPLAIN ANALYZE says where an index is lacking, and what it says is so: with the index far less is read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from rome import dbapi

ROWS = 1500
SCARCE = "SELECT id FROM t WHERE kind = 'rare' AND flag = true"
LATEST = "SELECT id FROM t WHERE kind = 'rare' ORDER BY at DESC LIMIT 3"
LONG = "SELECT id FROM t WHERE note = 'n7'"
LARGE = "SELECT id FROM t WHERE size > 1498"


@pytest.fixture
def cursor() -> Iterator[dbapi.Cursor]:
    connection = dbapi.connect("rome+memory://")
    cursor = connection.cursor()
    cursor.execute(
        "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, kind VARCHAR(9), flag BOOLEAN, at INTEGER, note TEXT, "
        "size INTEGER)"
    )
    cursor.execute("CREATE INDEX at_idx ON t (at)")
    cursor.executemany(
        "INSERT INTO t VALUES (:id, :kind, true, :at, :note, :id)",
        [
            {"id": number, "kind": "rare" if number % 500 == 0 else "plain", "at": number % 97, "note": f"n{number}"}
            for number in range(ROWS)
        ],
    )
    yield cursor
    connection.close()


def advice(cursor: dbapi.Cursor, sql: str) -> list[str]:
    cursor.connection.commit()  # what a transaction has read is not read again
    cursor.execute(f"EXPLAIN ANALYZE {sql}")
    return [line for (line,) in cursor.fetchall() if line.startswith("Advice")]


@pytest.mark.parametrize(
    ("sql", "index"),
    [(SCARCE, "t (kind)"), (LATEST, "t (kind, at)"), (LONG, "t (note(255))"), (LARGE, "t (size)")],
)
def test_a_scan_that_reads_far_more_than_it_finds_is_told_its_index(
    cursor: dbapi.Cursor, sql: str, index: str
) -> None:
    [line] = advice(cursor, sql)
    says = rf"Advice: t: \d+ keys were read for \d+ rows; an index on {re.escape(index)} would narrow it"
    assert re.fullmatch(says, line), line
    cursor.execute(f"CREATE INDEX advised ON {index}")
    assert advice(cursor, sql) == []


def test_where_no_index_would_narrow_it_that_is_said(cursor: dbapi.Cursor) -> None:
    [line] = advice(cursor, "SELECT id FROM t WHERE size % 1000 = 7")
    assert line.endswith("no index would narrow it")


def test_what_is_of_use_is_no_waste(cursor: dbapi.Cursor) -> None:
    assert advice(cursor, "SELECT id FROM t WHERE kind = 'plain'") == []
    assert advice(cursor, "SELECT id FROM t WHERE id = 7") == []
