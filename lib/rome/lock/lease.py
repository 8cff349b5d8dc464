"""Leases: locks that are held for a time, which is renewed in the background until they are released or lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from rome.driver.api import Driver, ExpectLock
from rome.errors import InterfaceError, LeaseLost, OperationalError
from rome.lock.keeper import Keeper, Kept


class ThreadSession:
    """The locks that one thread has through one manager, under one session: they live and are lost together.

    Its time, `ttl_ms`, only grows: a session that was told to live longer must not be told later to live shorter, while
    its keeper counts on the longer time.
    """

    def __init__(self, keeper: Keeper, id: bytes) -> None:
        self.keeper = keeper
        self.id = id  # what the store knows the session by
        self.process = os.getpid()
        self.ttl_ms = 1
        self.leases: dict[bytes, Lease] = {}
        self.kept: Kept | None = None
        self.owed: set[bytes] = set()  # locks and places to be given up, of which the store may not have heard
        self._turn = threading.Lock()
        self._settling = threading.Lock()

    @property
    def over(self) -> bool:
        """Whether a new lock needs a new session."""
        return self.process != os.getpid() or not self.leases or self.lost

    @property
    def lost(self) -> bool:
        """Whether the session is lost."""
        kept = self.kept  # another thread may be releasing the last lease
        return self.process != os.getpid() or (kept is not None and kept.lost)

    def enter(self, lease: Lease, asked_s: float) -> None:
        """`lease` is the session's since a request that was sent at `asked_s`."""
        with self._turn:
            self.leases[lease.stored_name] = lease
            if self.kept is None:
                self.kept = self.keeper.keep(self.id, self.ttl_ms, asked_s, self._tell)
            else:
                self.keeper.lengthen(self.kept, self.ttl_ms)

    def leave(self, lease: Lease) -> None:
        """`lease` is about to be released."""
        with self._turn:
            self.leases.pop(lease.stored_name, None)
            self.owed.add(lease.stored_name)
            if not self.leases and self.kept is not None and not self.kept.lost:
                self.keeper.forget(self.kept)
                self.kept = None

    def settle(self, driver: Driver) -> None:
        """Give up what is owed: while the session lives for another lease, nobody else would get it."""
        with self._settling:  # an unlocking that another thread began must not arrive after the lock is taken again
            owed = list(self.owed)
            if owed:
                driver.unlock(self.id, owed)
                self.owed.difference_update(owed)

    def _tell(self) -> None:
        """The session was lost: tell whom it concerns."""
        with self._turn:
            leases = list(self.leases.values())
        for lease in leases:
            lease.tell()


class Lease:
    """A lock that is held. `LockManager.hold` gives it; as a context manager it is released at the end.

    name     of the lock
    token    the fencing token: greater than that of every lease of this lock before, so whoever gets it with a request
             can refuse the request if it has seen a greater one
    """

    def __init__(
        self,
        driver: Driver,
        thread_session: ThreadSession,
        name: str,
        stored_name: bytes,
        token: int,
        on_lost: Callable[[Lease], None] | None,
    ) -> None:
        self.name = name
        self.token = token
        self.stored_name = stored_name
        self._driver = driver
        self._thread_session = thread_session
        self._on_lost = on_lost
        self._released = False

    def __repr__(self) -> str:
        state = "released" if self._released else "lost" if self.lost else "held"
        return f"<Lease {self.name!r} token {self.token} {state}>"

    @property
    def lost(self) -> bool:
        """Whether the lock may be another's by now, as far as this process knows; never again False once it was True.

        Between a look at this and what is done next any time may pass: only the store can tell for certain, when a
        commit carries `expectation`, or whoever is given `token`.
        """
        return self._thread_session.lost

    @property
    def expectation(self) -> ExpectLock:
        """What a commit under this lease expects of the store.

        Raises InterfaceError after `release`, LeaseLost when the lease is known to be lost, as it is in the child of
        a fork: what the parent holds is not the child's.
        """
        if self._released:
            raise InterfaceError(f"the lease of {self.name!r} was released: take it again")
        if self.lost:
            raise LeaseLost(f"the lease of {self.name!r} is lost: take it again")
        return ExpectLock(self.stored_name, self._thread_session.id, self.token)

    def release(self) -> None:
        """Give the lock up; nothing if that was done before, or the lease is another process's.

        Raises Unavailable when the store is out of reach: the lock is then free when its time has run out, or this
        thread takes or releases another.
        """
        if self._released or self._thread_session.process != os.getpid():
            return
        self._released = True
        self._thread_session.leave(self)
        self._thread_session.settle(self._driver)

    def tell(self) -> None:
        """Call `on_lost`: the lease was lost."""
        if self._on_lost is not None and not self._released:
            self._on_lost(self)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OperationalError):  # the lock is free when its time has run out; what was done stays done
            self.release()
