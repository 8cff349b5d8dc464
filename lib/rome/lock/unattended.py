"""Locks that nobody renews: they are free when they are unlocked, or when their time has run out.

They are the named locks of `LockManager` in the same store and namespace, so the two kinds keep each other out. Where a
lock guards more than politeness take LockManager: its leases are renewed while they are held, and they fence.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

from rome.config import parse
from rome.driver.api import Driver, Patience
from rome.driver.lock_table import SESSION_BYTES
from rome.driver.open import open_store
from rome.errors import InterfaceError
from rome.lock.manager import MAX_TTL_MS
from rome.lock.names import encode_name


class UnattendedLocks:
    """Named locks by `lock` and `unlock`; any thread may use it, and unlock what another thread of it has locked."""

    def __init__(self, url: str, *, make_session: Callable[[int], bytes] = os.urandom) -> None:
        """`url` is that of the store; it is opened when first used, anew in the child of a fork."""
        self._url = parse(url)
        self._make_session = make_session
        self._guard = threading.Lock()
        self._process = 0
        self._driver: Driver | None = None
        self._sessions: dict[str, bytes] = {}

    def lock(self, name: str, ttl_ms: int) -> bool:
        """Take the lock `name` for `ttl_ms` milliseconds; False if anyone has it, this object included.

        A store that knows no time so short takes its shortest (etcd: 2 seconds).
        """
        if not isinstance(ttl_ms, int) or isinstance(ttl_ms, bool) or not 1 <= ttl_ms <= MAX_TTL_MS:
            raise InterfaceError(f"ttl_ms is a whole number of milliseconds from 1 to {MAX_TTL_MS}, not {ttl_ms!r}")
        stored, session = encode_name(self._url.namespace, name), self._make_session(SESSION_BYTES)
        label = f"{socket.gethostname()}:{os.getpid()}".encode()
        driver = self._opened()
        locking = driver.lock(session, [stored], max(ttl_ms, driver.traits.min_ttl_ms), Patience.NOWAIT, label)
        if not locking.standings[0].token:
            return False
        with self._guard:
            self._sessions[name] = session
        return True

    def unlock(self, name: str) -> bool:
        """Give up the lock `name`; False if this object does not have it, or no more."""
        stored = encode_name(self._url.namespace, name)
        driver = self._opened()
        with self._guard:
            session = self._sessions.pop(name, None)
        if session is None:
            return False
        held = any(each.name == stored and each.session == session for each in driver.locks(stored))
        driver.unlock(session)
        return held

    def close(self) -> None:
        """Give back the store, which the next call opens again. Locks that are held stay so until their time ends."""
        with self._guard:
            driver, self._driver, self._sessions = self._driver, None, {}
        if driver is not None:
            driver.close()

    def _opened(self) -> Driver:
        with self._guard:
            if self._driver is None or self._process != os.getpid():
                self._driver, self._process, self._sessions = open_store(self._url), os.getpid(), {}
            return self._driver
