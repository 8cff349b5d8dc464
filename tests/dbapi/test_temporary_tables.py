"""Temporary tables: a connection's own, in its transactions like any other, never in the store."""

from __future__ import annotations

import pytest

from rome import config, dbapi, errors
from rome.database import open_database
from rome.driver.api import Scan
from rome.testing import integrity


def run(connection: dbapi.Connection, *texts: str) -> list[tuple[object, ...]]:
    """The rows of the last of `texts`."""
    cursor = connection.cursor()
    for sql in texts:
        cursor.execute(sql)
    return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture
def own(items: dbapi.Connection) -> dbapi.Connection:
    """A connection with a temporary table of three rows beside the table `items`, committed."""
    run(
        items,
        "CREATE TEMPORARY TABLE own (id INTEGER PRIMARY KEY, n INTEGER UNIQUE CHECK (n > 0)) ON COMMIT PRESERVE ROWS",
        "CREATE INDEX own_by_n ON own (n, id)",
        "INSERT INTO own (n) VALUES (1), (2), (3)",
    )
    items.commit()
    return items


def test_a_temporary_table_is_seen_by_its_connection_alone(own: dbapi.Connection, other: dbapi.Connection) -> None:
    assert run(own, "SELECT id, n FROM own WHERE n >= 2") == [(2, 2), (3, 3)]
    with pytest.raises(errors.UndefinedTable):
        run(other, "SELECT * FROM own")
    run(other, "CREATE TEMP TABLE own (word VARCHAR(5))", "INSERT INTO own VALUES ('mine')")
    assert run(other, "SELECT * FROM own") == [("mine",)]
    assert run(own, "SELECT count(*) FROM own") == [(3,)]


def test_nothing_of_it_is_in_the_store(own: dbapi.Connection, url: str) -> None:
    database = open_database(config.parse(url))
    try:
        cells = database.driver.read([], [Scan(b"", b"\xff" * 8)]).scans[0]
        private = database.environment.keys.private_prefix
        assert cells and not any(cell.key.startswith(private) for cell in cells)
        assert integrity.check(database.driver, "") == []
    finally:
        database.release()


def test_it_takes_part_in_joins_changes_and_transactions(own: dbapi.Connection) -> None:
    run(own, "INSERT INTO items (name, n) SELECT 'x', n FROM own", "INSERT INTO own (n) SELECT n + 10 FROM items")
    assert run(own, "SELECT own.n FROM own JOIN items ON own.n = items.n + 10") == [(11,), (12,), (13,)]
    own.rollback()
    assert run(own, "SELECT n FROM own") == [(1,), (2,), (3,)] and run(own, "SELECT * FROM items") == []
    run(own, "DELETE FROM own WHERE n = 1", "SAVEPOINT a", "UPDATE own SET n = n + 1", "DROP TABLE own")
    run(own, "ROLLBACK TO SAVEPOINT a")
    own.commit()
    assert run(own, "SELECT n FROM own") == [(2,), (3,)]


def test_its_constraints_hold_and_its_numbers_go_on(own: dbapi.Connection) -> None:
    for sql, error in [
        ("INSERT INTO own (n) VALUES (2)", errors.UniqueViolation),
        ("INSERT INTO own (id, n) VALUES (1, 9)", errors.UniqueViolation),
        ("UPDATE own SET n = 0", errors.CheckViolation),
    ]:
        with pytest.raises(error):
            run(own, sql)
    run(own, "INSERT INTO own (n) VALUES (9)")
    [(number,)] = run(own, "SELECT id FROM own WHERE n = 9")
    assert isinstance(number, int) and number > 3


def test_it_is_altered_renamed_and_dropped(own: dbapi.Connection) -> None:
    run(own, "ALTER TABLE own ADD COLUMN word VARCHAR(5) DEFAULT 'w' NOT NULL, RENAME TO mine")
    own.commit()
    assert run(own, "SELECT n, word FROM mine WHERE n = 1") == [(1, "w")]
    run(own, "DROP TABLE mine")
    own.commit()
    with pytest.raises(errors.UndefinedTable):
        run(own, "SELECT * FROM mine")


