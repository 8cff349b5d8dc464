"""Operators over one input that need nothing of the store: filter, project, sort, limit, distinct, and plain rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction

from rome.errors import DataError
from rome.sql import plan
from rome.sql.bound import ColumnRef
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieves, layout_of
from rome.sql.expr import Bindings, Layout, predicate, projection, scalar
from rome.txn.wave import Step

_MANY_ROWS = 1 << 31  # a larger limit is none: stores count the rows of a scan in fewer bits than SQL has


class Values(Operator):
    """Rows of expressions that use no columns."""

    def __init__(self, node: plan.Rows) -> None:
        self.output = node.output
        self._rows = [projection(row, {}) for row in node.rows]

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        yield from ()  # makes this a step
        return [row([()], context.bindings)[0] for row in self._rows]


class FilterRows(Operator):
    def __init__(self, node: plan.Filter, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self._filter = predicate(node.condition, layout_of(child.output))

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        return self._filter((yield from self._child.rows(context)), context.bindings)

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return sieves is not None and self._child.bring(columns, belonging, sieves)


class ProjectRows(Operator):
    def __init__(self, node: plan.Project, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self._node = node
        self._projection = projection(node.expressions, layout_of(child.output))

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        return self._projection((yield from self._child.rows(context, need)), context.bindings)

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        inner = handed_on(self._node, columns)
        return inner is not None and self._child.bring(inner, belonging, sieves)


def handed_on(node: plan.Project, columns: tuple[int, ...]) -> tuple[int, ...] | None:
    """The columns below `node` that it hands on as `columns`; None if it computes one of them."""
    below = {column.column: each for column, each in zip(node.output, node.expressions, strict=True)}
    inner = tuple(each.column for column in columns if isinstance(each := below.get(column), ColumnRef))
    return inner if len(inner) == len(columns) else None


class SortRows(Operator):
    """A stable sort; NULLs where each key says."""

    def __init__(self, node: plan.Sort, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self._order = order_of(node.keys, layout_of(child.output))

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        return self._order((yield from self._child.rows(context)), context.bindings)

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return sieves is not None and self._child.bring(columns, belonging, sieves)


def order_of(keys: Sequence[plan.SortKey], layout: Layout) -> Callable[[list[Row], Bindings], list[Row]]:
    """A function that sorts rows of `layout` by `keys`, stable."""
    values_of = projection(tuple(key.expression for key in keys), layout)
    directions = [(place, key.descending, key.nulls_first) for place, key in enumerate(keys)]
    one_way = len({key.descending for key in keys}) == 1

    def ordered(rows: list[Row], bindings: Bindings) -> list[Row]:
        values = values_of(rows, bindings)
        order = list(range(len(rows)))
        if one_way and not any([None in each for each in values]):
            order.sort(key=values.__getitem__, reverse=keys[0].descending)
            return [rows[at] for at in order]
        for place, descending, nulls_first in reversed(directions):
            nulls = [at for at in order if values[at][place] is None]
            others = [at for at in order if values[at][place] is not None] if nulls else order
            others.sort(key=lambda at, place=place: values[at][place], reverse=descending)  # type: ignore[misc]
            order = nulls + others if nulls_first else others + nulls
        return [rows[at] for at in order]

    return ordered


class LimitRows(Operator):
    def __init__(self, node: plan.Limit, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self._simple = node.simple
        self._spare = node.spare
        self._percent = node.percent
        self._limit = scalar(node.limit, {}) if node.limit is not None else None
        self._offset = scalar(node.offset, {}) if node.offset is not None else None
        self._ties = projection(tuple(key.expression for key in node.ties), layout_of(child.output))

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        bindings = context.bindings
        if self._percent:
            rows = yield from self._child.rows(context)
            limit, offset = share(self._limit, len(rows), bindings), bounds(None, self._offset, bindings)[1]
            return self._with_ties(rows, offset, offset + limit, bindings)
        limit_, offset = bounds(self._limit, self._offset, bindings)
        if limit_ == 0:
            return []
        need = None if limit_ is None else offset + limit_
        if not self._simple:
            return self._with_ties((yield from self._child.rows(context)), offset, need, bindings)
        if need is not None and self._spare:
            assert context.locking is not None
            need, offset = need + len(context.locking.skipped), 0
        rows = yield from self._child.rows(context, None if need is not None and need > _MANY_ROWS else need)
        return rows[offset:need]

    def _with_ties(self, rows: list[Row], start: int, stop: int | None, bindings: Bindings) -> list[Row]:
        """The rows from `start` to before `stop`, and those behind that are equal to the last of them."""
        if stop is not None and start < stop < len(rows):
            keys = self._ties(rows, bindings)
            if keys[stop - 1]:
                while stop < len(rows) and keys[stop] == keys[stop - 1]:
                    stop += 1
        return rows[start:stop]

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        # With an offset most of what is read may not be in the answer.
        return self._simple and self._offset is None and self._child.bring(columns, belonging, sieves)


def share(percent: object, count: int, bindings: Bindings) -> int:
    """So many percent of `count` rows, rounded up; all for NULL."""
    value = percent((), bindings) if callable(percent) else None
    if value is None:
        return count
    if not isinstance(value, (int, float, Decimal)) or isinstance(value, bool) or value < 0:
        raise DataError(f"FETCH FIRST … PERCENT takes a number from 0 on, not {value!r}", sqlstate="22023")
    return min(count, math.ceil(Fraction(value) * count / 100))


def bounds(limit: object, offset: object, bindings: Bindings) -> tuple[int | None, int]:
    """LIMIT and OFFSET as numbers; a negative limit or NULL means none, as SQLite has it."""
    values = []
    for name, part in (("LIMIT", limit), ("OFFSET", offset)):
        value = part((), bindings) if callable(part) else None
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise DataError(f"{name} must be a whole number, not {value!r}", sqlstate="22023")
        values.append(value)
    if values[0] is not None and values[0] < 0:
        values[0] = None
    return values[0], max(0, values[1] or 0)


class DistinctRows(Operator):
    def __init__(self, node: plan.Distinct, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        return list(dict.fromkeys((yield from self._child.rows(context))))

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return sieves is not None and self._child.bring(columns, belonging, sieves)

