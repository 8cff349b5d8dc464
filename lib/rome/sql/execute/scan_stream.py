"""The stream at the bottom of all others: a table by a key that has the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from msgspec import structs

from rome.driver.api import Cell, Follow, Scan
from rome.sql import plan
from rome.sql.execute.following import Following
from rome.sql.execute.operator import Belonging, Context, Row, Sieves, layout_of
from rome.sql.execute.ranges import KeyRanges
from rome.sql.execute.scan import MAX_FOLLOWED_ROWS, behind
from rome.sql.execute.semi_join import SemiJoin
from rome.sql.execute.streams import Chunk, Family, Merge, Page, Run, SortedBy, Stream, key_maker
from rome.sql.expr import predicate
from rome.table.keys import Keys
from rome.txn.wave import Step, Wave

LEAST_CHUNK = 8
SPARED_ROWS = 32  # what a semi-join must most likely spare the first chunk to be worth its waves


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
        self._by_index = access.index is not None

    def leaves_out(self, column: int) -> bool:
        return self._by_index and self._following.key == (column,)

    def code_in(self, entry: Cell) -> bytes:
        """The bytes in a key of the primary key of the row that an entry names."""
        return entry.value[self._following.cut :]

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


class _Fetched(NamedTuple):
    """Rows of a chunk of entries, the row of its last entry (() if it has none), and which entries the rows are of, if
    not of all."""

    rows: list[Row]
    last: Row
    places: list[int] | None = None


@dataclass(slots=True)
class _Range:
    """One range of an ordered scan: what is left of it, how many entries were read, and their rows, in order.

    Where rows were left out `places` are the entries, counted from 0, of the others. `last` is the row of the last
    entry while more are left.
    """

    scan: Scan | None
    entries: int = 0
    rows: list[Row] = field(default_factory=list)
    places: list[int] | None = None
    last: Row = ()

    def take(self, limit: int, cells: list[Cell], fetched: _Fetched) -> None:
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
        low, high = 0, len(self.rows)
        while low < high:
            middle = (low + high) // 2
            key = stream.key(self.rows[middle])
            if key >= last if stream.descending else key <= last:
                low = middle + 1
            else:
                high = middle
        if self.places is None:
            return low
        # Between the row before and the row behind nobody knows where: half way is nearer with each page.
        most = self.places[low] if low < len(self.places) else self.entries
        least = self.places[low - 1] + 1 if low else 0
        return (least + most) // 2


class _ScanRun:
    def __init__(self, stream: ScanStream, context: Context, page: Page) -> None:
        self._stream = stream
        self._context = context
        self._page = page
        page.readers[stream.family] = page.readers.get(stream.family, 0) + 1
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

        Only within the process: two waves more cost as much beside a server as the rows that they spare. Not where
        another stream of the page reads the same rows.
        """
        stream, semi_join = self._stream, self._page.semi_join
        if semi_join is None or self._context.tx.is_remote or not stream.leaves_out(semi_join.column):
            return None
        if self._page.readers[stream.family] > 1:
            return None
        return semi_join if entries * (1 - semi_join.lookup.share) >= SPARED_ROWS else None

    def _all_of(self, chunks: Sequence[Scan]) -> Step[list[tuple[list[Cell], _Fetched]]]:
        """The entries of each chunk, and the rows of all of them."""
        stream, decoded = self._stream, self._page.decoded
        scans, follows, self._follows = chunks, self._follows, False
        if follows:
            scans = [
                structs.replace(scan, follow=stream.follow(self._context, self._page, scan.limit or 0))
                for scan in chunks
            ]
        answer = yield Wave((), scans)
        found: list[tuple[list[Cell], _Fetched]] = []
        for chunk, cells, named in zip(chunks, answer.scans, answer.rows, strict=True):
            rows = decoded.get(chunk)
            if rows is None:
                rows = decoded[chunk] = stream.ranges.rows_of(cells if named is None else named)
            found.append((cells, _Fetched(rows, rows[-1] if rows else ())))
        return found

    def _some_of(self, chunks: Sequence[Scan], semi_join: SemiJoin) -> Step[list[tuple[list[Cell], _Fetched]]]:
        """The entries of each chunk, and of their rows those that the semi-join keeps."""
        stream = self._stream
        scanned = (yield Wave((), [structs.replace(chunk, dereference=False) for chunk in chunks])).scans
        kept = iter((yield from semi_join.kept([stream.code_in(cell) for cells in scanned for cell in cells])))
        places = [[place for place, keep in enumerate(islice(kept, len(cells))) if keep] for cells in scanned]
        # The last entry's row is read in any case: it tells how far the stream has got.
        read = [
            own if not cells or own[-1:] == [len(cells) - 1] else [*own, len(cells) - 1]
            for own, cells in zip(places, scanned, strict=True)
        ]
        gets = [cells[place].value for own, cells in zip(read, scanned, strict=True) for place in own]
        rows = iter(stream.ranges.rows_of((yield Wave(gets)).cells) if gets else ())
        found: list[tuple[list[Cell], _Fetched]] = []
        for cells, own, all_read in zip(scanned, places, read, strict=True):
            theirs = list(islice(rows, len(all_read)))
            found.append((cells, _Fetched(theirs[: len(own)], theirs[-1] if theirs else (), own)))
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
