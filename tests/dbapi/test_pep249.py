"""PEP 249, point by point."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from rome import dbapi, errors


def rows(connection: dbapi.Connection, sql: str = "SELECT id, name FROM items ORDER BY id") -> list[tuple[Any, ...]]:
    return connection.cursor().execute(sql).fetchall()


def insert(connection: dbapi.Connection, *names: str) -> None:
    connection.cursor().executemany("INSERT INTO items (name) VALUES (:name)", [{"name": name} for name in names])


# ---- the module


def test_the_module_says_what_it_is() -> None:
    assert (dbapi.apilevel, dbapi.threadsafety, dbapi.paramstyle) == ("2.0", 1, "named")


EXCEPTIONS = """
    Warning Error InterfaceError DatabaseError DataError OperationalError IntegrityError InternalError ProgrammingError
    NotSupportedError
"""


@pytest.mark.parametrize("name", EXCEPTIONS.split())
def test_the_exceptions_stand_in_the_module_and_on_a_connection(name: str) -> None:
    assert getattr(dbapi, name) is getattr(errors, name) is getattr(dbapi.Connection, name)


def test_the_exceptions_form_the_tree_of_the_pep() -> None:
    database = (
        dbapi.DataError, dbapi.OperationalError, dbapi.IntegrityError, dbapi.InternalError, dbapi.ProgrammingError,
        dbapi.NotSupportedError,
    )  # fmt: skip

    assert all(issubclass(each, dbapi.DatabaseError) for each in database)
    assert issubclass(dbapi.DatabaseError, dbapi.Error) and issubclass(dbapi.InterfaceError, dbapi.Error)
    assert not issubclass(dbapi.Warning, dbapi.Error)


def test_the_constructors_make_native_values() -> None:
    assert dbapi.Date(2020, 1, 2) == datetime.date(2020, 1, 2)
    assert dbapi.Time(3, 4, 5) == datetime.time(3, 4, 5)
    assert dbapi.Timestamp(2020, 1, 2, 3, 4, 5) == datetime.datetime(2020, 1, 2, 3, 4, 5)
    ticks = datetime.datetime(2020, 1, 2, 3, 4, 5).timestamp()
    assert dbapi.DateFromTicks(ticks) == datetime.date(2020, 1, 2)
    assert dbapi.TimeFromTicks(ticks) == datetime.time(3, 4, 5)
    assert dbapi.TimestampFromTicks(ticks) == datetime.datetime(2020, 1, 2, 3, 4, 5)
    assert dbapi.Binary(bytearray(b"ab")) == b"ab"
    with pytest.raises(TypeError):
        dbapi.Binary(3)  # type: ignore[arg-type]


def test_type_objects_equal_the_type_codes_of_their_kinds(connection: dbapi.Connection) -> None:
    types = "a VARCHAR(9), b BLOB, c NUMERIC(5, 2), d DATETIME, e BOOLEAN, f DATE"
    cursor = connection.cursor()
    cursor.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {types})")
    cursor.execute("SELECT a, b, c, d, e, f FROM t")
    assert cursor.description is not None
    codes = [column[1] for column in cursor.description]

    assert codes == [
        dbapi.STRING, dbapi.BINARY, dbapi.NUMBER, dbapi.DATETIME, dbapi.NUMBER, dbapi.DATETIME,
    ]  # fmt: skip
    assert codes[0] != dbapi.NUMBER


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://host/db", "rome+"),
        ("rome+nosuch://", "unknown store"),
        ("rome+lmdb:////tmp/x?colour=red", "no option"),
    ],
)
def test_a_url_that_means_no_store_is_an_interface_error(url: str, says: str) -> None:
    with pytest.raises(dbapi.InterfaceError, match=says.replace("+", r"\+")):
        dbapi.connect(url)


def test_an_unknown_isolation_level_is_an_interface_error(url: str) -> None:
    with pytest.raises(dbapi.InterfaceError, match="SERIALIZABLE"):
        dbapi.connect(url, isolation_level="CHAOS")


# ---- cursors


def test_description_has_seven_items_a_column(items: dbapi.Connection) -> None:
    cursor = items.cursor()
    assert cursor.description is None
    cursor.execute("SELECT name, n AS number FROM items")

    assert cursor.description is not None
    assert [(column[0], column[3], column[6]) for column in cursor.description] == [
        ("name", 20, True),
        ("number", None, True),
    ]
    assert all(len(column) == 7 for column in cursor.description)


def test_a_statement_without_rows_has_no_description(items: dbapi.Connection) -> None:
    cursor = items.cursor()
    cursor.execute("SELECT id FROM items")
    cursor.execute("INSERT INTO items (name) VALUES ('a')")

    assert cursor.description is None
    with pytest.raises(dbapi.ProgrammingError):
        cursor.fetchone()


def test_fetching_before_a_statement_is_refused(items: dbapi.Connection) -> None:
    with pytest.raises(dbapi.ProgrammingError):
        items.cursor().fetchall()


def test_rows_are_fetched_one_by_one_in_bunches_and_all(items: dbapi.Connection) -> None:
    insert(items, *"abcdefg")
    cursor = items.cursor()
    cursor.execute("SELECT name FROM items ORDER BY id")

    assert cursor.fetchone() == ("a",)
    assert cursor.fetchmany() == [("b",)]
    cursor.arraysize = 2
    assert cursor.fetchmany() == [("c",), ("d",)]
    assert cursor.fetchmany(1) == [("e",)]
    assert cursor.fetchall() == [("f",), ("g",)]
    assert cursor.fetchone() is None
    assert cursor.fetchmany(3) == []
    assert cursor.fetchall() == []


def test_a_cursor_is_an_iterator(items: dbapi.Connection) -> None:
    insert(items, "a", "b")
    cursor = items.cursor()
    cursor.execute("SELECT name FROM items ORDER BY id")

    assert next(cursor) == ("a",)
    assert list(cursor) == [("b",)]


def test_rowcount_counts_matched_rows(items: dbapi.Connection) -> None:
    insert(items, "a", "b", "c")
    cursor = items.cursor()

    assert cursor.rowcount == -1
    assert cursor.execute("UPDATE items SET name = 'a' WHERE name <= 'b'").rowcount == 2
    assert cursor.execute("UPDATE items SET name = 'a' WHERE name = 'z'").rowcount == 0
    assert cursor.execute("DELETE FROM items").rowcount == 3


def test_lastrowid_is_the_number_given(items: dbapi.Connection) -> None:
    cursor = items.cursor()
    first = cursor.execute("INSERT INTO items (name) VALUES ('a')").lastrowid
    second = cursor.execute("INSERT INTO items (name) VALUES ('b')").lastrowid

    assert rows(items) == [(first, "a"), (second, "b")]
    assert cursor.execute("SELECT 1").lastrowid is None


def test_executemany_counts_all_rows(items: dbapi.Connection) -> None:
    cursor = items.cursor()
    cursor.executemany("INSERT INTO items (id, name) VALUES (?, ?)", [(1, "a"), (2, "b")])

    assert cursor.rowcount == 2
    assert rows(items) == [(1, "a"), (2, "b")]
    assert cursor.executemany("INSERT INTO items (id, name) VALUES (?, ?)", []).rowcount == 0


def test_executemany_takes_effect_wholly_or_not(items: dbapi.Connection) -> None:
    with pytest.raises(dbapi.IntegrityError):
        items.cursor().executemany("INSERT INTO items (id) VALUES (?)", [(1,), (2,), (1,)])

    assert rows(items) == []


def test_executemany_with_returning_gives_rows_in_the_order_of_the_parameters(items: dbapi.Connection) -> None:
    cursor = items.cursor()
    cursor.executemany("INSERT INTO items (name) VALUES (:name) RETURNING name, id", [{"name": n} for n in "cab"])
    returned = cursor.fetchall()

    assert [name for name, _ in returned] == ["c", "a", "b"]
    assert sorted(rows(items)) == sorted((number, name) for name, number in returned)


def test_sizes_are_taken_and_ignored(items: dbapi.Connection) -> None:
    cursor = items.cursor()
    cursor.setinputsizes([int])
    cursor.setoutputsize(3)
    with pytest.raises(dbapi.NotSupportedError):
        cursor.callproc("p")
    with pytest.raises(dbapi.NotSupportedError):
        cursor.nextset()


def test_rows_already_fetched_do_not_change(items: dbapi.Connection) -> None:
    insert(items, "a", "b")
    cursor = items.cursor()
    cursor.execute("SELECT name FROM items ORDER BY id")
    taken = cursor.fetchall()
    taken.clear()
    items.commit()

    assert len(rows(items)) == 2


# ---- parameters


@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("SELECT name FROM items WHERE id = :id AND name = :name", {"id": 1}),
        ("SELECT name FROM items WHERE id = :id", (1,)),
        ("SELECT name FROM items WHERE id = ?", ()),
        ("SELECT name FROM items WHERE id = ?", (1, 2)),
        ("SELECT name FROM items WHERE id = ?", {"id": 1}),
        ("SELECT name FROM items WHERE name = ?", "a"),
        ("SELECT name FROM items WHERE id = ?", 1),
        ("SELECT name FROM items WHERE id = :id", None),
    ],
)
def test_parameters_that_do_not_fit_the_text_are_a_programming_error(
    items: dbapi.Connection, sql: str, parameters: Any
) -> None:
    with pytest.raises(dbapi.ProgrammingError):
        items.cursor().execute(sql, parameters)


def test_a_parameter_may_stand_twice(items: dbapi.Connection) -> None:
    assert items.cursor().execute("SELECT :a, :a", {"a": 1}).fetchall() == [(1, 1)]


def test_parameters_are_read_when_the_statement_runs(items: dbapi.Connection) -> None:
    given = {"name": "a"}
    items.cursor().execute("INSERT INTO items (name) VALUES (:name)", given)
    given["name"] = "b"
    items.commit()

    assert [name for _, name in rows(items)] == ["a"]


def test_every_kind_of_value_comes_back_as_it_was_given(connection: dbapi.Connection) -> None:
    values = {
        "BOOLEAN": True,
        "SMALLINT": -32768,
        "INTEGER": 2**31 - 1,
        "BIGINT": -(2**63),
        "FLOAT": 0.1,
        "NUMERIC(20, 5)": Decimal("123456789012345.12345"),
        "VARCHAR(9)": "aé😀",
        "TEXT": "a\x00b",
        "BLOB": b"\x00\xff",
        "DATETIME": datetime.datetime(2020, 1, 2, 3, 4, 5, 678901),
        "DATE": datetime.date(1, 1, 1),
        "TIME": datetime.time(23, 59, 59, 999999),
        "INTERVAL": datetime.timedelta(days=-3, microseconds=1),
        "JSON": '{"a": [1, null]}',
        "UUID": UUID(int=7),
    }
    cursor = connection.cursor()
    columns = ", ".join(f"c{number} {name}" for number, name in enumerate(values))
    cursor.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})")
    marks = ", ".join("?" for _ in values)
    names = ", ".join(f"c{number}" for number in range(len(values)))
    cursor.execute(f"INSERT INTO t (id, {names}) VALUES (1, {marks})", list(values.values()))
    cursor.execute(f"INSERT INTO t (id, {names}) VALUES (2, {marks})", [None] * len(values))
    connection.commit()

    assert cursor.execute(f"SELECT {names} FROM t ORDER BY id").fetchall() == [
        tuple(values.values()),
        (None,) * len(values),
    ]


# ---- transactions


def test_nothing_is_seen_before_commit(items: dbapi.Connection, other: dbapi.Connection) -> None:
    insert(items, "a")
    assert rows(other) == []
    other.rollback()
    items.commit()

    assert len(rows(other)) == 1


def test_rollback_undoes(items: dbapi.Connection) -> None:
    insert(items, "a")
    items.rollback()

    assert rows(items) == []


def test_closing_rolls_back(items: dbapi.Connection, other: dbapi.Connection, url: str) -> None:
    insert(other, "a")
    other.close()

    assert rows(items) == []


def test_definitions_belong_to_the_transaction(connection: dbapi.Connection) -> None:
    connection.cursor().execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    connection.rollback()
    with pytest.raises(errors.UndefinedTable):
        connection.cursor().execute("SELECT id FROM t")


def test_a_failed_statement_leaves_no_trace_and_the_transaction_goes_on(items: dbapi.Connection) -> None:
    insert(items, "a")
    with pytest.raises(dbapi.IntegrityError):
        items.cursor().execute("INSERT INTO items (id, name) VALUES (7, 'b'), (7, 'c')")
    insert(items, "d")
    items.commit()

    assert [name for _, name in rows(items)] == ["a", "d"]


def test_a_connection_as_context_manager_commits_or_rolls_back(items: dbapi.Connection) -> None:
    with items:
        insert(items, "a")
    with pytest.raises(ZeroDivisionError), items:
        insert(items, "b")
        raise ZeroDivisionError
    items.rollback()

    assert [name for _, name in rows(items)] == ["a"]


def test_autocommit_makes_each_statement_a_transaction(items: dbapi.Connection, other: dbapi.Connection) -> None:
    items.autocommit = True
    assert items.isolation_level == "AUTOCOMMIT"
    insert(items, "a")
    assert not items.in_transaction
    items.rollback()

    assert len(rows(other)) == 1
    items.autocommit = False
    assert items.isolation_level == "SERIALIZABLE"


def test_the_isolation_level_does_not_change_within_a_transaction(items: dbapi.Connection) -> None:
    insert(items, "a")
    with pytest.raises(dbapi.ProgrammingError, match="25001"):
        items.isolation_level = "READ COMMITTED"
    items.rollback()
    items.isolation_level = "read committed"

    assert items.isolation_level == "READ COMMITTED"


def test_read_committed_sees_what_was_committed_meanwhile(items: dbapi.Connection, other: dbapi.Connection) -> None:
    other.isolation_level = "READ COMMITTED"
    assert rows(other) == []
    insert(items, "a")
    items.commit()

    assert len(rows(other)) == 1


# ---- transaction control as SQL


def test_savepoints_undo_and_keep(items: dbapi.Connection) -> None:
    cursor = items.cursor()
    insert(items, "a")
    cursor.execute("SAVEPOINT one")
    insert(items, "b")
    cursor.execute("SAVEPOINT two")
    insert(items, "c")
    cursor.execute("ROLLBACK TO SAVEPOINT two")
    cursor.execute("RELEASE SAVEPOINT two")
    insert(items, "d")
    assert [name for _, name in rows(items)] == ["a", "b", "d"]
    cursor.execute("ROLLBACK TO one")
    insert(items, "e")
    items.commit()

    assert [name for _, name in rows(items)] == ["a", "e"]


def test_an_unknown_savepoint_is_a_programming_error(items: dbapi.Connection) -> None:
    insert(items, "a")
    for sql in ("ROLLBACK TO SAVEPOINT nosuch", "RELEASE SAVEPOINT nosuch"):
        with pytest.raises(dbapi.ProgrammingError, match="3B001"):
            items.cursor().execute(sql)


def test_a_newer_savepoint_hides_an_older_of_its_name(items: dbapi.Connection) -> None:
    cursor = items.cursor()
    cursor.execute("SAVEPOINT s")
    insert(items, "a")
    cursor.execute("SAVEPOINT s")
    insert(items, "b")
    cursor.execute("RELEASE SAVEPOINT s")
    cursor.execute("ROLLBACK TO SAVEPOINT s")

    assert rows(items) == []


def test_begin_commit_and_rollback_are_statements(items: dbapi.Connection, other: dbapi.Connection) -> None:
    items.autocommit = True
    cursor = items.cursor()
    cursor.execute("BEGIN")
    insert(items, "a")
    assert items.in_transaction and rows(other) == []
    other.rollback()
    cursor.execute("COMMIT")
    assert not items.in_transaction and len(rows(other)) == 1
    cursor.execute("BEGIN")
    insert(items, "b")
    cursor.execute("ROLLBACK")

    assert len(rows(items)) == 1


def test_begin_within_a_transaction_is_refused(items: dbapi.Connection) -> None:
    insert(items, "a")
    with pytest.raises(dbapi.ProgrammingError, match="25001"):
        items.cursor().execute("BEGIN")


def test_a_savepoint_needs_a_transaction(items: dbapi.Connection) -> None:
    items.autocommit = True
    with pytest.raises(dbapi.ProgrammingError, match="25P01"):
        items.cursor().execute("SAVEPOINT s")


# ---- misuse


def test_a_closed_connection_refuses_everything(url: str) -> None:
    connection = dbapi.connect(url)
    cursor = connection.cursor()
    connection.close()
    connection.close()
    calls: list[Callable[[], object]] = [
        connection.cursor, connection.commit, connection.rollback, connection.ping, connection.catalog,
        lambda: cursor.execute("SELECT 1"), lambda: connection.isolation_level, connection.__enter__,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(dbapi.InterfaceError, match="closed"):
            call()
    assert connection.closed


def test_a_closed_cursor_refuses_everything(items: dbapi.Connection) -> None:
    with items.cursor() as cursor:
        cursor.execute("SELECT id FROM items")
    cursor.close()
    calls: list[Callable[[], object]] = [
        lambda: cursor.execute("SELECT 1"), cursor.fetchone, cursor.fetchall, cursor.fetchmany, lambda: next(cursor),
        lambda: cursor.setinputsizes([]), lambda: cursor.connection, cursor.__enter__,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(dbapi.InterfaceError, match="closed"):
            call()


def test_a_connection_in_use_by_another_thread_says_so(items: dbapi.Connection) -> None:
    assert items._busy.acquire(blocking=False)
    try:
        for call in (items.commit, items.rollback, items.catalog, items.close, lambda: rows(items)):
            with pytest.raises(dbapi.InterfaceError, match="two threads"):
                call()
    finally:
        items._busy.release()
    assert rows(items) == []


def test_threads_share_the_module_each_with_its_connection(items: dbapi.Connection, url: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            connection = dbapi.connect(url)
            for _ in range(5):
                insert(connection, f"t{number}")
                connection.commit()
            connection.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(rows(items)) == 20


def test_set_transaction_is_for_one_transaction(items: dbapi.Connection, other: dbapi.Connection) -> None:
    cursor = other.cursor()
    cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
    assert rows(other) == []
    insert(items, "a")
    items.commit()
    assert len(rows(other)) == 1
    with pytest.raises(dbapi.ProgrammingError, match="25001"):
        cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
    other.commit()

    assert other.isolation_level == "SERIALIZABLE"
