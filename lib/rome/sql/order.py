"""Reading in order: what a limited sort asks for comes from ordered keys, and the reading stops when the page is full.

Two ways. `read_in_order` knows beforehand that an ordered key is the way: the sort is gone. `stream_first_rows` cannot
know, as it hangs on how many rows pass the filters: it makes streams and keeps the sort beside them.
"""

from __future__ import annotations

from dataclasses import replace

from rome.sql.access import MOST_NARROW, best, finds_few, narrowing, ordered, uses_outer_row, with_access
from rome.sql.bound import ColumnRef, conjuncts
from rome.sql.plan import (
    Distinct,
    Filter,
    FirstRows,
    Join,
    Limit,
    Lock,
    Plan,
    Project,
    Race,
    Scan,
    SetOperation,
    Sort,
    SortKey,
    StreamScan,
    inputs,
    over_inputs,
)
from rome.sql.rooted import base_of, in_the_shape_of, rooted, tables_of
from rome.values import Kind

_MOST_RANGES = 8  # that are merged, when the first columns of a key may have one of several values


def read_in_order(plan: Plan, locked: bool = False) -> Plan:
    """LIMIT over ORDER BY over a table, or over its LEFT lookups: read an index in that order instead of sorting.

    Not where an equality narrows the table more by another index: following that and sorting the few rows is then
    cheaper than meeting them on the way through an ordered one. Nor where another index narrows it too and the ordered
    one leaves rows out: which is better shows when the two race (`stream_first_rows`), which those `locked` do not.
    """
    locked = locked or isinstance(plan, Lock)
    plan = over_inputs(plan, lambda child: read_in_order(child, locked))
    if isinstance(plan, Limit) and plan.simple and isinstance(plan.child, Sort):
        streamed = _in_order(plan.child.child, plan.child.keys, raced=not (locked or plan.spare))
        if streamed is not None:
            return replace(plan, child=streamed)
    return plan


def _in_order(plan: Plan, keys: tuple[SortKey, ...], raced: bool) -> Plan | None:
    """`plan` reading its rows in the order of `keys`; None when no key of its table has that order, or is the way."""
    if isinstance(plan, Join) and plan.kind == "LEFT" and plan.lookup:
        left = _in_order(plan.left, keys, raced)
        return None if left is None else replace(plan, left=left)
    if not isinstance(plan, Scan):
        return None
    scan = _ordered_scan(plan, keys)
    if scan is None:
        return None
    conditions = conjuncts(plan.condition)
    candidate = ordered(plan, conditions, _ids(plan, keys))
    if candidate is None or best(plan, conditions).rank[:2] > candidate.rank[:2]:
        return None
    if raced and scan.residual is not None and _can_be_merged(keys) and isinstance(_stream_scan(plan, keys), Race):
        return None
    return scan


def _ordered_scan(plan: Scan, keys: tuple[SortKey, ...], ranges: int = 1) -> Scan | None:
    """`plan` by a key of its table that has the order of `keys`, in each of up to `ranges` ranges; None without one."""
    columns = {column.column for column in plan.output[: len(plan.table.columns)]}
    if not _has_stored_order(keys) or not all(_number(key) in columns for key in keys):
        return None
    candidate = ordered(plan, conjuncts(plan.condition), _ids(plan, keys), ranges)
    if candidate is None:
        return None
    scan = with_access(plan, candidate)
    return replace(scan, access=replace(scan.access, reverse=keys[0].descending))


def _has_stored_order(keys: tuple[SortKey, ...]) -> bool:
    """Whether `keys` are columns, all in one direction; stored order has NULLs first, and last when read backwards."""
    return all(
        isinstance(key.expression, ColumnRef)
        and not key.expression.type.flexible
        and key.descending is keys[0].descending
        and key.nulls_first is not key.descending
        for key in keys
    )


def _number(key: SortKey) -> int:
    assert isinstance(key.expression, ColumnRef)
    return key.expression.column


def _ids(plan: Scan, keys: tuple[SortKey, ...]) -> list[int]:
    """The ids of the table's columns that `keys` name."""
    ids = {column.column: own.id for column, own in zip(plan.output, plan.table.columns, strict=False)}
    return [ids[_number(key)] for key in keys]


# ---- streams beside the sort ---------------------------------------------------------------------------------------


def stream_first_rows(plan: Plan) -> Plan:
    """LIMIT over ORDER BY over anything that keeps order: merge ordered keys and stop when the page is full.

    Filters, projections, DISTINCT, UNION and lookups keep the order of what is below them. How far one must read hangs
    on how many rows pass, so the sort stays as the other way: see `execute.first_rows`. Of INNER lookups only one may
    stand above a scan: each is one more wave for every chunk.
    """
    if isinstance(plan, Lock):
        return plan  # which rows are left is seen after locking them
    plan = over_inputs(plan, stream_first_rows)
    if isinstance(plan, Limit) and plan.simple and not plan.spare and isinstance(plan.child, Sort):
        sort = plan.child
        if _can_be_merged(sort.keys):
            stream = _stream(sort.child, sort.keys)
            if stream is not None and _is_any_scan(stream) and _inner_lookups(stream) <= 1:
                return replace(plan, child=FirstRows(stream, sort, sort.keys))
    return plan


