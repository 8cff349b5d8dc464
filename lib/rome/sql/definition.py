"""Running definitions: CREATE, DROP, ALTER and COMMENT, as changes of the transaction's catalogue.

`define` is a step; the table floor makes the changes, and this module turns names into ids, fills in what the text may
leave out, and sees that defaults and CHECK conditions mean something before they are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from rome.errors import (
    DuplicateColumn,
    InternalError,
    NotSupportedError,
    ProgrammingError,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
)
from rome.sql import syntax
from rome.sql.parse import kept
from rome.sql.scope import did_you_mean
from rome.table import alter, indexes, objects, rebuild
from rome.table import catalog as tables
from rome.table.constraints import check_violation
from rome.table.convert import integer_range
from rome.table.keys import Keys
from rome.table.numbering import numbering
from rome.table.rowcode import Row
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
    Sequence,
    Table,
    View,
)
from rome.txn.transaction import Transaction
from rome.txn.wave import Step
from rome.values import Kind

_LEAVES_ROWS = (Action.NO_ACTION, Action.RESTRICT)

RowCondition = Callable[[Row], object]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What needs expressions to be evaluated.

    `constant` gives the value of a column's default, converted to the column's type; `condition` makes of a CHECK's
    text a function from a row of the table to True, False or None (unknown), `computed` of a computed column one to its
    value. `view` reads a view of a catalogue as a query would. All raise when the text does not fit.
    """

    constant: Callable[[Table, Column], object]
    condition: Callable[[Table, str], RowCondition]
    computed: Callable[[Table, Column], Callable[[Row], object]]
    view: Callable[[Catalog, View], object]


@dataclass(frozen=True, slots=True)
class _Work:
    """What every definition needs; `catalog` is the one that it changes."""

    tx: Transaction
    keys: Keys
    catalog: Catalog
    hooks: Hooks

    def table(self, name: str) -> Table:
        found = self.catalog.tables.get(name.lower())
        if found is None and self.catalog.view(name) is not None:
            raise ProgrammingError(f'"{name}" is a view, not a table', sqlstate="42809")
        if found is None:
            known = [table.name for table in self.catalog.tables.values()]
            raise UndefinedTable(f'table "{name}" does not exist{did_you_mean(name, known)}')
        return found


def define(
    statement: syntax.Definition, tx: Transaction, keys: Keys, catalog: Catalog, hooks: Hooks
) -> Step[Catalog]:
    """Run one definition on `catalog`; the new catalogue, or the same when IF [NOT] EXISTS leaves nothing to do.

    Nothing is taken back when it raises: the caller rolls back to a savepoint. Raises UndefinedTable, UndefinedColumn,
    UndefinedObject, DuplicateTable, DuplicateColumn, DuplicateObject, and IntegrityError when rows that are there do
    not keep a new constraint.
    """
    work = _Work(tx, keys, catalog, hooks)
    match statement:
        case syntax.CreateTable():
            return (yield from _create_table(work, statement))
        case syntax.CreateTableAs():
            raise InternalError("CREATE TABLE … AS is a CREATE TABLE and an INSERT")
        case syntax.CreateView():
            return (yield from _create_view(work, statement))
        case syntax.DropView():
            return (yield from _drop_views(work, statement))
        case syntax.CreateSequence():
            return (yield from _create_sequence(work, statement))
        case syntax.DropSequence():
            return (yield from _drop_sequences(work, statement))
        case syntax.DropTable():
            return (yield from _drop_tables(work, statement))
        case syntax.CreateIndex():
            return (yield from _create_index(work, statement))
        case syntax.DropIndex():
            return (yield from _drop_index(work, statement))
        case syntax.AlterTable():
            return (yield from _alter_table(work, statement))
        case syntax.CommentOn():
            return (yield from _comment(work, statement))


# ---- tables --------------------------------------------------------------------------------------------------------


def _create_table(work: _Work, node: syntax.CreateTable) -> Step[Catalog]:
    if node.if_not_exists and _is_taken(work.catalog, node.name):
        return work.catalog
    columns = tuple(_column(number, part) for number, part in enumerate(node.columns, 1))
    draft = Table(0, node.name, columns, comment=node.comment, temporary=node.temporary)
    tables.check_names(draft)
    for constraint in (*(one for part in node.columns for one in part.constraints), *node.constraints):
        draft = _constrained(work, draft, constraint)
    draft = _numbered(draft)
    for column in draft.columns:
        work.hooks.constant(draft, column)
    _check_computed(work, draft)
    for check in draft.checks:
        _condition(work, draft, check)
    return (yield from tables.create_table(work.tx, work.keys, work.catalog, draft))


