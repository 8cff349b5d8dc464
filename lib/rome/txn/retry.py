"""Replay: a transaction that met a conflict is run again, and commits if the application could not tell the difference.

An SQL server with row locks would have made the application wait; here it is told nothing, and what it did is done
again. The connection keeps a `Journal` of what it ran and what it answered. After a conflict `Replay` runs the journal
in a fresh transaction with the first one's `Tape` (the same times, random and sequence numbers); when every answer is
equal, the fresh transaction takes the place of the first.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, TypeVar

from rome.driver.api import Expectation
from rome.errors import Conflict, Error, OperationalError
from rome.txn.contention import HotPlaces, Refusals, changed, places
from rome.txn.transaction import Diverged, GuardChanged, Transaction

T = TypeVar("T")

Run = Callable[[Transaction], object]


class Failure(NamedTuple):
    """An answer that was an error: what the application saw of it."""

    type: type[Error]
    message: str


class Entry(NamedTuple):
    """One thing that was run, what it answered, and how many values were on the tape afterwards (None: not known)."""

    run: Run
    result: object
    drawn: int | None


class Weight(NamedTuple):
    """The size of a result: rows, and about how many bytes."""

    rows: int
    bytes: int


ROW_SAMPLES: Final = 8
SCALAR_BYTES: Final = 32
ANOTHER_COURSE: Final = "it would now take another course"


def weigh(result: object) -> Weight:
    """The size of `result`, measured cheaply: a list counts as rows, of which a few are looked at."""
    match result:
        case list():
            step = max(1, len(result) // ROW_SAMPLES)
            sample = [weigh(row).bytes for row in result[::step]]
            return Weight(len(result), sum(sample) * len(result) // max(1, len(sample)))
        case tuple():
            parts = [weigh(part) for part in result]
            return Weight(sum(part.rows for part in parts), SCALAR_BYTES + sum(part.bytes for part in parts))
        case str() | bytes():
            return Weight(0, SCALAR_BYTES + len(result))
        case _:
            return Weight(0, SCALAR_BYTES)


class Journal:
    """What one transaction ran and what it answered, in order.

    Above `max_rows` rows or about `max_bytes` bytes of answers it gives up: it forgets everything, and the transaction
    cannot be replayed. `tries` and `spent_s` are what the transaction's replays have cost so far, `contended` the names
    of what they queue for.
    """

    __slots__ = (
        "_bytes", "_max_bytes", "_max_rows", "_rows", "_weigh", "contended", "entries", "given_up", "spent_s", "tries",
    )  # fmt: skip

    def __init__(
        self,
        *,
        max_rows: int = 20_000,
        max_bytes: int = 64 << 20,
        weigh: Callable[[object], Weight] = weigh,
    ) -> None:
        self.entries: list[Entry] = []
        self.given_up = False
        self.tries = 0
        self.spent_s = 0.0
        self.contended: dict[bytes, None] = {}
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._weigh = weigh
        self._rows = 0
        self._bytes = 0

    def add(self, run: Run, result: object, *, drawn: int | None = None) -> None:
        """Keep that `run` answered `result`; a `Failure` stands for an error."""
        if self.given_up:
            return
        rows, size = self._weigh(result)
        self._rows += rows
        self._bytes += size + SCALAR_BYTES
        if self._rows > self._max_rows or self._bytes > self._max_bytes:
            self.give_up()
        else:
            self.entries.append(Entry(run, result, drawn))

    def perform(self, transaction: Transaction, run: Callable[[Transaction], T]) -> T:
        """`run(transaction)`, kept with its answer; an error is kept and raised.

        An OperationalError is raised and nothing is kept, its draws neither: it speaks of the store, and no replay can
        be held to it. After a Conflict the caller may `Replay.recover` and perform the same again.
        """
        drawn = transaction.tape.position
        try:
            result = run(transaction)
        except OperationalError:
            transaction.tape.cut(drawn)
            raise
        except Error as error:
            self.add(run, Failure(type(error), str(error)), drawn=transaction.tape.position)
            raise
        self.add(run, result, drawn=transaction.tape.position)
        return result

    def give_up(self) -> None:
        """Forget everything and keep nothing more: this transaction cannot be replayed."""
        self.given_up = True
        self.entries.clear()


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds of the replays of one transaction.

    `enabled` False raises every conflict at once. Before try n (from 0, which waits for nothing) a replay that could
    not queue waits up to min(t * 2**n, `max_wait_s`), at random; t is the time a try takes, but at least
    `first_wait_s`.
    """

    enabled: bool = True
    max_tries: int = 200
    max_time_s: float = 10.0
    first_wait_s: float = 0.002
    max_wait_s: float = 0.1


