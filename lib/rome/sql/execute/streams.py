"""Streams: operators that give their rows in order, chunk by chunk, so that a limited query can stop.

A stream is pulled with a number of entries to read. It answers with the rows that pass among them and with its
*frontier*, the sort key up to which it has given everything; None when it has given everything there is. All scans
below are pulled side by side, so a chunk of a merge costs the waves of one of its branches, and branches that read the
same entries ask the store once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter, itemgetter
from typing import NamedTuple, Protocol

from msgspec import structs

from rome.driver.api import Cell, Follow, Scan
from rome.sql import plan
from rome.sql.execute.combine import bring_on_sides
from rome.sql.execute.following import Following
from rome.sql.execute.joins import Lookup, SmallTable, driven, may_be_small, sieve_of
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieves, layout_of
from rome.sql.execute.ranges import KeyRanges
from rome.sql.execute.scan import MAX_FOLLOWED_ROWS, behind
from rome.sql.execute.semi_join import SemiJoin
from rome.sql.execute.simple import handed_on, order_of
from rome.sql.expr import predicate, projection
from rome.table.keys import Keys
from rome.txn.wave import Step, Wave, together

LEAST_CHUNK = 8
SPARED_ROWS = 32  # what a semi-join must most likely spare the first chunk to be worth its waves

SortedBy = tuple[tuple[bool, object], ...]  # a sort key whose order is Python's: (is not NULL, value) of each part
Family = tuple[str, int]  # the ranges that an ordered scan reads, and which of them


class Chunk(NamedTuple):
    """The next rows of a stream, in order, and its frontier: the sort key up to which it has given all, or None."""

    rows: list[Row]
    frontier: SortedBy | None


class Page(NamedTuple):
    """What the streams of one run share: the rows that are wanted, and those that were read by one of them already.

    Branches of a UNION often read the same entries. `fills` says whether the page is most likely filled by the first
    rows of the order; else it takes all that there are, wherever they are found. `shares` are how many entries of each
    range earlier pages took. `brings` says whether what belongs to the rows is brought along from afar. A row for which
    `semi_join` finds nothing is not in the answer.
    """

    rows: int
    decoded: dict[Scan, list[Row]]
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


class ScanStream(Stream):
    """A table by a key that has the order.

    Where the key begins with columns that may have one of several values, it has the order in each of several ranges:
    these are merged.
    """

    def __init__(self, node: plan.StreamScan, order: tuple[plan.SortKey, ...], keys: Keys) -> None:
        self.output = node.output
        self.ranges = KeyRanges(node.ordered, keys, {})
        residual = node.ordered.residual
        self.filter = predicate(residual, layout_of(node.output)) if residual is not None else None
        self.key = key_maker(order, self)
        self.descending = order[0].descending
        access = node.ordered.access
        self.family = repr((node.ordered.table.id, access.index and access.index.id, access.equals))
        self._following = Following(node.ordered, keys)
        table = node.ordered.table
        self.skip = len(keys.row_prefix(table))
        """Of the key of a row, the bytes before those of its primary key."""
        own = [node.output[place].column for place in table.primary_positions]
        self._named = own[0] if len(own) == 1 and access.index is not None else None

    def leaves_out(self, column: int) -> bool:
        return column == self._named

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return sieves is not None and self._following.ask(columns, belonging, sieves)

    def follow(self, context: Context, page: Page, size: int) -> tuple[Follow, ...]:
        """What to bring along with the first chunk of a range, `size` entries: for as many rows as are wanted and a few
        that filters leave out, or for the whole chunk if a lookup leaves out others."""
        rows = page.rows + page.rows // 4 + 2
        if self._following.is_sifted:
            rows = max(rows, min(size, MAX_FOLLOWED_ROWS))
        return self._following.all_of(rows, context.bindings, True)

    def follows(self, context: Context, page: Page) -> bool:
        """Whether to bring anything along with the first chunk."""
        return page.brings and context.tx.brings_along and self._following.from_afar and page.rows <= MAX_FOLLOWED_ROWS

    def begin(self, context: Context, page: Page) -> Run:
        return _ScanRun(self, context, page)


class Fetched(NamedTuple):
    """Rows of a chunk of entries, the row of its last entry (() if it has none), and which entries the rows are of, if
    not of all."""

    rows: list[Row]
    last: Row
    places: list[int] | None = None


@dataclass(slots=True)
class _Range:
    """One range of an ordered scan: what is left of it, how many entries were read, and the rows of those.

    Where rows were left out `places` are the entries, counted from 0, of the others. `last` is the row of
    the last entry while more are left.
    """

    scan: Scan | None
    entries: int = 0
    rows: list[Row] = field(default_factory=list)
    places: list[int] | None = None
    last: Row = ()

    def take(self, limit: int, cells: list[Cell], fetched: Fetched) -> None:
        """The next chunk of at most `limit` entries."""
        scan = self.scan
        assert scan is not None
        if fetched.places is not None:
            self.places = [*(self.places or ()), *[self.entries + place for place in fetched.places]]
        self.rows = [*self.rows, *fetched.rows] if self.rows else fetched.rows
        self.entries += len(cells)
        self.scan, self.last = (None, ()) if len(cells) < limit else (behind(scan, cells), fetched.last)

    def before(self, stream: ScanStream, last: SortedBy) -> int:
        """How many entries there are up to the first row that comes after `last`."""
        place = _before(self.rows, stream, last)
        if self.places is None:
            return place
        return self.places[place] if place < len(self.places) else self.entries


class _ScanRun:
    def __init__(self, stream: ScanStream, context: Context, page: Page) -> None:
        self._stream = stream
        self._context = context
        self._page = page
        self._follows = stream.follows(context, page)
        self._semi_join: SemiJoin | None = None  # one that is worth its wave
        # a bound that is NULL leaves nothing to read
        self._ranges = [_Range(scan) for scan in stream.ranges.reads((), context.bindings)[1]]
        self._merge = Merge(stream.key, stream.descending) if len(self._ranges) > 1 else None
        self._pulled = 0  # entries that were asked for, had each range been read alike

    def pull(self, entries: int) -> Step[Chunk]:
        if not any(each.scan is not None for each in self._ranges):
            return Chunk([], None)
        stream, bindings = self._stream, self._context.bindings
        going = [(each, self._size(at, entries)) for at, each in enumerate(self._ranges) if each.scan is not None]
        if not self._pulled:
            self._semi_join = self._worth(sum([size for _, size in going]))
        self._pulled += entries
        chunks = [structs.replace(each.scan, limit=size) for each, size in going if each.scan is not None]
        found = yield from (self._all_of(chunks) if self._semi_join is None else self._some_of(chunks, self._semi_join))
        passed: list[Row] = []
        for (each, size), (cells, fetched) in zip(going, found, strict=True):
            each.take(size, cells, fetched)
            passed += fetched.rows if stream.filter is None else stream.filter(fetched.rows, bindings)
        frontiers = [stream.key(each.last) for each in self._ranges if each.scan is not None]
        if self._merge is None:
            return Chunk(passed, frontiers[0] if frontiers else None)
        return self._merge.next(passed, frontiers)

    def _worth(self, entries: int) -> SemiJoin | None:
        """The page's semi-join, if it will most likely spare so many entries enough of their rows.

        Only within the process: two waves more cost as much beside a server as the rows that they spare.
        """
        semi_join = self._page.semi_join
        if semi_join is None or self._context.tx.is_remote or not self._stream.leaves_out(semi_join.column):
            return None
        return semi_join if entries * (1 - semi_join.lookup.share) >= SPARED_ROWS else None

    def _all_of(self, chunks: Sequence[Scan]) -> Step[list[tuple[list[Cell], Fetched]]]:
        """The entries of each chunk, and the rows of all of them."""
        stream, decoded = self._stream, self._page.decoded
        scans, follows, self._follows = chunks, self._follows, False
        if follows:
            scans = [
                structs.replace(scan, follow=stream.follow(self._context, self._page, scan.limit or 0))
                for scan in chunks
            ]
        answer = yield Wave((), scans)
        found: list[tuple[list[Cell], Fetched]] = []
        for chunk, cells, named in zip(chunks, answer.scans, answer.rows, strict=True):
            rows = decoded.get(chunk)
            if rows is None:
                rows = decoded[chunk] = stream.ranges.rows_of(cells if named is None else named)
            found.append((cells, Fetched(rows, rows[-1] if rows else ())))
        return found

    def _some_of(self, chunks: Sequence[Scan], semi_join: SemiJoin) -> Step[list[tuple[list[Cell], Fetched]]]:
        """The entries of each chunk, and of their rows those that the semi-join keeps."""
        stream = self._stream
        scanned = (yield Wave((), [structs.replace(chunk, dereference=False) for chunk in chunks])).scans
        kept = iter((yield from semi_join.kept([cell.value[stream.skip :] for cells in scanned for cell in cells])))
        places = [[place for place, keep in enumerate(islice(kept, len(cells))) if keep] for cells in scanned]
        # The last entry's row is read in any case: it tells how far the stream has got.
        read = [
            own if not cells or own[-1:] == [len(cells) - 1] else [*own, len(cells) - 1]
            for own, cells in zip(places, scanned, strict=True)
        ]
        gets = [cells[place].value for own, cells in zip(read, scanned, strict=True) for place in own]
        rows = iter(stream.ranges.rows_of((yield Wave(gets)).cells) if gets else ())
        found: list[tuple[list[Cell], Fetched]] = []
        for cells, own, all_read in zip(scanned, places, read, strict=True):
            theirs = list(islice(rows, len(all_read)))
            found.append((cells, Fetched(theirs[: len(own)], theirs[-1] if theirs else (), own)))
        return found

    def _size(self, place: int, entries: int) -> int:
        """How many entries of a range to read, when `entries` of each were to be read."""
        if not self._pulled:
            return self._page.shares.get((self._stream.family, place), entries)
        return max(LEAST_CHUNK, entries * self._ranges[place].entries // self._pulled)

    def read(self) -> int:
        return max((each.entries for each in self._ranges), default=0)

    def settle(self, last: SortedBy | None, shares: dict[Family, int]) -> None:
        stream = self._stream
        for place, each in enumerate(self._ranges):
            taken = each.entries if last is None else each.before(stream, last)
            family = (stream.family, place)
            shares[family] = max(shares.get(family, 0), taken)


def _before(rows: list[Row], stream: ScanStream, last: SortedBy) -> int:
    """How many of `rows`, which are in order, do not come after `last`."""
    low, high = 0, len(rows)
    while low < high:
        middle = (low + high) // 2
        key = stream.key(rows[middle])
        if key >= last if stream.descending else key <= last:
            low = middle + 1
        else:
            high = middle
    return low


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
