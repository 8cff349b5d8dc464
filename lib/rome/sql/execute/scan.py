"""Reading a table: one wave for all its keys and ranges."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from rome.driver.api import Cell, Follow, Scan
from rome.sql import plan
from rome.sql.execute.following import FEW_ROWS, Following
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieves, layout_of
from rome.sql.execute.ranges import KeyRanges
from rome.sql.expr import predicate
from rome.table.keys import Keys
from rome.txn.wave import Step, Wave

_FIRST_CHUNK_ROWS = 64
MAX_FOLLOWED_ROWS = 256  # of a larger answer nothing is brought along: it would be too much for one reading
_RUNS_UNTIL_ANOTHER_TRY = 100
_FEW_RANGES = 4


class ScanRows(Operator):
    """The rows of a table that an access path finds and the residual condition keeps."""

    def __init__(self, node: plan.Scan, keys: Keys) -> None:
        self.output = node.output
        self._ranges = KeyRanges(node, keys, {})
        self._filter = predicate(node.residual, layout_of(node.output)) if node.residual is not None else None
        self._following = Following(node, keys)
        self._rest = 0  # runs until something is brought along again; threads may count one twice

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        return not self._ranges.points and self._following.ask(columns, belonging, sieves)

    def _follow(self, context: Context, need: int | None, few: int = FEW_ROWS) -> tuple[Follow, ...]:
        """What to bring along with the first rows, of which `need` pass the filter, or with `few`, maybe in vain."""
        following, bindings = self._following, context.bindings
        if not following.asked or self._rest or (need is not None and need > MAX_FOLLOWED_ROWS):
            return ()
        far = context.tx.brings_along and not bindings.outer
        if need is not None:
            # A filter that throws more of them away makes a second wave worth its while.
            rows = need if self._filter is None else need + need // 4 + 2
            return following.all_of(rows, bindings, far)
        if far and (following.from_afar or self._filter is not None):
            return following.all_of(min(few, MAX_FOLLOWED_ROWS), bindings, True)
        return () if self._filter is not None else following.all_of(MAX_FOLLOWED_ROWS, bindings, False)

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        if self in context.at_hand:
            return context.at_hand[self]
        limit = need if self._filter is None else None
        gets, scans = self._ranges.reads((), context.bindings, limit)
        if need is not None and self._filter is not None and len(scans) == 1:
            return (yield from self._in_chunks(context, need))
        if not gets and not scans:
            return []
        follow = self._follow(context, need) if len(scans) <= (_FEW_RANGES if need is None else 1) else ()
        self._rest = max(0, self._rest - 1)
        if follow:
            scans = [structs.replace(scan, follow=follow) for scan in scans]
        rows = self._ranges.rows((yield Wave(gets, scans)), self._following.holding(context.bindings))
        found = rows if self._filter is None else self._filter(rows, context.bindings)
        if follow and follow[0].rows == FEW_ROWS and len(found) > len(scans) * FEW_ROWS:
            self._rest = _RUNS_UNTIL_ANOTHER_TRY  # what was brought along is some of what is wanted
        return found

    def _in_chunks(self, context: Context, need: int) -> Step[list[Row]]:
        """The first rows that pass the filter, read in growing chunks."""
        follow = self._follow(context, need)
        walk = Walk(self, context, follow)
        self._rest = max(0, self._rest - 1)
        entries = size = max(_FIRST_CHUNK_ROWS, 2 * need)
        while not (yield from walk.to(entries)) and len(walk.rows) < need:
            if follow:  # in vain: nearly all that was followed is left out
                self._rest = _RUNS_UNTIL_ANOTHER_TRY
            size *= 2
            entries += size
        return walk.rows

    def walk(self, context: Context, entries: int) -> Walk:
        """A walk whose first step is so long."""
        return Walk(self, context, self._follow(context, None, entries))

    def few(self, context: Context, most: int, follow: bool) -> Step[list[Row] | None]:
        """The rows, if the access path leads to fewer than `most` entries; None, and no more read, if to others.

        `follow`: bring along.
        """
        walk = self.walk(context, most) if follow else Walk(self, context)
        if walk.is_wide:
            return None
        return walk.rows if (yield from walk.to(most)) else None


class Walk:
    """A run of a scan that reads as far as it is asked to, and goes on from there: `rows` are those found so far.

    With the first step it brings along what `follow` says, unless it has many ranges.
    """

    def __init__(self, scan: ScanRows, context: Context, follow: tuple[Follow, ...] = ()) -> None:
        self.scan = scan
        self.rows: list[Row] = []
        self._context = context
        self._gets, self._scans = scan._ranges.reads((), context.bindings)
        self._follow = follow if len(self._scans) <= _FEW_RANGES else ()
        self._walked = 0

    @property
    def is_wide(self) -> bool:
        """Whether it reads single rows, or many ranges."""
        return bool(self._gets) or len(self._scans) > _FEW_RANGES

    def to(self, entries: int) -> Step[bool]:
        """Whether all has been read, when so many entries of each range have been at most; keys are read together."""
        size = entries - self._walked
        if size <= 0 or len(self._gets) > entries:
            return not self._gets and not self._scans
        context, scan = self._context, self.scan
        scans = [structs.replace(each, limit=size, follow=self._follow) for each in self._scans]
        if self._gets or scans:
            answer = yield Wave(self._gets, scans)
            rows = scan._ranges.rows(answer, scan._following.holding(context.bindings))
            self.rows += rows if scan._filter is None else scan._filter(rows, context.bindings)
            found = zip(self._scans, answer.scans, strict=True)
            self._gets, self._scans = [], [behind(each, cells) for each, cells in found if len(cells) == size]
            self._walked, self._follow = entries, ()
        return not self._scans

    def to_measured(self, entries: int) -> Step[bool]:
        """`to`, noted as work of the scan when the statement is profiled."""
        if self._context.profile is None:
            return self.to(entries)
        before = len(self.rows)
        return self.scan.measured(
            self.to(entries), self._context, self._context.profile, lambda done: len(self.rows) - before
        )


def behind(scan: Scan, cells: Sequence[Cell]) -> Scan:
    """What is left of `scan`, which is not limited, after it has found `cells`."""
    last = cells[-1].key
    start, stop = (scan.start, last) if scan.reverse else (last + b"\x00", scan.stop)
    return structs.replace(scan, start=start, stop=stop)
