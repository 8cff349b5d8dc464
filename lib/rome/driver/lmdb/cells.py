"""Cells of an LMDB transaction: read one by one or by range, compared with what was expected, counted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice

from rome.driver.api import Cell, Expectation, ExpectCell, ExpectCount, ExpectRange, Scan, Write
from rome.driver.lmdb.layout import (
    CELLS,
    COMMITS_KEY,
    DIRECT_BYTES,
    NUMBER,
    Txn,
    delete,
    entries_from,
    find,
    put,
    scan_long,
)
from rome.errors import Conflict

_COUNTED_FIRST, _COUNTED_AT_ONCE = 16, 1024
_LONGEST_CELL = len(CELLS) + DIRECT_BYTES


def cells_at(txn: Txn, keys: Sequence[bytes]) -> list[Cell | None]:
    """The cells at `keys`, in their order."""
    get, version_of = txn.get, NUMBER.unpack_from
    cells: list[Cell | None] = []
    for key in keys:
        stored = get(CELLS + key) if len(key) <= DIRECT_BYTES else find(txn, CELLS, key)
        cells.append(None if stored is None else Cell(key, stored[8:], version_of(stored)[0]))
    return cells


def scan_cells(txn: Txn, scan: Scan) -> list[Cell]:
    """What `scan` asks for; the values not followed."""
    start, stop, limit = scan.start, scan.stop, scan.limit
    if start >= stop or limit == 0:
        return []
    cells: list[Cell] = []
    version_of, append = NUMBER.unpack_from, cells.append
    if len(start) <= DIRECT_BYTES and len(stop) <= DIRECT_BYTES:
        low, high = CELLS + start, CELLS + stop
        entries = entries_from(txn.cursor(), low, high, scan.reverse)
        for physical, stored in entries if limit is None else islice(entries, limit):
            if not low <= physical < high:
                return cells
            if len(physical) > _LONGEST_CELL:
                cells.clear()
                break  # a long key: once more, the long way
            append(Cell(physical[1:], stored[8:], version_of(stored)[0]))
        else:
            return cells
    for key, stored in islice(scan_long(txn, CELLS, start, stop, scan.reverse), limit):
        append(Cell(key, stored[8:], version_of(stored)[0]))
    return cells


def commit_counter(txn: Txn) -> int:
    """The commit counter."""
    return int.from_bytes(txn.get(COMMITS_KEY, b""), "big")


def write_cells(txn: Txn, stamp: bytes, writes: Sequence[Write]) -> None:
    """Apply `writes`; what is written begins with `stamp`."""
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


def check_expectations(txn: Txn, version: int, expect: Sequence[Expectation]) -> None:
    """Raise Conflict unless every one of a cell or range holds in `txn`, whose commit counter is `version`."""
    get, no_cell = txn.get, bytes(8)
    for expectation in expect:
        if isinstance(expectation, ExpectCell):
            key = expectation.key
            stored = get(CELLS + key, no_cell) if len(key) <= DIRECT_BYTES else find(txn, CELLS, key) or no_cell
            if NUMBER.unpack_from(stored)[0] != expectation.version:
                raise Conflict("a row that this transaction read has changed: run it again")
        elif isinstance(expectation, (ExpectRange, ExpectCount)) and expectation.version != version:
            # Were it the same, nothing would have been committed since the range was read.
            cells = scan_cells(txn, Scan(expectation.start, expectation.stop, expectation.cells + 1))
            if len(cells) != expectation.cells or any(cell.version > expectation.version for cell in cells):
                raise Conflict("a range that this transaction read has changed: run it again")


def count_cells(txn: Txn, start: bytes, stop: bytes) -> int:
    """How many cells lie in start <= key < stop: their keys are walked, some 0.1 µs each, and no value is touched."""
    if start >= stop:
        return 0
    if len(start) <= DIRECT_BYTES and len(stop) <= DIRECT_BYTES:
        low, high = CELLS + start, CELLS + stop
        cursor = txn.cursor()
        keys = cursor.iternext(values=False) if cursor.set_range(low) else iter(())
        counted, at_once = 0, _COUNTED_FIRST
        while some := list(islice(keys, at_once)):
            at_once = _COUNTED_AT_ONCE
            if some[-1] >= high:
                del some[bisect_left(some, high) :]
                keys = iter(())
            if some and max(map(len, some)) > _LONGEST_CELL:
                break  # a long key: once more, the long way
            counted += len(some)
        else:
            return counted
    return sum(1 for _ in scan_long(txn, CELLS, start, stop, False))
