"""FOR UPDATE on every store: rows are locked until the transaction ends; others wait, give up or leave them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rome import dbapi
from rome.errors import Conflict, Deadlock, InactiveTransaction, LockNotAvailable, ProgrammingError
from tests.servers.stores import a_store, marked
from tests.transactions.speaker import Connect, ask, say, say_all

SOON_S = 60.0  # long enough for any machine, short enough to end
A_WHILE_S = 0.15  # in which a statement that does not wait would be done

Run = Callable[..., Future[Any]]


@pytest.fixture(params=marked())
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with a_store(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def pair(url: str, connect: Connect) -> tuple[dbapi.Connection, dbapi.Connection]:
    """Two connections to a store with two tables of a few rows each."""
    one, two = connect(url), connect(url)
    say_all(
        one,
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, state VARCHAR(10), n INTEGER)",
        "CREATE INDEX jobs_state ON jobs (state)",
        "CREATE TABLE notes (id INTEGER PRIMARY KEY, job INTEGER, text VARCHAR(10))",
        "CREATE TABLE plain (n INTEGER)",
        "INSERT INTO jobs VALUES (1, 'new', 10), (2, 'new', 20), (3, 'new', 30), (4, 'done', 40)",
        "INSERT INTO notes VALUES (1, 1, 'a'), (2, 2, 'b')",
        "INSERT INTO plain VALUES (1), (2)",
    )
    return one, two


Pair = tuple[dbapi.Connection, dbapi.Connection]


@pytest.fixture
def aside() -> Iterator[Run]:
    """Runs a function in another thread, for statements that wait."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


def is_locked(connection: dbapi.Connection, table: str, key: int) -> bool:
    """Whether another transaction has locked a row."""
    try:
        ask(connection, f"SELECT id FROM {table} WHERE id = :id FOR UPDATE NOWAIT", {"id": key})
    except LockNotAvailable:
        return True
    return False


