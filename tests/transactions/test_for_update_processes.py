"""FOR UPDATE between processes: hot rows are queues, and a table of jobs is one, too."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import pytest

from rome import dbapi
from tests.servers.stores import SHARED_STORES, a_store, marked
from tests.transactions import lockers, workers
from tests.transactions.speaker import Connect, ask, problems, say, say_all

PROCESSES = 6
PROCESSES_NIGHTLY = 16
JOBS = 60
ANSWER_S = 900  # on a busy machine, at night
NIGHTLY = pytest.mark.nightly


@pytest.fixture(params=marked(SHARED_STORES))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with a_store(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def connection(url: str, connect: Connect) -> dbapi.Connection:
    return connect(url)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    yield from _pool(PROCESSES)


@pytest.fixture(scope="module")
def large_pool() -> Iterator[Pool]:
    yield from _pool(PROCESSES_NIGHTLY)


def _pool(size: int) -> Iterator[Pool]:
    """Processes that share nothing with this one but the store."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(size, workers.prepare, (spawn.Barrier(size),)) as pool:
        yield pool


def in_processes(pool: Pool, of: int, work: Callable[[str, int, int], Any], url: str) -> list[Any]:
    """What `work` returned in each of the processes, which do it at the same time."""
    jobs = [(work, url, number, of) for number in range(of)]
    return pool.starmap_async(workers.together, jobs, chunksize=1).get(ANSWER_S)


def a_counter(connection: dbapi.Connection) -> None:
    say_all(
        connection, "CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO counters VALUES (1, 0)"
    )


def test_every_increment_of_a_locked_row_is_counted_and_none_is_tried_twice(
    pool: Pool, connection: dbapi.Connection, url: str
) -> None:
    a_counter(connection)
    done = in_processes(pool, PROCESSES, lockers.increment, url)
    assert ask(connection, "SELECT n FROM counters") == [(PROCESSES * lockers.INCREMENTS,)] == [(sum(done),)]
    assert connection._opened().database.driver.locks() == []


@pytest.mark.nightly
def test_sixteen_processes_increment_a_locked_row_a_hundred_times_each(
    large_pool: Pool, connection: dbapi.Connection, url: str
) -> None:
    a_counter(connection)
    in_processes(large_pool, PROCESSES_NIGHTLY, lockers.increment_often, url)
    expected = PROCESSES_NIGHTLY * lockers.INCREMENTS_NIGHTLY
    assert ask(connection, "SELECT n FROM counters") == [(expected,)]


def test_each_job_of_a_queue_is_taken_once(pool: Pool, connection: dbapi.Connection, url: str) -> None:
    say_all(
        connection,
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, state VARCHAR(10), owner INTEGER)",
        "CREATE INDEX jobs_state ON jobs (state)",
    )
    for job in range(JOBS):
        say(connection, "INSERT INTO jobs VALUES (?, 'new', NULL)", (job,))
    connection.commit()
    done = in_processes(pool, PROCESSES, lockers.work_off, url)
    expected = sorted((job, owner) for owner, jobs in enumerate(done) for job in jobs)
    assert [job for job, _ in expected] == list(range(JOBS))
    assert ask(connection, "SELECT id, owner FROM jobs ORDER BY id") == expected
    assert all(done)
    assert problems(connection) == []
