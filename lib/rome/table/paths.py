"""What INSERT, UPDATE and DELETE on a table must touch, worked out once per table and catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from rome.driver.api import Cell
from rome.errors import InternalError
from rome.table import keycode, rowcode
from rome.table.keys import MAX_INDEXED_BYTES, Keys, check_size, shortened
from rome.table.rowcode import Row
from rome.table.schema import Catalog, ForeignKey, Index, Table


@dataclass(frozen=True, slots=True)
class KeyPath:
    """How the key of a row, or of one of its index entries, is made from the row's values."""

    prefix: bytes
    places: tuple[int, ...]  # of the indexed columns in the row
    identity: tuple[int, ...]  # of what tells rows apart: the primary key's columns, or the row number
    unique: bool
    name: str  # what an error calls it
    constraint: str | None  # the constraint that a duplicate breaks
    columns: tuple[str, ...]
    lengths: tuple[int, ...] = ()  # as of the index

    def key(self, row: Row, identity: bytes | None = None) -> tuple[bytes, bool]:
        """The key for `row`, and whether no other row may have it; `identity` is encoded where the caller has it."""
        values = [row[place] for place in self.places]
        if self.lengths:
            values = list(map(shortened, values, self.lengths))
        encoded = keycode.encode(values)
        if len(encoded) > MAX_INDEXED_BYTES:
            check_size(self.name, values)
        if self.unique and None not in values:
            return self.prefix + encoded, True
        if identity is None:
            identity = keycode.encode([row[place] for place in self.identity])
        return self.prefix + encoded + identity, False

    def moved(self, changed: Set[int]) -> bool:
        """Whether the values at the places in `changed` are among those that the key is made of."""
        return not (changed.isdisjoint(self.places) and changed.isdisjoint(self.identity))


class ParentPath(NamedTuple):
    """A foreign key seen from the row that references."""

    key: ForeignKey
    target: Table
    places: tuple[int, ...]  # of the referencing columns, in the order of the target's key
    prefix: bytes  # of the target's primary key or UNIQUE index
    columns: tuple[str, ...]


