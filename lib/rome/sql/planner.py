"""Planning of queries: FROM, WHERE, GROUP BY, SELECT, ORDER BY, LIMIT and set operations as relational algebra.

The plan made here says what is meant, in the order SQL defines it; `optimize` makes it quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rome.errors import ProgrammingError
from rome.sql import syntax
from rome.sql.bind import Binder, Stage, direction_of
from rome.sql.bound import ColumnRef, Expr, columns_of
from rome.sql.coerce import common_type, comparable
from rome.sql.common_tables import declare
from rome.sql.from_clause import nested, plan_from
from rome.sql.grouping import Grouping, applied, nullable
from rome.sql.locking import Locked, check_lock, lock_rows, locked_scans, refuse_lock
from rome.sql.operands import beside
from rome.sql.plan import Distinct, Filter, Limit, Plan, Project, Rows, SetOperation, Sort, SortKey
from rome.sql.scope import Relation, Scope, StatementScope
from rome.sql.windows import SelectBinder, Windows, has_window
from rome.values import BIGINT, NULL


def plan_query(statement: StatementScope, query: syntax.Query, scope: Scope) -> Plan:
    """The plan of `query`, whose names are resolved in `scope` (new and empty) and the scopes around it."""
    declare(query.common_tables, query, scope)
    if isinstance(query.body, syntax.Select):
        return _SelectPlanner(statement, query, query.body, scope).plan()
    if query.lock is not None:
        refuse_lock(statement, query.lock, "VALUES" if isinstance(query.body, syntax.Values) else query.body.kind)
    plan = _plan_body(statement, query.body, scope)
    plan = _output_order(statement, query, plan)
    return _limited(statement, query, plan, Binder(statement, scope, plan_query))


def _plan_body(statement: StatementScope, body: syntax.SetOperation | syntax.Values, scope: Scope) -> Plan:
    if isinstance(body, syntax.Values):
        return _plan_values(statement, body, scope)
    left = nested(statement, body.left, scope, plan_query)
    right = nested(statement, body.right, scope, plan_query)
    if len(left.output) != len(right.output):
        widths = f"{len(left.output)} and {len(right.output)}"
        message = f"both sides of {body.kind} need as many columns; they have {widths}"
        raise ProgrammingError(statement.place(body.at).describe(message), sqlstate="42601")
    output = []
    for a, b in zip(left.output, right.output, strict=True):
        if not comparable(a.type, b.type):
            message = f'column "{a.name}" of this {body.kind} is {a.type} on one side and {b.type} on the other'
            raise ProgrammingError(statement.place(body.at).describe(message), sqlstate="42804")
        output.append(statement.column(common_type([a.type, b.type]), a.name, a.nullable or b.nullable))
    left, right = (_as_types(statement, side, output) for side in (left, right))
    return SetOperation(body.kind, body.all, left, right, tuple(output))


def _as_types(statement: StatementScope, plan: Plan, output: Sequence[ColumnRef]) -> Plan:
    """`plan` with its columns as the kinds of `output`, where Python's equality tells the kinds apart."""
    pairs = zip(plan.output, output, strict=True)
    expressions = tuple(beside(own, common.type) for own, common in pairs)
    if expressions == plan.output:
        return plan
    columns = tuple(
        own if expression is own else statement.column(expression.type, own.name, own.nullable)
        for own, expression in zip(plan.output, expressions, strict=True)
    )
    return Project(plan, expressions, columns)


def _plan_values(statement: StatementScope, body: syntax.Values, scope: Scope) -> Plan:
    binder = Binder(statement, scope, plan_query)
    rows = [tuple(binder.bind(item) for item in row) for row in body.rows]
    output = []
    for place, column in enumerate(zip(*rows, strict=True)):
        output.append(statement.column(common_type([item.type for item in column]), f"column{place + 1}"))
    rows = [tuple(beside(item, column.type) for item, column in zip(row, output, strict=True)) for row in rows]
    if binder.applies[Stage.ROW]:
        binder.refuse(body, "a correlated subquery in VALUES is not supported")
    return Rows(tuple(rows), tuple(output))


def _output_order(statement: StatementScope, query: syntax.Query, plan: Plan) -> Plan:
    """ORDER BY of a set operation: names and places of its own columns."""
    if not query.order_by:
        return plan
    scope = Scope(statement.sql)
    scope.relations.append(Relation("", [(column.name.lower(), column) for column in plan.output]))
    binder = Binder(statement, scope, plan_query)
    keys = []
    for item in query.order_by:
        place = _place_of(statement, item.expression, len(plan.output))
        expression = plan.output[place] if place is not None else binder.bind(item.expression)
        keys.append(_sort_key(item, expression))
    pending = binder.applies[Stage.ROW]
    sort = Sort(applied(plan, pending), tuple(keys))
    return Project(sort, plan.output, plan.output) if pending else sort


