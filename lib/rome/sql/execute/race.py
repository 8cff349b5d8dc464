"""Races: ways to find the same rows in no order, tried beside another one.

Nobody knows beforehand whether a condition finds three rows or most of a table: the same statement asks for either.
So both ways are read, each as far as the other, and the one that is done first has won: that costs at most about twice
what the better one would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rome.sql import plan
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieves, layout_of
from rome.sql.execute.scan import ScanRows
from rome.sql.execute.simple import order_of
from rome.sql.execute.streams import Chunk, Family, Page, Run, SortedBy, Stream, key_maker
from rome.txn.wave import Step, together

FEW_ENTRIES = 64  # what may be read in vain beside something else
ALONE_ENTRIES = 128  # to which a key is walked that was the first to be done, before the others are tried
GROWTH, FAR_GROWTH = 2, 8  # how many times as far the next step goes where several keys are walked
BEHIND = 4  # how many times as far the first of them is walked as the others
RUNS_UNTIL_ANOTHER_TRY = 100
STREAMED_RUNS = 16  # of a stream that has won, until the others are tried again from the beginning


class Way(NamedTuple):
    """Rows that begin with a scan: `probe` tells whether that finds few entries, and then `rows` gives them."""

    probe: ScanRows
    rows: Operator

    def rows_from(self, probed: list[Row], context: Context, need: int | None = None) -> Step[list[Row]]:
        """The rows, where `probe` has given these."""
        return self.rows.rows(context._replace(at_hand={**context.at_hand, self.probe: probed}), need)


class IfFew(Operator):
    """A way that begins with few entries, else all rows by another one.

    When there were many the way is left alone for a while; threads may count a run twice.
    """

    def __init__(self, node: plan.LookupIfFew, way: Way, complete: Operator) -> None:
        self.output = node.output
        self.children = (way.rows, complete)
        self._way = way
        self._complete = complete
        self._rest = 0

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        if self._rest:
            self._rest -= 1
        else:
            probed = yield from self._way.probe.few(context, FEW_ENTRIES, True)
            if probed is not None:
                return (yield from self._way.rows_from(probed, context, need))
            self._rest = RUNS_UNTIL_ANOTHER_TRY
        return (yield from self._complete.rows(context, need))


class FewestEntries(Operator):
    """A table by one of several keys: all are walked, the one that was done first the last time ahead of the others.

    So no value that is asked for leads far through one key where another is short: what is read in vain hangs on the
    shortest, not on the table. From afar, where a wave costs more than what it reads, the steps are large, and the
    first goes as far as was enough the last time. Threads may change the figures at once.
    """

    def __init__(self, node: plan.FewestEntries, ways: Sequence[ScanRows]) -> None:
        self.output = node.output
        self.children = tuple(ways)
        self._ways = tuple(ways)
        self._first = self._ways[0]
        self._reach = ALONE_ENTRIES

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        asked = [way.bring(columns, belonging, sieves) for way in self._ways]
        return all(asked)

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        if need is not None:
            return (yield from self._ways[0].rows(context, need))
        first = self._first
        growth, entries = (FAR_GROWTH, self._reach) if context.tx.is_far else (GROWTH, ALONE_ENTRIES)
        others = [way.walk(context, entries * growth // BEHIND) for way in self._ways if way is not first]
        walks = [*others, first.walk(context, entries)]  # whoever was done behind the first was nearer its end
        behind = 0
        while True:
            steps = [*(walk.to_measured(behind) for walk in others), walks[-1].to_measured(entries)]
            done = yield from together(steps)
            if any(done):
                walk = walks[done.index(True)]
                self._first, self._reach = walk.scan, entries
                return walk.rows
            entries *= growth
            behind = entries // BEHIND


class RaceStream(Stream):
    """A stream beside other ways to its rows, until one of them is done.

    Who has won the last run begins the next one alone on a near store: `favourite`, as far as it was read when it won,
    `reach`, or the stream if `streamed`, which is raced again after some runs, as far as half of what it took. From
    afar, where a round trip costs more than what it reads, all begin at once, and the favourite brings along what
    belongs to its rows. Threads may change these at once, as nothing but what is read hangs on them.
    """

    def __init__(self, node: plan.Race, order: tuple[plan.SortKey, ...], stream: Stream, ways: Sequence[Way]) -> None:
        self.output = node.output
        self.children = (stream, *[way.rows for way in ways])
        self.stream = stream
        self.ways = tuple(ways)
        self.favourite: Way | None = None
        self.reach = FEW_ENTRIES
        self.streamed = False
        self.taken = 0  # entries of a range that the stream took when it won
        self.rest = 0
        self.key = key_maker(order, stream)
        self.sorted = order_of(order, layout_of(stream.output))
        self.descending = order[0].descending

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        if sieves is None:
            return False
        asked = [self.stream.bring(columns, belonging, sieves)]
        asked += [way.rows.bring(columns, belonging, sieves) for way in self.ways]
        return any(asked)

    def leaves_out(self, column: int) -> bool:
        return self.stream.leaves_out(column)

    def begin(self, context: Context, page: Page) -> Run:
        return _RaceRun(self, context, page)


class _RaceRun:
    """One run: the ways are tried with each chunk of the stream, until either is done."""

    def __init__(self, race: RaceStream, context: Context, page: Page) -> None:
        self._race = race
        self._context = context
        # what belongs to the stream's rows is not read while another is expected to win
        self._run: Run | None = race.stream.begin(context, page._replace(brings=race.favourite is None))
        self._follow = not page.fills  # bring along what belongs to the rows of a way that finds few
        self._tried = 0  # entries, of each way
        self._frontier: SortedBy | None = None  # up to which the stream has given everything
        self._there: list[Row] = []  # what it has given of those that sort like the frontier
        # finds few among so many, but its rows may cost a wave, and from afar that is too much while it is no favourite
        self._due: tuple[Way, int, list[Row]] | None = None

    def pull(self, entries: int) -> Step[Chunk]:
        if self._run is None:
            return Chunk([], None)
        if self._due is not None:
            way, most, probed = self._due
            return self._won(way, most, (yield from way.rows_from(probed, self._context)))
        pulled = self._from_afar if self._context.tx.is_far else self._nearby
        return (yield from pulled(self._run, entries))

    def _nearby(self, run: Run, entries: int) -> Step[Chunk]:
        """The next chunk of `run`, or what is left of a way that has few: all are read as far as the stream was."""
        race, read = self._race, run.read()
        ways, most = race.ways, max(FEW_ENTRIES, read)
        favourite = race.favourite
        if favourite is not None and not self._tried:
            reach = max(most, race.reach)
            rows = yield from self._try(favourite, reach, self._follow)
            if rows is not None:
                return self._won(favourite, reach, rows)
            race.favourite = None
            ways = tuple(way for way in ways if way is not favourite)
        rests = False
        if race.streamed and not read:
            most, rests = max(FEW_ENTRIES, race.taken // 2), race.rest > 0
            race.rest = race.rest - 1 if rests else STREAMED_RUNS
        if rests or most < 2 * self._tried:  # each try begins at the beginning
            ways = ()
        else:
            self._tried = most
        return (yield from self._beside(run, entries, [(way, most, self._follow) for way in ways]))

    def _from_afar(self, run: Run, entries: int) -> Step[Chunk]:
        """As `_nearby`, but each is read as far as the stream will be, and the favourite as far as it was."""
        race = self._race
        most = max(FEW_ENTRIES, run.read() + entries)
        tries = [
            (way, max(most, race.reach), True) if way is race.favourite else (way, most, self._follow)
            for way in race.ways
        ]
        return (yield from self._beside(run, entries, tries))

    def _beside(self, run: Run, entries: int, tries: Sequence[tuple[Way, int, bool]]) -> Step[Chunk]:
        """The next chunk, or what is left of the first way that has few entries, all in the same wave.

        `tries` are ways, how many entries to read at most, and whether to bring along what belongs to them.
        """
        race = self._race
        steps = [self._try(way, most, follow) for way, most, follow in tries]
        chunk: Chunk
        chunk, *found = yield from together([race.stream.pulled(run, self._context, entries), *steps])
        for (way, most, _), rows in zip(tries, found, strict=True):
            if rows is not None:
                return self._won(way, most, rows)
        self._note(chunk)
        return chunk

    def _try(self, way: Way, most: int, follow: bool) -> Step[list[Row] | None]:
        probed = yield from way.probe.few(self._context, most, follow)
        if probed is None or way.rows is way.probe:
            return probed
        if self._context.tx.is_far and way is not self._race.favourite:
            self._due = way, most, probed
            return None
        return (yield from way.rows_from(probed, self._context))

    def _note(self, chunk: Chunk) -> None:
        if chunk.frontier is None:
            return
        key = self._race.key
        there = [row for row in chunk.rows if key(row) == chunk.frontier]
        self._there = self._there + there if chunk.frontier == self._frontier else there
        self._frontier = chunk.frontier

    def _won(self, way: Way, most: int, rows: list[Row]) -> Chunk:
        """The race is over, as `way` had fewer than `most` entries: all of its `rows` that the stream has not given."""
        race, frontier, self._run = self._race, self._frontier, None
        race.favourite, race.reach, race.streamed = way, most, False
        if frontier is not None:
            given = list(self._there)
            left = []
            for row in rows:
                key = race.key(row)
                if key == frontier and row in given:
                    given.remove(row)
                elif key == frontier or (key > frontier) is not race.descending:
                    left.append(row)
            rows = left
        return Chunk(race.sorted(rows, self._context.bindings), None)

    def read(self) -> int:
        return 0 if self._run is None else self._run.read()

    def settle(self, last: SortedBy | None, shares: dict[Family, int]) -> None:
        if self._run is not None:
            race, taken = self._race, self._run.read()
            if not race.streamed:  # it may have won because it began with much at once
                race.rest = STREAMED_RUNS if taken <= 2 * self._tried else 0
            race.favourite, race.streamed, race.taken = None, True, taken
            self._run.settle(last, shares)
