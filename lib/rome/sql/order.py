"""Reading in order: a limited sort that an ordered key already is needs no sort, and stops when the page is full."""

from __future__ import annotations

from dataclasses import replace

from rome.sql.access import best, ordered, with_access
from rome.sql.bound import ColumnRef, conjuncts
from rome.sql.plan import Join, Limit, Plan, Scan, Sort, SortKey, over_inputs


def read_in_order(plan: Plan) -> Plan:
    """LIMIT over ORDER BY over a table, or over its LEFT lookups: read an index in that order instead of sorting.

    Only where no equality narrows the table already: following a selective index and sorting the few rows is then
    cheaper than meeting them on the way through an ordered one.
    """
    plan = over_inputs(plan, read_in_order)
    if isinstance(plan, Limit) and plan.limit is not None and isinstance(plan.child, Sort):
        streamed = _streamed(plan.child.child, plan.child.keys)
        if streamed is not None:
            return replace(plan, child=streamed)
    return plan


def _streamed(plan: Plan, keys: tuple[SortKey, ...]) -> Plan | None:
    """`plan` reading its rows in the order of `keys`; None when no key of its table has that order."""
    if isinstance(plan, Join) and plan.kind == "LEFT" and plan.lookup:
        left = _streamed(plan.left, keys)
        return None if left is None else replace(plan, left=left)
    if not isinstance(plan, Scan):
        return None
    places = {column.column: place for place, column in enumerate(plan.output[: len(plan.table.columns)])}
    descending = keys[0].descending
    columns = []
    for key in keys:
        natural = key.nulls_first is not key.descending  # stored order has NULLs first, and last when read backwards
        if not isinstance(key.expression, ColumnRef) or key.descending is not descending or not natural:
            return None
        if key.expression.column not in places:
            return None
        columns.append(plan.table.columns[places[key.expression.column]].id)
    conditions = conjuncts(plan.condition)
    candidate = ordered(plan, conditions, columns)
    if candidate is None or best(plan, conditions).rank[:2] > candidate.rank[:2]:
        return None
    scan = with_access(plan, candidate)
    return replace(scan, access=replace(scan.access, reverse=descending))
