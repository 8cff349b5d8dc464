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
        """The first rows that pass the filter, read in growing chunks: each starts where the last one ended."""
        assert self._filter is not None
        _, [scan] = self._ranges.reads((), context.bindings)
        found: list[Row] = []
        size = max(_FIRST_CHUNK_ROWS, 2 * need)
        follow = self._follow(context, need)
        holding = self._following.holding(context.bindings)
        self._rest = max(0, self._rest - 1)
        while True:
            chunk = scan.__class__(scan.start, scan.stop, size, scan.reverse, scan.dereference, follow)
            tried, follow = bool(follow), ()
            answer = yield Wave((), (chunk,))
            found += self._filter(self._ranges.rows(answer, holding), context.bindings)
            cells = answer.scans[0]
            if len(found) >= need or len(cells) < size:
                return found
            if tried:  # in vain: nearly all that was followed is left out
                self._rest = _RUNS_UNTIL_ANOTHER_TRY
            scan = structs.replace(behind(scan, cells), follow=())
            size *= 2

    def few(self, context: Context, most: int, follow: bool) -> Step[list[Row] | None]:
        """The rows, if the access path leads to fewer than `most` entries; None, and no more read, if to others.

        `follow`: bring along.
        """
        gets, scans = self._ranges.reads((), context.bindings, most)
        if not gets and not scans:
            return []
        if gets or len(scans) > _FEW_RANGES:
            return None
        if follow and (brought := self._follow(context, None, most)):
            scans = [structs.replace(scan, follow=brought) for scan in scans]
        answer = yield Wave((), scans)
        if max(map(len, answer.scans)) >= most:
            return None
        rows = self._ranges.rows(answer, self._following.holding(context.bindings))
        return rows if self._filter is None else self._filter(rows, context.bindings)


class Walk:
    """A run of a scan that reads as far as it is asked to, and goes on from there: `rows` are those found so far."""

    def __init__(self, scan: ScanRows, context: Context) -> None:
        self.scan = scan
        self._context = context
        self._gets, self._scans = scan._ranges.reads((), context.bindings)
        self._walked = 0
        self.rows: list[Row] = []

    def to(self, entries: int) -> Step[bool]:
        """Whether all has been read, when so many entries of each range have been at most; keys are read together."""
        context, scan = self._context, self.scan
        step = self._to(entries)
        if context.profile is None:
            return (yield from step)
        before = len(self.rows)
        return (yield from scan.measured(step, context, context.profile, lambda done: len(self.rows) - before))

    def _to(self, entries: int) -> Step[bool]:
        size = entries - self._walked
        if size <= 0 or len(self._gets) > entries:
            return not self._gets and not self._scans
        context, scan = self._context, self.scan
        follow = scan._follow(context, None, size) if not self._walked and len(self._scans) <= _FEW_RANGES else ()
        scans = [structs.replace(each, limit=size, follow=follow) for each in self._scans]
        if self._gets or scans:
            answer = yield Wave(self._gets, scans)
            rows = scan._ranges.rows(answer, scan._following.holding(context.bindings))
            self.rows += rows if scan._filter is None else scan._filter(rows, context.bindings)
            found = zip(self._scans, answer.scans, strict=True)
            self._gets, self._scans = [], [behind(each, cells) for each, cells in found if len(cells) == size]
            self._walked = entries
        return not self._scans


def behind(scan: Scan, cells: Sequence[Cell]) -> Scan:
    """What is left of `scan`, which is not limited, after it has found `cells`."""
    last = cells[-1].key
    start, stop = (scan.start, last) if scan.reverse else (last + b"\x00", scan.stop)
    return structs.replace(scan, start=start, stop=stop)
