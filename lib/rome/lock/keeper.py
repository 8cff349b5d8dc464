"""One thread that renews sessions before their time runs out, and finds out which were lost.

How long a session surely lives is counted by this process's monotonic clock from before the request that began its time
was sent: the store got that request later, so by its clock the session lives longer. A session is taken for lost when
the store says so, or when that time is over; nothing brings it back, even if the store would.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable

from rome.driver.api import Driver
from rome.errors import Error

RENEWED_AFTER = 1 / 3  # of a session's time
TRIED_AGAIN_AFTER = 1 / 12  # of it, when the store was out of reach
IDLE_S = 10.0


class Kept:
    """A session that a keeper renews."""

    __slots__ = ("_certain_until_s", "_due_s", "_keeper", "_lost", "_on_lost", "_ttl_ms", "session")

    def __init__(
        self, keeper: Keeper, session: bytes, ttl_ms: int, asked_s: float, on_lost: Callable[[], None] | None
    ) -> None:
        self.session = session
        self._keeper = keeper
        self._ttl_ms = ttl_ms
        self._on_lost = on_lost
        self._lost = False
        self._count_from(asked_s, ttl_ms)

    def _count_from(self, asked_s: float, ttl_ms: int) -> None:
        self._certain_until_s = asked_s + ttl_ms / 1000
        self._due_s = asked_s + ttl_ms * RENEWED_AFTER / 1000

    @property
    def lost(self) -> bool:
        """Whether it is lost; once it was, it stays so."""
        if not self._lost and self._keeper._clock() >= self._certain_until_s:
            self._keeper._lose(self)
        return self._lost


class Keeper:
    """Renews sessions of `driver`; its thread runs while there are any. `clock` is monotonic, in seconds."""

    def __init__(
        self, driver: Driver, clock: Callable[[], float] = time.monotonic, idle_s: float = IDLE_S
    ) -> None:
        """`idle_s` after it had anything to do the thread ends, until there is something again."""
        self._driver = driver
        self._clock = clock
        self._idle_s = idle_s
        self._wakes_s = 0.0  # when the thread will look again by itself
        self._kept: set[Kept] = set()
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        _keepers.add(self)

    def keep(
        self, session: bytes, ttl_ms: int, asked_s: float, on_lost: Callable[[], None] | None = None
    ) -> Kept:
        """Renew `session` from now on; its time began with a request that was sent at `asked_s` or later.

        When it is lost, `on_lost` is called once, in a thread of its own.
        """
        kept = Kept(self, session, max(ttl_ms, self._driver.traits.min_ttl_ms), asked_s, on_lost)
        with self._turn:
            self._kept.add(kept)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rome-lock-keeper", daemon=True)
                self._thread.start()
            elif kept._due_s < self._wakes_s:  # most are forgotten long before: waking it for each would cost more
                self._turn.notify()
        return kept

    def lengthen(self, kept: Kept, ttl_ms: int) -> None:
        """Renew `kept` for `ttl_ms` from its next renewal on, if that is longer than before."""
        with self._turn:
            kept._ttl_ms = max(kept._ttl_ms, ttl_ms)

    def forget(self, kept: Kept) -> None:
        """Renew `kept` no more; if it was not lost before, it is never called lost."""
        with self._turn:
            self._kept.discard(kept)
            kept._certain_until_s = float("inf")

    def close(self) -> list[bytes]:
        """Forget everything and end the thread; the sessions that were renewed so far."""
        with self._turn:
            sessions = [kept.session for kept in self._kept]
            for kept in list(self._kept):
                self.forget(kept)
            thread, self._thread = self._thread, None
            self._turn.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        return sessions

    def _run(self) -> None:
        while (kept := self._next()) is not None:
            self._renew(kept)

    def _next(self) -> Kept | None:
        """The session to renew now, once there is one; None when the thread is to end."""
        with self._turn:
            while self._thread is threading.current_thread():
                wait_s = self._idle_s
                if self._kept:
                    kept = min(self._kept, key=lambda each: each._due_s)
                    wait_s = kept._due_s - self._clock()
                    if wait_s <= 0:
                        return kept
                self._wakes_s = self._clock() + wait_s
                if not self._turn.wait(wait_s) and not self._kept:
                    self._thread = None
            return None

    def _renew(self, kept: Kept) -> None:
        asked_s, ttl_ms = self._clock(), kept._ttl_ms
        lives = False
        if asked_s < kept._certain_until_s:
            try:
                lives = self._driver.renew(kept.session, ttl_ms)
            except Error:  # whatever it was, there may be time to try again
                with self._turn:
                    again_s = self._clock() + ttl_ms * TRIED_AGAIN_AFTER / 1000
                    kept._due_s = min(again_s, max(kept._certain_until_s, asked_s))
                return
        with self._turn:
            # A reply after that time says nothing: the session may have run out and begun anew, with nothing.
            if lives and self._clock() < kept._certain_until_s:
                kept._count_from(asked_s, ttl_ms)
                return
        self._lose(kept)

    def _lose(self, kept: Kept) -> None:
        with self._turn:
            if kept not in self._kept:
                return
            self._kept.discard(kept)
            kept._lost = True
        if kept._on_lost is not None:
            threading.Thread(target=kept._on_lost, name="rome-lock-lost", daemon=True).start()

    def _begin_anew(self) -> None:
        """In the child of a fork: what the parent holds is not the child's, and the thread stayed with the parent."""
        for kept in self._kept:
            kept._lost = True
        self._kept = set()
        self._turn = threading.Condition()
        self._thread = None


_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


def _after_fork() -> None:
    for keeper in list(_keepers):
        keeper._begin_anew()


os.register_at_fork(after_in_child=_after_fork)
