"""Planning of queries: FROM, WHERE, GROUP BY, SELECT, ORDER BY, LIMIT and set operations as relational algebra.

The plan made here says what is meant, in the order SQL defines it; `optimize` makes it quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rome.errors import GroupingError, NotSupportedError, ProgrammingError, UndefinedColumn, UndefinedTable
from rome.sql import syntax
from rome.sql.bind import Binder, PendingApply, Stage, StatementScope, beside, compare
from rome.sql.bound import Aggregate, ColumnRef, Const, Expr, columns_of, conjunction, transform, walk
from rome.sql.coerce import common_type, comparable
from rome.sql.locking import Locked, check_lock, lock_rows, locked_scans, refuse_lock
from rome.sql.plan import (
    Apply,
    Distinct,
    Filter,
    Group,
    Join,
    Limit,
    Lock,
    Plan,
    Project,
    Rows,
    Scan,
    SetOperation,
    Sort,
    SortKey,
    weakened,
)
from rome.sql.scope import Relation, Scope, did_you_mean
from rome.table.schema import Table
from rome.values import BIGINT


def plan_query(statement: StatementScope, query: syntax.Query, scope: Scope) -> Plan:
    """The plan of `query`, whose names are resolved in `scope` (new and empty) and the scopes around it."""
    for item in query.common_tables:
        declared = Scope(scope.sql, scope.parent, common=dict(scope.common))
        scope.common[item.name.lower()] = (item, declared)
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
    left = _nested(statement, body.left, scope)
    right = _nested(statement, body.right, scope)
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


def _nested(statement: StatementScope, query: syntax.Query, scope: Scope) -> Plan:
    """A query inside `scope`'s FROM or set operation: it sees what is around `scope`, not its relations."""
    inner = Scope(scope.sql, scope.parent, common=dict(scope.common))
    plan = plan_query(statement, query, inner)
    scope.free |= inner.free
    return plan


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
    nulls_first = item.nulls_first if item.nulls_first is not None else not item.descending
    return SortKey(expression, item.descending, nulls_first)


def _limited(statement: StatementScope, query: syntax.Query, plan: Plan, binder: Binder) -> Plan:
    if query.limit is None and query.offset is None:
        return plan
    limit = binder.bind(query.limit, BIGINT) if query.limit is not None else None
    offset = binder.bind(query.offset, BIGINT) if query.offset is not None else None
    for part, node in ((limit, query.limit), (offset, query.offset)):
        if part is not None and columns_of(part):
            assert node is not None
            binder.refuse(node, "LIMIT and OFFSET cannot depend on a row")
    return Limit(plan, limit, offset)


class _SelectPlanner:
    """Plans one SELECT: binds its clauses in SQL's order, then stacks the operators."""

    def __init__(self, statement: StatementScope, query: syntax.Query, select: syntax.Select, scope: Scope) -> None:
        self.statement = statement
        self.query = query
        self.select = select
        self.scope = scope
        self.binder = Binder(statement, scope, plan_query)
        self.locked: list[Locked] = []
        self.bound_items: dict[int, Expr] = {}  # SELECT items that GROUP BY names by place or alias, by id()

    def plan(self) -> Plan:
        select, binder, lock = self.select, self.binder, self.query.lock
        plan: Plan = Rows(((),), ())
        if select.source is not None:
            plan = plan_from(self.statement, select.source, self.scope)
        if lock is not None:
            self.locked = locked_scans(self.statement, lock, self.scope, plan)
        where = binder.condition(select.where) if select.where is not None else None
        keys = [self._group_key(node) for node in select.group_by]
        binder.stage = Stage.GROUP
        items = self._items()
        having = binder.condition(select.having) if select.having is not None else None
        order = [(item, self._order_expression(item.expression, items)) for item in self.query.order_by]

        plan = applied(plan, binder.applies[Stage.ROW])
        if where is not None:
            plan = Filter(plan, where)
        group_applies = binder.applies[Stage.GROUP]
        if lock is not None:
            check_lock(self.statement, lock, select, binder)
        if keys or binder.has_aggregates or having is not None:
            grouping = _Grouping(self.statement, self.scope, keys, select, group_applies)
            items = [(grouping.rewrite(expression), name) for expression, name in items]
            having = grouping.rewrite(having) if having is not None else None
            order = [(item, grouping.rewrite(expression)) for item, expression in order]
            group_applies = [grouping.rewrite_apply(pending) for pending in group_applies]
            plan = grouping.plan(plan)
        plan = applied(plan, group_applies)
        if having is not None:
            plan = Filter(plan, having)
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


