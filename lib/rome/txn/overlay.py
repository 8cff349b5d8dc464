"""The write side of a transaction: its buffered writes, laid over what it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import structs
from sortedcontainers import SortedList

from rome.driver.api import Cell, Scan
from rome.txn.view import Ahead, View
from rome.txn.wave import Wave, WaveResult

_ABSENT: Final = object()  # in the undo log: the key was not in the overlay


class Overlay:
    """The buffered writes of a transaction, and an undo log for its savepoints."""

    __slots__ = ("_order", "_undo", "_unordered", "cells")

    def __init__(self) -> None:
        self.cells: dict[bytes, bytes | None] = {}  # None: deleted
        self._undo: list[tuple[bytes, object]] = []
        # The keys in order, made at the first scan that needs it; later keys wait in _unordered for the next one.
        self._order: SortedList | None = None
        self._unordered: list[bytes] = []

    def put(self, key: bytes, value: bytes | None) -> None:
        """Buffer one write."""
        before = self.cells.get(key, _ABSENT)
        if before is _ABSENT and self._order is not None:
            self._unordered.append(key)
        self._undo.append((key, before))
        self.cells[key] = value

    def put_all(self, cells: Mapping[bytes, bytes | None]) -> None:
        """Buffer the writes of `cells`."""
        own = self.cells
        if own.keys().isdisjoint(cells):
            self._undo += [(key, _ABSENT) for key in cells]
            if self._order is not None:
                self._unordered += cells
            own |= cells
        else:
            for key, value in cells.items():
                self.put(key, value)

    @property
    def mark(self) -> int:
        """A place in the undo log, for `undo`; it grows with every write."""
        return len(self._undo)

    def undo(self, mark: int) -> None:
        """Take back every write made since `mark`."""
        while len(self._undo) > mark:
            key, before = self._undo.pop()
            if before is _ABSENT:
                del self.cells[key]
                self._order = None
            else:
                self.cells[key] = before  # type: ignore[assignment]

    def read(self, view: View, wave: Wave, ahead: Ahead | None = None) -> WaveResult:
        """Read through `view` in one round trip (none if the overlay answers all), own writes laid over the answer."""
        own = self.cells
        gets, scans, vacant, counts = wave
        if not scans and not counts:
            return self._read_cells(view, wave, ahead)
        asked = [key for key in gets if key not in own]
        touched = [self._between(scan) for scan in scans]
        widened = [_widened(scan, keys, own) if keys else scan for scan, keys in zip(scans, touched, strict=True)]
        entries_only_here = {
            value: None  # a dict, for its order: the reads of a wave are the same from run to run
            for scan, keys in zip(scans, touched, strict=True)
            if scan.dereference
            for value in self._first_values(keys, scan.limit)
            if value not in own
        }
        unwritten = [key for key in vacant if key not in own]
        written = [self._between(Scan(start, stop)) for start, stop in counts]
        hidden = dict.fromkeys(key for keys in written for key in keys)  # what the store has there does not count
        reading = view.read(Wave((*asked, *entries_only_here, *hidden), widened, unwritten, counts), ahead)
        stored = iter(reading.cells)
        cells = [self._own_cell(key) if key in own else next(stored) for key in gets]
        rows_here = {key: next(stored) for key in entries_only_here}
        stored_there = {key for key in hidden if next(stored) is not None}
        cells += [self._own_cell(key) if key in own else next(stored) for key in vacant]
        found_scans: list[list[Cell]] = []
        found_rows: list[list[Cell | None] | None] = []
        for scan, keys, found, rows in zip(scans, touched, reading.scans, reading.rows, strict=True):
            if keys:
                found, rows = self._merged(scan, keys, found, rows, rows_here)
            elif rows is not None:
                rows = [
                    self._own_cell(entry.value) if entry.value in own else row
                    for entry, row in zip(found, rows, strict=True)
                ]
            found_scans.append(found)
            found_rows.append(rows)
        counted = tuple(
            number + sum((own[key] is not None) - (key in stored_there) for key in keys)
            for number, keys in zip(reading.counts, written, strict=True)
        )
        return WaveResult(cells, found_scans, found_rows, counted)

    def _read_cells(self, view: View, wave: Wave, ahead: Ahead | None) -> WaveResult:
        """`read` without scans."""
        own = self.cells
        asked = [key for key in wave.gets if key not in own]
        unwritten = [key for key in wave.vacant if key not in own]
        found: Sequence[Cell | None] = ()
        if asked or unwritten:
            found = view.read(Wave(asked, (), unwritten), ahead).cells
        stored = iter(found)
        cells = [self._own_cell(key) if key in own else next(stored) for key in (*wave.gets, *wave.vacant)]
        return WaveResult(cells, [], [])

    def _own_cell(self, key: bytes) -> Cell | None:
        value = self.cells[key]
        return None if value is None else Cell(key, value, 0)  # version 0: no commit has given it one

    def _between(self, scan: Scan) -> list[bytes]:
        """The overlay's keys in the scan's range, in the scan's direction."""
        if self._order is None:
            self._order = SortedList(self.cells)
        elif self._unordered:
            self._order.update(self._unordered)
        self._unordered.clear()
        return list(self._order.irange(scan.start, scan.stop, (True, False), scan.reverse))

    def _first_values(self, keys: list[bytes], limit: int | None) -> Iterator[bytes]:
        """The values of the first `limit` of `keys` that are not deleted: no later one can be in the answer."""
        left = len(keys) if limit is None else limit
        for key in keys:
            value = self.cells[key]
            if value is not None:
                if left <= 0:
                    return
                left -= 1
                yield value

    def _merged(
        self,
        scan: Scan,
        keys: list[bytes],
        found: list[Cell],
        rows: list[Cell | None] | None,
        rows_here: dict[bytes, Cell | None],
    ) -> tuple[list[Cell], list[Cell | None] | None]:
        """`found` (and the `rows` behind it) with the overlay's `keys` laid over, cut to the scan's limit."""
        own = self.cells
        behind: dict[bytes, Cell | None] = {}  # by row key; own rows win
        if rows is not None:
            behind = {entry.value: row for entry, row in zip(found, rows, strict=True)} | rows_here
        merged = [cell for cell in found if cell.key not in own]
        merged += [cell for cell in map(self._own_cell, keys) if cell is not None]
        merged.sort(key=lambda cell: cell.key, reverse=scan.reverse)
        if scan.limit is not None:
            del merged[scan.limit :]
        if rows is None:
            return merged, None
        return merged, [self._own_cell(entry.value) if entry.value in own else behind[entry.value] for entry in merged]


def _widened(scan: Scan, keys: list[bytes], own: dict[bytes, bytes | None]) -> Scan:
    """`scan` with room for the stored cells that own deletes among `keys` will hide."""
    if not scan.limit:
        return scan
    hidden = sum(own[key] is None for key in keys)
    return structs.replace(scan, limit=scan.limit + hidden) if hidden else scan
