"""The memory driver: one sorted dictionary per store, in this process only.

A named store lives as long as the process: engines are disposed of and opened again, and their data should stay.
`clear(b"")` empties it. A private store lives as long as its StoreURL or an open driver does.

One lock guards every store of the process, so that a fork can take it: the child gets whole copies of the stores
and a free lock, whatever other threads were doing.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from sortedcontainers import SortedDict

from rome.config import StoreURL
from rome.driver import lock_table
from rome.driver.api import (
    Cell,
    Expectation,
    ExpectCell,
    ExpectLock,
    Followed,
    Holding,
    Locking,
    Patience,
    Range,
    Reading,
    Scan,
    Scope,
    Traits,
    View,
    Write,
)
from rome.driver.sizes import check_counter, check_keys, check_writes
from rome.errors import Conflict, Deadlock, InterfaceError, NotSupportedError

TRAITS = Traits(
    scope=Scope.STORE,
    snapshots=False,
    durable=False,
    shared=False,
    remote=False,
    max_key_bytes=8192,
    max_value_bytes=16 << 20,
    max_commit_bytes=256 << 20,
)

_LOCK = threading.Lock()
os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


class MemoryLocks:
    """Who holds which lock: the state that `rome.driver.lock_table` asks for."""

    __slots__ = ("_locks", "_places", "_sessions", "_token")

    def __init__(self) -> None:
        self._sessions: dict[bytes, lock_table.Session] = {}
        self._places: dict[bytes, dict[bytes, bool]] = {}
        self._locks: SortedDict[bytes, lock_table.Lock] = SortedDict()
        self._token = 0

    def session(self, session: bytes) -> lock_table.Session | None:
        return self._sessions.get(session)

    def sessions(self) -> list[bytes]:
        return list(self._sessions)

    def save_session(self, session: bytes, record: lock_table.Session | None) -> None:
        if record is None:
            self._sessions.pop(session, None)
        else:
            self._sessions[session] = record

    def lock(self, name: bytes) -> lock_table.Lock:
        lock: lock_table.Lock = self._locks.get(name, _FREE)
        return lock

    def locks(self, prefix: bytes) -> Iterator[tuple[bytes, lock_table.Lock]]:
        for name in self._locks.irange(prefix):
            if not name.startswith(prefix):
                return
            yield name, self._locks[name]

    def save_lock(self, name: bytes, lock: lock_table.Lock) -> None:
        if lock.holder or lock.queue:
            self._locks[name] = lock
        else:
            self._locks.pop(name, None)

    def places(self, session: bytes) -> list[tuple[bytes, bool]]:
        return list(self._places.get(session, {}).items())

    def save_place(self, session: bytes, name: bytes, waits: bool | None) -> None:
        places = self._places.setdefault(session, {})
        if waits is None:
            places.pop(name, None)
        else:
            places[name] = waits
        if not places:
            del self._places[session]

    def next_token(self) -> int:
        self._token += 1
        return self._token


_FREE = lock_table.Lock()


class MemoryStore:
    """The state of one store; read and written under the lock of this module.

    `clock` counts nanoseconds from any start; the time of sessions is measured by it.
    """

    __slots__ = ("cells", "clock", "counters", "locks", "version")

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.cells: SortedDict[bytes, Cell] = SortedDict()
        self.clock = clock
        self.counters: dict[bytes, int] = {}
        self.locks = MemoryLocks()
        self.version = 0

    def scan(self, scan: Scan) -> list[Cell]:
        cells = self.cells
        keys = cells.irange(scan.start, scan.stop, (True, False), scan.reverse)
        return [cells[key] for key in (keys if scan.limit is None else islice(keys, scan.limit))]

    def behind(self, scan: Scan, found: list[Cell]) -> list[Cell | None] | None:
        """The cells that the values `found` by `scan` name, if it asks for them."""
        return [self.cells.get(cell.value) for cell in found] if scan.dereference else None

    def followed(self, scan: Scan) -> Followed:
        found = self.scan(scan)
        return Followed(scan, found, self.behind(scan, found))

    def count(self, start: bytes, stop: bytes) -> int:
        number: int = self.cells.bisect_left(stop) - self.cells.bisect_left(start)
        return max(0, number)

    def check(self, expect: Sequence[Expectation]) -> None:
        """Raise LeaseLost or Conflict unless every expectation holds; first come those of locks."""
        for expectation in expect:
            if isinstance(expectation, ExpectLock):
                name, session, token = expectation.name, expectation.session, expectation.token
                lock_table.check_lock(self.locks, self.clock(), name, session, token)
        for expectation in expect:
            if isinstance(expectation, ExpectLock):
                continue
            if isinstance(expectation, ExpectCell):
                cell = self.cells.get(expectation.key)
                if (0 if cell is None else cell.version) != expectation.version:
                    raise Conflict("a row that this transaction read has changed: run it again")
            elif expectation.version != self.version:  # if it is, nothing was committed since the range was read
                cells = self.scan(Scan(expectation.start, expectation.stop, expectation.cells + 1))
                if len(cells) != expectation.cells or any(cell.version > expectation.version for cell in cells):
                    raise Conflict("a range that this transaction read has changed: run it again")


_stores: dict[str, MemoryStore] = {}


def open_url(url: StoreURL) -> MemoryDriver:
    """A driver on the store that `url` names."""
    with _LOCK:
        store = _stores.get(url.path)
        if store is None:
            store = _stores[url.path] = MemoryStore()
            if url.private:
                weakref.finalize(url, _stores.pop, url.path, None)
    return MemoryDriver(store)


class MemoryDriver:
    """One handle on a memory store; see `rome.driver.api.Driver` for what each method promises."""

    traits = TRAITS

    def __init__(self, store: MemoryStore) -> None:
        self._store: MemoryStore | None = store

    def _opened(self) -> MemoryStore:
        if self._store is None:
            raise InterfaceError("this store is closed: open it again")
        return self._store

    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: View | None = None,
        counts: Sequence[Range] = (),
    ) -> Reading:
        store = self._opened()
        check_keys(TRAITS, gets)
        with _LOCK:
            store.check(expect)
            cells = [store.cells.get(key) for key in gets]
            scanned = [store.scan(scan) for scan in scans]
            rows = [store.behind(scan, found) for scan, found in zip(scans, scanned, strict=True)]
            followed = [
                [[store.followed(each) for each in every] for every in scan.followed(found, behind)]
                if scan.follow
                else []
                for scan, found, behind in zip(scans, scanned, rows, strict=True)
            ]
            return Reading(store.version, None, cells, scanned, rows, followed, [store.count(*each) for each in counts])

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        store = self._opened()
        check_writes(TRAITS, writes)
        with _LOCK:
            store.check(expect)
            if not writes:
                return store.version
            version = store.version + 1
            for key, value in writes:
                if value is None:
                    store.cells.pop(key, None)
                else:
                    store.cells[key] = Cell(key, value, version)
            store.version = version
            return version

    def outcome(self, mark: bytes) -> int | None:
        self._opened()
        raise NotSupportedError("a memory store loses no reply, so it keeps no marks")

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        store = self._opened()
        check_keys(TRAITS, (key,))
        with _LOCK:
            number = check_counter(max(store.counters.get(key, 0), at_least) + by)
            store.counters[key] = number
            return number

    def clear(self, prefix: bytes) -> None:
        store = self._opened()
        with _LOCK:
            doomed = []
            for key in store.cells.irange(prefix):
                if not key.startswith(prefix):
                    break
                doomed.append(key)
            for key in doomed:
                del store.cells[key]
            for key in [key for key in store.counters if key.startswith(prefix)]:
                del store.counters[key]
            store.version += 1

    def lock(
        self, session: bytes, names: Sequence[bytes], ttl_ms: int, patience: Patience, label: bytes = b""
    ) -> Locking:
        store = self._opened()
        check_keys(TRAITS, names)
        lock_table.check_session(session)
        ttl_ns = max(ttl_ms, TRAITS.min_ttl_ms) * 1_000_000
        with _LOCK:
            now_ns = store.clock()
            plan = lock_table.plan_of(store.locks, now_ns, session, names, ttl_ns, patience)
            standings = lock_table.carry_out(store.locks, now_ns, session, names, ttl_ns, label, plan)
            if plan.deadlock:
                raise Deadlock("transactions wait for each other's locks in a circle: run this one again")
            return Locking(standings, store.version)

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        store = self._opened()
        with _LOCK:
            ttl_ns = max(ttl_ms, TRAITS.min_ttl_ms) * 1_000_000
            return lock_table.renew(store.locks, store.clock(), session, ttl_ns)

    def unlock(self, session: bytes, names: Sequence[bytes] | None = None) -> None:
        store = self._opened()
        with _LOCK:
            lock_table.unlock(store.locks, session, names)

    def locks(self, prefix: bytes = b"") -> list[Holding]:
        store = self._opened()
        with _LOCK:
            return lock_table.holdings(store.locks, store.clock(), prefix)

    def release(self, view: View) -> None:
        """There are no views here; any is taken and nothing is done."""

    def close(self) -> None:
        self._store = None