class Replay:
    """Replays transactions under one `Policy`; one for a store, used by all of its threads.

    Visible counters: `replays` tries made, `replayed_commits` commits that only a replay made possible, `refused`
    conflicts that were raised after all.

    The first try of a replay is free. From the second on it queues for what others have changed (`rome.txn.contention`)
    as for a row that is locked FOR UPDATE, whatever process the others are in, and keeps its place until it has
    committed. Newcomers of a process that had to queue lately queue before their first commit, so whoever is first in
    the queue meets few.

    A transaction that was refused, because its answers would have been others, is run again by the application. That
    queues before its first read: what it reads is then changed by no one else who queues, as with the row locks of an
    SQL server. Without this, whoever takes longest would be refused by all the others, however often he tries.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`clock` in seconds, `sleep` takes seconds, `jitter` gives 0 <= x < 1."""
        self.policy = Policy() if policy is None else policy
        self.replays = 0
        self.replayed_commits = 0
        self.refused = 0
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._hot = HotPlaces(clock)
        self._refusals = Refusals(clock)
        self._counting = threading.Lock()

    def queue_again(self, journal: Journal, tx: Transaction, run: Run) -> None:
        """Before `run`, the first that `tx` does: queue, if the same was refused in this thread a short while ago."""
        if self._refusals and self.policy.enabled:
            names = self._refusals.take(_what(run))
            if names and tx.take_turn(names, max(1, int(self.policy.max_time_s * 1000))):
                journal.contended.update(dict.fromkeys(names))

    def commit(self, journal: Journal, tx: Transaction, begin: Callable[[], Transaction]) -> Transaction:
        """Commit `tx`; after a conflict replay it and commit that. The transaction that committed.

        Raises Conflict (nothing was written) when an answer differs or a bound is reached, and whatever else
        `Transaction.commit` raises.
        """
        if self._hot and tx.has_writes and self.policy.enabled:
            self._queue_at_once(journal, tx)
        try:
            tx.commit()
            return tx
        except Conflict as conflict:
            committed = self._until_done(journal, tx, begin, conflict, _commit_whole)
        with self._counting:
            self.replayed_commits += 1
        return committed

    def recover(
        self, journal: Journal, tx: Transaction, begin: Callable[[], Transaction], conflict: Conflict | None = None
    ) -> Transaction:
        """After a `conflict` in the middle of a statement: a fresh transaction in which all before it has been run.

        The caller then runs the statement again, with fresh draws. Raises as `commit` does.
        """
        cause = conflict if conflict is not None else Conflict("what this transaction read has changed")
        drawn = journal.entries[-1].drawn if journal.entries else 0
        if drawn is not None:
            tx.tape.cut(drawn)  # nothing that the application has seen depends on what the statement drew
        return self._until_done(journal, tx, begin, cause, lambda fresh: None)

    def _until_done(
        self,
        journal: Journal,
        tx: Transaction,
        begin: Callable[[], Transaction],
        conflict: Conflict,
        finish: Callable[[Transaction], None],
    ) -> Transaction:
        tx.rollback()
        drawn = len(tx.tape.values)
        slot_s = self.policy.first_wait_s
        expected = tx.expectations()
        while True:
            self._check_bounds(journal, conflict)
            started = self._clock()
            fresh = begin()
            try:
                self._wait(journal, fresh, slot_s)
                tx.tape.cut(drawn)  # a try that took another course may have drawn more
                tried = self._clock()
                try:
                    if len(journal.entries) > 1:
                        fresh = _look_ahead(fresh, begin, expected)
                    _run_again(journal, tx, fresh, finish)
                finally:
                    slot_s = max(slot_s, self._clock() - tried)
                return fresh
            except (_Different, Diverged) as different:
                met = journal.contended | dict.fromkeys(changed(places(expected), places(fresh.expectations())))
                self._refusals.add(_what(journal.entries[0].run), met)
                why = str(different) if isinstance(different, _Different) else ANOTHER_COURSE
                raise self._refuse(why, conflict) from conflict
            except Conflict as again:
                conflict = again
                before, expected = expected, fresh.expectations()
                journal.contended.update(dict.fromkeys(changed(places(before), places(expected))))
            finally:
                journal.spent_s += self._clock() - started

    def _check_bounds(self, journal: Journal, conflict: Conflict) -> None:
        policy = self.policy
        if not policy.enabled:
            with self._counting:
                self.refused += 1
            raise conflict
        if journal.given_up:
            raise self._refuse("it answered more than is kept for a replay", conflict) from conflict
        if journal.tries >= policy.max_tries:
            raise self._refuse(f"{journal.tries} replays met conflicts too", conflict) from conflict
        if journal.spent_s >= policy.max_time_s:
            raise self._refuse(f"replays took {journal.spent_s:.1f} s", conflict) from conflict

    def _refuse(self, why: str, conflict: Conflict) -> Conflict:
        with self._counting:
            self.refused += 1
        return Conflict(
            f"a concurrent transaction changed what this one read, and {why}; nothing was written, "
            "run the transaction again"
        )

    def _wait(self, journal: Journal, fresh: Transaction, slot_s: float) -> None:
        """Before a try: from the second on, queue; or else wait at random."""
        tries = journal.tries
        journal.tries += 1
        with self._counting:
            self.replays += 1
        if tries and not self._queue(journal, fresh):
            self._sleep(min(slot_s * 2**tries, self.policy.max_wait_s) * self._jitter())

    def _queue(self, journal: Journal, fresh: Transaction) -> bool:
        """Whether it is the transaction's turn where it meets others."""
        if not journal.contended:
            return False
        self._hot.add(journal.contended)
        left_ms = int((self.policy.max_time_s - journal.spent_s) * 1000)
        return fresh.take_turn(journal.contended, max(1, left_ms))

    def _queue_at_once(self, journal: Journal, tx: Transaction) -> None:
        """Before a first commit: queue where others of this process had to."""
        names = self._hot.among(places(tx.expectations()))
        if names:
            started = self._clock()
            tx.take_turn(names, max(1, int(self.policy.max_time_s * 1000)))
            journal.contended.update(dict.fromkeys(names))
            journal.spent_s += self._clock() - started


