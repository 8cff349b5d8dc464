"""Named locks on a store that threads, processes or machines share."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from rome.config import parse
from rome.driver.api import Driver
from rome.driver.lock_table import SESSION_BYTES
from rome.driver.open import open_store
from rome.errors import InterfaceError, LeaseLost, OperationalError, Unavailable
from rome.lock.keeper import Keeper
from rome.lock.lease import Lease, ThreadSession
from rome.lock.names import decode_name, encode_name, names_prefix
from rome.lock.waiting import Pace, Taken, take_locks

MAX_TTL_MS = 24 * 60 * 60 * 1000
MAX_WAIT_MS = 24 * 60 * 60 * 1000


class Holder(NamedTuple):
    """A named lock that is held: `label` is what its holder says of itself, `waiting` how many wait for it."""

    name: str
    label: str
    token: int
    remaining_ms: int
    waiting: int


class LockManager:
    """The named locks of a store: one for all who open the same store with the same namespace.

    with LockManager("rome+lmdb:////var/lib/glance/rome") as locks:
        with locks.hold("image-import:42", ttl_ms=30_000, wait_ms=10_000) as lease:
            ...  # no one else has the lock, while lease.lost is False

    Any thread may use it. In the child of a fork it goes on, without what the parent holds.
    """

    def __init__(
        self,
        store: str | Driver,
        *,
        namespace: str = "",
        label: str | None = None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        make_session: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """`store` is a ROME URL, which says the namespace too, or an opened driver, which `close` leaves open.

        `label` is what others see of who holds a lock: the host and the process id if none is given.
        """
        if isinstance(store, str):
            url = parse(store)
            namespace, self._own, self._driver = url.namespace, True, open_store(url)
        else:
            self._own, self._driver = False, store
        self._namespace = namespace
        self._label = label
        self._pace = pace
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._make_session = make_session
        self._keeper = Keeper(self._driver, clock)
        self._local = threading.local()
        self._closed = False

    def hold(
        self,
        name: str,
        ttl_ms: int = 30_000,
        wait_ms: int = 10_000,
        on_lost: Callable[[Lease], None] | None = None,
    ) -> Lease:
        """The lease of the lock `name`, once it is free; who asked first gets it first.

        It is renewed in the background until it is released. When this process dies, or is cut off from the store, the
        lock is free after `ttl_ms`, or the shortest time that the store knows, by the store's clock; while a thread has
        several leases, after the longest of theirs. `on_lost` is then called, in a thread of its own.

        Raises LockNotAvailable, which says who has it, when it is not free within `wait_ms` (0: do not wait), Deadlock
        when this thread has a lock that another waits for and waits for one of that other's, InterfaceError when
        this thread has this lock already, and the errors of a store that is out of reach.
        """
        self._check(ttl_ms, wait_ms)
        stored_name = encode_name(self._namespace, name)
        thread_session = self._thread_session()
        if stored_name in thread_session.leases:
            raise InterfaceError(f"this thread has the lock {name!r} already: use its lease, or release it first")
        thread_session.ttl_ms = max(thread_session.ttl_ms, ttl_ms, self._driver.traits.min_ttl_ms)
        thread_session.settle(self._driver)
        taken = self._take(thread_session, stored_name, wait_ms, f"the lock {name!r}")
        lease = Lease(self._driver, thread_session, name, stored_name, taken.tokens[0], on_lost)
        if self._closed:
            lease.release()
            raise InterfaceError(f"this lock manager was closed while a thread waited for {name!r}: open another")
        if thread_session.lost:
            lease.release()
            raise LeaseLost(f"while this thread waited for {name!r}, it lost the leases that it had: take them again")
        thread_session.enter(lease, taken.asked_s)
        return lease

    def _take(self, thread_session: ThreadSession, stored_name: bytes, wait_ms: int, described: str) -> Taken:
        try:
            return take_locks(
                self._driver,
                thread_session.id,
                [stored_name],
                ttl_ms=thread_session.ttl_ms,
                wait_ms=wait_ms,
                label=self._own_label(),
                describe=lambda _: described,
                pace=self._pace,
                clock=self._clock,
                sleep=self._sleep,
                jitter=self._jitter,
            )
        except Unavailable:
            thread_session.owed.add(stored_name)  # the store may have given it, or a place in the queue
            raise

    def holders(self, prefix: str = "") -> list[Holder]:
        """The named locks that are held and whose names start with `prefix`, by name."""
        self._check_open()
        stored = names_prefix(self._namespace) + prefix.encode()
        return [
            Holder(
                decode_name(self._namespace, each.name),
                each.label.decode("utf-8", "replace"),
                each.token,
                each.remaining_ms,
                each.waiting,
            )
            for each in self._driver.locks(stored)
        ]

    def close(self) -> None:
        """Release everything that was taken through this manager in this process. Calling it twice does nothing.

        What cannot be released, because the store is out of reach, is free when its time has run out.
        """
        if self._closed:
            return
        self._closed = True
        for session in self._keeper.close():
            with suppress(OperationalError):
                self._driver.unlock(session)
        if self._own:
            self._driver.close()

    def __enter__(self) -> LockManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, ttl_ms: int, wait_ms: int) -> None:
        self._check_open()
        for name, value, least, most in (("ttl_ms", ttl_ms, 1, MAX_TTL_MS), ("wait_ms", wait_ms, 0, MAX_WAIT_MS)):
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise InterfaceError(f"{name} is a whole number of milliseconds from {least} to {most}, not {value!r}")

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("this lock manager is closed: open another")

    def _own_label(self) -> bytes:
        label = f"{socket.gethostname()}:{os.getpid()}" if self._label is None else self._label
        return label.encode("utf-8", "replace")

    def _thread_session(self) -> ThreadSession:
        """The locks of this thread, those that can still be added to."""
        thread_session: ThreadSession | None = getattr(self._local, "thread_session", None)
        if thread_session is None or thread_session.over:
            thread_session = self._local.thread_session = ThreadSession(self._keeper, self._make_session(SESSION_BYTES))
        return thread_session
