"""One transaction from within: failing statements, savepoints, definitions that are undone, own writes, AUTOCOMMIT."""

from __future__ import annotations

import pytest

from rome import dbapi
from rome.errors import DatabaseError, DataError, IntegrityError, ProgrammingError, UndefinedColumn, UndefinedTable
from tests.transactions.speaker import Connect, ask, problems, say, say_all

ITEMS = "SELECT id, name, n FROM items ORDER BY id"


@pytest.fixture
def connection(url: str, connect: Connect) -> dbapi.Connection:
    """A connection to a store with items 1 to 3 and, of item 1, two parts."""
    connection = connect(url)
    say_all(
        connection,
        "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(10) UNIQUE, n INTEGER CHECK (n < 100))",
        "CREATE INDEX items_n ON items (n, name)",
        "CREATE TABLE parts (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "item INTEGER REFERENCES items (id) ON DELETE CASCADE, n INTEGER)",
        "CREATE TABLE guards (item INTEGER PRIMARY KEY REFERENCES items (id))",
        "CREATE TABLE notes (line VARCHAR(10))",
        "INSERT INTO items VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30)",
        "INSERT INTO parts (item, n) VALUES (1, 1), (1, 2)",
        "INSERT INTO guards VALUES (3)",
    )
    return connection


@pytest.fixture
def other(url: str, connection: dbapi.Connection, connect: Connect) -> dbapi.Connection:
    return connect(url)


def everything(connection: dbapi.Connection) -> list[object]:
    tables = ("items ORDER BY id", "parts ORDER BY item, n", "guards ORDER BY item", "notes ORDER BY line")
    return [say(connection, f"SELECT * FROM {table}") for table in tables]


# ---- statements that fail

FAILING = {
    "a second row is a duplicate": "INSERT INTO items VALUES (7, 'g', 1), (8, 'a', 1)",
    "two rows of one statement are alike": "INSERT INTO items VALUES (7, 'g', 1), (7, 'h', 1)",
    "a check refuses the second": "INSERT INTO items VALUES (7, 'g', 1), (8, 'h', 100)",
    "a value does not fit the second": "INSERT INTO items VALUES (7, 'g', 1), (8, 'far too long', 1)",
    "a subquery gives a row that is there": "INSERT INTO items SELECT id + 2, name || '!', n FROM items",
    "an update makes rows alike": "UPDATE items SET name = 'z'",
    "an update breaks a check": "UPDATE items SET n = n + 75",
    "an update divides by zero": "UPDATE items SET n = 100 / (n - 20)",
    "an update overflows": "UPDATE items SET id = id + 2147483645",
    "an update takes a referenced key away": "UPDATE items SET id = id + 10",
    "a delete meets a reference": "DELETE FROM items",
    "a child has no parent": "INSERT INTO parts (item, n) VALUES (2, 1), (9, 1)",
    "a scalar subquery has two rows": "UPDATE items SET n = (SELECT n FROM parts) WHERE id = 1",
    "a column is unknown": "UPDATE items SET m = 1",
    "it is no SQL": "UPDATE items SET",
    "the table is there": "CREATE TABLE items (id INTEGER)",
    "an index finds duplicates": "CREATE UNIQUE INDEX parts_item ON parts (item)",
    "a key finds an orphan": "ALTER TABLE parts ADD CONSTRAINT k FOREIGN KEY (n) REFERENCES guards (item)",
    "a check finds a row": "ALTER TABLE items ADD CONSTRAINT k CHECK (n > 10)",
    "a value does not convert": "ALTER TABLE items ALTER COLUMN name TYPE INTEGER",
    "the column has no value": "ALTER TABLE items ADD COLUMN m INTEGER NOT NULL",
    "a table is referenced": "DROP TABLE items",
}


@pytest.mark.parametrize("sql", FAILING.values(), ids=FAILING.keys())
def test_a_failing_statement_leaves_no_trace_and_what_came_before_stays(
    connection: dbapi.Connection, other: dbapi.Connection, sql: str
) -> None:
    say(connection, "INSERT INTO notes VALUES ('before')")
    say(connection, "UPDATE items SET n = 21 WHERE id = 2")
    before = everything(connection)
    catalog = connection.catalog().tables
    with pytest.raises(DatabaseError):
        say(connection, sql)
    assert everything(connection) == before
    assert connection.catalog().tables == catalog
    say(connection, "INSERT INTO notes VALUES ('after')")
    connection.commit()
    assert say(other, "SELECT line FROM notes ORDER BY line") == [("after",), ("before",)]
    assert say(other, "SELECT n FROM items WHERE id = 2") == [(21,)]
    assert problems(other) == []


