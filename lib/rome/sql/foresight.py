"""What a transaction will read, foreseen from those before it that began alike.

Applications run the same few transactions again and again: the same list is asked for, another image is looked at,
changed and left. What a transaction reads after its first wave, its *course*, is remembered under the statement that it
began with: once for the statement's very parameters, and once for whatever they are, where the keys that hold a
parameter of this transaction hold the same parameter of the next one instead. A transaction that begins so asks for its
course in the round trip of its first wave, and then most likely needs no other.

A guess costs little when it is wrong: it reads some cells more, and nothing rests on them (`rome.txn.view`). Courses
are believed as long as the last ones were like those before them, whether they were asked for or not.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec import structs

from rome.driver.api import Scan
from rome.errors import DataError
from rome.table.keycode import encode
from rome.txn.wave import Wave

MAX_READS: Final = 512  # gets and scans of one course
NEAR_READS: Final = 32  # of one on a store so near that to handle more costs more than the round trip they would spare
MAX_CELLS: Final = 4096  # that it found
MAX_BYTES: Final = 4 << 20  # that its transaction read
MAX_KEPT: Final = 65_536  # of all of them
MIN_TEXT: Final = 12  # characters: what is shorter may stand in a key by chance
MAX_TEXT: Final = 128
MOST_BELIEF: Final = 3
STEADY: Final = 0.9  # of a course, and of the next one, that makes them nearly the same
MIN_ROWS: Final = 4  # that a range may have at least, or
TIMES_AS_MANY: Final = 4  # the rows that it had the last time: whoever finds that there are more reads them himself

Read = bytes | Scan


@dataclass(frozen=True, slots=True)
class Memory:
    """The last course under one name: what was read, with the number of cells found (1 for a get).

    `belief` grows with each course like the one before it and shrinks with each other one, where the parameters were
    others. Below what the name asks for nothing is read ahead. `steady` says that it was nearly the same as that one.
    The last transaction had the parameters `exact`, and took so many `waves`.
    """

    reads: Mapping[Read, int]
    belief: int
    steady: bool
    exact: object
    waves: int


class Foresight:
    """The courses of the transactions of one process, the least recently used forgotten first. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, Memory] = OrderedDict()
        self._reads = 0

    def begin(self, sql: str, parameters: Mapping[str, object], near: bool, far: bool) -> Course:
        """The course of a transaction whose first statement this is; `near` and `far` say what a round trip takes."""
        try:
            # The hash alone, which keeps no parameter alive: should two be alike, that is one more wrong guess.
            exact: object = hash((sql, *[(name, _hashable(each)) for name, each in parameters.items()]))
        except TypeError:
            exact = None
        marks = list(_marks(parameters))
        most = NEAR_READS if near else MAX_READS
        memory = self._believed(exact, 0, most)
        if memory is not None:
            return Course(self, sql, exact, marks, memory.reads, memory.waves == 1, most, far)
        memory = self._believed(sql, 1, most)
        if memory is None or (far and not memory.steady and len(memory.reads) > NEAR_READS):
            return Course(self, sql, exact, marks, {}, False, most, far)  # what comes along is more of what is needed
        foreseen = _changed(memory.reads, _unmarked(marks))
        return Course(self, sql, exact, marks, foreseen, memory.steady and memory.waves == 1, most, far)

    def _believed(self, name: object, belief: int, most: int) -> Memory | None:
        with self._lock:
            memory = self._kept.get(name)
            if memory is None:
                return None
            self._kept.move_to_end(name)
        return memory if memory.belief >= belief and len(memory.reads) <= most else None

    def end(self, course: Course, reads: Mapping[Read, int], waves: int) -> None:
        """Remember what a transaction has read after its first wave."""
        if course.exact is not None:
            self._keep(course.exact, reads, None, waves)
        self._keep(course.sql, _changed(reads, _marked(course.marks)), course.exact, waves)

    def _keep(self, name: object, reads: Mapping[Read, int], exact: object, waves: int) -> None:
        with self._lock:
            before = self._kept.pop(name, None)
            belief, steady = 0, False
            if before is not None:
                self._reads -= len(before.reads)
                belief, steady = before.belief, before.steady
            if before is not None and (exact is None or exact != before.exact):
                common = len(before.reads.keys() & reads.keys())
                alike = 2 * common >= len(before.reads)
                belief = min(before.belief + 1, MOST_BELIEF) if alike else max(before.belief - 1, -MOST_BELIEF)
                steady = common >= STEADY * max(len(before.reads), len(reads))
            if not reads:
                return
            self._kept[name] = Memory(reads, belief, steady, exact, waves)
            self._reads += len(reads)
            while self._reads > MAX_KEPT:
                _, oldest = self._kept.popitem(last=False)
                self._reads -= len(oldest.reads)


