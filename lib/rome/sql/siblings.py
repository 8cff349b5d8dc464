"""A statement run for one row after another: what the next runs will read, guessed from what earlier results hold.

Who lists rows and then asks for the details of each, as an ORM does that loads a relationship when it is looked at,
runs one statement many times, each time with another value of a column of the list. The values that come next in that
column are its *siblings*: what the statement reads for them first is asked for in the round trip that it makes anyway.

A guess costs little when it is wrong: it reads a few cells more, and nothing rests on them (`rome.txn.view`). It is
made when two runs differ in one parameter and both values stand in one column of an earlier result; where guesses of a
statement came true in earlier transactions, at its first run. The number grows with success, and a statement whose
siblings are not asked for gets no more of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final

from rome.driver.api import Scan
from rome.errors import Error
from rome.txn.transaction import Ahead
from rome.txn.wave import Wave

SIZES: Final = (32, 256, 1000)  # siblings in one round trip, the first time and the next ones
MIN_ROWS: Final = 4  # for a range of a sibling at least, else
TIMES_AS_MANY: Final = 4  # the rows of the largest result so far
MAX_STATEMENTS: Final = 64  # of a transaction
MAX_ROWS: Final = 20_000  # that a transaction remembers, in lists that others have, too
MAX_TEXT: Final = 256  # no key is longer than a store takes because of a sibling
MAX_MISSES: Final = 3  # guesses that came to nothing, of one statement in one transaction
HALVED_AT: Final = 10_000

_KEYS: Final = frozenset({int, str, bytes, datetime, Decimal})

Parameters = Mapping[str, object]
Rows = list[tuple[object, ...]]
Reads = Callable[[Parameters], Wave]
"""What the statement reads first with these parameters and the others as they are. Raises errors of `rome.errors`."""


@dataclass(slots=True)
class Habit:
    """How guesses about one statement came out in the transactions of this process.

    `name` is the parameter that changed last, `rows` the most that the statement has found. Threads may count wrong:
    nothing but guesses rests on it.
    """

    name: str | None = None
    rows: int = 0
    read: int = 0
    used: int = 0

    @property
    def holds(self) -> bool:
        """Whether to guess at the first run."""
        return self.name is not None and 0 < self.read <= 2 * self.used

    def count(self, read: int) -> None:
        """That so many siblings were read ahead."""
        if self.read > HALVED_AT:
            self.read, self.used = self.read // 2, self.used // 2
        self.read += read


class _Repeated:
    """One statement in one transaction."""

    __slots__ = ("habit", "misses", "name", "parameters", "read", "size", "statement", "waited", "waiting")

    def __init__(self, statement: object, habit: Habit) -> None:
        self.statement = statement  # kept alive: it is known by its id
        self.habit = habit
        self.parameters: Parameters = {}  # of the last run
        self.name: str | None = None  # the parameter that siblings were read for
        self.waiting: set[object] = set()  # values of siblings that were read, not yet asked for
        self.waited = False  # whether the value of this run was one
        self.read = 0  # siblings in the last round trip
        self.size = 0  # how far in SIZES
        self.misses = 0

    def begin(self, parameters: Parameters) -> Parameters:
        """A run with these `parameters`; those of the run before."""
        last, self.parameters = self.parameters, parameters
        self.waited = False
        if self.waiting and self.name is not None:
            value = parameters.get(self.name)
            if type(value) in _KEYS and value in self.waiting:
                self.waiting.discard(value)
                self.waited = True
                self.habit.used += 1
        return last

    def judge(self) -> None:
        """What became of the siblings that were read, now that there must be a round trip all the same."""
        if self.waited:
            self.misses += 1  # it was not the whole, or is out of date
            self.habit.used -= 1
        elif 2 * len(self.waiting) > self.read:
            self.misses = MAX_MISSES
        elif self.read:
            self.misses = 0
            self.size = min(self.size + 1, len(SIZES) - 1)


class Repeats:
    """The statements of one transaction, with their last parameters and results."""

    __slots__ = ("_results", "_rows", "_statements")

    def __init__(self) -> None:
        self._statements: dict[int, _Repeated] = {}
        self._results: dict[int, tuple[object, Rows]] = {}  # each statement's last, the latest at the end
        self._rows = 0

    def begin(self, statement: object, habit: Habit, parameters: Parameters, reads: Reads) -> Ahead | None:
        """What to read ahead in the round trip of a `statement` that is about to run; None: nothing."""
        repeated = self._statements.get(id(statement))
        if repeated is None:
            if len(self._statements) >= MAX_STATEMENTS:
                return None
            repeated = self._statements[id(statement)] = _Repeated(statement, habit)
            repeated.parameters = parameters
            if not habit.holds:
                return None
            last: Parameters = {}
        else:
            last = repeated.begin(parameters)
        if not self._results or repeated.misses >= MAX_MISSES:
            return None
        return partial(self._ahead, repeated, last, reads)

    def end(self, statement: object, habit: Habit | None, rows: Rows) -> None:
        """What the statement has answered."""
        if habit is not None and len(rows) > habit.rows:
            habit.rows = len(rows)
        if not 1 < len(rows) <= MAX_ROWS or not rows[0]:
            return
        _, before = self._results.pop(id(statement), (None, ()))
        self._results[id(statement)] = (statement, rows)
        self._rows += len(rows) - len(before)
        while self._rows > MAX_ROWS or len(self._results) > MAX_STATEMENTS:
            _, oldest = self._results.pop(next(iter(self._results)))
            self._rows -= len(oldest)

    def _ahead(self, repeated: _Repeated, last: Parameters, reads: Reads, room: int) -> Wave:
        repeated.judge()
        if repeated.misses >= MAX_MISSES:
            return Wave()
        name, values = self._siblings(repeated, last)
        if not values:
            repeated.misses += 1
            return Wave()
        habit = repeated.habit
        rows = max(MIN_ROWS, TIMES_AS_MANY * habit.rows)
        gets: dict[bytes, None] = {}
        scans: dict[Scan, None] = {}
        read: list[object] = []
        for value in values[: SIZES[repeated.size]]:
            try:
                wave = reads({name: value})
            except Error:
                continue  # the run itself will say so
            counted = [Scan(*each) for each in wave.counts]
            ranges = [_bounded(scan, rows) for scan in (*wave.scans, *counted)]
            room -= len(wave.gets) + sum([1 + (scan.limit or 0) * (1 + scan.dereference) for scan in ranges])
            if room < 0:
                break
            gets |= dict.fromkeys(wave.gets)
            scans |= dict.fromkeys(ranges)
            read.append(value)
        habit.name = repeated.name = name
        habit.count(len(read))
        repeated.waiting = set(read)
        repeated.read = len(read)
        return Wave(tuple(gets), tuple(scans))

    def _siblings(self, repeated: _Repeated, last: Parameters) -> tuple[str, list[object]]:
        """The parameter that changes from run to run, and the values that it will have next, in order."""
        now, name = repeated.parameters, repeated.habit.name or ""
        if last:
            changed = [each for each, value in now.items() if last.get(each) != value]
            if len(changed) != 1:
                return "", []
            [name] = changed
        value, before = now.get(name), last.get(name)
        if type(value) not in _KEYS or (last and type(before) is not type(value)):
            return "", []
        found: list[object] = []
        found_so = (False, 0)
        for _, rows in reversed(self._results.values()):
            for place, example in enumerate(rows[0]):
                if type(example) is type(value):
                    column = list(dict.fromkeys([row[place] for row in rows]))
                    if value in column and (not last or before in column):
                        in_turn, following = _next(column, value, before)
                        if (in_turn, len(following)) > found_so:
                            found, found_so = following, (in_turn, len(following))
        return name, found


def _next(column: list[object], value: object, before: object) -> tuple[bool, list[object]]:
    """Whether `value` is the one after `before` (the first, if that is None) in a column, and the values that follow.

    Where `before` comes later, the column is seen from its end. Numbers stand in many columns by chance, in turn in
    few.
    """
    at, then = column.index(value), -1 if before is None else column.index(before)
    following = column[:at][::-1] if then > at else column[at + 1 :]
    return abs(at - then) == 1, [each for each in following if type(each) is type(value) and _short(each)]


def _short(value: object) -> bool:
    return not isinstance(value, (str, bytes)) or len(value) <= MAX_TEXT


def _bounded(scan: Scan, rows: int) -> Scan:
    """`scan` without more than `rows` of its cells: whoever finds that there are more reads them himself."""
    if scan.limit is not None and scan.limit <= rows:
        return scan
    return Scan(scan.start, scan.stop, rows, scan.reverse, scan.dereference)