def test_a_failing_executemany_leaves_no_trace(connection: dbapi.Connection) -> None:
    cursor = connection.cursor()
    before = everything(connection)
    for sql, sets in (
        ("INSERT INTO items VALUES (?, ?, 0)", [(7, "g"), (8, "h"), (9, "a")]),
        ("UPDATE items SET n = ? WHERE id = ?", [(1, 1), (2, 2), (100, 3)]),
        ("UPDATE items SET n = ? WHERE name = ?", [(1, "a"), (2, "b"), (100, "c")]),
        ("DELETE FROM items WHERE id = ?", [(1,), (2,), (3,)]),
    ):
        with pytest.raises(IntegrityError):
            cursor.executemany(sql, sets)
        assert everything(connection) == before


# ---- savepoints


def numbers(connection: dbapi.Connection) -> list[int]:
    return [n for (n,) in say(connection, "SELECT n FROM items WHERE n < 10 ORDER BY n")]


def add(connection: dbapi.Connection, *values: int) -> None:
    for value in values:
        say(connection, "INSERT INTO items (id, name, n) VALUES (:id, :name, :n)", {
            "id": 100 + value, "name": f"n{value}", "n": value,
        })  # fmt: skip


def test_nested_savepoints_undo_from_the_inside_out(connection: dbapi.Connection, other: dbapi.Connection) -> None:
    add(connection, 1)
    say(connection, "SAVEPOINT outer_")
    add(connection, 2)
    say(connection, "SAVEPOINT inner_")
    add(connection, 3)
    say(connection, "DELETE FROM items WHERE id = 1")
    assert say(connection, "SELECT count(*) FROM parts") == [(0,)]
    say(connection, "ROLLBACK TO SAVEPOINT inner_")
    assert numbers(connection) == [1, 2]
    assert say(connection, "SELECT count(*) FROM parts") == [(2,)]
    add(connection, 4)
    say(connection, "ROLLBACK TO SAVEPOINT inner_")
    add(connection, 5)
    say(connection, "ROLLBACK TO SAVEPOINT outer_")
    with pytest.raises(ProgrammingError, match="inner_"):
        say(connection, "ROLLBACK TO SAVEPOINT inner_")
    add(connection, 6)
    connection.commit()
    assert numbers(other) == [1, 6]
    assert problems(other) == []


def test_a_savepoint_is_rolled_back_after_an_error(connection: dbapi.Connection, other: dbapi.Connection) -> None:
    add(connection, 1)
    say(connection, "SAVEPOINT s")
    add(connection, 2)
    with pytest.raises(IntegrityError):
        add(connection, 1)
    say(connection, "ROLLBACK TO SAVEPOINT s")
    say(connection, "RELEASE SAVEPOINT s")
    add(connection, 3)
    connection.commit()
    assert numbers(other) == [1, 3]


def test_a_released_savepoint_keeps_its_work_and_takes_later_ones_along(connection: dbapi.Connection) -> None:
    say(connection, "SAVEPOINT a")
    add(connection, 1)
    say(connection, "SAVEPOINT b")
    add(connection, 2)
    say(connection, "SAVEPOINT c")
    add(connection, 3)
    say(connection, "RELEASE SAVEPOINT b")
    for gone in "bc":
        with pytest.raises(ProgrammingError):
            say(connection, f"RELEASE SAVEPOINT {gone}")
    assert numbers(connection) == [1, 2, 3]
    say(connection, "ROLLBACK TO SAVEPOINT a")
    assert numbers(connection) == []


def test_a_name_given_twice_means_the_newer_until_that_is_released(connection: dbapi.Connection) -> None:
    say(connection, "SAVEPOINT s")
    add(connection, 1)
    say(connection, "SAVEPOINT s")
    add(connection, 2)
    say(connection, "ROLLBACK TO SAVEPOINT s")
    assert numbers(connection) == [1]
    say(connection, "RELEASE SAVEPOINT s")
    say(connection, "ROLLBACK TO SAVEPOINT s")
    assert numbers(connection) == []


def test_savepoints_end_with_the_transaction(connection: dbapi.Connection) -> None:
    for end in (connection.commit, connection.rollback):
        say(connection, "SAVEPOINT s")
        end()
        with pytest.raises(ProgrammingError):
            say(connection, "ROLLBACK TO SAVEPOINT s")
        connection.rollback()


