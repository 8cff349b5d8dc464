"""How a transaction's writes reach the store: today in one round trip, with every expectation checked there.

`CommitProtocol` is the seam. A store that changes everything atomically (`Scope.STORE`) takes `OneRoundTrip`; a store
whose atomic scope is a slot or a key needs transaction records and write intents instead, and a class that speaks that
protocol takes the same place without a change in the floors above.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from rome.driver.api import Driver, Expectation, Scope, Write
from rome.errors import NotSupportedError, OutcomeUnknown, Unavailable

MARK_BYTES = 16  # as many as a UUID: two commits never share a mark


class CommitProtocol(Protocol):
    """One way to make writes visible, all or nothing."""

    def publish(self, driver: Driver, expect: Sequence[Expectation], writes: Sequence[Write]) -> int:
        """Apply `writes` if every expectation holds at that instant; the commit counter of the result.

        Raises Conflict or Unavailable (nothing was written), OutcomeUnknown (no one could be asked), DataError (over
        the store's sizes, nothing sent), StoreFull, ReadOnlyStore.
        """


class OneRoundTrip:
    """`driver.commit`, and what became of it when its reply was lost.

    `max_sends` bounds how often a commit that is known to have failed is sent again, `max_questions` how often the
    store is asked for the fate of one; between questions it waits `first_wait_s`, doubled each time. `make_mark` gives
    that many random bytes.
    """

    __slots__ = ("_first_wait_s", "_make_mark", "_max_questions", "_max_sends", "_sleep")

    def __init__(
        self,
        *,
        max_sends: int = 3,
        max_questions: int = 6,
        first_wait_s: float = 0.02,
        make_mark: Callable[[int], bytes] = os.urandom,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._max_sends = max_sends
        self._max_questions = max_questions
        self._first_wait_s = first_wait_s
        self._make_mark = make_mark
        self._sleep = sleep

    def publish(self, driver: Driver, expect: Sequence[Expectation], writes: Sequence[Write]) -> int:
        """As `CommitProtocol.publish` says."""
        if driver.traits.scope is not Scope.STORE:
            raise NotSupportedError(
                "this store cannot change several keys atomically; use one whose traits say scope STORE"
            )
        if not driver.traits.remote:
            return driver.commit(expect, writes)  # no reply to lose, so no mark to pay for
        for _ in range(self._max_sends):
            mark = self._make_mark(MARK_BYTES)  # fresh each time: the store has sworn never to apply the last one
            try:
                return driver.commit(expect, writes, mark)
            except OutcomeUnknown as lost:
                version = self._settle(driver, mark, lost)
            if version is not None:
                return version
        raise Unavailable(f"the commit did not reach the store in {self._max_sends} tries; nothing was written")

    def _settle(self, driver: Driver, mark: bytes, lost: OutcomeUnknown) -> int | None:
        """The commit counter of the commit marked `mark`, None if it was not applied and never will be."""
        wait_s = self._first_wait_s
        for question in range(self._max_questions):
            if question:
                self._sleep(wait_s)
                wait_s *= 2
            try:
                return driver.outcome(mark)
            except (Unavailable, OutcomeUnknown):
                continue
        raise OutcomeUnknown(
            f"the reply to a commit was lost and the store did not answer {self._max_questions} questions about it; "
            f"ask again with mark {mark.hex()}",
            mark=mark,
        ) from lost
