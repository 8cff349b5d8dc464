"""Bugs planted on purpose: a store or a replay that breaks one promise, for the checker to notice.

Each is a context in which connections that are opened, in this process, have the bug.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from rome import database
from rome.config import StoreURL
from rome.driver.api import Driver, Expectation, ExpectCell, ExpectCount, ExpectRange, Range, Reading, Scan, View, Write
from rome.driver.open import open_store
from rome.txn import retry
from rome.txn.transaction import Transaction


class Honest:
    """A driver around `store` that passes everything on; a bug overrides what it breaks."""

    def __init__(self, store: Driver) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: View | None = None,
        counts: Sequence[Range] = (),
    ) -> Reading:
        return self.store.read(gets, scans, expect, view, counts)

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        return self.store.commit(expect, writes, mark)


class RangesNotExpected(Honest):
    """Phantoms: an insert into a range that was read is no conflict."""

    def read(self, gets: Any = (), scans: Any = (), expect: Any = (), view: Any = None, counts: Any = ()) -> Reading:
        return self.store.read(gets, scans, self._cells(expect), view, counts)

    def commit(self, expect: Any, writes: Any, mark: bytes = b"") -> int:
        return self.store.commit(self._cells(expect), writes, mark)

    @staticmethod
    def _cells(expect: Any) -> list[Any]:
        return [each for each in expect if not isinstance(each, (ExpectRange, ExpectCount))]


class CellsNotExpected(Honest):
    """A cell that was read and has changed is no conflict."""

    def read(self, gets: Any = (), scans: Any = (), expect: Any = (), view: Any = None, counts: Any = ()) -> Reading:
        cells = [each for each in expect if not isinstance(each, ExpectCell)]
        return self.store.read(gets, scans, cells, view, counts)

    def commit(self, expect: Any, writes: Any, mark: bytes = b"") -> int:
        return self.store.commit([each for each in expect if not isinstance(each, ExpectCell)], writes, mark)


class ReadsOfSeveralStates(Honest):
    """Every read sees the newest state, whatever was read before; commits are checked."""

    def read(self, gets: Any = (), scans: Any = (), expect: Any = (), view: Any = None, counts: Any = ()) -> Reading:
        reading = self.store.read(gets, scans, counts=counts)
        self.store.release(reading.view)
        return reading._replace(view=None)


class CommitInTwoHalves(Honest):
    """Half of the writes can be seen before the others are made."""

    def commit(self, expect: Any, writes: Any, mark: bytes = b"") -> int:
        half = (len(writes) + 1) // 2
        version = self.store.commit(expect, writes[:half], mark)
        os.sched_yield()
        return self.store.commit((), writes[half:], os.urandom(len(mark))) if writes[half:] else version


class CommitsLost(Honest):
    """One commit in twenty is acknowledged and never made."""

    commits = 0

    def commit(self, expect: Any, writes: Any, mark: bytes = b"") -> int:
        self.commits += 1
        return self.store.commit(expect, () if self.commits % 20 == 0 else writes, mark)


class StaleCache(Honest):
    """What was read is answered again, up to three times, though it may have changed; commits are checked."""

    def __init__(self, store: Driver) -> None:
        super().__init__(store)
        self._kept: dict[object, tuple[Reading, int]] = {}
        self._lock = threading.Lock()

    def read(self, gets: Any = (), scans: Any = (), expect: Any = (), view: Any = None, counts: Any = ()) -> Reading:
        asked = tuple(gets), tuple(scans), tuple(counts)
        with self._lock:
            reading, left = self._kept.pop(asked, (None, 4))
            if reading is None:
                reading = self.store.read(gets, scans, counts=counts)
                self.store.release(reading.view)
                reading = reading._replace(view=None)
            if left > 1:
                self._kept[asked] = reading, left - 1
            return reading


def _careless(entry: retry.Entry, fresh: Transaction) -> None:
    """A replay that looks at no answer."""
    entry.run(fresh)


DRIVERS: dict[str, type[Honest]] = {
    "ranges not expected": RangesNotExpected,
    "cells not expected": CellsNotExpected,
    "reads of several states": ReadsOfSeveralStates,
    "a commit in two halves": CommitInTwoHalves,
    "commits lost": CommitsLost,
    "a stale cache": StaleCache,
}
CARELESS_REPLAY = "a replay that ignores another answer"
BUGS = (*DRIVERS, CARELESS_REPLAY)


_here: list[str] = []


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """The bug called `bug`, in this process; nothing if it is empty, or there already."""
    if not bug or bug in _here:
        yield
        return
    _here.append(bug)
    with pytest.MonkeyPatch.context() as patch:
        if bug == CARELESS_REPLAY:
            patch.setattr(retry, "_replay", _careless)
        else:
            around = DRIVERS[bug]
            patch.setattr(database, "open_store", lambda url: _around(around, url))
        yield
    _here.remove(bug)


def _around(bug: type[Honest], url: StoreURL) -> Any:
    return bug(open_store(url))
