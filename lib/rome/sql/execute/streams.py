"""Streams: operators that give their rows in order, chunk by chunk, so that a limited query can stop.

A stream is pulled with a number of entries to read. It answers with the rows that pass among them and with its
*frontier*, the sort key up to which it has given everything; None when it has given everything there is. All scans
below are pulled side by side, so a chunk of a merge costs the waves of one of its branches, and branches that read the
same entries ask the store once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import NamedTuple, Protocol

from rome.driver.api import Cell, Follow, Scan
from rome.sql import plan
from rome.sql.execute.combine import bring_on_sides
from rome.sql.execute.following import Following
from rome.sql.execute.joins import Lookup, SmallTable, driven, may_be_small
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieve, Sieves, layout_of
from rome.sql.execute.ranges import KeyRanges
from rome.sql.execute.scan import MAX_FOLLOWED_ROWS, ScanRows
from rome.sql.execute.simple import handed_on, order_of
from rome.sql.expr import predicate, projection
from rome.table.keys import Keys
from rome.txn.wave import Step, Wave, WaveResult, together

SortedBy = tuple[tuple[bool, object], ...]  # a sort key whose order is Python's: (is not NULL, value) of each part



class Page(NamedTuple):
    """What the streams of one run share: the rows that are wanted, and those that were read by one of them already.

    Branches of a UNION often read the same entries. `fills` says whether the page is most likely filled by the first
    rows of the order; else it takes all that there are, wherever they are found.
    """

    rows: int
    decoded: dict[Scan, list[Row]]
    fills: bool


class Chunk(NamedTuple):
    """The next rows, in order, and the frontier."""

    rows: list[Row]
    frontier: SortedBy | None


class Run(Protocol):
    """One run of a stream."""

    def pull(self, entries: int) -> Step[Chunk]:
        """What the next `entries` of each scan give."""
        ...


class Stream(Operator):
    """Base of all streams."""

    def begin(self, context: Context, page: Page) -> Run:
        raise NotImplementedError

    def pulled(self, run: Run, context: Context, entries: int) -> Step[Chunk]:
        """The next chunk of `run`, measured when the statement is profiled."""
        if context.profile is None:
            return run.pull(entries)
        return self.measured(run.pull(entries), context, context.profile, lambda chunk: len(chunk.rows))


def key_maker(order: Sequence[plan.SortKey], operator: Operator) -> Callable[[Row], SortedBy]:
    """The sort key of a row of `operator`."""
    layout = layout_of(operator.output)
    places = [layout[key.expression.column] for key in order]  # type: ignore[attr-defined]
    return lambda row: tuple([(row[place] is not None, row[place]) for place in places])


class ScanStream(Stream):
    """A table by a key that has the order; or, where it has few rows, by the index that narrows it most."""

    def __init__(
        self, node: plan.StreamScan, order: tuple[plan.SortKey, ...], keys: Keys, narrow: Sequence[ScanRows]
    ) -> None:
        self.output = node.output
        self.ranges = KeyRanges(node.ordered, keys, {})
        residual = node.ordered.residual
        self.filter = predicate(residual, layout_of(node.output)) if residual is not None else None
        self.key = key_maker(order, self)
        self.narrow = narrow
        self.order = order_of(order, layout_of(self.output))
        self._following = Following(node.ordered, keys)

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        if sieves is None:
            return False
        for scan in self.narrow:
            scan.bring(columns, belonging, sieves)
        return self._following.ask(columns, belonging, sieves)

    def follow(self, context: Context, page: Page) -> tuple[Follow, ...]:
        """What to bring along with the first chunk: for as many rows as are wanted, and a few that others leave out."""
        if not (context.tx.is_far and self._following.from_afar) or page.rows > MAX_FOLLOWED_ROWS:
            return ()
        return self._following.all_of(page.rows + page.rows // 4 + 2, context.bindings, True)

    def begin(self, context: Context, page: Page) -> Run:
        return _ScanRun(self, context, page)


class _ScanRun:
    def __init__(self, stream: ScanStream, context: Context, page: Page) -> None:
        self._stream = stream
        self._context = context
        self._decoded = page.decoded
        self._follow = stream.follow(context, page)
        self._follows_few = not page.fills
        scans = stream.ranges.reads((), context.bindings)[1]
        self._scan = scans[0] if scans else None  # a bound that is NULL leaves nothing to read
        self._narrow: Sequence[ScanRows] = stream.narrow

    def pull(self, entries: int) -> Step[Chunk]:
        scan, stream, bindings = self._scan, self._stream, self._context.bindings
        if scan is None:
            return Chunk([], None)
        chunk = scan._replace(limit=entries)
        follow, self._follow = self._follow, ()
        narrow, self._narrow = self._narrow, ()
        steps = [index.few(self._context, self._follows_few) for index in narrow]
        reads = Wave((), (chunk._replace(follow=follow) if follow else chunk,))
        answer, *found = yield from together([_read(reads), *steps])
        for few in found:
            if few is not None:
                self._scan = None
                return Chunk(stream.order(few, bindings), None)
        rows = self._decoded.get(chunk)
        if rows is None:
            rows = self._decoded[chunk] = stream.ranges.rows(answer)
        cells: list[Cell] = answer.scans[0]
        frontier = None
        if len(cells) < entries:
            self._scan = None
        else:
            last = cells[-1].key
            start, stop = (scan.start, last) if scan.reverse else (last + b"\x00", scan.stop)
            self._scan = scan._replace(start=start, stop=stop)
            frontier = stream.key(rows[-1])
        return Chunk(list(rows) if stream.filter is None else stream.filter(rows, bindings), frontier)


def _read(wave: Wave) -> Step[WaveResult]:
    return (yield wave)


class SortedStream(Stream):
    """What has no order of its own: read whole with the first chunk, and sorted."""

    def __init__(self, node: plan.Sort, child: Operator) -> None:
        self.output = node.output
        self.children = (child,)
        self.child = child
        self.order = order_of(node.keys, layout_of(child.output))

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return self.child.bring(columns, belonging, sieves or ())

    def begin(self, context: Context, page: Page) -> Run:
        return _SortedRun(self, context)


class _SortedRun:
    def __init__(self, stream: SortedStream, context: Context) -> None:
        self._stream = stream
        self._context = context

    def pull(self, entries: int) -> Step[Chunk]:
        rows = yield from self._stream.child.rows(self._context)
        return Chunk(self._stream.order(rows, self._context.bindings), None)


class RowsStream(Stream):
    """Base of streams that change the rows of one other, chunk by chunk, and need nothing of the store."""

    def __init__(self, node: plan.Plan, child: Stream) -> None:
        self.output = node.output
        self.children = (child,)
        self.child = child

    def changer(self, context: Context) -> Callable[[list[Row]], list[Row]]:
        """What one run does with the rows of each chunk."""
        raise NotImplementedError

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return self.child.bring(columns, belonging, sieves)

    def begin(self, context: Context, page: Page) -> Run:
        return _RowsRun(self, context, page)


class _RowsRun:
    def __init__(self, stream: RowsStream, context: Context, page: Page) -> None:
        self._context = context
        self._child = stream.child
        self._run = stream.child.begin(context, page)
        self._change = stream.changer(context)

    def pull(self, entries: int) -> Step[Chunk]:
        rows, frontier = yield from self._child.pulled(self._run, self._context, entries)
        return Chunk(self._change(rows), frontier)


class FilterStream(RowsStream):
    def __init__(self, node: plan.Filter, child: Stream) -> None:
        super().__init__(node, child)
        self._filter = predicate(node.condition, layout_of(child.output))

    def changer(self, context: Context) -> Callable[[list[Row]], list[Row]]:
        return lambda rows: self._filter(rows, context.bindings)


class ProjectStream(RowsStream):
    def __init__(self, node: plan.Project, child: Stream) -> None:
        super().__init__(node, child)
        self._project = node
        self._projection = projection(node.expressions, layout_of(child.output))

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        inner = handed_on(self._project, columns)
        return inner is not None and self.child.bring(inner, belonging, sieves)

    def changer(self, context: Context) -> Callable[[list[Row]], list[Row]]:
        return lambda rows: self._projection(rows, context.bindings)


class DistinctStream(RowsStream):
    def changer(self, context: Context) -> Callable[[list[Row]], list[Row]]:
        return unseen()


def unseen() -> Callable[[list[Row]], list[Row]]:
    """A function that keeps of all the rows it is given the first of equal ones."""
    seen: set[Row] = set()

    def keep(rows: list[Row]) -> list[Row]:
        new = [row for row in dict.fromkeys(rows) if row not in seen]
        seen.update(new)
        return new

    return keep


class UnionStream(Stream):
    """Both sides pulled side by side and merged: what lies before the nearer frontier goes on."""

    def __init__(self, node: plan.SetOperation, order: tuple[plan.SortKey, ...], sides: Sequence[Stream]) -> None:
        self.output = node.output
        self.children = tuple(sides)
        self.sides = tuple(sides)
        self.all = node.all
        self.key = key_maker(order, self)
        self.descending = order[0].descending

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return sieves is not None and bring_on_sides(self, columns, belonging, sieves)

    def begin(self, context: Context, page: Page) -> Run:
        return _UnionRun(self, context, page)


class _UnionRun:
    def __init__(self, stream: UnionStream, context: Context, page: Page) -> None:
        self._stream = stream
        self._context = context
        self._runs = [(side, side.begin(context, page)) for side in stream.sides]
        self._waiting: list[tuple[SortedBy, Row]] = []
        self._keep = unseen()

    def pull(self, entries: int) -> Step[Chunk]:
        stream = self._stream
        chunks = yield from together([side.pulled(run, self._context, entries) for side, run in self._runs])
        self._waiting += [(stream.key(row), row) for chunk in chunks for row in chunk.rows]
        self._waiting.sort(key=itemgetter(0), reverse=stream.descending)
        going = [(frontier, pair) for (_, frontier), pair in zip(chunks, self._runs, strict=True) if frontier]
        self._runs = [pair for _, pair in going]
        frontiers = [frontier for frontier, _ in going]
        frontier = (max(frontiers) if stream.descending else min(frontiers)) if frontiers else None
        ready = len(self._waiting) if frontier is None else self._before(frontier)
        rows = [row for _, row in self._waiting[:ready]]
        del self._waiting[:ready]
        return Chunk(rows if stream.all else self._keep(rows), frontier)

    def _before(self, frontier: SortedBy) -> int:
        """How many of those waiting come before `frontier`, or with it."""
        if self._stream.descending:
            return sum(key >= frontier for key, _ in self._waiting)
        return sum(key <= frontier for key, _ in self._waiting)


class LookupStream(Stream):
    """A chain of lookup joins over a stream: each chunk's rows are looked up in one wave, none where none pass."""

    def __init__(self, nodes: Sequence[plan.Join], base: Stream, keys: Keys) -> None:
        self.output = nodes[-1].output
        self.children = (base,)
        self.base = base
        self.lookups = [Lookup(node, layout_of(base.output), keys) for node in nodes]
        self.small = SmallTable(self.lookups[0].scan, keys) if may_be_small(nodes) else None
        for lookup in self.lookups:
            lookup.ask(base, always=False)
        self.sieve = Sieve()

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return sieves is not None and self.base.bring(columns, belonging, (*sieves, self.sieve))

    def begin(self, context: Context, page: Page) -> Run:
        return _LookupRun(self, context, page)


class _LookupRun:
    def __init__(self, stream: LookupStream, context: Context, page: Page) -> None:
        self._stream = stream
        self._context = context
        self._base = stream.base.begin(context, page)
        self._small = stream.small if stream.small is not None and stream.small.worth_a_look() else None
        self._entries: list[tuple[bytes, Cell]] | None = None

    def pull(self, entries: int) -> Step[Chunk]:
        context, bindings = self._context, self._context.bindings
        below = self._stream.base.pulled(self._base, context, entries)
        small, self._small = self._small, None
        if small is None:
            chunk = yield from below
        else:
            chunk, self._entries = yield from together([below, small.entries(context)])
        rows: list[Row] = chunk.rows
        if not rows:
            return chunk
        lookups = self._stream.lookups
        steps = [lookup.find(bindings, rows) for lookup in lookups]
        if self._entries is None:
            found = yield from together(steps)
        else:
            found = [driven(step, self._entries) for step in steps]
        for lookup, matches in zip(lookups, found, strict=True):
            rows = lookup.joined(bindings, rows, matches)
        self._stream.sieve.note(len(chunk.rows), len(rows))
        return Chunk(rows, chunk.frontier)
