"""The first rows in an order: streamed while that promises to end soon, else all of them read and sorted."""

from __future__ import annotations

from rome.sql import plan
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieves
from rome.sql.execute.streams import Page, Stream
from rome.txn.wave import Step, together

FIRST_ENTRIES = 64
SPARE_ENTRIES = 8  # beyond the rows needed: a few that the filters leave out cost no second wave
MOST_BEGUN_WITH = 512
ENTRIES_THAT_TELL = 256  # before so many are read, that none has passed is no reason to give up
MOST_ENTRIES = 2048  # of each scan; who must read more had better read what the filters select
MARGIN = 1.5  # how much more than the share of rows that passed makes one expect is read at once
MUCH_MORE = 2  # times the rows needed
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
        self._fills = True  # whether the last page was full
        self._next_rest = LEAST_REST
        self._rest = 0

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        if need is None or need >= MOST_ENTRIES:
            return (yield from self._complete.rows(context, need))
        if self._rest:
            self._rest -= 1
            return (yield from self._complete.rows(context, need))
        if self._next_rest > LEAST_REST:
            return (yield from self._beside(context, need))
        found = yield from self._first(context, need)
        if found is not None:
            return found
        self._give_up()
        return (yield from self._complete.rows(context, need))

    def _give_up(self) -> None:
        self._rest, self._next_rest = self._next_rest - 1, min(2 * self._next_rest, MOST_REST)

    def _beside(self, context: Context, need: int) -> Step[list[Row]]:
        """All of them, sorted; a large chunk of the streams in the same wave tells whether they are worth it again."""
        run = self._stream.begin(context, Page(need, {}, False))
        entries = max(MOST_BEGUN_WITH, need + SPARE_ENTRIES)
        (rows, frontier), found = yield from together(
            [self._stream.pulled(run, context, entries), self._complete.rows(context, need)]
        )
        if frontier is None or len(rows) >= need:
            self._next_rest = LEAST_REST
            self._learn(entries, len(rows), need)
        else:
            self._give_up()
        complete: list[Row] = found
        return complete

    def _learn(self, read: int, found: int, need: int) -> None:
        """Where the next run begins. It begins with less only where that is still more than enough: a run that falls
        short costs a wave."""
        self._fills = found >= need
        enough = int(MARGIN * read * need / found) if self._fills else read
        if enough < self._begin_with and (not self._fills or found < MUCH_MORE * need):
            return
        self._begin_with = max(FIRST_ENTRIES, min(MOST_BEGUN_WITH, enough), self._begin_with * 3 // 4)

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        if sieves is None:
            return False
        asked = [each.bring(columns, belonging, sieves) for each in (self._stream, self._complete)]
        return any(asked)

    def _first(self, context: Context, need: int) -> Step[list[Row] | None]:
        """`need` rows or all there are; None when it takes too much to find them."""
        run = self._stream.begin(context, Page(need, {}, self._fills))
        found: list[Row] = []
        read = 0
        entries = max(self._begin_with, need + SPARE_ENTRIES)
        while True:
            rows, frontier = yield from self._stream.pulled(run, context, entries)
            found += rows
            read += entries
            if frontier is None or len(found) >= need:
                self._learn(read, len(found), need)
                return found
            expected = read * need / (len(found) + 1)
            if read >= ENTRIES_THAT_TELL and max(expected, read) > MOST_ENTRIES:
                return None
            entries = min(max(int(MARGIN * (expected - read)), LEAST_GROWTH * read), MOST_GROWTH * read)
