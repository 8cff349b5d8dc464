"""The memory driver: one sorted dictionary per store, in this process only.

A named store lives as long as the process: engines are disposed of and opened again, and their data should stay.
`clear(b"")` empties it. A private store lives as long as its StoreURL or an open driver does.

One lock guards every store of the process, so that a fork can take it: the child gets whole copies of the stores
and a free lock, whatever other threads were doing.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from itertools import islice

from sortedcontainers import SortedDict

from rome.config import StoreURL
from rome.driver.api import Cell, Expectation, ExpectCell, Reading, Scan, Scope, Traits, View, Write
from rome.driver.sizes import check_counter, check_keys, check_writes
from rome.errors import Conflict, InterfaceError, NotSupportedError

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


class MemoryStore:
    """The state of one store; read and written under the lock of this module."""

    __slots__ = ("cells", "counters", "version")

    def __init__(self) -> None:
        self.cells: SortedDict[bytes, Cell] = SortedDict()
        self.counters: dict[bytes, int] = {}
        self.version = 0

    def scan(self, scan: Scan) -> list[Cell]:
        cells = self.cells
        keys = cells.irange(scan.start, scan.stop, (True, False), scan.reverse)
        return [cells[key] for key in (keys if scan.limit is None else islice(keys, scan.limit))]

    def check(self, expect: Sequence[Expectation]) -> None:
        """Raise Conflict unless every expectation holds."""
        for expectation in expect:
            if isinstance(expectation, ExpectCell):
                cell = self.cells.get(expectation.key)
                if (0 if cell is None else cell.version) != expectation.version:
                    raise Conflict("a row that this transaction read has changed: run it again")
            elif expectation.version != self.version:  # if it is, nothing was committed since the range was read
                cells = self.scan(Scan(expectation.start, expectation.stop, len(expectation.keys) + 1))
                if len(cells) != len(expectation.keys) or any(cell.version > expectation.version for cell in cells):
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
    ) -> Reading:
        store = self._opened()
        check_keys(TRAITS, gets)
        with _LOCK:
            store.check(expect)
            get = store.cells.get
            cells = [get(key) for key in gets]
            scanned = [store.scan(scan) for scan in scans]
            rows = [
                [get(cell.value) for cell in found] if scan.dereference else None
                for scan, found in zip(scans, scanned, strict=True)
            ]
            return Reading(store.version, None, cells, scanned, rows)

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

    def count(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[int]:
        store = self._opened()
        with _LOCK:
            bisect = store.cells.bisect_left
            return [max(0, bisect(stop) - bisect(start)) for start, stop in ranges]

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

    def release(self, view: View) -> None:
        """There are no views here; any is taken and nothing is done."""

    def close(self) -> None:
        self._store = None
