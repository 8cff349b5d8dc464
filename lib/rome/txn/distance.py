"""How far away a store is: what a round trip takes decides how much may be read in vain to save one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FAR_S: Final = 0.01  # in this time a processor handles more cells than a page has
NEAR_S: Final = 0.0005  # in this time it handles what a page's lookups are
READS: Final = 64
ENTRY_S: Final = 0.000005  # what an entry of a scan takes the store and the client, with the row behind it


class Distance:
    """The least that a read took among the last ones, less what its entries take; `timer` counts seconds.

    The least, because it has the least in it of what is no distance: a connection's making, a busy machine. Threads may
    spoil a figure by one read.
    """

    __slots__ = ("_before_s", "_least_s", "_reads", "timer")

    def __init__(self, timer: Callable[[], float]) -> None:
        self.timer = timer
        self._before_s = float("inf")  # of the 64 reads before these
        self._least_s = float("inf")
        self._reads = 0

    def note(self, started: float, entries: int = 0) -> None:
        """A read is done that was `started` when the timer said so, and found so many."""
        self._least_s = min(self._least_s, self.timer() - started - entries * ENTRY_S)
        self._reads += 1
        if self._reads >= READS:
            self._before_s, self._least_s, self._reads = self._least_s, float("inf"), 0

    @property
    def far(self) -> bool:
        """Whether even the fastest of the last reads took long; not before there was one."""
        return FAR_S < min(self._before_s, self._least_s) < float("inf")

    @property
    def near(self) -> bool:
        """Whether the fastest of the last reads took so little that one is not worth sparing at much cost."""
        return min(self._before_s, self._least_s) < NEAR_S