def test_each_statement_of_its_own_keeps_it(own: dbapi.Connection) -> None:
    own.isolation_level = "AUTOCOMMIT"
    run(own, "INSERT INTO own (n) VALUES (7)", "CREATE TEMPORARY TABLE more (a INTEGER)", "INSERT INTO more VALUES (1)")
    assert run(own, "SELECT own.n, a FROM own, more WHERE own.n = 7") == [(7, 1)]


def test_a_transaction_that_is_replayed_finds_it_as_it_was(own: dbapi.Connection, other: dbapi.Connection) -> None:
    run(other, "INSERT INTO items (name, n) VALUES ('a', 1)")
    other.commit()
    run(own, "UPDATE own SET n = n + 10", "INSERT INTO own (n) VALUES (1)", "UPDATE items SET name = 'b'")
    run(other, "UPDATE items SET n = n + 1")
    other.commit()
    own.commit()
    assert run(own, "SELECT n FROM own ORDER BY n") == [(1,), (11,), (12,), (13,)]
    assert run(own, "SELECT name, n FROM items") == [("b", 2)]


def test_it_survives_a_change_of_the_catalogue_elsewhere(own: dbapi.Connection, other: dbapi.Connection) -> None:
    run(other, "CREATE TABLE elsewhere (a INTEGER)")
    other.commit()
    run(own, "INSERT INTO own (n) VALUES (4)")
    assert run(own, "SELECT count(*) FROM own LEFT JOIN elsewhere ON TRUE") == [(4,)]
    own.commit()
    assert run(own, "SELECT count(*) FROM own") == [(4,)]
    run(own, "ALTER TABLE items ADD COLUMN x INTEGER")
    own.commit()
    assert run(other, "SELECT x FROM items") == []
    with pytest.raises(errors.UndefinedTable):
        run(other, "SELECT * FROM own")


def test_reading_committed_rows_finds_it(own: dbapi.Connection) -> None:
    own.isolation_level = "READ COMMITTED"
    run(own, "UPDATE own SET n = n + 1 WHERE id = 3")
    assert run(own, "SELECT n FROM own") == [(1,), (2,), (4,)]
    own.commit()
    assert run(own, "SELECT n FROM own WHERE n > 3 FOR UPDATE") == [(4,)]


@pytest.mark.parametrize(
    "sql",
    ["CREATE TEMPORARY TABLE c (a INTEGER REFERENCES items (id))", "CREATE TABLE c (a INTEGER REFERENCES own (id))",
     "CREATE VIEW v AS SELECT n FROM own", "CREATE TEMPORARY TABLE c (a INTEGER) ON COMMIT DELETE ROWS",
     "CREATE TEMPORARY TABLE items (a INTEGER)", "CREATE TABLE own (a INTEGER)"],
)  # fmt: skip
def test_what_is_refused(own: dbapi.Connection, sql: str) -> None:
    with pytest.raises((errors.NotSupportedError, errors.UndefinedTable, errors.DuplicateTable)):
        run(own, sql)


def test_it_hides_a_table_that_came_later(own: dbapi.Connection, other: dbapi.Connection) -> None:
    run(other, "CREATE TABLE own (a INTEGER)", "CREATE VIEW v AS SELECT a FROM own", "INSERT INTO own VALUES (5)")
    other.commit()
    assert run(own, "SELECT count(*) FROM own") == [(3,)]
    assert run(own, "SELECT a FROM v") == [(5,)]
    run(own, "DROP TABLE own")
    assert run(own, "SELECT * FROM own") == [(5,)]


def test_a_connection_that_is_opened_again_has_none(own: dbapi.Connection, url: str) -> None:
    own.close()
    again = dbapi.connect(url)
    with pytest.raises(errors.UndefinedTable):
        run(again, "SELECT * FROM own")
    again.close()
