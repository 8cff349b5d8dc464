"""What every transaction promises, as tests for any driver.

Subclass `TransactionSuite`, give it a fixture `driver` (an open, empty store), and run it with pytest. The ten
anomalies of the Hermitage collection (github.com/ept/hermitage) are plain functions of a `Begin`, in `ANOMALIES`: given
a transaction class or a driver with a defect they raise AssertionError, and the tests of this suite prove that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rome.driver.api import Cell, Driver, Scan
from rome.errors import Conflict, InactiveTransaction, InternalError
from rome.txn.retry import Journal, Policy, Replay
from rome.txn.transaction import GuardChanged, Isolation, Transaction
from rome.txn.wave import Step, Wave, WaveResult

Begin = Callable[[], Transaction]

ONE, TWO, THREE, FOUR = b"row/1", b"row/2", b"row/3", b"row/4"
ROWS = (b"row/", b"row0")  # the range that holds all four


def cells(*keys: bytes) -> Step[list[bytes | None]]:
    """A step of one wave: the values of `keys`."""
    answer = yield Wave(gets=keys)
    return [None if cell is None else cell.value for cell in answer.cells]


def scanned(scan: Scan) -> Step[list[tuple[bytes, bytes]]]:
    """A step of one wave: the keys and values of `scan`."""
    answer = yield Wave(scans=(scan,))
    return [(cell.key, cell.value) for cell in answer.scans[0]]


def answered(*gets: bytes, scans: tuple[Scan, ...] = ()) -> Step[WaveResult]:
    """A step of one wave: its whole answer."""
    return (yield Wave(gets, scans))


class Actor:
    """One transaction of an anomaly's script. Each move answers None once the transaction has met a Conflict."""

    def __init__(self, begin: Begin) -> None:
        self.transaction = begin()
        self.lost = False

    def get(self, key: bytes) -> int | None:
        """The number at `key`; 0 for no cell."""
        values = self._try(lambda: self.transaction.run(cells(key)))
        return None if values is None else int(values[0] or 0)

    def total(self) -> dict[bytes, int] | None:
        """Every row."""
        found = self._try(lambda: self.transaction.run(scanned(Scan(*ROWS))))
        return None if found is None else {key: int(value) for key, value in found}

    def put(self, key: bytes, number: int | None) -> None:
        self._try(lambda: self.transaction.write(key, None if number is None else b"%d" % number))

    def commit(self) -> bool:
        """Whether it committed."""
        self._try(self.transaction.commit)
        return not self.lost

    def rollback(self) -> None:
        self.transaction.rollback()

    def _try(self, move: Callable[[], Any]) -> Any:
        if self.lost:
            return None
        try:
            return move()
        except Conflict:
            self.lost = True
            self.transaction.rollback()
            return None


def _actors(begin: Begin, count: int) -> list[Actor]:
    """`count` transactions over the rows 1: 10 and 2: 20."""
    setup = Actor(begin)
    setup.put(ONE, 10)
    setup.put(TWO, 20)
    assert setup.commit()
    return [Actor(begin) for _ in range(count)]


def _now(begin: Begin) -> dict[bytes, int] | None:
    return Actor(begin).total()


def g0(begin: Begin) -> None:
    """Write cycles (dirty writes)."""
    one, two = _actors(begin, 2)
    one.put(ONE, 11)
    two.put(ONE, 12)
    one.put(TWO, 21)
    assert one.commit()
    assert _now(begin) == {ONE: 11, TWO: 21}
    two.put(TWO, 22)
    assert _now(begin) == {ONE: 11, TWO: 21}
    assert two.commit()
    assert _now(begin) == {ONE: 12, TWO: 22}


def g1a(begin: Begin) -> None:
    """Aborted reads."""
    one, two = _actors(begin, 2)
    one.put(ONE, 101)
    assert two.total() == {ONE: 10, TWO: 20}
    one.rollback()
    assert two.total() == {ONE: 10, TWO: 20}
    assert two.commit()