def _column(number: int, node: syntax.ColumnDefinition) -> Column:
    identity = computed = None
    if node.identity is not None:
        identity = Identity(node.identity.always, _numbering(node.identity.options, integer_range(node.type)))
    if node.computed is not None:
        computed = Computed(node.computed.text.sql, node.computed.stored)
    return Column(
        number,
        node.name,
        node.type,
        node.nullable,
        _default(node.default),
        None,
        node.autoincrement,
        node.comment,
        identity,
        computed,
    )


def _numbering(node: syntax.NumberOptions, most: int) -> Numbering:
    return numbering(most, node.start, node.increment, node.minimum, node.maximum, node.cycle, node.cache)


def _check_computed(work: _Work, table: Table) -> None:
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


def _default(node: syntax.TextExpression | None) -> str | None:
    """The text of a default; none for DEFAULT NULL, which says nothing."""
    if node is None or node.expression == syntax.Literal(None):
        return None
    return node.sql


def _constrained(work: _Work, table: Table, node: syntax.Constraint) -> Table:
    """A table that is not there yet, with one more constraint."""
    match node:
        case syntax.PrimaryKeyConstraint():
            if table.primary_key:
                raise ProgrammingError(f'table "{table.name}" has two primary keys', sqlstate="42P16")
            return replace(
                table,
                primary_key=_ids(table, node.columns),
                primary_key_name=node.name,
                primary_key_comment=node.comment,
            )
        case syntax.UniqueConstraint():
            index = Index(0, node.name, _ids(table, node.columns), unique=True, constraint=True, comment=node.comment)
            return replace(table, indexes=(*table.indexes, index))
        case syntax.ForeignKeyConstraint():
            return replace(table, foreign_keys=(*table.foreign_keys, _foreign_key(work, table, node)))
        case syntax.CheckConstraint():
            return replace(table, checks=(*table.checks, Check(node.name, node.condition.sql, node.comment)))


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
    return _with_column(table, replace(column, autoincrement=True))


def _with_column(table: Table, column: Column) -> Table:
    return replace(table, columns=tuple(column if each.id == column.id else each for each in table.columns))


def _drop_tables(work: _Work, node: syntax.DropTable) -> Step[Catalog]:
    names = {name.lower(): name for name in node.names}
    dropped = [work.table(name) for key, name in names.items() if not node.if_exists or key in work.catalog.tables]
    if not dropped:
        return work.catalog
    return (yield from tables.drop_table(work.tx, work.keys, work.catalog, dropped))


def _comment(work: _Work, node: syntax.CommentOn) -> Step[Catalog]:
    table = work.table(node.table)
    if node.constraint is not None:
        after = _commented(table, node.constraint, node.text)
        return (yield from tables.replace_table(work.tx, work.keys, work.catalog, after))
    if node.column is None:
        return (yield from tables.comment_on_table(work.tx, work.keys, work.catalog, table, node.text))
    column = replace(_find_column(table, node.column), comment=node.text)
    return (yield from alter.alter_column(work.tx, work.keys, work.catalog, table, column))


def _commented(table: Table, name: str, comment: str | None) -> Table:
    """`table` with the comment of its constraint called `name`."""
    wanted = name.lower()
    if wanted not in _constraint_names(table):
        hint = did_you_mean(name, _constraint_names(table).values())
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


# ---- views ---------------------------------------------------------------------------------------------------------


def _create_view(work: _Work, node: syntax.CreateView) -> Step[Catalog]:
    """Keep the text of a query. It must make sense now; whether it still does is seen when the view is used."""
    if node.if_not_exists and _is_taken(work.catalog, node.name):
        return work.catalog
    draft = View(0, node.name, node.sql, node.columns)
    catalog = yield from objects.create_view(work.tx, work.keys, work.catalog, draft, node.replacing)
    work.hooks.view(catalog, catalog.views[node.name.lower()])
    return catalog


def _is_taken(catalog: Catalog, name: str) -> bool:
    return name.lower() in catalog.tables or name.lower() in catalog.views


def _drop_views(work: _Work, node: syntax.DropView) -> Step[Catalog]:
    dropped: dict[str, View] = {}
    for name in node.names:
        view = work.catalog.view(name)
        if view is not None:
            dropped[name.lower()] = view
        elif not node.if_exists:
            if name.lower() in work.catalog.tables:
                raise ProgrammingError(f'"{name}" is a table, not a view', sqlstate="42809")
            hint = did_you_mean(name, [known.name for known in work.catalog.views.values()])
            raise UndefinedTable(f'view "{name}" does not exist{hint}')
    if not dropped:
        return work.catalog
    return (yield from objects.drop(work.tx, work.keys, work.catalog, dropped.values()))


# ---- sequences -----------------------------------------------------------------------------------------------------


