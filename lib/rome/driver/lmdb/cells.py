"""Cells of an LMDB transaction: read one by one or by range, written, compared with what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from rome.driver.api import Cell, Expectation, ExpectCell, ExpectCount, ExpectRange, Scan, Write
from rome.driver.lmdb import tallies
from rome.driver.lmdb.layout import (
    CELLS,
    COMMITS_KEY,
    DIRECT_BYTES,
    LONGEST_CELL,
    NUMBER,
    Txn,
    delete,
    entries_from,
    find,
    put,
    scan_long,
)
from rome.errors import Conflict


def cells_at(txn: Txn, keys: Sequence[bytes]) -> list[Cell | None]:
    """The cells at `keys`, in their order."""
    get, version_of = txn.get, NUMBER.unpack_from
    cells: list[Cell | None] = []
    for key in keys:
        stored = get(CELLS + key) if len(key) <= DIRECT_BYTES else find(txn, CELLS, key)
        cells.append(None if stored is None else Cell(key, stored[8:], version_of(stored)[0]))
    return cells


def scan_cells(txn: Txn, scans: Sequence[Scan]) -> list[list[Cell]]:
    """What each of `scans` asks for; the values not followed."""
    cursor, version_of = txn.cursor(), NUMBER.unpack_from
    found: list[list[Cell]] = []
    for scan in scans:
        start, stop, limit = scan.start, scan.stop, scan.limit
        cells: list[Cell] = []
        found.append(cells)
        if start >= stop or limit == 0:
            continue
        if len(start) > DIRECT_BYTES or len(stop) > DIRECT_BYTES:
            cells += _long_cells(txn, scan)
            continue
        low, high = CELLS + start, CELLS + stop
        entries = entries_from(cursor, low, high, scan.reverse)
        for physical, stored in entries if limit is None else islice(entries, limit):
            if not low <= physical < high:
                break
            if len(physical) > LONGEST_CELL:
                cells[:] = _long_cells(txn, scan)
                break
            cells.append(Cell(physical[1:], stored[8:], version_of(stored)[0]))
    return found


def _long_cells(txn: Txn, scan: Scan) -> Iterator[Cell]:
    """What `scan` asks for, where it may meet keys that one physical key does not hold."""
    for key, stored in islice(scan_long(txn, CELLS, scan.start, scan.stop, scan.reverse), scan.limit):
        yield Cell(key, stored[8:], NUMBER.unpack_from(stored)[0])


def commit_counter(txn: Txn) -> int:
    """The commit counter."""
    return int.from_bytes(txn.get(COMMITS_KEY, b""), "big")


def write_cells(txn: Txn, version: int, writes: Sequence[Write]) -> None:
    """Apply `writes`, which are the commit `version`."""
    large = tallies.keep(txn, version, writes)
    stamp = NUMBER.pack(version)
    entries: list[tuple[bytes, bytes]] = []
    for key, value in writes:
        if value is None:
            delete(txn, CELLS, key)
        elif len(key) <= DIRECT_BYTES:
            entries.append((CELLS + key, stamp + value))
        else:
            put(txn, CELLS, key, stamp + value)
    entries.sort()  # the next key most likely belongs on the page where the last one went
    txn.cursor().putmulti(entries)
    for start, stop in large:
        tallies.lay(txn, start, stop, version)
    txn.put(COMMITS_KEY, stamp)


def check_expectations(txn: Txn, version: int, expect: Sequence[Expectation]) -> None:
    """Raise Conflict unless every one of a cell or range holds in `txn`, whose commit counter is `version`."""
    get, no_cell = txn.get, bytes(8)
    for expectation in expect:
        if isinstance(expectation, ExpectCell):
            key = expectation.key
            stored = get(CELLS + key, no_cell) if len(key) <= DIRECT_BYTES else find(txn, CELLS, key) or no_cell
            if NUMBER.unpack_from(stored)[0] != expectation.version:
                raise Conflict("a row that this transaction read has changed: run it again")
        elif isinstance(expectation, (ExpectRange, ExpectCount)) and _has_changed(txn, version, expectation):
            raise Conflict("a range that this transaction read has changed: run it again")


def _has_changed(txn: Txn, version: int, expected: ExpectRange | ExpectCount) -> bool:
    """Whether the range holds another number of cells, or one that was written since."""
    if version == expected.version:  # nothing has been committed since it was read
        return False
    left = expected.cells
    for start, stop, tally in tallies.pieces(txn, expected.start, expected.stop):
        if tally is not None and tally[1] <= expected.version:
            left -= tally[0]
            continue
        [cells] = scan_cells(txn, [Scan(start, stop, left + 1)])
        if len(cells) > left or any(cell.version > expected.version for cell in cells):
            return True
        left -= len(cells)
    return left != 0
