"""Counting without reading: how many rows an access path finds is how many keys it leads to.

An index has one entry for each row, and a table one key. So count(*) under conditions that a key's columns answer
alone, equalities with its first ones and perhaps NOT IN or <> on the next, is a sum of counted ranges, which stores
count much faster than they read.
"""

from __future__ import annotations

from collections.abc import Iterator

from rome.sql.access import access_by, ordered_keys
from rome.sql.bound import Aggregate, ColumnRef, Compare, Const, Expr, InArray, InList, IsNull, Not, conjuncts
from rome.sql.plan import Counted, Group, Plan, Project, Scan, over_inputs


def count_keys(plan: Plan) -> Plan:
    """`SELECT count(*)` of one table, or count() of a column that has no NULL: count keys where that says the same."""
    if isinstance(plan, Group) and not plan.keys and all(map(_counts_rows, plan.aggregates)):
        scan = _table_below(plan.child)
        counted = next(_ways(scan, plan.output), None) if scan is not None else None
        if counted is not None:
            return counted
    return over_inputs(plan, count_keys)


def _counts_rows(aggregate: Aggregate) -> bool:
    if aggregate.name != "count" or aggregate.distinct or aggregate.filter is not None:
        return False
    return all(isinstance(each, ColumnRef) and not each.nullable for each in aggregate.arguments)


def _table_below(plan: Plan) -> Scan | None:
    """The scan whose rows those of `plan` are, one for one, whatever it says of them; computing that has no effect."""
    while isinstance(plan, Project) and all(isinstance(each, (ColumnRef, Const)) for each in plan.expressions):
        plan = plan.child
    return plan if isinstance(plan, Scan) else None


def _ways(scan: Scan, output: tuple[ColumnRef, ...]) -> Iterator[Counted]:
    """The keys that answer all conditions of `scan` alone, those first that need no second count."""
    conditions = conjuncts(scan.condition)
    for key in ordered_keys(scan):
        found = access_by(scan, conditions, key)
        if found is not None:
            yield Counted(found, output)
    for at, condition in enumerate(conditions):
        others = conditions[:at] + conditions[at + 1 :]
        for column, opposite, excluded in _opposites(condition):
            if column.type.flexible:
                continue  # <> is an error for what is no number there
            for key in ordered_keys(scan):
                found = access_by(scan, others, key)
                less = access_by(scan, [*others, opposite], key)
                null = access_by(scan, [*others, IsNull(column)], key) if column.nullable else None
                if found is not None and less is not None and (null is not None or not column.nullable):
                    yield Counted(found, output, less, null, excluded)


def _opposites(condition: Expr) -> Iterator[tuple[ColumnRef, Expr, tuple[Expr, ...]]]:
    """Of NOT IN and <>: the column, the condition that is true where this one is false, and the values left out."""
    match condition:
        case Not(operand=InList(operand=ColumnRef() as column, items=items) as opposite) if items:
            yield column, opposite, items
        case Not(operand=InArray(operand=ColumnRef() as column, slot=slot) as opposite):
            yield column, opposite, (slot,)
        case Compare(op="<>", left=left, right=right):
            for side, value in ((left, right), (right, left)):
                if isinstance(side, ColumnRef):
                    yield side, Compare("=", side, value), (value,)
