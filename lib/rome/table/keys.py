"""Every key of a namespace, on one page.

    namespace prefix    encode(namespace)                        one per database; several share a store
    ├── b"c"            the catalogue's version cell
    ├── b"n"            counter: catalogue versions and table ids
    ├── b"t" + encode(id)                                        the description of one table, view or sequence
    ├── b"x" + b"t", b"x" + b"d"                                 the same for temporary tables: never in the store
    └── b"d" + encode(table id)                                  everything a table holds ("table prefix"):
        ├── + encode(0) + encode(primary key)                    a row
        ├── + encode(0) + encode(row number)                     a row of a table without a primary key
        ├── + encode(index id) + encode(columns + primary key)   an index entry; its value is the row's key
        ├── + encode(index id) + encode(columns)                 the same in a UNIQUE index, no column NULL
        ├── + encode(-1)                                         counter: the AUTOINCREMENT sequence, or a SEQUENCE
        └── + encode(-2)                                         counter: row numbers

`encode` is keycode's; index ids count from 1. b"l" is left to locks. docs/keys.md has vectors.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from rome.errors import DataError
from rome.table import keycode
from rome.table.schema import Index, Table, View
from rome.table.schema import Sequence as Sequence_

MAX_INDEXED_BYTES = 3072
"""How many bytes the values in one index entry or primary key hold at most: MySQL's limit, strings in UTF-8."""


class _NoBound(enum.Enum):
    NO_BOUND = enum.auto()


NO_BOUND = _NoBound.NO_BOUND
"""The absence of a bound in `range_of`: None cannot say it, as NULL is a value in key order, the smallest."""

Bounds = tuple[bytes, bytes]  # start <= key < stop


class Keys:
    """The keys of one namespace. Nothing here reads or writes."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.namespace_prefix = keycode.encode((namespace,))
        self.catalog_version = self.namespace_prefix + b"c"
        self.catalog_counter = self.namespace_prefix + b"n"
        self._tables = self.namespace_prefix + b"t"
        self._data = self.namespace_prefix + b"d"
        self.catalog_range: Bounds = (self._tables, keycode.after(self._tables))
        self.private_prefix = self.namespace_prefix + b"x"  # what a connection keeps to itself
        self.private_catalog_range: Bounds = (self.private_prefix + b"t", self.private_prefix + b"u")
        self._table_prefixes: dict[int, bytes] = {}

    def table_cell(self, table_id: int) -> bytes:
        """Where the description of a table lies: by id, so that a rename does not move it."""
        return self._tables + keycode.encode((table_id,))

    def entry_cell(self, entry: Table | View | Sequence_) -> bytes:
        """Where the description of a table, a view or a sequence lies."""
        if isinstance(entry, Table) and entry.temporary:
            return self.private_prefix + b"t" + keycode.encode((entry.id,))
        return self.table_cell(entry.id)

    def table_prefix(self, table: Table) -> bytes:
        """What every key of the table's rows, entries and counters begins with."""
        found = self._table_prefixes.get(table.id)
        if found is None:
            data = self.private_prefix + b"d" if table.temporary else self._data
            found = self._table_prefixes[table.id] = data + keycode.encode((table.id,))
        return found

    def table_range(self, table: Table) -> Bounds:
        prefix = self.table_prefix(table)
        return prefix, keycode.after(prefix)

    def row_prefix(self, table: Table) -> bytes:
        return self.table_prefix(table) + b"\x14"

    def row_key(self, table: Table, primary_key: Sequence[object]) -> bytes:
        """The key of the row with these primary key values (or, without a primary key, this one row number)."""
        return self.table_prefix(table) + b"\x14" + keycode.encode(primary_key)

    def row_range(self, table: Table) -> Bounds:
        prefix = self.row_prefix(table)
        return prefix, keycode.after(prefix)

    def index_prefix(self, table: Table, index: Index) -> bytes:
        return self.table_prefix(table) + keycode.encode((index.id,))

    def index_range(self, table: Table, index: Index) -> Bounds:
        prefix = self.index_prefix(table, index)
        return prefix, keycode.after(prefix)

    def index_key(self, table: Table, index: Index, row: Sequence[object]) -> bytes:
        """The key of the entry of `row` (in column order; a row number behind it for a table without a primary key)."""
        position = table.position
        values = [shortened(row[position[column]], index.length(at)) for at, column in enumerate(index.columns)]
        if not index.unique or None in values:
            values += self.primary_values(table, row)
        return self.index_prefix(table, index) + keycode.encode(values)

    def unique_key(self, table: Table, index: Index, values: Sequence[object]) -> bytes:
        """The key of a UNIQUE index's entry for `values`, none of them NULL, in the index's column order."""
        return self.index_prefix(table, index) + keycode.encode(values)

    @staticmethod
    def primary_values(table: Table, row: Sequence[object]) -> list[object]:
        """What tells `row` from every other: its primary key, or the row number behind its columns."""
        if table.primary_key:
            return [row[place] for place in table.primary_positions]
        return [row[len(table.columns)]]

    def sequence_key(self, table: Table) -> bytes:
        """The counter of the table's AUTOINCREMENT numbers."""
        return self.table_prefix(table) + b"\x13\xfe"

    def numbers_key(self, sequence: Sequence_) -> bytes:
        """The counter of a sequence: how many numbers it has given."""
        return self._data + keycode.encode((sequence.id,)) + b"\x13\xfe"

    def row_number_key(self, table: Table) -> bytes:
        """The counter of the row numbers of a table without a primary key."""
        return self.table_prefix(table) + b"\x13\xfd"