def _can_be_merged(keys: tuple[SortKey, ...]) -> bool:
    """Whether keys have the order of `keys`, and Python compares values as keys do: not NaN, nor JSON."""
    return _has_stored_order(keys) and not any(key.expression.type.kind in (Kind.FLOAT, Kind.JSON) for key in keys)


def _inner_lookups(stream: Plan) -> int:
    """How many INNER lookups wait for one another in `stream`: each makes a chunk wait for one more wave."""
    if isinstance(stream, (StreamScan, Sort)):
        return 0
    if isinstance(stream, Join):
        chain, base = base_of(stream)
        return _inner_lookups(base) + any(each.kind == "INNER" for each in chain)
    return max(map(_inner_lookups, inputs(stream)))


def _is_any_scan(stream: Plan) -> bool:
    return isinstance(stream, StreamScan) or (
        not isinstance(stream, Sort) and any(_is_any_scan(child) for child in inputs(stream))
    )


def _stream(plan: Plan, keys: tuple[SortKey, ...]) -> Plan | None:
    """`plan` as a stream in the order of `keys`; None when it has to be read whole."""
    columns = {column.column for column in plan.output}
    if not all(_number(key) in columns for key in keys):
        return None
    if isinstance(plan, Scan):
        return _stream_scan(plan, keys)
    if isinstance(plan, (Filter, Distinct)):
        child = _stream(plan.child, keys)
        return None if child is None else replace(plan, child=child)
    if isinstance(plan, Join):
        raced = _stream_joined(plan, keys)
        if raced is not None:
            return raced
        left = _stream(plan.left, keys) if plan.lookup else None
        return None if left is None else replace(plan, left=left)
    if isinstance(plan, Project) and all(_passes(plan, key) for key in keys):
        [own] = below(plan, keys)
        child = _stream(plan.child, own)
        return None if child is None else replace(plan, child=child)
    if isinstance(plan, SetOperation) and plan.kind == "UNION":
        return _stream_union(plan, keys)
    return None


def _passes(plan: Project, key: SortKey) -> bool:
    """Whether `plan` hands on the column of `key` as it is."""
    part = dict(zip([column.column for column in plan.output], plan.expressions, strict=True))[_number(key)]
    return isinstance(part, ColumnRef) and part.type.kind is key.expression.type.kind


def _stream_union(plan: SetOperation, keys: tuple[SortKey, ...]) -> Plan | None:
    sides = []
    for side, own in zip((plan.left, plan.right), below(plan, keys), strict=True):
        alike = all(a.expression.type.kind is b.expression.type.kind for a, b in zip(own, keys, strict=True))
        if not alike:
            return None
        sides.append(_stream(side, own) or Sort(side, own))
    return replace(plan, left=sides[0], right=sides[1])


def _stream_joined(plan: Join, keys: tuple[SortKey, ...]) -> Plan | None:
    """INNER joins as lookups begun at the table that has the order, beside those begun where conditions narrow.

    None when it comes to no more than the chain as it is, or when one of the joins is no lookup and no other table is
    narrowed: then that is read whole.
    """
    chain = tables_of(plan) if plan.kind == "INNER" else None
    if chain is None:
        return None
    scans, parts = chain
    wanted = {_number(key) for key in keys}
    first = next((scan for scan in scans if wanted <= {column.column for column in scan.output}), None)
    start = None if first is None else _stream_scan(first, keys)
    if first is None or not isinstance(start, (StreamScan, Race)):
        return None
    others = [scan for scan in scans if scan is not first]
    ordered = rooted(start, others, parts)
    narrow = [(scan, best(scan, conjuncts(scan.condition))) for scan in others]
    if ordered is None or any(candidate.finds_one_row for _, candidate in narrow):
        return None
    ways = [
        rooted(with_access(scan, candidate), [each for each in scans if each is not scan], parts)
        for scan, candidate in narrow
        if candidate.rank[1] and not any(map(uses_outer_row, candidate.consumed))
    ]
    found = tuple(in_the_shape_of(way, plan) for way in ways if way is not None)
    stream = in_the_shape_of(ordered, plan)
    if found:
        return Race(stream, found[:MOST_NARROW])
    return stream if _are_lookups(plan) else None


def _are_lookups(plan: Plan) -> bool:
    return not isinstance(plan, Join) or (plan.lookup and _are_lookups(plan.left))


def _stream_scan(plan: Scan, keys: tuple[SortKey, ...]) -> Plan | None:
    """Not where one row at most is found, nor where the rows hang on an enclosing query: those are few each time."""
    scan = _ordered_scan(plan, keys, _MOST_RANGES)
    narrow = narrowing(plan, conjuncts(plan.condition))
    if scan is None or finds_few(narrow):
        return None
    stream = StreamScan(scan)
    others = [with_access(plan, each) for each in narrow[:MOST_NARROW]]
    ways = tuple(each for each in others if each.access.index != scan.access.index)
    return Race(stream, ways) if ways else stream


def below(plan: Project | SetOperation, keys: tuple[SortKey, ...]) -> list[tuple[SortKey, ...]]:
    """`keys` over the columns of each input of `plan`."""
    inner = [plan.expressions] if isinstance(plan, Project) else [plan.left.output, plan.right.output]
    place = {column.column: at for at, column in enumerate(plan.output)}
    return [tuple(replace(key, expression=columns[place[_number(key)]]) for key in keys) for columns in inner]
