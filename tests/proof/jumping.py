"""Clients whose clock jumps by an hour: imported before ROME, so that ROME and its clients take the time from here.

What is jumped is the time of day. A monotonic clock does not jump: that is what it is for.
"""

from __future__ import annotations

import multiprocessing
import time

HOUR_S = 3600
_time, _time_ns = time.time, time.time_ns
_offset_s = 0


def jump(seconds: int) -> None:
    """This process's clock is so far off from now on."""
    global _offset_s
    _offset_s = seconds


if multiprocessing.parent_process() is not None:  # in a client, not in who runs the tests
    time.time = lambda: _time() + _offset_s
    time.time_ns = lambda: _time_ns() + _offset_s * 1_000_000_000

from rome import dbapi  # noqa: E402 - it must find the clock above
from rome.config import parse  # noqa: E402
from rome.driver.api import Patience  # noqa: E402
from rome.driver.open import open_store  # noqa: E402
from rome.errors import LockNotAvailable  # noqa: E402
from rome.lock.manager import LockManager  # noqa: E402
from tests.proof import clients, workload  # noqa: E402

TTL_MS = 1_500
JUMPS = (HOUR_S, -HOUR_S)


class Jumper(workload.Client):
    """A client of the workload whose clock jumps an hour ahead, an hour back and home again."""

    def _run_one(self) -> None:
        super()._run_one()
        jump((0, HOUR_S, -HOUR_S)[len(self.told.history) // 10 % 3])


def one_client(number: int, url: str, transactions: int, bug: str, seed: int) -> workload.Told:
    """One client of the workload; every other one jumps."""
    client = (Jumper if number % 2 else workload.Client)(url, number, seed)
    clients.meet()
    return client.run(transactions)


def wall_clock(number: int, url: str) -> list[int]:
    """The year, day and hour as SQL tells it before and after a jump: the application's clock, for what it is worth."""
    hours = []
    for seconds in (0, HOUR_S, -HOUR_S, 0):
        jump(seconds)
        with dbapi.connect(url) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT CURRENT_TIMESTAMP")
            ((now,),) = cursor.fetchall()
        connection.close()
        hours.append(round(now.timestamp() / HOUR_S * 10))
    return [hour - hours[0] for hour in hours]


def versions(number: int, url: str) -> list[int]:
    """The commit counters of commits that this client makes while its clock jumps."""
    driver = open_store(parse(url))
    found = []
    for seconds in (0, HOUR_S, 0, -HOUR_S, 0):
        jump(seconds)
        found.append(driver.commit((), [(b"cell", b"%d" % seconds)]))
    driver.close()
    return found


def leases(number: int, url: str) -> list[str]:
    """What is wrong with a lease that is held, and with one that is let run out, while the clock jumps."""
    wrong = []
    with LockManager(url) as mine, LockManager(url) as another:
        for seconds in JUMPS:
            with mine.hold("held", ttl_ms=TTL_MS) as lease, dbapi.connect(url) as connection:
                jump(seconds)
                try:
                    another.hold("held", ttl_ms=TTL_MS, wait_ms=0).release()
                    wrong.append(f"a lease was gone when the clock jumped by {seconds} s")
                except LockNotAvailable:
                    pass
                time.sleep(TTL_MS * 0.6 / 1000)  # past a renewal
                if lease.lost:
                    wrong.append(f"a lease was taken for lost when the clock jumped by {seconds} s")
                connection.begin(under=lease)
                connection.cursor().execute("UPDATE t SET n = n + 1 WHERE id = 1")
                connection.commit()
            connection.close()
            wrong += _runs_out(url, seconds)
    return wrong


def _runs_out(url: str, seconds: int) -> list[str]:
    """A lock that no one renews is free when its time is over, and not before, wherever the clock jumps meanwhile."""
    driver = open_store(parse(url))
    try:
        first, second = b"%16d" % 1, b"%16d" % 2
        started = time.monotonic()
        driver.lock(first, [b"let go"], TTL_MS, Patience.NOWAIT)
        jump(seconds)
        while not driver.lock(second, [b"let go"], TTL_MS, Patience.SKIP).standings[0].token:
            if time.monotonic() - started > 30:
                return [f"a lock did not run out when the clock jumped by {seconds} s"]
            time.sleep(0.05)
        early = time.monotonic() - started < TTL_MS / 1000 - 0.05
        driver.unlock(second)
        return [f"a lock ran out at once when the clock jumped by {seconds} s"] if early else []
    finally:
        driver.close()
