"""CREATE TABLE, DROP TABLE and COMMENT ON, and what of them ALTER TABLE needs, too."""

from __future__ import annotations

from dataclasses import replace

from rome.errors import NotSupportedError, ProgrammingError, UndefinedObject
from rome.sql import syntax
from rome.sql.definition.work import Work, condition_of, constraint_names, find_column, ids_of, is_taken
from rome.sql.parse import kept
from rome.sql.scope import did_you_mean
from rome.table import alter
from rome.table import catalog as tables
from rome.table.convert import integer_range
from rome.table.numbering import numbering
from rome.table.schema import (
    Action,
    Catalog,
    Check,
    Column,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Numbering,
    Table,
)
from rome.txn.wave import Step
from rome.values import Kind

_LEAVES_ROWS = (Action.NO_ACTION, Action.RESTRICT)


def create_table(work: Work, node: syntax.CreateTable) -> Step[Catalog]:
    if node.if_not_exists and is_taken(work.catalog, node.name):
        return work.catalog
    columns = tuple(column_of(number, part) for number, part in enumerate(node.columns, 1))
    draft = Table(0, node.name, columns, comment=node.comment, temporary=node.temporary)
    tables.check_names(draft)
    for constraint in (*(one for part in node.columns for one in part.constraints), *node.constraints):
        draft = _constrained(work, draft, constraint)
    draft = _numbered(draft)
    for column in draft.columns:
        work.hooks.constant(draft, column)
    check_computed(work, draft)
    for check in draft.checks:
        condition_of(work, draft, check)
    return (yield from tables.create_table(work.tx, work.keys, work.catalog, draft))


def column_of(number: int, node: syntax.ColumnDefinition) -> Column:
    identity = computed = None
    if node.identity is not None:
        identity = Identity(node.identity.always, numbering_of(node.identity.options, integer_range(node.type)))
    if node.computed is not None:
        computed = Computed(node.computed.text.sql, node.computed.stored)
    return Column(
        number,
        node.name,
        node.type,
        node.nullable,
        default_of(node.default),
        None,
        node.autoincrement,
        node.comment,
        identity,
        computed,
    )


def numbering_of(node: syntax.NumberOptions, most: int) -> Numbering:
    return numbering(most, node.start, node.increment, node.minimum, node.maximum, node.cycle, node.cache)


def default_of(node: syntax.TextExpression | None) -> str | None:
    """The text of a default; none for DEFAULT NULL, which says nothing."""
    if node is None or node.expression == syntax.Literal(None):
        return None
    return node.sql


def check_computed(work: Work, table: Table) -> None:
    """Refuse computed columns that do not make sense, or that a foreign key would change behind a statement's back."""
    for column in table.columns:
        if column.computed is None:
            continue
        sql = column.computed.sql
        if kept.has_qualified_names(sql):
            message = f"write the columns of a computed column without a table name: {sql}"
            raise ProgrammingError(message, sqlstate="42P17")
        work.hooks.computed(table, column)
        used = {table.by_name[name].id for name in kept.columns_of(sql) if name in table.by_name} | {column.id}
        for key in table.foreign_keys:
            harmless = key.on_update in _LEAVES_ROWS and key.on_delete in (*_LEAVES_ROWS, Action.CASCADE)
            if used & set(key.columns) and not harmless:
                raise NotSupportedError(
                    f'the computed column "{column.name}" of table "{table.name}" and the foreign key '
                    f'{key.name or "-"}, whose actions change what it is computed from, cannot both be'
                )


def _constrained(work: Work, table: Table, node: syntax.Constraint) -> Table:
    """A table that is not there yet, with one more constraint."""
    match node:
        case syntax.PrimaryKeyConstraint():
            if table.primary_key:
                raise ProgrammingError(f'table "{table.name}" has two primary keys', sqlstate="42P16")
            return replace(
                table,
                primary_key=ids_of(table, node.columns),
                primary_key_name=node.name,
                primary_key_comment=node.comment,
            )
        case syntax.UniqueConstraint():
            index = Index(0, node.name, ids_of(table, node.columns), unique=True, constraint=True, comment=node.comment)
            return replace(table, indexes=(*table.indexes, index))
        case syntax.ForeignKeyConstraint():
            return replace(table, foreign_keys=(*table.foreign_keys, foreign_key(work, table, node)))
        case syntax.CheckConstraint():
            return replace(table, checks=(*table.checks, Check(node.name, node.condition.sql, node.comment)))


