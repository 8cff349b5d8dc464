"""Binding: syntax expressions become bound ones, with every name resolved and every type known.

A parameter takes the type of what it is compared with, assigned to or combined with. What the binder does not know
it refuses, pointing at it. Queries inside expressions are planned through `Binder.plan_query`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, NoReturn

from rome.errors import (
    DatabaseError,
    DataError,
    NotSupportedError,
    Place,
    ProgrammingError,
    TypeMismatch,
    UndefinedObject,
)
from rome.sql import syntax
from rome.sql.aggregates import AGGREGATES
from rome.sql.bound import (
    Aggregate,
    And,
    Arithmetic,
    Call,
    Case,
    Cast,
    ColumnRef,
    Compare,
    Const,
    Expr,
    InArray,
    InList,
    InRows,
    IsNull,
    Like,
    Negate,
    NextValue,
    Not,
    Or,
    Slot,
)
from rome.sql.coerce import arithmetic_type, common_type, comparable
from rome.sql.functions import lookup
from rome.sql.operands import beside, compare, constant, context_of, is_untyped
from rome.sql.plan import Plan, Project
from rome.sql.scope import Scope, StatementScope, did_you_mean
from rome.sql.window_functions import WINDOW_FUNCTIONS
from rome.values import BIGINT, BOOLEAN, INTERVAL, JSON, NULL, NUMERIC_KINDS, TEXT, Kind, SqlType

_UNIT_SECONDS = {"week": 604_800, "day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_ALIKE = frozenset({"coalesce", "ifnull", "nullif"})  # arguments of one type, computed only as far as needed
_TEMPORAL = frozenset({Kind.DATETIME, Kind.DATE, Kind.TIME})
_COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">=", "IS", "IS NOT"})


class Stage(enum.Enum):
    """Which rows an expression of a query block is about."""

    ROW = "row"  # WHERE, ON, GROUP BY, the arguments of aggregates
    GROUP = "group"  # SELECT, HAVING and ORDER BY: after grouping, if there is any


@dataclass(frozen=True, slots=True)
class PendingApply:
    """A correlated subquery that the planner must put under the expression that uses `column`."""

    query: Plan
    kind: str
    column: ColumnRef
    free: frozenset[int]
    operand: Expr | None


PlanQuery = Callable[[StatementScope, "syntax.Query", Scope], Plan]


class Binder:
    """Binds the expressions of one query block.

    `applies[stage]` gathers the correlated subqueries met; `aggregates_allowed` says whether an aggregate may stand
    where binding now happens.
    """

    def __init__(self, statement: StatementScope, scope: Scope, plan_query: PlanQuery) -> None:
        self.statement = statement
        self.scope = scope
        self.plan_query = plan_query
        self.stage = Stage.ROW
        self.applies: dict[Stage, list[PendingApply]] = {Stage.ROW: [], Stage.GROUP: []}
        self.has_aggregates = False

    # ---- entrances --------------------------------------------------------------------------------------------------

    def bind(self, node: syntax.Expression, expected: SqlType | None = None) -> Expr:
        """`node` bound; a bare parameter or NULL takes the type `expected`."""
        method = _METHODS.get(type(node))
        if method is None:
            self.refuse(node, f"{type(node).__name__} is not supported here")
        try:
            return method(self, node, expected)
        except DatabaseError as error:
            raise self._placed(error, node) from None

    def condition(self, node: syntax.Expression) -> Expr:
        """`node` bound as a condition."""
        bound = self.bind(node, BOOLEAN)
        if bound.type.kind not in NUMERIC_KINDS and bound.type.kind is not Kind.NULL:
            raise TypeMismatch(self.place(node).describe(f"a condition must be boolean, this is {bound.type}"))
        return bound

    def place(self, node: syntax.Node) -> Place:
        return self.statement.place(node.at)

    def refuse(self, node: syntax.Node, message: str) -> NoReturn:
        raise NotSupportedError(self.place(node).describe(message))

    def _placed(self, error: DatabaseError, node: syntax.Node) -> DatabaseError:
        """The same error, pointing at `node` unless it already points somewhere."""
        text = str(error)
        if text.endswith("^"):
            return error
        message = text.split("] ", 1)[-1]
        return type(error)(self.place(node).describe(message), sqlstate=error.sqlstate)

    # ---- leaves -----------------------------------------------------------------------------------------------------

    def _literal(self, node: syntax.Literal, expected: SqlType | None) -> Expr:
        return constant(node.value, expected)

    def _parameter(self, node: syntax.Parameter, expected: SqlType | None) -> Expr:
        self.statement.parameters.add(node.name)
        return self.statement.slot(expected or NULL, name=node.name)

    def name(self, node: syntax.Name) -> Expr:
        """The column that a name means."""
        return self.scope.resolve(node)

    def _interval(self, node: syntax.Interval, expected: SqlType | None) -> Expr:
        unit = node.unit.lower().rstrip("s")
        value = node.value.value if isinstance(node.value, syntax.Literal) else None
        if unit not in _UNIT_SECONDS or not isinstance(value, (int, str, Decimal)):
            self.refuse(node, "intervals are literals in weeks, days, hours, minutes or seconds")
        try:
            microseconds = Decimal(value) * _UNIT_SECONDS[unit] * 1_000_000
            return Const(timedelta(microseconds=round(microseconds)), INTERVAL)
        except (ArithmeticError, ValueError):
            raise DataError(f"'{value}' {unit} is not an interval", sqlstate="22007") from None

    # ---- operators --------------------------------------------------------------------------------------------------

    def _unary(self, node: syntax.Unary, expected: SqlType | None) -> Expr:
        if node.op == "NOT":
            return Not(self.condition(node.operand))
        if node.op == "IS NULL":
            return IsNull(self.bind(node.operand))
        if node.op in ("IS TRUE", "IS FALSE"):
            wanted = Const(node.op == "IS TRUE", BOOLEAN)
            return Compare("IS", self.condition(node.operand), wanted)
        operand = self.bind(node.operand, expected)
        if node.op == "~":
            if operand.type.kind not in (Kind.INTEGER, Kind.BOOLEAN, Kind.NULL):
                raise TypeMismatch(f"~ needs an integer, not {operand.type}")
            return Arithmetic("^", operand, Const(-1, BIGINT), arithmetic_type("^", operand.type, BIGINT))
        if isinstance(operand, Const) and isinstance(operand.value, (int, float, Decimal)):
            return constant(-operand.value, expected)
        if operand.type.kind not in NUMERIC_KINDS | {Kind.INTERVAL, Kind.NULL}:
            raise TypeMismatch(f"- needs a number, not {operand.type}")
        return Negate(operand, operand.type)

    def _binary(self, node: syntax.Binary, expected: SqlType | None) -> Expr:
        if node.op in ("AND", "OR"):
            parts = tuple(self.condition(part) for part in _chain(node))
            return And(parts) if node.op == "AND" else Or(parts)
        if node.op in _COMPARISONS:
            return self._compare(node)
        if node.op == "||":
            left, right = (self.bind(part, TEXT) for part in (node.left, node.right))
            return Call("||", (left, right), lookup("||").result([left.type, right.type]))
        if node.op in ("->", "->>"):
            left, right = self.bind(node.left, JSON), self.bind(node.right)
            return Call(node.op, (left, right), lookup(node.op).result([left.type, right.type]))
        left, right = self._pair(node.left, node.right, arithmetic=True)
        type_ = arithmetic_type(node.op, left.type, right.type)
        if type_.kind is Kind.DATETIME and {left.type.kind, right.type.kind} == {Kind.DATE, Kind.NULL}:
            return Cast(Arithmetic(node.op, left, right, NULL), type_)  # a number of days gives a date
        return Arithmetic(node.op, left, right, type_)

    def _compare(self, node: syntax.Binary) -> Expr:
        if isinstance(node.left, syntax.Row) or isinstance(node.right, syntax.Row):
            return self._compare_rows(node)
        left, right = self._pair(node.left, node.right)
        return compare(node.op, left, right)

    def _compare_rows(self, node: syntax.Binary) -> Expr:
        """(a, b) = (c, d) and <>; (a, b) < (c, d) and the like in lexicographic order (ISO 9075-2, 8.2)."""
        left, right = node.left, node.right
        if not (isinstance(left, syntax.Row) and isinstance(right, syntax.Row)):
            raise TypeMismatch("a row can only be compared with a row")
        if len(left.items) != len(right.items):
            raise TypeMismatch(f"a row of {len(left.items)} is compared with a row of {len(right.items)}")
        pairs = [self._pair(a, b) for a, b in zip(left.items, right.items, strict=True)]
        if node.op in ("=", "IS"):
            return And(tuple(compare(node.op, a, b) for a, b in pairs))
        if node.op in ("<>", "IS NOT"):
            return Or(tuple(compare(node.op, a, b) for a, b in pairs))
        result: Expr = compare(node.op, *pairs[-1])
        strict = node.op.rstrip("=")
        for a, b in reversed(pairs[:-1]):
            result = Or((compare(strict, a, b), And((compare("=", a, b), result))))
        return result

    def _pair(
        self, left: syntax.Expression, right: syntax.Expression, *, arithmetic: bool = False
    ) -> tuple[Expr, Expr]:
        """Two operands, each giving a bare parameter or literal on the other side its type.

        In arithmetic a date or time says nothing of what is added to it: an interval, a number of days.
        """

        def context(type_: SqlType) -> SqlType:
            return NULL if arithmetic and type_.kind in _TEMPORAL else context_of(type_)

        if is_untyped(left) and not is_untyped(right):
            bound_right = self.bind(right)
            return self.bind(left, context(bound_right.type)), bound_right
        bound_left = self.bind(left)
        if is_untyped(right):
            return bound_left, self.bind(right, context(bound_left.type))
        return bound_left, self.bind(right)

    def _between(self, node: syntax.Between, expected: SqlType | None) -> Expr:
        low = syntax.Binary(">=", node.operand, node.low, at=node.at)
        high = syntax.Binary("<=", node.operand, node.high, at=node.at)
        return And((self.bind(low), self.bind(high)))

    def _like(self, node: syntax.Like, expected: SqlType | None) -> Expr:
        operand, pattern = self._pair(node.operand, node.pattern)
        escape = self.bind(node.escape, TEXT) if node.escape is not None else None
        for part in (operand, pattern):
            if part.type.kind not in (Kind.STRING, Kind.NULL, Kind.JSON):
                raise TypeMismatch(f"LIKE compares strings, not {part.type}")
        return Like(operand, pattern, escape, node.ignore_case)

    # ---- IN ---------------------------------------------------------------------------------------------------------

    def _in_list(self, node: syntax.InList, expected: SqlType | None) -> Expr:
        if isinstance(node.operand, syntax.Row):
            parts = [syntax.Binary("=", node.operand, item, at=node.at) for item in node.items]
            return Or(tuple(self.bind(part) for part in parts)) if parts else Const(False, BOOLEAN)
        operand = self.bind(node.operand)
        bound = [self.bind(item, context_of(operand.type)) for item in node.items]
        for item in bound:
            operand = compare("=", operand, item).left
        return InList(operand, tuple(compare("=", operand, item).right for item in bound))

    def _in_array(self, node: syntax.InArray, expected: SqlType | None) -> Expr:
        if isinstance(node.operand, syntax.Row):
            self.refuse(node, "a row IN an array parameter is not supported")
        operand = self.bind(node.operand)
        self.statement.parameters.add(node.parameter.name)
        context = context_of(operand.type)
        return InArray(operand, self.statement.slot(context, name=node.parameter.name, array=True))

    def _in_query(self, node: syntax.InQuery, expected: SqlType | None) -> Expr:
        if isinstance(node.operand, syntax.Row):
            return self._row_in_query(node, node.operand)
        operand = self.bind(node.operand)
        plan, scope = self._subquery(node.query)
        column = self._only_column(plan, node)
        if not comparable(operand.type, column.type):
            raise TypeMismatch(f"{operand.type} is compared with {column.type}")
        operand, alike = beside(operand, column.type), beside(column, operand.type)
        if alike is not column:
            plan = Project(plan, (alike,), (self.statement.column(alike.type, column.name),))
            column = plan.output[0]
        if not scope.free:
            return InArray(operand, self._query_slot(plan, column.type, array=True))
        return self._apply(plan, scope, "in", BOOLEAN, operand)

    def _row_in_query(self, node: syntax.InQuery, row: syntax.Row) -> Expr:
        """(a, b) IN (query); that `a` is IN its first column besides lets an index find the rows."""
        operands = [self.bind(item) for item in row.items]
        plan, scope = self._subquery(node.query)
        if len(operands) != len(plan.output):
            message = f"a row of {len(operands)} is looked for in a subquery of {len(plan.output)} columns"
            raise ProgrammingError(self.place(node).describe(message), sqlstate="42601")
        pairs = [compare("=", operand, column) for operand, column in zip(operands, plan.output, strict=True)]
        alike = tuple(pair.right for pair in pairs)
        if alike != plan.output:
            plan = Project(plan, alike, tuple(self.statement.column(each.type, "", True) for each in alike))
        found = tuple(pair.left for pair in pairs)
        if scope.free:
            return InRows(found, self._apply(plan, scope, "rows", BOOLEAN))
        rows = self._query_slot(plan, BOOLEAN, members=True)
        query = len(self.statement.queries) - 1
        first = self.statement.slot(plan.output[0].type, query=query, array=True)
        return And((InArray(found[0], first), InRows(found, rows)))

    def _exists(self, node: syntax.Exists, expected: SqlType | None) -> Expr:
        plan, scope = self._subquery(node.query)
        if not scope.free:
            return self._query_slot(plan, BOOLEAN, exists=True)
        return self._apply(plan, scope, "exists", BOOLEAN)

    def _scalar_query(self, node: syntax.ScalarQuery, expected: SqlType | None) -> Expr:
        plan, scope = self._subquery(node.query)
        column = self._only_column(plan, node)
        if not scope.free:
            return self._query_slot(plan, column.type)
        return self._apply(plan, scope, "scalar", column.type)

    def _subquery(self, query: syntax.Query) -> tuple[Plan, Scope]:
        scope = Scope(self.scope.sql, self.scope)
        return self.plan_query(self.statement, query, scope), scope

    def _query_slot(
        self, plan: Plan, type_: SqlType, *, array: bool = False, exists: bool = False, members: bool = False
    ) -> Slot:
        self.statement.queries.append(plan)
        query = len(self.statement.queries) - 1
        return self.statement.slot(type_, query=query, array=array, exists=exists, members=members)

    def _apply(self, plan: Plan, scope: Scope, kind: str, type_: SqlType, operand: Expr | None = None) -> ColumnRef:
        column = self.statement.column(type_, kind)
        self.applies[self.stage].append(PendingApply(plan, kind, column, frozenset(scope.free), operand))
        return column

    def _only_column(self, plan: Plan, node: syntax.Node) -> ColumnRef:
        if len(plan.output) != 1:
            message = f"a subquery used as a value must have one column, this one has {len(plan.output)}"
            raise ProgrammingError(self.place(node).describe(message), sqlstate="42601")
        return plan.output[0]

    # ---- CASE, CAST, functions --------------------------------------------------------------------------------------

    def _case(self, node: syntax.Case, expected: SqlType | None) -> Expr:
        conditions = []
        for when, _ in node.whens:
            if node.operand is None:
                conditions.append(self.condition(when))
            else:
                conditions.append(self.bind(syntax.Binary("=", node.operand, when, at=when.at)))
        results = [then for _, then in node.whens]
        if node.default is not None:
            results.append(node.default)
        bound, type_ = self.alike(results, expected)
        default = bound.pop() if node.default is not None else Const(None, type_)
        return Case(tuple(zip(conditions, bound, strict=True)), default, type_)

    def alike(self, nodes: Sequence[syntax.Expression], expected: SqlType | None) -> tuple[list[Expr], SqlType]:
        """Expressions that must be of one type (CASE, COALESCE …), and that type."""
        bound: list[Expr | None] = [None if is_untyped(node) else self.bind(node, expected) for node in nodes]
        known = [item.type for item in bound if item is not None]
        type_ = common_type(known) if known else (expected or NULL)
        context = None if type_.kind is Kind.NULL else context_of(type_)
        complete = [item or self.bind(node, context) for item, node in zip(bound, nodes, strict=True)]
        return complete, common_type([item.type for item in complete])

    def _cast(self, node: syntax.Cast, expected: SqlType | None) -> Expr:
        return Cast(self.bind(node.operand), node.type)

    def _function(self, node: syntax.Function, expected: SqlType | None) -> Expr:
        if node.name in AGGREGATES and not (node.name in ("min", "max") and len(node.arguments) > 1):
            return self._aggregate(node)
        if node.name in WINDOW_FUNCTIONS:
            message = f"{node.name}() is a window function: OVER (…) must stand behind it"
            raise ProgrammingError(self.place(node).describe(message), sqlstate="42809")
        if node.star or node.distinct or node.order_by or node.filter is not None:
            self.refuse(node, f"{node.name} is not an aggregate: *, DISTINCT, ORDER BY and FILTER mean nothing to it")
        function = lookup(node.name)
        function.check_count(len(node.arguments))
        if function.common or node.name in _ALIKE:
            arguments, _ = self.alike(node.arguments, expected)
        else:
            arguments = [self.bind(node, function.untyped(place)) for place, node in enumerate(node.arguments)]
        return Call(node.name, tuple(arguments), function.result([argument.type for argument in arguments]))

    def _next_value(self, node: syntax.NextValue, expected: SqlType | None) -> Expr:
        sequence = self.statement.catalog.sequences.get(node.sequence.lower())
        if sequence is None:
            hint = did_you_mean(node.sequence, [known.name for known in self.statement.catalog.sequences.values()])
            raise UndefinedObject(self.place(node).describe(f'sequence "{node.sequence}" does not exist{hint}'))
        self.statement.entries[sequence.id] = sequence
        return NextValue(sequence.name)

    def _aggregate(self, node: syntax.Function) -> Expr:
        aggregate = AGGREGATES[node.name]
        if self.stage is not Stage.GROUP:
            message = f"{node.name}() cannot stand here: aggregates belong in SELECT, HAVING and ORDER BY"
            raise ProgrammingError(self.place(node).describe(message), sqlstate="42803")
        self.has_aggregates = True
        self.stage = Stage.ROW
        try:
            arguments = tuple(self.bind(argument) for argument in node.arguments)
            condition = self.condition(node.filter) if node.filter is not None else None
            order = tuple(self.bind(item.expression) for item in node.order_by)
        finally:
            self.stage = Stage.GROUP
        self.check_star(node)
        result = aggregate.result([argument.type for argument in arguments])
        if node.distinct and not set(order) <= set(arguments):
            message = f"with {node.name}(DISTINCT …), ORDER BY can only use its arguments"
            raise ProgrammingError(self.place(node).describe(message), sqlstate="42P10")
        directions = tuple(map(direction_of, node.order_by))
        computed = aggregate.computed_from(arguments)
        return Aggregate(node.name, computed, node.distinct, result, condition, order, directions)

    def check_star(self, node: syntax.Function) -> None:
        """Refuse an aggregate over nothing, and * in any but count(*)."""
        if node.star and node.name != "count":
            self.refuse(node, f"{node.name}(*) is not supported")
        if not node.star and not node.arguments:
            self.refuse(node, f"{node.name}() needs an argument")

    def window(self, node: syntax.Window) -> Expr:
        """A function over a window; only the binder of a SELECT takes it."""
        message = "a window function cannot stand here: it belongs in SELECT or ORDER BY"
        raise ProgrammingError(self.place(node).describe(message), sqlstate="42P20")

    def _misplaced(self, node: syntax.Node, expected: SqlType | None) -> Expr:
        self.refuse(node, {syntax.Star: "* cannot stand here", syntax.Row: "a row cannot stand here"}.get(
            type(node), "DEFAULT can only stand in VALUES or on the right of SET"))  # fmt: skip


_METHODS: dict[type, Callable[[Binder, Any, SqlType | None], Expr]] = {
    syntax.Literal: Binder._literal,
    syntax.Parameter: Binder._parameter,
    syntax.Name: lambda binder, node, expected: binder.name(node),
    syntax.Interval: Binder._interval,
    syntax.Unary: Binder._unary,
    syntax.Binary: Binder._binary,
    syntax.Between: Binder._between,
    syntax.Like: Binder._like,
    syntax.InList: Binder._in_list,
    syntax.InArray: Binder._in_array,
    syntax.InQuery: Binder._in_query,
    syntax.Exists: Binder._exists,
    syntax.ScalarQuery: Binder._scalar_query,
    syntax.Case: Binder._case,
    syntax.Cast: Binder._cast,
    syntax.Function: Binder._function,
    syntax.NextValue: Binder._next_value,
    syntax.Window: lambda binder, node, expected: binder.window(node),
    syntax.Star: Binder._misplaced,
    syntax.Row: Binder._misplaced,
    syntax.DefaultValue: Binder._misplaced,
}

def direction_of(item: syntax.OrderItem) -> tuple[bool, bool]:
    """Whether an ORDER BY item is descending, and whether its NULLs come first."""
    return item.descending, not item.descending if item.nulls_first is None else item.nulls_first


def _chain(node: syntax.Binary) -> list[syntax.Expression]:
    """The operands of a chain of one operator, left to right, without recursion: a generated OR can be long."""
    operands: list[syntax.Expression] = []
    pending: list[syntax.Expression] = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, syntax.Binary) and part.op == node.op:
            pending.append(part.right)
            pending.append(part.left)
        else:
            operands.append(part)
    return operands