class _Grouping:
    """GROUP BY: which columns exist above it, and the rewriting of what uses them."""

    def __init__(
        self,
        statement: StatementScope,
        scope: Scope,
        keys: Sequence[Expr],
        select: syntax.Select,
        applies: Sequence[PendingApply],
    ) -> None:
        self.statement = statement
        self.select = select
        self.applied = {pending.column.column for pending in applies}
        self.own = {column.column: column for relation in scope.relations for _, column in relation.columns}
        self.keys: list[Expr] = list(dict.fromkeys(keys))
        self.aggregates: list[Aggregate] = []
        self.columns: dict[Expr, ColumnRef] = {}
        for key in self.keys:
            self.columns[key] = (
                key if isinstance(key, ColumnRef) else statement.column(key.type, "", nullable(key))
            )  # fmt: skip
        self.dependent = self._dependent_columns(scope.relations)

    def _dependent_columns(self, relations: Iterable[Relation]) -> dict[int, ColumnRef]:
        """Columns fixed by the keys: those of a table whose whole primary key is among them (ISO 9075-2, 4.23)."""
        known = {key.column for key in self.keys if isinstance(key, ColumnRef)}
        dependent: dict[int, ColumnRef] = {}
        for relation in relations:
            table = relation.table
            if table is not None and table.primary_key:
                columns = [column for _, column in relation.columns]
                if {columns[place].column for place in table.primary_positions} <= known:
                    dependent.update((column.column, column) for column in columns)
        return dependent

    def rewrite(self, expression: Expr) -> Expr:
        """`expression` over the columns that grouping leaves."""
        return transform(expression, self._replacement)

    def _replacement(self, node: Expr) -> Expr | None:
        if node in self.columns:
            return self.columns[node]
        if isinstance(node, Aggregate):
            column = self.statement.column(node.type, node.name)
            self.aggregates.append(node)
            self.columns[node] = column
            return column
        if isinstance(node, ColumnRef):
            self._require(node)
        return None

    def _require(self, column: ColumnRef) -> None:
        if column.column in self.applied or column in self.columns:
            return
        if column.column not in self.dependent:
            message = f'column "{column.name}" must stand in GROUP BY or inside an aggregate'
            raise GroupingError(self.statement.place(self.select.at).describe(message))
        self.keys.append(column)
        self.columns[column] = column

    def rewrite_apply(self, pending: PendingApply) -> PendingApply:
        """A correlated subquery above the grouping: the columns it uses must still be there."""
        kept = {column.column for column in self.columns.values()}
        for number in sorted(pending.free - kept):
            if number in self.own:
                self._require(self.own[number])
        operand = self.rewrite(pending.operand) if pending.operand is not None else None
        return replace(pending, operand=operand)

    def plan(self, child: Plan) -> Plan:
        output = [self.columns[part] for part in (*self.keys, *self.aggregates)]
        return Group(child, tuple(self.keys), tuple(self.aggregates), tuple(output))


def applied(plan: Plan, pending: Iterable[PendingApply]) -> Plan:
    """`plan` with the correlated subqueries computed above it."""
    for item in pending:
        plan = Apply(plan, item.query, item.kind, item.column, item.free, item.operand)
    return plan


def plan_from(statement: StatementScope, item: syntax.FromItem, scope: Scope) -> Plan:
    """The plan of a FROM item; its relations are added to `scope`."""
    if isinstance(item, syntax.TableName):
        common = scope.common_table(item.name)
        if common is None:
            return plan_table(statement, item, scope)
        declared, around = common
        inner = Scope(around.sql, around.parent, common=dict(around.common))
        plan = plan_query(statement, declared.query, inner)
        scope.use_common(item.name, inner.free)
        return _derived(statement, plan, item.alias or item.name, declared.columns, item, scope)
    if isinstance(item, syntax.Derived):
        plan = _nested(statement, item.query, scope)
        return _derived(statement, plan, item.alias or "", item.columns, item, scope)
    return _plan_join(statement, item, scope)


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
    if table is None:
        known = [known.name for known in statement.catalog.tables.values()]
        message = f'no table "{name}"{did_you_mean(name, known)}'
        raise UndefinedTable(statement.place(at).describe(message))
    statement.tables[table.id] = table
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


def _plan_join(statement: StatementScope, item: syntax.Join, scope: Scope) -> Plan:
    before = len(scope.relations)
    left = plan_from(statement, item.left, scope)
    middle = len(scope.relations)
    right = plan_from(statement, item.right, scope)
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
    join = Join(kind, left, right, None if pending else condition)
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
    statement: StatementScope, item: syntax.Join, condition: Expr | None, join: Join, pending: list[PendingApply]
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


def nullable(expression: Expr) -> bool:
    """False when `expression` is surely never NULL."""
    if isinstance(expression, ColumnRef):
        return expression.nullable
    if isinstance(expression, Const):
        return expression.value is None
    return not (isinstance(expression, Aggregate) and expression.name == "count")


def _name_of(node: syntax.Expression) -> str:
    """The column name of a SELECT item without an alias."""
    if isinstance(node, syntax.Name):
        return node.parts[-1]
    if isinstance(node, syntax.Function):
        return node.name
    if isinstance(node, syntax.Cast):
        return _name_of(node.operand)
    return "?column?"
