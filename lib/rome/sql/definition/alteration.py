"""ALTER TABLE: its actions one after the other."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from rome.errors import NotSupportedError, ProgrammingError, UndefinedObject
from rome.sql import syntax
from rome.sql.definition.creation import check_computed, column_of, default_of, foreign_key, with_column
from rome.sql.definition.work import RowCondition, Work, condition_of, constraint_names, find_column, ids_of
from rome.sql.parse import kept
from rome.sql.scope import did_you_mean
from rome.table import alter, indexes, rebuild
from rome.table import catalog as tables
from rome.table.constraints import check_violation
from rome.table.rowcode import Row
from rome.table.schema import Catalog, Check, Index, Table
from rome.txn.wave import Step
from rome.values import Kind


def alter_table(work: Work, node: syntax.AlterTable) -> Step[Catalog]:
    """The actions one after the other, each on the catalogue that the one before it made."""
    name = node.name
    for action in node.actions:
        work = replace(work, catalog=(yield from _alter(work, work.table(name), action)))
        if isinstance(action, syntax.RenameTable):
            name = action.new_name
    return work.catalog


def _alter(work: Work, table: Table, action: syntax.AlterAction) -> Step[Catalog]:
    tx, keys, catalog = work.tx, work.keys, work.catalog
    match action:
        case syntax.AddColumn():
            return (yield from _add_column(work, table, action.column))
        case syntax.DropColumn():
            if action.if_exists and action.name.lower() not in table.by_name:
                return catalog
            name = find_column(table, action.name).name
            return (
                yield from alter.drop_column(tx, keys, catalog, table, name, kept.columns_of)
            )
        case syntax.RenameColumn():
            name = find_column(table, action.name).name
            rewrite = partial(kept.rename_column, name=name, new_name=action.new_name)
            return (yield from alter.rename_column(tx, keys, catalog, table, name, action.new_name, rewrite))
        case syntax.AlterColumn():
            return (yield from _alter_column(work, table, action))
        case syntax.RenameTable():
            return (yield from tables.rename_table(tx, keys, catalog, table, action.new_name))
        case syntax.AddConstraint():
            return (yield from _add_constraint(work, table, action.constraint))
        case syntax.DropConstraint():
            return (yield from _drop_constraint(work, table, action))


def _add_column(work: Work, table: Table, node: syntax.ColumnDefinition) -> Step[Catalog]:
    """Add a column, then its constraints; rows that are there get its default's value of this moment."""
    column = column_of(table.next_id, node)
    if column.autoincrement and any(each.autoincrement for each in table.columns):
        raise ProgrammingError(f'table "{table.name}" has an AUTOINCREMENT column already')
    with_it = replace(table, columns=(*table.columns, column))
    tables.check_names(with_it)
    if column.default is not None and kept.takes_numbers(column.default):
        empty = yield from rebuild.is_empty(work.keys, table)
        if not empty:
            raise NotSupportedError(
                f'column "{column.name}" takes the numbers of a sequence and cannot be added to "{table.name}", which '
                "has rows: add it without a default, give it values, then SET DEFAULT"
            )
    column = replace(column, missing=work.hooks.constant(with_it, column))
    check_computed(work, with_it)
    compute = None if column.computed is None else work.hooks.computed(with_it, column)
    catalog = yield from alter.add_column(work.tx, work.keys, work.catalog, table, column, compute)
    for constraint in node.constraints:
        now = replace(work, catalog=catalog)
        catalog = yield from _add_constraint(now, now.table(table.name), constraint)
    return catalog


def _alter_column(work: Work, table: Table, action: syntax.AlterColumn) -> Step[Catalog]:
    column = find_column(table, action.name)
    if column.computed is not None and (action.type is not None or action.default is not None):
        raise NotSupportedError(f'"{column.name}" of "{table.name}" is computed: drop it and add it anew')
    for other in table.columns if action.type is not None else ():
        if other.computed is not None and column.name.lower() in kept.columns_of(other.computed.sql):
            raise ProgrammingError(
                f'cannot change the type of "{table.name}.{column.name}": the computed column {other.name} uses it',
                sqlstate="2BP01",
            )
    if column.identity is not None and action.default is not None:
        raise ProgrammingError(f'"{column.name}" of "{table.name}" is an identity column: it has no default')
    if action.type is not None:
        column = replace(column, type=action.type)
        if column.autoincrement and column.type.kind is not Kind.INTEGER:
            column = replace(column, autoincrement=False, identity=None)
    if action.nullable is not None:
        column = replace(column, nullable=action.nullable)
    if action.drop_default or action.default is not None:
        column = replace(column, default=None if action.drop_default else default_of(action.default))
    after = with_column(table, column)
    work.hooks.constant(after, column)
    touched = [check for check in table.checks if column.name.lower() in kept.columns_of(check.sql)]
    conditions = [(check, condition_of(work, after, check)) for check in touched] if action.type is not None else []
    catalog = yield from alter.alter_column(work.tx, work.keys, work.catalog, table, column)
    if conditions:  # a value that was converted may be another value
        yield from _recheck(work, replace(work, catalog=catalog).table(table.name), conditions)
    return catalog


def _recheck(work: Work, table: Table, conditions: list[tuple[Check, RowCondition]]) -> Step[None]:
    def visit(row: Row) -> None:
        for check, holds in conditions:
            if holds(row) is False:
                raise check_violation(table, check)

    yield from rebuild.each_row(work.keys, table, visit)


def _add_constraint(work: Work, table: Table, node: syntax.Constraint) -> Step[Catalog]:
    tx, keys, catalog = work.tx, work.keys, work.catalog
    match node:
        case syntax.PrimaryKeyConstraint():
            ids = ids_of(table, node.columns)
            return (yield from indexes.add_primary_key(tx, keys, catalog, table, ids, node.name))
        case syntax.UniqueConstraint():
            index = Index(0, node.name, ids_of(table, node.columns), unique=True, constraint=True, comment=node.comment)
            return (yield from indexes.create_index(tx, keys, catalog, table, index))
        case syntax.ForeignKeyConstraint():
            key = foreign_key(work, table, node)
            check_computed(work, replace(table, foreign_keys=(*table.foreign_keys, key)))
            return (yield from indexes.add_foreign_key(tx, keys, catalog, table, key))
        case syntax.CheckConstraint():
            check = Check(node.name, node.condition.sql, node.comment)
            condition = condition_of(work, table, check)
            return (
                yield from indexes.add_check(
                    tx, keys, catalog, table, check, lambda row: condition(row) is not False
                )
            )


def _drop_constraint(work: Work, table: Table, action: syntax.DropConstraint) -> Step[Catalog]:
    tx, keys, catalog = work.tx, work.keys, work.catalog
    name = action.name
    if name is not None and name.lower() not in constraint_names(table):
        if action.if_exists:
            return catalog
        hint = did_you_mean(name, constraint_names(table).values())
        raise UndefinedObject(f'constraint "{name}" of table "{table.name}" does not exist{hint}')
    primary = table.primary_key_name
    if name is not None and (primary is None or name.lower() != primary.lower()):
        return (yield from indexes.drop_constraint(tx, keys, catalog, table, name))
    members = [column for column in table.columns if column.id in table.primary_key and column.autoincrement]
    for column in members:  # its numbers are unique only by the primary key
        catalog = yield from alter.alter_column(tx, keys, catalog, table, replace(column, autoincrement=False))
        table = catalog.tables[table.name.lower()]
    return (yield from indexes.drop_primary_key(tx, keys, catalog, table))
