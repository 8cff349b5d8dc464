"""The read side of a transaction: what it saw, and what it therefore expects.

`View` remembers every reading and turns it into expectations only when someone needs them: a read-only transaction on
a store with snapshots never pays for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from itertools import starmap
from typing import Final, NamedTuple, Protocol

from rome.driver import api
from rome.driver.api import Cell, Driver, Expectation, ExpectCell, ExpectCount, ExpectRange, Range, Reading, Scan
from rome.errors import DataError
from rome.txn.aside import Aside
from rome.txn.distance import Distance
from rome.txn.known import MAX_CELLS, UNKNOWN, Known, Unknown, size_of
from rome.txn.wave import Wave, WaveResult

Guard = tuple[bytes, int]  # the key of a version cell and the version it is expected to have

Ahead = Callable[[int], Wave]
"""What else to read when a round trip is made anyway, given how many cells that may bring, as far as one can tell."""

# Readings are folded into expectations early once they are many or large: values need not stay in memory until commit.
FOLD_READINGS: Final = 256
FOLD_CELLS: Final = 1024
# Up to so many expectations travel with every read; more are sent only when the store is seen to have moved, which
# then costs a second round trip; at a store that never stands still they travel again. Without this a long transaction
# would check everything again at every read.
CARRY: Final = 64
RESTLESS: Final = 2  # reads in a row before which the store had moved
AHEAD_CELLS: Final = MAX_CELLS // 2  # the most that is asked for ahead in one round trip, and about how many bytes
AHEAD_BYTES: Final = 4 << 20
FEW_COUNTED: Final = 64


_NOTHING: Final = Reading(0, None, [], [], [], [])
_NO_MORE: Final = Wave()


class GuardChanged(Exception):
    """The guard's cell is not at the version the transaction was begun with; `cell` is what it is now.

    The view stays open and expects the cell as it is now, so the next `run` goes on in the same view.
    """

    def __init__(self, cell: Cell | None) -> None:
        super().__init__("the catalogue has changed; plan again")
        self.cell = cell


class Stats(NamedTuple):
    """What a transaction has cost so far: `waves` reads of the store, `increments` of counters, `locks` asked for and
    `commits` are one round trip each; `keys` cells and `bytes_read` (keys and values) came back. `read_ahead` gets and
    scans were made before anyone had asked for them, and `from_ahead` are those of them that someone then did."""

    waves: int
    keys: int
    bytes_read: int
    increments: int
    locks: int
    commits: int
    read_ahead: int = 0
    from_ahead: int = 0

    @property
    def round_trips(self) -> int:
        return self.waves + self.increments + self.locks + self.commits


class Course(Protocol):
    """Who wants to hear what a transaction reads after its first wave."""

    @property
    def is_certain(self) -> bool:
        """Whether what will be read is as good as known."""
        ...

    @property
    def notes_brought(self) -> bool:
        """Whether what came along with earlier reads is to be noted when it is needed."""
        ...

    def note(self, gets: Sequence[bytes], scans: Sequence[Scan], found: Sequence[int]) -> None:
        """The transaction needed these of the store, or of what was read ahead; `found` is how many cells each scan."""
        ...

    def end(self, bytes_read: int, waves: int) -> None:
        """The transaction is over; all that it has read was so large, and took so many waves."""
        ...


class ViewMark(NamedTuple):
    """A place in what a view has read: how much it expected, and whether it had looked at the guard."""

    expected: int
    guarded: bool


class _Seen(NamedTuple):
    """One reading, spelled out: what was asked, and how many bytes came back."""

    gets: Sequence[bytes]
    scans: Sequence[Scan]
    reading: Reading
    bytes: int
    counts: Sequence[Range] = ()


class View:
    """What one transaction has read.

    A read with no open view opens one, and carries every expectation held so far: what was read before still holds in
    the state that is read now. On a store with snapshots the later reads use that view and need no check; elsewhere
    each read opens a view anew.

    What is read ahead is kept apart from what was read: it is not expected, and so conflicts with nothing. Once asked
    for it is taken over as if it were read then. That holds while the last read has seen the very same state; when
    another read finds that the store has moved, what was read ahead is useless.
    """

    __slots__ = (
        "_aside", "_bytes_read", "_course", "_distance", "_driver", "_expect", "_expected",
        "_from_ahead", "_guarded", "_handle", "_keys", "_known", "_learned", "_moves", "_read_ahead", "_seen",
        "_statement", "_valid_at", "guard", "waves",
    )  # fmt: skip

    def __init__(self, driver: Driver, guard: Guard | None, distance: Distance | None = None) -> None:
        """`distance` is told of every read."""
        self.guard = guard
        self._distance = distance
        self.waves = 0
        self._driver = driver
        self._guarded = guard is None  # the guard needs no (further) look
        self._handle: api.View | None = None
        self._seen: list[_Seen] = []  # not yet folded
        self._expect: list[Expectation] = []
        self._expected: set[bytes | tuple[bytes, bytes]] = set()  # what _expect speaks of: a key, or a range's ends
        self._known = Known()
        self._learned = 0  # how many of _seen are in _known: the first reading is taken in when a second is wanted
        self._statement = 0  # where in _expect the current statement begins
        self._moves = 0  # reads in a row, up to the last, before which the store had moved
        self._valid_at = 0  # a commit counter at which every expectation is known to hold; 0: none is known
        self._keys = 0
        self._bytes_read = 0
        self._aside: Aside | None = None  # what was read ahead
        self._read_ahead = 0
        self._from_ahead = 0
        self._course: Course | None = None

    def read(self, wave: Wave, ahead: Ahead | None = None) -> WaveResult:
        """What `wave` asks for, as the store has it: one round trip for what is not known yet, or none.

        `ahead` says what to read in the same round trip, if one is made, for waves to come. Raises Conflict when what
        was read before no longer holds, GuardChanged.
        """
        gets, scans, vacant, counts = wave
        if not self._guarded or not self.waves:
            reading = self._ask((*gets, *vacant), scans, ahead, counts)
            return WaveResult(reading.cells, reading.scans, reading.rows, tuple(reading.counts))
        if not (gets or vacant or counts) and (brought := self._known.brought(scans)) is not None:
            if self._course is not None and self._course.notes_brought:
                self._course.note((), scans, [len(each.cells) for each in brought])
            return WaveResult([], [each.cells for each in brought], [each.rows for each in brought])
        if not (gets or vacant or counts) and (taken := self._take_over_whole(scans)) is not None:
            return WaveResult([], taken.scans, taken.rows)
        if not (scans or counts) and (known := self._known_cells(gets, vacant)) is not None:
            return WaveResult(known, [], [])
        cells, found = self._look_up(wave)
        needed, unknown = _missing(wave, cells, found)
        counted = self._known.counted(counts)
        uncounted = [Scan(*each) for each in counts if each not in counted]
        noted: tuple[Sequence[bytes], Sequence[Scan]] = (needed, unknown)
        if (needed or unknown or uncounted) and self._take_over(needed, [*unknown, *uncounted]):
            cells, found = self._look_up(wave)
            needed, unknown = _missing(wave, cells, found)
            counted = self._known.counted(counts)
        asked = [key for key, cell in cells.items() if cell is UNKNOWN]
        to_count = [each for each in counts if each not in counted]
        reading = _NOTHING
        if needed or unknown or to_count:
            reading = self._ask(asked, unknown, ahead, to_count)
            counted.update(zip(to_count, reading.counts, strict=True))
            cells.update(zip(asked, reading.cells, strict=True))
        else:
            absent = dict.fromkeys(asked)
            self._expect_cells(asked, list(absent.values()))
            self._known.learn_cells(absent)
            cells |= absent
        answer = _answer(wave, cells, found, reading, counted)  # type: ignore[arg-type]
        if self._course is not None:
            came = self._known.came_along(wave.scans) if self._course.notes_brought else []
            # Few entries are read as cheaply as they are counted, and can be read ahead.
            few = [scan for scan in uncounted if counted[scan.start, scan.stop] <= FEW_COUNTED]
            if came or few or any(noted):
                sizes = dict(zip(wave.scans, map(len, answer.scans), strict=True))
                sizes |= {scan: counted[scan.start, scan.stop] for scan in few}
                for gets, scans in (noted, ((), [*came, *few])):
                    self._course.note(gets, scans, [sizes[scan] for scan in scans])
        return answer

    def _known_cells(self, gets: Sequence[bytes], vacant: Sequence[bytes]) -> list[Cell | None] | None:
        """The cells at `gets` and `vacant` if those at `gets` are all known; the others are then taken to be absent."""
        self._learn()
        known = self._known
        cells = [known.cell(key) for key in gets]
        if UNKNOWN in cells:
            return None
        absent = dict.fromkeys([key for key in vacant if known.cell(key) is UNKNOWN])
        if absent:
            self._expect_cells(list(absent), list(absent.values()))
            known.learn_cells(absent)
        return [*cells, *map(known.cell, vacant)]  # type: ignore[list-item]

    def follow_course(self, course: Course) -> None:
        """Tell `course` what is read after the first wave, until the end."""
        self._course = course

    @property
    def is_certain(self) -> bool:
        """Whether what will be read is as good as known."""
        return self._course is not None and self._course.is_certain

    def end_course(self) -> None:
        """The transaction is over. May be called again."""
        if self._course is not None:
            course, self._course = self._course, None
            course.end(self._bytes_read, self.waves)

    def _look_up(self, wave: Wave) -> tuple[dict[bytes, Cell | Unknown | None], list[list[Cell] | None]]:
        """What is known of the cells that `wave` needs, those that its scans name too, and of its scans."""
        self._learn()
        known = self._known
        cells: dict[bytes, Cell | Unknown | None] = known.cells((*wave.gets, *wave.vacant))
        found = [known.scan(scan) for scan in wave.scans]
        for scan, entries in zip(wave.scans, found, strict=True):
            if scan.dereference and entries:
                cells |= known.cells([entry.value for entry in entries])
        return cells, found

    def _take_over_whole(self, scans: Sequence[Scan]) -> Reading | None:
        """What `scans` find, remembered like anything that is read, if all of it was read ahead in these very words."""
        reading = None if self._aside is None else self._aside.all_of(scans, self._valid_at)
        if reading is not None:
            self._take((), scans, reading)
            if self._course is not None:
                self._course.note((), scans, list(map(len, reading.scans)))
        return reading

    def _take_over(self, gets: Sequence[bytes], scans: Sequence[Scan]) -> bool:
        """Remember like anything that is read what of this was read ahead, if that holds; whether it is anything."""
        taken = None if self._aside is None else self._aside.some_of(gets, scans, self._valid_at)
        if taken is not None:
            self._take(*taken)
        return taken is not None

    def _take(self, gets: Sequence[bytes], scans: Sequence[Scan], reading: Reading) -> None:
        """What was read ahead is read: remembered, though it was counted when it came."""
        self._from_ahead += len(gets) + len(scans)
        self._seen.append(_Seen(tuple(gets), tuple(scans), reading, size_of(reading)[1]))
        self._fold_if_much(scans, reading)

    def _ask(
        self, gets: Sequence[bytes], scans: Sequence[Scan], ahead: Ahead | None = None, counts: Sequence[Range] = ()
    ) -> Reading:
        """One round trip; remembered."""
        if ahead is not None:
            more = self._unread(ahead(self._room()))
            if any(more):
                try:
                    return self._ask_more(gets, scans, counts, more)
                except DataError:
                    pass  # what no one has asked for may be what no store takes
        return self._ask_more(gets, scans, counts, _NO_MORE)

    def _room(self) -> int:
        """How many cells may be read ahead, if they are as large as those that came before."""
        return min(AHEAD_CELLS, AHEAD_BYTES * self._keys // max(1, self._bytes_read))

    def _unread(self, wave: Wave) -> Wave:
        """What of `wave` is not known yet."""
        known = self._known
        gets = [key for key in dict.fromkeys(wave.gets) if known.cell(key) is UNKNOWN]
        return Wave(gets, [scan for scan in dict.fromkeys(wave.scans) if known.scan(scan) is None])

    def _ask_more(
        self, gets: Sequence[bytes], scans: Sequence[Scan], counts: Sequence[Range], more: Wave
    ) -> Reading:
        """One round trip for what is asked for, which is remembered, and for `more`, which is put aside."""
        guard = None if self._guarded or self._handle is not None else self.guard
        own_gets = gets if guard is None else (*gets, guard[0])
        all_gets, all_scans = (*own_gets, *more.gets), (*scans, *more.scans)
        if self._handle is None:
            read = self._read_newest(all_gets, all_scans, counts)
        else:
            read = self._read_store(all_gets, all_scans, counts, (), self._handle)
        asked, put = len(own_gets), len(scans)
        reading = read
        if any(more):
            reading = read._replace(
                cells=read.cells[:asked], scans=read.scans[:put], rows=read.rows[:put], followed=read.followed[:put]
            )
        if guard is not None:
            self._check_guard(guard, reading)
        if any(more):
            further = Reading(
                read.version, None, read.cells[asked:], read.scans[put:], read.rows[put:], read.followed[put:]
            )
            self._put_aside(more, further)
        self._remember(own_gets, scans, reading, counts)
        return reading if guard is None else reading._replace(cells=reading.cells[:-1])

    def _check_guard(self, guard: Guard, reading: Reading) -> None:
        """Raise GuardChanged if the last cell of `reading`, the guard's, is not as expected."""
        self._guarded = True
        cell = reading.cells[-1]
        version = 0 if cell is None else cell.version
        if version != guard[1]:
            self.guard = (guard[0], version)
            # No one has seen the rest of this reading, so nothing depends on it.
            self._remember(guard[:1], (), Reading(reading.version, None, [cell], [], [], []))
            raise GuardChanged(cell)

    def _put_aside(self, more: Wave, further: Reading) -> None:
        scans, further = _spelled_out(tuple(more.scans), further)
        if self._aside is None:
            self._aside = Aside()
        self._aside.put(more.gets, scans, further, self._count(further))
        self._read_ahead += len(more.gets) + len(scans)

    def _read_newest(self, gets: Sequence[bytes], scans: Sequence[Scan], counts: Sequence[Range]) -> Reading:
        """Read a state of the store in which every expectation holds."""
        if self._expects_more_than(CARRY) and self._moves < RESTLESS:
            # Most likely nothing was committed since the last read, and then there is nothing to check.
            reading = self._read_store(gets, scans, counts)
            if reading.version != self._valid_at:
                self.waves += 1
                if reading.view is not None:
                    self._driver.release(reading.view)
                self._fold()
                reading = self._read_store(gets, scans, counts, tuple(self._expect))
        else:
            self._fold()
            reading = self._read_store(gets, scans, counts, tuple(self._expect))
        self._handle = reading.view
        self._moves = 0 if reading.version == self._valid_at else self._moves + 1
        self._valid_at = reading.version
        return reading

    def _expects_more_than(self, number: int) -> bool:
        """Whether more is expected; readings that are not folded yet count as if nothing had been read twice."""
        expected = len(self._expect)
        for gets, scans, reading, _, counts in self._seen:
            behind = sum([len(rows) for rows in reading.rows if rows])
            expected += len(gets) + len(scans) + len(counts) + behind
        return expected > number

    def _read_store(
        self,
        gets: Sequence[bytes],
        scans: Sequence[Scan],
        counts: Sequence[Range],
        expect: Sequence[Expectation] = (),
        handle: api.View | None = None,
    ) -> Reading:
        distance = self._distance
        if distance is None:
            return self._driver.read(gets, scans, expect, handle, counts)
        started = distance.timer()
        reading = self._driver.read(gets, scans, expect, handle, counts)
        belonging = [len(each.cells) for follows in reading.followed for every in follows for each in every]
        distance.note(started, sum(map(len, reading.scans)) + sum(belonging))
        return reading

    def _remember(
        self, gets: Sequence[bytes], scans: Sequence[Scan], reading: Reading, counts: Sequence[Range] = ()
    ) -> None:
        self.waves += 1
        scans = tuple(scans)  # the step may use its lists again
        if any([scan.follow for scan in scans]):
            followed = reading.followed
            scans, reading = _spelled_out(scans, reading)
            size = self._count(reading)
            self._known.bring(followed, size)
        else:
            size = self._count(reading)
        self._seen.append(_Seen(tuple(gets), scans, reading, size, tuple(counts)))
        self._fold_if_much(scans, reading)

    def _fold_if_much(self, scans: Sequence[Scan], reading: Reading) -> None:
        if len(self._seen) > FOLD_READINGS or (scans and max(map(len, reading.scans)) > FOLD_CELLS):
            self._learn()
            self._fold()

    def _learn(self) -> None:
        for seen in self._seen[self._learned :]:
            self._known.learn(seen.gets, seen.scans, seen.reading, seen.bytes)
            self._known.learn_counts(zip(seen.counts, seen.reading.counts, strict=True))
        self._learned = len(self._seen)

    def is_absent(self, key: bytes) -> bool:
        """Whether it is known, and expected, that the store has no cell at `key`."""
        self._learn()
        return self._known.cell(key) is None

    def known(self) -> Known:
        """All that was read and is expected. Not for a view that is still in use."""
        self._learn()
        return self._known

    def learn_cells(self, cells: Mapping[bytes, Cell | None]) -> None:
        """These are expected, too, though it was not this view that read them."""
        self._known.learn_cells(cells)

    def take(self, cells: Mapping[bytes, Cell | None], vacant: Sequence[bytes]) -> None:
        """Expect `cells`, and the guard, as another transaction has read them; and nothing at the keys of `vacant`."""
        if self.guard is not None:
            self._expect_cell(*self.guard)
            self._guarded = True
        self._expect_cells(list(cells), list(cells.values()))
        self._expect_cells(vacant, [None] * len(vacant))

    def note_empty(self, start: bytes, stop: bytes) -> None:
        """The store has nothing in start <= key < stop, as follows from what is expected: it need not be asked."""
        self._learn()
        self._known.learn_empty(start, stop)

    def moved(self, version: int) -> bool:
        """Whether anything was read, or will be, in another state than that of the commit counter `version`."""
        return self._valid_at != version and bool(self._handle is not None or self._expect or self._seen)

    def mark(self) -> ViewMark:
        """A place for `back_to`: all that is read later is forgotten there."""
        self._learn()
        self._fold()
        return ViewMark(len(self._expect), self._guarded)

    def back_to(self, mark: ViewMark) -> None:
        """Forget what was read since `mark`, and let the next read open a fresh view; what came before stays expected.

        For what no one has seen the answer of yet.
        """
        self._fold()
        self._known.clear()
        self._aside = None
        self._forget(self._expect[mark.expected :])
        del self._expect[mark.expected :]
        self._guarded = mark.guarded
        self.close()

    def expect_only(self, mark: ViewMark, start: bytes, stop: bytes, keys: Set[bytes]) -> None:
        """Of what was read since `mark` in start <= key < stop, expect the cells at `keys` and nothing else."""
        self._fold()
        self._known.clear()  # it may rest on what is expected no longer
        later = self._expect[mark.expected :]
        del self._expect[mark.expected :]
        self._forget(later)
        for expectation in later:
            match expectation:
                case ExpectCell(key=key, version=version) if key in keys or not start <= key < stop:
                    self._expect_cell(key, version)
                case ExpectRange(start=first, stop=last, version=version, keys=found):
                    if first < start or last > stop:
                        self._expected.add((first, last))
                        self._expect.append(expectation)
                        continue
                    for key in keys & set(found):
                        self._expected.add((key, key + b"\0"))
                        self._expect.append(ExpectRange(key, key + b"\0", version, (key,)))
                case ExpectCount(start=first, stop=last):
                    self._expected.add((first, last))
                    self._expect.append(expectation)

    def _forget(self, expectations: Sequence[Expectation]) -> None:
        for expectation in expectations:
            match expectation:
                case ExpectCell(key=key):
                    self._expected.discard(key)
                case ExpectRange(start=start, stop=stop) | ExpectCount(start=start, stop=stop):
                    self._expected.discard((start, stop))

    def begin_statement(self, keep: bool) -> None:
        """Let the next read open a fresh view; what the last statement read stays expected only if `keep`."""
        self._fold()
        self._known.clear()
        self._aside = None
        if keep:
            if not self._guarded and self.guard is not None:
                self._expect_cell(*self.guard)  # it wrote without a read, but was planned on the guard's version
        else:
            self._forget(self._expect[self._statement :])
            del self._expect[self._statement :]
        self._statement = len(self._expect)
        self._guarded = self.guard is None
        self.close()

    @property
    def guard_checked(self) -> bool:
        """Whether the guard was looked at, or there is none; READ COMMITTED asks again with each statement."""
        return self._guarded

    def expectations(self) -> tuple[Expectation, ...]:
        """Everything that was read, each cell and each range once, and the guard even if nothing was."""
        self._fold()
        if not self._guarded and self.guard is not None:
            self._expect_cell(*self.guard)
        return tuple(self._expect)

    def close(self) -> None:
        """Give back the store's view. May be called again."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._driver.release(handle)

    @property
    def cells_read(self) -> int:
        """How many cells came back so far."""
        return self._keys

    def stats(self, increments: int, locks: int, commits: int) -> Stats:
        """What the reads so far have cost."""
        return Stats(
            self.waves, self._keys, self._bytes_read, increments, locks, commits, self._read_ahead, self._from_ahead
        )

    def _count(self, reading: Reading) -> int:
        """Add what has come back to the figures; how many bytes it was."""
        keys, size = size_of(reading)
        self._keys += keys
        self._bytes_read += size
        return size

    def _fold(self) -> None:
        """Turn readings into expectations, and let go of their values."""
        seen, self._seen, self._learned = self._seen, [], 0
        for gets, scans, reading, _, counts in seen:
            self._expect_cells(gets, reading.cells)
            for (start, stop), number in zip(counts, reading.counts, strict=True):
                if (start, stop) not in self._expected:
                    self._expected.add((start, stop))
                    self._expect.append(ExpectCount(start, stop, reading.version, number))
            for scan, cells, rows in zip(scans, reading.scans, reading.rows, strict=True):
                self._expect_range(scan, cells, reading.version)
                if rows is not None:
                    self._expect_cells([entry.value for entry in cells], rows)

    def _expect_cells(self, keys: Sequence[bytes], cells: Sequence[Cell | None]) -> None:
        # The first version seen is the one that counts: should a later one differ, the commit must fail.
        expected = self._expected
        fresh = {
            key: 0 if cell is None else cell.version
            for key, cell in zip(keys, cells, strict=True)
            if key not in expected
        }
        expected.update(fresh)
        self._expect += starmap(ExpectCell, fresh.items())

    def _expect_cell(self, key: bytes, version: int) -> None:
        if key not in self._expected:
            self._expected.add(key)
            self._expect.append(ExpectCell(key, version))

    def _expect_range(self, scan: Scan, cells: list[Cell], version: int) -> None:
        """Expect what `scan` really looked at: one that filled its limit looked no further than its last cell."""
        start, stop = scan.start, scan.stop
        if scan.limit is not None and len(cells) >= scan.limit:
            if not cells:
                return
            if scan.reverse:
                start = cells[-1].key
            else:
                stop = cells[-1].key + b"\0"
        if (start, stop) not in self._expected:
            self._expected.add((start, stop))
            keys = tuple(cell.key for cell in cells)
            self._expect.append(ExpectRange(start, stop, version, keys[::-1] if scan.reverse else keys))


def _spelled_out(scans: tuple[Scan, ...], reading: Reading) -> tuple[tuple[Scan, ...], Reading]:
    """The same reading, had what its scans followed been scanned row by row: so it is known, expected and counted."""
    belonging = [each for follows in reading.followed for every in follows for each in every]
    cells = reading.scans + [each.cells for each in belonging]
    rows = reading.rows + [each.rows for each in belonging]
    return (*scans, *[each.scan for each in belonging]), reading._replace(scans=cells, rows=rows, followed=[])


def _missing(
    wave: Wave, cells: Mapping[bytes, Cell | Unknown | None], found: Sequence[list[Cell] | None]
) -> tuple[list[bytes], list[Scan]]:
    """What of `wave` must be read: the cells not known, those aside that are vacant anyhow, and the scans."""
    vacant = set(wave.vacant)
    needed = [key for key, cell in cells.items() if cell is UNKNOWN and key not in vacant]
    return needed, [scan for scan, entries in zip(wave.scans, found, strict=True) if entries is None]


def _answer(
    wave: Wave,
    cells: dict[bytes, Cell | None],
    found: list[list[Cell] | None],
    reading: Reading,
    counted: Mapping[Range, int],
) -> WaveResult:
    """The answer to `wave` from `cells` by key, `counted` by range, and from the scans that were `found` or else, in
    order, `reading`'s.
    """
    read = iter(zip(reading.scans, reading.rows, strict=True))
    scans: list[list[Cell]] = []
    rows: list[list[Cell | None] | None] = []
    for scan, entries in zip(wave.scans, found, strict=True):
        behind: list[Cell | None] | None = None
        if entries is None:
            entries, behind = next(read)
        elif scan.dereference:
            behind = [cells[entry.value] for entry in entries]
        scans.append(entries)
        rows.append(behind)
    keys = (*wave.gets, *wave.vacant)
    return WaveResult([cells[key] for key in keys], scans, rows, tuple([counted[each] for each in wave.counts]))
