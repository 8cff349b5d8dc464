"""Connections to a remote store: opened as they are needed, kept for the next caller, never taken through a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rome.errors import InterfaceError, Unavailable

C = TypeVar("C")


class Pool(Generic[C]):
    """At most `most` connections at a time; who finds none free waits up to `wait_s` seconds.

    `open_one` opens one and raises the errors of `rome.driver.api`; `close_one` closes one and raises nothing.
    """

    def __init__(self, open_one: Callable[[], C], close_one: Callable[[C], None], most: int, wait_s: float) -> None:
        self._open_one = open_one
        self._close_one = close_one
        self._most = most
        self._wait_s = wait_s
        self.closed = False
        self.start()
        _living.add(self)

    def start(self) -> None:
        """Have none: at first, and in the child of a fork, whose parent goes on with those there are."""
        self._idle: list[C] = []  # its methods are atomic, so it needs no lock
        self._free = threading.BoundedSemaphore(self._most)

    def check_open(self) -> None:
        """Raise InterfaceError if this is closed."""
        if self.closed:
            raise InterfaceError("this store is closed: open it again")

    def take(self, fit: Callable[[C], bool] | None = None) -> C:
        """A connection for this caller alone, to be given to `keep` or `drop`.

        One that was idle is closed instead when `fit` says no of it. Raises Unavailable and what `open_one` raises.
        """
        self.check_open()
        if not self._free.acquire(timeout=self._wait_s):
            raise Unavailable(f"all {self._most} connections are in use: raise max_connections")
        try:
            while self._idle:
                try:
                    connection = self._idle.pop()
                except IndexError:  # another thread was faster
                    break
                if fit is None or fit(connection):
                    return connection
                self._close_one(connection)
            return self._open_one()
        except BaseException:
            self._free.release()
            raise

    def keep(self, connection: C) -> None:
        """Give back a connection on which nothing is under way."""
        self._idle.append(connection)
        self._free.release()
        if self.closed:
            self._drop_idle()

    def retire(self, connection: C) -> None:
        """Give back a connection that has served its time; those that are idle stay."""
        self._close_one(connection)
        self._free.release()

    def drop(self, connection: C) -> None:
        """Give back a connection that is broken; the idle ones, as old as it is, are closed too."""
        self.retire(connection)
        self._drop_idle()

    def close(self) -> None:
        """Close the idle ones now and the others when they are given back."""
        self.closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                return
            self._close_one(connection)


_living: weakref.WeakSet[Pool[Any]] = weakref.WeakSet()


def _start_again() -> None:
    for pool in list(_living):
        pool.start()


os.register_at_fork(after_in_child=_start_again)
