"""INSERT, UPDATE and DELETE: which rows, then all their checks in one wave, then the writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rome.errors import CheckViolation
from rome.sql import plan
from rome.sql.bind import StatementScope
from rome.sql.changes import default_of
from rome.sql.execute.operator import Context, Operator, Row, layout_of
from rome.sql.expr import Bindings, projection, scalar
from rome.table import rows as table_rows
from rome.table.convert import converter
from rome.table.schema import Column, Table
from rome.table.sequences import insert_numbered
from rome.txn.wave import Step
from rome.values import Kind


class Changed(NamedTuple):
    """What a change did: how many rows matched, the RETURNING rows, and the number that the last INSERT gave."""

    count: int
    rows: list[Row]
    lastrowid: int | None = None


class ChangeOperator(Operator):
    """Base of the three: `change` does the work; as an operator its rows are the RETURNING rows."""

    def change(self, context: Context) -> Step[Changed]:
        raise NotImplementedError

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        return (yield from self.change(context)).rows


class InsertRows(ChangeOperator):
    def __init__(self, node: plan.Insert, source: Operator) -> None:
        self.output = node.output
        self.children = (source,)
        self._source = source
        self._table = node.table
        self._values = [
            _value_maker(node.table, place, default, column)
            for place, default, column in zip(node.places, node.defaults, node.table.columns, strict=True)
        ]
        self._checks = _Checks(node.table, node.checks, node.row)
        self._returning = _returning(node.returning)
        self._numbered = any(column.autoincrement for column in node.table.columns)
        key = node.table.primary_positions
        whole = len(key) == 1 and node.table.columns[key[0]].type.kind is Kind.INTEGER
        self._number_place = key[0] if whole else None

    def change(self, context: Context) -> Step[Changed]:
        return (yield from self._insert(context, (yield from self._source.rows(context))))

    def change_many(self, contexts: Sequence[Context]) -> Step[Changed]:
        """executemany: the source's rows for every set of parameters, inserted as one statement."""
        given: list[Row] = []
        for context in contexts:
            given += yield from self._source.rows(context)
        return (yield from self._insert(contexts[0], given))

    def _insert(self, context: Context, given: list[Row]) -> Step[Changed]:
        bindings = context.bindings
        rows: list[Row] = [tuple([make(row, bindings) for make in self._values]) for row in given]
        if self._numbered:
            rows = yield from insert_numbered(
                context.tx, context.keys, context.catalog, context.sequences, self._table, rows
            )
        else:
            yield from table_rows.insert(context.tx, context.keys, context.catalog, self._table, rows)
        self._checks.judge(rows, bindings)  # a refused statement is undone as a whole
        number = rows[-1][self._number_place] if rows and self._number_place is not None else None
        returned = self._returning(rows, bindings)
        return Changed(len(rows), returned, number if isinstance(number, int) else None)


def _value_maker(
    table: Table, place: int | None, default: object, column: Column
) -> Callable[[Row, Bindings], object]:
    """The value of one column of a new row, converted to the column's type."""
    convert = converter(column.type, f"{table.name}.{column.name}")
    if place is not None:
        return lambda row, bindings: convert(row[place])
    if default is None:
        return lambda row, bindings: None
    compute = scalar(default, {})  # type: ignore[arg-type]
    return lambda row, bindings: convert(compute((), bindings))


class UpdateRows(ChangeOperator):
    def __init__(self, node: plan.Update, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self._table = node.table
        self._places = node.places
        columns = [node.table.columns[place] for place in node.places]
        self._converters = [converter(column.type, f"{node.table.name}.{column.name}") for column in columns]
        self._projection = projection(node.expressions, layout_of(child.output))
        self._checks = _Checks(node.table, node.checks, node.row)
        self._returning = _returning(node.returning)
        self._width = _stored_width(node.table)

    def change(self, context: Context) -> Step[Changed]:
        found = yield from self._child.rows(context)
        bindings, width = context.bindings, self._width
        changes: list[tuple[Row, Row]] = []
        for row, values in zip(found, self._projection(found, bindings), strict=True):
            new = list(row[:width])
            for place, convert, value in zip(self._places, self._converters, values, strict=True):
                new[place] = convert(value)
            changes.append((row[:width], tuple(new)))
        after = [new for _, new in changes]
        self._checks.judge(after, bindings)
        count = yield from table_rows.update(
            context.tx, context.keys, context.catalog, self._table, changes, _defaults(context)
        )
        return Changed(count, self._returning(after, bindings))


class DeleteRows(ChangeOperator):
    def __init__(self, node: plan.Delete, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self._table = node.table
        self._returning = _returning(node.returning)
        self._width = _stored_width(node.table)

    def change(self, context: Context) -> Step[Changed]:
        found = [row[: self._width] for row in (yield from self._child.rows(context))]
        count = yield from table_rows.delete(
            context.tx, context.keys, context.catalog, self._table, found, _defaults(context)
        )
        return Changed(count, self._returning(found, context.bindings))


def _stored_width(table: Table) -> int:
    """How long a stored row is: its columns and, without a primary key, its row number."""
    return len(table.columns) + (not table.primary_key)


def _defaults(context: Context) -> Callable[[Table, Column], object]:
    """SET DEFAULT: the value of a column's default, worked out only when a referential action needs it."""

    def value_of(table: Table, column: Column) -> object:
        default = default_of(StatementScope("", context.catalog), column)
        if default is None:
            return None
        value = scalar(default, {})((), context.bindings)
        return converter(column.type, f"{table.name}.{column.name}")(value)

    return value_of


def _returning(returning: plan.Returning | None) -> Callable[[list[Row], Bindings], list[Row]]:
    if returning is None:
        return lambda rows, bindings: []
    return projection(returning.expressions, layout_of(returning.row))


class _Checks:
    """The CHECK constraints of a table: a row passes unless a condition is plainly false."""

    def __init__(self, table: Table, conditions: Sequence[plan.Condition], row: Sequence[object]) -> None:
        layout = layout_of(row)  # type: ignore[arg-type]
        self._table = table
        self._conditions = [(condition, scalar(condition.expression, layout)) for condition in conditions]

    def judge(self, rows: list[Row], bindings: Bindings) -> None:
        for condition, truth in self._conditions:
            for row in rows:
                if truth(row, bindings) is False:
                    raise check_failed(self._table, condition.name, condition.sql)


def check_failed(table: Table, name: str | None, sql: str) -> CheckViolation:
    """The error for a row that a CHECK constraint refuses."""
    message = f"CHECK constraint failed: {table.name} (check {name or '-'}, condition {sql})"
    return CheckViolation(message, table=table.name, constraint=name)
