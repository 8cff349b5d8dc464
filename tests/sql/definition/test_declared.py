"""Tables made where the URL asks for less: foreign keys that are declared alone, integers that keep strings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import sqlalchemy

from rome.dbapi import Connection, connect
from rome.errors import DataError, ForeignKeyViolation, TypeMismatch

PARENT = "CREATE TABLE parent (id INTEGER PRIMARY KEY)"
CHILD = "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent (id) ON DELETE CASCADE)"


@pytest.fixture
def connections(tmp_path: Path) -> Iterator[tuple[Connection, Connection]]:
    """Two connections to one store: one whose URL asks for less, and a usual one."""
    url = f"rome+memory:///declared-{tmp_path.name}"
    with ExitStack() as stack:
        urls = (f"{url}?foreign_keys=declared&integers=flexible", url)
        lenient, usual = (stack.enter_context(closing(connect(each))) for each in urls)
        yield lenient, usual


def run(connection: Connection, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    with closing(connection.cursor()) as cursor, connection:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def test_a_declared_foreign_key_lets_every_row_be(connections: tuple[Connection, Connection]) -> None:
    lenient, _ = connections
    run(lenient, PARENT)
    run(lenient, CHILD)
    run(lenient, "INSERT INTO child VALUES (1, 7), (2, 8)")
    run(lenient, "INSERT INTO parent VALUES (7)")
    run(lenient, "DELETE FROM parent")
    assert run(lenient, "SELECT * FROM child ORDER BY id") == [(1, 7), (2, 8)]


def test_whoever_uses_the_table_finds_it_as_it_was_declared(connections: tuple[Connection, Connection]) -> None:
    lenient, usual = connections
    run(lenient, PARENT)
    run(lenient, CHILD)
    run(usual, "INSERT INTO child VALUES (1, 7)")
    with usual:  # the parent is new, and yet there may be children
        usual.execute("INSERT INTO parent VALUES (7)", ({},))
        found = usual.execute("SELECT id FROM child WHERE parent_id = 7", ({},))
    assert found.rows == [(1,)]


def test_a_table_of_a_usual_connection_is_enforced_for_all(connections: tuple[Connection, Connection]) -> None:
    lenient, usual = connections
    run(usual, PARENT)
    run(usual, CHILD)
    with pytest.raises(ForeignKeyViolation):
        run(lenient, "INSERT INTO child VALUES (1, 7)")
    with pytest.raises(DataError):
        run(lenient, "INSERT INTO parent VALUES ('one')")


def test_an_added_foreign_key_is_declared_alone_and_looks_at_no_row(
    connections: tuple[Connection, Connection],
) -> None:
    lenient, usual = connections
    run(lenient, PARENT)
    run(lenient, "CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER)")
    run(lenient, "INSERT INTO child VALUES (1, 7)")
    run(lenient, "ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES parent (id)")
    run(usual, "ALTER TABLE child DROP CONSTRAINT fk")
    with pytest.raises(ForeignKeyViolation):
        run(usual, "ALTER TABLE child ADD CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES parent (id)")


def test_reflection_shows_a_declared_foreign_key(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"rome+memory:///reflected-{tmp_path.name}?foreign_keys=declared")
    with engine.begin() as connection:
        connection.exec_driver_sql(PARENT)
        connection.exec_driver_sql(CHILD)
    (key,) = sqlalchemy.inspect(engine).get_foreign_keys("child")
    assert (key["referred_table"], key["constrained_columns"]) == ("parent", ["parent_id"])
    engine.dispose()


@pytest.fixture
def flexible(connections: tuple[Connection, Connection]) -> Connection:
    lenient, _ = connections
    run(lenient, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    run(lenient, "CREATE INDEX ix_n ON t (n)")
    for value in ("one", "12", 77, None):
        run(lenient, "INSERT INTO t (n) VALUES (?)", value)
    return lenient


@pytest.mark.parametrize(
    ("condition", "parameters", "found"),
    [
        ("n = ?", ("one",), [1]),
        ("n = ?", ("12",), [2]),  # a number in a string is that number
        ("n = ?", (12,), [2]),
        ("n = ?", ("two",), []),
        ("n <> ?", ("one",), [2, 3]),
        ("n IN (?, ?)", ("one", 77), [1, 3]),
        ("id = ?", ("one",), []),
        ("n IS NULL", (), [4]),
        ("n = (SELECT n FROM t WHERE id = 1)", (), [1]),
    ],
)
def test_a_string_in_a_flexible_integer_equals_itself_alone(
    flexible: Connection, condition: str, parameters: tuple[object, ...], found: list[int]
) -> None:
    rows = run(flexible, f"SELECT id FROM t WHERE {condition}", *parameters)
    assert sorted(number for (number,) in rows) == found


def test_strings_in_a_flexible_integer_are_grouped_and_told_apart(flexible: Connection) -> None:
    run(flexible, "INSERT INTO t (n) VALUES (?)", "one")
    rows = run(flexible, "SELECT n, count(*) FROM t GROUP BY n")
    assert set(rows) == {("one", 2), (12, 1), (77, 1), (None, 1)}
    assert len(run(flexible, "SELECT DISTINCT n FROM t")) == 4


@pytest.mark.parametrize("query", ["SELECT * FROM t WHERE n > 5", "SELECT * FROM t ORDER BY n LIMIT 1",
                                   "SELECT sum(n) FROM t", "SELECT n + 1 FROM t"])  # fmt: skip
def test_what_needs_an_order_or_a_number_is_refused_where_there_is_a_string(flexible: Connection, query: str) -> None:
    with pytest.raises(TypeMismatch, match="string in a flexible INTEGER column"):
        run(flexible, query)


def test_without_strings_a_flexible_integer_is_as_any(flexible: Connection) -> None:
    run(flexible, "DELETE FROM t WHERE n = ?", "one")
    assert run(flexible, "SELECT n FROM t WHERE n > 5 ORDER BY n DESC LIMIT 1") == [(77,)]
    assert run(flexible, "SELECT sum(n) FROM t") == [(89,)]
