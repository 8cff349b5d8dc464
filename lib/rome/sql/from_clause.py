"""Planning of FROM: tables, queries in their place, and joins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rome.errors import DatabaseError, NotSupportedError, ProgrammingError, UndefinedColumn, UndefinedTable
from rome.sql import syntax
from rome.sql.bind import Binder, PendingApply, PlanQuery, Stage
from rome.sql.bound import ColumnRef, Expr, conjunction, walk
from rome.sql.common_tables import plan_common
from rome.sql.grouping import applied
from rome.sql.operands import compare
from rome.sql.parse import parse
from rome.sql.plan import Filter, Join, LateralJoin, Lock, Plan, Project, Scan, weakened
from rome.sql.scope import Relation, Scope, StatementScope, did_you_mean
from rome.table.schema import Table, View
from rome.values import BIGINT


def plan_from(statement: StatementScope, item: syntax.FromItem, scope: Scope, plan_query: PlanQuery) -> Plan:
    """The plan of a FROM item; its relations are added to `scope`."""
    if isinstance(item, syntax.TableName):
        common = scope.common_table(item.name)
        if common is None:
            view = statement.catalog.view(item.name)
            if view is None:
                return plan_table(statement, item, scope)
            return _plan_view(statement, view, item, scope, plan_query)
        plan = plan_common(statement, item, common, scope, plan_query)
        return _derived(statement, plan, item.alias or item.name, common.item.columns, item, scope)
    if isinstance(item, syntax.Derived):
        plan = (_lateral if item.lateral else nested)(statement, item.query, scope, plan_query)
        return _derived(statement, plan, item.alias or "", item.columns, item, scope)
    return _plan_join(statement, item, scope, plan_query)


def _plan_view(
    statement: StatementScope, view: View, item: syntax.TableName, scope: Scope, plan_query: PlanQuery
) -> Plan:
    """The query of a view: its text stands alone, and what is wrong with it is shown in that text.

    It sees no temporary tables: it must mean the same to everyone.
    """
    statement.entries[view.id] = view
    if view.id in statement.expanding:
        message = f'the view "{view.name}" is defined by itself'
        raise ProgrammingError(statement.place(item.at).describe(message), sqlstate="42P17")
    query = parse(view.sql)
    assert isinstance(query, syntax.Query)
    around = statement.sql, statement.catalog
    statement.sql, statement.catalog = view.sql, statement.catalog.shared_only
    statement.expanding.add(view.id)
    try:
        plan = plan_query(statement, query, Scope(view.sql))
    except DatabaseError as error:
        message = str(error).split("] ", 1)[-1]
        raise type(error)(f'in the view "{view.name}": {message}', sqlstate=error.sqlstate) from None
    finally:
        statement.sql, statement.catalog = around
        statement.expanding.remove(view.id)
    return _derived(statement, plan, item.alias or view.name, view.columns, item, scope)


def _derived(
    statement: StatementScope,
    plan: Plan,
    alias: str,
    names: tuple[str, ...],
    item: syntax.Node,
    scope: Scope,
) -> Plan:
    if names and len(names) != len(plan.output):
        message = f'"{alias}" names {len(names)} columns, its query has {len(plan.output)}'
        raise ProgrammingError(statement.place(item.at).describe(message), sqlstate="42601")
    output = tuple(
        statement.column(column.type, name, column.nullable)
        for column, name in zip(plan.output, names or [column.name for column in plan.output], strict=True)
    )
    columns = [(column.name.lower(), column) for column in output]
    scope.add(Relation(alias, columns, locked=isinstance(plan, Lock)), item.at)
    if isinstance(plan, Project):
        return replace(plan, output=output)
    return Project(plan, plan.output, output)


def find_table(statement: StatementScope, name: str, at: int) -> Table:
    """The table called `name`; the statement's plan then depends on it."""
    table = statement.catalog.tables.get(name.lower())
    if table is None and statement.catalog.view(name) is not None:
        message = f'"{name}" is a view: only the tables that it reads can be written to'
        raise ProgrammingError(statement.place(at).describe(message), sqlstate="42809")
    if table is None:
        parts = (statement.catalog.tables, statement.catalog.views)
        known = [known.name for part in parts for known in part.values()]
        message = f'no table "{name}"{did_you_mean(name, known)}'
        raise UndefinedTable(statement.place(at).describe(message))
    statement.entries[table.id] = table
    return table


def plan_table(statement: StatementScope, item: syntax.TableName, scope: Scope) -> Scan:
    """A scan of a table, its columns new to the statement."""
    table = find_table(statement, item.name, item.at)
    columns = tuple(statement.column(column.type, column.name, column.nullable) for column in table.columns)
    relation = Relation(item.alias or table.name, [(column.name.lower(), column) for column in columns], table)
    scope.add(relation, item.at)
    if not table.primary_key:
        columns = (*columns, statement.column(BIGINT, "row number", nullable=False))
    return Scan(table, relation.alias, columns)


