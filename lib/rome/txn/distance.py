"""How far away a store is: what a round trip takes decides how much may be read in vain to save one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FAR_S: Final = 0.01  # in this time a processor handles more cells than a page has
NEAR_S: Final = 0.0005  # in this time it handles what a page's lookups are
READS: Final = 64


class Distance:
    """The least that a read took among the last ones; `timer` counts seconds. Threads may spoil a figure by one read.

    The least, because it has the least in it of what is no distance: a connection's making, many cells, a busy machine.
    """

    __slots__ = ("_before_s", "_least_s", "_reads", "timer")

    def __init__(self, timer: Callable[[], float]) -> None:
        self.timer = timer
        self._before_s = float("inf")  # of the 64 reads before these
        self._least_s = float("inf")
        self._reads = 0

    def note(self, started: float) -> None:
        """A read is done that was `started` when the timer said so."""
        self._least_s = min(self._least_s, self.timer() - started)
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