def _look_ahead(fresh: Transaction, begin: Callable[[], Transaction], expected: Sequence[Expectation]) -> Transaction:
    """A transaction that knows what the last try has read; one that knows nothing if the catalogue has changed."""
    try:
        fresh.look_ahead(expected)
        return fresh
    except GuardChanged:
        fresh.rollback()
        return begin()


def _run_again(journal: Journal, tx: Transaction, fresh: Transaction, finish: Callable[[Transaction], None]) -> None:
    fresh.tape = tx.tape
    fresh.tape.rewind()
    try:
        for entry in journal.entries:
            _replay(entry, fresh)
        finish(fresh)
    except BaseException:
        fresh.rollback()
        raise


def _commit_whole(fresh: Transaction) -> None:
    if fresh.tape.position != len(fresh.tape.values):
        raise _Different(ANOTHER_COURSE)
    fresh.commit()


def _what(run: Run) -> object:
    """What tells `run` from others: the same statement with the same parameters is the same."""
    return (run.func, run.args) if isinstance(run, partial) else run


class _Different(Exception):
    """A replayed entry did not answer as it had."""


def _replay(entry: Entry, fresh: Transaction) -> None:
    result: object
    try:
        result = entry.run(fresh)
    except OperationalError:
        raise
    except Error as error:
        result = Failure(type(error), str(error))
    if result != entry.result:
        raise _Different("its answers would now be different")
    if entry.drawn is not None and fresh.tape.position != entry.drawn:
        raise _Different(ANOTHER_COURSE)