def _create_sequence(work: _Work, node: syntax.CreateSequence) -> Step[Catalog]:
    if node.if_not_exists and node.name.lower() in work.catalog.sequences:
        return work.catalog
    draft = Sequence(0, node.name, _numbering(node.options, 1 << 63))
    return (yield from objects.create_sequence(work.tx, work.keys, work.catalog, draft))


def _drop_sequences(work: _Work, node: syntax.DropSequence) -> Step[Catalog]:
    dropped: dict[str, Sequence] = {}
    for name in node.names:
        sequence = work.catalog.sequences.get(name.lower())
        if sequence is not None:
            dropped[name.lower()] = sequence
        elif not node.if_exists:
            hint = did_you_mean(name, [known.name for known in work.catalog.sequences.values()])
            raise UndefinedObject(f'sequence "{name}" does not exist{hint}')
    if not dropped:
        return work.catalog
    return (yield from objects.drop(work.tx, work.keys, work.catalog, dropped.values()))


# ---- names ---------------------------------------------------------------------------------------------------------


def _find_column(table: Table, name: str) -> Column:
    found = table.by_name.get(name.lower())
    if found is None:
        hint = did_you_mean(name, [column.name for column in table.columns])
        raise UndefinedColumn(f'column "{name}" of table "{table.name}" does not exist{hint}')
    return found


def _ids(table: Table, names: tuple[str, ...]) -> tuple[int, ...]:
    """Column ids by name; DuplicateColumn when a key names one twice."""
    ids = tuple(_find_column(table, name).id for name in names)
    if len(set(ids)) != len(ids):
        raise DuplicateColumn(f'a key of table "{table.name}" names a column twice: {", ".join(names)}')
    return ids


def _foreign_key(work: _Work, table: Table, node: syntax.ForeignKeyConstraint) -> ForeignKey:
    """A foreign key with the columns it references: the target's primary key when the text names none."""
    target = table if node.target.lower() == table.name.lower() else work.table(node.target)
    names = node.target_columns or target.names(target.primary_key)
    if not names:
        raise ProgrammingError(
            f'table "{target.name}" has no primary key: name the columns that "{table.name}" references',
            sqlstate="42830",
        )
    columns = tuple(_find_column(target, name).name for name in names)
    return ForeignKey(
        node.name,
        _ids(table, node.columns),
        target.name,
        columns,
        node.on_delete,
        node.on_update,
        deferrable=node.deferrable,
        initially=node.initially,
        comment=node.comment,
        enforced=node.enforced,
    )


# ---- conditions ----------------------------------------------------------------------------------------------------


def _condition(work: _Work, table: Table, check: Check) -> RowCondition:
    """The condition of a CHECK. A column in it stands alone: the table's name may change."""
    if kept.has_qualified_names(check.sql):
        raise ProgrammingError(f"write the columns of a CHECK without a table name: {check.sql}", sqlstate="42P10")
    return work.hooks.condition(table, check.sql)


# ---- indexes -------------------------------------------------------------------------------------------------------


def _create_index(work: _Work, node: syntax.CreateIndex) -> Step[Catalog]:
    table = work.table(node.table)
    if node.if_not_exists and _index_named(table, node.name) is not None:
        return work.catalog
    ids, descending = _ids(table, node.columns), _ids(table, node.descending)
    index = Index(0, node.name, ids, node.unique, descending=descending)
    return (yield from indexes.create_index(work.tx, work.keys, work.catalog, table, index))


def _index_named(table: Table, name: str) -> Index | None:
    for index in table.indexes:
        if not index.hidden and index.name is not None and index.name.lower() == name.lower():
            return index
    return None


def _drop_index(work: _Work, node: syntax.DropIndex) -> Step[Catalog]:
    """Drop an index; index names are unique within a table, so without ON the name must be that of one alone."""
    among = work.catalog.tables.values() if node.table is None else [work.table(node.table)]
    owners = [table for table in among if _index_named(table, node.name) is not None]
    if not owners:
        if node.if_exists:
            return work.catalog
        known = [index.name for table in among for index in table.indexes if index.name is not None]
        where = f' of table "{node.table}"' if node.table else ""
        raise UndefinedObject(f'index "{node.name}"{where} does not exist{did_you_mean(node.name, known)}')
    if len(owners) > 1:
        names = ", ".join(sorted(table.name for table in owners))
        raise ProgrammingError(f'several tables have an index "{node.name}": write DROP INDEX … ON one of {names}')
    return (yield from indexes.drop_index(work.tx, work.keys, work.catalog, owners[0], node.name))


# ---- ALTER TABLE ---------------------------------------------------------------------------------------------------


def _alter_table(work: _Work, node: syntax.AlterTable) -> Step[Catalog]:
    """The actions one after the other, each on the catalogue that the one before it made."""
    name = node.name
    for action in node.actions:
        work = replace(work, catalog=(yield from _alter(work, work.table(name), action)))
        if isinstance(action, syntax.RenameTable):
            name = action.new_name
    return work.catalog


