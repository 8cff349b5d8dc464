"""FOR UPDATE: the rows of a query, and the leases of the rows that they are made of.

Rows are found by reads and then locked. Where the store has moved in between, what was read may be out of date:
`RowsMoved` then says so, and the statement is run again on a fresh state, with the leases that it has by now. It ends
when a run finds only rows that were locked before it read them, or in a state that still stood when they were.
"""

from __future__ import annotations

from collections.abc import Iterable

from rome.driver.api import Patience
from rome.sql import plan
from rome.sql.execute.operator import Context, Operator, Row
from rome.sql.execute.ranges import KeyRanges
from rome.sql.execute.simple import bounds
from rome.sql.expr import scalar
from rome.table.keys import Keys
from rome.txn.wave import Step


class RowsMoved(Exception):
    """What the statement has read may have changed before it had the leases: it must be run again."""


class LockRows(Operator):
    """The child's rows without their keys; SKIP LOCKED leaves out those whose lease another has."""

    def __init__(self, node: plan.Lock, child: Operator, keys: Keys) -> None:
        self.output = node.output
        self.children = (child,)
        self._child = child
        self._patience = node.patience
        self._width = len(node.output)
        self._keys = keys
        self._targets = node.targets
        self._what = ", ".join(f'"{target.alias}"' for target in node.targets)
        self._limit = scalar(node.limit, {}) if node.limit is not None else None
        self._offset = scalar(node.offset, {}) if node.offset is not None else None
        self._points = _points(node, keys)

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        if self._patience is Patience.SKIP:
            rows = yield from self._run_skipping(context)
        else:
            if self._points is not None:
                # The statement itself names the rows, so that they are locked before they are read for the first time.
                self._lock(context, self._points.reads((), context.bindings)[0])
            rows = (yield from self._child.rows(context, need))[:need]
            self._lock(context, self._all_names(rows))
        width = self._width
        return [row[:width] for row in rows]

    def _run_skipping(self, context: Context) -> Step[list[Row]]:
        assert context.locking is not None
        skipped = context.locking.skipped
        rows = yield from self._child.rows(context)
        limit, offset = bounds(self._limit, self._offset, context.bindings)
        rows = [row for row in rows if skipped.isdisjoint(self._names(row))]
        rows = rows[offset : None if limit is None else offset + limit]
        names = self._all_names(rows)
        self._lock(context, names)
        for table in {target.table.id: target.table for target in self._targets}.values():
            # Others take what was left out, which must not count as a change of what this statement has read.
            context.tx.expect_only(context.locking.start, *self._keys.table_range(table), names.keys())
        return rows

    def _lock(self, context: Context, names: Iterable[bytes]) -> None:
        leased = context.tx.lock_rows(names, self._patience, self._what)
        if leased.refused:
            assert context.locking is not None
            context.locking.skipped.update(leased.refused)
            for target in self._targets:  # so that the next run need not find out one by one
                context.locking.skipped.update(context.tx.locked_by_others(self._keys.row_prefix(target.table)))
        if leased.refused or leased.moved:
            raise RowsMoved

    def _all_names(self, rows: list[Row]) -> dict[bytes, None]:
        """The names of every row, in order and each once."""
        return dict.fromkeys(name for row in rows for name in self._names(row))

    def _names(self, row: Row) -> list[bytes]:
        """The keys of the stored rows that `row` is made of; an outer join may have found none in a table."""
        names = []
        for target in self._targets:
            key = [row[place] for place in target.places]
            if None not in key:
                names.append(self._keys.row_key(target.table, key))
        return names


def _points(node: plan.Lock, keys: Keys) -> KeyRanges | None:
    """The rows' keys, where a whole primary key is all that the query asks for."""
    below: plan.Plan = node.child
    while isinstance(below, (plan.Project, plan.Sort)):
        below = below.child
    if not isinstance(below, plan.Scan) or below.residual is not None or node.patience is Patience.SKIP:
        return None
    ranges = KeyRanges(below, keys, {})
    return ranges if ranges.points else None