def g1b(begin: Begin) -> None:
    """Intermediate reads."""
    one, two = _actors(begin, 2)
    one.put(ONE, 101)
    assert two.get(ONE) == 10
    one.put(ONE, 11)
    assert one.commit()
    assert two.get(ONE) in (10, None)
    two.commit()
    assert _now(begin) == {ONE: 11, TWO: 20}


def g1c(begin: Begin) -> None:
    """Circular information flow."""
    one, two = _actors(begin, 2)
    one.put(ONE, 11)
    two.put(TWO, 22)
    assert one.get(TWO) == 20
    assert two.get(ONE) == 10
    assert [one.commit(), two.commit()] == [True, False]


def otv(begin: Begin) -> None:
    """An observed transaction vanishes."""
    one, two, three = _actors(begin, 3)
    one.put(ONE, 11)
    one.put(TWO, 19)
    two.put(ONE, 12)
    assert one.commit()
    assert three.get(ONE) == 11
    two.put(TWO, 18)
    assert three.get(TWO) == 19
    assert two.commit()
    assert three.get(TWO) in (19, None)
    assert three.get(ONE) in (11, None)
    three.commit()
    assert _now(begin) == {ONE: 12, TWO: 18}


def pmp(begin: Begin) -> None:
    """A predicate has many preceders: a phantom between two reads, and before a write."""
    one, two = _actors(begin, 2)
    assert one.total() == {ONE: 10, TWO: 20}
    two.put(THREE, 30)
    assert two.commit()
    assert one.total() in ({ONE: 10, TWO: 20}, None)
    reader, writer = _actors(begin, 2)
    matching = [key for key, number in (reader.total() or {}).items() if number == 20]
    writer.put(ONE, 20)
    writer.put(TWO, 30)
    assert writer.commit()
    for key in matching:
        reader.put(key, None)
    assert not reader.commit()  # DELETE WHERE value = 20 would now have chosen another row


def p4(begin: Begin) -> None:
    """A lost update."""
    one, two = _actors(begin, 2)
    first, second = one.get(ONE), two.get(ONE)
    assert (first, second) == (10, 10)
    one.put(ONE, 11)
    two.put(ONE, 11)
    assert [one.commit(), two.commit()] == [True, False]


def g_single(begin: Begin) -> None:
    """Read skew: between two reads, between two predicates, and before a write."""
    for read in (Actor.get, lambda actor, key: (actor.total() or {}).get(key)):
        one, two = _actors(begin, 2)
        assert read(one, ONE) == 10
        two.put(ONE, 12)
        two.put(TWO, 18)
        assert two.commit()
        assert read(one, TWO) in (20, None)
    one, two = _actors(begin, 2)
    assert one.get(ONE) == 10
    two.put(ONE, 12)
    two.put(TWO, 18)
    assert two.commit()
    one.put(THREE, 1)
    assert not one.commit()


def g2_item(begin: Begin) -> None:
    """Write skew on two rows."""
    one, two = _actors(begin, 2)
    for actor in (one, two):
        assert (actor.get(ONE), actor.get(TWO)) == (10, 20)
    one.put(ONE, 11)
    two.put(TWO, 21)
    assert [one.commit(), two.commit()] == [True, False]


def g2(begin: Begin) -> None:
    """Write skew on a predicate."""
    one, two = _actors(begin, 2)
    for actor in (one, two):
        assert [number for number in (actor.total() or {}).values() if number % 3 == 0] == []
    one.put(THREE, 30)
    two.put(FOUR, 42)
    assert [one.commit(), two.commit()] == [True, False]


ANOMALIES: dict[str, Callable[[Begin], None]] = {
    "G0": g0,
    "G1a": g1a,
    "G1b": g1b,
    "G1c": g1c,
    "OTV": otv,
    "PMP": pmp,
    "P4": p4,
    "G-single": g_single,
    "G2-item": g2_item,
    "G2": g2,
}

