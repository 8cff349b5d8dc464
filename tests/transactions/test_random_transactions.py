"""Transactions made up at random, of everything that SQL has here: each mixture of them is as good as a serial one.

They look, insert, change, cascade, fail, set savepoints and go back to them, and define and drop indexes, columns and
tables. The judge is that of the anomalies.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.transactions.hermitage import anomalies
from tests.transactions.speaker import Connect, problems, say, say_all

SCRIPTS = 12
ORDERS = 8

RESET = (
    "DROP TABLE IF EXISTS fresh",
    "DROP TABLE IF EXISTS children",
    "DROP TABLE IF EXISTS test",
    "CREATE TABLE test (id INTEGER PRIMARY KEY, value INTEGER CHECK (value < 1000), name VARCHAR(10), UNIQUE (name))",
    "CREATE INDEX test_value ON test (value)",
    "CREATE TABLE children (parent INTEGER REFERENCES test (id) ON DELETE CASCADE ON UPDATE CASCADE, "
    "place INTEGER, n INTEGER, PRIMARY KEY (parent, place))",
    "INSERT INTO test VALUES (1, 10, 'a'), (2, 20, 'b'), (3, 30, 'c'), (4, 30, NULL)",
    "INSERT INTO children VALUES (1, 1, 1), (1, 2, 2), (3, 1, 3)",
)
LOOK = ("SELECT * FROM test ORDER BY id", "SELECT * FROM children ORDER BY parent, place")

READS = (
    "SELECT value FROM test WHERE id = {id}",
    "SELECT id FROM test WHERE value = {value} ORDER BY id",
    "SELECT id FROM test WHERE value > {value} ORDER BY value, id LIMIT 2",
    "SELECT id FROM test ORDER BY id DESC LIMIT 1",
    "SELECT count(*), sum(value), max(name) FROM test",
    "SELECT id FROM test WHERE name = '{name}'",
    "SELECT name, n FROM test LEFT OUTER JOIN children ON parent = id WHERE id < {id} ORDER BY id, place",
    "SELECT id FROM test WHERE EXISTS (SELECT 1 FROM children WHERE parent = id AND n > 1) ORDER BY id",
    "SELECT n FROM children WHERE parent = {id} ORDER BY place",
)
WRITES = (
    "UPDATE test SET value = value + 1 WHERE id = {id}",
    "UPDATE test SET value = {value}",
    "UPDATE test SET value = (SELECT max(value) + 1 FROM test) WHERE id = {id}",
    "UPDATE test SET value = value + 10 WHERE value = {value}",
    "UPDATE test SET name = '{name}' WHERE id = {id}",
    "UPDATE test SET id = id + 10 WHERE id = {id}",
    "UPDATE test SET value = value * 40 WHERE id >= {id}",
    "INSERT INTO test VALUES ({id} + 4, {value}, '{name}')",
    "INSERT INTO test SELECT id + 20, value, NULL FROM test WHERE value = {value}",
    "INSERT INTO children VALUES ({id}, {id}, {value})",
    "INSERT INTO children SELECT id, 9, value FROM test WHERE value > {value}",
    "UPDATE children SET n = n + 1 WHERE parent = {id} RETURNING n",
    "DELETE FROM test WHERE id = {id}",
    "DELETE FROM test WHERE value = {value}",
    "DELETE FROM children WHERE n > 1 RETURNING parent",
)
CONTROL = ("SAVEPOINT s", "SAVEPOINT s2", "ROLLBACK TO SAVEPOINT s", "ROLLBACK TO SAVEPOINT s2", "RELEASE SAVEPOINT s")
DEFINITIONS = (
    "CREATE INDEX test_more ON test (name, value)",
    "CREATE UNIQUE INDEX test_unique ON test (value)",
    "DROP INDEX test_value",
    "ALTER TABLE test ADD COLUMN extra INTEGER DEFAULT 7",
    "ALTER TABLE test DROP COLUMN name",
    "ALTER TABLE test RENAME COLUMN name TO title",
    "ALTER TABLE children ADD CONSTRAINT few CHECK (n < 25)",
    "CREATE TABLE fresh (id INTEGER PRIMARY KEY)",
    "INSERT INTO fresh SELECT id FROM test",
    "SELECT id FROM fresh ORDER BY id",
    "DROP TABLE children",
)


def transaction(draw: random.Random, defining: bool) -> list[str]:
    """Some statements and, mostly, a commit."""
    statements = []
    for _ in range(draw.randrange(2, 6)):
        kind = draw.choices((READS, WRITES, CONTROL, DEFINITIONS), (5, 6, 2, 3 * defining))[0]
        sql = draw.choice(kind)
        statements.append(
            sql.format(id=draw.randrange(1, 5), value=draw.choice((10, 20, 30)), name=draw.choice("abxy"))
        )
    return [*statements, "COMMIT" if draw.random() < 0.9 else "ROLLBACK"]


@pytest.fixture(params=["memory", "lmdb"])
def place(request: pytest.FixtureRequest, tmp_path: Path, elsewhere: Callable[[], str]) -> Callable[[], str]:
    """URLs of one store; on LMDB each is opened apart from the others, as other processes would."""
    return elsewhere if request.param == "lmdb" else lambda: f"rome+memory:///{tmp_path.name}"


@pytest.mark.parametrize("defining", [False, True], ids=["rows", "schema"])
@pytest.mark.parametrize("count", [2, 3])
def test_random_transactions_are_serializable(
    place: Callable[[], str], connect: Connect, count: int, defining: bool
) -> None:
    draw = random.Random(f"{count} {defining}")
    connections = [connect(place()) for _ in range(count)]
    for _ in range(SCRIPTS // count):
        script = [transaction(draw, defining) for _ in range(count)]
        assert anomalies(connections, script, draw, ORDERS, RESET, LOOK) == [], script
        assert problems(connections[0]) == []


def test_what_was_told_stays_true_when_a_transaction_is_replayed(url: str, connect: Connect) -> None:
    """Numbers, times and random values that a conflict made the connection draw twice are those of the first time."""
    one, two = connect(url), connect(url)
    say_all(
        one,
        "CREATE TABLE drawn (id INTEGER PRIMARY KEY AUTOINCREMENT, at DATETIME DEFAULT CURRENT_TIMESTAMP, r FLOAT)",
        "CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER)",
        "INSERT INTO counters VALUES (1, 0)",
    )
    told = []
    for _ in range(5):
        told += say(one, "INSERT INTO drawn (r) VALUES (random()) RETURNING id, at, r")
        cursor = one.cursor()
        cursor.execute("INSERT INTO drawn (r) VALUES (0.5)")
        last = cursor.lastrowid
        told += say(one, "SELECT id, at, r FROM drawn WHERE id = ?", (last,))
        say(one, "UPDATE counters SET n = n + 1")
        before = one.counters.replayed_commits
        say_all(two, "UPDATE counters SET n = n + 10", "INSERT INTO drawn (r) VALUES (0.25)")
        one.commit()
        assert one.counters.replayed_commits == before + 1
    assert say(two, "SELECT n FROM counters") == [(55,)]
    assert say(two, "SELECT id, at, r FROM drawn WHERE r <> 0.25 ORDER BY id") == told
