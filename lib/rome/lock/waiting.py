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
    """How long a waiter pauses between two questions.

    At first `first_ms` for each session known to be ahead of it, `growth` times longer after each question to which the
    answer was the same, at most `most_ms`; each pause is drawn from half to one and a half of that.
    """

    first_ms: float
    growth: float
    most_ms: float


LOCAL = Pace(first_ms=1.0, growth=1.3, most_ms=25.0)
REMOTE = Pace(first_ms=2.0, growth=1.5, most_ms=50.0)

LEAST_PAUSE_MS = 0.1  # even before the last question: less may not move a coarse clock
MOST_GROWTHS = 64  # of a pause; by then it is as long as it gets
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
    waiter = _Waiter(driver, session, names, ttl_ms, label)
    if wait_ms == 0:
        return waiter.take_now(describe, clock)
    pace = pace or (REMOTE if driver.traits.remote else LOCAL)
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
            pause_ms = waiter.pause_ms(pace) * (0.5 + jitter())
            left_ms = pause_ms if wait_ms is None else max(LEAST_PAUSE_MS, wait_ms - waited_ms)
            sleep(min(pause_ms, left_ms) / 1000)
    finally:
        if not done:
            waiter.give_up()


class _Waiter:
    """One request on its way: what it has and what it still waits for."""

    def __init__(self, driver: Driver, session: bytes, names: Sequence[bytes], ttl_ms: int, label: bytes) -> None:
        self._driver = driver
        self._session = session
        self._names = names
        self._ttl_ms = max(ttl_ms, driver.traits.min_ttl_ms)
        self._label = label
        self._tokens: dict[bytes, int] = {}
        self._missing = dict.fromkeys(names, _UNKNOWN)
        self._certain_until_s: float | None = None
        self._same_answers = 0

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
        before = self._missing
        locking = self._ask(Patience.WAIT)
        self._same_answers = self._same_answers + 1 if self._missing == before else 0
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

    def pause_ms(self, pace: Pace) -> float:
        """How long to wait before the next question, on average."""
        ahead = max((standing.ahead for standing in self._missing.values()), default=0)
        pause_ms = pace.first_ms * max(1, ahead) * pace.growth ** min(self._same_answers, MOST_GROWTHS)
        return min(pause_ms, pace.most_ms, self._ttl_ms / 8)

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