# Few keys, and values that are keys: scans meet, and dereferencing finds something.
KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"])
VALUES = st.one_of(st.none(), KEYS)
BOUNDS = st.sampled_from([b"", b"a", b"b", b"c\0", b"d", b"f", b"g"])
SCANS = st.builds(
    Scan, BOUNDS, BOUNDS, st.one_of(st.none(), st.integers(0, 4)), reverse=st.booleans(), dereference=st.booleans()
)
READS = st.tuples(st.lists(KEYS, max_size=3), st.lists(SCANS, max_size=3))
MOVES = st.one_of(
    st.tuples(st.just("write"), KEYS, VALUES),
    st.tuples(st.just("read"), READS),
    st.tuples(st.just("savepoint")),
    st.tuples(st.just("rollback_to"), st.integers(0, 5)),
)
UNHURRIED = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
Contents = dict[bytes, bytes]


def _answer_of(contents: Contents, gets: list[bytes], scans: list[Scan]) -> Any:
    """What a wave answers over `contents`, in plain words: values, entries, rows."""
    entries = []
    rows = []
    for scan in scans:
        keys = sorted((key for key in contents if scan.start <= key < scan.stop), reverse=scan.reverse)[: scan.limit]
        entries.append([(key, contents[key]) for key in keys])
        row_keys = [contents[key] for key in keys]
        rows.append([contents.get(key) and (key, contents[key]) for key in row_keys] if scan.dereference else None)
    return [contents.get(key) for key in gets], entries, rows


def _answer(transaction: Transaction, gets: list[bytes], scans: list[Scan]) -> Any:
    """What `transaction` answers, in the same words."""

    def plain(cell: Cell | None) -> tuple[bytes, bytes] | None:
        return None if cell is None else (cell.key, cell.value)

    got = transaction.run(answered(*gets, scans=tuple(scans)))
    return (
        [cell and cell.value for cell in got.cells],
        [[plain(cell) for cell in found] for found in got.scans],
        [rows if rows is None else [plain(row) for row in rows] for rows in got.rows],
    )


