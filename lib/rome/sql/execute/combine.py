"""Operators that combine rows: grouping and set operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from rome.sql import plan
from rome.sql.aggregates import AGGREGATES
from rome.sql.bound import Aggregate
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieves, layout_of
from rome.sql.execute.simple import order_of
from rome.sql.expr import Bindings, predicate, projection
from rome.txn.wave import Step, together


class GroupRows(Operator):
    """One row a group: keys, then aggregates. Without keys one row, even of no rows."""

    def __init__(self, node: plan.Group, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        layout = layout_of(child.output)
        self._keys = projection(node.keys, layout) if node.keys else None
        self._aggregates = [_compiled(aggregate, layout) for aggregate in node.aggregates]

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        rows = yield from self._child.rows(context)
        bindings = context.bindings
        groups: dict[Row, list[Row]] = {}
        if self._keys is None:
            groups[()] = rows
        else:
            for key, row in zip(self._keys(rows, bindings), rows, strict=True):
                members = groups.get(key)
                if members is None:
                    groups[key] = [row]
                else:
                    members.append(row)
        return [
            (*key, *[compute(members, bindings) for compute in self._aggregates])
            for key, members in groups.items()
        ]  # fmt: skip


def _compiled(node: Aggregate, layout: dict[int, int]) -> Callable[[list[Row], Bindings], object]:
    """A function from the rows of a group to the aggregate's value."""
    keep = predicate(node.filter, layout) if node.filter is not None else None
    if not node.arguments:
        return lambda rows, bindings: len(rows if keep is None else keep(rows, bindings))
    arguments = projection(node.arguments, layout)
    compute = AGGREGATES[node.name].compute
    keys = [plan.SortKey(each, *direction) for each, direction in zip(node.order, node.directions, strict=True)]
    ordered = order_of(keys, layout) if keys else None

    def run(rows: list[Row], bindings: Bindings) -> object:
        if keep is not None:
            rows = keep(rows, bindings)
        if ordered is not None:
            rows = ordered(rows, bindings)
        values = [values for values in arguments(rows, bindings) if values[0] is not None]
        if node.distinct:
            values = list(dict.fromkeys(values))
        return compute([value[0] for value in values], *(values[0][1:] if values else ()))

    return run


class SetOperationRows(Operator):
    """UNION, INTERSECT, EXCEPT and their ALL forms (ISO 9075-2, 7.17); both sides are read side by side."""

    def __init__(self, node: plan.SetOperation, left: Operator, right: Operator) -> None:
        self.output = node.output
        self.children = (left, right)
        self._combine = _COMBINE[node.kind, node.all]

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        left, right = yield from together([child.rows(context) for child in self.children])
        return self._combine(left, right)

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return sieves is not None and bring_on_sides(self, columns, belonging, sieves)


def bring_on_sides(operator: Operator, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves) -> bool:
    """Whether one of the inputs of a set operation, or more, fetch `belonging` along."""
    place = {column.column: at for at, column in enumerate(operator.output)}
    asked = [
        child.bring(tuple(child.output[place[column]].column for column in columns), belonging, sieves)
        for child in operator.children
        if all(column in place for column in columns)
    ]
    return any(asked)


def _intersect_all(left: list[Row], right: list[Row]) -> list[Row]:
    remaining = Counter(right)
    kept = []
    for row in left:
        if remaining[row] > 0:
            remaining[row] -= 1
            kept.append(row)
    return kept


def _except_all(left: list[Row], right: list[Row]) -> list[Row]:
    remaining = Counter(right)
    kept = []
    for row in left:
        if remaining[row] > 0:
            remaining[row] -= 1
        else:
            kept.append(row)
    return kept


def _intersect(left: list[Row], right: list[Row]) -> list[Row]:
    members = set(right)
    return [row for row in dict.fromkeys(left) if row in members]


def _except(left: list[Row], right: list[Row]) -> list[Row]:
    members = set(right)
    return [row for row in dict.fromkeys(left) if row not in members]


_COMBINE: dict[tuple[str, bool], Callable[[list[Row], list[Row]], list[Row]]] = {
    ("UNION", True): lambda left, right: left + right,
    ("UNION", False): lambda left, right: list(dict.fromkeys(left + right)),
    ("INTERSECT", True): _intersect_all,
    ("INTERSECT", False): _intersect,
    ("EXCEPT", True): _except_all,
    ("EXCEPT", False): _except,
}
