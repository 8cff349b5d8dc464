"""AUTOINCREMENT numbers, and those of sequences, taken from the store in blocks.

The store keeps one counter per table, outside every transaction; a process takes the next 64 numbers and hands them
out from memory, then twice as many, and so on up to 1024. Numbers are never handed out twice, but not every number is
used, and two processes hand out theirs in no common order: what MySQL promises with innodb_autoinc_lock_mode=2.

An explicit value raises the counter, so that later blocks lie above it. A block that another process took earlier may
still hold that number: the insert finds it taken, gives up the block and goes on with a new one (`insert_numbered`).
An insert that needs to read nothing else does not look; then the commit finds it taken, which is a conflict. The replay
does look and gives up the block, so the transaction gets through when it is run again.

A table's id is never used again, so a table dropped and created anew counts from 1.

What the store counts, and what blocks are made of, are places; where an identity column or a sequence says so, the
number at a place is another one (`numbering`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from rome.errors import DataError, UniqueViolation
from rome.table import keycode
from rome.table import rows as table_rows
from rome.table.convert import integer_range
from rome.table.keys import Keys
from rome.table.numbering import number_at, place_of
from rome.table.rowcode import Row
from rome.table.schema import Catalog, Table
from rome.table.schema import Sequence as Sequence_
from rome.txn.transaction import Transaction
from rome.txn.wave import Step

T = TypeVar("T")

BLOCK_NUMBERS = 64
MOST_BLOCK_NUMBERS = 1024


class _Block(NamedTuple):
    start: int  # the next number to hand out
    stop: int  # the first that is not ours
    next_size: int  # of the block that is taken when this one is used up


_EMPTY = _Block(1, 1, BLOCK_NUMBERS)


class Sequences:
    """The blocks of one opened store; threads may share it, and a forked child begins with none."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._blocks: dict[int, _Block] = {}
        self._pid = os.getpid()

    def take(self, tx: Transaction, table: Table, count: int) -> list[int]:
        """The next `count` numbers of `table`, in their order; a replayed transaction gets the same again.

        Costs a round trip when the block is used up. DataError (22003, 2200H) past the column's last number.
        """
        numbers = table.numbering
        cache = None if numbers is None else numbers.cache
        places = self._take(tx, table.id, self._keys.sequence_key(table), count, cache)
        if numbers is not None:
            return [number_at(numbers, place, f'table "{table.name}"') for place in places]
        if places and places[-1] >= _limit(table):
            raise DataError(f'the AUTOINCREMENT numbers of table "{table.name}" are used up', sqlstate="22003")
        return places

    def next_value(self, tx: Transaction, sequence: Sequence_) -> int:
        """The next number of a sequence; a round trip, or one in so many as it is to `cache`."""
        cache = sequence.numbers.cache or 1
        [place] = self._take(tx, sequence.id, self._keys.numbers_key(sequence), 1, cache)
        return number_at(sequence.numbers, place, f'sequence "{sequence.name}"')

    def note(self, tx: Transaction, table: Table, value: int) -> None:
        """An explicit value was given: later numbers lie above it. Costs a round trip only above the known block."""
        numbers = table.numbering
        place = value if numbers is None else place_of(numbers, value)
        if place > 0 and tx.draw(lambda: self._passes(table, place), (table.id, place)):
            tx.increment(self._keys.sequence_key(table), 0, at_least=place)

    def discard(self, table: Table) -> None:
        """Give up the block of `table`: one of its numbers was taken by an explicit value elsewhere."""
        with self._lock:
            self._blocks.pop(table.id, None)

    def _take(self, tx: Transaction, id_: int, key: bytes, count: int, cache: int | None) -> list[int]:
        """The next `count` places of what `id_` numbers with the counter at `key`; `cache` of them a round trip."""
        places, size = tx.draw(lambda: self._from_block(id_, count), (id_, count))
        missing = count - len(places)
        if missing:
            later = min(2 * size, MOST_BLOCK_NUMBERS) if cache is None else cache
            size = max(size if cache is None else cache, missing)
            stop = tx.increment(key, size) + 1
            fresh = stop - size
            tx.draw(lambda: self._keep(id_, _Block(fresh + missing, stop, later)), (id_, stop))
            places = [*places, *range(fresh, fresh + missing)]
        return places

    def _from_block(self, id_: int, count: int) -> tuple[list[int], int]:
        """Up to `count` numbers that are at hand, and how many to take at least when these are too few."""
        with self._lock:
            block = self._block(id_)
            stop = min(block.start + count, block.stop)
            self._blocks[id_] = block._replace(start=stop)
            return list(range(block.start, stop)), block.next_size

    def _keep(self, id_: int, block: _Block) -> None:
        with self._lock:
            if self._block(id_).stop < block.stop:  # two threads may have taken a block each: keep the later one
                self._blocks[id_] = block

    def _passes(self, table: Table, value: int) -> bool:
        """Whether `value` lies above every place known to be given out; the block goes on behind it."""
        with self._lock:
            block = self._block(table.id)
            self._blocks[table.id] = block._replace(start=min(max(block.start, value + 1), block.stop))
            return value >= block.stop

    def _block(self, id_: int) -> _Block:
        if self._pid != os.getpid():
            self._blocks.clear()
            self._pid = os.getpid()
        return self._blocks.get(id_, _EMPTY)


def _limit(table: Table) -> int:
    """The first number that the AUTOINCREMENT column cannot hold."""
    return 1 << 63 if table.number_place is None else integer_range(table.columns[table.number_place].type)


def insert_numbered(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    sequences: Sequences,
    table: Table,
    rows: Sequence[Row],
    complete: Callable[[list[Row]], list[Row]] = list,
) -> Step[list[Row]]:
    """`rows.insert` for a table with an AUTOINCREMENT column: the rows as they were stored."""

    def insert(rows: list[Row], vacant: frozenset[bytes]) -> Step[list[Row]]:
        rows = complete(rows)
        yield from table_rows.insert(tx, keys, catalog, table, rows, vacant)
        return rows

    return numbered(tx, keys, sequences, table, rows, insert)


def numbered(
    tx: Transaction,
    keys: Keys,
    sequences: Sequences,
    table: Table,
    rows: Sequence[Row],
    write: Callable[[list[Row], frozenset[bytes]], Step[T]],
) -> Step[T]:
    """What `write` gives for `rows` with their numbers and for the keys that these make, which no one else can have.

    A row with None in the AUTOINCREMENT column gets the next number; any other value is kept and raises the sequence.
    """
    place = table.number_place
    assert place is not None
    numbers_of = table.numbering
    explicit = [row[place] for row in rows if row[place] is not None]
    if explicit:
        downwards = numbers_of is not None and numbers_of.increment < 0
        sequences.note(tx, table, min(explicit) if downwards else max(explicit))
    automatic = len(rows) - len(explicit)
    cycles = numbers_of is not None and numbers_of.cycle
    while True:
        replaying = tx.tape.replaying
        numbers = sequences.take(tx, table, automatic) if automatic else []
        ahead = iter(numbers)
        complete = [row if row[place] is not None else (*row[:place], next(ahead), *row[place + 1 :]) for row in rows]
        try:
            vacant = frozenset[bytes]()
            if not replaying and table.primary_positions == (place,) and not cycles:
                vacant = frozenset(map(keys.row_prefix(table).__add__, keycode.encode_each(numbers)))
            return (yield from write(complete, vacant))
        except UniqueViolation as error:
            column = table.columns[place].name
            if cycles or column not in error.columns or error.values[error.columns.index(column)] not in numbers:
                raise
            sequences.discard(table)