def test_a_row_goes_and_comes_back_between_savepoints(connection: dbapi.Connection, other: dbapi.Connection) -> None:
    say(connection, "UPDATE items SET name = 'x' WHERE id = 2")
    say(connection, "SAVEPOINT s")
    say(connection, "DELETE FROM items WHERE id = 2")
    say(connection, "INSERT INTO items VALUES (2, 'y', 9)")
    say(connection, "UPDATE items SET id = 4 WHERE id = 2")
    say(connection, "ROLLBACK TO SAVEPOINT s")
    say(connection, "UPDATE items SET n = n + 1 WHERE name = 'x'")
    connection.commit()
    assert say(other, "SELECT * FROM items WHERE id IN (2, 4)") == [(2, "x", 21)]
    assert problems(other) == []


# ---- definitions


def test_definitions_are_undone_by_a_rollback(connection: dbapi.Connection, other: dbapi.Connection) -> None:
    before = connection.catalog().tables
    rows = everything(connection)
    for sql in DEFINITIONS:
        say(connection, sql)
    assert connection.catalog().tables != before
    connection.rollback()
    assert connection.catalog().tables == before
    assert everything(connection) == rows
    say_all(connection, "INSERT INTO items VALUES (4, 'd', 40)")
    assert say(other, "SELECT id FROM items WHERE n = 40") == [(4,)]
    assert problems(other) == []


DEFINITIONS = (
    "CREATE TABLE fresh (id INTEGER PRIMARY KEY, n INTEGER)",
    "INSERT INTO fresh VALUES (1, 1)",
    "CREATE INDEX fresh_n ON fresh (n)",
    "DROP INDEX items_n",
    "CREATE UNIQUE INDEX items_n2 ON items (n)",
    "ALTER TABLE items ADD COLUMN more INTEGER DEFAULT 5",
    "UPDATE items SET more = 6 WHERE id = 1",
    "ALTER TABLE items RENAME COLUMN name TO title",
    "ALTER TABLE items ALTER COLUMN more TYPE VARCHAR(10)",
    "DROP TABLE guards",
    "ALTER TABLE notes RENAME TO lines",
)


def test_definitions_and_what_they_hold_are_seen_within_the_transaction(
    connection: dbapi.Connection, other: dbapi.Connection
) -> None:
    for sql in DEFINITIONS:
        say(connection, sql)
    assert say(connection, "SELECT id FROM fresh WHERE n = 1") == [(1,)]
    assert say(connection, "SELECT id, title, more FROM items ORDER BY id") == [
        (1, "a", "6"), (2, "b", "5"), (3, "c", "5"),
    ]  # fmt: skip
    with pytest.raises(IntegrityError):
        say(connection, "INSERT INTO items (id, title, n) VALUES (9, 'z', 10)")
    with pytest.raises(UndefinedColumn):
        say(connection, "SELECT name FROM items")
    with pytest.raises(UndefinedTable):
        say(other, "SELECT * FROM fresh")
    other.rollback()
    connection.commit()
    assert say(other, "SELECT id FROM fresh WHERE n = 1") == [(1,)]
    assert say(other, "SELECT more FROM items WHERE n = 10") == [("6",)]
    assert problems(other) == []


def test_a_savepoint_undoes_definitions_and_rows_alike(connection: dbapi.Connection, other: dbapi.Connection) -> None:
    say(connection, "ALTER TABLE items ADD COLUMN first INTEGER DEFAULT 1")
    say(connection, "UPDATE items SET first = 2 WHERE id = 2")
    say(connection, "SAVEPOINT s")
    say(connection, "ALTER TABLE items ADD COLUMN second INTEGER DEFAULT 3")
    say(connection, "CREATE INDEX items_second ON items (second)")
    say(connection, "UPDATE items SET second = 4, first = 5 WHERE id = 1")
    say(connection, "ALTER TABLE items DROP COLUMN first")
    assert say(connection, "SELECT id FROM items WHERE second = 4") == [(1,)]
    say(connection, "ROLLBACK TO SAVEPOINT s")
    with pytest.raises(UndefinedColumn):
        say(connection, "SELECT second FROM items")
    assert say(connection, "SELECT id, first FROM items ORDER BY id") == [(1, 1), (2, 2), (3, 1)]
    say(connection, "ALTER TABLE items ADD COLUMN second VARCHAR(5) DEFAULT 'v'")
    say(connection, "INSERT INTO items (id, name) VALUES (4, 'd')")
    connection.commit()
    assert say(other, "SELECT first, second FROM items ORDER BY id") == [(1, "v"), (2, "v"), (1, "v"), (1, "v")]
    assert problems(other) == []


