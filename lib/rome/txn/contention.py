"""Where transactions meet: what a replay queues for, by the row leases that FOR UPDATE takes too.

A store says that a commit met a conflict, not over what. But a transaction and its replay have read the same places one
after the other, and what had changed in between is what others are writing. A cell's lease has the cell's key for its
name, a range's the key that the range begins with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

from rome.driver.api import Expectation, ExpectCell, ExpectCount, ExpectRange

HOT_S: Final = 1.0  # so long after its transactions had to queue somewhere, a process's next ones queue there at once
MAX_NAMES: Final = 8  # that one transaction queues for: who meets others in more places gets by without
MAX_PLACES: Final = 1024  # of a transaction that is looked at; and that a process remembers
AGAIN_S: Final = 15.0  # within which an application runs again what was refused; oslo.db waits 10 s at most

Places = dict[bytes, tuple[object, ...]]
"""What was read, by the name of its lease: a cell's version, a range's end and its keys, or how many."""


def places(expectations: Iterable[Expectation]) -> Places:
    """Where a transaction looked that expects this; nothing if that is too much to look at."""
    found: Places = {}
    for expectation in expectations:
        match expectation:
            case ExpectCell(key=key, version=version):
                found[key] = (version,)
            case ExpectRange(start=start, stop=stop, keys=keys):
                found[start] = (stop, keys)
            case ExpectCount(start=start, stop=stop, cells=cells):
                found[start] = (stop, cells)
        if len(found) > MAX_PLACES:
            return {}
    return found


def changed(before: Places, after: Places) -> list[bytes]:
    """The places that were otherwise when they were looked at again.

    If there is none, the cells of a range were written and not looked at one by one: then all ranges.
    """
    both = sorted(before.keys() & after.keys())
    found = [name for name in both if before[name] != after[name]]
    return (found or [name for name in both if len(after[name]) > 1])[:MAX_NAMES]


class HotPlaces:
    """Where transactions of this process had to queue lately."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._until_s: dict[bytes, float] = {}
        self._latest_s = 0.0  # when the last of them is forgotten
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        """Whether there is any; every commit asks."""
        return bool(self._until_s) and self._clock() < self._latest_s

    def add(self, names: Iterable[bytes]) -> None:
        """Remember `names` for HOT_S from now."""
        now_s = self._clock()
        with self._lock:
            if len(self._until_s) > MAX_PLACES:
                self._until_s = {name: until_s for name, until_s in self._until_s.items() if until_s > now_s}
            if len(self._until_s) <= MAX_PLACES:
                self._latest_s = now_s + HOT_S
                self._until_s.update(dict.fromkeys(names, self._latest_s))

    def among(self, found: Places) -> list[bytes]:
        """Those of `found` that are hot."""
        now_s = self._clock()
        with self._lock:
            hot = [name for name in found.keys() & self._until_s.keys() if self._until_s[name] > now_s]
        return sorted(hot)[:MAX_NAMES]


class Refusals:
    """Where the transaction that was last refused in each thread had met others, and what it began with."""

    def __init__(self, clock: Callable[[], float], thread: Callable[[], int] = threading.get_ident) -> None:
        """`clock` is monotonic, in seconds; `thread` tells the present one."""
        self._clock = clock
        self._thread = thread
        self._latest: dict[int, tuple[object, list[bytes], float]] = {}

    def __bool__(self) -> bool:
        """Whether there is any; every transaction asks."""
        return bool(self._latest)

    def add(self, first: object, names: Iterable[bytes]) -> None:
        """One that began with `first` was refused for what others had changed at `names`."""
        now_s = self._clock()
        if len(self._latest) >= MAX_PLACES:
            self._latest = {thread: each for thread, each in self._latest.items() if each[2] > now_s}
        if len(self._latest) < MAX_PLACES:
            self._latest[self._thread()] = (first, list(names)[:MAX_NAMES], now_s + AGAIN_S)

    def take(self, first: object) -> list[bytes]:
        """The names, if the present thread begins again what was refused; once."""
        began_with, names, until_s = self._latest.get(self._thread(), (None, [], 0.0))
        if not names or began_with != first:
            return []
        self._latest.pop(self._thread(), None)
        return names if self._clock() < until_s else []
