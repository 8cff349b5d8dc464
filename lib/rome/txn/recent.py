"""What the last transactions of a connection have read, for the checks that the next one begins with.

Who looks whether a row is there and then inserts it, in two transactions, as many applications do, asks the store the
same twice. The second time the answer may be taken from the first, as long as it is what the INSERT hopes for: no other
row has the key, the parent is there. It is then expected at the commit like anything that was read. If it was out of
date, that is a conflict; the replay reads for itself.

Answers to queries are never taken from here, nor are errors: only a check that passes. Nothing is once another
connection of the process has written: what it wrote must be seen at the statement.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from rome.driver.api import Cell, ExpectCell
from rome.txn.known import UNKNOWN, Known

MAX_AGE_S: Final = 0.25  # about the time that any application leaves between a look and what it does upon it
MAX_TRANSACTIONS: Final = 4
MAX_CELLS: Final = 256  # of one transaction: who reads much is no one that looks whether a row is there


class _Transaction(NamedTuple):
    """One that has ended: when it began, how many commits others had made by then, the version of the guard, what
    tells what it knew in the end, and what it changed."""

    begun_s: float
    others: int
    guard: ExpectCell
    knowledge: Callable[[], Known]
    written: Collection[bytes]


class Recent:
    """The last transactions of one connection; `timer` counts seconds, `others` what other connections committed."""

    __slots__ = ("_last", "_others", "_timer")

    def __init__(self, timer: Callable[[], float], others: Callable[[], int]) -> None:
        self._timer = timer
        self._others = others
        self._last: deque[_Transaction] = deque(maxlen=MAX_TRANSACTIONS)

    def now(self) -> tuple[float, int]:
        """What `keep` must be told of the beginning of a transaction."""
        return self._timer(), self._others()

    def clear(self) -> None:
        self._last.clear()

    def keep(
        self, begun: tuple[float, int], guard: ExpectCell, knowledge: Callable[[], Known], written: Collection[bytes]
    ) -> None:
        """Keep what a transaction knew that began when `now` said `begun`, and has not failed.

        Most are never asked, so `knowledge` is called only when one is.
        """
        self._last.appendleft(_Transaction(*begun, guard, knowledge, written))

    def find(self, hopes: Mapping[bytes, bool], guard: ExpectCell) -> dict[bytes, Cell | None] | None:
        """The cells at the keys of `hopes`, if each is known to be there (True) or not to be there (False); else None.

        Only from transactions that were planned on the same `guard`.
        """
        now_s, others = self.now()
        while self._last and (self._last[-1].begun_s < now_s - MAX_AGE_S or self._last[-1].others != others):
            self._last.pop()
        found: dict[bytes, Cell | None] = {}
        last = [(each, each.knowledge()) for each in self._last]
        for key, hope in hopes.items():
            for each, known in last:
                cell = known.cell(key)
                if each.guard != guard or key in each.written:
                    return None
                if cell is not UNKNOWN:
                    break
            else:
                return None
            if (cell is not None) is not hope:
                return None
            found[key] = cell
        return found
