"""What becomes of a connection whose transaction was refused with [40001]."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from rome import dbapi
from rome.errors import Conflict, InactiveTransaction, ProgrammingError
from tests.transactions.speaker import Connect, ask, say, say_all

TABLE = ("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO t VALUES (1, 0), (2, 0)")


@pytest.fixture
def pair(url: str, connect: Connect) -> tuple[dbapi.Connection, dbapi.Connection]:
    one, two = connect(url), connect(url)
    say_all(one, *TABLE)
    return one, two


def spoil(one: dbapi.Connection, two: dbapi.Connection) -> None:
    """Leave `one` in a transaction that can no longer commit, nor be replayed."""
    n = ask(two, "SELECT n FROM t WHERE id = 1")
    assert say(one, "SELECT n FROM t WHERE id = 1") == n
    say(one, "UPDATE t SET n = 5 WHERE id = 2")
    say_all(two, "UPDATE t SET n = n + 1 WHERE id = 1")


@pytest.mark.parametrize("commit", [dbapi.Connection.commit, lambda one: say(one, "COMMIT")])
def test_a_refused_commit_ends_the_transaction(
    pair: tuple[dbapi.Connection, dbapi.Connection], commit: Callable[[dbapi.Connection], object]
) -> None:
    """No ROLLBACK is needed: after a COMMIT that failed, SQLAlchemy sends none."""
    one, two = pair
    spoil(one, two)
    with pytest.raises(Conflict):
        commit(one)
    assert not one.in_transaction
    assert say(one, "SELECT n FROM t ORDER BY id") == [(1,), (0,)]
    say_all(one, "UPDATE t SET n = 6 WHERE id = 2")
    assert ask(two, "SELECT n FROM t ORDER BY id") == [(1,), (6,)]


def test_a_refused_statement_leaves_only_rollback(connect: Connect) -> None:
    """On a store without snapshots a read may find that what was read before has changed."""
    one, two = connect("rome+memory:///refused-statement"), connect("rome+memory:///refused-statement")
    say_all(one, "DROP TABLE IF EXISTS t", *TABLE)
    spoil(one, two)
    for sql in ("SELECT sum(n) FROM t", "SAVEPOINT s", "INSERT INTO t VALUES (3, 3)"):
        with pytest.raises(Conflict if sql.startswith("SELECT") else InactiveTransaction):
            say(one, sql)
    one.rollback()
    say_all(one, "INSERT INTO t VALUES (3, 3)")
    spoil(one, two)
    with pytest.raises(Conflict):
        say(one, "SELECT sum(n) FROM t")
    with pytest.raises(InactiveTransaction):
        one.commit()
    assert say(one, "SELECT n FROM t ORDER BY id") == [(2,), (0,), (3,)]


@pytest.mark.parametrize("depth", [1, 3])
def test_the_conflict_comes_out_of_nested_blocks(connect: Connect, depth: int) -> None:
    """SQLAlchemy goes back to each savepoint on the way; the caller must see [40001], which is what it waits for."""
    url = "rome+memory:///refused-nested"
    rival = connect(url)
    say_all(rival, "DROP TABLE IF EXISTS t", *TABLE)
    engine = create_engine(url)
    with pytest.raises(OperationalError, match="40001"), Session(engine) as session, session.begin():
        spoil(session.connection().connection.dbapi_connection, rival)  # type: ignore[arg-type]
        with ExitStack() as blocks:
            for _ in range(depth):
                blocks.enter_context(session.begin_nested())
            session.execute(text("SELECT sum(n) FROM t"))
    with Session(engine) as session:
        assert session.scalar(text("SELECT sum(n) FROM t")) == 1
    engine.dispose()


def test_a_refused_transaction_goes_back_to_no_savepoint(connect: Connect) -> None:
    url = "rome+memory:///refused-savepoint"
    one, two = connect(url), connect(url)
    say_all(one, "DROP TABLE IF EXISTS t", *TABLE)
    say(one, "SAVEPOINT s")
    spoil(one, two)
    with pytest.raises(Conflict):
        say(one, "SELECT sum(n) FROM t")
    say(one, "ROLLBACK TO SAVEPOINT s")
    for sql in ("SELECT 1", "RELEASE SAVEPOINT s", "UPDATE t SET n = 9"):
        with pytest.raises(InactiveTransaction):
            say(one, sql)
    with pytest.raises(InactiveTransaction):
        one.commit()
    assert ask(two, "SELECT sum(n) FROM t") == [(1,)]


def test_a_refused_transaction_leaves_no_savepoints(pair: tuple[dbapi.Connection, dbapi.Connection]) -> None:
    one, two = pair
    say(one, "SAVEPOINT s")
    spoil(one, two)
    with pytest.raises(Conflict):
        one.commit()
    with pytest.raises(ProgrammingError, match='"s" does not exist'):
        say(one, "ROLLBACK TO SAVEPOINT s")


@pytest.mark.parametrize("ending", ["close", "rollback", "begin"])
def test_a_pooled_connection_serves_again_after_a_refused_commit(url: str, ending: str) -> None:
    engine = create_engine(url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=5)
    rival = dbapi.connect(url)
    say_all(rival, *TABLE)
    match ending:
        case "close" | "rollback":
            session = Session(engine)
            spoil(session.connection().connection.dbapi_connection, rival)  # type: ignore[arg-type]
            with pytest.raises(OperationalError, match="40001"):
                session.commit()
            if ending == "rollback":
                session.rollback()
                assert session.scalar(text("SELECT n FROM t WHERE id = 1")) == 1
            session.close()
        case _:
            with pytest.raises(OperationalError, match="40001"), engine.begin() as connection:
                spoil(connection.connection.dbapi_connection, rival)  # type: ignore[arg-type]
    for _ in range(2):
        with Session(engine) as session, session.begin():
            session.execute(text("UPDATE t SET n = n + 1 WHERE id = 2"))
    assert ask(rival, "SELECT n FROM t ORDER BY id") == [(1,), (2,)]
    rival.close()
    engine.dispose()


def test_the_same_transaction_run_again_queues_before_it_reads_for_what_it_was_refused(
    pair: tuple[dbapi.Connection, dbapi.Connection],
) -> None:
    """As an SQL server's row lock would have it wait: else the slow are refused by the quick again and again."""
    one, two = pair
    spoil(one, two)
    with pytest.raises(Conflict):
        one.commit()
    locks = two._opened().database.driver.locks
    assert locks() == []
    assert say(one, "SELECT n FROM t WHERE id = 1") == [(1,)]
    assert locks() != []
    say(one, "UPDATE t SET n = 7 WHERE id = 2")
    one.commit()
    assert locks() == []
    assert ask(one, "SELECT n FROM t ORDER BY id") == [(1,), (7,)]
    assert locks() == []