class ChildPath(NamedTuple):
    """A foreign key seen from the row that is referenced."""

    key: ForeignKey
    child: Table
    places: tuple[int, ...]  # of the referencing columns in the child's row, as the foreign key lists them
    target_places: tuple[int, ...]  # of the referenced columns in the parent's row, in the same order
    prefix: bytes  # of the child's index (or rows) that begins with the foreign key's columns
    order: tuple[int, ...]  # which of them comes first there, second, …
    rows: bool  # `prefix` is of the child's rows themselves: nothing to dereference
    ranges: tuple[tuple[bytes, tuple[int, ...]], ...]  # `prefix` and `order`, and those of every other index like that
    parent_prefix: bytes  # of the key that the parent's row is referenced by
    parent_order: tuple[int, ...]  # which of the referenced columns comes first there, second, …

    def scan_prefix(self, values: Sequence[object]) -> bytes:
        return self.prefix + keycode.encode([values[at] for at in self.order])

    def ranges_of(self, codes: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """Where rows of the child, and entries of its indexes, lie that reference a row: start and stop of each.

        `codes` are the referenced values, each encoded.
        """
        starts = [prefix + b"".join([codes[at] for at in order]) for prefix, order in self.ranges]
        return [(start, keycode.after(start)) for start in starts]

    def parent_key(self, values: Sequence[object]) -> bytes:
        return self.parent_prefix + keycode.encode([values[at] for at in self.parent_order])


@dataclass(frozen=True, slots=True)
class TablePaths:
    table: Table
    row: KeyPath
    not_null: tuple[int, ...]
    indexes: tuple[KeyPath, ...]
    parents: tuple[ParentPath, ...]
    children: tuple[ChildPath, ...]
    encoded: tuple[int, ...] = ()  # of all values that stand in keys: the row's, its entries', its parents'


def paths_of(keys: Keys, catalog: Catalog, table: Table) -> TablePaths:
    """The paths of `table`, made once for each catalogue."""
    cache: dict[int, TablePaths] = catalog.__dict__.setdefault("_paths", {})
    found = cache.get(table.id)
    if found is None or found.table is not table:
        found = cache[table.id] = _make_paths(keys, catalog, table)
    return found


def row_path(keys: Keys, table: Table) -> KeyPath:
    """How the keys of the table's rows are made."""
    identity = table.primary_positions or (len(table.columns),)
    name = table.primary_key_name or "PRIMARY"
    where = f'the primary key of table "{table.name}"'
    return KeyPath(keys.row_prefix(table), identity, (), True, where, name, table.names(table.primary_key))


def index_path(keys: Keys, table: Table, index: Index) -> KeyPath:
    """How the keys of an index's entries are made."""
    places = tuple(table.position[column] for column in index.columns)
    identity = table.primary_positions or (len(table.columns),)
    columns = table.names(index.columns)
    where = f'the index {index.name or "on " + ", ".join(columns)} of table "{table.name}"'
    prefix = keys.index_prefix(table, index)
    return KeyPath(prefix, places, identity, index.unique, where, index.name, columns, index.lengths)


def _make_paths(keys: Keys, catalog: Catalog, table: Table) -> TablePaths:
    row = row_path(keys, table)
    indexes = tuple(index_path(keys, table, index) for index in table.indexes)
    parents = tuple(parent_path(keys, catalog, table, key) for key in table.foreign_keys if key.enforced)
    used = [row.places, *[path.places for path in indexes], *[path.places for path in parents]]
    return TablePaths(
        table=table,
        row=row,
        not_null=tuple(place for place, column in enumerate(table.columns) if not column.nullable),
        indexes=indexes,
        parents=parents,
        encoded=tuple({place for places in used for place in places}),
        children=tuple(
            child_path(keys, table, child, key) for child, key in catalog.referrers(table) if key.enforced
        ),
    )


def parent_path(keys: Keys, catalog: Catalog, table: Table, key: ForeignKey) -> ParentPath:
    """How the row that `key` of `table` references is found."""
    target = catalog.shared.get(key.target.lower())
    if target is None:
        raise InternalError(f'table "{table.name}" references "{key.target}", which does not exist')
    prefix, wanted = _target(keys, target, key)
    place_of = {
        target.by_name[name.lower()].id: table.position[mine]
        for name, mine in zip(key.target_columns, key.columns, strict=True)
    }
    return ParentPath(key, target, tuple(place_of[column] for column in wanted), prefix, table.names(key.columns))


def child_path(keys: Keys, parent: Table, child: Table, key: ForeignKey) -> ChildPath:
    """How the rows of `child` that reference a row of `parent` through `key` are found."""
    found = [(keys.index_prefix(child, i), i.columns) for i in child.ready_indexes if begins_with(i.whole, key.columns)]
    rows = not found
    if begins_with(child.primary_key, key.columns):
        found.append((keys.row_prefix(child), child.primary_key))
    if not found:
        raise InternalError(f'no index of table "{child.name}" begins with the columns of its foreign key {key.name}')
    parent_prefix, wanted = _target(keys, parent, key)
    targets = [parent.by_name[name.lower()].id for name in key.target_columns]
    width = len(key.columns)
    ranges = tuple(
        (prefix, tuple(key.columns.index(column) for column in columns[:width])) for prefix, columns in found
    )
    return ChildPath(
        key=key,
        child=child,
        places=tuple(child.position[column] for column in key.columns),
        target_places=tuple(parent.position[column] for column in targets),
        prefix=ranges[0][0],
        order=ranges[0][1],
        rows=rows,
        ranges=ranges,
        parent_prefix=parent_prefix,
        parent_order=tuple(targets.index(column) for column in wanted),
    )


def _target(keys: Keys, target: Table, key: ForeignKey) -> tuple[bytes, tuple[int, ...]]:
    """The prefix of the key that `key` references, and the column ids it is made of, in order."""
    columns = tuple(target.by_name[name.lower()].id for name in key.target_columns)
    found = target_key(target, columns)
    if found is None:
        raise InternalError(f'foreign key {key.name} references columns of "{target.name}" that are not a key')
    if isinstance(found, Index):
        return keys.index_prefix(target, found), found.columns
    return keys.row_prefix(target), found


def begins_with(columns: tuple[int, ...], first: tuple[int, ...]) -> bool:
    """Whether an index on `columns` finds rows by equality on all of `first`, whatever their order."""
    return len(columns) >= len(first) and set(columns[: len(first)]) == set(first)


def target_key(target: Table, columns: tuple[int, ...]) -> Index | tuple[int, ...] | None:
    """What makes `columns` (ids, any order) of `target` a key: its primary key, a UNIQUE index, or nothing."""
    if target.primary_key and set(columns) == set(target.primary_key):
        return target.primary_key
    return next((i for i in target.indexes if i.unique and set(columns) == set(i.columns)), None)


def batch_reader(keys: Keys, table: Table) -> Callable[[Iterable[Cell | None]], list[Row]]:
    """As `reader`, for many cells at a time; where there is no cell there is no row."""
    if table.primary_key:
        decode = rowcode.batch_decoder(table)
        return lambda cells: decode([cell.value for cell in cells if cell is not None])
    read = reader(keys, table)
    return lambda cells: [read(cell) for cell in cells if cell is not None]


def reader(keys: Keys, table: Table) -> Callable[[Cell], Row]:
    """Rows from the cells of `keys.row_range`, or behind index entries; with the row number where there is no key."""
    decode = rowcode.decoder(table)
    if table.primary_key:
        return lambda cell: decode(cell.value)
    skip = len(keys.row_prefix(table))
    return lambda cell: decode(cell.value) + keycode.decode(cell.key[skip:])
