"""WITH: items that are planned where they are named, run once for several places, or run until nothing new comes.

An item that the query names more than once, or that says MATERIALIZED, runs first and its rows stand in a slot, unless
it says NOT MATERIALIZED or uses a column of a query around it (as in PostgreSQL). Any other is planned in its place,
where conditions go down into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import NoReturn

from rome.errors import NotSupportedError, ProgrammingError
from rome.sql import syntax
from rome.sql.bind import PlanQuery
from rome.sql.bound import ColumnRef
from rome.sql.coerce import common_type, comparable
from rome.sql.plan import (
    Apply,
    Distinct,
    Filter,
    Join,
    LateralJoin,
    Lock,
    Plan,
    Project,
    Recursive,
    SetOperation,
    Shared,
    WorkingTable,
    inputs,
)
from rome.sql.scope import CommonItem, Scope, StatementScope
from rome.values import BOOLEAN, NULL, Kind


def declare(items: tuple[syntax.CommonTable, ...], within: syntax.Node, scope: Scope) -> None:
    """Let `scope` see the WITH `items` of the query or change `within`, each those before it."""
    for item in items:
        around = Scope(scope.sql, scope.parent, common=dict(scope.common))
        uses = names_of(within, item.name) - names_of(item.query, item.name)
        scope.common[item.name.lower()] = CommonItem(item, around, uses)


def names_of(node: object, name: str) -> int:
    """How often a FROM clause in `node` says `name`."""
    return sum(found.name.lower() == name.lower() for found in _table_names(node))


def _table_names(node: object) -> Iterator[syntax.TableName]:
    if isinstance(node, syntax.TableName):
        yield node
    elif isinstance(node, tuple):
        for part in node:
            yield from _table_names(part)
    elif is_dataclass(node):
        for item in fields(node):
            yield from _table_names(getattr(node, item.name))


def plan_common(
    statement: StatementScope, name: syntax.TableName, common: CommonItem, scope: Scope, plan_query: PlanQuery
) -> Plan:
    """The rows of the WITH item `common`, which the query of `scope` calls `name` in FROM."""
    if common.working is not None:
        return _working_rows(statement, name, common, scope)
    if common.shared is not None:
        return _shared_rows(statement, common)
    item = common.item
    inner = Scope(common.around.sql, common.around.parent, common=dict(common.around.common))
    if item.recursive and names_of(item.query, item.name):
        plan = _plan_recursive(statement, item, inner, plan_query)
    else:
        plan = plan_query(statement, item.query, inner)
    scope.use_common(item.name, inner.free)
    several = common.uses > 1 if item.materialized is None else item.materialized
    if not several or inner.free or isinstance(plan, Lock) or _loose_ends(plan):
        return plan
    statement.queries.append(plan)
    slot = statement.slot(BOOLEAN, query=len(statement.queries) - 1, rows=True)
    common.shared = (slot, plan.output)
    return _shared_rows(statement, common)


def _shared_rows(statement: StatementScope, common: CommonItem) -> Plan:
    assert common.shared is not None
    slot, columns = common.shared
    output = tuple(statement.column(column.type, column.name, column.nullable) for column in columns)
    return Shared(common.item.name, slot, output)


# ---- recursion -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Parts:
    """A recursive query: what it begins with, and what is added to that again and again."""

    base: syntax.Query
    steps: tuple[syntax.Query, ...]
    all: bool


def _plan_recursive(
    statement: StatementScope, item: syntax.CommonTable, scope: Scope, plan_query: PlanQuery
) -> Plan:
    """`base UNION [ALL] step`: the step runs for the rows that came last, until it gives none."""
    parts = _parts(statement, item)
    declare(item.query.common_tables, item.query, scope)
    base = _part(statement, parts.base, scope, plan_query)
    if item.columns and len(item.columns) != len(base.output):
        message = f'"{item.name}" names {len(item.columns)} columns, its query has {len(base.output)}'
        raise ProgrammingError(statement.place(item.at).describe(message), sqlstate="42601")
    names = item.columns or tuple(column.name for column in base.output)
    columns = tuple(
        statement.column(column.type, name) for column, name in zip(base.output, names, strict=True)
    )
    number = statement.column(NULL, item.name).column
    step: Plan | None = None
    output = columns
    for query in parts.steps:
        within = Scope(scope.sql, scope.parent, common=dict(scope.common))
        within.common[item.name.lower()] = CommonItem(item, scope, 1, working=(number, columns))
        planned = plan_query(statement, query, within)
        scope.free |= within.free
        _check_path(statement, item, query, planned, number)
        output = _joint_types(statement, item, query, output, planned.output)
        step = planned if step is None else SetOperation("UNION", True, step, planned, output)
    assert step is not None
    return Recursive(item.name, number, base, step, parts.all, output)


def _part(statement: StatementScope, query: syntax.Query, scope: Scope, plan_query: PlanQuery) -> Plan:
    inner = Scope(scope.sql, scope.parent, common=dict(scope.common))
    plan = plan_query(statement, query, inner)
    scope.free |= inner.free
    return plan


def _parts(statement: StatementScope, item: syntax.CommonTable) -> _Parts:
    query = item.query
    for what, there in (
        ("ORDER BY", bool(query.order_by)),
        ("LIMIT", query.limit is not None or query.offset is not None),
        ("FOR UPDATE", query.lock is not None),
    ):
        if there:
            _refuse(statement, query, f"{what} in a recursive query (put it into the query around it)")
    steps: list[syntax.Query] = []
    body = query.body
    while isinstance(body, syntax.SetOperation) and body.kind == "UNION":
        if names_of(body.right, item.name) != 1:
            break
        steps.append(body.right)
        left = body.left
        if not names_of(left, item.name):
            return _Parts(left, tuple(reversed(steps)), body.all)
        plain = left == syntax.Query(left.body)
        if not plain or not isinstance(left.body, syntax.SetOperation) or left.body.all != body.all:
            break
        body = left.body
    message = (
        f'"{item.name}" uses itself: that is written first part UNION [ALL] recursive part, and FROM of each recursive '
        f'part names "{item.name}" once'
    )
    raise ProgrammingError(statement.place(item.at).describe(message), sqlstate="42P19")


def _joint_types(
    statement: StatementScope,
    item: syntax.CommonTable,
    query: syntax.Query,
    before: tuple[ColumnRef, ...],
    after: tuple[ColumnRef, ...],
) -> tuple[ColumnRef, ...]:
    """The columns of both parts: the step has been planned with the types of the first one."""
    if len(before) != len(after):
        message = f'the parts of "{item.name}" need as many columns; they have {len(before)} and {len(after)}'
        raise ProgrammingError(statement.place(query.at).describe(message), sqlstate="42601")
    joint = []
    for own, new in zip(before, after, strict=True):
        kinds = {own.type.kind, new.type.kind}
        if len(kinds - {Kind.NULL}) > 1 or not comparable(own.type, new.type):
            message = (
                f'column "{own.name}" of "{item.name}" is {own.type} in the first part and {new.type} in the recursive '
                f"one: CAST it in the first"
            )
            raise ProgrammingError(statement.place(query.at).describe(message), sqlstate="42804")
        joint.append(statement.column(common_type([own.type, new.type]), own.name))
    return tuple(joint)


def _check_path(
    statement: StatementScope, item: syntax.CommonTable, query: syntax.Query, plan: Plan, number: int
) -> None:
    """Refuse a step whose rows do not each come from one row of the working table."""
    while not isinstance(plan, WorkingTable):
        below = [child for child in inputs(plan) if _holds(child, number)]
        passes = isinstance(plan, (Project, Filter, Distinct, Apply)) or (
            isinstance(plan, (Join, LateralJoin))
            and (plan.kind == "INNER" or (plan.kind == "LEFT" and below == [plan.left]))
        )
        if not passes or not below:
            what = f"{plan.kind} {'JOIN' if isinstance(plan, Join) else ''}".strip() if isinstance(
                plan, (Join, SetOperation)) else type(plan).__name__.upper()  # fmt: skip
            _refuse(statement, query, f'"{item.name}" below {what} in its recursive part')
        [plan] = below


def _holds(plan: Plan, number: int) -> bool:
    if isinstance(plan, WorkingTable):
        return plan.number == number
    return any(_holds(child, number) for child in inputs(plan))


def _loose_ends(plan: Plan) -> bool:
    """Whether `plan` reads the working table of a recursion that it is a part of: it runs within that alone."""
    inside = {node.number for node in _nodes(plan) if isinstance(node, Recursive)}
    return any(isinstance(node, WorkingTable) and node.number not in inside for node in _nodes(plan))


def _nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for child in inputs(plan):
        yield from _nodes(child)


def _working_rows(statement: StatementScope, name: syntax.TableName, common: CommonItem, scope: Scope) -> Plan:
    assert common.working is not None
    if scope.common.get(name.name.lower()) is not common:
        _refuse(statement, name, f'"{common.item.name}" in a subquery of its recursive part')
    number, columns = common.working
    output = tuple(statement.column(column.type, column.name) for column in columns)
    return WorkingTable(common.item.name, number, output)


def _refuse(statement: StatementScope, node: syntax.Node, what: str) -> NoReturn:
    raise NotSupportedError(statement.place(node.at).describe(f"{what} is not supported"))
