"""Planning of INSERT, UPDATE and DELETE: which rows change, into what, and which conditions they must meet."""

from __future__ import annotations

from collections.abc import Sequence

from rome.errors import Place, ProgrammingError, UndefinedColumn, UndefinedObject
from rome.sql import syntax
from rome.sql.access import is_changing
from rome.sql.bind import Binder, Stage
from rome.sql.bound import ColumnRef, Compare, Const, Expr
from rome.sql.common_tables import declare
from rome.sql.from_clause import find_table, plan_from, plan_table
from rome.sql.grouping import applied
from rome.sql.parse import parse
from rome.sql.plan import Condition, Delete, Filter, Insert, Join, OnConflict, Plan, Project, Returning, Rows, Update
from rome.sql.planner import plan_query
from rome.sql.scope import Relation, Scope, StatementScope, did_you_mean
from rome.table.schema import Catalog, Column, Index, Table
from rome.values import BIGINT, NULL, NUMERIC_KINDS, Kind


def plan_insert(statement: StatementScope, node: syntax.Insert) -> Insert:
    """The plan of an INSERT."""
    table = find_table(statement, node.table.name, node.table.at)
    named = [column_of(statement, table, name) for name in node.columns]
    named = named or [column for column in table.columns if column.computed is None]
    refuse_repeated(statement, node.columns)
    scope = Scope(statement.sql)
    declare(node.common_tables, node, scope)
    source, given = _insert_source(statement, node, named, scope)
    places: list[int | None] = [None] * len(table.columns)
    for place, column in enumerate(named):
        if place in given:
            check_assignable(statement, table, column, node.at, node.overriding)
            places[table.position[column.id]] = place
    defaults = tuple(default_of(statement, column) for column in table.columns)
    row = _row_columns(statement, table)
    conflict = _conflict(statement, table, node.table, node.conflict, scope) if node.conflict is not None else None
    returning = _returning(statement, scope, [_changed(table, node.table, row)], row, node.returning)
    output = returning.output if returning else ()
    checks = conditions(statement, table, row)
    computed = computed_of(statement, table, row)
    return Insert(table, source, tuple(places), defaults, row, checks, conflict, returning, output, computed)


def _conflict(
    statement: StatementScope, table: Table, target: syntax.TableName, node: syntax.OnConflict, around: Scope
) -> OnConflict:
    """ON CONFLICT: in SET and WHERE a bare name is a column of the stored row, `excluded.name` of the one left out."""
    old = _row_columns(statement, table)
    new = tuple(statement.column(column.type, f"excluded.{column.name}") for column in table.columns)
    scope = Scope(statement.sql, common=dict(around.common))
    scope.relations.append(_changed(table, target, old))
    named = [(column.name.lower(), made) for column, made in zip(table.columns, new, strict=True)]
    scope.add(Relation("excluded", named, merged={name for name, _ in named}), node.at)
    binder = Binder(statement, scope, plan_query)
    if node.predicate is not None:
        binder.condition(node.predicate)  # every index here has all rows, so whatever it says holds of them
    keys = _arbiters(statement, table, node)
    places, expressions = assignments(statement, table, node.assignments, binder)
    condition = binder.condition(node.where) if node.where is not None else None
    if binder.applies[Stage.ROW]:
        binder.refuse(node, "a correlated subquery in ON CONFLICT is not supported")
    return OnConflict(keys, old, new, places, expressions, condition)