def _place_of(statement: StatementScope, node: syntax.Expression, count: int) -> int | None:
    """The place (from 0) that a bare number in ORDER BY or GROUP BY means."""
    if not (isinstance(node, syntax.Literal) and type(node.value) is int):
        return None
    if not 1 <= node.value <= count:
        message = f"there is no column {node.value}: the query has {count}"
        raise ProgrammingError(statement.place(node.at).describe(message), sqlstate="42P10")
    return node.value - 1


def _sort_key(item: syntax.OrderItem, expression: Expr) -> SortKey:
    return SortKey(expression, *direction_of(item))


def _limited(statement: StatementScope, query: syntax.Query, plan: Plan, binder: Binder) -> Plan:
    if query.limit is None and query.offset is None:
        return plan
    limit = binder.bind(query.limit, NULL if query.percent else BIGINT) if query.limit is not None else None
    offset = binder.bind(query.offset, BIGINT) if query.offset is not None else None
    for part, node in ((limit, query.limit), (offset, query.offset)):
        if part is not None and columns_of(part):
            assert node is not None
            binder.refuse(node, "LIMIT and OFFSET cannot depend on a row")
    ties: tuple[SortKey, ...] = ()
    if query.ties:
        if not isinstance(plan, Sort):
            message = "WITH TIES needs an ORDER BY, without subqueries: it says which rows are equal"
            raise ProgrammingError(statement.place(query.at).describe(message), sqlstate="42601")
        ties = plan.keys
    return Limit(plan, limit, offset, percent=query.percent, ties=ties)


