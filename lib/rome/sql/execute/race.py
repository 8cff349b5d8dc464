"""Races: ways to find the same rows in no order, tried beside an ordered one that may stop early.

Nobody knows beforehand whether a condition finds three rows or most of a table: the same statement asks for either.
So both ways are read, each as far as the other, and the one that is done first has won: that costs at most about twice
what the better one would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rome.sql import plan
from rome.sql.execute.operator import Context, Operator, Row, layout_of
from rome.sql.execute.scan import ScanRows
from rome.sql.execute.simple import order_of
from rome.txn.wave import Step, together

FEW_ENTRIES = 64  # what may be read in vain beside something else

SortedBy = tuple[tuple[bool, object], ...]  # a sort key whose order is Python's: (is not NULL, value) of each part


class Chunk(NamedTuple):
    """The next rows of a stream, in order, and its frontier: the sort key up to which it has given all, or None."""

    rows: list[Row]
    frontier: SortedBy | None


def key_maker(order: Sequence[plan.SortKey], operator: Operator) -> Callable[[Row], SortedBy]:
    """The sort key of a row of `operator`."""
    layout = layout_of(operator.output)
    places = [layout[key.expression.column] for key in order]  # type: ignore[attr-defined]
    return lambda row: tuple([(row[place] is not None, row[place]) for place in places])


class Way(NamedTuple):
    """Rows that begin with a scan: `probe` tells whether that finds few entries, and then `rows` gives them."""

    probe: ScanRows
    rows: Operator


class Race:
    """The ways beside the ordered stream `stream`, whose rows have the order of `order`.

    Who has won the last run begins the next one alone, on a near store: `favourite`, or the stream if `streamed`.
    Threads may change both at once, as nothing but what is read hangs on them.
    """

    def __init__(self, stream: Operator, order: tuple[plan.SortKey, ...], ways: Sequence[Way]) -> None:
        self.ways = tuple(ways)
        self.favourite: Way | None = None
        self.streamed = False
        self.key = key_maker(order, stream)
        self.sorted = order_of(order, layout_of(stream.output))
        self.descending = order[0].descending


class RaceRun:
    """One run: pulled with the ordered stream, until either is done."""

    def __init__(self, race: Race, context: Context, follow: bool) -> None:
        """`follow`: bring along what belongs to the rows of a way that finds few."""
        self._race = race
        self._context = context
        self._follow = follow
        self._tried = 0  # entries, of each way
        self._frontier: SortedBy | None = None  # up to which the ordered way has given everything
        self._there: list[Row] = []  # what it has given of those that sort like the frontier
        self._due: Way | None = None  # finds few, but its rows cost a wave, and from afar that is too much

    def pull(self, ordered: Callable[[], Step[Chunk]], read: int) -> Step[tuple[Chunk, bool]]:
        """The next chunk of the ordered way, which has read so many entries, or all that is left of another that was
        done first; whether it was."""
        race, ways = self._race, self._race.ways
        if self._due is not None:
            return self._rest((yield from self._due.rows.rows(self._context))), True
        most = max(FEW_ENTRIES, read)
        favourite = race.favourite
        near = not self._context.tx.is_far
        if favourite is not None and not self._tried and near:
            rows = yield from self._try(favourite, most)
            if rows is not None:
                return self._rest(rows), True
            race.favourite = None
            ways = tuple(way for way in ways if way is not favourite)
        if most <= self._tried or (race.streamed and not read and near):
            ways = ()
        else:
            self._tried = most
        chunk, *found = yield from together([ordered(), *[self._try(way, most) for way in ways]])
        for way, rows in zip(ways, found, strict=True):
            if rows is not None:
                race.favourite, race.streamed = way, False
                return self._rest(rows), True
        self._note(chunk)
        return chunk, False

    def settle(self) -> None:
        """The page is full, and no other way was done first."""
        self._race.streamed = True

    def _try(self, way: Way, most: int) -> Step[list[Row] | None]:
        rows = yield from way.probe.few(self._context, most, self._follow)
        if rows is None or way.rows is way.probe:
            return rows
        if self._context.tx.is_far:
            self._due = way
            return None
        return (yield from way.rows.rows(self._context))

    def _note(self, chunk: Chunk) -> None:
        if chunk.frontier is None:
            return
        key = self._race.key
        there = [row for row in chunk.rows if key(row) == chunk.frontier]
        self._there = self._there + there if chunk.frontier == self._frontier else there
        self._frontier = chunk.frontier

    def _rest(self, rows: list[Row]) -> Chunk:
        """All of `rows` that the ordered way has not given."""
        race, frontier = self._race, self._frontier
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
