"""Indexes that hold the first characters of a column: longer values are taken, and found as if they were held whole."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from rome import dbapi, errors
from rome.table.keys import MAX_INDEXED_BYTES

CONDITIONS = (
    "name = 'a' AND value = :value", "value = :value", "name = 'a' AND (value = :value OR value = 'xxx')",
    "name = 'a' AND value IN ('xxxx', 'xxxxx', 'xx')", "name = 'a' AND value IN UNNEST(:values)",
    "name = 'a' AND value > :value", "name = 'a' AND value <= :value", "name = 'a' AND value IS NULL",
    "name = 'a' AND value LIKE 'xxx%'", "name = 'a'",
)  # fmt: skip


@pytest.fixture
def cursor() -> Iterator[dbapi.Cursor]:
    connection = dbapi.connect("rome+memory://")
    cursor = connection.cursor()
    for table in ("t", "plain"):
        cursor.execute(
            f"CREATE TABLE {table} (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(9), value TEXT, at INTEGER)"
        )
    cursor.execute("CREATE INDEX short ON t (name, value(3), at)")
    cursor.execute("CREATE INDEX shorter ON t (value(2))")
    yield cursor
    connection.close()


def value(random: Random) -> str | None:
    return random.choice([None, "", *["x" * random.randrange(1, 6) + random.choice(["", "y", "é"]) for _ in range(9)]])


def test_what_is_found_and_its_order_are_those_of_a_table_without_the_index(cursor: dbapi.Cursor) -> None:
    random = Random(5)
    for number in range(60):
        row = {"id": number, "name": random.choice("ab"), "value": value(random), "at": random.randrange(9)}
        for table in ("t", "plain"):
            cursor.execute(f"INSERT INTO {table} VALUES (:id, :name, :value, :at)", row)
    for number in range(120):
        if number % 10 == 0:
            changed = {"value": value(random), "at": random.randrange(9), "id": random.randrange(60)}
            for table in ("t", "plain"):
                cursor.execute(f"UPDATE {table} SET value = :value, at = :at WHERE id = :id", changed)
                cursor.execute(f"DELETE FROM {table} WHERE id = :id", {"id": number // 3})
        order = random.choice(["id", "value, id", "at, id", "name, value, at, id", "at DESC, id DESC"])
        parameters = {"value": value(random), "values": ["xxxx", "xxx", "y"]}
        found = []
        condition = random.choice(CONDITIONS)
        for table in ("t", "plain"):
            cursor.execute(f"SELECT id FROM {table} WHERE {condition} ORDER BY {order} LIMIT 7", parameters)
            found.append(cursor.fetchall())
        assert found[0] == found[1], (condition, order, parameters)


def test_values_longer_than_any_key_are_taken_and_told_apart(cursor: dbapi.Cursor) -> None:
    long = "x" * (20 * MAX_INDEXED_BYTES)
    cursor.executemany(
        "INSERT INTO t VALUES (:id, 'a', :value, 1)",
        [{"id": 1, "value": long}, {"id": 2, "value": long + "y"}, {"id": 3, "value": "xxx"}],
    )
    cursor.execute("SELECT id FROM t WHERE name = 'a' AND value = :value", {"value": long + "y"})
    assert cursor.fetchall() == [(2,)]
    cursor.execute("UPDATE t SET value = :value WHERE id = 2", {"value": long + "z"})
    cursor.execute("SELECT id FROM t WHERE name = 'a' AND value = :value", {"value": long + "z"})
    assert cursor.fetchall() == [(2,)]
    cursor.execute("SELECT id FROM t WHERE name = 'a' AND value = :value", {"value": long + "y"})
    assert cursor.fetchall() == []


def test_a_foreign_key_is_not_looked_up_by_part_of_a_column(cursor: dbapi.Cursor) -> None:
    cursor.execute("CREATE TABLE parent (id VARCHAR(9) NOT NULL PRIMARY KEY)")
    cursor.execute("CREATE TABLE child (id INTEGER NOT NULL PRIMARY KEY, parent VARCHAR(9))")
    cursor.execute("CREATE INDEX first ON child (parent(1))")
    cursor.execute("ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (parent) REFERENCES parent (id)")
    cursor.execute("INSERT INTO parent VALUES ('aa'), ('ab')")
    cursor.execute("INSERT INTO child VALUES (1, 'aa')")
    cursor.execute("DELETE FROM parent WHERE id = 'ab'")
    with pytest.raises(errors.ForeignKeyViolation):
        cursor.execute("DELETE FROM parent WHERE id = 'aa'")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE UNIQUE INDEX i ON t (value(3))", "a UNIQUE index holds all of its columns"),
        ("CREATE INDEX i ON t (at(3))", 'column "at" is no string'),
        ("CREATE INDEX i ON t (value(0))", "one character of a column or more"),
        ("CREATE INDEX i ON t (value('3'))", "a key over anything but columns"),
        ("CREATE INDEX i ON t (valu(3))", 'column "valu" of table "t" does not exist'),
        ("CREATE TABLE u (value TEXT, UNIQUE (value(3)))", "is not supported"),
    ],
)
def test_a_length_that_makes_no_sense_is_refused(cursor: dbapi.Cursor, sql: str, message: str) -> None:
    with pytest.raises(errors.Error, match=message.replace("(", r"\(")):
        cursor.execute(sql)
