"""Advice: what EXPLAIN ANALYZE says of a table of which far more was read than was of use, and the index it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rome.sql import plan
from rome.sql.access import sought_columns
from rome.sql.execute.operator import Operator, Profile
from rome.table.schema import Column, Index, Table
from rome.values import Kind

MANY_KEYS = 500  # fewer are read in no time, whatever they are for
TIMES_THE_ROWS = 20
LENGTH = 255  # characters of a text of any length


def advice(roots: Sequence[Operator], profile: Profile) -> list[str]:
    """A line for each table whose scans read at least MANY_KEYS keys, and TIMES_THE_ROWS for each row that was of use.

    It names the index whose columns the conditions fix, and behind them the order that was wanted, or a range. What is
    of use is judged by this run alone: another value may be in many rows.
    """
    lines: dict[str, None] = {}
    for operator in roots:
        for scan, order, keys, rows in _scans(operator, profile):
            if keys >= MANY_KEYS and keys >= TIMES_THE_ROWS * rows:
                cost = f"{keys} keys were read for {rows} rows"
                lines[f"Advice: {scan.table.name}: {cost}; {_remedy(scan, order)}"] = None
    return list(lines)


def _scans(operator: Operator, profile: Profile) -> Iterator[tuple[plan.Scan, tuple[int, ...], int, int]]:
    """The scans below `operator` that ran: each with the columns (ids) it is ordered by, and the keys and rows."""
    node, measure = operator.node, profile.of(operator)
    if isinstance(node, plan.StreamScan):
        access = node.ordered.access
        columns = node.ordered.table.primary_key if access.index is None else access.index.columns
        yield node.ordered, columns[len(access.equals) :], measure.keys, measure.rows
    elif isinstance(node, plan.Scan):
        access = node.access  # one that narrows nothing is there for its order
        columns = access.index.columns if access.index is not None and access.whole else ()
        yield node, columns, measure.keys, measure.rows
    for child in operator.children:
        yield from _scans(child, profile)


def _remedy(scan: plan.Scan, order: tuple[int, ...]) -> str:
    table = scan.table
    fixed, ranged = sought_columns(scan)
    behind = order or ranged[:1]
    wanted = [*fixed, *(column for column in behind if column not in fixed and column not in table.primary_key)]
    if not (fixed or ranged) or any(_serves(index, fixed, wanted) for index in table.indexes):
        return "no index would narrow it"
    names = ", ".join(_written(table, column) for column in wanted)
    return f"an index on {table.name} ({names}) would narrow it"


def _serves(index: Index, fixed: list[int], wanted: list[int]) -> bool:
    """Whether `index` is as good as one on `wanted`."""
    count = len(wanted)
    return set(index.columns[: len(fixed)]) == set(fixed) and index.columns[len(fixed) : count] == tuple(
        wanted[len(fixed) :]
    )


def _written(table: Table, column: int) -> str:
    found: Column = table.columns[table.position[column]]
    endless = found.type.kind in (Kind.STRING, Kind.BYTES) and found.type.length is None
    return f"{found.name}({LENGTH})" if endless else found.name