def test_a_table_dropped_and_made_anew_in_one_transaction_is_empty(
    connection: dbapi.Connection, other: dbapi.Connection
) -> None:
    say(connection, "DROP TABLE parts")
    say(connection, "CREATE TABLE parts (id INTEGER PRIMARY KEY AUTOINCREMENT, size VARCHAR(5))")
    say(connection, "INSERT INTO parts (size) VALUES ('big')")
    assert say(connection, "SELECT * FROM parts") == [(1, "big")]
    assert ask(other, "SELECT count(*) FROM parts WHERE item = 1") == [(2,)]
    connection.commit()
    assert say(other, "SELECT * FROM parts") == [(1, "big")]
    assert problems(other) == []


# ---- own writes


def test_own_writes_are_seen_whatever_way_leads_to_them(connection: dbapi.Connection) -> None:
    say(connection, "INSERT INTO items VALUES (4, 'd', 15), (5, 'e', NULL)")
    say(connection, "UPDATE items SET n = 35 WHERE id = 1")
    say(connection, "DELETE FROM items WHERE id = 2")
    say(connection, "INSERT INTO parts (item, n) VALUES (4, 7), (5, 8)")
    assert say(connection, ITEMS) == [(1, "a", 35), (3, "c", 30), (4, "d", 15), (5, "e", None)]
    assert say(connection, "SELECT id FROM items WHERE n = 35") == [(1,)]
    assert say(connection, "SELECT id FROM items WHERE n IN (10, 20, 15)") == [(4,)]
    assert say(connection, "SELECT id FROM items WHERE n > 14 ORDER BY n") == [(4,), (3,), (1,)]
    assert say(connection, "SELECT id FROM items WHERE n IS NULL") == [(5,)]
    assert say(connection, "SELECT id FROM items WHERE name = 'd'") == [(4,)]
    assert say(connection, "SELECT id FROM items WHERE name LIKE 'e%'") == [(5,)]
    for limit in range(1, 5):
        ascending = say(connection, "SELECT id FROM items ORDER BY n, name LIMIT :l", {"l": limit})
        descending = say(connection, "SELECT id FROM items ORDER BY n DESC, name DESC LIMIT :l", {"l": limit})
        assert ascending == [(5,), (4,), (3,), (1,)][:limit]
        assert descending == [(1,), (3,), (4,), (5,)][:limit]
        after = say(connection, "SELECT id FROM items WHERE id > 1 ORDER BY id LIMIT :l OFFSET 1", {"l": limit})
        assert after == [(4,), (5,)][:limit]
    assert say(connection, "SELECT count(*), count(n), sum(n), min(n), max(n) FROM items") == [(4, 3, 80, 15, 35)]
    assert say(connection, "SELECT n > 20, count(*) FROM items WHERE n > 0 GROUP BY n > 20 ORDER BY 1") == [
        (False, 1), (True, 2),
    ]  # fmt: skip
    assert say(
        connection,
        "SELECT items.id, parts.n FROM items LEFT OUTER JOIN parts ON parts.item = items.id ORDER BY items.id, parts.n",
    ) == [(1, 1), (1, 2), (3, None), (4, 7), (5, 8)]
    assert say(connection, "SELECT id FROM items WHERE EXISTS (SELECT 1 FROM parts WHERE parts.item = items.id) "
                           "ORDER BY id") == [(1,), (4,), (5,)]  # fmt: skip
    assert say(connection, "SELECT id FROM items WHERE n > 30 UNION SELECT item FROM parts ORDER BY 1 LIMIT 2") == [
        (1,), (4,),
    ]  # fmt: skip
    with pytest.raises(IntegrityError):
        say(connection, "INSERT INTO items VALUES (4, 'again', 0)")
    with pytest.raises(IntegrityError):
        say(connection, "INSERT INTO items VALUES (6, 'd', 0)")
    say(connection, "INSERT INTO items VALUES (2, 'b', 1)")  # both were given up
    with pytest.raises(IntegrityError):
        say(connection, "INSERT INTO guards VALUES (7)")
    assert say(connection, "DELETE FROM items WHERE n < 20 OR n IS NULL") == 3
    assert say(connection, "SELECT count(*) FROM parts") == [(2,)]