def _arbiters(statement: StatementScope, table: Table, node: syntax.OnConflict) -> tuple[Index | None, ...]:
    """The keys that ON CONFLICT is about: those on just its columns, the one it names, or all."""
    unique: list[Index | None] = [index for index in table.indexes if index.unique]
    if table.primary_key:
        unique.insert(0, None)
    if node.constraint is not None:
        name = node.constraint.lower()
        found = [key for key in unique if ((key.name if key else table.primary_key_name) or "").lower() == name]
        if not found:
            message = f'table "{table.name}" has no primary key and no unique constraint "{node.constraint}"'
            raise UndefinedObject(statement.place(node.at).describe(message))
        return tuple(found)
    if not node.columns:
        if node.assignments:
            message = "ON CONFLICT DO UPDATE needs the columns of a key, or ON CONSTRAINT and its name"
            raise ProgrammingError(statement.place(node.at).describe(message), sqlstate="42601")
        return tuple(unique)
    columns = {column_of(statement, table, name).id for name in node.columns}
    matching = tuple(key for key in unique if set(key.columns if key else table.primary_key) == columns)
    if not matching:
        names = ", ".join(name.parts[0] for name in node.columns)
        message = f'table "{table.name}" has no primary key and no unique constraint on just ({names})'
        raise ProgrammingError(statement.place(node.columns[0].at).describe(message), sqlstate="42P10")
    return matching


def _insert_source(
    statement: StatementScope, node: syntax.Insert, named: list[Column], scope: Scope
) -> tuple[Plan, set[int]]:
    """The rows to insert, and the places of `named` for which they give a value (the others say DEFAULT)."""
    if node.source is None:
        return Rows(((),), ()), set()
    body = node.source.body
    if not isinstance(body, syntax.Values):
        plan = plan_query(statement, node.source, scope)
        _check_width(statement, node, len(plan.output), len(named))
        return plan, set(range(len(named)))
    binder = Binder(statement, scope, plan_query)
    rows: list[tuple[Expr, ...]] = []
    for row in body.rows:
        _check_width(statement, node, len(row), len(named))
        rows.append(tuple(assigned(statement, binder, item, column) for item, column in zip(row, named, strict=True)))
    if binder.applies[Stage.ROW]:
        binder.refuse(node, "a correlated subquery in VALUES is not supported")
    given = set(range(len(named)))
    if len(body.rows) == 1:
        given = {place for place, item in enumerate(body.rows[0]) if not isinstance(item, syntax.DefaultValue)}
    output = tuple(statement.column(column.type, column.name) for column in named)
    return Rows(tuple(rows), output), given


def _check_width(statement: StatementScope, node: syntax.Insert, given: int, wanted: int) -> None:
    if given != wanted:
        message = f'INSERT INTO "{node.table.name}" has {wanted} columns but {given} values'
        raise ProgrammingError(statement.place(node.at).describe(message), sqlstate="42601")


def assigned(statement: StatementScope, binder: Binder, item: syntax.Expression, column: Column) -> Expr:
    """The value of a column in VALUES or SET; parameters stay as they are given: storing converts them."""
    if isinstance(item, syntax.DefaultValue):
        return default_of(statement, column) or Const(None, column.type)
    if isinstance(item, syntax.Parameter):
        return binder.bind(item, NULL)
    return binder.bind(item, column.type)


def default_of(statement: StatementScope, column: Column) -> Expr | None:
    """The server default of a column, bound; None when it has none."""
    if column.default is None:
        return None
    nested, expression = _kept_text(statement.catalog, column.default)
    bound = Binder(nested, Scope(nested.sql), plan_query).bind(expression, column.type)
    statement.entries.update(nested.entries)
    if nested.slots:
        raise ProgrammingError(f'the default of "{column.name}" cannot have parameters: {column.default}')
    return bound


def computed_of(
    statement: StatementScope, table: Table, row: tuple[ColumnRef, ...]
) -> tuple[tuple[int, Expr], ...]:
    """The computed columns of `table`: where each stands, and its expression over `row`."""
    return tuple(
        (place, compute(statement, table, row, column))
        for place, column in enumerate(table.columns)
        if column.computed is not None
    )


def compute(statement: StatementScope, table: Table, row: tuple[ColumnRef, ...], column: Column) -> Expr:
    """The expression of a computed column over `row`, which is without the columns that are computed themselves."""
    assert column.computed is not None
    sql = column.computed.sql
    nested, expression = _kept_text(statement.catalog, sql)
    scope = Scope(nested.sql)
    plain = [(c.name.lower(), ref) for c, ref in zip(table.columns, row, strict=True) if c.computed is None]
    scope.relations.append(Relation(table.name, plain))
    bound = Binder(nested, scope, plan_query).bind(expression, column.type)
    if nested.slots or nested.queries or is_changing(bound):
        message = "a computed column has no parameters, no subqueries and no functions whose answers change"
        raise ProgrammingError(Place.at(sql, 0).describe(message), sqlstate="42P17")
    return bound


