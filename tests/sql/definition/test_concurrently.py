"""CREATE and DROP INDEX CONCURRENTLY: while others write, in transactions of a bearable size."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy

from rome import dbapi, errors
from rome.config import parse
from rome.driver.api import Scan
from rome.driver.open import open_store
from rome.sql.definition import other_objects
from rome.testing.integrity import check
from tests.servers.stores import a_store, marked

SQL = "CREATE INDEX CONCURRENTLY by_n ON t (n)"
DROP = "DROP INDEX CONCURRENTLY by_n ON t"
READY = "CREATE INDEX by_n ON t (n)"
QUERY = "SELECT count(*), min(id) FROM t WHERE n = 3"


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_objects, "AT_ONCE", 20)


def filled(url: str, rows: int = 100) -> dbapi.Connection:
    connection = dbapi.connect(url)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER)")
    cursor.executemany("INSERT INTO t VALUES (:id, :n)", [{"id": at, "n": at % 7} for at in range(rows)])
    connection.commit()
    return connection


def plan_of(connection: dbapi.Connection) -> str:
    cursor = connection.cursor()
    cursor.execute("EXPLAIN " + QUERY)
    text = "\n".join(line for (line,) in cursor.fetchall())
    connection.commit()
    return text


def stopping(step: Callable[..., object], most: int = 2) -> Callable[..., object]:
    """`step`, after which the process ends when it has been taken `most` times."""
    taken = 0

    def stops(*given: object) -> object:
        nonlocal taken
        if taken == most:
            raise errors.Unavailable("the process ends here")
        taken += 1
        return (yield from step(*given))

    return stops


def disturbed(step: Callable[..., object], other: dbapi.Connection, sql: str) -> Callable[..., object]:
    """`step`, before which `other` says and commits `sql` each time."""

    def comes_late(*given: object) -> object:
        other.cursor().execute(sql)
        other.commit()
        return (yield from step(*given))

    return comes_late


@pytest.mark.parametrize("store", marked())
def test_it_is_made_while_others_write_and_nothing_is_missed(store: str, tmp_path: Path) -> None:
    with a_store(store, tmp_path) as url:
        connection = filled(url, 400)
        done = threading.Event()
        failures: list[BaseException] = []

        def write(seed: int) -> None:
            source, own = random.Random(seed), dbapi.connect(url)
            cursor = own.cursor()
            at = 1000 * (seed + 1)
            try:
                while not done.is_set():
                    at += 1
                    try:
                        cursor.execute("INSERT INTO t VALUES (:id, :n)", {"id": at, "n": at % 7})
                        cursor.execute("INSERT INTO t VALUES (:id, :n)", {"id": -at, "n": at % 7})
                        cursor.execute("UPDATE t SET n = n + 1 WHERE id = :id", {"id": source.randrange(400)})
                        cursor.execute("DELETE FROM t WHERE id = :id", {"id": source.randrange(400)})
                        own.commit()
                    except errors.OperationalError as error:  # a statement may be refused as COMMIT may
                        assert "[40001]" in str(error)
                        own.rollback()
            except BaseException as error:
                failures.append(error)
            finally:
                own.close()

        threads = [threading.Thread(target=write, args=(seed,)) for seed in range(2)]
        for thread in threads:
            thread.start()
        try:
            while True:
                try:
                    connection.cursor().execute(SQL)
                    break
                except errors.OperationalError as error:  # busy: said again, it goes on
                    assert "[40001]" in str(error)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert failures == []
        assert "by index by_n" in plan_of(connection)
        cursor = connection.cursor()
        cursor.execute("SELECT n, count(*) FROM t WHERE n + 0 >= 0 GROUP BY n ORDER BY n")
        by_row = cursor.fetchall()
        cursor.execute("SELECT DISTINCT n FROM t ORDER BY n")
        for (n,) in cursor.fetchall():
            cursor.execute("SELECT count(*) FROM t WHERE n = :n", {"n": n})
            assert (n, cursor.fetchall()[0][0]) in by_row
        connection.close()
        driver = open_store(parse(url))
        assert check(driver, parse(url).namespace) == []
        driver.close()


def test_until_it_is_done_nothing_reads_it_and_every_change_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = filled("rome+memory:///half")
    monkeypatch.setattr(other_objects.indexes, "fill_index", stopping(other_objects.indexes.fill_index))
    with pytest.raises(errors.OperationalError):
        connection.cursor().execute(SQL)
    monkeypatch.undo()
    assert "by_n" not in plan_of(connection)
    engine = sqlalchemy.create_engine("rome+memory:///half")
    assert sqlalchemy.inspect(engine).get_indexes("t") == []
    cursor = connection.cursor()
    cursor.execute("INSERT INTO t VALUES (-5, 3)")
    cursor.execute("DELETE FROM t WHERE id = 3")
    cursor.execute("UPDATE t SET n = 3 WHERE id IN (1, 90)")
    connection.commit()
    cursor.execute(QUERY)
    assert cursor.fetchall() == [(16, -5)]
    connection.commit()
    with pytest.raises(errors.DatabaseError, match="by_n.*already exists"):
        cursor.execute("CREATE INDEX CONCURRENTLY by_n ON t (n, id)")
    connection.rollback()
    cursor.execute(SQL)
    assert "by index by_n" in plan_of(connection)
    cursor.execute(QUERY)
    assert cursor.fetchall() == [(16, -5)]
    connection.commit()
    driver = open_store(parse("rome+memory:///half"))
    assert check(driver, parse("rome+memory:///half").namespace) == []
    assert [each["name"] for each in sqlalchemy.inspect(engine).get_indexes("t")] == ["by_n"]
    with pytest.raises(errors.DatabaseError, match="already exists"):
        cursor.execute(SQL)
    connection.rollback()
    cursor.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS by_n ON t (n)")
    engine.dispose()
    driver.close()
    connection.close()


def test_it_may_be_dropped_half_way(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "rome+memory:///dropped"
    connection, other = filled(url), dbapi.connect(url)
    fill = disturbed(other_objects.indexes.fill_index, other, "DROP INDEX IF EXISTS by_n")
    monkeypatch.setattr(other_objects.indexes, "fill_index", fill)
    with pytest.raises(errors.ProgrammingError, match="by_n.*was dropped while it was built"):
        connection.cursor().execute(SQL)
    connection.rollback()
    driver = open_store(parse(url))
    assert check(driver, parse(url).namespace) == []
    for each in (driver, connection, other):
        each.close()


def test_it_is_several_transactions_and_so_in_none() -> None:
    connection = filled("rome+memory://")
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    with pytest.raises(errors.ProgrammingError, match=r"\[25001\].*commit or roll back first"):
        cursor.execute(SQL)
    connection.rollback()
    cursor.execute("BEGIN")
    with pytest.raises(errors.ProgrammingError, match=r"\[25001\]"):
        cursor.execute(SQL)
    connection.rollback()
    with pytest.raises(errors.NotSupportedError, match="leave CONCURRENTLY out"):
        cursor.execute("CREATE UNIQUE INDEX CONCURRENTLY by_n ON t (n)")
    connection.rollback()
    with pytest.raises(errors.ProgrammingError, match="does not exist"):
        cursor.execute("CREATE INDEX CONCURRENTLY by_n ON nothing (n)")
    connection.rollback()
    cursor.execute("CREATE TEMPORARY TABLE own (n INTEGER)")
    connection.commit()
    cursor.execute("CREATE INDEX CONCURRENTLY by_n ON own (n)")
    cursor.execute(SQL)
    assert "by index by_n" in plan_of(connection)
    connection.close()


def cells_of(url: str) -> int:
    driver = open_store(parse(url))
    assert check(driver, parse(url).namespace) == []
    try:
        return len(driver.read((), [Scan(b"", b"\xff")]).scans[0])
    finally:
        driver.close()


@pytest.mark.parametrize("store", marked())
def test_an_index_is_dropped_while_others_write_and_no_entry_is_left(store: str, tmp_path: Path) -> None:
    with a_store(store, tmp_path) as url:
        connection, other = filled(url, 200), dbapi.connect(url)
        bare = cells_of(url)
        connection.cursor().execute(READY)
        connection.commit()
        assert cells_of(url) == bare + 200
        done = threading.Event()
        failures: list[BaseException] = []

        def write() -> None:
            cursor = other.cursor()
            try:
                while not done.is_set():
                    try:
                        cursor.execute("INSERT INTO t VALUES (:id, 1)", {"id": 1000})
                        cursor.execute("UPDATE t SET n = n + 1")
                        cursor.execute("DELETE FROM t WHERE id = 1000")
                        other.commit()
                    except errors.OperationalError as error:
                        assert "[40001]" in str(error)
                        other.rollback()
            except BaseException as error:
                failures.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            connection.cursor().execute(DROP)
        finally:
            done.set()
            writer.join()
        assert failures == []
        assert cells_of(url) == bare
        assert "by_n" not in plan_of(connection)
        with pytest.raises(errors.ProgrammingError, match='"by_n" of table "t" does not exist'):
            connection.cursor().execute(DROP)
        connection.rollback()
        connection.cursor().execute("DROP INDEX CONCURRENTLY IF EXISTS by_n")
        connection.cursor().execute(READY)
        connection.commit()
        for each in (connection, other):
            each.close()


def test_a_dropped_index_is_out_of_use_at_once_and_erased_when_it_is_said_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "rome+memory:///erased"
    connection = filled(url)
    bare = cells_of(url)
    cursor = connection.cursor()
    cursor.execute(READY)
    connection.commit()
    erase = other_objects.indexes.erase_dropped
    monkeypatch.setattr(other_objects.indexes, "erase_dropped", stopping(erase))
    with pytest.raises(errors.OperationalError):
        cursor.execute(DROP)
    monkeypatch.undo()
    assert cells_of(url) == bare + 60  # of 100 entries twice 20 are gone
    assert "by_n" not in plan_of(connection)
    cursor.execute("UPDATE t SET n = 3 WHERE id IN (1, 90)")
    cursor.execute("INSERT INTO t VALUES (100, 3)")
    connection.commit()
    assert cells_of(url) == bare + 61
    cursor.execute("CREATE INDEX by_n ON t (n)")  # the name is free
    cursor.execute(QUERY)
    assert cursor.fetchall() == [(17, 1)]
    connection.commit()
    cursor.execute(DROP)  # both
    assert cells_of(url) == bare + 1
    cursor.execute(READY)
    connection.commit()
    with monkeypatch.context() as patch:
        patch.setattr(other_objects.indexes, "erase_dropped", stopping(erase, 0))
        with pytest.raises(errors.OperationalError):
            cursor.execute("DROP INDEX CONCURRENTLY by_n")
    cursor.execute("DROP INDEX CONCURRENTLY IF EXISTS by_n")
    assert cells_of(url) == bare + 1
    connection.close()


def test_a_table_may_be_dropped_with_what_is_left_of_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "rome+memory:///both"
    connection, other = filled(url), dbapi.connect(url)
    cursor = connection.cursor()
    cursor.execute(READY)
    connection.commit()
    erase = disturbed(other_objects.indexes.erase_dropped, other, "DROP TABLE IF EXISTS t")
    monkeypatch.setattr(other_objects.indexes, "erase_dropped", erase)
    cursor.execute(DROP)
    assert cells_of(url) == 1  # the catalogue's version
    for each in (connection, other):
        each.close()


def test_what_a_constraint_or_a_foreign_key_needs_is_not_dropped_concurrently() -> None:
    connection = filled("rome+memory://")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE u (t_id INTEGER REFERENCES t (id), m INTEGER, CONSTRAINT once UNIQUE (m))")
    cursor.execute("CREATE INDEX by_t ON u (t_id, m)")
    connection.commit()
    with pytest.raises(errors.ProgrammingError, match="belongs to a UNIQUE constraint"):
        cursor.execute("DROP INDEX CONCURRENTLY once ON u")
    connection.rollback()
    with pytest.raises(errors.ProgrammingError, match="serves a foreign key.*leave CONCURRENTLY out"):
        cursor.execute("DROP INDEX CONCURRENTLY by_t ON u")
    connection.rollback()
    cursor.execute("DROP INDEX by_t ON u")
    cursor.execute("SELECT 1")
    with pytest.raises(errors.ProgrammingError, match=r"\[25001\].*commit or roll back first"):
        cursor.execute(DROP)
    connection.rollback()
    cursor.execute("CREATE TEMPORARY TABLE own (n INTEGER)")
    cursor.execute("CREATE INDEX by_n ON own (n)")
    connection.commit()
    cursor.execute("DROP INDEX CONCURRENTLY by_n ON own")
    connection.close()
