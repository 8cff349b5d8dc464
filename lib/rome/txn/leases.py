"""Row leases: what FOR UPDATE takes for the life of a transaction, so that hot rows queue instead of colliding.

They keep nothing correct: the commit validates what was read, with a lease or without. A lease that ran out, because
its process stood still, costs a conflict at most.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from rome.driver.api import Driver, Patience
from rome.driver.lock_table import SESSION_BYTES
from rome.errors import OperationalError
from rome.lock.keeper import Keeper, Kept
from rome.lock.waiting import take_locks

ROW_TTL_MS: Final = 5_000  # what others wait for when a process dies with leases
LABEL: Final = b"a transaction"


class Taken(NamedTuple):
    """What came of asking for leases: the names that others have, and the store's commit counter at that instant.

    `asked_s` is when the question was sent that the session's time is counted from.
    """

    refused: frozenset[bytes]
    version: int
    asked_s: float


class RowLeases:
    """The row leases of one transaction of an application, however often it is replayed. For one thread at a time."""

    def __init__(
        self,
        driver: Driver,
        keeper: Keeper,
        *,
        timeout_ms: int,
        ttl_ms: int = ROW_TTL_MS,
        make_session: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timeout_ms` bounds each wait, 0 does not; `make_session` gives that many random bytes, `clock` seconds."""
        self._clock = clock
        self.timeout_ms = timeout_ms
        self._driver = driver
        self._keeper = keeper
        self._ttl_ms = ttl_ms
        self._make_session = make_session
        self._session = b""  # none yet
        self._process = 0
        self._kept: Kept | None = None
        self._held: set[bytes] = set()

    def take(
        self, names: Iterable[bytes], patience: Patience, what: str, timeout_ms: int | None = None
    ) -> Taken | None:
        """Have the leases of the rows with these keys; None if they were held already.

        `what` names the tables for people; `timeout_ms` bounds this wait in place of the general bound. Raises
        LockNotAvailable (NOWAIT, or after the timeout), Deadlock.
        """
        if self._kept is not None and self._kept.lost:
            self.release()  # what was held is anyone's: begin anew with all that is asked for from here on
        missing = [name for name in names if name not in self._held]
        if not missing:
            return None
        session = self._session or self._make_session(SESSION_BYTES)
        if patience is Patience.WAIT:
            self._begin(session)  # a wait that fails may leave some of the leases to it
        if patience is Patience.SKIP:
            asked_s = self._clock()
            locking = self._driver.lock(session, missing, self._ttl_ms, patience, LABEL)
            got = [name for name, standing in zip(missing, locking.standings, strict=True) if standing.token]
            taken = Taken(frozenset(missing).difference(got), locking.version, asked_s)
        else:
            wait_ms = (self.timeout_ms if timeout_ms is None else timeout_ms) or None
            taken = self._wait(session, missing, 0 if patience is Patience.NOWAIT else wait_ms, what)
            got = missing
        if got:
            self._begin(session)
            self._held.update(got)
            if self._kept is None:
                self._kept = self._keeper.keep(session, self._ttl_ms, taken.asked_s)
        return taken

    def _begin(self, session: bytes) -> None:
        """From here on there is something to give back, by this process."""
        self._session = session
        self._process = os.getpid()

    def _wait(self, session: bytes, names: Sequence[bytes], wait_ms: int | None, what: str) -> Taken:
        done = take_locks(
            self._driver,
            session,
            names,
            ttl_ms=self._ttl_ms,
            wait_ms=wait_ms,
            label=LABEL,
            describe=lambda name: f"a row of {what}",
            clock=self._clock,
        )
        return Taken(frozenset(), done.version, done.asked_s)

    def of_others(self, prefix: bytes) -> set[bytes]:
        """The keys below `prefix` of the rows that others have leases of."""
        return {holding.name for holding in self._driver.locks(prefix) if holding.session != self._session}

    def release(self) -> int:
        """Give everything back, in one round trip if anything was taken; how many it took.

        What cannot be given back runs out. In the child of a fork this does nothing: the leases are the parent's.
        """
        session, self._session = self._session, b""
        if not session or self._process != os.getpid():
            return 0
        if self._kept is not None:
            self._keeper.forget(self._kept)
            self._kept = None
        self._held.clear()
        with suppress(OperationalError):
            self._driver.unlock(session)
        return 1
