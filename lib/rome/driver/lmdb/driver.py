"""What the driver interface asks for, on an LMDB environment."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import lmdb

from rome.driver import api
from rome.driver.api import Cell, Expectation, Reading, Scan, Scope, Traits, Write
from rome.driver.lmdb.cells import cells_at, check_expectations, commit_counter, count_cells, scan_cells
from rome.driver.lmdb.environment import Environment, Settings, View, join, leave
from rome.driver.lmdb.failures import failure
from rome.driver.lmdb.layout import (
    CELLS,
    COMMITS_KEY,
    COUNTERS,
    DIRECT_BYTES,
    NUMBER,
    Txn,
    delete,
    delete_prefix,
    find,
    put,
)
from rome.driver.sizes import check_counter, check_keys, check_writes
from rome.errors import Conflict, DatabaseError, InterfaceError, NotSupportedError, ReadOnlyStore

TRAITS = Traits(
    scope=Scope.STORE,
    snapshots=True,
    durable=True,
    shared=True,
    remote=False,
    max_key_bytes=8192,
    max_value_bytes=16 << 20,
    max_commit_bytes=256 << 20,
)
_SIGNED = struct.Struct(">q")


def _answer(view: View, gets: Sequence[bytes], scans: Sequence[Scan], expect: Sequence[Expectation]) -> Reading:
    txn = view.live()
    if expect:
        check_expectations(txn, view.version, expect)
    cells = cells_at(txn, gets)
    scanned: list[list[Cell]] = []
    rows: list[list[Cell | None] | None] = []
    for scan in scans:
        found = scan_cells(txn, scan)
        scanned.append(found)
        rows.append(cells_at(txn, [cell[1] for cell in found]) if scan.dereference else None)
    # Past the constructor, which takes longer than LMDB does to find a row.
    return tuple.__new__(Reading, (view.version, view, cells, scanned, rows))


class LmdbDriver:
    """One handle on an LMDB store; see `rome.driver.api.Driver` for what each method promises."""

    traits = TRAITS

    def __init__(self, path: str, settings: Settings = Settings()) -> None:  # noqa: B008 - it is immutable
        """Open the store in the directory `path`, made if only its parent exists."""
        self._path = path
        self._environment: Environment | None
        self._environment, self._views = join(path, settings)

    def _opened(self) -> Environment:
        if self._environment is None:
            raise InterfaceError("this store is closed: open it again")
        return self._environment

    def _view(self) -> View:
        """A view of the newest state."""
        environment = self._opened()
        with environment.opening:
            return self._begin(environment)

    def _begin(self, environment: Environment) -> View:
        env = environment.opened()
        try:
            txn = env.begin()
        except lmdb.ReadersFullError:
            env.reader_check()
            txn = env.begin()
        return View(txn, commit_counter(txn), self._views)

    def _failure(self, error: lmdb.Error) -> Exception:
        """What `error` becomes; InterfaceError if another thread closed the store meanwhile."""
        if self._environment is None:
            return InterfaceError("this store was closed while it was used: open it again")
        return failure(error, self._path)

    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: api.View | None = None,
    ) -> Reading:
        for key in gets:
            if len(key) > DIRECT_BYTES:  # most calls have none, and this is the hottest path of all
                check_keys(TRAITS, gets)
                break
        fresh = None
        try:
            if view is None:
                view = fresh = self._view()
            else:
                self._opened()
                expect = ()
                if not isinstance(view, View):
                    raise InterfaceError("this view is not of an LMDB store")
            with view.lock:
                return _answer(view, gets, scans, expect)
        except lmdb.Error as error:
            self.release(fresh)
            raise self._failure(error) from error.with_traceback(None)
        except Conflict as error:
            self.release(fresh)
            # Its frames would keep the transaction, and a forked child from opening the environment, while it lives.
            raise error.with_traceback(None) from None

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        if not writes:
            reading = self.read(expect=expect)
            self.release(reading.view)
            return reading.version
        check_writes(TRAITS, writes)

        def apply(txn: Txn) -> int:
            before = commit_counter(txn)
            check_expectations(txn, before, expect)
            version = before + 1
            stamp = NUMBER.pack(version)
            for key, value in writes:
                if value is None:
                    delete(txn, CELLS, key)
                else:
                    put(txn, CELLS, key, stamp + value)
            txn.put(COMMITS_KEY, stamp)
            return version

        return self._write(apply)

    def _write(self, change: Callable[[Txn], int]) -> int:
        environment = self._opened()
        if environment.settings.readonly:
            raise ReadOnlyStore(f"{self._path} is opened with readonly=1: open it without")
        with environment.writing:
            try:
                return environment.write(change)
            except lmdb.Error as error:
                raise self._failure(error) from error.with_traceback(None)
            except DatabaseError as error:
                raise error.with_traceback(None) from None  # as in `read`

    def outcome(self, mark: bytes) -> int | None:
        self._opened()
        raise NotSupportedError("an LMDB store loses no reply, so it keeps no marks")

    def count(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[int]:
        view = None
        try:
            view = self._view()
            with view.lock:
                return [count_cells(view.live(), start, stop) for start, stop in ranges]
        except lmdb.Error as error:
            raise self._failure(error) from error.with_traceback(None)
        finally:
            self.release(view)

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        check_keys(TRAITS, (key,))

        def add(txn: Txn) -> int:
            stored = find(txn, COUNTERS, key)
            number = check_counter(max(0 if stored is None else _SIGNED.unpack(stored)[0], at_least) + by)
            put(txn, COUNTERS, key, _SIGNED.pack(number))
            return number

        return self._write(add)

    def clear(self, prefix: bytes) -> None:
        def remove(txn: Txn) -> int:
            version = commit_counter(txn) + 1
            for space in (CELLS, COUNTERS):
                delete_prefix(txn, space, prefix)
            txn.put(COMMITS_KEY, NUMBER.pack(version))
            return version

        self._write(remove)

    def release(self, view: api.View | None) -> None:
        if isinstance(view, View):
            with view.lock:
                view.give_back()

    def close(self) -> None:
        environment, self._environment = self._environment, None
        if environment is not None:
            for ref in list(self._views.values()):
                self.release(ref())
            leave(environment, self._views)
