"""INSERT, UPDATE and DELETE: which rows, then all their checks in one wave, then the writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from rome.errors import DatabaseError
from rome.sql import plan
from rome.sql.access import is_changing
from rome.sql.bound import Const, Slot
from rome.sql.changes import default_of
from rome.sql.coerce import untyped
from rome.sql.execute.operator import Context, Operator, Row, layout_of
from rome.sql.expr import Bindings, projection, scalar
from rome.sql.scope import StatementScope
from rome.table import rows as table_rows
from rome.table.constraints import check_violation
from rome.table.convert import converter, is_exact
from rome.table.schema import Check, Column, Table
from rome.table.sequences import insert_numbered
from rome.txn.wave import Step, together
from rome.values import Kind


class Changed(NamedTuple):
    """What a change did: how many rows matched, the RETURNING rows, and the number that the last INSERT gave."""

    matched: int
    rows: list[Row]
    lastrowid: int | None = None


class ChangeOperator(Operator):
    """Base of the three: `change` does the work; as an operator its rows are the RETURNING rows."""

    batches = False
    """Whether `change` may be given several sets of parameters at once: INSERT of plain values, and changes of rows
    by primary key, as long as the values of `key_slots` differ from set to set."""
    key_slots: tuple[int, ...] = ()

    def change(self, contexts: Sequence[Context]) -> Step[Changed]:
        """The change for every set of parameters, as one statement: its reads share their waves."""
        raise NotImplementedError

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        return (yield from self.change([context])).rows


class InsertRows(ChangeOperator):
    def __init__(self, node: plan.Insert, source: Operator) -> None:
        self.output = node.output
        self.children = (source,)
        self._source = source
        self.table = node.table
        self.batches = isinstance(node.source, plan.Rows)
        self._values = [
            _value_maker(node.table, place, default, column)
            for place, default, column in zip(node.places, node.defaults, node.table.columns, strict=True)
        ]
        self._plain = _plain_columns(node)
        self.checks = Checks(node.table, node.checks, node.row)
        self._returning = returning_of(node.returning)
        self.completed = completion(node)
        self.numbered = node.table.number_place is not None
        self._number_place = _number_place(node.table)

    def proposed(self, contexts: Sequence[Context]) -> Step[list[list[Row]]]:
        """The rows to insert, for every set of parameters."""
        given = yield from together([self._source.rows(each) for each in contexts])
        return [
            [tuple([make(row, each.bindings) for make in self._values]) for row in rows]
            for each, rows in zip(contexts, given, strict=True)
        ]

    def change(self, contexts: Sequence[Context]) -> Step[Changed]:
        if self._plain is None or contexts[0].profile is not None:
            rows = [row for proposed in (yield from self.proposed(contexts)) for row in proposed]
        else:
            rows = [tuple([column.value(each.bindings) for column in self._plain]) for each in contexts]
        return (yield from self.insert(contexts[0], rows))

    def loaded(self, given: Sequence[Sequence[object]], count: int, bindings: Bindings) -> list[Row] | None:
        """The rows to insert for `count` sets of parameters, `given` by slot as they came; made column by column.

        None where they must be made one by one: VALUES have more than parameters in them, or one of them is refused.
        """
        if self._plain is None:
            return None
        try:
            columns = [column.values(given, count, bindings) for column in self._plain]
        except DatabaseError:
            return None
        return list(zip(*columns, strict=True))

    def insert(self, context: Context, rows: list[Row]) -> Step[Changed]:
        """Insert `rows`, whose values have been converted."""
        bindings = context.bindings
        if self.numbered:
            complete = partial(self.completed, bindings)
            rows = yield from insert_numbered(
                context.tx, context.keys, context.catalog, context.sequences, self.table, rows, complete
            )
        else:
            rows = self.completed(bindings, rows)
            yield from table_rows.insert(context.tx, context.keys, context.catalog, self.table, rows)
        self.checks.judge(rows, bindings)  # a refused statement is undone as a whole
        return self.outcome(rows, bindings)

    def outcome(self, rows: list[Row], bindings: Bindings) -> Changed:
        """What the statement did, of the rows as they are stored now."""
        number = rows[-1][self._number_place] if rows and self._number_place is not None else None
        return Changed(len(rows), self._returning(rows, bindings), number if isinstance(number, int) else None)


def completion(node: plan.Insert | plan.Update) -> Callable[[Bindings, list[Row]], list[Row]]:
    """New rows with their computed columns filled in."""
    if not node.computed:
        return lambda bindings, rows: rows
    names = [f"{node.table.name}.{node.table.columns[place].name}" for place, _ in node.computed]
    converters = [
        converter(node.table.columns[place].type, name) for (place, _), name in zip(node.computed, names, strict=True)
    ]
    compute = projection([expression for _, expression in node.computed], layout_of(node.row))

    def complete(bindings: Bindings, rows: list[Row]) -> list[Row]:
        completed = []
        for row, values in zip(rows, compute(rows, bindings), strict=True):
            new = list(row)
            for (place, _), convert, value in zip(node.computed, converters, values, strict=True):
                new[place] = convert(value)
            completed.append(tuple(new))
        return completed

    return complete


def _number_place(table: Table) -> int | None:
    """Where `lastrowid` stands in a row: an AUTOINCREMENT column, or an integer that is the whole primary key."""
    key = table.primary_positions
    if len(key) == 1 and table.columns[key[0]].type.kind is Kind.INTEGER:
        return key[0]
    return table.number_place


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


class _FromParameter:
    """A column of new rows that is a parameter."""

    def __init__(self, slot: int, column: Column, name: str) -> None:
        self._slot = slot
        self._type = column.type
        self._convert = converter(column.type, name)

    def value(self, bindings: Bindings) -> object:
        """For the row of one set of parameters."""
        return self._convert(bindings.slots[self._slot])

    def values(self, given: Sequence[Sequence[object]], count: int, bindings: Bindings) -> Sequence[object]:
        """For `count` rows; `given` has the values of each slot, one a row, as they came."""
        values, convert = given[self._slot], self._convert
        return values if is_exact(values, self._type) else [convert(untyped(value)) for value in values]


class _Alike:
    """A column that has the same value in all new rows."""

    def __init__(self, value_of: Callable[[Row, Bindings], object]) -> None:
        self._value_of = value_of

    def value(self, bindings: Bindings) -> object:
        return self._value_of((), bindings)

    def values(self, given: Sequence[Sequence[object]], count: int, bindings: Bindings) -> Sequence[object]:
        return [self._value_of((), bindings)] * count


def _plain_columns(node: plan.Insert) -> list[_FromParameter | _Alike] | None:
    """The columns of the new rows, if VALUES is one row of nothing but parameters and constants, and the defaults are
    the same for all rows."""
    source, table = node.source, node.table
    if not isinstance(source, plan.Rows) or len(source.rows) != 1:
        return None
    columns: list[_FromParameter | _Alike] = []
    for place, default, column in zip(node.places, node.defaults, table.columns, strict=True):
        value = default if place is None else source.rows[0][place]
        if isinstance(value, Slot):
            if value.type.kind is not Kind.NULL:
                return None  # it is converted to another type first
            columns.append(_FromParameter(value.index, column, f"{table.name}.{column.name}"))
        elif value is None or isinstance(value, Const) or (place is None and not is_changing(value)):
            columns.append(_Alike(_value_maker(table, None, value, column)))
        else:
            return None
    return columns


class UpdateRows(ChangeOperator):
    def __init__(self, node: plan.Update, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self.batches, self.key_slots = _by_primary_key(node)
        self._table = node.table
        self._places = node.places
        columns = [node.table.columns[place] for place in node.places]
        self._converters = [converter(column.type, f"{node.table.name}.{column.name}") for column in columns]
        self._projection = projection(node.expressions, layout_of(child.output))
        self._checks = Checks(node.table, node.checks, node.row)
        self._completed = completion(node)
        self._computes = bool(node.computed)
        self._returning = returning_of(node.returning)
        self._width = _stored_width(node.table)
        self._beside = len(child.output) > self._width

    def change(self, contexts: Sequence[Context]) -> Step[Changed]:
        founds = yield from together([self._child.rows(each) for each in contexts])
        width, columns = self._width, len(self._table.columns)
        changes: list[tuple[Row, Row]] = []
        shown: list[Row] = []
        for each, found in zip(contexts, founds, strict=True):
            rows = _first_of_each(found, width) if self._beside else found
            for row, values in zip(rows, self._projection(rows, each.bindings), strict=True):
                new = list(row[:width])
                for place, convert, value in zip(self._places, self._converters, values, strict=True):
                    new[place] = convert(value)
                if self._computes:
                    new = list(self._completed(each.bindings, [tuple(new)])[0])
                changes.append((row[:width], tuple(new)))
                if self.output:
                    shown.append((*new[:columns], *row[width:]))
        context = contexts[0]
        self._checks.judge([new for _, new in changes], context.bindings)
        count = yield from table_rows.update(
            context.tx, context.keys, context.catalog, self._table, changes, defaults_of(context)
        )
        return Changed(count, self._returning(shown, context.bindings))


def _first_of_each(rows: list[Row], width: int) -> list[Row]:
    """Of the rows that begin with the same stored row, the first: a row changes once in a statement."""
    first: dict[Row, Row] = {}
    for row in rows:
        first.setdefault(row[:width], row)
    return list(first.values())


class DeleteRows(ChangeOperator):
    def __init__(self, node: plan.Delete, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self.batches, self.key_slots = _by_primary_key(node)
        self._table = node.table
        self._returning = returning_of(node.returning)
        self._width = _stored_width(node.table)
        self._beside = len(child.output) > self._width

    def change(self, contexts: Sequence[Context]) -> Step[Changed]:
        context = contexts[0]
        founds = yield from together([self._child.rows(each) for each in contexts])
        found = [row for rows in founds for row in rows]
        if self._beside:
            found = _first_of_each(found, self._width)
        stored = [row[: self._width] for row in found]
        count = yield from table_rows.delete(
            context.tx, context.keys, context.catalog, self._table, stored, defaults_of(context)
        )
        return Changed(count, self._returning(found, context.bindings))


def _by_primary_key(node: plan.Update | plan.Delete) -> tuple[bool, tuple[int, ...]]:
    """Whether a set of parameters names one row by its key, which does not change, and the slots that name it."""
    scan = node.child
    if not (isinstance(scan, plan.Scan) and scan.access.index is None and scan.table.primary_key):
        return False, ()
    if isinstance(node, plan.Update) and set(node.places) & set(scan.table.primary_positions):
        return False, ()
    values = [value for alternatives in scan.access.equals for value in alternatives]
    slots = tuple(value.index for value in values if isinstance(value, Slot))
    complete = len(scan.access.equals) == len(scan.table.primary_key) == len(slots) == len(values)
    return complete, slots


def _stored_width(table: Table) -> int:
    """How long a stored row is: its columns and, without a primary key, its row number."""
    return len(table.columns) + (not table.primary_key)


def defaults_of(context: Context) -> Callable[[Table, Column], object]:
    """SET DEFAULT: the value of a column's default, worked out only when a referential action needs it."""

    def value_of(table: Table, column: Column) -> object:
        default = default_of(StatementScope("", context.catalog), column)
        if default is None:
            return None
        value = scalar(default, {})((), context.bindings)
        return converter(column.type, f"{table.name}.{column.name}")(value)

    return value_of


def returning_of(returning: plan.Returning | None) -> Callable[[list[Row], Bindings], list[Row]]:
    if returning is None:
        return lambda rows, bindings: []
    return projection(returning.expressions, layout_of(returning.row))


class Checks:
    """The CHECK constraints of a table: a row passes unless a condition is plainly false."""

    def __init__(self, table: Table, conditions: Sequence[plan.Condition], row: Sequence[object]) -> None:
        layout = layout_of(row)  # type: ignore[arg-type]
        self._table = table
        self._conditions = [(condition, scalar(condition.expression, layout)) for condition in conditions]

    def judge(self, rows: list[Row], bindings: Bindings) -> None:
        for condition, truth in self._conditions:
            for row in rows:
                if truth(row, bindings) is False:
                    raise check_violation(self._table, Check(condition.name, condition.sql))