def _lateral(statement: StatementScope, query: syntax.Query, scope: Scope, plan_query: PlanQuery) -> Plan:
    """A query inside `scope`'s FROM that sees what stands before it there."""
    inner = Scope(scope.sql, scope)
    plan = plan_query(statement, query, inner)
    before = {column.column for relation in scope.relations for _, column in relation.columns}
    scope.lateral |= inner.free & before
    return plan


def _plan_join(statement: StatementScope, item: syntax.Join, scope: Scope, plan_query: PlanQuery) -> Plan:
    before = len(scope.relations)
    left = plan_from(statement, item.left, scope, plan_query)
    middle = len(scope.relations)
    waiting, scope.lateral = scope.lateral, set()
    right = plan_from(statement, item.right, scope, plan_query)
    given = scope.lateral & {column.column for column in left.output}
    scope.lateral = waiting | (scope.lateral - given)
    if given and item.kind in ("RIGHT", "FULL"):
        message = f"LATERAL on the right of a {item.kind} JOIN cannot use what is on its left"
        raise NotSupportedError(statement.place(item.at).describe(message))
    binder = Binder(statement, scope, plan_query)
    parts: list[Expr] = []
    if item.on is not None:
        parts.append(binder.condition(item.on))
    for name in item.using:
        parts.append(_using(statement, scope, name, item, before, middle))
    condition = conjunction(parts)
    kind = item.kind
    if kind == "RIGHT":
        left, right, kind = right, left, "LEFT"
    kind = "INNER" if kind == "CROSS" else kind
    pending = binder.applies[Stage.ROW]
    joined = None if pending else condition
    join = LateralJoin(kind, left, right, frozenset(given), joined) if given else Join(kind, left, right, joined)
    if item.kind in ("LEFT", "FULL"):
        _weaken(scope.relations[middle:])
    if item.kind in ("RIGHT", "FULL"):
        _weaken(scope.relations[before:middle])
    _check_reach(statement, item, condition, join, pending)
    if not pending:
        return join
    if kind != "INNER":
        binder.refuse(item, "a correlated subquery in the ON of an outer join is not supported")
    assert condition is not None
    return Filter(applied(join, pending), condition)


def _weaken(relations: Iterable[Relation]) -> None:
    """An outer join has made every column of `relations` nullable."""
    for relation in relations:
        columns = weakened(tuple(column for _, column in relation.columns))
        relation.columns = [(name, column) for (name, _), column in zip(relation.columns, columns, strict=True)]


def _check_reach(
    statement: StatementScope, item: syntax.Join, condition: Expr | None, join: Plan, pending: list[PendingApply]
) -> None:
    """ON may only use the columns of the tables it joins."""
    if condition is None:
        return
    reach = {column.column for column in join.output} | {one.column.column for one in pending}
    for part in walk(condition):
        if isinstance(part, ColumnRef) and part.column not in reach:
            message = f'column "{part.name}" belongs to a table outside this join'
            raise UndefinedColumn(statement.place(item.at).describe(message))


def _using(
    statement: StatementScope, scope: Scope, name: str, item: syntax.Join, before: int, middle: int
) -> Expr:
    """The equality that USING (name) means; the right-hand column then hides behind the left-hand one."""
    sides: list[ColumnRef] = []
    for relations in (scope.relations[before:middle], scope.relations[middle:]):
        visible = [relation for relation in relations if name.lower() not in relation.merged]
        found = [column for relation in visible for column in relation.find(name.lower())]
        if len(found) != 1:
            how = "no" if not found else "more than one"
            message = f'USING ("{name}"): {how} column of that name on one side'
            raise UndefinedColumn(statement.place(item.at).describe(message))
        sides.append(found[0])
    if item.kind in ("RIGHT", "FULL"):
        message = f"{item.kind} JOIN … USING is not supported; write ON"
        raise NotSupportedError(statement.place(item.at).describe(message))
    for relation in scope.relations[middle:]:
        if relation.find(name.lower()):
            relation.merged.add(name.lower())
    return compare("=", sides[0], sides[1])


def nested(statement: StatementScope, query: syntax.Query, scope: Scope, plan_query: PlanQuery) -> Plan:
    """A query inside `scope`'s FROM or set operation: it sees what is around `scope`, not its relations."""
    inner = Scope(scope.sql, scope.parent, common=dict(scope.common))
    plan = plan_query(statement, query, inner)
    scope.free |= inner.free
    return plan
