"""Window functions: each row of the input with values computed from the rows around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from rome.sql import plan
from rome.sql.aggregates import AGGREGATES
from rome.sql.bound import WindowCall
from rome.sql.execute.frames import frames
from rome.sql.execute.operator import Context, Operator, Row, layout_of
from rome.sql.execute.running import growing
from rome.sql.execute.simple import order_of
from rome.sql.expr import Bindings, predicate, projection, scalar
from rome.sql.window_functions import WINDOW_FUNCTIONS, Ordered, Segments, places_of
from rome.txn.wave import Step

Values = list[Any]


class WindowRows(Operator):
    """The child's rows, each with the value of every call, in the order of the first call's window.

    Calls over the same partitions in the same order are computed together: the rows are sorted once for them.
    """

    def __init__(self, node: plan.Window, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self._width = len(node.calls)
        shared: dict[object, list[tuple[int, WindowCall]]] = {}
        for place, call in enumerate(node.calls):
            shared.setdefault((call.partition, call.order, call.directions), []).append((place, call))
        self._windows = [_Window(calls, child) for calls in shared.values()]

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        rows = yield from self._child.rows(context)
        columns: list[Values] = [[None] * len(rows) for _ in range(self._width)]
        order: list[int] | None = None
        for window in self._windows:
            sorted_so = window.fill(columns, rows, context.bindings)
            order = sorted_so if order is None else order
        return [(*rows[at], *[column[at] for column in columns]) for at in order or ()]


class _Window:
    """The calls over one way to partition and order the rows."""

    def __init__(self, calls: Sequence[tuple[int, WindowCall]], child: Operator) -> None:
        layout = layout_of(child.output)
        first = calls[0][1]
        self._keys = projection(first.order, layout)
        self._partition = projection(first.partition, layout)
        self._order = order_of(
            [
                plan.SortKey(expression, *direction)
                for expression, direction in zip(first.order, first.directions, strict=True)
            ],
            layout,
        )
        self._descending = bool(first.directions) and first.directions[0][0]
        self._calls = [(place, _Call(call, layout)) for place, call in calls]

    def fill(self, columns: list[Values], rows: list[Row], bindings: Bindings) -> list[int]:
        """Put the values of the calls into `columns`; the places of the rows, partition by partition, in order."""
        partitions: dict[Row, list[int]] = {}
        for at, key in enumerate(self._partition(rows, bindings)):
            partitions.setdefault(key, []).append(at)
        found: list[int] = []
        for members in partitions.values():
            placed: list[tuple[Any, ...]] = self._order([(*rows[at], at) for at in members], bindings)
            own: list[int] = [row[-1] for row in placed]
            ordered_rows = [rows[at] for at in own]
            keys = self._keys(ordered_rows, bindings)
            partition = _ordered(keys)
            leading = [key[0] for key in keys] if keys and keys[0] else []
            for place, call in self._calls:
                column = columns[place]
                values = call.values(partition, leading, self._descending, ordered_rows, bindings)
                for at, value in zip(own, values, strict=True):
                    column[at] = value
            found += own
        return found


def _ordered(keys: list[Row]) -> Ordered:
    groups: list[tuple[int, int]] = []
    group_of: list[int] = []
    for _, members in groupby(keys):
        size = sum(1 for _ in members)
        start = len(group_of)
        group_of += [len(groups)] * size
        groups.append((start, start + size))
    return Ordered(len(keys), groups, group_of)


class _Call:
    """One call, compiled."""

    def __init__(self, node: WindowCall, layout: dict[int, int]) -> None:
        self._node = node
        self._arguments = projection(node.arguments, layout)
        self._keep = predicate(node.filter, layout) if node.filter is not None else None
        self._start = scalar(node.start, {}) if node.start is not None else None
        self._end = scalar(node.end, {}) if node.end is not None else None

    def values(
        self, ordered: Ordered, keys: Values, descending: bool, rows: list[Row], bindings: Bindings
    ) -> Values:
        """The value for each of `rows`, a partition in order; `keys` are those of the first ORDER BY expression."""
        arguments = self._arguments(rows, bindings)
        function = WINDOW_FUNCTIONS.get(self._node.name)
        if function is not None and function.compute is not None:
            return function.compute(ordered, arguments)
        start = None if self._start is None else self._start((), bindings)
        end = None if self._end is None else self._end((), bindings)
        found = frames(self._node.frame, ordered, keys, descending, start, end)
        if function is not None and function.over_frame is not None:
            over_frame = function.over_frame
            return [over_frame(arguments, frame, place) for place, frame in enumerate(found)]
        return self._aggregated(found, arguments, rows, bindings)

    def _aggregated(
        self, found: list[Segments], arguments: list[tuple[Any, ...]], rows: list[Row], bindings: Bindings
    ) -> Values:
        """An aggregate over each frame. `before[place]` counts the values that stand before a row and are taken."""
        taken = self._taken(arguments, rows, bindings)
        before = [0]
        for each in taken:
            before.append(before[-1] + each)
        kept = [argument for argument, each in zip(arguments, taken, strict=True) if each]
        compute = self._compute(kept)
        values: Values = []
        last: tuple[Segments, Any] | None = None
        for frame in found:
            if last is None or last[0] != frame:
                last = (frame, compute([(before[start], before[stop]) for start, stop in frame]))
            values.append(last[1])
        return values

    def _taken(self, arguments: list[tuple[Any, ...]], rows: list[Row], bindings: Bindings) -> list[bool]:
        """Which rows the aggregate takes: those that pass FILTER and have a value."""
        there = [not argument or argument[0] is not None for argument in arguments]
        if self._keep is None:
            return there
        passed = {row[-1] for row in self._keep([(*row, at) for at, row in enumerate(rows)], bindings)}
        return [each and at in passed for at, each in enumerate(there)]

    def _compute(self, kept: list[tuple[Any, ...]]) -> Callable[[Segments], Any]:
        """The aggregate as a function of places in `kept`, the arguments of the rows that it takes."""
        name, values = self._node.name, [argument[0] if argument else 0 for argument in kept]
        function = AGGREGATES[name].compute
        from_start = growing(name, values)
        to_end = growing(name, values[::-1])

        def compute(segments: Segments) -> Any:
            if from_start is not None and to_end is not None and len(segments) == 1:
                [(start, stop)] = segments
                if start == 0:
                    return from_start(stop)
                if stop == len(values):
                    return to_end(stop - start)
            places = places_of(segments)
            rest = kept[places[0]][1:] if places else ()
            return function([values[place] for place in places], *rest)

        return compute
