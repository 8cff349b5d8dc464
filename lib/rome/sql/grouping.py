"""Planning of GROUP BY, and of what is computed above the rows that it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rome.errors import GroupingError
from rome.sql import syntax
from rome.sql.bind import PendingApply
from rome.sql.bound import Aggregate, ColumnRef, Const, Expr, transform
from rome.sql.plan import Apply, Group, Plan
from rome.sql.scope import Relation, Scope, StatementScope


class Grouping:
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


def nullable(expression: Expr) -> bool:
    """False when `expression` is surely never NULL."""
    if isinstance(expression, ColumnRef):
        return expression.nullable
    if isinstance(expression, Const):
        return expression.value is None
    return not (isinstance(expression, Aggregate) and expression.name == "count")
