"""Joins of a UNION: each side of it joined by itself, so that it can begin at the table that is found by less."""

from __future__ import annotations

from dataclasses import replace

from rome.sql.access import best
from rome.sql.bound import ColumnRef, Expr, conjunction, conjuncts, substituted
from rome.sql.plan import Join, Plan, Project, Scan, SetOperation, over_inputs


def distribute_joins(plan: Plan) -> Plan:
    """(a UNION b) JOIN t is (a JOIN t) UNION (b JOIN t), where t is looked up.

    Rows of a UNION differ, and so do those of t, by its key; so what is joined differs too, and no pair is there twice.
    """
    plan = over_inputs(plan, distribute_joins)
    if isinstance(plan, Join) and plan.kind == "INNER" and isinstance(plan.right, Scan):
        parts = conjuncts(plan.condition)
        available = frozenset(column.column for column in plan.left.output)
        if best(plan.right, conjuncts(plan.right.condition) + parts, available).outer:
            return _below_union(plan.left, plan.right, parts) or plan
    return plan


def _below_union(left: Plan, right: Scan, parts: list[Expr]) -> Plan | None:
    """`left` with `right` joined below its UNION; None when it is none, or one of columns that are computed."""
    if isinstance(left, Project) and _only_renames(left):
        below = _below_union(left.child, right, _renamed(left, left.expressions, parts))
        return None if below is None else _widened(left, below, right)
    if isinstance(left, SetOperation) and left.kind == "UNION":
        sides = []
        for side in (left.left, left.right):
            if any(own.type.kind is not column.type.kind for own, column in zip(side.output, left.output, strict=True)):
                return None
            joined = _joined(side, right, _renamed(left, side.output, parts))
            # The places of columns count in a UNION, and a join has its own in another order when it is turned round.
            sides.append(joined if isinstance(joined, Project) else Project(joined, joined.output, joined.output))
        return replace(left, left=sides[0], right=sides[1], output=left.output + right.output)
    return None


def _joined(left: Plan, right: Scan, parts: list[Expr]) -> Plan:
    """The join of both, below what only renames columns."""
    below = _below_union(left, right, parts)
    if below is not None:
        return below
    if isinstance(left, Project) and _only_renames(left):
        return _widened(left, _joined(left.child, right, _renamed(left, left.expressions, parts)), right)
    return Join("INNER", left, right, conjunction(parts))


def _widened(names: Project, child: Plan, right: Scan) -> Project:
    """`names` over a child that has the columns of `right`, too."""
    return Project(child, names.expressions + right.output, names.output + right.output)


def _only_renames(plan: Project) -> bool:
    return all(isinstance(part, ColumnRef) for part in plan.expressions)


def _renamed(plan: Project | SetOperation, meaning: tuple[Expr, ...], parts: list[Expr]) -> list[Expr]:
    """`parts`, which speak of the output of `plan`, in terms of what these columns are below it."""
    below = {column.column: own for column, own in zip(plan.output, meaning, strict=True)}
    return [substituted(part, below) for part in parts]
