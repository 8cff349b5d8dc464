"""The first rows in an order: streamed while that promises to end soon, else all of them read and sorted."""

from __future__ import annotations

from typing import Final, NamedTuple

from rome.sql import plan
from rome.sql.execute.operator import Belonging, Context, Operator, Row, Sieves
from rome.sql.execute.streams import Family, Page, Run, Stream, key_maker
from rome.txn.wave import Step, together

FIRST_ENTRIES = 64  # of each range, as long as no page has told how many it takes
SPARE_ENTRIES = 8  # beyond the rows needed: a few that the filters leave out cost no second wave
MOST_BEGUN_WITH = 1024
ENTRIES_THAT_TELL = 256  # before so many are read, that none has passed is no reason to give up
MOST_ENTRIES = 2048  # of one range; who must read more had better read what the filters select
MOST_GROWTH = 8  # how many times the entries read before a further chunk has at most
LEAST_REST, MOST_REST = 8, 128  # runs between two tries, more each time that the streams were given up in a row


class Pace(NamedTuple):
    """How much is read at once: less where another wave costs next to nothing, more where it costs a long way.

    share   of what a page took of a range the next one may take so much more, and half the spare entries
    less    of what a page began with the next one begins with so much at least
    margin  so much more than the share of rows that passed makes one expect is read with a further chunk,
    growth  and at least so many times the entries read before
    """

    share: float
    less: float
    margin: float
    growth: float


WITHIN_THE_PROCESS: Final = Pace(share=0, less=1 / 2, margin=1.1, growth=1 / 4)
BESIDE: Final = Pace(share=1 / 8, less=3 / 4, margin=1.5, growth=1)
FROM_AFAR: Final = Pace(share=1 / 4, less=15 / 16, margin=1.5, growth=3)


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
        self._fills = True  # whether the last page was full
        self._key = key_maker(node.keys, stream)
        self._shares: dict[Family, int] = {}  # what to begin with in each range
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
        run = self._stream.begin(context, Page(need, {}, {}, False, {}))
        entries = max(MOST_BEGUN_WITH, need + SPARE_ENTRIES)
        (rows, frontier), found = yield from together(
            [self._stream.pulled(run, context, entries), self._complete.rows(context, need)]
        )
        if frontier is None or len(rows) >= need:
            self._next_rest = LEAST_REST
            self._settle(run, rows, need, _pace(context))
        else:
            self._give_up()
        complete: list[Row] = found
        return complete

    def _settle(self, run: Run, found: list[Row], need: int, pace: Pace) -> None:
        """What each range begins with next time: what this page took of it, and a little more.

        It begins with less only step by step: a run that falls short costs a wave, and from afar that is much.
        """
        self._fills = len(found) >= need
        taken: dict[Family, int] = {}
        run.settle(self._key(found[need - 1]) if 0 < need <= len(found) else None, taken)
        for family, entries in taken.items():
            enough = min(entries + int(entries * pace.share) + SPARE_ENTRIES // 2, MOST_BEGUN_WITH)
            self._shares[family] = max(1, enough, int(self._shares.get(family, 0) * pace.less))

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        if sieves is None:
            return False
        asked = [each.bring(columns, belonging, sieves) for each in (self._stream, self._complete)]
        return any(asked)

    def _first(self, context: Context, need: int) -> Step[list[Row] | None]:
        """`need` rows or all there are; None when it takes too much to find them."""
        run = self._stream.begin(context, Page(need, {}, {}, self._fills, self._shares))
        found: list[Row] = []
        pulled, entries = 0, max(FIRST_ENTRIES, need + SPARE_ENTRIES)
        pace = _pace(context)
        while True:
            rows, frontier = yield from self._stream.pulled(run, context, entries)
            found += rows
            pulled += entries
            if frontier is None or len(found) >= need:
                self._settle(run, found, need, pace)
                return found
            read, short = run.read(), need / (len(found) + 1)
            if read >= ENTRIES_THAT_TELL and max(read * short, read) > MOST_ENTRIES:
                return None
            entries = int(pulled * min(max(pace.margin * (short - 1), pace.growth), MOST_GROWTH))


def _pace(context: Context) -> Pace:
    if context.tx.is_far:
        return FROM_AFAR
    return BESIDE if context.tx.is_remote else WITHIN_THE_PROCESS
