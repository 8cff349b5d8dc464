"""Processes on one LMDB store: whatever they do at the same time, it could have been done one after another."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.pool import Pool
from typing import Any

import pytest

from rome import dbapi
from tests.transactions import workers
from tests.transactions.speaker import Connect, ask, problems, say, say_all

PROCESSES = 8


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Processes that share nothing with this one but the file."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(PROCESSES, workers.prepare, (spawn.Barrier(PROCESSES),)) as pool:
        yield pool


@pytest.fixture
def connection(lmdb_url: str, connect: Connect) -> dbapi.Connection:
    return connect(lmdb_url)


def in_processes(pool: Pool, work: Callable[[str, int, int], Any], url: str) -> list[Any]:
    """What `work` returned in each of the processes, which do it at the same time."""
    jobs = [(work, url, number, PROCESSES) for number in range(PROCESSES)]
    return pool.starmap_async(workers.together, jobs, chunksize=1).get(60)


def test_money_moves_and_the_sum_stays(pool: Pool, connection: dbapi.Connection, lmdb_url: str) -> None:
    say_all(connection, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER CHECK (balance >= 0))")
    for account in range(workers.ACCOUNTS):
        say(connection, "INSERT INTO accounts VALUES (?, ?)", (account, workers.OPENING))
    connection.commit()
    moved = in_processes(pool, workers.transfer, lmdb_url)
    rows = ask(connection, "SELECT balance FROM accounts ORDER BY id")
    assert sum(balance for (balance,) in rows) == workers.ACCOUNTS * workers.OPENING
    assert rows[0][0] == workers.OPENING + sum(moved)
    assert any(moved)


def test_no_increment_is_lost(pool: Pool, connection: dbapi.Connection, lmdb_url: str) -> None:
    say_all(
        connection, "CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO counters VALUES (1, 0)"
    )
    done = in_processes(pool, workers.increment, lmdb_url)
    assert ask(connection, "SELECT n FROM counters") == [(sum(done),)]
    assert sum(done) == PROCESSES * workers.INCREMENTS


def test_a_name_is_registered_once(pool: Pool, connection: dbapi.Connection, lmdb_url: str) -> None:
    say_all(
        connection,
        "CREATE TABLE constrained (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(20) UNIQUE, owner INTEGER)",
        "CREATE TABLE looked_up (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(20), owner INTEGER)",
    )
    got = in_processes(pool, workers.register, lmdb_url)
    expected = sorted((name, owner) for owner, names in enumerate(got) for name in names)
    assert len(expected) == workers.NAMES
    for table in ("constrained", "looked_up"):
        assert sorted(ask(connection, f"SELECT name, owner FROM {table}")) == expected
    assert problems(connection) == []


def test_one_doctor_stays_on_call(pool: Pool, connection: dbapi.Connection, lmdb_url: str) -> None:
    """Write skew: each of the pair looks at the other's row and writes its own."""
    say_all(
        connection,
        "CREATE TABLE on_call (shift INTEGER, doctor INTEGER, present BOOLEAN, PRIMARY KEY (shift, doctor))",
    )
    for shift in range(workers.SHIFTS):
        say(connection, "INSERT INTO on_call VALUES (?, 0, TRUE), (?, 1, TRUE)", (shift, shift))
    connection.commit()
    left = in_processes(pool, workers.leave_duty, lmdb_url)
    present = ask(connection, "SELECT shift, count(*) FROM on_call WHERE present GROUP BY shift ORDER BY shift")
    assert present == [(shift, 1) for shift in range(workers.SHIFTS)]
    assert sum(left) == workers.SHIFTS


def test_references_hold(pool: Pool, connection: dbapi.Connection, lmdb_url: str) -> None:
    say_all(
        connection,
        "CREATE TABLE parents (id INTEGER PRIMARY KEY)",
        "CREATE TABLE children (id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER REFERENCES parents (id))",
        "CREATE TABLE followed (id INTEGER PRIMARY KEY)",
        "CREATE TABLE followers (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "parent INTEGER REFERENCES followed (id) ON DELETE CASCADE)",
        "INSERT INTO parents VALUES (0), (1), (2), (3)",
        "INSERT INTO followed VALUES (0), (1), (2), (3)",
    )
    in_processes(pool, workers.tie_and_cut, lmdb_url)
    assert problems(connection) == []


def test_indexes_made_while_others_write_agree_with_the_table(
    pool: Pool, connection: dbapi.Connection, lmdb_url: str
) -> None:
    say_all(
        connection,
        "CREATE TABLE written (id INTEGER PRIMARY KEY AUTOINCREMENT, a INTEGER, b INTEGER)",
    )
    for number in range(100):
        say(connection, "INSERT INTO written (a, b) VALUES (?, ?)", (number, number))
    connection.commit()
    made = in_processes(pool, workers.write_while_altered, lmdb_url)
    assert made[0] > len(workers.DEFINITIONS)
    assert problems(connection) == []
