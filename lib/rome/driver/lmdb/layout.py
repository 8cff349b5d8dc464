"""How the cells, counters and locks lie in an LMDB file.

A physical key is a byte that tells what it is and then its name:

    00 "format"            what wrote this file, as text: FORMAT
    00 "commits"           the commit counter, 8 bytes
    00 "children"          the last child number given out, 8 bytes
    00 "boot"              the start of the machine that the sessions belong to, as text
    00 "tokens"            the last token of a lock given out, 8 bytes
    01 counter's key       a counter, 8 bytes, signed
    02 cell's key          a cell: its version, 8 bytes, then its value
    03 child number  rest  the rest of a long key of any other kind, below the child's 8-byte number
    04 lock's name         a lock: its token, 8 bytes, its holder, 16, and the sessions in its queue, 16 each
    05 session             a session, 16 bytes: when it runs out, in ns of the machine's clock, 8 bytes, then its label
    06 session  name       a lock that the session has (00) or waits for (01)
    07 cell's key          a tally: how many cells lie from here to the next one, 8 bytes, and the last commit that
                           changed one of them, 8; or nothing, where that is not known

Numbers are big-endian. LMDB takes keys of up to 511 bytes, so what comes after the first byte (03: after the child
number) has at most 500. Of a longer key the first 500 bytes and a zero byte are an entry whose value is a child number,
and the rest of the key goes on in that child's space, again by 500 bytes. A key of 501 bytes always is such an entry
and sorts after the key that is its first 500 bytes and before any that differs from them, so order is kept.

A *space* is what the physical keys of one kind begin with: CELLS, COUNTERS, LOCKS, SESSIONS, PLACES, TALLIES, or a
child's byte and number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import TypeAlias

import lmdb

Txn: TypeAlias = "lmdb.Transaction[bytes]"
Cursor: TypeAlias = "lmdb.Cursor[bytes]"

FORMAT, WITHOUT_TALLIES = "rome lmdb 2", "rome lmdb 1"  # what wrote the second would leave tallies as they are
COUNTERS, CELLS = b"\1", b"\2"
LOCKS, SESSIONS, PLACES = b"\4", b"\5", b"\6"
TALLIES = b"\7"  # the last there is: what follows a tally is another
_META, _CHILD = b"\0", b"\3"
FORMAT_KEY, COMMITS_KEY, _CHILDREN_KEY = _META + b"format", _META + b"commits", _META + b"children"
BOOT_KEY, TOKENS_KEY = _META + b"boot", _META + b"tokens"
DIRECT_BYTES = 500  # of a key, what one physical key holds
LONGEST_CELL = len(CELLS) + DIRECT_BYTES  # bytes of a physical key; what is longer leads to a child
NUMBER = struct.Struct(">Q")
_MARK = b"\0"  # ends the physical key of 501 bytes that leads to a child

Way = list[tuple[bytes, bytes]]  # from the outside in: an entry that leads to a child, and the child's space


def _descend(txn: Txn, space: bytes, key: bytes, make: bool = False) -> tuple[bytes, Way]:
    """The physical key of `key` and the way to it; b"" if the way ends before and `make` does not lengthen it."""
    way: Way = []
    while len(key) > DIRECT_BYTES:
        pointer = space + key[:DIRECT_BYTES] + _MARK
        child = txn.get(pointer)
        if child is None:
            if not make:
                return b"", way
            child = NUMBER.pack(NUMBER.unpack(txn.get(_CHILDREN_KEY, bytes(8)))[0] + 1)
            txn.put(_CHILDREN_KEY, child)
            txn.put(pointer, child)
        space = _CHILD + child
        way.append((pointer, space))
        key = key[DIRECT_BYTES:]
    return space + key, way


def find(txn: Txn, space: bytes, key: bytes) -> bytes | None:
    """What is stored at `key` of `space`; None if nothing is."""
    physical, _ = _descend(txn, space, key)
    return txn.get(physical) if physical else None


def put(txn: Txn, space: bytes, key: bytes, stored: bytes) -> None:
    """Store `stored` at `key` of `space`."""
    physical, _ = _descend(txn, space, key, make=True)
    txn.put(physical, stored)


def delete(txn: Txn, space: bytes, key: bytes) -> None:
    """Remove `key` of `space`, if it is there, and what only led to it."""
    physical, way = _descend(txn, space, key)
    if physical and txn.delete(physical):
        _prune(txn, way)


def _prune(txn: Txn, way: Way) -> None:
    """Remove, from the end of `way`, the entries that lead to empty children."""
    for pointer, space in reversed(way):
        with txn.cursor() as cursor:
            if cursor.set_range(space) and cursor.key().startswith(space):
                return
        txn.delete(pointer)


def delete_prefix(txn: Txn, space: bytes, prefix: bytes) -> None:
    """Remove every key of `space` that starts with `prefix`."""
    physical, way = _descend(txn, space, prefix)
    if physical:
        _delete_range(txn, len(way[-1][1]) if way else len(space), physical)
        _prune(txn, way)


def _delete_range(txn: Txn, space_bytes: int, prefix: bytes) -> None:
    children = []
    with txn.cursor() as cursor:
        cursor.set_range(prefix)
        while (physical := cursor.key()).startswith(prefix) and physical:
            if len(physical) - space_bytes > DIRECT_BYTES:
                children.append(_CHILD + cursor.value())
            cursor.delete()  # moves on to the next
    for child in children:
        _delete_range(txn, len(child), child)


def entries_from(cursor: Cursor, low: bytes, high: bytes, reverse: bool) -> Iterable[tuple[bytes, bytes]]:
    """Physical entries from the first of low <= key < high on, in the direction asked: stop where one is outside."""
    if reverse:
        found = cursor.prev() if cursor.set_range(high) else cursor.last()
        return cursor.iterprev() if found else ()
    return cursor.iternext() if cursor.set_range(low) else ()


def scan_long(
    txn: Txn, space: bytes, start: bytes, stop: bytes | None, reverse: bool, head: bytes = b""
) -> Iterator[tuple[bytes, bytes]]:
    """The (key, stored value) pairs of start <= key < stop in `space`, whose keys all begin with `head`.

    `stop` None is no bound. `head` is not part of `start` and `stop`.
    """
    low = space + start[:DIRECT_BYTES]
    low_pointer = None
    if len(start) > DIRECT_BYTES:
        low = low_pointer = low + _MARK
    high_pointer = None
    if stop is None:
        high = (int.from_bytes(space, "big") + 1).to_bytes(len(space), "big")
    else:
        high = space + stop[:DIRECT_BYTES]
        if len(stop) > DIRECT_BYTES:
            high_pointer = high + _MARK
            high = high_pointer + b"\0"  # the entry itself is walked: a part of its child is below `stop`
    for physical, stored in entries_from(txn.cursor(), low, high, reverse):
        if not low <= physical < high:
            return
        part = physical[len(space) :]
        if len(part) <= DIRECT_BYTES:
            yield head + part, stored
        else:
            below = start[DIRECT_BYTES:] if physical == low_pointer else b""
            above = stop[DIRECT_BYTES:] if stop is not None and physical == high_pointer else None
            yield from scan_long(txn, _CHILD + stored, below, above, reverse, head + part[:DIRECT_BYTES])
