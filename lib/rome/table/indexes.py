"""Indexes and constraints brought to, and taken from, tables that may have rows. Steps as in `catalog`.

A foreign key needs an index, or a primary key, that begins with its columns: a hidden one is made when there is none,
and goes when a visible one takes its place. Names of constraints, and names of indexes, are unique within a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from rome.driver.api import Cell, Scan
from rome.errors import ProgrammingError, UndefinedObject
from rome.table import keycode, rebuild
from rome.table.catalog import check_names, check_reference, next_version, save, with_hidden_indexes
from rome.table.constraints import check_violation, missing_parent
from rome.table.keys import Keys
from rome.table.paths import ParentPath, index_path, parent_path, reader, target_key
from rome.table.rowcode import Row
from rome.table.schema import Catalog, Check, ForeignKey, Index, Table
from rome.txn.transaction import Transaction
from rome.txn.wave import Step, Wave


def create_index(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, index: Index) -> Step[Catalog]:
    """Create `index` (its id is given here) and its entries: also ADD CONSTRAINT … UNIQUE, with `constraint` True.

    UniqueViolation when two rows are alike; DuplicateObject when the name is taken.
    """
    index = replace(index, id=table.next_id)
    after = replace(table, indexes=(*table.indexes, index), next_id=table.next_id + 1)
    return (yield from _replace(tx, keys, catalog, table, after))


def begin_index(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, index: Index) -> Step[Catalog]:
    """Create `index` without entries: from now on every change of a row keeps those that there are, and none is read.

    Who planned on an earlier catalogue meets a conflict, so no change is missed. Then come `fill_index`, again and
    again, and `end_index`: the way of F1's online schema changes (Rae et al., VLDB 2013), with two states.
    """
    index = replace(index, id=table.next_id, building=True)
    after = _prepared(catalog, table, replace(table, indexes=(*table.indexes, index), next_id=table.next_id + 1))
    version = yield from next_version(tx, keys, catalog)
    return save(tx, keys, catalog, version, [after])


def fill_index(tx: Transaction, keys: Keys, table: Table, index: Index, start: bytes, most: int) -> Step[bytes | None]:
    """The entries of `most` rows from the key `start` on, or of the first ones if it is b""; where to go on, or None.

    An entry that is there already is written again as it is.
    """
    first, stop = keys.row_range(table)
    answer = yield Wave((), (Scan(max(first, start), stop, most),))
    cells = answer.scans[0]
    read, path = reader(keys, table), index_path(keys, table, index)
    for cell in cells:
        tx.write(path.key(read(cell))[0], cell.key)
    return cells[-1].key + b"\x00" if len(cells) == most else None


def end_index(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, index: Index) -> Step[Catalog]:
    """`index` has all entries: it is read from now on."""
    ready = tuple(replace(each, building=False) if each.id == index.id else each for each in table.indexes)
    return (yield from _replace(tx, keys, catalog, table, replace(table, indexes=ready)))


def drop_index(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, name: str) -> Step[Catalog]:
    """Drop the index called `name`; refused for the one behind a constraint, or while a foreign key references it."""
    return (yield from _replace(tx, keys, catalog, table, _without_index(table, _droppable(table, name))))


def begin_drop(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, name: str) -> Step[Catalog]:
    """Drop the index called `name` and leave its entries: from now on none is read, and none is written.

    Then comes `erase_dropped`, again and again. Refused as by `drop_index`, and where a foreign key gets a hidden index
    in its place.
    """
    index = _droppable(table, name)
    after = _prepared(catalog, table, _without_index(table, index))
    if not set(after.indexes) <= set(table.indexes):
        raise ProgrammingError(
            f'index "{name}" of table "{table.name}" serves a foreign key, for which another one is made in the same '
            "transaction: leave CONCURRENTLY out",
            sqlstate="2BP01",
        )
    version = yield from next_version(tx, keys, catalog)
    return save(tx, keys, catalog, version, [replace(after, dropped=(*table.dropped, index))])


def erase_dropped(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, most: int) -> Step[tuple[Catalog, bool]]:
    """Erase up to `most` entries of a dropped index; the catalogue, and whether there may be others to erase."""
    index, *rest = table.dropped
    answer = yield Wave((), (Scan(*keys.index_range(table, index), most),))
    for cell in answer.scans[0]:
        tx.write(cell.key, None)
    if len(answer.scans[0]) == most:
        return catalog, True
    version = yield from next_version(tx, keys, catalog)
    return save(tx, keys, catalog, version, [replace(table, dropped=tuple(rest))]), bool(rest)


def _droppable(table: Table, name: str) -> Index:
    index = find_index(table, name)
    if index.constraint:
        raise ProgrammingError(
            f'index "{name}" of table "{table.name}" belongs to a UNIQUE constraint: drop that constraint instead',
            sqlstate="2BP01",
        )
    return index


def find_index(table: Table, name: str) -> Index:
    """The visible index called `name`; UndefinedObject when there is none."""
    index = named(table.indexes, name)
    if index is None:
        raise UndefinedObject(f'index "{name}" of table "{table.name}" does not exist')
    return index


def named(indexes: Iterable[Index], name: str) -> Index | None:
    """The visible one of `indexes` that is called `name`; None when there is none."""
    return next((each for each in indexes if not each.hidden and _is_called(each.name, name.lower())), None)


def _without_index(table: Table, index: Index) -> Table:
    return replace(table, indexes=tuple(each for each in table.indexes if each is not index))


def add_foreign_key(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, key: ForeignKey) -> Step[Catalog]:
    """Add a foreign key; ForeignKeyViolation when a row references none."""
    after = with_hidden_indexes(replace(table, foreign_keys=(*table.foreign_keys, key)))
    check_names(after)
    trial = catalog.with_table(after)
    check_reference(trial, after, key)
    if key.enforced:
        yield from _check_parents(keys, table, parent_path(keys, trial, after, key))
    return (yield from _replace(tx, keys, catalog, table, after))


def _check_parents(keys: Keys, table: Table, path: ParentPath) -> Step[None]:
    read = reader(keys, table)

    def visit(cells: list[Cell]) -> Step[None]:
        wanted: dict[bytes, tuple[object, ...]] = {}
        for cell in cells:
            row = read(cell)
            values = tuple(row[place] for place in path.places)
            if None not in values:
                wanted[path.prefix + keycode.encode(values)] = values
        answer = yield Wave(tuple(wanted))
        for parent, values in zip(answer.cells, wanted.values(), strict=True):
            if parent is None:
                raise missing_parent(table, path, values)

    yield from rebuild.batches(keys.row_range(table), visit)


def add_check(
    tx: Transaction, keys: Keys, catalog: Catalog, table: Table, check: Check, holds: Callable[[Row], bool]
) -> Step[Catalog]:
    """Add a CHECK; CheckViolation when `holds` (TRUE or unknown) is False for a row."""
    after = replace(table, checks=(*table.checks, check))

    def visit(row: Row) -> None:
        if not holds(row):
            raise check_violation(table, check)

    yield from rebuild.each_row(keys, table, visit)
    return (yield from _replace(tx, keys, catalog, table, after))


def drop_constraint(tx: Transaction, keys: Keys, catalog: Catalog, table: Table, name: str) -> Step[Catalog]:
    """Drop the primary key, UNIQUE, FOREIGN KEY or CHECK called `name`; UndefinedObject when there is none."""
    wanted = name.lower()
    if table.primary_key_name is not None and table.primary_key_name.lower() == wanted:
        return (yield from drop_primary_key(tx, keys, catalog, table))
    after = replace(
        table,
        indexes=tuple(i for i in table.indexes if not (i.constraint and _is_called(i.name, wanted))),
        foreign_keys=tuple(key for key in table.foreign_keys if not _is_called(key.name, wanted)),
        checks=tuple(check for check in table.checks if not _is_called(check.name, wanted)),
    )
    if after == table:
        raise UndefinedObject(f'constraint "{name}" of table "{table.name}" does not exist')
    return (yield from _replace(tx, keys, catalog, table, after))


def _is_called(name: str | None, wanted: str) -> bool:
    return name is not None and name.lower() == wanted


def add_primary_key(
    tx: Transaction, keys: Keys, catalog: Catalog, table: Table, columns: tuple[int, ...], name: str | None = None
) -> Step[Catalog]:
    """Make `columns` (ids) the primary key, and NOT NULL; every row and index entry is written anew."""
    if table.primary_key:
        raise ProgrammingError(f'table "{table.name}" has a primary key already', sqlstate="42P16")
    members = tuple(replace(c, nullable=False) if c.id in columns else c for c in table.columns)
    after = replace(table, columns=members, primary_key=columns, primary_key_name=name)
    return (yield from _rewrite(tx, keys, catalog, table, after))


def drop_primary_key(tx: Transaction, keys: Keys, catalog: Catalog, table: Table) -> Step[Catalog]:
    """Drop the primary key; its columns stay NOT NULL. Refused while only it is what a foreign key references."""
    if not table.primary_key:
        raise UndefinedObject(f'table "{table.name}" has no primary key')
    after = replace(table, primary_key=(), primary_key_name=None, primary_key_comment=None)
    return (yield from _rewrite(tx, keys, catalog, table, after))


def _prepared(catalog: Catalog, before: Table, after: Table) -> Table:
    """`after` with its hidden indexes; refused when names clash or a foreign key loses the key it references."""
    after = with_hidden_indexes(after)
    check_names(after)
    for child, key in catalog.referrers(before):
        if child is before and key not in after.foreign_keys:
            continue
        columns = tuple(after.by_name[name.lower()].id for name in key.target_columns)
        if target_key(after, columns) is None:
            raise ProgrammingError(
                f'the key ({", ".join(key.target_columns)}) of table "{before.name}" is needed by the foreign key '
                f'{key.name or "-"} of "{child.name}": drop that first',
                sqlstate="2BP01",
            )
    return after


def _replace(tx: Transaction, keys: Keys, catalog: Catalog, before: Table, after: Table) -> Step[Catalog]:
    after = _prepared(catalog, before, after)
    version = yield from next_version(tx, keys, catalog)
    yield from rebuild.reindex(tx, keys, before, after)
    return save(tx, keys, catalog, version, [after])


def _rewrite(tx: Transaction, keys: Keys, catalog: Catalog, before: Table, after: Table) -> Step[Catalog]:
    after = _prepared(catalog, before, after)
    version = yield from next_version(tx, keys, catalog)
    yield from rebuild.rewrite(tx, keys, before, after)
    return save(tx, keys, catalog, version, [after])
