"""One opened store shared by connections: counters, conflicts and their replay, forks."""

from __future__ import annotations

import gc
import os
import threading
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from rome import config, dbapi, errors
from rome.conversation import _weigh
from rome.database import Database, open_database
from rome.sql.statement import Result
from rome.txn.retry import Weight


def names(connection: dbapi.Connection) -> list[str]:
    return [name for (name,) in connection.cursor().execute("SELECT name FROM items ORDER BY id")]


def add(connection: dbapi.Connection, name: str) -> None:
    connection.cursor().execute("INSERT INTO items (name, n) VALUES (:name, 0)", {"name": name})


def in_child(work: Callable[[], None]) -> None:
    """Run `work` in a forked child; fail with its traceback."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            work()
        except BaseException:
            os.write(write, traceback.format_exc().encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as report:
        failure = report.read().decode()
    os.waitpid(child, 0)
    assert failure == ""


# ---- sharing


def test_connections_to_one_url_share_one_database(url: str) -> None:
    first, second = open_database(config.parse(url)), open_database(config.parse(url))
    assert first is second
    second.release()
    first.release()


def test_the_last_connection_closes_the_store(url: str) -> None:
    database = open_database(config.parse(url))
    database.release()
    with pytest.raises(errors.InterfaceError, match="closed"):
        database.driver.read()
    again = open_database(config.parse(url))
    assert again is not database
    again.release()


def test_a_connection_that_cannot_be_made_keeps_nothing_open(url: str) -> None:
    with pytest.raises(errors.InterfaceError):
        dbapi.connect(url, isolation_level="CHAOS")
    database = open_database(config.parse(url))
    assert database.references == 1
    database.release()


def test_namespaces_in_one_store_are_databases_of_their_own(url: str) -> None:
    one, two = dbapi.connect(f"{url}?namespace=one"), dbapi.connect(f"{url}?namespace=two")
    one.cursor().execute("CREATE TABLE items (id INTEGER PRIMARY KEY)")
    one.commit()

    assert list(one.catalog().tables) == ["items"]
    assert list(two.catalog().tables) == []
    one.close()
    two.close()


def test_a_private_memory_store_lives_as_long_as_its_url(url: str) -> None:
    private = config.parse("rome+memory://")
    connection = dbapi.connect(private)
    connection.cursor().execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    connection.commit()
    connection.close()
    gc.collect()
    again = dbapi.connect(private)

    assert list(again.catalog().tables) == ["t"]
    again.close()
    other = dbapi.connect("rome+memory://")
    assert list(other.catalog().tables) == []
    other.close()


def test_the_clock_is_in_utc(url: str) -> None:
    database = Database(config.parse(url), clock_ns=lambda: 1_600_000_000_123_456_789)

    assert database.environment.clock() == datetime(2020, 9, 13, 12, 26, 40, 123456)
    database.driver.close()


# ---- counters


def test_what_a_transaction_cost_is_counted_when_it_ends(items: dbapi.Connection) -> None:
    add(items, "a")
    items.commit()
    before = items.counters
    names(items)
    items.cursor().execute("SELECT count(*) FROM items")  # answered from what the transaction has read
    assert items.counters == before
    items.commit()
    after = items.counters

    assert after.statements - before.statements == 2
    assert after.commits - before.commits == 1
    assert after.round_trips - before.round_trips == after.waves - before.waves == 1


def test_a_read_only_transaction_commits_without_a_round_trip(items: dbapi.Connection) -> None:
    before = items.counters
    names(items)
    items.commit()
    after = items.counters

    assert after.round_trips - before.round_trips == 1


def test_no_round_trip_is_spent_on_a_catalogue_that_has_not_moved(url: str, items: dbapi.Connection) -> None:
    before = items.counters
    for _ in range(5):
        add(items, "a")
        items.commit()
    after = items.counters

    # an INSERT reads what it must check, and the commit; the block of numbers is taken once
    assert after.waves - before.waves <= 5
    assert after.round_trips - before.round_trips <= 11


# ---- conflicts


def test_a_blind_change_is_replayed_and_nobody_notices(items: dbapi.Connection, other: dbapi.Connection) -> None:
    add(items, "a")
    items.commit()
    items.cursor().execute("UPDATE items SET n = n + 1")
    other.cursor().execute("UPDATE items SET n = n + 10")
    other.commit()
    items.commit()

    assert items.cursor().execute("SELECT n FROM items").fetchall() == [(11,)]
    assert items.counters.replayed_commits == 1


def test_a_savepoint_is_replayed_too(items: dbapi.Connection, other: dbapi.Connection) -> None:
    add(items, "a")
    items.commit()
    cursor = items.cursor()
    cursor.execute("SAVEPOINT s")
    cursor.execute("UPDATE items SET n = n + 100")
    cursor.execute("ROLLBACK TO SAVEPOINT s")
    cursor.execute("UPDATE items SET n = n + 1")
    other.cursor().execute("UPDATE items SET n = n + 10")
    other.commit()
    cursor.execute("RELEASE SAVEPOINT s")
    items.commit()

    assert cursor.execute("SELECT n FROM items").fetchall() == [(11,)]


def test_a_replay_draws_the_same_time_and_numbers(items: dbapi.Connection, other: dbapi.Connection) -> None:
    add(items, "a")
    items.commit()
    cursor = items.cursor()
    cursor.execute("UPDATE items SET n = n + 1")
    (now,) = cursor.execute("SELECT now()").fetchall()
    number = cursor.execute("INSERT INTO items (name) VALUES ('b')").lastrowid
    other.cursor().execute("UPDATE items SET n = n + 10")
    other.commit()
    items.commit()

    assert cursor.execute("SELECT id FROM items WHERE name = 'b'").fetchall() == [(number,)]
    assert isinstance(now[0], datetime)


def test_a_replay_that_would_answer_otherwise_is_a_conflict(items: dbapi.Connection, other: dbapi.Connection) -> None:
    add(items, "a")
    items.commit()
    cursor = items.cursor()
    assert cursor.execute("SELECT n FROM items").fetchall() == [(0,)]
    other.cursor().execute("UPDATE items SET n = 10")
    other.commit()
    with pytest.raises(errors.Conflict, match="40001"):
        cursor.execute("UPDATE items SET n = 1")
        items.commit()


def test_after_a_conflict_at_a_statement_only_rollback_is_taken(tmp_path: Path) -> None:
    url = f"rome+memory:///{tmp_path.name}"  # a store without snapshots finds conflicts at the next statement
    first, second = dbapi.connect(url), dbapi.connect(url)
    first.cursor().execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(20), n INTEGER)")
    first.cursor().execute("INSERT INTO items (id, name, n) VALUES (1, 'a', 0)")
    first.cursor().execute("CREATE TABLE others (id INTEGER PRIMARY KEY)")
    first.commit()

    def read_on() -> None:
        first.cursor().execute("SELECT * FROM others")

    for end in (first.rollback, lambda: first.cursor().execute("ROLLBACK")):
        assert names(first) == ["a"]
        second.cursor().execute("UPDATE items SET name = name || 'b', n = n + 1")
        second.commit()
        with pytest.raises(errors.Conflict):
            read_on()
        for act in (lambda: names(first), first.catalog, lambda: first.cursor().execute("SAVEPOINT s")):
            with pytest.raises(errors.InactiveTransaction, match="25P02"):
                act()
        assert first.in_transaction
        end()
        second.cursor().execute("UPDATE items SET name = 'a'")
        second.commit()
    assert names(first) == ["a"]
    first.close()
    second.close()


def test_commit_ends_the_transaction_even_when_it_fails(items: dbapi.Connection, other: dbapi.Connection) -> None:
    test_a_replay_that_would_answer_otherwise_is_a_conflict(items, other)
    if items.in_transaction:  # the conflict was found at the statement, on a store without snapshots
        with pytest.raises(errors.InactiveTransaction):
            items.commit()

    assert not items.in_transaction
    assert items.cursor().execute("SELECT n FROM items").fetchall() == [(10,)]


def test_in_autocommit_a_conflict_is_never_seen(items: dbapi.Connection, url: str) -> None:
    add(items, "a")
    items.commit()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            connection = dbapi.connect(url, isolation_level="AUTOCOMMIT")
            for _ in range(20):
                connection.cursor().execute("UPDATE items SET n = n + 1")
            connection.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert items.cursor().execute("SELECT n FROM items").fetchall() == [(60,)]


def test_a_definition_of_another_connection_is_seen_at_once(items: dbapi.Connection, other: dbapi.Connection) -> None:
    assert names(other) == []
    other.rollback()
    items.cursor().execute("ALTER TABLE items ADD COLUMN more INTEGER DEFAULT 7")
    items.commit()
    add(items, "a")
    items.commit()

    assert other.cursor().execute("SELECT more FROM items").fetchall() == [(7,)]


# ---- forks


def test_an_idle_connection_works_in_a_child(items: dbapi.Connection) -> None:
    add(items, "parent")
    items.commit()

    def work() -> None:
        assert names(items) == ["parent"]
        add(items, "child")
        items.commit()
        assert names(items) == ["parent", "child"]

    in_child(work)


def test_parent_and_child_never_hand_out_the_same_number(tmp_path: Path) -> None:
    connection = dbapi.connect(f"rome+lmdb:///{tmp_path}/store")
    connection.cursor().execute("CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(9), n INTEGER)")
    add(connection, "first")
    connection.commit()

    def work() -> None:
        add(connection, "child")
        connection.commit()

    in_child(work)
    add(connection, "parent")
    connection.commit()

    assert sorted(names(connection)) == ["child", "first", "parent"]
    connection.close()


def test_a_transaction_that_was_open_at_the_fork_belongs_to_the_parent(items: dbapi.Connection) -> None:
    add(items, "parent")

    def work() -> None:
        with pytest.raises(errors.InterfaceError, match="forked"):
            items.commit()
        assert names(items) == []

    in_child(work)
    items.commit()

    assert names(items) == ["parent"]


def test_a_child_counts_for_itself(items: dbapi.Connection) -> None:
    add(items, "a")
    items.commit()

    def work() -> None:
        assert items.counters.commits == 0

    in_child(work)
    assert items.counters.commits > 0


# ---- what a replay keeps


def test_a_large_answer_weighs_more_than_a_small_one() -> None:
    def weight(rows: list[tuple[object, ...]]) -> Weight:
        return _weigh(Result((), rows, len(rows), None))

    assert weight([]) == Weight(0, 0)
    assert weight([(1,)] * 1000).rows == 1000
    assert 1_000_000 < weight([("x" * 1000,)] * 1000).bytes < 2_000_000
    assert weight([(b"x" * 1000, None)]).bytes > weight([(None, None)]).bytes > 0


def test_a_transaction_that_was_told_too_much_is_not_replayed(items: dbapi.Connection, other: dbapi.Connection) -> None:
    cursor = items.cursor()
    cursor.executemany("INSERT INTO items (name, n) VALUES (?, 0)", [("a",)] * 300)
    items.commit()
    for _ in range(70):  # 21,000 rows
        cursor.execute("SELECT id FROM items")
    cursor.execute("UPDATE items SET n = n + 1 WHERE id = 1")
    other.cursor().execute("UPDATE items SET n = n + 10 WHERE id = 1")
    other.commit()
    with pytest.raises(errors.Conflict, match="more than is kept"):
        items.commit()
