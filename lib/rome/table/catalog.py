"""The catalogue: one version cell and one cell per table, view and sequence, and the changes of whole tables.

Every function that changes the catalogue is a step (see `txn.wave`): it takes the transaction, the keys and the
catalogue that the statement was planned on, writes through the transaction, leaves the new catalogue in `tx.context`
and returns it. Tables that did not change stay the same objects, so what is cached by a Table's identity stays true.

The version is a number that is drawn once and never again, from a counter outside every transaction: two catalogues
with one version are equal, even if one of them was rolled back. A table's id is the version that brought it.
Changes to columns are in `alter`, those to indexes and constraints in `indexes`, views and sequences in `objects`.

Temporary tables are in the catalogues of their connection's transactions only: their descriptions are cells that the
transaction keeps to itself, and a change of them leaves the version as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple, TypeVar

import msgspec

from rome.driver.api import Scan
from rome.errors import (
    Conflict,
    DuplicateColumn,
    DuplicateObject,
    DuplicateTable,
    InterfaceError,
    InternalError,
    NotSupportedError,
    ProgrammingError,
    UndefinedColumn,
    UndefinedTable,
)
from rome.table import keycode, rowcode
from rome.table.keys import Keys
from rome.table.paths import begins_with, target_key
from rome.table.rebuild import erase
from rome.table.schema import Catalog, ForeignKey, Index, Sequence, Table, View
from rome.txn.transaction import Transaction
from rome.txn.wave import Step, Wave

EMPTY = Catalog(0, {})
FORMAT: Final = 2
"""Of the catalogue, and of all that it describes. The first knew nothing of views, sequences, identity and computed
columns: who has none of them writes that one, which stands in no cell."""

Entry = Table | View | Sequence
_E = TypeVar("_E", Table, View, Sequence)

_decode_table = msgspec.msgpack.Decoder(Table).decode
_MARKS: Final[dict[bytes, type[View] | type[Sequence]]] = {b"v": View, b"s": Sequence}
"""The first byte of a cell that describes no table: no MessagePack map begins with it."""


def encode_table(table: Table) -> bytes:
    """The cell of a table: its fields by name in MessagePack, `missing` values as row bytes."""
    found: bytes | None = table.__dict__.get("_cell")
    if found is None:
        columns = tuple(
            column if column.missing is None else replace(column, missing=rowcode.encode_value(column.missing))
            for column in table.columns
        )
        found = table.__dict__["_cell"] = msgspec.msgpack.encode(replace(table, columns=columns))
    return found


def decode_table(data: bytes) -> Table:
    """The table behind `encode_table`'s bytes; InternalError for any others."""
    try:
        table = _decode_table(data)
        columns = tuple(
            replace(column, missing=rowcode.decode_value(column.missing, column.type.kind))
            if isinstance(column.missing, bytes)
            else column
            for column in table.columns
        )
    except msgspec.MsgspecError as error:
        raise InternalError(f"a catalogue cell does not describe a table: {error}") from error
    table = replace(table, columns=columns)
    table.__dict__["_cell"] = data
    return table


def encode_entry(entry: Entry) -> bytes:
    """The cell of a table, a view or a sequence."""
    if isinstance(entry, Table):
        return encode_table(entry)
    return (b"v" if isinstance(entry, View) else b"s") + msgspec.msgpack.encode(entry)


def decode_entry(data: bytes) -> Entry:
    """What `encode_entry` wrote; InternalError for anything else."""
    kind = _MARKS.get(data[:1])
    if kind is None:
        return decode_table(data)
    try:
        return msgspec.msgpack.decode(data[1:], type=kind)
    except msgspec.MsgspecError as error:
        raise InternalError(f"a catalogue cell does not describe a {kind.__name__.lower()}: {error}") from error


class _Known(NamedTuple):
    catalog: Catalog
    cell_version: int  # the store's version of the version cell, 0 while there is none