class _SelectPlanner:
    """Plans one SELECT: binds its clauses in SQL's order, then stacks the operators."""

    def __init__(self, statement: StatementScope, query: syntax.Query, select: syntax.Select, scope: Scope) -> None:
        self.statement = statement
        self.query = query
        self.select = select
        self.scope = scope
        self.binder = SelectBinder(statement, scope, plan_query, select.windows)
        self.locked: list[Locked] = []
        self.bound_items: dict[int, Expr] = {}  # SELECT items that GROUP BY names by place or alias, by id()

    def plan(self) -> Plan:
        select, binder, lock = self.select, self.binder, self.query.lock
        plan: Plan = Rows(((),), ())
        if select.source is not None:
            plan = plan_from(self.statement, select.source, self.scope, plan_query)
        if lock is not None:
            self.locked = locked_scans(self.statement, lock, self.scope, plan)
        where = binder.condition(select.where) if select.where is not None else None
        keys = [self._group_key(node) for node in select.group_by]
        binder.stage = Stage.GROUP
        binder.windows_allowed = True
        items = self._items()
        binder.windows_allowed = False
        having = binder.condition(select.having) if select.having is not None else None
        binder.windows_allowed = True
        aliases = {item.alias.lower() for item in select.items if item.alias is not None}
        binder.aliases = {name.lower(): part for part, name in reversed(items) if name.lower() in aliases}
        order = [(item, self._order_expression(item.expression, items)) for item in self.query.order_by]

        plan = applied(plan, binder.applies[Stage.ROW])
        if where is not None:
            plan = Filter(plan, where)
        group_applies = binder.applies[Stage.GROUP]
        if lock is not None:
            if self.query.percent or self.query.ties:
                refuse_lock(self.statement, lock, "PERCENT and WITH TIES")
            check_lock(self.statement, lock, select, binder)
        if keys or binder.has_aggregates or having is not None:
            grouping = Grouping(self.statement, self.scope, keys, select, group_applies)
            items = [(grouping.rewrite(expression), name) for expression, name in items]
            having = grouping.rewrite(having) if having is not None else None
            order = [(item, grouping.rewrite(expression)) for item, expression in order]
            group_applies = [grouping.rewrite_apply(pending) for pending in group_applies]
            plan = grouping.plan(plan)
        plan = applied(plan, group_applies)
        if having is not None:
            plan = Filter(plan, having)
        if binder.has_windows:
            windows = Windows(self.statement)
            items = [(windows.rewrite(expression), name) for expression, name in items]
            order = [(item, windows.rewrite(expression)) for item, expression in order]
            plan = windows.plan(plan)
            if any(has_window(pending.operand) for pending in group_applies):
                binder.refuse(select, "a window function IN a correlated subquery is not supported")
        return self._finish(plan, items, [_sort_key(item, expression) for item, expression in order])

    def _finish(self, plan: Plan, items: list[tuple[Expr, str]], keys: list[SortKey]) -> Plan:
        expressions = tuple(expression for expression, _ in items)
        output = tuple(
            replace(expression, name=name)
            if isinstance(expression, ColumnRef) and expressions.count(expression) == 1
            else self.statement.column(expression.type, name, nullable(expression))
            for expression, name in items
        )
        if not self.select.distinct:
            if keys:
                plan = Sort(plan, tuple(keys))
            plan = _limited(self.statement, self.query, plan, self.binder)
            rows = Project(plan, expressions, output)
            lock = self.query.lock
            return rows if lock is None or not self.locked else lock_rows(self.statement, lock, self.locked, rows)
        by_expression = dict(zip(reversed(expressions), reversed(output), strict=True))
        plan = Distinct(Project(plan, expressions, output))
        if keys:
            for key, item in zip(keys, self.query.order_by, strict=True):
                if key.expression not in by_expression:
                    message = "with SELECT DISTINCT, ORDER BY can only use selected expressions"
                    raise ProgrammingError(self.statement.place(item.at).describe(message), sqlstate="42P10")
            plan = Sort(plan, tuple(replace(key, expression=by_expression[key.expression]) for key in keys))
        return _limited(self.statement, self.query, plan, self.binder)

    def _items(self) -> list[tuple[Expr, str]]:
        """The SELECT list: expressions and the names of their columns, stars spread out."""
        items: list[tuple[Expr, str]] = []
        for item in self.select.items:
            if isinstance(item.expression, syntax.Star):
                items.extend(self._star(item.expression))
                continue
            bound = self.bound_items.get(id(item.expression)) or self.binder.bind(item.expression)
            items.append((bound, item.alias or _name_of(item.expression)))
        return items

    def _star(self, star: syntax.Star) -> list[tuple[Expr, str]]:
        if not self.scope.relations:
            raise ProgrammingError(self.statement.place(star.at).describe("* needs a FROM clause"), sqlstate="42601")
        relations = self.scope.relations
        if star.table is not None:
            relations = [self.scope.relation(star.table, star.at)]
        return [
            (column, column.name)
            for relation in relations
            for name, column in relation.columns
            if star.table is not None or name not in relation.merged
        ]

    def _group_key(self, node: syntax.Expression) -> Expr:
        place = _place_of(self.statement, node, len(self.select.items))
        if place is not None:
            return self._bound_item(self.select.items[place].expression)
        aliased = self._aliased(node)
        if aliased is not None and not self._is_column(node):
            return self._bound_item(aliased)
        return self.binder.bind(node)

    def _bound_item(self, node: syntax.Expression) -> Expr:
        """A SELECT item as a grouping key: bound once, so that a parameter or subquery in it is one and the same."""
        if id(node) not in self.bound_items:
            self.bound_items[id(node)] = self.binder.bind(node)
        return self.bound_items[id(node)]

    def _aliased(self, node: syntax.Expression) -> syntax.Expression | None:
        """The SELECT item that a bare name means as an alias."""
        if isinstance(node, syntax.Name) and len(node.parts) == 1:
            for item in self.select.items:
                if item.alias is not None and item.alias.lower() == node.parts[0].lower():
                    return item.expression
        return None

    def _is_column(self, node: syntax.Expression) -> bool:
        return isinstance(node, syntax.Name) and any(
            relation.find(node.parts[0].lower()) for relation in self.scope.relations
        )

    def _order_expression(self, node: syntax.Expression, items: list[tuple[Expr, str]]) -> Expr:
        """ORDER BY looks at the names and places of the SELECT list first, then at the columns of FROM."""
        place = _place_of(self.statement, node, len(items))
        if place is not None:
            return items[place][0]
        if self._aliased(node) is not None:
            assert isinstance(node, syntax.Name)
            name = node.parts[0].lower()
            return next(expression for expression, alias in items if alias.lower() == name)
        return self.binder.bind(node)


def _name_of(node: syntax.Expression) -> str:
    """The column name of a SELECT item without an alias."""
    if isinstance(node, syntax.Name):
        return node.parts[-1]
    if isinstance(node, syntax.Function):
        return node.name
    if isinstance(node, syntax.Cast):
        return _name_of(node.operand)
    return "?column?"
