"""Streams: operators that give their rows in order, chunk by chunk, so that a limited query can stop.

A stream is pulled with a number of entries to read. It answers with the rows that pass among them and with its
*frontier*, the sort key up to which it has given everything; None when it has given everything there is. All scans
below are pulled side by side, so a chunk of a merge costs the waves of one of its branches, and branches that read the
same entries ask the store once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import NamedTuple, Protocol

from rome.driver.api import Cell, Scan
from rome.sql import plan
from rome.sql.execute.combine import bring_on_sides
from rome.sql.execute.joins import Lookup, SmallTable, driven, may_be_small, sieve_of
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieves, layout_of
from rome.sql.execute.semi_join import SemiJoin
from rome.sql.execute.simple import handed_on, order_of
from rome.sql.expr import predicate, projection
from rome.table.keys import Keys
from rome.txn.wave import Step, together

SortedBy = tuple[tuple[bool, object], ...]  # a sort key whose order is Python's: (is not NULL, value) of each part
Family = tuple[str, int]  # the ranges that an ordered scan reads, and which of them


class Chunk(NamedTuple):
    """The next rows of a stream, in order, and its frontier: the sort key up to which it has given all, or None."""

    rows: list[Row]
    frontier: SortedBy | None


class Page(NamedTuple):
    """What the streams of one run share: the rows that are wanted, and those that were read by one of them already.

    Branches of a UNION often read the same entries: `readers` counts the streams of the page by what they read. `fills`
    says whether the page is most likely filled by the first rows of the order; else it takes all that there are,
    wherever they are found. `shares` are how many entries of each range earlier pages took. `brings` says whether what
    belongs to the rows is brought along from afar. A row for which `semi_join` finds nothing is not in the answer.
    """

    rows: int
    decoded: dict[Scan, list[Row]]
    readers: dict[str, int]
    fills: bool
    shares: Mapping[Family, int]
    brings: bool = True
    semi_join: SemiJoin | None = None


class Run(Protocol):
    """One run of a stream."""

    def pull(self, entries: int) -> Step[Chunk]:
        """What the next `entries` of each range give, or what is to these as earlier chunks of it were to theirs."""
        ...

    def read(self) -> int:
        """How many entries have been read of the range of which it is most."""
        ...

    def settle(self, last: SortedBy | None, shares: dict[Family, int]) -> None:
        """The page ends with the row that sorts by `last`, or with all rows: put down what it took of each range."""
        ...


class Stream(Operator):
    """Base of all streams."""

    def begin(self, context: Context, page: Page) -> Run:
        raise NotImplementedError

    def leaves_out(self, column: int) -> bool:
        """Whether its rows are read by an index whose entries tell the value of `column`, so that a semi-join by that
        can spare reading some of them."""
        return False

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


class Merge:
    """Rows that came in several orders, and wait until nothing that comes before them can come any more."""

    def __init__(self, key: Callable[[Row], SortedBy], descending: bool) -> None:
        self._key = key
        self._descending = descending
        self._waiting: list[tuple[SortedBy, Row]] = []

    def next(self, rows: list[Row], frontiers: Sequence[SortedBy]) -> Chunk:
        """What is ready with `rows`; `frontiers` are how far those that have more to come have got."""
        key, waiting = self._key, self._waiting
        waiting += [(key(row), row) for row in rows]
        waiting.sort(key=itemgetter(0), reverse=self._descending)
        frontier = (max(frontiers) if self._descending else min(frontiers)) if frontiers else None
        ready = len(waiting) if frontier is None else self._ready(frontier)
        found = [row for _, row in waiting[:ready]]
        del waiting[:ready]
        return Chunk(found, frontier)

    def _ready(self, frontier: SortedBy) -> int:
        if self._descending:
            return sum(key >= frontier for key, _ in self._waiting)
        return sum(key <= frontier for key, _ in self._waiting)


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

    def read(self) -> int:
        return 0

    def settle(self, last: SortedBy | None, shares: dict[Family, int]) -> None:
        """It was read whole."""


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

    def read(self) -> int:
        return self._run.read()

    def settle(self, last: SortedBy | None, shares: dict[Family, int]) -> None:
        self._run.settle(last, shares)


class FilterStream(RowsStream):
    def __init__(self, node: plan.Filter, child: Stream) -> None:
        super().__init__(node, child)
        self._filter = predicate(node.condition, layout_of(child.output))

    def leaves_out(self, column: int) -> bool:
        return self.child.leaves_out(column)

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
        self._all = [(side, side.begin(context, page)) for side in stream.sides]
        self._runs = self._all
        self._merge = Merge(stream.key, stream.descending)
        self._keep = unseen()

    def pull(self, entries: int) -> Step[Chunk]:
        chunks = yield from together([side.pulled(run, self._context, entries) for side, run in self._runs])
        going = [(frontier, pair) for (_, frontier), pair in zip(chunks, self._runs, strict=True) if frontier]
        self._runs = [pair for _, pair in going]
        chunk = self._merge.next([row for chunk in chunks for row in chunk.rows], [frontier for frontier, _ in going])
        return chunk if self._stream.all else Chunk(self._keep(chunk.rows), chunk.frontier)

    def read(self) -> int:
        return max(run.read() for _, run in self._all)

    def settle(self, last: SortedBy | None, shares: dict[Family, int]) -> None:
        for _, run in self._all:
            run.settle(last, shares)


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
            lookup.offer(base.leaves_out)
        self.sieve = sieve_of(self.lookups)

    def semi_join(self, context: Context) -> SemiJoin | None:
        """That with the lookup that finds something for the fewest."""
        lookups = [lookup for lookup in self.lookups if lookup.reduces is not None]
        return SemiJoin(min(lookups, key=attrgetter("share")), context.bindings) if lookups else None

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return sieves is not None and self.base.bring(columns, belonging, (*sieves, self.sieve))

    def begin(self, context: Context, page: Page) -> Run:
        return _LookupRun(self, context, page)


class _LookupRun:
    def __init__(self, stream: LookupStream, context: Context, page: Page) -> None:
        self._stream = stream
        self._context = context
        self._small = stream.small if stream.small is not None and stream.small.worth_a_look() else None
        self._semi_join = stream.semi_join(context) if self._small is None else None
        self._base = stream.base.begin(context, page._replace(semi_join=self._semi_join))
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
        semi_join = self._semi_join
        steps = [
            semi_join.matches(rows) if semi_join is not None and lookup is semi_join.lookup
            else lookup.find(bindings, rows)
            for lookup in lookups
        ]  # fmt: skip
        if self._entries is None:
            found = yield from together(steps)
        else:
            found = [driven(step, self._entries) for step in steps]
        for lookup, matches in zip(lookups, found, strict=True):
            rows = lookup.joined(bindings, rows, matches)
        self._stream.sieve.note(len(chunk.rows), len(rows))
        return Chunk(rows, chunk.frontier)

    def read(self) -> int:
        return self._base.read()

    def settle(self, last: SortedBy | None, shares: dict[Family, int]) -> None:
        self._base.settle(last, shares)
