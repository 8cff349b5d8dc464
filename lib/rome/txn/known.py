"""What a transaction knows of the store from what it has read: the answer to a read that asks for it again.

An answer from here needs no expectation of its own. A cell that a get brought, or that stands behind an index entry,
is expected as a cell; all that lies in a scanned range, and all that is missing there, is expected with the range. What
the transaction expects held together in the state of its last read, and is looked at once more at its commit: so every
answer is what that state would have given.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from operator import attrgetter
from typing import Final

import msgspec

from rome.driver.api import Cell, Followed, Range, Reading, Scan

# Beyond these everything is forgotten: knowledge saves round trips, and nothing rests on it.
MAX_CELLS: Final = 8192
MAX_BYTES: Final = 16 << 20


class Unknown(enum.Enum):
    """The answer to a get of a key that was not read."""

    UNKNOWN = 0


UNKNOWN: Final = Unknown.UNKNOWN

_Waiting = tuple[Sequence[bytes], Sequence[Scan], Reading]


class _Range(msgspec.Struct, frozen=True):
    """The cells of a range that was read whole, up to `stop`, in ascending order."""

    stop: bytes
    cells: list[Cell]


_key_of, _value_of = attrgetter("key"), attrgetter("value")


def size_of(reading: Reading) -> tuple[int, int]:
    """How many cells came back, what was followed left aside, and how many bytes their keys and values have."""
    found = chain(reading.cells, *reading.scans, *[rows for rows in reading.rows if rows])
    sizes = [len(cell.key) + len(cell.value) for cell in found if cell is not None]
    return len(sizes), sum(sizes)


class Known:
    """Cells and ranges as they are in the store, own writes left aside."""

    __slots__ = (
        "_brought", "_bytes", "_cells", "_counts", "_lengths", "_ranges", "_size", "_starts", "_waiting_cells",
        "_waiting_ends", "_waiting_ranges",
    )  # fmt: skip

    def __init__(self) -> None:
        self._cells: dict[bytes, Cell | None] = {}
        # Readings that are not in the rest of this yet: most are never asked for again.
        self._waiting_cells: list[_Waiting] = []
        self._waiting_ranges: list[_Waiting] = []
        self._waiting_ends: list[Range] = []  # of the waiting ranges of each reading, as far as someone asked
        # What the last reading that followed anything brought along, by where it starts; how long these starts are.
        self._brought: dict[bytes, Followed] = {}
        self._lengths: frozenset[int] = frozenset()
        self._counts: dict[Range, int] = {}
        self._size = 0  # how many cells and ranges were taken in
        # No range lies within another: those that start later stop later, too.
        self._starts: list[bytes] = []
        self._ranges: list[_Range] = []
        self._bytes = 0

    def __len__(self) -> int:
        """How many cells and ranges are known, those that were read twice counted twice."""
        return self._size

    def clear(self) -> None:
        """Forget everything."""
        self._cells.clear()
        self._waiting_cells.clear()
        self._waiting_ranges.clear()
        self._waiting_ends.clear()
        self._brought.clear()
        self._counts.clear()
        self._starts.clear()
        self._ranges.clear()
        self._size = self._bytes = 0

    def learn(self, gets: Sequence[bytes], scans: Sequence[Scan], reading: Reading, size: int) -> None:
        """Take in what one reading of `size` bytes saw. When that is too much nothing is known any more."""
        self._size += len(gets) + len(scans) + sum(map(len, reading.scans)) + sum([len(r) for r in reading.rows if r])
        self._bytes += size
        if self._size > MAX_CELLS or self._bytes > MAX_BYTES:
            self.clear()
            return
        self._waiting_cells.append((gets, scans, reading))
        self._waiting_ranges.append((gets, scans, reading))

    def bring(self, followed: Sequence[Sequence[Sequence[Followed]]], size: int) -> None:
        """Keep at hand what the scans of a reading of `size` bytes followed: most likely it is asked for next."""
        belonging = [each for follows in followed for every in follows for each in every]
        if size <= MAX_BYTES and len(belonging) + sum([len(each.cells) for each in belonging]) <= MAX_CELLS:
            self._brought = {each.scan.start: each for each in belonging}
            self._lengths = frozenset(map(len, self._brought))

    def brought(self, scans: Sequence[Scan]) -> list[Followed] | None:
        """What `scans` would find, if each lies within one that the last reading followed that followed any."""
        if not self._brought:
            return None
        found = []
        for scan in scans:
            each = self._came_along(scan)
            if each is None:
                return None
            found.append(each)
        return found

    def came_along(self, scans: Sequence[Scan]) -> list[Scan]:
        """Those of `scans` that `brought` would know by themselves."""
        return [scan for scan in scans if self._came_along(scan) is not None] if self._brought else []

    def _came_along(self, scan: Scan) -> Followed | None:
        start, stop = scan.start, scan.stop
        whole = self._brought.get(start)
        if whole is not None and whole.scan == scan:
            return whole
        if scan.reverse or scan.limit is not None:
            return None
        for length in self._lengths:
            whole = self._brought.get(start[:length])
            if whole is not None and stop <= whole.scan.stop and scan.dereference is whole.scan.dereference:
                places = [place for place, cell in enumerate(whole.cells) if start <= cell.key < stop]
                rows = None if whole.rows is None else [whole.rows[place] for place in places]
                return Followed(scan, [whole.cells[place] for place in places], rows)
        return None

    def learn_counts(self, counts: Iterable[tuple[Range, int]]) -> None:
        """So many cells are in these ranges, and expected."""
        self._counts.update(counts)

    def counted(self, ranges: Sequence[Range]) -> dict[Range, int]:
        """How many cells are in those of `ranges` of which that is known."""
        found = {each: self._counts[each] for each in ranges if each in self._counts}
        for each in ranges:
            if each not in found and (cells := self.scan(Scan(*each))) is not None:
                found[each] = len(cells)
        return found

    def learn_cells(self, cells: Mapping[bytes, Cell | None]) -> None:
        """`cells` (None: nothing) are at their keys, and expected."""
        self._take_in_cells()
        self._size += len(cells)
        self._cells |= cells

    def learn_empty(self, start: bytes, stop: bytes) -> None:
        """There is nothing in start <= key < stop, as follows from something that is expected."""
        if self._size < MAX_CELLS:
            self._take_in_ranges()
            self._size += 1
            self._add_range(Scan(start, stop), [])

    def _take_in_cells(self) -> None:
        known = self._cells
        for gets, _, reading in self._waiting_cells:
            known.update(zip(gets, reading.cells, strict=True))
            # Of hundreds of lookups most find one cell or none: they are taken in all together.
            cells = list(chain.from_iterable(reading.scans))
            known.update(zip(map(_key_of, cells), cells, strict=True))
            behind = [(found, rows) for found, rows in zip(reading.scans, reading.rows, strict=True) if rows]
            entries = chain.from_iterable([found for found, _ in behind])
            known.update(zip(map(_value_of, entries), chain.from_iterable([rows for _, rows in behind]), strict=True))
        self._waiting_cells.clear()

    def _take_in_ranges(self) -> None:
        for _, scans, reading in self._waiting_ranges:
            for scan, cells in zip(scans, reading.scans, strict=True):
                self._add_range(scan, cells)
        self._waiting_ranges.clear()
        self._waiting_ends.clear()

    def _add_range(self, scan: Scan, cells: list[Cell]) -> None:
        """What `scan` really looked at: one that filled its limit looked no further than its last cell."""
        start, stop = scan.start, scan.stop
        if scan.limit is not None and len(cells) >= scan.limit:
            if not cells:
                return
            if scan.reverse:
                start = cells[-1].key
            else:
                stop = cells[-1].key + b"\0"
        if start >= stop:
            return
        first = bisect_left(self._starts, start)
        if first and self._ranges[first - 1].stop >= stop:
            return
        last = first
        while last < len(self._starts) and self._ranges[last].stop <= stop:
            last += 1
        if last == first < len(self._starts) and self._starts[first] == start:
            return  # one that begins here goes further
        self._starts[first:last] = [start]
        self._ranges[first:last] = [_Range(stop, cells[::-1] if scan.reverse else cells)]

    def cell(self, key: bytes) -> Cell | Unknown | None:
        """The cell at `key`, None if it is known that there is none, else UNKNOWN."""
        if self._waiting_cells:
            self._take_in_cells()
        found = self._cells.get(key, UNKNOWN)
        if found is not UNKNOWN:
            return found
        if self._waiting_ranges and self._may_wait(key):
            self._take_in_ranges()
        if self._starts:
            place = bisect_right(self._starts, key) - 1
            if place >= 0 and key < self._ranges[place].stop:
                return None  # every cell of the range is in _cells
        return found

    def _may_wait(self, key: bytes) -> bool:
        """Whether `key` lies between the ends of what one of the waiting readings scanned."""
        for _, scans, _ in self._waiting_ranges[len(self._waiting_ends) :]:
            self._waiting_ends.append(
                (min([scan.start for scan in scans]), max([scan.stop for scan in scans])) if scans else (b"", b"")
            )
        return any([low <= key < high for low, high in self._waiting_ends])

    def cells(self, keys: Sequence[bytes]) -> dict[bytes, Cell | Unknown | None]:
        """`cell` for each of `keys`."""
        if not keys:
            return {}
        if self._waiting_cells:
            self._take_in_cells()
        if self._starts or self._waiting_ranges:
            return {key: self.cell(key) for key in keys}
        return dict(zip(keys, map(self._cells.get, keys, repeat(UNKNOWN)), strict=True))

    def scan(self, scan: Scan) -> list[Cell] | None:
        """The cells that `scan` would find, in its order; None if they are not all known."""
        start, stop, limit = scan.start, scan.stop, scan.limit
        if start >= stop or limit == 0:
            return []
        if self._waiting_ranges:
            self._take_in_ranges()
        if scan.reverse:
            return self._last(start, stop, limit)
        place = bisect_right(self._starts, start) - 1
        if place < 0:
            return None
        known = self._ranges[place]
        if known.stop <= start:
            return None
        first = bisect_left(known.cells, start, key=_key_of)
        after = len(known.cells) if known.stop <= stop else bisect_left(known.cells, stop, key=_key_of)
        if limit is not None and after - first >= limit:
            return known.cells[first : first + limit]
        return known.cells[first:after] if known.stop >= stop else None

    def _last(self, start: bytes, stop: bytes, limit: int | None) -> list[Cell] | None:
        # The range that reaches `stop` and starts first: of those that reach it the first one, as they stop in order.
        place = bisect_left(self._ranges, stop, key=lambda known: known.stop)
        if place == len(self._ranges):
            return None
        known = self._ranges[place]
        after = bisect_left(known.cells, stop, key=_key_of)
        first = bisect_left(known.cells, start, key=_key_of)
        if limit is not None and after - first >= limit:
            return known.cells[after - limit : after][::-1]
        return known.cells[first:after][::-1] if self._starts[place] <= start else None