class TransactionSuite:
    """The promises of docs/transactions.md over the fixture `driver`."""

    @pytest.fixture
    def driver(self) -> Iterator[Driver]:
        """An open, empty store."""
        raise NotImplementedError("a subclass opens its store here")

    @pytest.fixture
    def begin(self, driver: Driver) -> Begin:
        return lambda: Transaction(driver)

    @staticmethod
    def store(driver: Driver, contents: dict[bytes, bytes | None]) -> None:
        """Commit `contents` behind every transaction's back."""
        driver.commit((), list(contents.items()))

    # anomalies ------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", ANOMALIES)
    def test_no_anomaly_of_the_hermitage_collection_happens(self, name: str, begin: Begin) -> None:
        ANOMALIES[name](begin)

    # views ----------------------------------------------------------------------------------------------------------

    def test_a_later_read_never_shows_a_torn_view(self, driver: Driver, begin: Begin) -> None:
        self.store(driver, {ONE: b"1", TWO: b"1"})
        transaction = begin()
        assert transaction.run(cells(ONE)) == [b"1"]
        self.store(driver, {ONE: b"2", TWO: b"2"})
        if driver.traits.snapshots:
            assert transaction.run(cells(TWO)) == [b"1"]
            transaction.commit()
        else:
            with pytest.raises(Conflict, match="40001"):
                transaction.run(cells(TWO))
            with pytest.raises(Conflict, match="40001"):
                transaction.run(cells(THREE))
            with pytest.raises(Conflict, match="40001"):
                transaction.commit()

    def test_a_cell_that_was_absent_is_expected_to_be_absent(self, driver: Driver, begin: Begin) -> None:
        transaction = begin()
        assert transaction.run(cells(ONE)) == [None]
        transaction.write(TWO, b"2")
        self.store(driver, {ONE: b"1"})
        with pytest.raises(Conflict):
            transaction.commit()
        assert begin().run(cells(TWO)) == [None]

    def test_a_row_behind_an_index_entry_is_expected_unchanged(self, driver: Driver, begin: Begin) -> None:
        self.store(driver, {b"index/1": ONE, ONE: b"1"})
        transaction = begin()
        transaction.run(answered(scans=(Scan(b"index/", b"index0", dereference=True),)))
        transaction.write(TWO, b"2")
        self.store(driver, {ONE: b"changed"})
        with pytest.raises(Conflict):
            transaction.commit()

    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_limited_scan_expects_nothing_beyond_its_last_cell(self, driver: Driver, reverse: bool) -> None:
        self.store(driver, {b"b": b"", b"d": b"", b"f": b""})
        for written, conflicts in ((b"a", not reverse), (b"c", not reverse), (b"d", True), (b"e", reverse)):
            transaction = Transaction(driver)
            transaction.run(scanned(Scan(b"", b"z", limit=2, reverse=reverse)))
            transaction.write(b"z", b"")
            self.store(driver, {written: b"new"})
            if conflicts:
                with pytest.raises(Conflict):
                    transaction.commit()
            else:
                transaction.commit()
            self.store(driver, {written: b"" if written == b"d" else None, b"z": None})

    def test_a_scan_that_found_less_than_its_limit_expects_its_whole_range(self, driver: Driver, begin: Begin) -> None:
        self.store(driver, {b"b": b""})
        transaction = begin()
        transaction.run(scanned(Scan(b"", b"y", limit=2)))
        transaction.write(b"z", b"")
        self.store(driver, {b"x": b"new"})
        with pytest.raises(Conflict):
            transaction.commit()

    def test_a_long_transaction_still_notices_a_change_to_its_first_read(self, driver: Driver, begin: Begin) -> None:
        keys = [b"k%04d" % number for number in range(600)]
        self.store(driver, dict.fromkeys(keys, b""))
        transaction = begin()
        for key in keys:
            transaction.run(cells(key))
        self.store(driver, {b"elsewhere": b""})
        assert transaction.run(cells(keys[5])) == [b""]
        transaction.write(b"z", b"")
        self.store(driver, {keys[0]: b"changed"})
        with pytest.raises(Conflict):
            transaction.run(cells(keys[7], b"other"))
            transaction.commit()
        assert begin().run(cells(b"z")) == [None]

    # round trips ----------------------------------------------------------------------------------------------------

    def test_a_transaction_that_reads_once_costs_one_round_trip(self, begin: Begin) -> None:
        transaction = begin()
        assert transaction.stats.round_trips == 0
        transaction.run(answered(ONE, TWO, scans=(Scan(*ROWS), Scan(b"a", b"b"))))
        transaction.commit()
        assert transaction.stats.round_trips == transaction.stats.waves == 1

    def test_a_commit_with_writes_costs_one_round_trip(self, begin: Begin) -> None:
        transaction = begin()
        transaction.run(cells(ONE))
        transaction.write(ONE, b"1")
        transaction.write(TWO, b"2")
        transaction.commit()
        assert (transaction.stats.waves, transaction.stats.commits) == (1, 1)

    def test_a_wave_that_own_writes_answer_costs_nothing(self, begin: Begin) -> None:
        transaction = begin()
        transaction.write(ONE, b"1")
        transaction.write(TWO, None)
        assert transaction.run(cells(ONE, TWO)) == [b"1", None]
        assert transaction.stats.waves == 0

    def test_an_index_entry_written_here_finds_its_stored_row_in_the_same_wave(
        self, driver: Driver, begin: Begin
    ) -> None:
        self.store(driver, {ONE: b"stored"})
        transaction = begin()
        transaction.write(b"index/1", ONE)
        answer = transaction.run(answered(scans=(Scan(b"index/", b"index0", limit=3, dereference=True),)))
        assert [row and row.value for row in answer.rows[0] or ()] == [b"stored"]
        assert transaction.stats.waves == 1

    def test_stats_count_keys_and_bytes(self, driver: Driver, begin: Begin) -> None:
        self.store(driver, {ONE: b"12345", TWO: b"1234567890"})
        transaction = begin()
        transaction.run(answered(ONE, THREE, scans=(Scan(*ROWS),)))
        assert transaction.stats.keys == 3
        assert transaction.stats.bytes_read == 3 * len(ONE) + 5 + 5 + 10

    # own writes and savepoints --------------------------------------------------------------------------------------

    def test_own_writes_are_read_at_once_and_by_others_after_commit(self, driver: Driver, begin: Begin) -> None:
        self.store(driver, {ONE: b"1", TWO: b"2"})
        transaction = begin()
        transaction.write(ONE, b"own")
        transaction.write(TWO, None)
        assert transaction.has_writes
        assert transaction.run(cells(ONE, TWO, THREE)) == [b"own", None, None]
        assert begin().run(cells(ONE, TWO)) == [b"1", b"2"]
        transaction.commit()
        assert begin().run(cells(ONE, TWO)) == [b"own", None]

    def test_a_rollback_leaves_nothing(self, begin: Begin) -> None:
        transaction = begin()
        transaction.write(ONE, b"1")
        transaction.rollback()
        transaction.rollback()
        assert begin().run(cells(ONE)) == [None]

    def test_rolling_back_to_a_savepoint_takes_back_writes_and_context(self, begin: Begin) -> None:
        transaction = begin()
        transaction.context = "first"
        transaction.write(ONE, b"1")
        outer = transaction.savepoint()
        transaction.context = "second"
        transaction.write(ONE, b"2")
        inner = transaction.savepoint()
        transaction.write(TWO, b"2")
        transaction.rollback_to(inner)
        assert transaction.run(cells(ONE, TWO)) == [b"2", None]
        transaction.rollback_to(outer)
        assert transaction.run(cells(ONE, TWO)) == [b"1", None]
        assert transaction.context == "first"
        transaction.write(TWO, b"again")
        transaction.rollback_to(outer)  # a savepoint can be returned to again
        transaction.commit()
        assert begin().run(cells(ONE, TWO)) == [b"1", None]

    def test_what_was_read_before_a_savepoint_was_rolled_back_stays_expected(
        self, driver: Driver, begin: Begin
    ) -> None:
        transaction = begin()
        savepoint = transaction.savepoint()
        transaction.run(cells(ONE))
        transaction.rollback_to(savepoint)
        transaction.write(TWO, b"2")
        self.store(driver, {ONE: b"1"})
        with pytest.raises(Conflict):
            transaction.commit()

    def test_a_savepoint_of_another_transaction_is_refused(self, begin: Begin) -> None:
        with pytest.raises(InternalError):
            begin().rollback_to(begin().savepoint())

    def test_an_ended_transaction_takes_nothing_more(self, begin: Begin) -> None:
        for end in (Transaction.commit, Transaction.rollback):
            transaction = begin()
            end(transaction)
            assert not transaction.active
            with pytest.raises(InactiveTransaction):
                transaction.run(cells(ONE))
            with pytest.raises(InactiveTransaction):
                transaction.write(ONE, b"1")
            with pytest.raises(InactiveTransaction):
                transaction.commit()
            transaction.rollback()

    @UNHURRIED
    @given(contents=st.dictionaries(KEYS, KEYS), moves=st.lists(MOVES, max_size=12))
    def test_reads_over_own_writes_equal_a_model(self, driver: Driver, contents: Contents, moves: list[Any]) -> None:
        driver.clear(b"")
        self.store(driver, dict(contents))
        transaction = Transaction(driver)
        model = dict(contents)
        savepoints: list[Any] = []
        for move, *arguments in [*moves, ("read", ([b"a", b"c"], [Scan(b"", b"z", dereference=True)]))]:
            match move:
                case "write":
                    key, value = arguments
                    transaction.write(key, value)
                    model.pop(key, None) if value is None else model.update({key: value})
                case "savepoint":
                    savepoints.append((transaction.savepoint(), dict(model)))
                case "rollback_to" if savepoints:
                    del savepoints[arguments[0] + 1 :]
                    transaction.rollback_to(savepoints[-1][0])
                    model = dict(savepoints[-1][1])
                case "read":
                    waves = transaction.stats.waves
                    assert _answer(transaction, *arguments[0]) == _answer_of(model, *arguments[0])
                    assert transaction.stats.waves <= waves + 1
        transaction.commit()
        everything = _answer(Transaction(driver), [], [Scan(b"", b"z")])
        assert everything == _answer_of(model, [], [Scan(b"", b"z")])

    @UNHURRIED
    @given(
        contents=st.dictionaries(KEYS, KEYS),
        own=st.dictionaries(KEYS, VALUES, max_size=3),
        reads=READS,
        others=st.dictionaries(KEYS, VALUES, min_size=1, max_size=2),
    )
    def test_a_commit_stands_only_if_its_reads_would_be_answered_the_same(
        self, driver: Driver, contents: Contents, own: dict[bytes, bytes | None], reads: Any, others: Any
    ) -> None:
        driver.clear(b"")
        self.store(driver, dict(contents))
        transaction = Transaction(driver)
        for key, value in own.items():
            transaction.write(key, value)
        before = _answer(transaction, *reads)
        transaction.write(b"z", b"done")
        self.store(driver, others)

        later = {key: value for key, value in (contents | others | own).items() if value is not None}
        try:
            transaction.commit()
        except Conflict:
            gets, scans = reads
            assert gets or scans, "a transaction that read nothing cannot conflict"
        else:
            assert _answer_of(later, *reads) == before

    # the guard ------------------------------------------------------------------------------------------------------

    def test_the_guard_travels_with_the_wave_that_opens_the_view(self, driver: Driver) -> None:
        self.store(driver, {b"guard": b"1"})
        version = driver.read([b"guard"]).version
        transaction = Transaction(driver, guard=(b"guard", version))
        answer = transaction.run(answered(ONE, TWO))
        assert answer.cells == [None, None]
        assert transaction.stats.waves == 1

    @pytest.mark.parametrize("isolation", Isolation)
    def test_a_changed_guard_is_told_once_and_the_next_run_goes_on(self, driver: Driver, isolation: Isolation) -> None:
        self.store(driver, {b"guard": b"now", ONE: b"1"})
        transaction = Transaction(driver, guard=(b"guard", 0), isolation=isolation)
        transaction.begin_statement()
        with pytest.raises(GuardChanged) as changed:
            transaction.run(cells(ONE))
        assert changed.value.cell is not None and changed.value.cell.value == b"now"
        assert transaction.run(cells(ONE)) == [b"1"]
        transaction.begin_statement()
        assert transaction.run(cells(ONE)) == [b"1"]
        transaction.write(TWO, b"2")
        transaction.commit()

    @pytest.mark.parametrize("isolation", Isolation)
    @pytest.mark.parametrize("reads", [True, False])
    def test_a_commit_planned_on_an_old_guard_is_refused(
        self, driver: Driver, isolation: Isolation, reads: bool
    ) -> None:
        self.store(driver, {b"guard": b"1"})
        transaction = Transaction(driver, guard=(b"guard", driver.read([b"guard"]).version), isolation=isolation)
        transaction.begin_statement()
        if reads:
            transaction.run(cells(ONE))
        transaction.write(TWO, b"2")
        self.store(driver, {b"guard": b"2"})
        with pytest.raises(Conflict):
            transaction.commit()
        assert Transaction(driver).run(cells(TWO)) == [None]

    # READ COMMITTED -------------------------------------------------------------------------------------------------

    def test_read_committed_shows_each_statement_the_newest_state(self, driver: Driver) -> None:
        self.store(driver, {ONE: b"1"})
        transaction = Transaction(driver, isolation=Isolation.READ_COMMITTED)
        transaction.begin_statement()
        assert transaction.run(cells(ONE)) == [b"1"]
        self.store(driver, {ONE: b"2"})
        transaction.begin_statement()
        assert transaction.run(cells(ONE)) == [b"2"]
        transaction.write(TWO, b"2")
        self.store(driver, {THREE: b"3"})
        transaction.commit()

    def test_read_committed_forgets_what_a_statement_that_wrote_nothing_read(self, driver: Driver) -> None:
        transaction = Transaction(driver, isolation=Isolation.READ_COMMITTED)
        transaction.begin_statement()
        transaction.run(answered(ONE, scans=(Scan(*ROWS),)))
        transaction.begin_statement()
        transaction.run(cells(TWO))
        transaction.write(TWO, b"2")
        transaction.begin_statement()
        transaction.run(cells(FOUR))
        self.store(driver, {ONE: b"1", THREE: b"3", FOUR: b"4"})
        transaction.commit()

    def test_read_committed_never_loses_an_update(self, driver: Driver) -> None:
        self.store(driver, {ONE: b"1"})
        transaction = Transaction(driver, isolation=Isolation.READ_COMMITTED)
        transaction.begin_statement()
        transaction.run(cells(ONE))
        transaction.write(ONE, b"2")
        self.store(driver, {ONE: b"other"})
        transaction.begin_statement()
        with pytest.raises(Conflict):
            transaction.run(cells(TWO))
            transaction.commit()
        assert Transaction(driver).run(cells(ONE)) == [b"other"]

    def test_read_committed_forgets_a_statement_that_was_rolled_back(self, driver: Driver) -> None:
        transaction = Transaction(driver, isolation=Isolation.READ_COMMITTED)
        transaction.write(THREE, b"3")
        transaction.begin_statement()
        savepoint = transaction.savepoint()
        transaction.run(cells(ONE))
        transaction.write(ONE, b"mine")
        transaction.rollback_to(savepoint)
        self.store(driver, {ONE: b"1"})
        transaction.commit()
        assert Transaction(driver).run(cells(ONE, THREE)) == [b"1", b"3"]

    # draws and replay -----------------------------------------------------------------------------------------------

    def test_an_increment_is_not_undone(self, begin: Begin) -> None:
        transaction = begin()
        assert transaction.increment(b"sequence", 1, at_least=10) == 11
        transaction.rollback()
        assert begin().increment(b"sequence", 1) == 12

    def test_a_replay_commits_when_every_answer_is_the_same(self, driver: Driver, begin: Begin) -> None:
        def insert(transaction: Transaction) -> object:
            number = transaction.increment(b"sequence", 1)
            transaction.run(scanned(Scan(*ROWS)))  # read, but its answer is not told
            transaction.write(b"row/%d" % number, b"new")
            return number

        transaction, journal, replay = begin(), Journal(), Replay()
        assert journal.perform(transaction, insert) == 1
        self.store(driver, {FOUR: b"4"})
        committed = replay.commit(journal, transaction, begin)
        assert committed is not transaction
        assert begin().run(cells(ONE, TWO)) == [b"new", None]
        assert (replay.replays, replay.replayed_commits, replay.refused) == (1, 1, 0)

    def test_a_replay_whose_answers_differ_is_refused_and_writes_nothing(self, driver: Driver, begin: Begin) -> None:
        def read_and_write(transaction: Transaction) -> object:
            transaction.write(TWO, b"2")
            return transaction.run(cells(ONE))

        transaction, journal, replay = begin(), Journal(), Replay()
        journal.perform(transaction, read_and_write)
        self.store(driver, {ONE: b"1"})
        with pytest.raises(Conflict, match="40001"):
            replay.commit(journal, transaction, begin)
        assert begin().run(cells(TWO)) == [None]
        assert (replay.replays, replay.replayed_commits, replay.refused) == (1, 0, 1)

    def test_a_conflict_in_the_middle_of_a_statement_is_recovered(self, driver: Driver, begin: Begin) -> None:
        def count(transaction: Transaction) -> object:
            return len(transaction.run(scanned(Scan(*ROWS))))

        transaction, journal, replay = begin(), Journal(), Replay()
        assert journal.perform(transaction, count) == 0
        self.store(driver, {ONE: b"1"})
        self.store(driver, {ONE: None})  # back again: the same answer from a newer state
        transaction = replay.recover(journal, transaction, begin)
        transaction.write(TWO, b"2")
        assert replay.commit(journal, transaction, begin) is transaction
        assert begin().run(cells(TWO)) == [b"2"]

    def test_a_contended_counter_loses_nothing_and_refuses_no_one(self, driver: Driver, begin: Begin) -> None:
        replay = Replay(Policy(max_tries=100))
        for _ in range(3):
            racing, journal = begin(), Journal()
            journal.perform(racing, _increment)
            other = begin()
            _increment(other)
            other.commit()
            replay.commit(journal, racing, begin)
        assert begin().run(cells(ONE)) == [b"6"]


def _increment(transaction: Transaction) -> int:
    """UPDATE … SET n = n + 1, which tells its row count."""
    (value,) = transaction.run(cells(ONE))
    transaction.write(ONE, b"%d" % (int(value or 0) + 1))
    return 1
