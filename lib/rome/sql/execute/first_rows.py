"""The first rows in an order: streamed while that promises to end soon, else all of them read and sorted."""

from __future__ import annotations

from rome.sql import plan
from rome.sql.execute.operator import Context, Operator, Row
from rome.sql.execute.streams import Stream
from rome.txn.wave import Step

FIRST_ENTRIES = 64
SPARE_ENTRIES = 8  # beyond the rows needed: a few that the filters leave out cost no second wave
MOST_BEGUN_WITH = 512
ENTRIES_THAT_TELL = 256  # before so many are read, that none has passed is no reason to give up
MOST_ENTRIES = 2048  # of each scan; who must read more had better read what the filters select
MARGIN = 1.5  # how much more than the share of rows that passed makes one expect is read at once
LEAST_GROWTH, MOST_GROWTH = 3, 8  # how many times the entries read before a further chunk has
LEAST_REST, MOST_REST = 8, 128  # runs between two tries, more each time that the streams were given up in a row


class FirstRows(Operator):
    """Adaptive: how many rows pass is seen in the first chunk, and decides on the next one or on giving up.

    What earlier runs needed is where the next one begins, so that it needs one chunk; after giving up the streams are
    left alone for a while. Threads may change the figures at once: any of them will do.
    """

    def __init__(self, node: plan.FirstRows, stream: Stream, complete: Operator) -> None:
        self.output = node.output
        self.children = (stream, complete)
        self._stream = stream
        self._complete = complete
        self._begin_with = FIRST_ENTRIES
        self._next_rest = LEAST_REST
        self._rest = 0

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        if need is not None and need < MOST_ENTRIES:
            if not self._rest:
                found = yield from self._first(context, need)
                if found is not None:
                    self._next_rest = LEAST_REST
                    return found
                self._rest = self._next_rest
                self._next_rest = min(2 * self._next_rest, MOST_REST)
            self._rest -= 1
        return (yield from self._complete.rows(context, need))

    def _first(self, context: Context, need: int) -> Step[list[Row] | None]:
        """`need` rows or all there are; None when it takes too much to find them."""
        run = self._stream.begin(context, {})
        found: list[Row] = []
        read = 0
        entries = max(self._begin_with, need + SPARE_ENTRIES)
        while True:
            rows, frontier = yield from self._stream.pulled(run, context, entries)
            found += rows
            read += entries
            if frontier is None or len(found) >= need:
                enough = MARGIN * read * need / max(need, len(found))
                self._begin_with = max(FIRST_ENTRIES, min(MOST_BEGUN_WITH, int(enough)), self._begin_with * 3 // 4)
                return found
            expected = read * need / (len(found) + 1)
            if read >= ENTRIES_THAT_TELL and max(expected, read) > MOST_ENTRIES:
                return None
            entries = min(max(int(MARGIN * (expected - read)), LEAST_GROWTH * read), MOST_GROWTH * read)