# ---- waiting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [dbapi.Connection.commit, dbapi.Connection.rollback])
def test_who_comes_second_waits_for_the_end_of_the_transaction(
    pair: Pair, aside: Run, end: Callable[[dbapi.Connection], None]
) -> None:
    one, two = pair
    assert say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE") == [(10,)]
    say(one, "UPDATE jobs SET n = 11 WHERE id = 1")
    waiting = aside(say, two, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    time.sleep(A_WHILE_S)
    assert not waiting.done()
    end(one)
    committed = end is dbapi.Connection.commit
    assert waiting.result(SOON_S) == [(11 if committed else 10,)]
    say_all(two, "UPDATE jobs SET n = n + 1 WHERE id = 1")
    assert ask(one, "SELECT n FROM jobs WHERE id = 1") == [(12 if committed else 11,)]
    assert two.counters.replays == 0


def test_a_closed_connection_leaves_its_rows(pair: Pair, connect: Connect) -> None:
    one, two = pair
    say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    assert is_locked(two, "jobs", 1)
    one.close()
    assert not is_locked(two, "jobs", 1)


def test_reading_waits_for_nobody(pair: Pair) -> None:
    one, two = pair
    say(one, "SELECT n FROM jobs FOR UPDATE")
    assert ask(two, "SELECT n FROM jobs WHERE id = 1") == [(10,)]


def test_a_row_that_another_has_changed_meanwhile_is_judged_anew(pair: Pair, aside: Run) -> None:
    """It no longer matches and drops out; one that matches now is found and locked."""
    one, two = pair
    say(one, "SELECT id FROM jobs WHERE id IN (1, 4) FOR UPDATE")
    waiting = aside(say, two, "SELECT id, n FROM jobs WHERE state = 'new' ORDER BY id FOR UPDATE")
    time.sleep(A_WHILE_S)
    say_all(one, "UPDATE jobs SET state = 'done' WHERE id = 1", "UPDATE jobs SET state = 'new', n = 41 WHERE id = 4")
    assert waiting.result(SOON_S) == [(2, 20), (3, 30), (4, 41)]
    assert is_locked(one, "jobs", 4)


def test_what_was_read_before_is_still_expected_after_a_wait(pair: Pair, aside: Run) -> None:
    one, two = pair
    say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    assert say(two, "SELECT n FROM jobs WHERE id = 1") == [(10,)]
    waiting = aside(say, two, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    time.sleep(A_WHILE_S)
    say_all(one, "UPDATE jobs SET n = 11 WHERE id = 1")
    with pytest.raises(Conflict):
        waiting.result(SOON_S)
    with pytest.raises(InactiveTransaction):
        say(two, "SELECT 1")
    two.rollback()
    assert not is_locked(one, "jobs", 1)


def test_what_was_read_before_may_have_changed_where_the_answer_does_not_show_it(pair: Pair, aside: Run) -> None:
    one, two = pair
    say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    assert say(two, "SELECT count(*) FROM jobs") == [(4,)]
    waiting = aside(say, two, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    time.sleep(A_WHILE_S)
    say_all(one, "UPDATE jobs SET n = 11 WHERE id = 1")
    assert waiting.result(SOON_S) == [(11,)]
    say_all(two, "UPDATE jobs SET n = 12 WHERE id = 1")


def test_rows_stay_locked_through_a_replay(pair: Pair, connect: Connect, url: str) -> None:
    one, two = pair
    assert say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE") == [(10,)]
    assert say(one, "SELECT count(*) FROM notes") == [(2,)]
    say(one, "UPDATE jobs SET n = 11 WHERE id = 1")
    before = one.counters.replayed_commits
    say_all(two, "UPDATE notes SET text = 'c' WHERE id = 1")  # the count stays
    assert is_locked(two, "jobs", 1)
    one.commit()
    assert one.counters.replayed_commits == before + 1
    assert ask(two, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE") == [(11,)]


def test_who_does_not_lock_is_still_kept_from_overwriting(pair: Pair) -> None:
    """A lease only makes those wait who ask for it; what keeps rows right is the commit."""
    one, two = pair
    say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    say_all(two, "UPDATE jobs SET n = 50 WHERE id = 1")
    with pytest.raises(Conflict):  # at the next read or at the commit, as the store has it
        say_all(one, "UPDATE jobs SET n = 11 WHERE id = 1")
    assert ask(one, "SELECT n FROM jobs WHERE id = 1") == [(50,)]


def test_a_lease_that_was_lost_costs_a_conflict_and_no_row(pair: Pair) -> None:
    one, two = pair
    assert say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE") == [(10,)]
    driver = one._opened().database.driver
    for holding in driver.locks():  # as if its time had run out
        driver.unlock(holding.session)
    assert say(two, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE NOWAIT") == [(10,)]
    say_all(two, "UPDATE jobs SET n = 20 WHERE id = 1")
    with pytest.raises(Conflict):  # at the next read or at the commit, as the store has it
        say_all(one, "UPDATE jobs SET n = 11 WHERE id = 1")
    assert ask(one, "SELECT n FROM jobs WHERE id = 1") == [(20,)]


# ---- not waiting ---------------------------------------------------------------------------------------------------


def test_nowait_is_refused_at_once_and_the_transaction_goes_on(pair: Pair) -> None:
    one, two = pair
    say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    say(two, "UPDATE notes SET text = 'z' WHERE id = 2")
    with pytest.raises(LockNotAvailable, match=r'^\[55P03\] a row of "jobs"'):
        say(two, "SELECT n FROM jobs ORDER BY id FOR UPDATE NOWAIT")
    assert not is_locked(one, "jobs", 2)  # all or none
    two.commit()
    assert ask(one, "SELECT text FROM notes WHERE id = 2") == [("z",)]


def test_skip_locked_leaves_rows_out_and_a_limit_counts_those_that_are_left(pair: Pair) -> None:
    one, two = pair
    sql = "SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
    assert say(one, sql) == [(1,)]
    assert say(two, sql) == [(2,)]
    assert say(one, "SELECT id FROM jobs ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED") == [(1,), (3,)]
    assert say(two, "SELECT id FROM jobs FOR UPDATE SKIP LOCKED") == [(2,), (4,)]
    assert say(two, "SELECT id FROM jobs ORDER BY id DESC LIMIT 1 OFFSET 1 FOR UPDATE SKIP LOCKED") == [(2,)]
    assert say(two, "SELECT id FROM jobs WHERE id = 1 FOR UPDATE SKIP LOCKED") == []


def test_what_skip_locked_left_out_may_change_without_a_conflict(pair: Pair) -> None:
    one, two = pair
    sql = "SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
    assert (say(one, sql), say(two, sql)) == ([(1,)], [(2,)])
    say_all(one, "UPDATE jobs SET state = 'done' WHERE id = 1", "INSERT INTO jobs VALUES (0, 'new', 0)")
    before = two.counters.replays
    say_all(two, "UPDATE jobs SET state = 'done' WHERE id = 2")
    assert two.counters.replays == before
    assert ask(one, "SELECT id FROM jobs WHERE state = 'new' ORDER BY id") == [(0,), (3,)]


def test_what_skip_locked_got_is_protected(pair: Pair) -> None:
    one, two = pair
    assert say(one, "SELECT n FROM jobs ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED") == [(10,)]
    say_all(two, "UPDATE jobs SET n = 50 WHERE id = 1")
    with pytest.raises(Conflict):  # at the next read or at the commit, as the store has it
        say_all(one, "UPDATE jobs SET n = 11 WHERE id = 1")


def test_a_replay_leaves_out_what_was_left_out_before(pair: Pair) -> None:
    one, two = pair
    say(one, "SELECT id FROM jobs WHERE id = 1 FOR UPDATE")
    assert say(two, "SELECT id FROM jobs ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED") == [(2,)]
    assert say(two, "SELECT count(*) FROM notes") == [(2,)]
    say(two, "UPDATE jobs SET state = 'done' WHERE id = 2")
    say_all(one, "UPDATE notes SET text = 'c' WHERE id = 1")  # and row 1 is free
    two.commit()
    assert two.counters.replayed_commits == 1


def test_a_job_is_taken_and_marked_by_one_statement(pair: Pair) -> None:
    one, two = pair
    sql = """UPDATE jobs SET state = 'mine' WHERE id IN
        (SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id"""
    assert [say(each, sql) for each in (one, two, one, two)] == [[(1,)], [(2,)], [(3,)], []]
    one.commit()
    two.commit()
    assert ask(one, "SELECT id FROM jobs WHERE state = 'mine' ORDER BY id") == [(1,), (2,), (3,)]


# ---- how long ------------------------------------------------------------------------------------------------------


def test_a_wait_ends_after_the_lock_timeout(pair: Pair, url: str, connect: Connect) -> None:
    one, two = pair
    say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    impatient = connect(url + ("&" if "?" in url else "?") + "lock_timeout_ms=60")

    def waits(connection: dbapi.Connection, milliseconds: int) -> None:
        with pytest.raises(LockNotAvailable, match=rf"^\[55P03\] .* {milliseconds} ms"):
            say(connection, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")

    say(two, "SET lock_timeout = 70")
    waits(two, 70)
    say(two, "SET SESSION lock_timeout TO '80 ms'")
    waits(two, 80)
    say(two, "SET LOCAL lock_timeout = '50ms'")
    waits(two, 50)
    two.rollback()
    waits(two, 80)  # LOCAL ended with its transaction
    waits(impatient, 60)
    say(impatient, "SET lock_timeout = '1min'")
    say(impatient, "SET lock_timeout = DEFAULT")
    waits(impatient, 60)


def test_who_gave_up_waiting_stands_in_no_ones_way(pair: Pair) -> None:
    one, two = pair
    say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    say(two, "SET lock_timeout = 30")
    with pytest.raises(LockNotAvailable):
        say(two, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    one.commit()
    assert not is_locked(one, "jobs", 1)


def test_a_local_timeout_needs_a_transaction(url: str, connect: Connect) -> None:
    with pytest.raises(ProgrammingError, match="25P01"):
        say(connect(url, "AUTOCOMMIT"), "SET LOCAL lock_timeout = 5")


def test_two_that_wait_for_each_other_are_told_and_one_of_them_gets_through(pair: Pair, aside: Run) -> None:
    one, two = pair
    say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    say(two, "SELECT n FROM jobs WHERE id = 2 FOR UPDATE")
    for each in pair:
        say(each, "SET LOCAL lock_timeout = 0")  # it is no timeout that ends this
    waits = [aside(say, each, f"SELECT n FROM jobs WHERE id = {key} FOR UPDATE") for each, key in ((one, 2), (two, 1))]
    errors = [wait.exception(SOON_S) for wait in waits]
    assert sorted(type(error) for error in errors if error) == [Deadlock]
    victim, other = (one, two) if errors[0] else (two, one)
    assert waits[other is two].result(0) == [(20 if other is one else 10,)]
    with pytest.raises(InactiveTransaction, match="25P02"):
        say(victim, "SELECT 1")
    victim.rollback()
    say_all(other, "UPDATE jobs SET n = 0 WHERE id IN (1, 2)")


# ---- which rows ----------------------------------------------------------------------------------------------------


def test_of_names_the_tables_whose_rows_are_locked(pair: Pair) -> None:
    one, two = pair
    sql = "SELECT jobs.n, x.text FROM jobs JOIN notes AS x ON x.job = jobs.id WHERE jobs.id = 1"
    assert say(one, sql + " FOR UPDATE OF x") == [(10, "a")]
    assert (is_locked(two, "notes", 1), is_locked(two, "jobs", 1)) == (True, False)
    assert say(one, sql + " FOR UPDATE") == [(10, "a")]
    assert (is_locked(two, "notes", 1), is_locked(two, "jobs", 1), is_locked(two, "jobs", 2)) == (True, True, False)


def test_an_outer_join_locks_the_rows_that_are_there(pair: Pair) -> None:
    one, two = pair
    sql = "SELECT jobs.id, notes.id FROM jobs LEFT JOIN notes ON notes.job = jobs.id ORDER BY jobs.id FOR UPDATE"
    assert say(one, sql) == [(1, 1), (2, 2), (3, None), (4, None)]
    assert all(is_locked(two, table, key) for table, key in (("jobs", 1), ("jobs", 4), ("notes", 2)))


def test_only_the_rows_of_the_answer_are_locked(pair: Pair) -> None:
    one, two = pair
    assert say(one, "SELECT id FROM jobs WHERE n > 15 ORDER BY id LIMIT 1 OFFSET 1 FOR UPDATE") == [(3,)]
    assert [is_locked(two, "jobs", key) for key in (1, 2, 3, 4)] == [False, False, True, False]


def test_rows_without_a_primary_key_are_locked_too(pair: Pair) -> None:
    one, two = pair
    assert say(one, "SELECT n FROM plain WHERE n = 1 FOR UPDATE") == [(1,)]
    assert say(two, "SELECT n FROM plain FOR UPDATE SKIP LOCKED") == [(2,)]


@pytest.mark.parametrize("weaker", ["FOR SHARE", "FOR KEY SHARE", "FOR NO KEY UPDATE"])
def test_the_weaker_locks_are_for_update(pair: Pair, weaker: str) -> None:
    one, two = pair
    say(one, f"SELECT id FROM jobs WHERE id = 1 {weaker}")
    assert is_locked(two, "jobs", 1)


def test_a_savepoint_that_is_rolled_back_gives_no_row_back(pair: Pair) -> None:
    one, two = pair
    say(one, "SAVEPOINT here")
    say(one, "SELECT id FROM jobs WHERE id = 1 FOR UPDATE")
    say(one, "ROLLBACK TO SAVEPOINT here")
    assert is_locked(two, "jobs", 1)


# ---- isolation levels ----------------------------------------------------------------------------------------------


def test_under_read_committed_rows_are_locked_until_the_end(pair: Pair, url: str, connect: Connect, aside: Run) -> None:
    one, two = (connect(url, "READ COMMITTED") for _ in range(2))
    assert say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE") == [(10,)]
    assert say(two, "SELECT n FROM jobs WHERE id = 1") == [(10,)]
    waiting = aside(say, two, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    time.sleep(A_WHILE_S)
    say(one, "SELECT count(*) FROM notes")
    say_all(one, "UPDATE jobs SET n = 11 WHERE id = 1")
    assert waiting.result(SOON_S) == [(11,)]  # the earlier reading is no longer expected
    say_all(two, "UPDATE jobs SET n = 12 WHERE id = 1")


def test_under_autocommit_rows_are_given_back_with_the_statement(pair: Pair, url: str, connect: Connect) -> None:
    one, two = connect(url, "AUTOCOMMIT"), pair[1]
    assert say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE") == [(10,)]
    assert not is_locked(two, "jobs", 1)
    say(two, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE")
    with pytest.raises(LockNotAvailable):
        say(one, "SELECT n FROM jobs WHERE id = 1 FOR UPDATE NOWAIT")


# ---- round trips ---------------------------------------------------------------------------------------------------


def test_locking_costs_one_round_trip_and_unlocking_another(pair: Pair) -> None:
    one, _ = pair

    def trips(*statements: str) -> int:
        before = one.counters.round_trips
        for sql in statements:
            say(one, sql)
        one.commit()
        return one.counters.round_trips - before

    assert trips("SELECT n FROM jobs WHERE id = 1") == 1
    assert trips("SELECT n FROM jobs WHERE id = 1 FOR UPDATE") == 3  # lock, read, unlock
    assert trips("SELECT n FROM jobs WHERE n = 10 FOR UPDATE") == 3  # read, lock, unlock
    assert trips(*["SELECT n FROM jobs WHERE id = 1 FOR UPDATE"] * 3) == 3  # locked already, and known
    assert trips("SELECT n FROM jobs WHERE id = 1 FOR UPDATE", "UPDATE jobs SET n = n + 1 WHERE id = 1") == 4
