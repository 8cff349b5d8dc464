"""Asking for locks again and again until the session has them all, or it takes too long.

The store keeps the queue and serves it in the order of arrival, so how often a waiter asks decides how soon it learns
that its turn has come, never whose turn it is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from rome.driver.api import Driver, Locking, Patience, Standing
from rome.errors import Error, LockNotAvailable, Unavailable


class Pace(NamedTuple):
    """How long a waiter pauses between two questions: at least `first_ms`, and `most_ms` for each session ahead of it.

    In between it goes by how long a turn takes: the last one that it saw, or longer if nothing has moved for longer. It
    asks a few times in the turn before its own, and else about as often as the queue before it halves. At fixed times,
    many who wait would take from who holds the lock, on a busy machine, the very time that it needs to be done. Each
    pause is drawn from half to one and a half of what was reckoned.
    """

    first_ms: float
    most_ms: float


LOCAL = Pace(first_ms=1.0, most_ms=25.0)
REMOTE = Pace(first_ms=2.0, most_ms=50.0)

NEXT_SHARE = 0.2  # of a turn, between two questions of who comes next
FAR_SHARE = 0.25  # of each turn before that one; a half is too much: a turn that was met late makes the next one later
FAR_MS = 1000.0  # so late at most does one learn that all the others have given up
LEAST_PAUSE_MS = 0.1  # even before the last question: less may not move a coarse clock
KEPT_SHARE = 0.75  # of its time, what a session has left after a question that changed nothing (`rome.driver.api`)

_UNKNOWN = Standing(0, b"")


class Taken(NamedTuple):
    """Locks that a session has.

    tokens    one per name, in order
    version   the store's commit counter when the last of them was taken
    asked_s   by the caller's clock, just before the question that the session's time is counted from
    """

    tokens: list[int]
    version: int
    asked_s: float


def take_locks(
    driver: Driver,
    session: bytes,
    names: Sequence[bytes],
    *,
    ttl_ms: int,
    wait_ms: int | None,
    label: bytes = b"",
    describe: Callable[[bytes], str] = repr,
    pace: Pace | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
) -> Taken:
    """Take all of `names` for `session`; `wait_ms` 0 takes all or none at once, None waits as long as it takes.

    Names are taken as they come free and kept while waiting for the others. After an error the session has what it had
    before and some of `names`, and waits for none: unlock what is not wanted.

    Raises LockNotAvailable, which says who is in the way, when `wait_ms` is over, Deadlock, and the driver's errors.
    `describe` gives a lock's name in words; `jitter` gives a number from 0 to 1 for each pause.
    """
    pace = pace or (REMOTE if driver.traits.remote else LOCAL)
    waiter = _Waiter(driver, session, names, ttl_ms, label, pace)
    if wait_ms == 0:
        return waiter.take_now(describe, clock)
    start_s = clock()
    done = False
    try:
        while True:
            taken = waiter.ask(clock)
            if taken is not None:
                done = True
                return taken
            waited_ms = (clock() - start_s) * 1000
            if wait_ms is not None and waited_ms >= wait_ms:
                raise waiter.not_available(f" and was not free within {wait_ms} ms", describe)
            pause_ms = waiter.pause_ms * (0.5 + jitter())
            left_ms = pause_ms if wait_ms is None else max(LEAST_PAUSE_MS, wait_ms - waited_ms)
            sleep(min(pause_ms, left_ms) / 1000)
    finally:
        if not done:
            waiter.give_up()


class _Waiter:
    """One request on its way: what it has and what it still waits for."""

    def __init__(
        self, driver: Driver, session: bytes, names: Sequence[bytes], ttl_ms: int, label: bytes, pace: Pace
    ) -> None:
        self._driver = driver
        self._session = session
        self._names = names
        self._ttl_ms = max(ttl_ms, driver.traits.min_ttl_ms)
        self._label = label
        self._tokens: dict[bytes, int] = {}
        self._missing = dict.fromkeys(names, _UNKNOWN)
        self._certain_until_s: float | None = None
        self._pace = pace
        self._turn_ms = 0.0  # how long one takes, as far as it was seen
        self._moved_s = 0.0  # when something moved, as far as it was seen

    def take_now(self, describe: Callable[[bytes], str], clock: Callable[[], float]) -> Taken:
        """All or none, in one question."""
        asked_s = clock()
        try:
            locking = self._ask(Patience.NOWAIT)
        except Unavailable:
            self.give_up()  # the store may have done it, and only its reply be lost
            raise
        if self._missing:
            raise self.not_available("", describe)
        return Taken([self._tokens[name] for name in self._names], locking.version, asked_s)

    def ask(self, clock: Callable[[], float]) -> Taken | None:
        """Ask the store once; None if the session does not have all of the names yet."""
        asked_s = clock()
        before, ahead = self._missing, self._ahead
        locking = self._ask(Patience.WAIT)
        self._learn(ahead - self._ahead, clock(), first=self._certain_until_s is None)
        unsure = self._certain_until_s is not None and clock() >= self._certain_until_s
        self._certain_until_s = asked_s + self._ttl_ms * KEPT_SHARE / 1000
        if unsure and len(before) < len(set(self._names)):
            # The session may have run out since the last question, and what it had taken by then with it.
            self._missing = dict.fromkeys(self._names, _UNKNOWN)
        if self._missing:
            return None
        return Taken([self._tokens[name] for name in self._names], locking.version, asked_s)

    def _ask(self, patience: Patience) -> Locking:
        names = list(self._missing)
        locking = self._driver.lock(self._session, names, self._ttl_ms, patience, self._label)
        answers = list(zip(names, locking.standings, strict=True))
        self._tokens |= {name: standing.token for name, standing in answers if standing.token}
        self._missing = {name: standing for name, standing in answers if not standing.token}
        return locking

    @property
    def _ahead(self) -> int:
        """How many are in the way, in the longest of the queues."""
        return max((standing.ahead for standing in self._missing.values()), default=0)

    def _learn(self, gone: int, now_s: float, *, first: bool) -> None:
        """Take in that `gone` sessions are no longer in the way: how long a turn takes."""
        seen_ms = (now_s - self._moved_s) * 1000
        if first or gone > 0:
            self._moved_s = now_s
            self._turn_ms = 0.0 if first else seen_ms / gone
        else:
            self._turn_ms = max(self._turn_ms, seen_ms)

    @property
    def pause_ms(self) -> float:
        """How long to wait before the next question, on average."""
        ahead = max(1, self._ahead)
        pause_ms = self._turn_ms * (NEXT_SHARE + FAR_SHARE * (ahead - 1))
        pause_ms = min(max(pause_ms, self._pace.first_ms), self._pace.most_ms * ahead)
        return min(pause_ms, FAR_MS, self._ttl_ms / 8)

    def give_up(self) -> None:
        """Leave the queues: who comes behind need not wait for a session that waits no more.

        An error is on its way already; if this fails too, the places are gone when the session's time has run out.
        """
        with suppress(Error):
            self._driver.unlock(self._session, list(self._missing))

    def not_available(self, waited: str, describe: Callable[[bytes], str]) -> LockNotAvailable:
        """Who has the first lock that is missing, as far as the store still knows."""
        name = next(name for name, standing in self._missing.items() if standing.holder or waited)
        holding = next((each for each in self._driver.locks(name) if each.name == name), None)
        if holding is None:
            who = "is waited for by others"
        else:
            who = f"is held by {holding.label.decode('utf-8', 'replace') or 'a session without a label'}"
            who += f" (for {holding.remaining_ms} ms more, unless that is renewed)"
        return LockNotAvailable(f"{describe(name)} {who}{waited}: try again later, or wait longer")
