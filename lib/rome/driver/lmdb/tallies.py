"""Tallies: how many cells lie between two keys, so that a long range is counted without walking its keys.

LMDB's tree does not know how many keys are below a page, as a counted B-tree does (Knuth, The Art of Computer
Programming, volume 3, 6.2.3, on rank in linear lists). Tallies are such counts beside the tree: each stands at the key
where a block of cells begins, which reaches up to the next one, and says how many cells the block holds and which
commit was the last to change one. A tally without numbers ends a stretch: what follows it is not tallied.

A stretch is laid where a range was counted and found long, as PostgreSQL's first reader of a row leaves a hint for the
next. All other cells cost a writer one look a commit. Keys longer than LMDB takes are never tallied: where one is
written, the stretch has a gap.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter

from rome.driver.api import Write
from rome.driver.lmdb.layout import CELLS, DIRECT_BYTES, LONGEST_CELL, TALLIES, Cursor, Txn, scan_long

BLOCK_CELLS = 1024  # of a block when it is laid; one that has grown to twice as many is laid anew
LONG_CELLS = 2 * BLOCK_CELLS  # walked in one range, that make it worth a stretch
_TALLY = struct.Struct(">QQ")  # cells, the last commit that changed one
_GAP = b""
WALKED_FIRST, WALKED_AT_ONCE = 16, 1024
_key_of = itemgetter(0)


def pieces(txn: Txn, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes, tuple[int, int] | None]]:
    """What start <= key < stop consists of: (first key, end, tally), None for what is not a whole tallied block."""
    low, stored = start, _GAP
    if len(start) <= DIRECT_BYTES and len(stop) <= DIRECT_BYTES:
        end = TALLIES + stop
        cursor = txn.cursor()
        for physical, follows in cursor.iternext() if cursor.set_range(TALLIES + start) else ():
            if physical > end:
                break
            key = physical[1:]
            if low < key:
                yield low, key, _TALLY.unpack(stored) if stored else None
            low, stored = key, follows
    if low < stop:
        yield low, stop, None


def count_cells(txn: Txn, start: bytes, stop: bytes) -> tuple[int, bool]:
    """How many cells lie in start <= key < stop, and whether so many were walked that a stretch is worth its while.

    A key walked takes some 0.1 µs, a block 0.5; no value is touched.
    """
    counted = walked = blocks = 0
    for low, high, tally in pieces(txn, start, stop):
        if tally is not None:
            counted += tally[0]
            blocks += 1
        elif (cells := _walk(txn, low, high)) is not None:
            walked += cells
        else:
            counted += sum(1 for _ in scan_long(txn, CELLS, low, high, False))
    sparse = blocks > 16 + 8 * counted // BLOCK_CELLS  # most of what the blocks held is gone
    return counted + walked, walked > LONG_CELLS or sparse


def _walk(txn: Txn, start: bytes, stop: bytes) -> int | None:
    """How many cells lie in start <= key < stop; None if one may have a long key."""
    if len(start) > DIRECT_BYTES or len(stop) > DIRECT_BYTES:
        return None
    walked = 0
    for some in _keys(txn, start, stop):
        if max(map(len, some)) > LONGEST_CELL:
            return None
        walked += len(some)
    return walked


def _keys(txn: Txn, start: bytes, stop: bytes) -> Iterator[list[bytes]]:
    """The physical keys of start <= key < stop, a thousand at once, and less at first: many ranges are short."""
    low, high = CELLS + start, CELLS + stop
    cursor = txn.cursor()
    keys = cursor.iternext(values=False) if cursor.set_range(low) else iter(())
    at_once = WALKED_FIRST
    while some := list(islice(keys, at_once)):
        at_once = WALKED_AT_ONCE
        if some[-1] >= high:
            del some[bisect_left(some, high) :]
            keys = iter(())
        if some:
            yield some


def lay(txn: Txn, start: bytes, stop: bytes, version: int) -> None:
    """Tally start <= key < stop, and what is left of the blocks that it begins and ends in; not if a key is long.

    No commit after `version` has changed these cells.
    """
    cursor = txn.cursor()
    first, _, stored = _block_at(cursor, start)
    if stored:
        start = first
    first, end, stored = _block_at(cursor, stop)
    if stored and first < stop and end is not None:  # a stretch has an end
        stop = end
    laid: list[tuple[bytes, bytes]] = []
    first, cells = start, 0
    for some in _keys(txn, start, stop):
        if max(map(len, some)) > LONGEST_CELL:
            return
        if cells + len(some) > BLOCK_CELLS:
            laid.append((TALLIES + first, _TALLY.pack(cells, version)))
            first, cells = some[0][1:], 0
        cells += len(some)
    laid.append((TALLIES + first, _TALLY.pack(cells, version)))
    while cursor.set_range(TALLIES + start) and cursor.key() < TALLIES + stop:
        cursor.delete()
    cursor.putmulti(laid)
    txn.put(TALLIES + stop, _GAP, overwrite=False)


def keep(txn: Txn, version: int, writes: Sequence[Write]) -> list[tuple[bytes, bytes]]:
    """Tell the tallies of what `writes` of the commit `version` are about to change.

    Returns where blocks become too large, (first key, end): `lay` them again when the writes are made.
    """
    cursor = txn.cursor()
    if not cursor.set_range(TALLIES) or not cursor.key().startswith(TALLIES):
        return []
    large: list[tuple[bytes, bytes]] = []
    ordered = sorted(writes, key=_key_of)
    at = 0
    while at < len(ordered):
        first, end, stored = _block_at(cursor, ordered[at][0][:DIRECT_BYTES])
        behind = len(ordered) if end is None else bisect_left(ordered, end, at, key=_key_of)
        if stored and end is not None:
            changed = ordered[at:behind]
            if any(len(key) > DIRECT_BYTES for key, _ in changed):
                stored = _GAP
            else:
                cells = _TALLY.unpack(stored)[0]
                cells += sum((value is not None) - (txn.get(CELLS + key) is not None) for key, value in changed)
                stored = _TALLY.pack(cells, version)
                if cells > 2 * BLOCK_CELLS:
                    large.append((first, end))
            txn.put(TALLIES + first, stored)
        at = behind
    return large


def forget(txn: Txn, prefix: bytes) -> None:
    """Leave a gap where blocks hold keys that start with `prefix`, which are about to go."""
    prefix = prefix[:DIRECT_BYTES]
    cursor = txn.cursor()
    first, _, stored = _block_at(cursor, prefix)
    low = TALLIES + prefix
    while cursor.set_range(low) and cursor.key().startswith(low):
        cursor.delete()
    if prefix and (stored or first == prefix):  # else the block before would reach further than it did
        txn.put(TALLIES + first, _GAP)


def _block_at(cursor: Cursor, key: bytes) -> tuple[bytes, bytes | None, bytes]:
    """The block or gap that `key` is in: (first key, end, tally as stored); without a tally before it, from b"" on.

    `end` is None where no tally follows.
    """
    sought = TALLIES + key
    if not cursor.set_range(sought):
        cursor.last()
    elif cursor.key() != sought:
        cursor.prev()
    physical, stored = cursor.item()
    first, stored = (physical[1:], stored) if physical.startswith(TALLIES) else (b"", _GAP)
    return first, cursor.key()[1:] if cursor.next() else None, stored
