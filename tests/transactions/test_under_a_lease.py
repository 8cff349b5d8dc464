"""Transactions under a lease on every store: when the lease is lost, the store refuses their commits, however late."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from rome import dbapi, orm
from rome.errors import Conflict, InterfaceError, LeaseLost, ProgrammingError
from rome.lock import Lease, LockManager
from tests.servers.stores import SHARED_STORES, a_store, marked
from tests.transactions import lockers
from tests.transactions.speaker import Connect, ask, say, say_all

LATE_WRITES = 25
LATE_WRITES_NIGHTLY = 1000
NIGHTLY = pytest.mark.nightly


@pytest.fixture(params=marked())
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with a_store(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def connection(url: str, connect: Connect) -> dbapi.Connection:
    connection = connect(url)
    say_all(connection, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO t VALUES (1, 10)")
    return connection


@pytest.fixture
def locks(url: str) -> Iterator[LockManager]:
    with LockManager(url) as locks:
        yield locks


@pytest.fixture
def lease(locks: LockManager) -> Lease:
    return locks.hold("import", ttl_ms=60_000)


def take_away(connection: dbapi.Connection, lease: Lease) -> None:
    """The lease is lost without its holder hearing of it, as if its time had run out."""
    connection._opened().database.driver.unlock(lease.expectation.session)


def rows(connection: dbapi.Connection) -> object:
    return ask(connection, "SELECT id, n FROM t ORDER BY id")


# ---- the promise ---------------------------------------------------------------------------------------------------


def test_what_is_done_under_a_lease_is_committed_while_it_is_held(connection: dbapi.Connection, lease: Lease) -> None:
    connection.begin(under=lease)
    say_all(connection, "UPDATE t SET n = 11 WHERE id = 1")
    connection.begin(under=lease)
    assert say(connection, "SELECT n FROM t") == [(11,)]
    connection.commit()


@pytest.mark.parametrize("sql", ["UPDATE t SET n = 11 WHERE id = 1", "SELECT n FROM t"])
def test_a_commit_after_the_lease_was_lost_is_refused_and_nothing_is_written(
    connection: dbapi.Connection, lease: Lease, sql: str
) -> None:
    """A commit that writes nothing, too: who asked for the lease relied on it."""
    connection.begin(under=lease)
    say(connection, sql)
    take_away(connection, lease)
    with pytest.raises(LeaseLost, match=r"^\[55000\]"):
        connection.commit()
    assert not connection.in_transaction
    assert rows(connection) == [(1, 10)]
    assert connection.counters.replays == 0


def test_a_lease_that_another_has_taken_over_is_lost(
    connection: dbapi.Connection, url: str, connect: Connect, lease: Lease
) -> None:
    connection.begin(under=lease)
    say(connection, "UPDATE t SET n = 11 WHERE id = 1")
    take_away(connection, lease)
    other = connect(url)
    with LockManager(url) as locks, locks.hold("import", wait_ms=0) as taken_over:
        assert taken_over.token > lease.token
        other.begin(under=taken_over)
        say_all(other, "INSERT INTO t VALUES (2, 20)")
        with pytest.raises(LeaseLost):
            connection.commit()
    assert rows(connection) == [(1, 10), (2, 20)]


def test_a_replay_is_made_under_the_lease_too(
    connection: dbapi.Connection, url: str, connect: Connect, lease: Lease
) -> None:
    other = connect(url)
    for lost in (False, True):
        connection.begin(under=lease)
        assert say(connection, "SELECT count(*) FROM t") == [(1,)]
        say(connection, "UPDATE t SET n = n + 1 WHERE id = 1")
        say_all(other, "UPDATE t SET n = n + 100 WHERE id = 1")
        if lost:
            take_away(connection, lease)
            with pytest.raises((LeaseLost, Conflict)):
                connection.commit()
        else:
            connection.commit()
            assert connection.counters.replayed_commits == 1
    assert rows(other) == [(1, 211)]


def test_a_lease_that_was_given_back_is_refused_before_anything_is_done(
    connection: dbapi.Connection, lease: Lease
) -> None:
    lease.release()
    connection.begin(under=lease)
    with pytest.raises(InterfaceError, match="released"):
        say(connection, "SELECT n FROM t")
    connection.rollback()
    assert say(connection, "SELECT n FROM t") == [(10,)]


def test_a_lease_of_another_store_is_none(connection: dbapi.Connection) -> None:
    with LockManager("rome+memory://") as elsewhere, elsewhere.hold("import") as lease:
        connection.begin(under=lease)
        say(connection, "UPDATE t SET n = 11 WHERE id = 1")
        with pytest.raises(LeaseLost):
            connection.commit()
    assert rows(connection) == [(1, 10)]


# ---- ways to say it ------------------------------------------------------------------------------------------------


def test_a_connection_can_have_a_lease_for_all_of_its_transactions(connection: dbapi.Connection, lease: Lease) -> None:
    connection.lease = lease
    say_all(connection, "UPDATE t SET n = 11 WHERE id = 1")
    say(connection, "UPDATE t SET n = 12 WHERE id = 1")
    with pytest.raises(ProgrammingError, match="25001"):
        connection.lease = None
    take_away(connection, lease)
    with pytest.raises(LeaseLost):
        connection.commit()
    connection.lease = None
    assert rows(connection) == [(1, 11)]


def test_under_autocommit_each_statement_is_under_the_lease(
    connection: dbapi.Connection, url: str, connect: Connect, lease: Lease
) -> None:
    alone = connect(url, "AUTOCOMMIT")
    alone.lease = lease
    say(alone, "UPDATE t SET n = 11 WHERE id = 1")
    take_away(connection, lease)
    with pytest.raises(LeaseLost):
        say(alone, "UPDATE t SET n = 12 WHERE id = 1")
    assert rows(connection) == [(1, 11)]


def test_core_says_it_with_an_execution_option(connection: dbapi.Connection, url: str, lease: Lease) -> None:
    engine = sa.create_engine(url, poolclass=StaticPool)
    with engine.connect().execution_options(rome_lease=lease) as core:
        for n in (11, 12):
            with core.begin():
                core.execute(sa.text("UPDATE t SET n = :n"), {"n": n})
        with pytest.raises(sa.exc.OperationalError, match="55000"), core.begin():
            core.execute(sa.text("UPDATE t SET n = 13"))
            take_away(connection, lease)
        with pytest.raises(sa.exc.InvalidRequestError), core.begin():
            core.execution_options(rome_lease=None)
    with engine.begin() as core:  # the pooled connection has forgotten the lease
        core.execute(sa.text("UPDATE t SET n = 14"))
    engine.dispose()
    assert rows(connection) == [(1, 14)]


def test_a_session_begins_under_a_lease(connection: dbapi.Connection, url: str, lease: Lease) -> None:
    engine = sa.create_engine(url, poolclass=StaticPool)
    with orm.Session(engine) as session:
        with session.begin(under=lease):
            session.execute(sa.text("UPDATE t SET n = 11"))
        with pytest.raises(sa.exc.OperationalError, match="55000"), session.begin(under=lease):
            session.execute(sa.text("UPDATE t SET n = 12"))
            take_away(connection, lease)
        with session.begin():
            session.execute(sa.text("UPDATE t SET n = n + 100"))
            with pytest.raises(sa.exc.InvalidRequestError):
                session.begin(nested=True, under=lease)
    engine.dispose()
    assert rows(connection) == [(1, 111)]


# ---- the proof -----------------------------------------------------------------------------------------------------


@pytest.fixture
def late_writer(url: str) -> Iterator[lockers.LateWriter]:
    writer = lockers.LateWriter(multiprocessing.get_context("spawn"), url)
    yield writer
    writer.kill()


@pytest.mark.parametrize("url", marked(SHARED_STORES), indirect=True)
@pytest.mark.parametrize("count", [LATE_WRITES, pytest.param(LATE_WRITES_NIGHTLY, marks=NIGHTLY)])
def test_no_write_of_a_holder_that_stood_still_gets_in_after_its_time(
    connection: dbapi.Connection, locks: LockManager, late_writer: lockers.LateWriter, count: int
) -> None:
    """It is stopped with open transactions, another takes the lease and writes, and it goes on as if nothing were."""
    late_writer.begin(count, lockers.LATE_MS)
    late_writer.stop()
    with locks.hold("late", wait_ms=60_000) as lease:
        connection.begin(under=lease)
        say_all(connection, "INSERT INTO t VALUES (0, 1)")
        late_writer.go_on()
        attempts, got_in = late_writer.end()
        connection.begin(under=lease)
        say_all(connection, "UPDATE t SET n = 2 WHERE id = 0")
    assert (attempts, got_in) == (count, 0)
    assert rows(connection) == [(0, 2), (1, 10)]


@pytest.mark.parametrize("url", marked(["lmdb"]), indirect=True)
def test_a_holder_that_does_not_stand_still_gets_every_write_in(
    connection: dbapi.Connection, late_writer: lockers.LateWriter
) -> None:
    """So that the test above can fail."""
    late_writer.begin(LATE_WRITES, lockers.LONG_MS)
    late_writer.go_on()
    assert late_writer.end() == (LATE_WRITES, LATE_WRITES)
