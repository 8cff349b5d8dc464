"""The locks of an LMDB store: the state of `rome.driver.lock_table` in a transaction.

Time is the machine's monotonic clock, one for all its processes. It begins anew when the machine starts, so the
sessions of an earlier start, told by the boot id beside them, have run out, whatever their stamps say. The last token
stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rome.driver.api import Expectation, ExpectLock
from rome.driver.lmdb.layout import (
    BOOT_KEY,
    LOCKS,
    NUMBER,
    PLACES,
    SESSIONS,
    TOKENS_KEY,
    Txn,
    delete,
    delete_prefix,
    find,
    put,
    scan_long,
)
from rome.driver.lock_table import SESSION_BYTES, Lock, Session, check_lock

_NOBODY = bytes(SESSION_BYTES)  # as a holder; 128 random bits are never this
_HOLDS, _WAITS = b"\0", b"\1"


def boot_id() -> bytes:
    """What tells this start of the machine from every other, as Linux names it; b"" where there is no such name."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as found:
            return found.read().strip()
    except FileNotFoundError:
        return b""


class LmdbLocks:
    """The locks that `txn` sees, `boot` being the machine's present start."""

    __slots__ = ("_outdated", "_txn")

    def __init__(self, txn: Txn, boot: bytes) -> None:
        self._txn = txn
        self._outdated = txn.get(BOOT_KEY) != boot

    @classmethod
    def to_change(cls, txn: Txn, boot: bytes) -> LmdbLocks:
        """In a write transaction: what an earlier start of the machine left is removed first."""
        if txn.get(BOOT_KEY) != boot:
            for space in (LOCKS, SESSIONS, PLACES):
                delete_prefix(txn, space, b"")
            txn.put(BOOT_KEY, boot)
        return cls(txn, boot)

    def session(self, session: bytes) -> Session | None:
        stored = None if self._outdated else self._txn.get(SESSIONS + session)
        return None if stored is None else Session(NUMBER.unpack_from(stored)[0], stored[8:])

    def sessions(self) -> list[bytes]:
        return [] if self._outdated else [key for key, _ in scan_long(self._txn, SESSIONS, b"", None, False)]

    def save_session(self, session: bytes, record: Session | None) -> None:
        if record is None:
            self._txn.delete(SESSIONS + session)
        else:
            self._txn.put(SESSIONS + session, NUMBER.pack(record.expires_ns) + record.label)

    def lock(self, name: bytes) -> Lock:
        stored = None if self._outdated else find(self._txn, LOCKS, name)
        return Lock() if stored is None else _unpack(stored)

    def locks(self, prefix: bytes) -> Iterator[tuple[bytes, Lock]]:
        if not self._outdated:
            for name, stored in scan_long(self._txn, LOCKS, prefix, None, False):
                if not name.startswith(prefix):
                    return
                yield name, _unpack(stored)

    def save_lock(self, name: bytes, lock: Lock) -> None:
        if lock.holder or lock.queue:
            put(self._txn, LOCKS, name, NUMBER.pack(lock.token) + (lock.holder or _NOBODY) + b"".join(lock.queue))
        else:
            delete(self._txn, LOCKS, name)

    def places(self, session: bytes) -> list[tuple[bytes, bool]]:
        found: list[tuple[bytes, bool]] = []
        if not self._outdated:
            for key, stored in scan_long(self._txn, PLACES, session, None, False):
                if not key.startswith(session):
                    break
                found.append((key[SESSION_BYTES:], stored == _WAITS))
        return found

    def save_place(self, session: bytes, name: bytes, waits: bool | None) -> None:
        if waits is None:
            delete(self._txn, PLACES, session + name)
        else:
            put(self._txn, PLACES, session + name, _WAITS if waits else _HOLDS)

    def next_token(self) -> int:
        token = int.from_bytes(self._txn.get(TOKENS_KEY, b""), "big") + 1
        self._txn.put(TOKENS_KEY, NUMBER.pack(token))
        return token


def _unpack(stored: bytes) -> Lock:
    holder, queue = stored[8 : 8 + SESSION_BYTES], stored[8 + SESSION_BYTES :]
    waiters = tuple(queue[start : start + SESSION_BYTES] for start in range(0, len(queue), SESSION_BYTES))
    return Lock(b"" if holder == _NOBODY else holder, NUMBER.unpack_from(stored)[0], waiters)


def check_locks(txn: Txn, boot: bytes, now_ns: int, expect: Sequence[Expectation]) -> None:
    """Raise LeaseLost unless every ExpectLock of `expect` holds."""
    for expectation in expect:
        if isinstance(expectation, ExpectLock):
            name, session, token = expectation.name, expectation.session, expectation.token
            check_lock(LmdbLocks(txn, boot), now_ns, name, session, token)
