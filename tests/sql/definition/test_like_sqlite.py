"""Computed columns and views hold what SQLite's hold, whatever happens to their rows."""

from __future__ import annotations

import sqlite3
from random import Random

import pytest

from rome.errors import IntegrityError
from tests.sql.definition.conversation import Conversation

DEFINITIONS = (
    """CREATE TABLE t (id INTEGER PRIMARY KEY, a BIGINT, s VARCHAR(20), twice BIGINT GENERATED ALWAYS AS (2 * a) STORED,
       word VARCHAR(40) GENERATED ALWAYS AS (coalesce(s, '-') || '/' || id) VIRTUAL,
       CONSTRAINT once UNIQUE (word), CONSTRAINT small CHECK (twice < 60))""",
    "CREATE INDEX by_twice ON t (twice, id)",
    "CREATE VIEW v (k, total) AS SELECT twice, count(*) FROM t WHERE word <> 'b/3' GROUP BY twice",
    "CREATE VIEW w AS SELECT t.id, v.total FROM t LEFT JOIN v ON v.k = t.twice",
)
LOOKS = (
    "SELECT id, a, s, twice, word FROM t ORDER BY id",
    "SELECT id FROM t WHERE twice BETWEEN 4 AND 20 ORDER BY id",
    "SELECT k, total FROM v ORDER BY k",
    "SELECT id, total FROM w WHERE total > 1 OR total IS NULL ORDER BY id",
    "SELECT count(*) FROM w JOIN v ON w.total = v.total",
)


def change(random: Random) -> str:
    number, value = random.randint(1, 9), random.choice(["NULL", "1", "2", "3", "7", "40"])
    word = random.choice(["NULL", "'a'", "'b'"])
    return random.choice([
        f"INSERT INTO t (id, a, s) VALUES ({number}, {value}, {word})",
        f"INSERT INTO t VALUES ({number}, {value}, {word})",
        f"INSERT INTO t (id, a) VALUES ({number}, {value}) ON CONFLICT (id) DO UPDATE SET a = excluded.a, s = {word}",
        f"INSERT INTO t (id, a, s) SELECT id + 10, a + 1, s FROM t WHERE id < {number}",
        f"UPDATE t SET a = a + 1, s = {word} WHERE id >= {number}",
        f"UPDATE t SET a = {value} WHERE twice > {number}",
        f"DELETE FROM t WHERE id = {number} OR id > 15",
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_rows_and_views_are_as_in_sqlite(seed: int) -> None:
    random, store, sqlite = Random(seed), Conversation(), sqlite3.connect(":memory:")
    for definition in DEFINITIONS:
        store.run(definition)
        sqlite.execute(definition)
    refused = 0
    for _ in range(40):
        sql = change(random)
        try:
            store.run(sql)
            wrong = False
        except IntegrityError:
            wrong = True
        try:
            sqlite.execute(sql)
            assert not wrong, sql
        except sqlite3.IntegrityError:
            assert wrong, sql
            refused += 1
        for look in LOOKS:
            assert store.run(look) == sqlite.execute(look).fetchall(), (sql, look)
    assert 0 < refused < 35
