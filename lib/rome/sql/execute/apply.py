"""Correlated subqueries: run for every distinct outer row at once, so that their waves are shared."""

from __future__ import annotations

from collections.abc import Callable

from rome.errors import ProgrammingError
from rome.sql import plan
from rome.sql.bound import array, row_set
from rome.sql.execute.operator import Context, Operator, Row, layout_of
from rome.sql.expr import predicate, scalar
from rome.txn.wave import Step, together

_BATCH_OUTER_ROWS = 1024  # bounds the memory that subqueries running side by side take


class _Runs:
    """A query that is run for the distinct values that rows have in the columns it uses."""

    def __init__(self, query: Operator, free: frozenset[int], layout: dict[int, int]) -> None:
        self._query = query
        self._numbers = sorted(number for number in free if number in layout)
        self._places = [layout[number] for number in self._numbers]

    def keys(self, rows: list[Row]) -> list[Row]:
        """What the query uses of each row."""
        return [tuple([row[place] for place in self._places]) for row in rows]

    def run(self, context: Context, keys: list[Row], need: int | None) -> Step[dict[Row, list[Row]]]:
        """The rows of the query for each key; the caller will look at the first `need` of them."""
        results: dict[Row, list[Row]] = {}
        distinct = list(dict.fromkeys(keys))
        for start in range(0, len(distinct), _BATCH_OUTER_ROWS):
            batch = distinct[start : start + _BATCH_OUTER_ROWS]
            answers = yield from together([self._one(context, key, need) for key in batch])
            results.update(zip(batch, answers, strict=True))
        return results

    def _one(self, context: Context, key: Row, need: int | None) -> Step[list[Row]]:
        outer = {**context.bindings.outer, **dict(zip(self._numbers, key, strict=True))}
        bindings = context.bindings._replace(outer=outer)
        return self._query.rows(context._replace(bindings=bindings), need)


class LateralJoinRows(Operator):
    """Each row of the left side with the rows that the right side has for it."""

    def __init__(self, node: plan.LateralJoin, left: Operator, right: Operator) -> None:
        self.output = node.output
        self.children = (left, right)
        self._left = left
        layout = layout_of(left.output)
        self._runs = _Runs(right, node.free, layout)
        self._nothing = (None,) * len(right.output) if node.kind == "LEFT" else None
        self._keep = predicate(node.condition, layout_of(node.output)) if node.condition is not None else None

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        rows = yield from self._left.rows(context)
        keys = self._runs.keys(rows)
        results = yield from self._runs.run(context, keys, None)
        joined = []
        for row, key in zip(rows, keys, strict=True):
            matches = [(*row, *match) for match in results[key]]
            if self._keep is not None:
                matches = self._keep(matches, context.bindings)
            if not matches and self._nothing is not None:
                matches = [(*row, *self._nothing)]
            joined += matches
        return joined


class ApplyQuery(Operator):
    """Adds the value of a correlated subquery to each row: a scalar, the truth of EXISTS, or that of IN."""

    def __init__(self, node: plan.Apply, child: Operator, query: Operator) -> None:
        self.output = node.output
        self.children = (child, query)
        self._child = child
        self._kind = node.kind
        layout = layout_of(child.output)
        self._runs = _Runs(query, node.free, layout)
        self._operand = scalar(node.operand, layout) if node.operand is not None else None

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        rows = yield from self._child.rows(context)
        keys = self._runs.keys(rows)
        results = yield from self._runs.run(context, keys, {"exists": 1, "scalar": 2}.get(self._kind))
        if self._kind == "in":
            return self._memberships(rows, keys, results, context)
        convert: Callable[[list[Row]], object] = {"scalar": scalar_of, "rows": row_set}.get(self._kind, bool)
        values = {key: convert(answer) for key, answer in results.items()}
        return [(*row, values[key]) for row, key in zip(rows, keys, strict=True)]

    def _memberships(
        self, rows: list[Row], keys: list[Row], results: dict[Row, list[Row]], context: Context
    ) -> list[Row]:
        """operand IN (rows): true, false, or unknown (None) as SQL's three-valued logic has it."""
        assert self._operand is not None
        arrays = {key: array([row[0] for row in answer]) for key, answer in results.items()}
        joined = []
        for row, key in zip(rows, keys, strict=True):
            value, members = self._operand(row, context.bindings), arrays[key]
            truth: bool | None
            if not members.values and not members.has_null:
                truth = False
            elif value is None:
                truth = None
            elif value in members.members:
                truth = True
            else:
                truth = None if members.has_null else False
            joined.append((*row, truth))
        return joined


def scalar_of(rows: list[Row]) -> object:
    """The value of a scalar subquery: NULL of no rows; more than one row is an error."""
    if len(rows) > 1:
        raise ProgrammingError("a subquery used as a value returned more than one row", sqlstate="21000")
    return rows[0][0] if rows else None