class CatalogCache:
    """The newest committed catalogue that one opened store has seen. Threads may share it."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self._known = _Known(EMPTY, 0)

    @property
    def latest(self) -> Catalog:
        return self._known.catalog

    @property
    def planning(self) -> tuple[Catalog, tuple[bytes, int]]:
        """`latest` and the guard under which a transaction may plan on it without reading the catalogue first."""
        known = self._known
        return known.catalog, (self.keys.catalog_version, known.cell_version)

    def load(self, tx: Transaction) -> Step[Catalog]:
        """The transaction's catalogue, put into `tx.context`: one wave when `latest` is it, two when it has moved.

        The first load asks for everything at once, in one wave. Tables whose cell has not changed are the same
        objects as before. A catalogue that the transaction itself has changed does not become `latest`.
        """
        known = self._known
        scan = Scan(*self.keys.catalog_range)
        first = yield Wave((self.keys.catalog_version,), () if known.cell_version else (scan,))
        cell = first.cells[0]
        if cell is None:
            known = _Known(EMPTY, 0)
        elif cell.version == 0 or cell.version != known.cell_version:
            version = _read_version(cell.value)  # before any table, which a newer ROME may describe otherwise
            mine = tx.context if isinstance(tx.context, Catalog) else EMPTY
            if mine.version == version:  # its own change, most often: catalogues of one version are equal
                known = _Known(mine.shared_only, cell.version)
            else:
                cells = first.scans[0] if first.scans else (yield Wave((), (scan,))).scans[0]
                by_cell = {encode_entry(entry): entry for each in (known.catalog, mine) for entry in _entries(each)}
                entries = [by_cell.get(each.value) or decode_entry(each.value) for each in cells]
                known = _Known(_catalog(version, entries), cell.version)
        if cell is None or cell.version:
            self._known = known
        temporary = self._temporary(tx)
        catalog = replace(known.catalog, temporary=temporary) if temporary else known.catalog
        tx.context = catalog
        return catalog

    def _temporary(self, tx: Transaction) -> dict[str, Table]:
        """The temporary tables of the transaction's connection: the same objects as before, if it has seen them."""
        cells = tx.private_cells(*self.keys.private_catalog_range)
        mine = tx.context.temporary if isinstance(tx.context, Catalog) else {}
        by_cell = {encode_table(table): table for table in mine.values()}
        tables = [by_cell.get(cell) or decode_table(cell) for cell in cells]
        return {table.name.lower(): table for table in tables}

    def look(self) -> Step[None]:
        """One wave that asks for nothing but the version: it opens a view, and so the guard is checked."""
        yield Wave((self.keys.catalog_version,))

    def adopt(self, catalog: Catalog, committed_at: int) -> None:
        """After a commit that changed the catalogue, at the commit counter `committed_at`: `catalog` is the newest."""
        if committed_at > self._known.cell_version:
            self._known = _Known(catalog.shared_only, committed_at)


def _entries(catalog: Catalog) -> Iterator[Entry]:
    """All that stands in cells of the store."""
    yield from catalog.shared.values()
    yield from catalog.views.values()
    yield from catalog.sequences.values()


def _catalog(version: int, entries: Iterable[Entry]) -> Catalog:
    tables: dict[str, Table] = {}
    views: dict[str, View] = {}
    sequences: dict[str, Sequence] = {}
    for entry in entries:
        if isinstance(entry, Table):
            tables[entry.name.lower()] = entry
        elif isinstance(entry, View):
            views[entry.name.lower()] = entry
        else:
            sequences[entry.name.lower()] = entry
    return Catalog(version, tables, views, sequences)


def _read_version(data: bytes) -> int:
    """The version in the version cell; InterfaceError if a newer ROME wrote it: a second number is its format."""
    version, *format_ = keycode.decode(data) or (None,)
    if format_ and format_ != [FORMAT]:
        raise InterfaceError(
            f"this namespace was written by a newer ROME: its catalogue has format {format_[0]!r}, and this ROME reads "
            f"and writes format {FORMAT} and those before it: use the ROME that wrote it, or another namespace"
        )
    if not isinstance(version, int):
        raise InternalError(f"the catalogue's version is not a number: {version!r}")
    return version


def next_version(tx: Transaction, keys: Keys, catalog: Catalog) -> Step[int]:
    """A version number for a change of `catalog`; Conflict when that is not the catalogue any more."""
    answer = yield Wave((keys.catalog_version,))
    cell = answer.cells[0]
    if (_read_version(cell.value) if cell else 0) != catalog.version:
        raise Conflict("the catalogue has changed since this statement was planned: run the transaction again")
    return tx.next_number(keys.catalog_counter)