class Course:
    """What one transaction reads after its first wave, and what is foreseen of it; for one thread at a time."""

    __slots__ = (
        "_cells", "_foreseen", "_foresight", "_most", "_reads", "exact", "is_certain", "marks", "notes_brought", "sql",
    )  # fmt: skip

    def __init__(
        self,
        foresight: Foresight,
        sql: str,
        exact: object,
        marks: Sequence[tuple[bytes, bytes]],
        foreseen: Mapping[Read, int],
        certain: bool,
        most: int,
        far: bool,
    ) -> None:
        """`most` is how many gets and scans are remembered, all or none.

        From afar (`far`) what comes along with other reads is remembered, too: where what is foreseen is `certain`,
        nothing else need come along.
        """
        self.is_certain = certain
        self.sql = sql
        self.exact = exact
        self.marks = marks
        self._foresight = foresight
        self._foreseen = foreseen
        self._most = most
        self.notes_brought = far
        self._reads: dict[Read, int] = {}
        self._cells = 0

    def ahead(self, room: int) -> Wave:
        """What to read along with the first wave: what was found the last time, and not much more.

        Within `room` it is anyway: no course of more than MAX_CELLS is kept.
        """
        gets: list[bytes] = []
        scans: list[Scan] = []
        for read, found in self._foreseen.items():
            if isinstance(read, bytes):
                gets.append(read)
            else:
                limit = max(MIN_ROWS, TIMES_AS_MANY * found)
                within = read.limit is not None and read.limit <= limit
                scans.append(read if within else structs.replace(read, limit=limit))
        return Wave(gets, scans)

    def note(self, gets: Sequence[bytes], scans: Sequence[Scan], found: Sequence[int]) -> None:
        self._cells += len(gets) + len(scans) + sum(found)
        if not self._is_much:
            self._reads.update(dict.fromkeys(gets, 1))
            for scan, cells in zip(scans, found, strict=True):
                self._reads[structs.replace(scan, follow=()) if scan.follow else scan] = cells

    @property
    def _is_much(self) -> bool:
        return self._cells > MAX_CELLS or len(self._reads) > self._most

    def end(self, bytes_read: int, waves: int) -> None:
        self._foresight.end(self, {} if self._is_much or bytes_read > MAX_BYTES else self._reads, waves)


def _hashable(value: object) -> object:
    return tuple(value) if type(value) is list else value


def _marks(parameters: Mapping[str, object]) -> Iterator[tuple[bytes, bytes]]:
    """How each parameter that can be told from others stands in a key, and the mark that takes its place."""
    for number, value in enumerate(parameters.values()):
        text = isinstance(value, (str, bytes)) and MIN_TEXT <= len(value) <= MAX_TEXT
        if text or type(value) is datetime and value.tzinfo is None:
            try:
                key = encode((value,))
            except DataError:
                continue  # it is no key's
            # Without its end: that of a range may differ in the last byte.
            yield key[:-1], b"\xff\x00parameter %d\x00\xff" % number


def _marked(marks: Sequence[tuple[bytes, bytes]]) -> Callable[[bytes], bytes]:
    def changed(key: bytes) -> bytes:
        for value, mark in marks:
            key = key.replace(value, mark)
        return key

    return changed


def _unmarked(marks: Sequence[tuple[bytes, bytes]]) -> Callable[[bytes], bytes]:
    return _marked([(mark, value) for value, mark in marks])


def _changed(reads: Mapping[Read, int], change: Callable[[bytes], bytes]) -> dict[Read, int]:
    return {
        change(read)
        if isinstance(read, bytes)
        else structs.replace(read, start=change(read.start), stop=change(read.stop)): found
        for read, found in reads.items()
    }