def check_assignable(
    statement: StatementScope, table: Table, column: Column, at: int, overriding: bool = False
) -> None:
    """Refuse to write to a column that is computed, or numbered ALWAYS."""
    what = None
    if column.computed is not None:
        what = "is computed"
    elif column.identity is not None and column.identity.always and not overriding:
        what = "is GENERATED ALWAYS AS IDENTITY"
    if what is not None:
        message = f'column "{column.name}" of table "{table.name}" {what}: leave it out'
        raise ProgrammingError(statement.place(at).describe(message), sqlstate="428C9")


def _kept_text(catalog: Catalog, sql: str) -> tuple[StatementScope, syntax.Expression]:
    """An expression that the catalogue keeps as text, and a scope of its own to bind it in."""
    text = f"SELECT {sql}"
    query = parse(text)
    assert isinstance(query, syntax.Query) and isinstance(query.body, syntax.Select)
    return StatementScope(text, catalog), query.body.items[0].expression


def conditions(statement: StatementScope, table: Table, row: tuple[ColumnRef, ...]) -> tuple[Condition, ...]:
    """The CHECK constraints of `table`, bound over `row`."""
    return tuple(
        Condition(check.name, check.sql, bind_over_row(statement, table, row, check.sql)) for check in table.checks
    )


def bind_over_row(statement: StatementScope, table: Table, row: tuple[ColumnRef, ...], sql: str) -> Expr:
    """A condition given as text, about one row of `table`."""
    nested, expression = _kept_text(statement.catalog, sql)
    scope = Scope(nested.sql)
    scope.relations.append(Relation(table.name, [(column.name.lower(), column) for column in row]))
    bound = Binder(nested, scope, plan_query).condition(expression)
    if bound.type.kind in NUMERIC_KINDS and bound.type.kind is not Kind.BOOLEAN:
        bound = Compare("<>", bound, Const(0, BIGINT))  # a condition judged by hand must be a truth value
    if nested.slots or nested.queries:
        raise ProgrammingError(Place.at(sql, 0).describe("a CHECK condition has neither parameters nor subqueries"))
    return bound


def plan_update(statement: StatementScope, node: syntax.Update) -> Update:
    """The plan of an UPDATE."""
    table = find_table(statement, node.table.name, node.table.at)
    scope = Scope(statement.sql)
    declare(node.common_tables, node, scope)
    binder = Binder(statement, scope, plan_query)
    child, beside = _changed_rows(statement, node, scope, binder)
    already = len(binder.applies[Stage.ROW])
    places, expressions = assignments(statement, table, node.assignments, binder)
    child = _in_order(node, applied(child, binder.applies[Stage.ROW][already:]))
    after = _row_columns(statement, table)
    relations = [_changed(table, node.table, after), *scope.relations[1:]]
    returning = _returning(statement, scope, relations, (*after, *beside), node.returning)
    checks = conditions(statement, table, after)
    output = returning.output if returning else ()
    computed = computed_of(statement, table, after)
    return Update(table, child, after, places, expressions, checks, returning, output, computed)


def assignments(
    statement: StatementScope, table: Table, nodes: Sequence[tuple[syntax.Name, syntax.Expression]], binder: Binder
) -> tuple[tuple[int, ...], tuple[Expr, ...]]:
    """SET: the places of the columns in the row of `table`, and what they become."""
    refuse_repeated(statement, tuple(name for name, _ in nodes))
    places, expressions = [], []
    for name, value in nodes:
        if len(name.parts) > 1 and binder.scope.relation(name.parts[0], name.at) is not binder.scope.relations[0]:
            binder.refuse(name, "SET can only change columns of the table that the statement begins with")
        column = column_of(statement, table, name)
        check_assignable(statement, table, column, name.at)
        places.append(table.position[column.id])
        expressions.append(assigned(statement, binder, value, column))
    return tuple(places), tuple(expressions)


