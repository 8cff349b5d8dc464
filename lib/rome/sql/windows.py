"""Windows: binding of what stands behind OVER, and the rewriting of what is computed above it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from rome.errors import ProgrammingError, TypeMismatch
from rome.sql import syntax
from rome.sql.aggregates import AGGREGATES
from rome.sql.bind import Binder, PlanQuery, Stage, direction_of
from rome.sql.bound import Aggregate, Cast, ColumnRef, Expr, Frame, Slot, WindowCall, columns_of, transform, walk
from rome.sql.plan import Plan, Window
from rome.sql.scope import Scope, StatementScope
from rome.sql.window_functions import WINDOW_FUNCTIONS
from rome.values import BIGINT, INTERVAL, NUMERIC_KINDS, Kind, SqlType

_BOUNDS = ("UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING")  # in their order
_MOMENTS = frozenset({Kind.DATE, Kind.DATETIME, Kind.INTERVAL})


class SelectBinder(Binder):
    """Binds the expressions of a SELECT, which may have windows where `windows_allowed`.

    `aliases` are what names mean that no column of FROM has: in ORDER BY, those of the SELECT list.
    """

    def __init__(
        self,
        statement: StatementScope,
        scope: Scope,
        plan_query: PlanQuery,
        definitions: tuple[tuple[str, syntax.WindowDefinition], ...],
    ) -> None:
        super().__init__(statement, scope, plan_query)
        self.windows_allowed = False
        self.has_windows = False
        self.aliases: Mapping[str, Expr] = {}
        self._definitions: Mapping[str, syntax.WindowDefinition] = {
            name.lower(): definition for name, definition in definitions
        }

    def name(self, node: syntax.Name) -> Expr:
        meant = self.aliases.get(node.parts[0].lower()) if len(node.parts) == 1 else None
        if meant is None or self.scope.own(node) is not None:
            return super().name(node)
        inside = self.stage is not Stage.GROUP or not self.windows_allowed
        if inside and any(isinstance(part, (Aggregate, WindowCall)) for part in walk(meant)):
            message = f'"{node.parts[0]}" is an aggregate or has a window: it cannot stand inside another one'
            raise ProgrammingError(self.place(node).describe(message), sqlstate="42803")
        return meant

    def window(self, node: syntax.Window) -> Expr:
        """A call over a window. Where neither windows nor aggregates may stand, both are refused."""
        called = node.function
        if self.stage is not Stage.GROUP or not self.windows_allowed:
            self.misplaced_window(called, "a window function stands in SELECT or ORDER BY, outside others")
        self.has_windows = True
        self.windows_allowed = False
        try:
            definition = self._resolved(node.over, called)
            partition = tuple(self.bind(part) for part in definition.partition_by)
            order = tuple(self.bind(item.expression) for item in definition.order_by)
            arguments, type_ = self._arguments(called)
            condition = self.condition(called.filter) if called.filter is not None else None
            frame, start, end = self._frame(definition, order)
        finally:
            self.windows_allowed = True
        directions = tuple(map(direction_of, definition.order_by))
        return WindowCall(called.name, arguments, partition, order, directions, frame, start, end, type_, condition)

    def misplaced_window(self, node: syntax.Node, message: str) -> NoReturn:
        raise ProgrammingError(self.place(node).describe(message), sqlstate="42P20")

    # ---- the window ------------------------------------------------------------------------------------------------

    def _resolved(self, over: str | syntax.WindowDefinition, called: syntax.Function) -> syntax.WindowDefinition:
        """A definition with all that the window it names says."""
        if isinstance(over, str):
            return self._completed(self._named(over, called), called)
        return self._completed(over, called)

    def _named(self, name: str, node: syntax.Node) -> syntax.WindowDefinition:
        found = self._definitions.get(name.lower())
        if found is None:
            message = f'no window "{name}": WINDOW {name} AS (…) stands behind HAVING'
            raise ProgrammingError(self.place(node).describe(message), sqlstate="42704")
        return found

    def _completed(self, own: syntax.WindowDefinition, called: syntax.Function) -> syntax.WindowDefinition:
        seen: set[str] = set()
        while own.base is not None:
            if own.base.lower() in seen:
                self.misplaced_window(own, f'the window "{own.base}" is defined by itself')
            seen.add(own.base.lower())
            base = self._named(own.base, own)
            if own.partition_by:
                self.misplaced_window(own, f'a window made from "{own.base}" takes its PARTITION BY')
            if own.order_by and base.order_by:
                self.misplaced_window(own, f'the window "{own.base}" has an ORDER BY already')
            if base.frame is not None:
                self.misplaced_window(own, f'the window "{own.base}" has a frame: write OVER {own.base}')
            own = syntax.WindowDefinition(
                base.base, base.partition_by, own.order_by or base.order_by, own.frame, at=own.at
            )
        return own

    def _frame(
        self, definition: syntax.WindowDefinition, order: tuple[Expr, ...]
    ) -> tuple[Frame, Expr | None, Expr | None]:
        node = definition.frame
        if node is None:
            return Frame(), None, None
        first, last = _BOUNDS.index(node.start.kind), _BOUNDS.index(node.end.kind)
        if first > last or first == 4 or last == 0:
            self.misplaced_window(node, f"a frame cannot begin at {node.start.kind} and end at {node.end.kind}")
        if node.kind == "GROUPS" and not order:
            self.misplaced_window(node, "GROUPS needs an ORDER BY in the window")
        start, end = (self._offset(node, bound, order) for bound in (node.start, node.end))
        return Frame(node.kind, node.start.kind, node.end.kind, node.exclude), start, end

    def _offset(self, frame: syntax.Frame, bound: syntax.FrameBound, order: tuple[Expr, ...]) -> Expr | None:
        if bound.offset is None:
            return None
        if frame.kind == "RANGE":
            if len(order) != 1:
                self.misplaced_window(bound, "RANGE with an offset needs one ORDER BY expression")
            offset = self._distance(bound, bound.offset, order[0].type)
        else:
            offset = self.bind(bound.offset, BIGINT)
            if offset.type.kind not in (Kind.INTEGER, Kind.NULL):
                raise TypeMismatch(f"{frame.kind} counts with an integer, not {offset.type}")
        if columns_of(offset):
            self.refuse(bound.offset, "the offset of a frame cannot depend on a row")
        return offset

    def _distance(self, bound: syntax.FrameBound, node: syntax.Expression, key: SqlType) -> Expr:
        """The offset of RANGE: a number for a number, an interval for a date."""
        if key.kind in NUMERIC_KINDS - {Kind.BOOLEAN}:
            offset = self.bind(node, key)
            if offset.type.kind in NUMERIC_KINDS - {Kind.BOOLEAN}:
                exact = {key.kind, offset.type.kind} <= {Kind.INTEGER, Kind.DECIMAL}
                return offset if exact or key.kind is Kind.INTEGER else Cast(offset, SqlType(key.kind, key.name))
        elif key.kind in _MOMENTS:
            offset = self.bind(node, INTERVAL)
            if offset.type.kind is Kind.INTERVAL:
                return offset
        else:
            self.misplaced_window(bound, f"RANGE with an offset needs an order by a number or a date, not {key}")
        raise TypeMismatch(self.place(node).describe(f"an offset of {offset.type} is not a distance of {key}"))

    # ---- the function ----------------------------------------------------------------------------------------------

    def _arguments(self, node: syntax.Function) -> tuple[tuple[Expr, ...], SqlType]:
        if node.distinct or node.order_by:
            what = "DISTINCT" if node.distinct else "ORDER BY among the arguments"
            self.refuse(node, f"{what} in a window function is not supported")
        if node.name in AGGREGATES:
            self.check_star(node)
            arguments = tuple(self.bind(argument) for argument in node.arguments)
            aggregate = AGGREGATES[node.name]
            result = aggregate.result([argument.type for argument in arguments])
            return aggregate.computed_from(arguments), result
        function = WINDOW_FUNCTIONS.get(node.name)
        if function is None:
            message = f"{node.name}() is neither a window function nor an aggregate: OVER means nothing to it"
            raise ProgrammingError(self.place(node).describe(message), sqlstate="42809")
        if node.star or node.filter is not None:
            self.refuse(node, f"{node.name} is not an aggregate: * and FILTER mean nothing to it")
        function.check_count(len(node.arguments))
        if not function.takes_value:
            counts = tuple(self._count(argument) for argument in node.arguments)
            assert function.returns is not None
            return counts, function.returns
        values, type_ = self.alike([*node.arguments[:1], *node.arguments[2:]], None)
        # a parameter may be another number than its place says
        cast = [value.type.kind is not type_.kind or isinstance(value, Slot) for value in values]
        alike = [Cast(value, type_) if other else value for value, other in zip(values, cast, strict=True)]
        count = [self._count(argument) for argument in node.arguments[1:2]]
        return (alike[0], *count, *alike[1:]), type_

    def _count(self, node: syntax.Expression) -> Expr:
        count = self.bind(node, BIGINT)
        if count.type.kind not in (Kind.INTEGER, Kind.NULL):
            raise TypeMismatch(self.place(node).describe(f"an integer must stand here, not {count.type}"))
        return count


class Windows:
    """The windows of one SELECT: which are asked for, and the rewriting of what uses them."""

    def __init__(self, statement: StatementScope) -> None:
        self._statement = statement
        self._columns: dict[WindowCall, ColumnRef] = {}

    def rewrite(self, expression: Expr) -> Expr:
        """`expression` over the columns that `plan` adds."""
        return transform(expression, self._replacement)

    def _replacement(self, node: Expr) -> Expr | None:
        if not isinstance(node, WindowCall):
            return None
        if node not in self._columns:
            self._columns[node] = self._statement.column(node.type, node.name)
        return self._columns[node]

    def plan(self, child: Plan) -> Plan:
        """`child` with the windows that have been asked for."""
        return Window(child, tuple(self._columns), tuple(self._columns.values()))


def has_window(expression: Expr | None) -> bool:
    return expression is not None and any(isinstance(part, WindowCall) for part in walk(expression))
