"""Counting keys: one wave, whatever there is to count."""

from __future__ import annotations

from rome.driver.api import Range
from rome.sql import plan
from rome.sql.bound import Array
from rome.sql.execute.operator import Context, Operator, Row
from rome.sql.execute.ranges import KeyRanges
from rome.sql.expr import scalar
from rome.table.keys import Keys
from rome.txn.wave import Step, Wave


class CountedKeys(Operator):
    """How many keys one access path leads to, less those of others: one row."""

    def __init__(self, node: plan.Counted, keys: Keys) -> None:
        self.output = node.output
        self._found = KeyRanges(node.found, keys, {})
        self._less = KeyRanges(node.less, keys, {}) if node.less is not None else None
        self._null = KeyRanges(node.null, keys, {}) if node.null is not None else None
        self._excluded = [scalar(value, {}) for value in node.excluded]

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        bindings = context.bindings
        number = 0
        found = self._ranges(self._found, context)
        less: list[Range] = []
        if self._less is not None:
            values = [value((), bindings) for value in self._excluded]
            if any(value is None or (isinstance(value, Array) and value.has_null) for value in values):
                found = []  # nothing is known to differ from NULL
            elif not all(isinstance(value, Array) and not value.values for value in values):  # NULL is NOT IN nothing
                less = self._ranges(self._less, context)
                less += [] if self._null is None else self._ranges(self._null, context)
        if found:
            answer = yield Wave(counts=[*found, *less])
            number = sum(answer.counts[: len(found)]) - sum(answer.counts[len(found) :])
        return [(number,) * len(self.output)]

    @staticmethod
    def _ranges(ranges: KeyRanges, context: Context) -> list[Range]:
        _, scans = ranges.reads((), context.bindings)
        return [(scan.start, scan.stop) for scan in scans]
