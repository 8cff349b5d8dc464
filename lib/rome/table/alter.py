"""ALTER TABLE: columns added, dropped, renamed and changed. Steps as in `catalog`.

Adding and dropping a column writes no row. A column that is dropped takes its single-column indexes and the CHECKs on
it alone with it, as in MySQL; it is refused while it is part of the primary key, of a foreign key on either side, of
an index or a CHECK over several columns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from rome.errors import NotNullViolation, NotSupportedError, ProgrammingError, UndefinedColumn
from rome.table import rebuild, rowcode
from rome.table.catalog import check_names, check_reference, next_version, save
from rome.table.convert import Convert, converter, integer_range
from rome.table.keys import Keys
from rome.table.rowcode import Row
from rome.table.schema import Catalog, Check, Column, ForeignKey, Table
from rome.txn.transaction import Transaction
from rome.txn.wave import Step
from rome.values import Kind, SqlType


def find_column(table: Table, name: str) -> Column:
    """The column called `name`; UndefinedColumn when there is none."""
    column = table.by_name.get(name.lower())
    if column is None:
        raise UndefinedColumn(f'column "{name}" of table "{table.name}" does not exist')
    return column


def add_column(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    table: Table,
    column: Column,
    compute: Callable[[Row], object] | None = None,
) -> Step[Catalog]:
    """Add `column` (its id is given here) behind the others; rows there get `column.missing`, or what `compute` gives.

    NotNullViolation when the column is NOT NULL, has no `missing` value and the table has rows.
    """
    column = replace(column, id=table.next_id)
    after = _laid_out(replace(table, next_id=table.next_id + 1), (*table.columns, column))
    check_names(after)
    version = yield from next_version(tx, keys, catalog)
    if compute is not None:
        yield from rebuild.rewrite(tx, keys, table, after, lambda row: (*row, compute(row)))
        return save(tx, keys, catalog, version, [after])
    if (not column.nullable and column.missing is None) or column.autoincrement:
        empty = yield from rebuild.is_empty(keys, table)
        if not empty and column.autoincrement:
            raise NotSupportedError(f'an AUTOINCREMENT column cannot be added to "{table.name}", which has rows')
        if not empty:
            raise NotNullViolation(
                f"NOT NULL constraint failed: {table.name}.{column.name}",
                table=table.name,
                columns=(column.name,),
                values=(None,),
            )
    return save(tx, keys, catalog, version, [after])


def drop_column(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    table: Table,
    name: str,
    columns_of: Callable[[str], Collection[str]],
) -> Step[Catalog]:
    """Drop a column. `columns_of` gives the names of the columns that the text of an expression speaks of."""
    column = find_column(table, name)
    if len(table.columns) == 1:
        raise ProgrammingError(f'"{column.name}" is the last column of "{table.name}": drop the table instead')
    users = _users(catalog, table, column)
    checks: list[Check] = []
    for check in table.checks:
        named = {each.lower() for each in columns_of(check.sql)}
        if column.name.lower() not in named:
            checks.append(check)
        elif len(named) > 1:
            users.append(f"the CHECK {check.name or check.sql}")
    for other in table.columns:
        if other.computed and column.name.lower() in {each.lower() for each in columns_of(other.computed.sql)}:
            users.append(f"the computed column {other.name}")
    indexes = []
    for index in table.indexes:
        if column.id not in index.columns:
            indexes.append(index)
        elif len(index.columns) > 1:
            users.append(f"the index {index.name}")
    if users:
        raise ProgrammingError(
            f'cannot drop column "{column.name}" of table "{table.name}": {", ".join(users)} uses it', sqlstate="2BP01"
        )
    version = yield from next_version(tx, keys, catalog)
    after = _laid_out(
        replace(table, checks=tuple(checks), indexes=tuple(indexes)),
        tuple(each for each in table.columns if each is not column),
    )
    yield from rebuild.reindex(tx, keys, table, after)
    return save(tx, keys, catalog, version, [after])


def _users(catalog: Catalog, table: Table, column: Column) -> list[str]:
    """The primary key and the foreign keys that `column` is part of."""
    users = ["the primary key"] if column.id in table.primary_key else []
    users += [f"the foreign key {key.name or '-'}" for key in table.foreign_keys if column.id in key.columns]
    for child, key in catalog.referrers(table):
        if _targets(key, column):
            users.append(f'the foreign key {key.name or "-"} of "{child.name}"')
    return users


def _targets(key: ForeignKey, column: Column) -> bool:
    return column.name.lower() in (name.lower() for name in key.target_columns)


def _laid_out(table: Table, columns: tuple[Column, ...]) -> Table:
    """`table` with `columns`, in a new layout; rows in older ones stay as they are."""
    layout = table.layout + 1
    if layout > rowcode.MAX_LAYOUT:
        raise NotSupportedError(f'table "{table.name}" was altered {layout} times: copy it into a new one')
    layouts = {**table.layouts, layout: tuple(column.id for column in columns)}
    return replace(table, columns=columns, layout=layout, layouts=layouts)


def rename_column(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    table: Table,
    name: str,
    new_name: str,
    rewrite: Callable[[str], str],
) -> Step[Catalog]:
    """Rename a column; foreign keys that reference it follow. `rewrite` renames it in the text of an expression."""
    column = find_column(table, name)
    version = yield from next_version(tx, keys, catalog)
    renamed = (replace(each, name=new_name) if each is column else each for each in table.columns)
    columns = tuple(
        replace(each, computed=replace(each.computed, sql=rewrite(each.computed.sql))) if each.computed else each
        for each in renamed
    )
    checks = tuple(replace(check, sql=rewrite(check.sql)) for check in table.checks)
    after = replace(table, columns=columns, checks=checks)
    check_names(after)
    changed = {table.id: after}
    for child, _ in catalog.referrers(table):
        before = changed.get(child.id, child)
        foreign_keys = tuple(
            _retargeted(key, column.name, new_name) if key.target.lower() == table.name.lower() else key
            for key in before.foreign_keys
        )
        changed[child.id] = replace(before, foreign_keys=foreign_keys)
    return save(tx, keys, catalog, version, changed.values())


def _retargeted(key: ForeignKey, name: str, new_name: str) -> ForeignKey:
    columns = tuple(new_name if each.lower() == name.lower() else each for each in key.target_columns)
    return replace(key, target_columns=columns)


def alter_column(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    table: Table,
    column: Column,
    convert: Convert | None = None,
) -> Step[Catalog]:
    """Give the column of `column.id` another type, nullability, default, comment or AUTOINCREMENT.

    Its name stays (see `rename_column`). A new type that does not hold every value of the old one converts all rows
    with `convert` (None: `convert.converter` of the new type), and their index entries. Raises what `convert` raises,
    NotNullViolation for a NULL under NOT NULL, UniqueViolation for rows that become alike; ProgrammingError when the
    column is part of a foreign key and would no longer equal the other side.
    """
    place = table.position[column.id]
    old = table.columns[place]
    if column.name != old.name:
        raise ProgrammingError(f'alter_column does not rename "{old.name}"; rename_column does')
    if column.id in table.primary_key and column.nullable:
        raise ProgrammingError(f'column "{old.name}" of table "{table.name}" is in its primary key: it is NOT NULL')
    convert = convert or converter(column.type, f"{table.name}.{column.name}")
    retyped = not _widens(old.type, column.type)
    other_kind = old.type.kind is not column.type.kind
    missing = None if other_kind or old.missing is None else convert(old.missing)
    columns = (*table.columns[:place], replace(column, missing=missing), *table.columns[place + 1 :])
    after = replace(table, columns=columns)
    if other_kind:  # no row keeps an older layout, whose values would not have the column's type
        after = _laid_out(replace(after, layouts={}), columns)
    _check_references(catalog, table, after)
    version = yield from next_version(tx, keys, catalog)
    if retyped:
        shared = any(user != "the primary key" for user in _users(catalog, table, old))
        yield from rebuild.rewrite(tx, keys, table, after, _changing(table, place, convert, shared))
    elif old.nullable and not column.nullable:
        yield from rebuild.rewrite(tx, keys, table, after)
    return save(tx, keys, catalog, version, [after])


def _changing(table: Table, place: int, convert: Convert, shared: bool) -> Callable[[Row], Row]:
    """Rows with the value at `place` converted; a `shared` one, part of a foreign key, must stay equal."""

    def change(row: Row) -> Row:
        value = row[place]
        new = None if value is None else convert(value)
        if shared and new != value:
            raise ProgrammingError(
                f'"{table.name}.{table.columns[place].name}" is part of a foreign key and its value {value!r} would '
                f"become {new!r}: drop the foreign key first",
                sqlstate="2BP01",
            )
        return (*row[:place], new, *row[place + 1 :])

    return change


def _check_references(catalog: Catalog, before: Table, after: Table) -> None:
    """Refuse a type that a foreign key, from or to the table, cannot compare."""
    trial = catalog.with_table(after)
    for key in after.foreign_keys:
        check_reference(trial, after, key)
    for child, key in catalog.referrers(before):
        check_reference(trial, trial.shared[child.name.lower()], key)


def _widens(old: SqlType, new: SqlType) -> bool:
    """Whether every value of `old` is one of `new` as it stands, and is stored alike."""
    if old.kind is not new.kind:
        return False
    if old.kind is Kind.INTEGER:
        return integer_range(new) >= integer_range(old)
    if old.kind is Kind.DECIMAL:
        return (old.precision, old.scale) == (new.precision, new.scale)
    return new.length is None or (old.length is not None and old.length <= new.length)