def foreign_key(work: Work, table: Table, node: syntax.ForeignKeyConstraint) -> ForeignKey:
    """A foreign key with the columns it references: the target's primary key when the text names none."""
    target = table if node.target.lower() == table.name.lower() else work.table(node.target)
    names = node.target_columns or target.names(target.primary_key)
    if not names:
        raise ProgrammingError(
            f'table "{target.name}" has no primary key: name the columns that "{table.name}" references',
            sqlstate="42830",
        )
    columns = tuple(find_column(target, name).name for name in names)
    return ForeignKey(
        node.name,
        ids_of(table, node.columns),
        target.name,
        columns,
        node.on_delete,
        node.on_update,
        deferrable=node.deferrable,
        initially=node.initially,
        comment=node.comment,
        enforced=node.enforced,
    )


def _numbered(table: Table) -> Table:
    """`table` with its AUTOINCREMENT column: the declared one, or an integer that is all of the primary key.

    A primary key with a default, or one that is a foreign key too, gets its values from there.
    """
    declared = [column for column in table.columns if column.autoincrement]
    if len(declared) > 1:
        raise ProgrammingError(f'table "{table.name}" has two AUTOINCREMENT columns')
    if declared and declared[0].identity is None:
        keyed = {*table.primary_key, *(column for index in table.indexes if index.unique for column in index.columns)}
        if declared[0].id not in keyed:
            raise ProgrammingError(f'the AUTOINCREMENT column "{declared[0].name}" must be in a key of "{table.name}"')
    if declared:
        return table
    if len(table.primary_key) != 1:
        return table
    [key] = table.primary_key
    column = table.columns[table.position[key]]
    references = any(key in foreign_key.columns for foreign_key in table.foreign_keys)
    if column.type.kind is not Kind.INTEGER or column.default is not None or column.computed or references:
        return table
    return with_column(table, replace(column, autoincrement=True))


def with_column(table: Table, column: Column) -> Table:
    return replace(table, columns=tuple(column if each.id == column.id else each for each in table.columns))


def drop_tables(work: Work, node: syntax.DropTable) -> Step[Catalog]:
    names = {name.lower(): name for name in node.names}
    dropped = [work.table(name) for key, name in names.items() if not node.if_exists or key in work.catalog.tables]
    if not dropped:
        return work.catalog
    return (yield from tables.drop_table(work.tx, work.keys, work.catalog, dropped))


def comment_on(work: Work, node: syntax.CommentOn) -> Step[Catalog]:
    table = work.table(node.table)
    if node.constraint is not None:
        after = _commented(table, node.constraint, node.text)
        return (yield from tables.replace_table(work.tx, work.keys, work.catalog, after))
    if node.column is None:
        return (yield from tables.comment_on_table(work.tx, work.keys, work.catalog, table, node.text))
    column = replace(find_column(table, node.column), comment=node.text)
    return (yield from alter.alter_column(work.tx, work.keys, work.catalog, table, column))


def _commented(table: Table, name: str, comment: str | None) -> Table:
    """`table` with the comment of its constraint called `name`."""
    wanted = name.lower()
    if wanted not in constraint_names(table):
        hint = did_you_mean(name, constraint_names(table).values())
        raise UndefinedObject(f'constraint "{name}" of table "{table.name}" does not exist{hint}')

    def is_meant(each: str | None) -> bool:
        return each is not None and each.lower() == wanted

    return replace(
        table,
        primary_key_comment=comment if is_meant(table.primary_key_name) else table.primary_key_comment,
        indexes=tuple(replace(i, comment=comment) if i.constraint and is_meant(i.name) else i for i in table.indexes),
        foreign_keys=tuple(replace(k, comment=comment) if is_meant(k.name) else k for k in table.foreign_keys),
        checks=tuple(replace(check, comment=comment) if is_meant(check.name) else check for check in table.checks),
    )
