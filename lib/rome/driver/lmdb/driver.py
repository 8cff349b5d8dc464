"""What the driver interface asks for, on an LMDB environment."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from typing import TypeVar

import lmdb

from rome.driver import api, lock_table
from rome.driver.api import (
    Cell,
    Expectation,
    ExpectLock,
    Followed,
    Holding,
    Locking,
    Patience,
    Reading,
    Scan,
    Scope,
    Traits,
    Write,
)
from rome.driver.lmdb.cells import (
    cells_at,
    check_expectations,
    commit_counter,
    scan_cells,
    write_cells,
)
from rome.driver.lmdb.environment import Environment, Settings, View, join, leave
from rome.driver.lmdb.failures import failure
from rome.driver.lmdb.layout import (
    CELLS,
    COMMITS_KEY,
    COUNTERS,
    DIRECT_BYTES,
    NUMBER,
    Txn,
    delete_prefix,
    find,
    put,
)
from rome.driver.lmdb.locks import LmdbLocks, boot_id, check_locks
from rome.driver.lmdb.tallies import count_cells, forget, lay
from rome.driver.sizes import check_counter, check_keys, check_writes
from rome.errors import Conflict, DatabaseError, Deadlock, InterfaceError, NotSupportedError, ReadOnlyStore

T = TypeVar("T")

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
_NOTHING: list[list[Followed]] = []  # what a scan that follows nothing has found so: one for hundreds of them


def _answer(
    view: View,
    gets: Sequence[bytes],
    scans: Sequence[Scan],
    expect: Sequence[Expectation],
    ranges: Sequence[api.Range],
    long: set[api.Range],
) -> Reading:
    """What `view` has; ranges that were counted and are worth tallies are added to `long`."""
    txn = view.live()
    if expect:
        check_expectations(txn, view.version, expect)
    cells = cells_at(txn, gets)
    scanned, rows = _found(txn, scans)
    followed = [
        [_followed(txn, every) for every in scan.followed(found, behind)]
        if scan.follow
        else _NOTHING
        for scan, found, behind in zip(scans, scanned, rows, strict=True)
    ]
    counts: list[int] = []
    for start, stop in ranges:
        number, is_long = count_cells(txn, start, stop)
        counts.append(number)
        if is_long:
            long.add((start, stop))
    # Past the constructor, which takes longer than LMDB does to find a row.
    return tuple.__new__(Reading, (view.version, view, cells, scanned, rows, followed, counts))


def _found(txn: Txn, scans: Sequence[Scan]) -> tuple[list[list[Cell]], list[list[Cell | None] | None]]:
    """The cells that each of `scans` finds, and the rows that they name, where it asks for them."""
    scanned = scan_cells(txn, scans)
    named = [cell.value for scan, found in zip(scans, scanned, strict=True) if scan.dereference for cell in found]
    behind = iter(cells_at(txn, named))
    return scanned, [
        list(islice(behind, len(found))) if scan.dereference else None
        for scan, found in zip(scans, scanned, strict=True)
    ]


def _followed(txn: Txn, scans: Sequence[Scan]) -> list[Followed]:
    return [tuple.__new__(Followed, each) for each in zip(scans, *_found(txn, scans), strict=True)]


class LmdbDriver:
    """One handle on an LMDB store; see `rome.driver.api.Driver` for what each method promises."""

    traits = TRAITS

    def __init__(
        self,
        path: str,
        settings: Settings = Settings(),  # noqa: B008 - it is immutable
        clock: Callable[[], int] = time.monotonic_ns,
        boot: bytes | None = None,
    ) -> None:
        """Open the store in the directory `path`, made if only its parent exists.

        `clock` counts nanoseconds, alike in every process of the machine, since its start `boot`.
        """
        self._path = path
        self._clock = clock
        self._boot = boot_id() if boot is None else boot
        self._untallied: set[api.Range] = set()  # ranges that were counted and found long
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
        counts: Sequence[api.Range] = (),
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
                reading = _answer(view, gets, scans, expect, counts, self._untallied)
            if counts and self._untallied:
                self._tally()
            return reading
        except lmdb.Error as error:
            self.release(fresh)
            raise self._failure(error) from error.with_traceback(None)
        except Conflict as error:
            self.release(fresh)
            # Its frames would keep the transaction, and a forked child from opening the environment, while it lives.
            raise error.with_traceback(None) from None

    def _tally(self) -> None:
        """Lay tallies where a count has walked far; who counts there next does not.

        A count is right without them, so it does not fail where they cannot be written: a full disk is told by the
        next who has something to write.
        """
        long, self._untallied = self._untallied, set()
        if self._opened().settings.readonly:
            return

        def lay_each(txn: Txn) -> None:
            for start, stop in long:
                lay(txn, start, stop, commit_counter(txn))

        with suppress(DatabaseError):
            self._write(lay_each)

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        if not writes and not any(isinstance(each, ExpectLock) for each in expect):
            reading = self.read(expect=expect)
            self.release(reading.view)
            return reading.version
        check_writes(TRAITS, writes)

        def apply(txn: Txn) -> int:
            before = commit_counter(txn)
            check_locks(txn, self._boot, self._clock(), expect)
            check_expectations(txn, before, expect)
            if not writes:
                return before
            write_cells(txn, before + 1, writes)
            return before + 1

        return self._write(apply)

    def _write(self, change: Callable[[Txn], T]) -> T:
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

    def _look(self, at: Callable[[Txn], T]) -> T:
        """What `at` finds in the newest state."""
        view = None
        try:
            view = self._view()
            with view.lock:
                return at(view.live())
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
            forget(txn, prefix)
            for space in (CELLS, COUNTERS):
                delete_prefix(txn, space, prefix)
            txn.put(COMMITS_KEY, NUMBER.pack(version))
            return version

        self._write(remove)

    def lock(
        self, session: bytes, names: Sequence[bytes], ttl_ms: int, patience: Patience, label: bytes = b""
    ) -> Locking:
        check_keys(TRAITS, names)
        lock_table.check_session(session)
        ttl_ns = max(ttl_ms, TRAITS.min_ttl_ms) * 1_000_000

        def plan(locks: LmdbLocks, now_ns: int) -> lock_table.Plan:
            return lock_table.plan_of(locks, now_ns, session, names, ttl_ns, patience)

        def ask(txn: Txn) -> tuple[lock_table.Plan, int]:
            return plan(LmdbLocks(txn, self._boot), self._clock()), commit_counter(txn)

        def take(txn: Txn) -> tuple[lock_table.Plan, list[api.Standing], int]:
            locks, now_ns = LmdbLocks.to_change(txn, self._boot), self._clock()
            made = plan(locks, now_ns)
            standings = lock_table.carry_out(locks, now_ns, session, names, ttl_ns, label, made)
            return made, standings, commit_counter(txn)

        asked, version = self._look(ask)  # who waits would hold up every writer, and sync, were it to ask by writing
        standings = asked.standings
        if asked.changes:
            asked, standings, version = self._write(take)
        if asked.deadlock:
            raise Deadlock("transactions wait for each other's locks in a circle: run this one again")
        return Locking(standings, version)

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        ttl_ns = max(ttl_ms, TRAITS.min_ttl_ms) * 1_000_000
        return self._write(
            lambda txn: lock_table.renew(LmdbLocks.to_change(txn, self._boot), self._clock(), session, ttl_ns)
        )

    def unlock(self, session: bytes, names: Sequence[bytes] | None = None) -> None:
        self._write(lambda txn: lock_table.unlock(LmdbLocks.to_change(txn, self._boot), session, names))

    def locks(self, prefix: bytes = b"") -> list[Holding]:
        return self._look(lambda txn: lock_table.holdings(LmdbLocks(txn, self._boot), self._clock(), prefix))

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
