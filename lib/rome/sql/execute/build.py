"""From plan nodes to operators: the one place that knows which operator runs which node."""

from __future__ import annotations

from rome.errors import InternalError
from rome.sql import plan
from rome.sql.execute.apply import ApplyQuery, LateralJoinRows
from rome.sql.execute.change import DeleteRows, InsertRows, UpdateRows
from rome.sql.execute.combine import GroupRows, SetOperationRows
from rome.sql.execute.counted import CountedKeys
from rome.sql.execute.first_rows import FirstRows
from rome.sql.execute.joins import HashJoin, LookupJoin
from rome.sql.execute.lock import LockRows
from rome.sql.execute.operator import Operator
from rome.sql.execute.race import FewestEntries, IfFew, RaceStream, Way
from rome.sql.execute.recursive import RecursiveRows, SharedRows, WorkingRows
from rome.sql.execute.scan import ScanRows
from rome.sql.execute.scan_stream import ScanStream
from rome.sql.execute.simple import DistinctRows, FilterRows, LimitRows, ProjectRows, SortRows, Values
from rome.sql.execute.streams import (
    DistinctStream,
    FilterStream,
    LookupStream,
    ProjectStream,
    SortedStream,
    Stream,
    UnionStream,
)
from rome.sql.execute.upsert import Upsert
from rome.sql.execute.window import WindowRows
from rome.sql.order import below
from rome.sql.rooted import base_of
from rome.table.keys import Keys


def build(node: plan.Plan, keys: Keys) -> Operator:
    """The operator for `node`, over the operators for its inputs."""
    operator = _build(node, keys)
    operator.node = node
    return operator


def _build(node: plan.Plan, keys: Keys) -> Operator:
    match node:
        case plan.Scan():
            return ScanRows(node, keys)
        case plan.Counted():
            return CountedKeys(node, keys)
        case plan.Rows():
            return Values(node)
        case plan.Filter():
            return FilterRows(node, build(node.child, keys))
        case plan.Project():
            return ProjectRows(node, build(node.child, keys))
        case plan.FewestEntries():
            return FewestEntries(node, [_way(build(way, keys)).probe for way in node.ways])
        case plan.LookupIfFew():
            return IfFew(node, _way(build(node.lookup, keys)), build(node.complete, keys))
        case plan.Join(lookup=True):
            chain, base = base_of(node)
            return LookupJoin(chain, build(base, keys), keys)
        case plan.Join():
            return HashJoin(node, build(node.left, keys), build(node.right, keys))
        case plan.Apply():
            return ApplyQuery(node, build(node.child, keys), build(node.query, keys))
        case plan.LateralJoin():
            return LateralJoinRows(node, build(node.left, keys), build(node.right, keys))
        case plan.Group():
            return GroupRows(node, build(node.child, keys))
        case plan.Window():
            return WindowRows(node, build(node.child, keys))
        case plan.Sort():
            return SortRows(node, build(node.child, keys))
        case plan.FirstRows():
            return FirstRows(node, build_stream(node.stream, node.keys, keys), build(node.complete, keys))
        case plan.Limit():
            return LimitRows(node, build(node.child, keys))
        case plan.Lock():
            return LockRows(node, build(node.child, keys), keys)
        case plan.Distinct():
            return DistinctRows(node, build(node.child, keys))
        case plan.SetOperation():
            return SetOperationRows(node, build(node.left, keys), build(node.right, keys))
        case plan.Insert(conflict=plan.OnConflict() as conflict):
            return Upsert(node, conflict, build(node.source, keys))
        case plan.Recursive():
            return RecursiveRows(node, build(node.base, keys), build(node.step, keys))
        case plan.WorkingTable():
            return WorkingRows(node)
        case plan.Shared():
            return SharedRows(node)
        case plan.Insert():
            return InsertRows(node, build(node.source, keys))
        case plan.Update():
            return UpdateRows(node, build(node.child, keys))
        case plan.Delete():
            return DeleteRows(node, build(node.child, keys))
    raise InternalError(f"no operator runs {type(node).__name__}")


def build_stream(node: plan.Plan, order: tuple[plan.SortKey, ...], keys: Keys) -> Stream:
    """The stream for `node`, whose rows come in the order of `order`, keys over the columns of `node`."""
    stream = _build_stream(node, order, keys)
    stream.node = node
    return stream


def _build_stream(node: plan.Plan, order: tuple[plan.SortKey, ...], keys: Keys) -> Stream:
    match node:
        case plan.StreamScan():
            return ScanStream(node, order, keys)
        case plan.Race():
            ways = [_way(build(way, keys)) for way in node.ways]
            return RaceStream(node, order, build_stream(node.stream, order, keys), ways)
        case plan.Sort():
            return SortedStream(node, build(node.child, keys))
        case plan.Project():
            return ProjectStream(node, build_stream(node.child, below(node, order)[0], keys))
        case plan.Filter():
            return FilterStream(node, build_stream(node.child, order, keys))
        case plan.Distinct():
            return DistinctStream(node, build_stream(node.child, order, keys))
        case plan.SetOperation():
            left, right = below(node, order)
            sides = (build_stream(node.left, left, keys), build_stream(node.right, right, keys))
            return UnionStream(node, order, sides)
        case plan.Join(lookup=True):
            chain, base = base_of(node)
            return LookupStream(chain, build_stream(base, order, keys), keys)
    raise InternalError(f"{type(node).__name__} is no stream")


def _way(rows: Operator) -> Way:
    """A way of a race: lookups over a scan, which are the first children of one another."""
    probe = rows
    while not isinstance(probe, ScanRows):
        probe = probe.children[0]
    return Way(probe, rows)
