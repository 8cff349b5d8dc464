"""A client whose clock is set an hour forward, two hours back and right again while it works: `python -m … URL`.

A process of its own: the clock is changed before anything is imported that could keep the true one. It prints what a
test looks at, one object of JSON a line.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC

_true_time, _true_time_ns = time.time, time.time_ns
_ahead_s = 0


def _time() -> float:
    return _true_time() + _ahead_s


def _time_ns() -> int:
    return _true_time_ns() + _ahead_s * 1_000_000_000


time.time, time.time_ns = _time, _time_ns

from rome import dbapi  # noqa: E402
from rome.driver.api import Patience  # noqa: E402
from rome.errors import LockNotAvailable  # noqa: E402
from rome.lock import LockManager  # noqa: E402
from tests.faults.bank import PlainTeller, Told, audit, open_bank  # noqa: E402

TTL_MS = 1000
SESSION = b"of a dead client"


def jump(seconds: int) -> None:
    """Set the clock of this process."""
    global _ahead_s
    _ahead_s += seconds


def print_line(**values: object) -> None:
    print(json.dumps(values), flush=True)


def takes(locks: LockManager, name: str) -> bool:
    """Whether someone else gets the lock."""
    try:
        locks.hold(name, wait_ms=0).release()
        return True
    except LockNotAvailable:
        return False


def work(url: str) -> None:
    """Transactions that span jumps, a lease that is renewed all the while, and one that no one renews."""
    open_bank(url)
    connection = dbapi.connect(url)
    teller = PlainTeller(connection._opened(), 0)
    numbers = iter(range(1000))
    with LockManager(url) as locks, LockManager(url) as others:
        lease = locks.hold("kept", ttl_ms=TTL_MS)
        for seconds in (3600, -7200, 3600):
            zero = {"id": 0}
            ((balance,),) = teller.say("SELECT balance FROM accounts WHERE id = :id FOR UPDATE", zero)
            jump(seconds)
            teller.say("UPDATE accounts SET balance = :balance WHERE id = :id", {"balance": balance, **zero})
            connection.commit()
            told = [teller.do(next(numbers)) for _ in range(8)]
            ((shown,),) = teller.say("SELECT CURRENT_TIMESTAMP", {})
            connection.rollback()
            time.sleep(0.2)
            print_line(
                done=told.count(Told.DONE), lost=lease.lost, taken=takes(others, "kept"), ahead_s=_ahead_s,
                shown_s=shown.replace(tzinfo=UTC).timestamp() - _true_time(),
            )  # fmt: skip
    driver = connection._opened().database.driver
    for seconds in (3600, -3600):
        driver.lock(SESSION, [b"forgotten"], TTL_MS, Patience.NOWAIT)
        asked_s = time.monotonic()
        jump(seconds)
        while driver.locks(b"forgotten"):
            time.sleep(0.01)
        print_line(expired_after_s=time.monotonic() - asked_s)
    connection.close()
    audit(url, {0: teller.tally})
    print_line(audited=True)


if __name__ == "__main__":
    work(sys.argv[1])
