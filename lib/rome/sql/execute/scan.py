"""Reading a table: one wave for all its keys and ranges."""

from __future__ import annotations

from dataclasses import replace

from rome.driver.api import Follow
from rome.sql import plan
from rome.sql.execute.operator import Belonging, Context, Operator, Row, layout_of
from rome.sql.execute.ranges import KeyRanges
from rome.sql.expr import predicate
from rome.table.keys import Keys
from rome.txn.wave import Step, Wave

_FIRST_CHUNK_ROWS = 64
MAX_FOLLOWED_ROWS = 256  # of a larger answer nothing is brought along: it would be too much for one reading
_RUNS_UNTIL_ANOTHER_TRY = 100
_FEW_ENTRIES = 32  # what may be read in vain beside something else
_FEW_RANGES = 4


class ScanRows(Operator):
    """The rows of a table that an access path finds and the residual condition keeps."""

    def __init__(self, node: plan.Scan, keys: Keys) -> None:
        self.output = node.output
        self._ranges = KeyRanges(node, keys, {})
        self._filter = predicate(node.residual, layout_of(node.output)) if node.residual is not None else None
        table = node.table
        self._key = tuple(node.output[place].column for place in table.primary_positions)
        self._cut = len(keys.row_prefix(table))
        self._brought: list[Belonging] = []
        self._rest = 0  # runs until something is brought along again; threads may count one twice

    def bring(self, columns: tuple[int, ...], belonging: Belonging) -> bool:
        if not columns or columns != self._key or self._ranges.points:
            return False
        self._brought.append(belonging)
        return True

    def _follow(self, need: int | None) -> tuple[Follow, ...]:
        """What to bring along with the first rows, of which `need` pass the filter."""
        if not self._brought or (self._filter is not None if need is None else need > MAX_FOLLOWED_ROWS):
            return ()
        rows = MAX_FOLLOWED_ROWS if need is None else need
        if need is not None and self._filter is not None:
            rows += need // 4 + 2  # a filter that throws more of them away makes a second wave worth its while
        return tuple(Follow(self._cut, each.prefix, each.dereference, rows) for each in self._brought)

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        limit = need if self._filter is None else None
        gets, scans = self._ranges.reads((), context.bindings, limit)
        if need is not None and self._filter is not None and len(scans) == 1:
            return (yield from self._in_chunks(context, need))
        if not gets and not scans:
            return []
        if len(scans) == 1 and (follow := self._follow(need)):
            scans = [replace(scans[0], follow=follow)]
        rows = self._ranges.rows((yield Wave(gets, scans)))
        return rows if self._filter is None else self._filter(rows, context.bindings)

    def _in_chunks(self, context: Context, need: int) -> Step[list[Row]]:
        """The first rows that pass the filter, read in growing chunks: each starts where the last one ended."""
        assert self._filter is not None
        _, [scan] = self._ranges.reads((), context.bindings)
        found: list[Row] = []
        size = max(_FIRST_CHUNK_ROWS, 2 * need)
        follow = () if self._rest else self._follow(need)
        self._rest = max(0, self._rest - 1)
        while True:
            chunk = scan.__class__(scan.start, scan.stop, size, scan.reverse, scan.dereference, follow)
            tried, follow = bool(follow), ()
            answer = yield Wave((), (chunk,))
            found += self._filter(self._ranges.rows(answer), context.bindings)
            cells = answer.scans[0]
            if len(found) >= need or len(cells) < size:
                return found
            if tried:  # in vain: nearly all that was followed is left out
                self._rest = _RUNS_UNTIL_ANOTHER_TRY
            last = cells[-1].key
            start, stop = (scan.start, last) if scan.reverse else (last + b"\x00", scan.stop)
            scan = scan.__class__(start, stop, None, scan.reverse, scan.dereference)
            size *= 2

    def few(self, context: Context) -> Step[list[Row] | None]:
        """The rows, if the access path leads to a few; None, and not many read, if to more."""
        gets, scans = self._ranges.reads((), context.bindings, _FEW_ENTRIES)
        if not gets and not scans:
            return []
        if gets or len(scans) > _FEW_RANGES:
            return None
        answer = yield Wave((), scans)
        if max(map(len, answer.scans)) >= _FEW_ENTRIES:
            return None
        rows = self._ranges.rows(answer)
        return rows if self._filter is None else self._filter(rows, context.bindings)