def save(
    tx: Transaction, keys: Keys, catalog: Catalog, version: int, changed: Iterable[Entry], dropped: Iterable[Entry] = ()
) -> Catalog:
    """Write what has changed and forget what was dropped; the catalogue of `version`."""
    changed, dropped = list(changed), list(dropped)
    touched = (*dropped, *changed)
    if all(isinstance(entry, Table) and entry.temporary for entry in touched):
        version = catalog.version
    for entry in dropped:
        tx.write(keys.entry_cell(entry), None)
    for entry in changed:
        tx.write(keys.entry_cell(entry), encode_entry(entry))
    new = Catalog(
        version,
        _changed(catalog.shared, [t for t in changed if isinstance(t, Table) and not t.temporary], dropped),
        _changed(catalog.views, [v for v in changed if isinstance(v, View)], dropped),
        _changed(catalog.sequences, [s for s in changed if isinstance(s, Sequence)], dropped),
        _changed(catalog.temporary, [t for t in changed if isinstance(t, Table) and t.temporary], dropped),
    )
    if catalog.is_plain and all(isinstance(entry, Table) and entry.is_plain for entry in changed):
        new.__dict__["is_plain"] = True  # known without a look at every table
    if version != catalog.version:
        tx.write(keys.catalog_version, keycode.encode((version,) if new.is_plain else (version, FORMAT)))
    tx.context = new
    return new


def _changed(entries: dict[str, _E], changed: list[_E], dropped: list[Entry]) -> dict[str, _E]:
    """`entries` by name, with those of one id replaced; ids are never used twice, whatever they are of."""
    if not changed and (not dropped or not entries):
        return entries
    by_id = {entry.id: entry for entry in entries.values()}
    for gone in dropped:
        by_id.pop(gone.id, None)
    for entry in changed:
        by_id[entry.id] = entry
    return {entry.name.lower(): entry for entry in by_id.values()}


def find_table(catalog: Catalog, name: str) -> Table:
    """The table called `name`; UndefinedTable when there is none."""
    table = catalog.tables.get(name.lower())
    if table is None:
        raise UndefinedTable(f'table "{name}" does not exist')
    return table


def check_vacant(catalog: Catalog, name: str) -> None:
    """Refuse a name that a table or a view has."""
    for what, entries in (("table", catalog.tables), ("view", catalog.views)):
        if name.lower() in entries:
            raise DuplicateTable(f'{what} "{name}" already exists')


def create_table(tx: Transaction, keys: Keys, catalog: Catalog, draft: Table) -> Step[Catalog]:
    """Create the table that `draft` describes.

    The draft's columns carry distinct ids (from 1) that its keys and indexes speak of. The table's own id, the ids of
    its indexes, its layout and the hidden indexes of its foreign keys are given here.
    """
    check_vacant(catalog, draft.name)
    if draft.temporary and not tx.keeps_private:
        raise InterfaceError("a temporary table needs a connection that it belongs to")
    version = yield from next_version(tx, keys, catalog)
    first_index = max((column.id for column in draft.columns), default=0) + 1
    indexes = tuple(replace(index, id=first_index + at) for at, index in enumerate(draft.indexes))
    not_null = frozenset(draft.primary_key)
    table = replace(
        draft,
        id=version,
        columns=tuple(replace(c, nullable=False) if c.id in not_null else c for c in draft.columns),
        indexes=indexes,
        layout=1,
        layouts={1: tuple(column.id for column in draft.columns)},
        next_id=first_index + len(indexes),
    )
    tx.note_empty(*keys.table_range(table))  # no one else has its id, so an index on it is made without a look
    check_names(table)
    table = with_hidden_indexes(table)
    trial = catalog if table.temporary else catalog.with_table(table)
    for key in table.foreign_keys:
        check_reference(trial, table, key)
    return save(tx, keys, catalog, version, [table])


def drop_table(tx: Transaction, keys: Keys, catalog: Catalog, tables: Iterable[Table]) -> Step[Catalog]:
    """Drop `tables` together with their rows; refused (2BP01) while another table references one of them."""
    dropped = list(tables)
    names = {table.name.lower() for table in dropped}
    for table in dropped:
        referrers = {child.name for child, _ in catalog.referrers(table)}
        users = sorted(name for name in referrers if name.lower() not in names)
        if users:
            listed = ", ".join(f'"{name}"' for name in users)
            raise ProgrammingError(
                f'cannot drop table "{table.name}": {listed} references it; drop that foreign key or table first',
                sqlstate="2BP01",
            )
    version = yield from next_version(tx, keys, catalog)
    for table in dropped:
        yield from erase(tx, keys.table_range(table))
    return save(tx, keys, catalog, version, (), dropped)


