"""One transaction: reads in waves, buffered writes, savepoints, one commit. docs/transactions.md has the promises."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

from rome.driver.api import (
    Cell,
    Driver,
    Expectation,
    ExpectCell,
    ExpectLock,
    ExpectRange,
    Patience,
    Scan,
    after,
)
from rome.errors import Conflict, Deadlock, InactiveTransaction, InternalError, LockNotAvailable
from rome.txn.commit import CommitProtocol, OneRoundTrip
from rome.txn.distance import Distance
from rome.txn.leases import RowLeases
from rome.txn.overlay import Overlay
from rome.txn.private import Private
from rome.txn.recent import MAX_CELLS, Recent
from rome.txn.view import Ahead, Course, Guard, GuardChanged, Stats, View, ViewMark
from rome.txn.wave import Step, Wave, WaveResult

__all__ = ["Ahead", "Course", "Diverged", "GuardChanged", "Isolation", "Savepoint", "Stats", "Tape", "Transaction"]

T = TypeVar("T")

_ONE_ROUND_TRIP = OneRoundTrip()
LOOKED_AHEAD: Final = 512  # cells and ranges that a replay reads at once


class Isolation(enum.StrEnum):
    """How far a transaction is kept from others. AUTOCOMMIT lives above: one transaction for each statement."""

    SERIALIZABLE = "SERIALIZABLE"
    READ_COMMITTED = "READ COMMITTED"


class Diverged(Conflict):
    """A replay takes another course than the first run did: it draws what was not drawn then."""


class TapePlace(NamedTuple):
    """A place on a tape, and whether new values were drawn from there on."""

    position: int
    new: bool


class Tape:
    """The values a transaction drew from elsewhere than the store's cells, in order, and where each came from.

    A transaction that is replayed reads the same values back, then goes on drawing.
    """

    __slots__ = ("_sources", "position", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.position = 0  # of the next value to be read back or drawn
        self._sources: list[object] = []

    def draw(self, make: Callable[[], T], source: object) -> T:
        """The next value of the tape, made now if it has not been drawn before.

        Raises Diverged if the value there came from another `source`: a time must not be read back as a number.
        """
        if self.position == len(self.values):
            value = make()
            self.values.append(value)
            self._sources.append(source)
        elif self._sources[self.position] != source:
            raise Diverged("this transaction was replayed and took another course; nothing was written, run it again")
        else:
            value = self.values[self.position]
        self.position += 1
        return value

    @property
    def replaying(self) -> bool:
        """Whether the next value was drawn before."""
        return self.position < len(self.values)

    def place(self) -> TapePlace:
        """Where the tape stands, for `back_to`."""
        return TapePlace(self.position, self.position == len(self.values))

    def back_to(self, place: TapePlace) -> None:
        """Draw again from `place` on what was drawn for the first time there; read again what was read back there."""
        if place.new:
            self.cut(place.position)
        else:
            self.position = place.position

    def rewind(self) -> None:
        """Read back from the beginning."""
        self.position = 0

    def cut(self, position: int) -> None:
        """Forget what was drawn from `position` on."""
        del self.values[position:], self._sources[position:]
        self.position = min(self.position, position)


class Savepoint(NamedTuple):
    """A place to return to; belongs to the transaction that made it."""

    transaction: Transaction
    mark: int
    context: object
    guard: Guard | None  # what the context was planned on


class Mark(NamedTuple):
    """The beginning of a statement that may have to be run again; belongs to the transaction that made it."""

    view: ViewMark
    overlay: int
    tape: TapePlace


class Leased(NamedTuple):
    """What came of asking for row leases: the rows that others have, and whether what was read may be out of date."""

    refused: frozenset[bytes]
    moved: bool


class NumberBlock(NamedTuple):
    """Numbers taken for one transaction: the next one, the first that is not its own, and how many to take then."""

    start: int
    stop: int
    next_size: int


MOST_NUMBERS: Final = 32
NONE_NEEDED: Final = Leased(frozenset(), False)


class Transaction:
    """A transaction over one store; for one thread at a time.

    `context` is for the floor above (its Catalog); `rollback_to` gives it back as it was at the savepoint, or None if
    the guard was found at another version since. `active` says that neither `commit` nor `rollback` has ended it.
    `repeats` is for that floor, too: what it remembers of the statements it ran. `committed_at` is the commit counter
    of the transaction's writes.

    Lists in a `WaveResult` may be the driver's own and are looked at again at commit: steps must not change them. A
    cell from the transaction's own writes has version 0.
    """

    __slots__ = (
        "_begun", "_blocks", "_commits", "_conflict", "_distance", "_driver", "_has_private", "_hold", "_increments",
        "_isolation", "_leases", "_locks", "_overlay", "_private", "_protocol", "_recalled", "_recent", "_statement",
        "_under", "_view", "active", "committed_at", "context", "repeats", "tape",
    )  # fmt: skip

    def __init__(
        self,
        driver: Driver,
        *,
        isolation: Isolation = Isolation.SERIALIZABLE,
        guard: Guard | None = None,
        tape: Tape | None = None,
        leases: RowLeases | None = None,
        under: ExpectLock | None = None,
        recent: Recent | None = None,
        private: Private | None = None,
        distance: Distance | None = None,
        protocol: CommitProtocol = _ONE_ROUND_TRIP,
    ) -> None:
        """Costs no round trip. `guard` is the key of a version cell and its expected version (0: no such cell).

        `leases` are those that the application's transaction has, of which this may be a replay; without them nothing
        is locked. `under` is a lease without which nothing is committed. `recent` is what the connection has read
        lately; a replay goes without. `private` is what it keeps to itself; without it there is nothing of the kind.
        `distance` is told of every read.
        """
        self.context: object = None
        self.repeats: object = None
        self.tape = Tape() if tape is None else tape
        self.active = True
        self.committed_at: int | None = None
        self._driver = driver
        self._distance = distance
        self._leases = leases
        self._under = under
        self._isolation = isolation
        self._protocol = protocol
        self._view = View(driver, guard, distance)
        self._overlay = Overlay()
        self._hold = False  # keep what the statement reads
        self._statement = 0  # the overlay's mark at the beginning of the statement
        self._conflict = ""  # why the view is lost; its message
        self._recent = recent
        self._recalled: dict[bytes, Cell | None] = {}
        self._begun = (0.0, 0) if recent is None else recent.now()
        self._blocks: dict[bytes, NumberBlock] = {}
        self._increments = 0
        self._locks = 0
        self._commits = 0
        self._private = private
        self._has_private = private is not None and bool(private.cells)
        if private is not None and private.cells:
            self._overlay.cells.update(private.cells)
            self._view.note_empty(private.prefix, after(private.prefix))

    @property
    def has_writes(self) -> bool:
        """Whether `commit` has anything to write."""
        return bool(self._writes())

    @property
    def keeps_private(self) -> bool:
        """Whether there is a place for what the store must not hear of."""
        return self._private is not None

    def private_cells(self, start: bytes, stop: bytes) -> list[bytes]:
        """The values of the private cells in start <= key < stop, in the order of their keys."""
        if not self._has_private:
            return []
        found = {key: value for key, value in self._overlay.cells.items() if start <= key < stop and value is not None}
        return [found[key] for key in sorted(found)]

    def _writes(self) -> Mapping[bytes, bytes | None]:
        """What the store is to hear of."""
        private, cells = self._private, self._overlay.cells
        if private is None or not self._has_private:
            return cells
        return {key: value for key, value in cells.items() if not private.owns(key)}

    @property
    def guard_checked(self) -> bool:
        """Whether the guard is known to have the version expected of it: a read has looked, or there is none.

        Until then all that was done rests on a version that may be out of date.
        """
        return self._view.guard_checked

    @property
    def stats(self) -> Stats:
        """What the transaction has cost so far."""
        return self._view.stats(self._increments, self._locks, self._commits)

    @property
    def reads_one_state(self) -> bool:
        """Whether what one statement has read can answer another: SERIALIZABLE."""
        return self._isolation is Isolation.SERIALIZABLE

    def run(self, step: Step[T], ahead: Ahead | None = None) -> T:
        """Drive `step` to its value; a wave costs one round trip, or none if own writes and earlier waves answer it.

        `ahead` says what to read along with the first wave if that costs a round trip, for steps to come: they are
        answered as if they had read it then, and no one else hears of it. It must read nothing and draw nothing.
        SERIALIZABLE only; else it is not asked.

        Raises GuardChanged when the wave that opens a view finds the guard at another version: begin a new step. Raises
        Conflict when what was read earlier has changed (stores without snapshots); nothing more can then be read.
        """
        if not self.active:
            raise InactiveTransaction("the transaction has ended; roll back and begin another")
        try:
            wave = next(step)
        except StopIteration as stop:
            value: T = stop.value
            return value
        if not self.reads_one_state:
            ahead = None
        try:
            while True:
                answer = self._answer(wave, ahead)
                ahead = None
                try:
                    wave = step.send(answer)
                except StopIteration as stop:
                    value = stop.value
                    return value
        finally:
            step.close()

    @property
    def has_read(self) -> bool:
        """Whether anything was read of the store, or expected of it for a read that was spared."""
        return bool(self._view.waves or self._recalled)

    @property
    def is_remote(self) -> bool:
        """Whether a read leaves this process."""
        return self._driver.traits.remote

    @property
    def is_far(self) -> bool:
        """Whether a round trip takes so long that it is worth saving with cells that may be read in vain."""
        return self._distance is not None and self._distance.far

    @property
    def is_near(self) -> bool:
        """Whether a round trip takes so little that sparing one is not worth much."""
        return self._distance is not None and self._distance.near

    @property
    def brings_along(self) -> bool:
        """Whether to read what belongs to rows that may be left out: from afar, unless it is known what is needed."""
        return self.is_far and not self._view.is_certain

    def follow_course(self, course: Course) -> None:
        """Tell `course` what this transaction needs of the store after its first wave, and when it is over."""
        self._view.follow_course(course)

    def _answer(self, wave: Wave, ahead: Ahead | None) -> WaveResult:
        if self._conflict:
            raise Conflict(self._conflict)
        if not any(wave):
            return WaveResult([], [], [])
        try:
            if self._overlay.cells:
                return self._overlay.read(self._view, wave, ahead)
            return self._view.read(wave, ahead)
        except Conflict as conflict:
            self._conflict = "what this transaction read has changed; nothing was written, run it again"
            raise Conflict(self._conflict) from conflict

    def begin_statement(self) -> None:
        """READ COMMITTED: the next read sees the newest state; else nothing.

        What the last statement read stays expected if it wrote: an UPDATE never overwrites what it did not see, and
        the uniqueness and references it checked still hold at commit.
        """
        if self._isolation is Isolation.READ_COMMITTED:
            self._view.begin_statement(keep=self._hold or self._overlay.mark > self._statement)
            self._statement = self._overlay.mark
            self._hold = False

    def hold_statement(self) -> None:
        """READ COMMITTED: what this statement reads stays expected until the commit, as FOR UPDATE asks for."""
        self._hold = True

    def is_absent(self, key: bytes) -> bool:
        """Whether this transaction knows from what it read that the store, own writes left aside, has no cell at `key`.

        False when that was not read. True is expected to hold until the commit.
        """
        return self._view.is_absent(key)

    def recall(self, hopes: Mapping[bytes, bool], vacant: Sequence[bytes]) -> dict[bytes, Cell | None] | None:
        """The cells at the keys of `hopes`, as the connection has read them lately, if all are as hoped: there, or not.

        They are expected at the commit then, like those of a wave, and the keys of `vacant` to be absent. None when
        they must be read: in a transaction that has read already, or that writes to one of them.
        """
        recent, guard = self._recent, self._view.guard
        if not hopes or recent is None or guard is None or self._view.waves:
            return None
        if self._isolation is not Isolation.SERIALIZABLE:
            return None
        if not self._overlay.cells.keys().isdisjoint((*hopes, *vacant)):
            return None
        cells = recent.find(hopes, ExpectCell(*guard))
        if cells is not None:
            self._view.take(cells, vacant)
            self._recalled |= cells
        return cells

    def leave(self, recent: Recent) -> None:
        """Leave what this transaction knew to the connection's next one; nothing if it was rolled back or failed."""
        done = self.committed_at is not None or not self.has_writes
        if self._conflict or not done or self._view.guard is None or not self._view.guard_checked:
            recent.clear()
            return
        if self._view.cells_read > MAX_CELLS:
            return
        self._view.learn_cells(self._recalled)
        recent.keep(self._begun, ExpectCell(*self._view.guard), self._view.known, self._overlay.cells.keys())

    def note_empty(self, start: bytes, stop: bytes) -> None:
        """Take it that the store, own writes left aside, has nothing in start <= key < stop, and read nothing there.

        It must follow from what the transaction has read: nothing else is expected of the range at the commit.
        """
        self._view.note_empty(start, stop)

    def mark(self) -> Mark:
        """The beginning of a statement, for `back_to`."""
        return Mark(self._view.mark(), self._overlay.mark, self.tape.place())

    def back_to(self, mark: Mark) -> None:
        """Undo and forget what was done and read since `mark`, and read the newest state from here on.

        For a statement whose answer no one has seen. What was read before it stays expected: the next read raises
        Conflict if it has changed.
        """
        self._overlay.undo(mark.overlay)
        self._view.back_to(mark.view)
        self.tape.back_to(mark.tape)

    def expect_only(self, mark: Mark, start: bytes, stop: bytes, keys: Set[bytes]) -> None:
        """Of what was read since `mark` in start <= key < stop, expect the cells at `keys` and nothing else."""
        self._view.expect_only(mark.view, start, stop, keys)

    def locked_by_others(self, prefix: bytes) -> set[bytes]:
        """The keys below `prefix` of the rows that others have leases of; one round trip."""
        if self._leases is None:
            return set()
        self._locks += 1
        return self._leases.of_others(prefix)

    def lock_rows(self, keys: Iterable[bytes], patience: Patience, what: str) -> Leased:
        """Have the leases of the rows with these keys until the application's transaction ends.

        One round trip, none for rows that are locked already; more (counted as one) while others have them. `what`
        names their tables for people. Raises LockNotAvailable, Deadlock.
        """
        taken = None if self._leases is None else self._leases.take(keys, patience, what)
        if taken is None:
            return NONE_NEEDED
        self._locks += 1
        return Leased(taken.refused, self._view.moved(taken.version))

    def take_turn(self, names: Iterable[bytes], wait_ms: int) -> bool:
        """Queue for these leases until the application's transaction ends; whether it has them, within `wait_ms`.

        They keep others of their kind away while this transaction is tried again; nothing rests on them.
        """
        if self._leases is None:
            return False
        self._locks += 1
        try:
            self._leases.take(names, Patience.WAIT, "what others change too", wait_ms)
        except (Deadlock, LockNotAvailable):
            return False
        return True

    def look_ahead(self, expectations: Sequence[Expectation]) -> None:
        """Read in one round trip what an earlier try of this transaction expects, and so has read: then this one needs
        no other, while it takes the same course, and others have little time to change it. SERIALIZABLE only, and
        nothing if it is much.

        Raises GuardChanged; this transaction must not be used then, as no statement has heard of it.
        """
        cells = [each.key for each in expectations if isinstance(each, ExpectCell)]
        ranges = [each for each in expectations if isinstance(each, ExpectRange)]
        size = len(cells) + len(ranges) + sum(len(each.keys) for each in ranges)
        if self._isolation is Isolation.SERIALIZABLE and 0 < size <= LOOKED_AHEAD:
            self._view.read(Wave(cells, [Scan(each.start, each.stop) for each in ranges]))

    def expectations(self) -> tuple[Expectation, ...]:
        """What was read so far, as the commit expects it."""
        return self._view.expectations()

    def write(self, key: bytes, value: bytes | None) -> None:
        """Buffer a write; None deletes. Seen by this transaction at once, by others after `commit`."""
        if not self.active:
            raise InactiveTransaction("the transaction has ended; roll back and begin another")
        if self._private is not None and self._private.owns(key):
            self._has_private = True
        self._overlay.put(key, value)

    def write_all(self, cells: Mapping[bytes, bytes | None]) -> None:
        """`write` for each of `cells`."""
        if not self.active:
            raise InactiveTransaction("the transaction has ended; roll back and begin another")
        if self._private is not None and self._private.owns_any(cells):
            self._has_private = True
        self._overlay.put_all(cells)

    def savepoint(self) -> Savepoint:
        """A place for `rollback_to`; costs nothing and needs no release."""
        return Savepoint(self, self._overlay.mark, self.context, self._view.guard)

    def rollback_to(self, savepoint: Savepoint) -> None:
        """Take back every write since `savepoint` and restore `context`.

        What was read stays expected: the application has seen it. Draws are not taken back.
        """
        if savepoint.transaction is not self:
            raise InternalError("a savepoint of another transaction")
        self._overlay.undo(savepoint.mark)
        self._statement = min(self._statement, savepoint.mark)
        self.context = savepoint.context if savepoint.guard == self._view.guard else None

    def draw(self, make: Callable[[], T], of: object = None) -> T:
        """A value that is not a function of what was read: the time, a random number. A replay gets the same.

        `of` tells apart what the same code draws for different purposes (two tables' numbers); compared with ==.
        """
        return self.tape.draw(make, (_source(make), of))

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        """`driver.increment`, drawn: outside the transaction, never undone, the same again in a replay."""
        return self.tape.draw(lambda: self._increment(key, by, at_least), (key, by, at_least))

    def next_number(self, key: bytes) -> int:
        """A number of the counter at `key` that no one else ever gets; drawn, as by `increment`.

        Many cost few round trips: they are taken in blocks that grow, and what is left of the last one is lost.
        """
        start, stop, size = self._blocks.get(key, NumberBlock(0, 0, 1))
        if start == stop:
            stop = self.increment(key, size) + 1
            start, size = stop - size, min(2 * size, MOST_NUMBERS)
        self._blocks[key] = NumberBlock(start + 1, stop, size)
        return start

    def _increment(self, key: bytes, by: int, at_least: int) -> int:
        if self._private is not None and self._private.owns(key):
            return self._private.increment(key, by, at_least)
        self._increments += 1
        return self._driver.increment(key, by, at_least)

    def commit(self) -> None:
        """Make the writes visible, all or nothing, if everything that was read still holds; then the transaction ends.

        Without writes no round trip is needed: what was read held together in the state of the last read. Under a
        lease there is always one, which asks for the lease. Raises Conflict, LeaseLost or Unavailable (nothing was
        written), OutcomeUnknown, and what else `driver.commit` raises; the transaction has ended then, too.
        """
        if not self.active:
            raise InactiveTransaction("the transaction has ended; roll back and begin another")
        self.active = False
        try:
            if self._conflict:
                raise Conflict(self._conflict)
            if self.has_writes or self._under is not None:
                self._publish()
            if self._private is not None and self._has_private:
                self._private.keep(self._overlay.cells, self.context)
        finally:
            self._view.close()
            self._view.end_course()

    def _publish(self) -> None:
        self.begin_statement()  # READ COMMITTED: let go of what only the last statement's answer depended on
        self._commits += 1
        writes = list(self._writes().items())
        expect = self._view.expectations() if writes else ()
        if self._under is not None:
            expect = (*expect, self._under)
        committed_at = self._protocol.publish(self._driver, expect, writes)
        if writes:
            self.committed_at = committed_at

    def rollback(self) -> None:
        """Forget everything. May be called again, and after `commit`."""
        self.active = False
        self._view.close()
        self._view.end_course()


def _source(make: Callable[[], object]) -> object:
    """What tells `make` from the makers of other values: the code it runs, whatever it was made with."""
    while isinstance(make, partial):
        make = make.func
    return getattr(make, "__code__", make)