def test_own_rows_of_a_table_without_a_key_are_seen_and_changed(connection: dbapi.Connection) -> None:
    say_all(connection, "INSERT INTO notes VALUES ('stored'), ('stored'), ('other')")
    say(connection, "INSERT INTO notes VALUES ('own'), ('stored')")
    assert say(connection, "SELECT line, count(*) FROM notes GROUP BY line ORDER BY line") == [
        ("other", 1), ("own", 1), ("stored", 3),
    ]  # fmt: skip
    assert say(connection, "UPDATE notes SET line = 'x' WHERE line = 'stored'") == 3
    assert say(connection, "DELETE FROM notes WHERE line IN ('x', 'own')") == 4
    connection.commit()
    assert say(connection, "SELECT * FROM notes") == [("other",)]


def test_many_own_writes_are_read_through_limits_and_ranges(connection: dbapi.Connection) -> None:
    """Stored rows and own ones interleave; deleted ones must not eat up a limit."""
    for id_ in range(1000, 1200, 2):
        say(connection, "INSERT INTO items VALUES (?, ?, ?)", (id_, f"s{id_}", 0))
    connection.commit()
    for id_ in range(1001, 1200, 2):
        say(connection, "INSERT INTO items VALUES (?, ?, ?)", (id_, f"s{id_}", 0))
    say(connection, "DELETE FROM items WHERE id BETWEEN 1000 AND 1149")
    page = "SELECT id FROM items WHERE id >= 1000 ORDER BY id LIMIT 5"
    assert say(connection, page) == [(n,) for n in range(1150, 1155)]
    page = "SELECT id FROM items WHERE id < 1160 AND id >= 1000 ORDER BY id DESC LIMIT 20"
    assert say(connection, page) == [(n,) for n in range(1159, 1149, -1)]
    page = "SELECT id FROM items WHERE n = 0 ORDER BY name LIMIT 3 OFFSET 2"
    assert say(connection, page) == [(1152,), (1153,), (1154,)]
    assert say(connection, "SELECT count(*), min(id), max(id) FROM items WHERE n = 0") == [(50, 1150, 1199)]


# ---- AUTOCOMMIT


def test_in_autocommit_every_statement_stands_alone(
    connection: dbapi.Connection, other: dbapi.Connection, url: str, connect: Connect
) -> None:
    auto = connect(url, "AUTOCOMMIT")
    say(auto, "INSERT INTO items VALUES (4, 'd', 40)")
    assert ask(other, "SELECT n FROM items WHERE id = 4") == [(40,)]
    auto.rollback()
    assert ask(other, "SELECT n FROM items WHERE id = 4") == [(40,)]
    with pytest.raises(IntegrityError):
        say(auto, "INSERT INTO items VALUES (5, 'e', 50), (6, 'd', 60)")
    with pytest.raises(DataError):
        say(auto, "INSERT INTO items VALUES (5, 'far too long', 50)")
    assert ask(other, "SELECT count(*) FROM items") == [(4,)]
    say_all(other, "UPDATE items SET n = 41 WHERE id = 4")
    assert say(auto, "SELECT n FROM items WHERE id = 4") == [(41,)]
    say(auto, "CREATE TABLE fresh (id INTEGER PRIMARY KEY)")
    assert ask(other, "SELECT * FROM fresh") == []


def test_in_autocommit_begin_opens_a_transaction(url: str, connection: dbapi.Connection, connect: Connect) -> None:
    auto = connect(url, "AUTOCOMMIT")
    say(auto, "BEGIN")
    say(auto, "UPDATE items SET n = 1")
    say(auto, "SAVEPOINT s")
    say(auto, "DELETE FROM parts")
    say(auto, "ROLLBACK TO SAVEPOINT s")
    assert ask(connection, "SELECT sum(n) FROM items") == [(60,)]
    say(auto, "COMMIT")
    assert ask(connection, "SELECT sum(n) FROM items") == [(3,)]
    assert ask(connection, "SELECT count(*) FROM parts") == [(2,)]
    say(auto, "BEGIN")
    say(auto, "UPDATE items SET n = 2")
    auto.rollback()
    say(auto, "UPDATE items SET n = 5 WHERE id = 1")
    assert ask(connection, "SELECT sum(n) FROM items") == [(7,)]