def rename_table(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, name: str) -> Step[Catalog]:
    """Rename `table`; the foreign keys that reference it follow."""
    if name.lower() != table.name.lower():
        check_vacant(catalog, name)
    version = yield from next_version(tx, keys, catalog)
    changed = {table.id: replace(table, name=name)}
    for referrer, _ in catalog.referrers(table):
        before = changed.get(referrer.id, referrer)
        foreign_keys = tuple(
            replace(key, target=name) if key.target.lower() == table.name.lower() else key
            for key in before.foreign_keys
        )
        changed[referrer.id] = replace(before, foreign_keys=foreign_keys)
    return save(tx, keys, catalog, version, changed.values())


def comment_on_table(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, comment: str | None) -> Step[Catalog]:
    """Set or (None) remove the table's comment."""
    version = yield from next_version(tx, keys, catalog)
    return save(tx, keys, catalog, version, [replace(table, comment=comment)])


def replace_table(tx: Transaction, keys: Keys, catalog: Catalog, after: Table) -> Step[Catalog]:
    """Describe a table anew in words that concern no row: comments."""
    version = yield from next_version(tx, keys, catalog)
    return save(tx, keys, catalog, version, [after])


def check_names(table: Table) -> None:
    """Refuse two columns, two constraints or two indexes of one name within a table."""
    seen: set[str] = set()
    for column in table.columns:
        if column.name.lower() in seen:
            raise DuplicateColumn(f'column "{column.name}" of table "{table.name}" is named twice')
        seen.add(column.name.lower())
    constraints = [table.primary_key_name, *(key.name for key in table.foreign_keys)]
    constraints += [check.name for check in table.checks]
    constraints += [index.name for index in table.indexes if index.constraint]
    _check_distinct(table, "constraint", constraints)
    _check_distinct(table, "index", [index.name for index in table.indexes if not index.hidden])


def _check_distinct(table: Table, what: str, names: Iterable[str | None]) -> None:
    seen: set[str] = set()
    for name in names:
        if name is None:
            continue
        if name.lower() in seen:
            raise DuplicateObject(f'{what} "{name}" of table "{table.name}" already exists')
        seen.add(name.lower())


def with_hidden_indexes(table: Table) -> Table:
    """`table` with a hidden index for each foreign key that no index, nor the primary key, begins with.

    Hidden indexes that no foreign key needs any longer are left out. New ones have ids from the table's `next_id` on.
    """
    visible = [index for index in table.indexes if not index.hidden]
    hidden: list[Index] = []
    spare = [index for index in table.indexes if index.hidden]
    next_id = table.next_id
    for key in table.foreign_keys:
        if begins_with(table.primary_key, key.columns):
            continue
        if any(begins_with(index.whole, key.columns) and not index.building for index in (*visible, *hidden)):
            continue
        found = next((index for index in spare if begins_with(index.columns, key.columns)), None)
        if found is None:
            found = Index(next_id, None, key.columns, hidden=True)
            next_id += 1
        hidden.append(found)
    return replace(table, indexes=(*visible, *hidden), next_id=next_id)


def check_reference(catalog: Catalog, table: Table, key: ForeignKey) -> None:
    """Refuse a foreign key whose target is no key, or whose columns cannot equal the target's."""
    if table.temporary:
        raise NotSupportedError(f'the temporary table "{table.name}" cannot have foreign keys')
    target = catalog.shared.get(key.target.lower())
    if target is None:
        raise UndefinedTable(f'table "{key.target}" does not exist')
    if len(key.columns) != len(key.target_columns) or not key.columns:
        raise ProgrammingError(
            f'a foreign key of table "{table.name}" has {len(key.columns)} columns '
            f'and references {len(key.target_columns)} of "{target.name}"',
            sqlstate="42830",
        )
    ids: list[int] = []
    for name in key.target_columns:
        column = target.by_name.get(name.lower())
        if column is None:
            raise UndefinedColumn(f'column "{name}" of the referenced table "{target.name}" does not exist')
        ids.append(column.id)
    if target_key(target, tuple(ids)) is None:
        raise ProgrammingError(
            f'a foreign key of table "{table.name}" references "{target.name}" ({", ".join(key.target_columns)}), '
            f"which is neither its primary key nor UNIQUE",
            sqlstate="42830",
        )
    for mine, theirs in zip(key.columns, ids, strict=True):
        column, other = table.columns[table.position[mine]], target.columns[target.position[theirs]]
        if rowcode.key_family(column.type.kind) != rowcode.key_family(other.type.kind):
            raise ProgrammingError(
                f'column "{column.name}" of table "{table.name}" is {column.type}, '
                f'but "{other.name}" of "{target.name}", which it references, is {other.type}',
                sqlstate="42830",
            )