def range_of(
    prefix: bytes,
    equals: Sequence[object] = (),
    low: object = NO_BOUND,
    low_inclusive: bool = True,
    high: object = NO_BOUND,
    high_inclusive: bool = True,
) -> Bounds:
    """The keys under `prefix` whose first values are `equals` and whose next value lies between `low` and `high`.

    `prefix` is a row prefix or an index prefix. NULL is a value, the smallest: a range that must leave it out says
    low=None, low_inclusive=False. The range is empty (start >= stop) when the bounds cross.
    """
    equal = prefix + keycode.encode(equals)
    if low is NO_BOUND:
        start = equal
    else:
        start = equal + keycode.encode((low,))
        if not low_inclusive:
            start = keycode.after(start)
    if high is NO_BOUND:
        return start, keycode.after(equal)
    stop = equal + keycode.encode((high,))
    return start, keycode.after(stop) if high_inclusive else stop


def range_starting(prefix: bytes, equals: Sequence[object], start: str | bytes) -> Bounds:
    """The keys under `prefix` whose first values are `equals` and whose next value, a string, begins with `start`."""
    low = prefix + keycode.encode((*equals, start))[:-1]  # without the end of the string
    return low, keycode.after(low)


def shortened(value: object, length: int) -> object:
    """What of `value` an index has that holds `length` characters of it; 0: all."""
    return value[:length] if length and isinstance(value, (str, bytes)) else value


def fits(value: object) -> bool:
    """Whether a key may hold `value`: one over MAX_INDEXED_BYTES by itself is in no index and no primary key."""
    if isinstance(value, str):
        return len(value) <= MAX_INDEXED_BYTES // 4 or _utf8_bytes(value) <= MAX_INDEXED_BYTES
    return not isinstance(value, bytes) or len(value) <= MAX_INDEXED_BYTES


def _utf8_bytes(value: str) -> int:
    return len(value.encode("utf-8", "surrogatepass"))


def check_size(where: str, values: Sequence[object]) -> None:
    """Raise DataError when `values`, about to be a key of `where`, hold over MAX_INDEXED_BYTES bytes."""
    size = 0
    for value in values:
        if isinstance(value, str):
            size += _utf8_bytes(value)
        elif isinstance(value, bytes):
            size += len(value)
    if size > MAX_INDEXED_BYTES:
        raise DataError(
            f"the values of {where} hold {size} bytes; an index or a primary key takes at most {MAX_INDEXED_BYTES}",
            sqlstate="22001",
        )
