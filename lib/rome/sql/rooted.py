"""Chains of lookups: which of them are read in one wave, and inner ones begun at another of their tables."""

from __future__ import annotations

from dataclasses import replace

from rome.sql.access import best, with_access
from rome.sql.bound import ColumnRef, Compare, Expr, columns_of, conjunction, conjuncts, walk
from rome.sql.plan import Access, Join, Plan, Project, Race, Scan, StreamScan


def base_of(node: Join) -> tuple[list[Join], Plan]:
    """The chain of lookup joins that ends in `node` and can be read in one wave, and what it looks up from."""
    chain = [node]
    base = node.left
    while isinstance(base, Join) and base.lookup:
        within = {column.column for column in base.left.output}
        if not all(outer_columns(each.right) <= within for each in chain):
            break
        chain.insert(0, base)
        base = base.left
    return chain, base


def outer_columns(scan: Plan) -> set[int]:
    """The columns of the outer side that the access path of `scan` uses."""
    assert isinstance(scan, Scan)
    values: list[Expr] = [value for alternatives in scan.access.equals for value in alternatives]
    for bound in (scan.access.low, scan.access.high):
        values += (bound.value, *bound.others) if bound is not None else ()
    own = {column.column for column in scan.output}
    return {
        part.column for value in values for part in walk(value) if isinstance(part, ColumnRef)
    } - own  # fmt: skip


def tables_of(plan: Join) -> tuple[list[Scan], list[Expr]] | None:
    """The scans that a chain of INNER joins joins, each by itself, and all that it joins them by.

    None when it begins with something else, or follows keys that may have one of several values.
    """
    scans: list[Scan] = []
    parts: list[Expr] = []
    node: Plan = plan
    while isinstance(node, Join) and node.kind == "INNER" and isinstance(node.right, Scan):
        keys = _keys(node.right)
        if keys is None:
            return None
        parts += [*keys, *conjuncts(node.condition)]
        scans.append(_alone(node.right))
        node = node.left
    if not isinstance(node, Scan):
        return None
    return [_alone(node), *reversed(scans)], parts


def _alone(scan: Scan) -> Scan:
    return replace(scan, access=Access(), residual=scan.condition)


def _keys(scan: Scan) -> list[Expr] | None:
    """The equalities by which a lookup finds its rows from those at its left."""
    access, table = scan.access, scan.table
    columns = table.primary_key if access.index is None else access.index.columns
    found: list[Expr] = []
    for column, values in zip(columns, access.equals, strict=False):
        if any(map(columns_of, values)):
            if len(values) != 1:
                return None
            found.append(Compare("=", scan.output[table.position[column]], values[0]))
    return found


def rooted(start: Scan | StreamScan | Race, others: list[Scan], parts: list[Expr]) -> Plan | None:
    """`start` with each of `others` looked up in turn, joined by `parts`; None when one of them must be read whole."""
    joined: Plan = start
    rest = list(others)
    while rest:
        reach = frozenset(column.column for column in joined.output)
        found = next(filter(None, (_looked_up(joined, scan, parts, reach) for scan in rest)), None)
        if found is None:
            return None
        joined, used = found
        taken = set(map(id, used))
        parts = [part for part in parts if id(part) not in taken]
        rest = [scan for scan in rest if scan.output != joined.right.output]
    return joined if not parts else None


def _looked_up(joined: Plan, scan: Scan, parts: list[Expr], reach: frozenset[int]) -> tuple[Join, list[Expr]] | None:
    """`joined` with `scan` looked up by its columns, `reach`, and which of `parts` that sees to."""
    within = reach | {column.column for column in scan.output}
    here = [part for part in parts if columns_of(part) <= within]
    candidate = best(scan, conjuncts(scan.condition) + here, reach)
    if not candidate.outer:
        return None
    consumed = set(map(id, candidate.consumed))
    condition = conjunction([part for part in here if id(part) not in consumed])
    return Join("INNER", joined, with_access(scan, candidate), condition, lookup=True), here


def in_the_shape_of(plan: Plan, shape: Plan) -> Plan:
    """`plan`, which has the columns of `shape` in some order, with them in that order."""
    return plan if plan.output == shape.output else Project(plan, shape.output, shape.output)
