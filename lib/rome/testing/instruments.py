"""Drivers that wrap a driver: to count what is asked of a store, to compare two stores, to lose messages.

    Recorder(driver)         keeps a log of every round trip with its keys and bytes
    Mirror(first, second)    asks both and raises Disagreement where their answers differ
    Faulty(driver, …)        drops requests and replies, delays and repeats them, as a network does

Each is a driver itself and keeps the promises that its traits declare.
"""

from __future__ import annotations

import enum
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TypeVar

from rome.driver.api import (
    Cell,
    Driver,
    Expectation,
    ExpectCell,
    ExpectLock,
    Holding,
    Locking,
    Patience,
    Range,
    Reading,
    Scan,
    Scope,
    Traits,
    View,
    Write,
)
from rome.driver.sizes import check_keys, check_writes
from rome.errors import Conflict, Error, InterfaceError, OutcomeUnknown, Unavailable

T = TypeVar("T")


class Turn:
    """A lock that a forked child finds free, whoever held it at the fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


@dataclass(frozen=True, slots=True)
class Call:
    """One round trip.

    `keys_sent` counts gets, expected keys, written keys, counters, locks, two bounds for each range and one for each
    follow; `cells` the cells that came back, dereferenced and followed ones included. `bytes_sent` and `bytes_received`
    count keys and values, not what a protocol adds. `error` is the name of the class of what was raised, "" for
    nothing.
    """

    name: str
    keys_sent: int
    cells: int
    bytes_sent: int
    bytes_received: int
    at_view: bool = False
    error: str = ""


class Recorder:
    """Counts what is asked of `inner`; `calls` holds every round trip since the last `reset`.

    `release` and `close` are no round trips. A reading at a view is one.
    """

    def __init__(self, inner: Driver) -> None:
        self.inner = inner
        self.traits = inner.traits
        self.calls: list[Call] = []

    @property
    def round_trips(self) -> int:
        return len(self.calls)

    @property
    def cells(self) -> int:
        """Cells received."""
        return sum(call.cells for call in self.calls)

    @property
    def bytes_sent(self) -> int:
        return sum(call.bytes_sent for call in self.calls)

    @property
    def bytes_received(self) -> int:
        return sum(call.bytes_received for call in self.calls)

    def reset(self) -> list[Call]:
        """The log so far; it begins anew."""
        calls, self.calls = self.calls, []
        return calls

    def _record(
        self,
        name: str,
        sent: Sequence[bytes],
        ask: Callable[[], T],
        received: Callable[[T], list[Cell]] = lambda answer: [],
        value_bytes: int = 0,
        at_view: bool = False,
    ) -> T:
        sent_bytes = sum(map(len, sent)) + value_bytes
        try:
            answer = ask()
        except Error as error:
            self.calls.append(Call(name, len(sent), 0, sent_bytes, 0, at_view, type(error).__name__))
            raise
        cells = received(answer)
        received_bytes = sum(len(cell.key) + len(cell.value) for cell in cells)
        self.calls.append(Call(name, len(sent), len(cells), sent_bytes, received_bytes, at_view))
        return answer

    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: View | None = None,
        counts: Sequence[Range] = (),
    ) -> Reading:
        bounds = [bound for scan in scans for bound in (scan.start, scan.stop)]
        bounds += [follow.prefix for scan in scans for follow in scan.follow]
        bounds += [bound for counted in counts for bound in counted]
        return self._record(
            "read",
            [*gets, *bounds, *_expected_keys(expect)],
            lambda: self.inner.read(gets, scans, expect, view, counts),
            _cells_of,
            at_view=view is not None,
        )

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        return self._record(
            "commit",
            [*_expected_keys(expect), *(key for key, _ in writes)],
            lambda: self.inner.commit(expect, writes, mark),
            value_bytes=sum(len(value) for _, value in writes if value is not None),
        )

    def outcome(self, mark: bytes) -> int | None:
        return self._record("outcome", [mark], lambda: self.inner.outcome(mark))

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        return self._record("increment", [key], lambda: self.inner.increment(key, by, at_least))

    def clear(self, prefix: bytes) -> None:
        self._record("clear", [prefix], lambda: self.inner.clear(prefix))

    def lock(
        self, session: bytes, names: Sequence[bytes], ttl_ms: int, patience: Patience, label: bytes = b""
    ) -> Locking:
        return self._record("lock", names, lambda: self.inner.lock(session, names, ttl_ms, patience, label))

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        return self._record("renew", [], lambda: self.inner.renew(session, ttl_ms))

    def unlock(self, session: bytes, names: Sequence[bytes] | None = None) -> None:
        self._record("unlock", names or [], lambda: self.inner.unlock(session, names))

    def locks(self, prefix: bytes = b"") -> list[Holding]:
        return self._record("locks", [prefix], lambda: self.inner.locks(prefix))

    def release(self, view: View | None) -> None:
        self.inner.release(view)

    def close(self) -> None:
        self.inner.close()


def _expected_keys(expect: Sequence[Expectation]) -> list[bytes]:
    keys: list[bytes] = []
    for expectation in expect:
        if isinstance(expectation, ExpectCell):
            keys.append(expectation.key)
        elif isinstance(expectation, ExpectLock):
            keys.append(expectation.name)
        else:
            keys += (expectation.start, expectation.stop)
    return keys


def _cells_of(reading: Reading) -> list[Cell]:
    """Every cell that a reading brought."""
    return [cell for cells in _lists_of(reading) for cell in cells or () if cell is not None]


def _lists_of(reading: Reading) -> list[Sequence[Cell | None] | None]:
    """Every list of cells in a reading, in an order that is the same for two answers to the same question."""
    followed = [each for follows in reading.followed for every in follows for found in every for each in found[1:]]
    return [reading.cells, *reading.scans, *reading.rows, *followed]


class Disagreement(AssertionError):
    """Two stores gave different answers to the same question."""


@dataclass(frozen=True, slots=True)
class MirrorView:
    """The same state of both stores."""

    first: View
    second: View


class Mirror:
    """Asks `first` and `second` the same and answers as `first` does; Disagreement if they differ.

    Both stores must be empty at the start and changed through mirrors alone, of one process. Mirrors on the same two
    stores must share `turn`: it makes both stores see all calls in the same order. Versions, tokens, times left and
    estimates may differ; keys, values, order, presence, numbers drawn, who has which lock and classes of errors may
    not. Two clocks can differ on whether a session has just run out: ask for locks well before or well after.

    A fork cannot keep two stores in step when the parent sees one of them change and the other not: in the child, the
    first store goes on alone.
    """

    def __init__(self, first: Driver, second: Driver, turn: Turn | None = None) -> None:
        self.first = first
        self.second = second
        one, other = first.traits, second.traits
        self.traits = Traits(
            scope=one.scope if other.scope is Scope.STORE else other.scope,
            snapshots=one.snapshots and other.snapshots,
            durable=one.durable and other.durable,
            shared=one.shared and other.shared,
            remote=one.remote and other.remote,
            max_key_bytes=min(one.max_key_bytes, other.max_key_bytes),
            max_value_bytes=min(one.max_value_bytes, other.max_value_bytes),
            max_commit_bytes=min(one.max_commit_bytes, other.max_commit_bytes),
            min_ttl_ms=max(one.min_ttl_ms, other.min_ttl_ms),
        )
        self._turn = turn or Turn()
        self._process = os.getpid()
        self._versions: dict[int, int] = {0: 0}  # of cells: the second store's by the first's for the same commit
        self._back: dict[int, int] = {0: 0}  # and the other way round
        self._states: dict[int, int] = {}  # of readings, likewise
        self._tokens: dict[tuple[bytes, int], int] = {}  # of locks, by name: the second store's by the first's

    def _alone(self) -> bool:
        return self._process != os.getpid()

    def _both(self, ask_first: Callable[[], T], ask_second: Callable[[], T]) -> tuple[T, T]:
        """Both answers; raises the first store's error if both raise the same class."""
        one, failed = _outcome_of(ask_first)
        other, failed_too = _outcome_of(ask_second)
        if type(failed) is not type(failed_too):
            raise Disagreement(f"first: {failed or one!r}; second: {failed_too or other!r}") from failed
        if failed is not None:
            raise failed
        return one, other  # type: ignore[return-value]

    def _for_second(self, expect: Sequence[Expectation]) -> list[Expectation]:
        """`expect` in the second store's versions and tokens; one never seen becomes one that nothing has."""
        return [self._translated(each) for each in expect]

    def _translated(self, each: Expectation) -> Expectation:
        if isinstance(each, ExpectLock):
            return each._replace(token=self._tokens.get((each.name, each.token), 1 << 62))
        if isinstance(each, ExpectCell):
            return ExpectCell(each.key, self._versions.get(each.version, 1 << 62))
        return each._replace(version=self._states.get(each.version, self._versions.get(each.version, 0)))

    def _pair(self, one: int, other: int) -> None:
        """Note that `one` and `other` are versions of one commit."""
        if self._versions.setdefault(one, other) != other or self._back.setdefault(other, one) != one:
            raise Disagreement(f"the versions {one} and {other} belong to two commits")

    def _compare(self, one: Reading, other: Reading) -> None:
        if list(one.counts) != list(other.counts):
            raise Disagreement(f"counted first: {one.counts}; second: {other.counts}")
        for cells, twins in zip(_lists_of(one), _lists_of(other), strict=True):
            mine, theirs = ([cell and (cell.key, cell.value) for cell in each or ()] for each in (cells, twins))
            if mine != theirs or (cells is None) != (twins is None):
                raise Disagreement(f"first: {cells!r}; second: {twins!r}")
            for cell, twin in zip(cells or (), twins or (), strict=True):
                if cell is not None and twin is not None:
                    self._pair(cell.version, twin.version)

    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: View | None = None,
        counts: Sequence[Range] = (),
    ) -> Reading:
        if self._alone():
            return self.first.read(gets, scans, expect, None, counts)
        check_keys(self.traits, gets)
        first_view, second_view = (view.first, view.second) if isinstance(view, MirrorView) else (None, None)
        with self._turn:
            one, other = self._both(
                lambda: self.first.read(gets, scans, expect, first_view, counts),
                lambda: self.second.read(gets, scans, self._for_second(expect), second_view, counts),
            )
            self._compare(one, other)
            self._states.setdefault(one.version, other.version)
            if view is not None:
                return one._replace(view=view)
            if self.traits.snapshots:
                return one._replace(view=MirrorView(one.view, other.view))
            self.first.release(one.view)
            self.second.release(other.view)
            return one._replace(view=None)

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        if self._alone():
            return self.first.commit(expect, writes, mark)
        check_writes(self.traits, writes)
        with self._turn:
            one, other = self._both(
                lambda: self.first.commit(expect, writes, mark),
                lambda: self.second.commit(self._for_second(expect), writes, mark),
            )
            if writes:
                self._pair(one, other)
            return one

    def outcome(self, mark: bytes) -> int | None:
        if self._alone():
            return self.first.outcome(mark)
        with self._turn:
            one, other = self._both(lambda: self.first.outcome(mark), lambda: self.second.outcome(mark))
            if (one is None) != (other is None):
                raise Disagreement(f"a commit was applied in one store only: {one} and {other}")
            return one

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        if self._alone():
            return self.first.increment(key, by, at_least)
        check_keys(self.traits, (key,))
        with self._turn:
            one, other = self._both(
                lambda: self.first.increment(key, by, at_least), lambda: self.second.increment(key, by, at_least)
            )
            if one != other:
                raise Disagreement(f"a counter gives {one} and {other}")
            return one

    def clear(self, prefix: bytes) -> None:
        if self._alone():
            return self.first.clear(prefix)
        with self._turn:
            self._both(lambda: self.first.clear(prefix), lambda: self.second.clear(prefix))

    def lock(
        self, session: bytes, names: Sequence[bytes], ttl_ms: int, patience: Patience, label: bytes = b""
    ) -> Locking:
        if self._alone():
            return self.first.lock(session, names, ttl_ms, patience, label)
        check_keys(self.traits, names)
        ttl_ms = max(ttl_ms, self.traits.min_ttl_ms)
        with self._turn:
            one, other = self._both(
                lambda: self.first.lock(session, names, ttl_ms, patience, label),
                lambda: self.second.lock(session, names, ttl_ms, patience, label),
            )
            for name, mine, theirs in zip(names, one.standings, other.standings, strict=True):
                if mine.holder != theirs.holder or (mine.token > 0) != (theirs.token > 0):
                    raise Disagreement(f"first: {one!r}; second: {other!r}")
                self._same_token(name, mine.token, theirs.token)
            self._states.setdefault(one.version, other.version)
            return one

    def _same_token(self, name: bytes, one: int, other: int) -> None:
        if self._tokens.setdefault((name, one), other) != other:
            raise Disagreement(f"the tokens {one} and {other} belong to two turns")

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        if self._alone():
            return self.first.renew(session, ttl_ms)
        ttl_ms = max(ttl_ms, self.traits.min_ttl_ms)
        with self._turn:
            one, other = self._both(
                lambda: self.first.renew(session, ttl_ms), lambda: self.second.renew(session, ttl_ms)
            )
            if one != other:
                raise Disagreement("a session lives in one store only")
            return one

    def unlock(self, session: bytes, names: Sequence[bytes] | None = None) -> None:
        if self._alone():
            return self.first.unlock(session, names)
        with self._turn:
            self._both(lambda: self.first.unlock(session, names), lambda: self.second.unlock(session, names))

    def locks(self, prefix: bytes = b"") -> list[Holding]:
        if self._alone():
            return self.first.locks(prefix)
        with self._turn:
            one, other = self._both(lambda: self.first.locks(prefix), lambda: self.second.locks(prefix))
            if [_untimed(each) for each in one] != [_untimed(each) for each in other]:
                raise Disagreement(f"first: {one!r}; second: {other!r}")
            for mine, theirs in zip(one, other, strict=True):
                self._same_token(mine.name, mine.token, theirs.token)
            return one

    def release(self, view: View | None) -> None:
        if isinstance(view, MirrorView):
            self.first.release(view.first)
            self.second.release(view.second)

    def close(self) -> None:
        with self._turn:
            self.first.close()
            self.second.close()


