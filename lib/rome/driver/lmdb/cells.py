"""Cells of an LMDB transaction: read one by one or by range, compared with what was expected, counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from rome.driver.api import Cell, Expectation, ExpectCell, ExpectRange, Scan, Write
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

COUNTED_EXACTLY = 1000  # `count` walks that many cells, 0.1 ms, and estimates the rest
_LONGEST_CELL = len(CELLS) + DIRECT_BYTES


def cells_at(txn: Txn, keys: Sequence[bytes]) -> list[Cell | None]:
    """The cells at `keys`, in their order."""
    get, version_of, new = txn.get, NUMBER.unpack_from, tuple.__new__
    cells: list[Cell | None] = []
    for key in keys:
        stored = get(CELLS + key) if len(key) <= DIRECT_BYTES else find(txn, CELLS, key)
        cells.append(None if stored is None else new(Cell, (key, stored[8:], version_of(stored)[0])))
    return cells


def scan_cells(txn: Txn, scan: Scan) -> list[Cell]:
    """What `scan` asks for; the values not followed."""
    start, stop, limit = scan.start, scan.stop, scan.limit
    if start >= stop or limit == 0:
        return []
    cells: list[Cell] = []
    version_of, new, append = NUMBER.unpack_from, tuple.__new__, cells.append
    if len(start) <= DIRECT_BYTES and len(stop) <= DIRECT_BYTES:
        low, high = CELLS + start, CELLS + stop
        entries = entries_from(txn.cursor(), low, high, scan.reverse)
        for physical, stored in entries if limit is None else islice(entries, limit):
            if not low <= physical < high:
                return cells
            if len(physical) > _LONGEST_CELL:
                cells.clear()
                break  # a long key: once more, the long way
            append(new(Cell, (physical[1:], stored[8:], version_of(stored)[0])))
        else:
            return cells
    for key, stored in islice(scan_long(txn, CELLS, start, stop, scan.reverse), limit):
        append(new(Cell, (key, stored[8:], version_of(stored)[0])))
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
        elif isinstance(expectation, ExpectRange) and expectation.version != version:
            # Were it the same, nothing would have been committed since the range was read.
            cells = scan_cells(txn, Scan(expectation.start, expectation.stop, len(expectation.keys) + 1))
            if len(cells) != len(expectation.keys) or any(cell.version > expectation.version for cell in cells):
                raise Conflict("a range that this transaction read has changed: run it again")


def count_cells(txn: Txn, start: bytes, stop: bytes) -> int:
    """How many cells lie in start <= key < stop: exact to COUNTED_EXACTLY, beyond it by where that one lies.

    The estimate takes keys to be spread evenly between the first and the last of the range.
    """
    if start >= stop:
        return 0
    if len(start) > DIRECT_BYTES or len(stop) > DIRECT_BYTES:
        return _count_long(txn, start, stop)
    low, high = CELLS + start, CELLS + stop
    cursor = txn.cursor()
    if not cursor.set_range(low):
        return 0
    first = cursor.key()
    for counted, reached in enumerate(cursor.iternext(values=False)):
        if reached >= high:
            return counted
        if len(reached) > _LONGEST_CELL:
            return _count_long(txn, start, stop)
        if counted == COUNTED_EXACTLY:
            break
    else:
        return counted + 1
    last = next(iter(entries_from(cursor, low, high, True)))[0]
    shared = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), 0)
    at_first, at_reached, at_last = (
        int.from_bytes(key[shared : shared + 8].ljust(8, b"\0"), "big") for key in (first, reached, last)
    )
    estimate = counted * (at_last - at_first) // max(1, at_reached - at_first) + 1
    return max(counted, min(estimate, txn.stat()["entries"]))


def _count_long(txn: Txn, start: bytes, stop: bytes) -> int:
    """As `count_cells` where a key may be long: the least of COUNTED_EXACTLY and the number."""
    return sum(1 for _ in islice(scan_long(txn, CELLS, start, stop, False), COUNTED_EXACTLY))
