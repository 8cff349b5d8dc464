"""What an operator is: compiled once for a plan, run many times, batch by batch, never row by row against the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from rome.sql.bound import ColumnRef
from rome.sql.expr import Bindings
from rome.sql.plan import Plan
from rome.table.keys import Keys
from rome.table.schema import Catalog
from rome.table.sequences import Sequences
from rome.txn.transaction import Mark, Transaction
from rome.txn.wave import Step, Wave, WaveResult

_ROWS_THAT_TELL = 32
_ROWS_REMEMBERED = 1024

Row = tuple[object, ...]
T = TypeVar("T")
_NO_ROWS: Mapping[Any, list[Row]] = MappingProxyType({})


Texts = tuple[bytes, ...]  # as they stand in a row


class Belonging(NamedTuple):
    """Where a table's rows, or entries of its index, lie whose first columns are another row's primary key: under
    `prefix` and that key. With `dereference` they are entries."""

    prefix: bytes
    dereference: bool


class Sieve:
    """Something that leaves rows out of an answer: how many passed of late. Threads may count wrong.

    Where `through` is known, only rows pass to which something belongs there that has one of `texts` in it.
    """

    __slots__ = ("_passed", "_seen", "texts", "through")

    def __init__(
        self, through: Belonging | None = None, texts: Callable[[Bindings], Texts] = lambda bindings: ()
    ) -> None:
        self.through = through
        self.texts = texts
        self._seen = 0
        self._passed = 0

    def note(self, seen: int, passed: int) -> None:
        """So many of the rows that were `seen` are in the answer."""
        if self._seen > _ROWS_REMEMBERED:
            self._seen, self._passed = self._seen // 2, self._passed // 2
        self._seen += seen
        self._passed += passed

    @property
    def is_open(self) -> bool:
        """Whether one row in 32 has passed, or too few were seen to tell."""
        return self._seen < _ROWS_THAT_TELL or self._passed * _ROWS_THAT_TELL >= self._seen

    @property
    def share(self) -> float:
        """Of the rows seen, how many have passed; 1 where too few were seen to tell."""
        return 1.0 if self._seen < _ROWS_THAT_TELL else self._passed / self._seen


Sieves = tuple[Sieve, ...]  # those that rows go through one after another, as far as they count


@dataclass(slots=True)
class Measure:
    """What one operator did in one run of a statement; `milliseconds` includes the operators below it."""

    calls: int = 0
    rows: int = 0
    waves: int = 0
    keys: int = 0
    milliseconds: float = 0.0


@dataclass(slots=True)
class Profile:
    """EXPLAIN ANALYZE's notebook; `timer` counts seconds."""

    timer: Callable[[], float]
    measures: dict[int, Measure] = field(default_factory=dict)

    def of(self, operator: Operator) -> Measure:
        return self.measures.setdefault(id(operator), Measure())


class Locking(NamedTuple):
    """What the runs of a statement with FOR UPDATE share: where it begins, and the rows that SKIP LOCKED leaves out."""

    start: Mark
    skipped: set[bytes]


class Context(NamedTuple):
    """One run of a statement; `catalog` is the transaction's.

    `working` are the rows that recursions made last, `at_hand` those of scans that were run already.
    """

    tx: Transaction
    keys: Keys
    catalog: Catalog
    sequences: Sequences
    bindings: Bindings
    profile: Profile | None = None
    locking: Locking | None = None
    working: Mapping[int, list[Row]] = _NO_ROWS
    at_hand: Mapping[Operator, list[Row]] = _NO_ROWS


class Operator:
    """Base of all operators: `run` is a step that returns rows, tuples in the order of `output`."""

    node: Plan
    output: tuple[ColumnRef, ...] = ()
    children: tuple[Operator, ...] = ()

    def run(self, context: Context, need: int | None) -> Step[list[Row]]:
        """The rows. With `need`, the caller will look at the first `need` rows only; more may come."""
        raise NotImplementedError

    def bring(self, columns: tuple[int, ...], belonging: Belonging, sieves: Sieves | None = None) -> bool:
        """Asked once, after compiling: fetch `belonging` along with the rows, in the wave that reads them.

        `columns` are those that hold the key. False if this operator cannot: when they are not all of its output, when
        its rows are not read by a scan of a table with that primary key, or when many of the rows that it reads are
        not in its answer. Who asks must want it for every row of the answer. Even then it is only fetched when there
        are not too many, and nobody sees it but by asking the store, which then costs no round trip.

        With `sieves`, be it none, rows that are read may be left out of the answer: then it is fetched for few rows, of
        a store that is far away, and as long as each sieve is open.
        """
        return False

    def rows(self, context: Context, need: int | None = None) -> Step[list[Row]]:
        """`run`, measured when the statement is profiled."""
        if context.profile is None:
            return self.run(context, need)
        return self.measured(self.run(context, need), context, context.profile, len)

    def measured(self, step: Step[T], context: Context, profile: Profile, count: Callable[[T], int]) -> Step[T]:
        """`step`, noted as work of this operator; `count` gives the rows in its value."""
        timer, measure = profile.timer, profile.of(self)
        started = timer()
        measure.calls += 1
        answer: WaveResult | None = None
        try:
            while True:
                wave: Wave = step.send(answer)  # type: ignore[arg-type]
                before = context.tx.stats.waves
                answer = yield wave
                measure.waves += context.tx.stats.waves > before
                measure.keys += sum(cell is not None for cell in answer.cells)
                measure.keys += sum(map(len, answer.scans))
                measure.keys += sum(len(found) for found in answer.rows if found is not None)
        except StopIteration as stop:
            value: T = stop.value
            measure.rows += count(value)
            measure.milliseconds += (timer() - started) * 1000
            return value


def layout_of(output: Iterable[ColumnRef]) -> dict[int, int]:
    """Where each column stands in a row."""
    return {column.column: place for place, column in enumerate(output)}
