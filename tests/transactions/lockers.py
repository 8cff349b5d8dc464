"""Processes that lock: what they do, for the tests of FOR UPDATE and of transactions under a lease."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import cast

from rome import dbapi
from rome.driver.api import ExpectLock
from rome.errors import LeaseLost
from rome.lock import Lease, LockManager
from tests.transactions.speaker import say
from tests.transactions.workers import meet

INCREMENTS = 15
INCREMENTS_NIGHTLY = 100
LATE_MS = 2_000  # short, as its end is waited for
LONG_MS = 60_000
OPEN_TRANSACTIONS = 10
ANSWER_S = 120
NEXT_JOB = "SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"


def increment(url: str, number: int, of: int, times: int = INCREMENTS) -> int:
    """Read a number, locked, and write one more, as an application does that never tries twice; how often."""
    connection = dbapi.connect(url)
    for _ in range(times):
        ((n,),) = say(connection, "SELECT n FROM counters WHERE id = 1 FOR UPDATE")
        say(connection, "UPDATE counters SET n = :n WHERE id = 1", {"n": n + 1})
        connection.commit()
    assert connection.counters.replays == 0  # they queued, they did not collide
    connection.close()
    return times


def increment_often(url: str, number: int, of: int) -> int:
    """As `increment`, for the nightly run."""
    return increment(url, number, of, INCREMENTS_NIGHTLY)


def work_off(url: str, number: int, of: int) -> list[int]:
    """Take one job after the other until none is left; those that were got. All have one when the first is done."""
    connection = dbapi.connect(url)
    done = []
    while rows := say(connection, NEXT_JOB):
        ((job,),) = rows
        if not done:
            meet()
        say(connection, "UPDATE jobs SET state = 'done', owner = :owner WHERE id = :id", {"owner": number, "id": job})
        connection.commit()
        done.append(job)
    connection.close()
    return done


# ---- a holder that is stopped --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Careless:
    """A lease whose holder does not look whether it is lost."""

    expectation: ExpectLock


class LateWriter:
    """A process that holds the lease "late" and writes under it, and can be stopped in between."""

    def __init__(self, spawn: SpawnContext, url: str) -> None:
        self._pipe, other = spawn.Pipe()
        self._process = spawn.Process(target=_write_late, args=(url, other), daemon=True)
        self._process.start()

    def begin(self, count: int, ttl_ms: int) -> None:
        """Take the lease, and begin the first of `count` transactions."""
        self._pipe.send((count, ttl_ms))
        assert self._pipe.poll(ANSWER_S)
        assert self._pipe.recv() == "begun"

    def stop(self) -> None:
        """SIGSTOP: the process stands still, and so does the thread that renews its lease."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT, and on with the transactions."""
        self._signal(signal.SIGCONT)
        self._pipe.send("go on")

    def end(self) -> tuple[int, int]:
        """How many commits were tried, and how many of them got in."""
        assert self._pipe.poll(ANSWER_S)
        attempts, got_in = self._pipe.recv()
        return attempts, got_in

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def _signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)


def _write_late(url: str, pipe: Connection) -> None:
    count, ttl_ms = pipe.recv()
    with LockManager(url) as locks:
        lease = locks.hold("late", ttl_ms=ttl_ms)
        careless = cast(Lease, Careless(lease.expectation))
        opened = [dbapi.connect(url) for _ in range(OPEN_TRANSACTIONS)]
        for number, connection in enumerate(opened):
            connection.begin(under=lease)
            say(connection, "INSERT INTO t VALUES (:id, 0)", {"id": 100 + number})
        pipe.send("begun")
        pipe.recv()
        got_in = sum(_commit(connection) for connection in opened)
        for number in range(len(opened), count):
            connection = opened[number % len(opened)]
            connection.begin(under=careless)
            say(connection, "INSERT INTO t VALUES (:id, 0)", {"id": 100 + number})
            got_in += _commit(connection)
    pipe.send((count, got_in))


def _commit(connection: dbapi.Connection) -> bool:
    try:
        connection.commit()
    except LeaseLost:
        return False
    return True