def _alter(work: _Work, table: Table, action: syntax.AlterAction) -> Step[Catalog]:
    tx, keys, catalog = work.tx, work.keys, work.catalog
    match action:
        case syntax.AddColumn():
            return (yield from _add_column(work, table, action.column))
        case syntax.DropColumn():
            if action.if_exists and action.name.lower() not in table.by_name:
                return catalog
            name = _find_column(table, action.name).name
            return (
                yield from alter.drop_column(tx, keys, catalog, table, name, kept.columns_of)
            )
        case syntax.RenameColumn():
            name = _find_column(table, action.name).name
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


def _add_column(work: _Work, table: Table, node: syntax.ColumnDefinition) -> Step[Catalog]:
    """Add a column, then its constraints; rows that are there get its default's value of this moment."""
    column = _column(table.next_id, node)
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
    _check_computed(work, with_it)
    compute = None if column.computed is None else work.hooks.computed(with_it, column)
    catalog = yield from alter.add_column(work.tx, work.keys, work.catalog, table, column, compute)
    for constraint in node.constraints:
        now = replace(work, catalog=catalog)
        catalog = yield from _add_constraint(now, now.table(table.name), constraint)
    return catalog


def _alter_column(work: _Work, table: Table, action: syntax.AlterColumn) -> Step[Catalog]:
    column = _find_column(table, action.name)
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
        column = replace(column, default=None if action.drop_default else _default(action.default))
    after = _with_column(table, column)
    work.hooks.constant(after, column)
    touched = [check for check in table.checks if column.name.lower() in kept.columns_of(check.sql)]
    conditions = [(check, _condition(work, after, check)) for check in touched] if action.type is not None else []
    catalog = yield from alter.alter_column(work.tx, work.keys, work.catalog, table, column)
    if conditions:  # a value that was converted may be another value
        yield from _recheck(work, replace(work, catalog=catalog).table(table.name), conditions)
    return catalog


def _recheck(work: _Work, table: Table, conditions: list[tuple[Check, RowCondition]]) -> Step[None]:
    def visit(row: Row) -> None:
        for check, holds in conditions:
            if holds(row) is False:
                raise check_violation(table, check)

    yield from rebuild.each_row(work.keys, table, visit)


def _add_constraint(work: _Work, table: Table, node: syntax.Constraint) -> Step[Catalog]:
    tx, keys, catalog = work.tx, work.keys, work.catalog
    match node:
        case syntax.PrimaryKeyConstraint():
            ids = _ids(table, node.columns)
            return (yield from indexes.add_primary_key(tx, keys, catalog, table, ids, node.name))
        case syntax.UniqueConstraint():
            index = Index(0, node.name, _ids(table, node.columns), unique=True, constraint=True, comment=node.comment)
            return (yield from indexes.create_index(tx, keys, catalog, table, index))
        case syntax.ForeignKeyConstraint():
            key = _foreign_key(work, table, node)
            _check_computed(work, replace(table, foreign_keys=(*table.foreign_keys, key)))
            return (yield from indexes.add_foreign_key(tx, keys, catalog, table, key))
        case syntax.CheckConstraint():
            check = Check(node.name, node.condition.sql, node.comment)
            condition = _condition(work, table, check)
            return (
                yield from indexes.add_check(
                    tx, keys, catalog, table, check, lambda row: condition(row) is not False
                )
            )


def _drop_constraint(work: _Work, table: Table, action: syntax.DropConstraint) -> Step[Catalog]:
    tx, keys, catalog = work.tx, work.keys, work.catalog
    name = action.name
    if name is not None and name.lower() not in _constraint_names(table):
        if action.if_exists:
            return catalog
        hint = did_you_mean(name, _constraint_names(table).values())
        raise UndefinedObject(f'constraint "{name}" of table "{table.name}" does not exist{hint}')
    primary = table.primary_key_name
    if name is not None and (primary is None or name.lower() != primary.lower()):
        return (yield from indexes.drop_constraint(tx, keys, catalog, table, name))
    members = [column for column in table.columns if column.id in table.primary_key and column.autoincrement]
    for column in members:  # its numbers are unique only by the primary key
        catalog = yield from alter.alter_column(tx, keys, catalog, table, replace(column, autoincrement=False))
        table = catalog.tables[table.name.lower()]
    return (yield from indexes.drop_primary_key(tx, keys, catalog, table))


def _constraint_names(table: Table) -> dict[str, str]:
    """The names of a table's constraints by their lower case."""
    names = [table.primary_key_name, *(key.name for key in table.foreign_keys), *(check.name for check in table.checks)]
    names += [index.name for index in table.indexes if index.constraint]
    return {name.lower(): name for name in names if name is not None}