def _untimed(holding: Holding) -> Holding:
    """`holding` without what two stores may say differently."""
    return holding._replace(token=0, remaining_ms=0)


def _outcome_of(ask: Callable[[], T]) -> tuple[T | None, Error | None]:
    try:
        return ask(), None
    except Error as error:
        return None, error


class Fault(enum.Enum):
    """What can befall one message.

    DROP_BEFORE  the store cannot be reached: nothing happens, Unavailable
    LOSE         the request is lost on its way: nothing happens, and a commit cannot know that: OutcomeUnknown
    DROP_AFTER   the store does what is asked and its reply is lost: OutcomeUnknown for a commit
    DELAY        the request waits before it reaches the store
    DUPLICATE    the request reaches the store twice
    REORDER      the request is overtaken: its sender hears nothing, as with LOSE, and it arrives after later messages
    ECHO         the request reaches the store, and once more after later messages

    A read, a count, an increment or what concerns locks, whose message is lost, raises Unavailable: asking again does
    no harm, a number drawn and lost is a gap.
    """

    DROP_BEFORE = "drop before"
    LOSE = "lose"
    DROP_AFTER = "drop after"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    ECHO = "echo"


class Faulty:
    """A network between the caller and `inner`: messages meet faults, `script` first, by chance after it.

    `rates` gives each fault its share of all messages (their sum at most 1), drawn from `chance`. `script` is a fault,
    or None, for each of the next messages. `injected` counts the faults that happened.

    A local `inner` gets marks here, on the store's side of the network, so that commits are idempotent and `outcome`
    is answered. Drivers on one store must share `marks`.

    A message that is overtaken arrives after the next one, or, by chance, after up to `MOST_OVERTAKING`; what is still
    under way when the driver is closed arrives then.
    """

    MOST_OVERTAKING = 4

    def __init__(
        self,
        inner: Driver,
        *,
        script: Iterable[Fault | None] = (),
        rates: Mapping[Fault, float] | None = None,
        chance: random.Random | None = None,
        delay_ms: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
        marks: dict[bytes, int | None] | None = None,
    ) -> None:
        if rates and chance is None:
            raise InterfaceError("rates of faults need a source of chance: give a seeded random.Random")
        self.inner = inner
        self.traits = replace(inner.traits, remote=True)
        self.injected: Counter[Fault] = Counter()
        self._script = iter(tuple(script))
        self._rates = dict(rates or {})
        self._chance = chance
        self._delay_s = delay_ms / 1000
        self._sleep = sleep
        self._marks: dict[bytes, int | None] = {} if marks is None else marks
        self._turn = Turn()
        self._under_way: list[tuple[int, Callable[[], object]]] = []  # how many messages go before, and what arrives

    def _draw(self) -> Fault | None:
        """The fault of the next message."""
        with self._turn:
            fault = next(self._script, self)
            if fault is self:
                fault = None
                drawn = self._chance.random() if self._chance is not None and self._rates else 1.0
                for candidate, rate in self._rates.items():
                    drawn -= rate
                    if drawn < 0:
                        fault = candidate
                        break
            if isinstance(fault, Fault):
                self.injected[fault] += 1
                return fault
            return None

    def _pass(self, deliver: Callable[[], T], lost: Error, discard: Callable[[T], None] = lambda answer: None) -> T:
        """Deliver one message through the network; `lost` is raised when it cannot know what became of it."""

        def arrive_late() -> None:
            late, refused = _outcome_of(deliver)
            if refused is None:
                discard(late)  # type: ignore[arg-type]

        try:
            return self._travel(self._draw(), deliver, lost, discard, arrive_late)
        finally:
            self._arrive()

    def _travel(
        self,
        fault: Fault | None,
        deliver: Callable[[], T],
        lost: Error,
        discard: Callable[[T], None],
        arrive_late: Callable[[], None],
    ) -> T:
        if fault is Fault.DROP_BEFORE:
            raise Unavailable("the store cannot be reached (injected)")
        if fault is Fault.LOSE:
            raise lost
        if fault is Fault.REORDER:
            self._hold_back(arrive_late)
            raise lost
        if fault is Fault.DELAY:
            self._sleep(self._delay_s)
        answer, failed = _outcome_of(deliver)
        if fault is Fault.DROP_AFTER:
            if failed is None:
                discard(answer)  # type: ignore[arg-type]
            raise lost
        if fault is Fault.DUPLICATE:
            arrive_late()
        if fault is Fault.ECHO:
            self._hold_back(arrive_late)
        if failed is not None:
            raise failed
        return answer  # type: ignore[return-value]

    def _hold_back(self, arrive: Callable[[], object]) -> None:
        """Let `arrive` happen after later messages."""
        with self._turn:
            overtaking = 1 if self._chance is None else self._chance.randint(1, self.MOST_OVERTAKING)
            self._under_way.append((overtaking, arrive))

    def _arrive(self, everything: bool = False) -> None:
        """A message has passed: let those arrive that it was the last to overtake."""
        if not self._under_way:
            return
        with self._turn:
            due = [arrive for overtaking, arrive in self._under_way if overtaking < 1 or everything]
            self._under_way = [] if everything else [(left - 1, each) for left, each in self._under_way if left >= 1]
        for arrive in due:
            arrive()

    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: View | None = None,
        counts: Sequence[Range] = (),
    ) -> Reading:
        return self._pass(
            lambda: self.inner.read(gets, scans, expect, view, counts),
            Unavailable("the reply to a read was lost (injected)"),
            lambda reading: self.inner.release(reading.view) if view is None else None,
        )

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        check_writes(self.traits, writes)
        return self._pass(
            lambda: self._commit_once(expect, writes, mark),
            OutcomeUnknown("the reply to a commit was lost (injected)", mark=mark),
        )

    def _commit_once(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes) -> int:
        """The store's side: a mark is applied once, and never after `outcome` said that it was not."""
        if self.inner.traits.remote or not mark:
            return self.inner.commit(expect, writes, mark)
        with self._turn:
            if mark in self._marks:
                version = self._marks[mark]
                if version is None:
                    raise Conflict("this commit was given up: its mark was asked for and not found")
                return version
            version = self._marks[mark] = self.inner.commit(expect, writes, mark)
            return version

    def outcome(self, mark: bytes) -> int | None:
        return self._pass(lambda: self._fate(mark), Unavailable("the reply to a question was lost (injected)"))

    def _fate(self, mark: bytes) -> int | None:
        if self.inner.traits.remote:
            return self.inner.outcome(mark)
        self.inner.release(self.inner.read().view)  # a closed driver refuses
        with self._turn:
            return self._marks.setdefault(mark, None)

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        return self._pass(
            lambda: self.inner.increment(key, by, at_least),
            Unavailable("the reply to an increment was lost (injected); the number drawn stays unused"),
        )

    def clear(self, prefix: bytes) -> None:
        self._pass(
            lambda: self.inner.clear(prefix),
            OutcomeUnknown("the reply to a clear was lost (injected): clear again"),
        )

    def lock(
        self, session: bytes, names: Sequence[bytes], ttl_ms: int, patience: Patience, label: bytes = b""
    ) -> Locking:
        return self._pass(
            lambda: self.inner.lock(session, names, ttl_ms, patience, label),
            Unavailable("the reply to a request for locks was lost (injected): ask again"),
        )

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        return self._pass(
            lambda: self.inner.renew(session, ttl_ms),
            Unavailable("the reply to a renewal was lost (injected): ask again"),
        )

    def unlock(self, session: bytes, names: Sequence[bytes] | None = None) -> None:
        self._pass(
            lambda: self.inner.unlock(session, names),
            Unavailable("the reply to an unlocking was lost (injected): ask again"),
        )

    def locks(self, prefix: bytes = b"") -> list[Holding]:
        return self._pass(
            lambda: self.inner.locks(prefix), Unavailable("the reply to a question for locks was lost (injected)")
        )

    def release(self, view: View | None) -> None:
        self.inner.release(view)

    def close(self) -> None:
        self._arrive(everything=True)
        self.inner.close()