def plan_delete(statement: StatementScope, node: syntax.Delete) -> Delete:
    """The plan of a DELETE."""
    table = find_table(statement, node.table.name, node.table.at)
    scope = Scope(statement.sql)
    declare(node.common_tables, node, scope)
    child, _ = _changed_rows(statement, node, scope, Binder(statement, scope, plan_query))
    child = _in_order(node, child)
    returning = _returning(statement, scope, scope.relations, child.output, node.returning)
    return Delete(table, child, returning, returning.output if returning else ())


def _changed_rows(
    statement: StatementScope, node: syntax.Update | syntax.Delete, scope: Scope, binder: Binder
) -> tuple[Plan, tuple[ColumnRef, ...]]:
    """The rows of the target that the statement is about, each beside a row of its FROM; and the columns of that."""
    plan: Plan = plan_table(statement, node.table, scope)
    beside: tuple[ColumnRef, ...] = ()
    if node.source is not None:
        others = plan_from(statement, node.source, scope, plan_query)
        plan, beside = Join("INNER", plan, others), others.output
    if node.where is not None:
        condition = binder.condition(node.where)
        plan = Filter(applied(plan, binder.applies[Stage.ROW]), condition)
    return plan, beside


def _in_order(node: syntax.Update | syntax.Delete, child: Plan) -> Plan:
    """`child` with its columns where they are, in whatever order its tables will be joined."""
    return child if node.source is None else Project(child, child.output, child.output)


def _row_columns(statement: StatementScope, table: Table) -> tuple[ColumnRef, ...]:
    return tuple(statement.column(column.type, column.name) for column in table.columns)


def _changed(table: Table, target: syntax.TableName, row: tuple[ColumnRef, ...]) -> Relation:
    """The row after the change, under the name that the statement gives it."""
    return Relation(target.alias or table.name, [(column.name.lower(), column) for column in row], table)


def _returning(
    statement: StatementScope,
    around: Scope,
    relations: Sequence[Relation],
    row: tuple[ColumnRef, ...],
    items: tuple[syntax.SelectItem, ...],
) -> Returning | None:
    if not items:
        return None
    scope = Scope(statement.sql, common=dict(around.common))
    scope.relations.extend(relations)
    binder = Binder(statement, scope, plan_query)
    expressions: list[Expr] = []
    names: list[str] = []
    for item in items:
        if isinstance(item.expression, syntax.Star):
            alias = item.expression.table
            shown = relations if alias is None else [scope.relation(alias, item.expression.at)]
            columns = [column for relation in shown for _, column in relation.columns]
            expressions.extend(columns)
            names.extend(column.name for column in columns)
            continue
        expressions.append(binder.bind(item.expression))
        own = item.expression.parts[-1] if isinstance(item.expression, syntax.Name) else "?column?"
        names.append(item.alias or own)
    if binder.applies[Stage.ROW]:
        binder.refuse(items[0], "a correlated subquery in RETURNING is not supported")
    output = tuple(
        statement.column(expression.type, name) for expression, name in zip(expressions, names, strict=True)
    )
    return Returning(row, tuple(expressions), output)


def column_of(statement: StatementScope, table: Table, name: syntax.Name) -> Column:
    column = table.by_name.get(name.parts[-1].lower())
    if column is None:
        hint = did_you_mean(name.parts[-1], [known.name for known in table.columns])
        message = f'table "{table.name}" has no column "{name.parts[-1]}"{hint}'
        raise UndefinedColumn(statement.place(name.at).describe(message))
    return column


def refuse_repeated(statement: StatementScope, names: tuple[syntax.Name, ...]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.parts[-1].lower() in seen:
            message = f'column "{name.parts[-1]}" is given twice'
            raise ProgrammingError(statement.place(name.at).describe(message), sqlstate="42701")
        seen.add(name.parts[-1].lower())

