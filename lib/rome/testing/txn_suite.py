"""What every transaction promises, as tests for any driver.

Subclass `TransactionSuite`, give it a fixture `driver` (an open, empty store), and run it with pytest.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rome.driver.api import Cell, Driver, Follow, Scan
from rome.errors import Conflict, InactiveTransaction, InternalError, Unavailable
from rome.testing.anomalies import ANOMALIES, FOUR, ONE, ROWS, THREE, TWO, Begin, cells, now, scanned
from rome.testing.instruments import Fault, Faulty
from rome.txn.commit import OneRoundTrip
from rome.txn.retry import Journal, Policy, Replay
from rome.txn.transaction import GuardChanged, Isolation, Transaction
from rome.txn.wave import Step, Wave, WaveResult


def answered(*gets: bytes, scans: tuple[Scan, ...] = ()) -> Step[WaveResult]:
    """A step of one wave: its whole answer."""
    return (yield Wave(gets, scans))


# Few keys, and values that are keys: scans meet, and dereferencing finds something.
KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"])
VALUES = st.one_of(st.none(), KEYS)
BOUNDS = st.sampled_from([b"", b"a", b"b", b"c\0", b"d", b"f", b"g"])
HELD = st.sampled_from([(), (b"a",), (b"b", b"c")])
FOLLOWS = st.builds(Follow, st.just(1), KEYS, st.booleans(), st.integers(0, 3), HELD)
SCANS = st.builds(
    Scan,
    BOUNDS,
    BOUNDS,
    st.one_of(st.none(), st.integers(0, 4)),
    reverse=st.booleans(),
    dereference=st.booleans(),
    follow=st.lists(FOLLOWS, max_size=2).map(tuple),
)
READS = st.tuples(st.lists(KEYS, max_size=3), st.lists(SCANS, max_size=3))
CONTENTS = st.dictionaries(KEYS, KEYS, min_size=2)
TURNS = st.one_of(st.tuples(st.just("write"), KEYS, VALUES), st.tuples(st.just("read"), READS))
MOVES = st.one_of(
    TURNS,
    TURNS,
    st.tuples(st.just("savepoint")),
    st.tuples(st.just("rollback_to"), st.integers(0, 5)),
)
# A function-scoped store is emptied by each example; the same examples run on every store, which is the point.
UNHURRIED = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.differing_executors],
)
Contents = dict[bytes, bytes]
Script = list[Any]  # of ("write", key, value) and ("read", (gets, scans))


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


class Story:
    """A transaction that follows a script and commits, one turn at a time; and the answers it was given."""

    def __init__(self, transaction: Transaction, script: Script) -> None:
        self.script = script
        self.answers: list[Any] = []
        self.committed = False
        self._transaction = transaction
        self._turns = iter(script)

    def go_on(self) -> None:
        """The next turn, until the transaction has ended."""
        if not self._transaction.active:
            return
        try:
            match next(self._turns, ("commit",)):
                case ("read", (gets, scans)):
                    self.answers.append(_answer(self._transaction, gets, scans))
                case ("write", key, value):
                    self._transaction.write(key, value)
                case _:
                    self._transaction.commit()
                    self.committed = True
        except Conflict:
            self._transaction.rollback()


def _story_of(transaction: Transaction, script: Script) -> Story:
    """A whole story at once."""
    story = Story(transaction, script)
    for _ in range(len(script) + 1):
        story.go_on()
    return story


def _tells(contents: Contents, stories: Sequence[Story]) -> bool:
    """Whether `stories` got the answers that they would have got one after another over `contents`."""
    contents = dict(contents)
    for story in stories:
        own = dict(contents)
        answers = iter(story.answers)
        for move, *arguments in story.script:
            if move == "write":
                key, value = arguments
                own.pop(key, None) if value is None else own.update({key: value})
            else:
                answer = next(answers, None)
                if answer is None:
                    break  # it met a conflict here
                if answer != _answer_of(own, *arguments[0]):
                    return False
        if story.committed:
            contents = own
    return True


class TransactionSuite:
    """The promises of docs/transactions.md over the fixture `driver`."""

    capability = "transactions"

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
        assert now(begin, TWO) == [None]

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
        if driver.traits.snapshots:
            assert transaction.run(cells(keys[0])) == [b""]
        else:
            with pytest.raises(Conflict):
                transaction.run(cells(b"other"))
        with pytest.raises(Conflict):
            transaction.commit()
        assert now(begin, b"z") == [None]

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

    @pytest.mark.parametrize("dereference", [False, True])
    def test_what_a_scan_followed_costs_no_further_round_trip(
        self, driver: Driver, begin: Begin, dereference: bool
    ) -> None:
        self.store(driver, {b"r/1": b"", b"r/2": b"", b"c/1/a": ONE, b"c/1/b": TWO, ONE: b"1", b"c/3/a": ONE})
        transaction = begin()
        follow = (Follow(2, b"c/", dereference, 9),)
        assert [key for key, _ in transaction.run(scanned(Scan(b"r/", b"r0", follow=follow)))] == [b"r/1", b"r/2"]
        keys = transaction.stats.keys
        first, second = Scan(b"c/1/", b"c/10", None, False, dereference), Scan(b"c/2/", b"c/20")
        for _ in range(2):
            answer = transaction.run(answered(b"c/1/a", b"c/1/z", scans=(first, second)))
            assert [cell and cell.value for cell in answer.cells] == [ONE, None]
            assert [[cell.key for cell in found] for found in answer.scans] == [[b"c/1/a", b"c/1/b"], []]
            if dereference:
                assert [row and row.value for row in answer.rows[0] or ()] == [b"1", None]
        assert (transaction.stats.waves, transaction.stats.keys, keys) == (1, keys, 5 if dereference else 4)
        transaction.run(scanned(Scan(b"c/3/", b"c/30")))  # of no row that was followed
        assert transaction.stats.waves == 2

    def test_own_writes_lie_over_what_a_scan_followed(self, driver: Driver, begin: Begin) -> None:
        self.store(driver, {b"r/1": b"", b"r/2": b"", b"c/1/a": ONE, b"c/1/b": TWO, b"c/2/a": TWO, b"c/3": ONE})
        transaction = begin()
        transaction.write(b"c/1/a", None)
        transaction.write(b"c/1/c", b"own")
        transaction.write(b"r/2", None)
        transaction.write(b"r/3", b"own")
        scan = Scan(b"r/", b"r0", 2, follow=(Follow(2, b"c/", False, 2),))
        assert [key for key, _ in transaction.run(scanned(scan))] == [b"r/1", b"r/3"]
        transaction.write(b"c/2/b", b"later")
        scans = tuple(Scan(b"c/%d" % number, b"c/%d0" % number) for number in (1, 2))
        answer = transaction.run(answered(scans=scans))
        assert [[cell.key for cell in found] for found in answer.scans] == [[b"c/1/b", b"c/1/c"], [b"c/2/a", b"c/2/b"]]
        assert transaction.stats.waves == 1
        assert [key for key, _ in transaction.run(scanned(Scan(b"c/3", b"c/4")))] == [b"c/3"]
        assert transaction.stats.waves == 2  # the store could not know of an own row

    @pytest.mark.parametrize(("written", "value"), [(b"c/1/b", b""), (b"c/1/a", None), (b"c/2/a", b""), (ONE, b"2")])
    def test_what_a_scan_followed_is_expected_as_it_was(
        self, driver: Driver, begin: Begin, written: bytes, value: bytes | None
    ) -> None:
        self.store(driver, {b"r/1": b"", b"r/2": b"", b"c/1/a": ONE, ONE: b"1"})
        transaction = begin()
        transaction.run(scanned(Scan(b"r/", b"r0", follow=(Follow(2, b"c/", True, 9),))))
        transaction.write(b"z", b"")
        self.store(driver, {written: value})
        with pytest.raises(Conflict):
            transaction.commit()

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
        assert now(begin, ONE, TWO) == [b"1", b"2"]
        transaction.commit()
        assert now(begin, ONE, TWO) == [b"own", None]

    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_limited_scan_fills_its_limit_past_own_deletes(self, driver: Driver, reverse: bool) -> None:
        self.store(driver, {b"%d" % digit: b"" for digit in range(8)})
        transaction = Transaction(driver)
        for digit in (0, 1, 3, 4, 6, 7):
            transaction.write(b"%d" % digit, None)
        transaction.write(b"44", b"")
        found = transaction.run(scanned(Scan(b"0", b"9", limit=2, reverse=reverse)))
        assert [key for key, _ in found] == ([b"5", b"44"] if reverse else [b"2", b"44"])
        transaction.rollback()

    def test_rows_behind_index_entries_are_own_rows_where_there_are(self, driver: Driver, begin: Begin) -> None:
        self.store(driver, {b"index/1": ONE, b"index/2": TWO, b"index/3": THREE, ONE: b"1", TWO: b"2", THREE: b"3"})
        scan = Scan(b"index/", b"index0", dereference=True)
        transaction = begin()
        transaction.write(ONE, b"own")
        transaction.write(TWO, None)
        answer = transaction.run(answered(scans=(scan,)))
        assert [row and row.value for row in answer.rows[0] or ()] == [b"own", None, b"3"]
        transaction.write(b"index/0", ONE)
        transaction.write(b"index/2", FOUR)  # an entry moved to another row
        transaction.write(b"index/3", None)
        answer = transaction.run(answered(scans=(scan,)))
        assert [cell.key for cell in answer.scans[0]] == [b"index/0", b"index/1", b"index/2"]
        assert [row and row.value for row in answer.rows[0] or ()] == [b"own", b"own", None]
        transaction.rollback()

    def test_rows_are_fetched_for_no_more_own_entries_than_the_limit(self, driver: Driver, begin: Begin) -> None:
        self.store(driver, {b"row/%d" % number: b"" for number in range(9)})
        transaction = begin()
        for number in range(9):
            transaction.write(b"index/%d" % number, b"row/%d" % number)
        transaction.run(answered(scans=(Scan(b"index/", b"index0", limit=2, dereference=True),)))
        assert transaction.stats.keys == 2
        transaction.rollback()

    def test_a_rollback_leaves_nothing(self, begin: Begin) -> None:
        transaction = begin()
        transaction.write(ONE, b"1")
        transaction.rollback()
        transaction.rollback()
        assert now(begin, ONE) == [None]

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
        assert now(begin, ONE, TWO) == [b"1", None]

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
    @given(contents=CONTENTS, moves=st.lists(MOVES, max_size=12))
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
        later = Transaction(driver)
        assert _answer(later, [], [Scan(b"", b"z")]) == _answer_of(model, [], [Scan(b"", b"z")])
        later.rollback()

    @UNHURRIED
    @given(
        contents=CONTENTS,
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

    @UNHURRIED
    @given(
        contents=CONTENTS,
        scripts=st.lists(st.lists(TURNS, min_size=1, max_size=4), min_size=2, max_size=3),
        order=st.lists(st.integers(0, 2), max_size=14),
    )
    def test_interleaved_transactions_could_have_run_one_after_another(
        self, driver: Driver, contents: Contents, scripts: list[Script], order: list[int]
    ) -> None:
        driver.clear(b"")
        self.store(driver, dict(contents))
        stories = [Story(Transaction(driver), script) for script in scripts]
        for turn in [*order, *(number for number in range(len(stories)) for _ in range(5))]:
            if turn < len(stories):
                stories[turn].go_on()
        final = _story_of(Transaction(driver), [("read", ([], [Scan(b"", b"z")]))])
        # Those that met a conflict wrote nothing, but what they had read must belong to one state all the same.
        assert any(_tells(contents, [*some_order, final]) for some_order in itertools.permutations(stories)), (
            "no order explains what was read"
        )

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
        assert now(lambda: Transaction(driver), TWO) == [None]

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

    @pytest.mark.parametrize("scans", [(), (Scan(*ROWS),)])
    def test_read_committed_expects_what_is_read_again_by_a_statement_that_writes(
        self, driver: Driver, scans: tuple[Scan, ...]
    ) -> None:
        transaction = Transaction(driver, isolation=Isolation.READ_COMMITTED)
        for _ in range(2):
            transaction.begin_statement()
            transaction.run(answered(*(() if scans else (ONE,)), scans=scans))
        transaction.write(b"elsewhere", b"")
        self.store(driver, {ONE: b"1"})
        with pytest.raises(Conflict):
            transaction.commit()

    def test_read_committed_expects_what_was_read_after_a_return_to_an_earlier_statement(self, driver: Driver) -> None:
        transaction = Transaction(driver, isolation=Isolation.READ_COMMITTED)
        savepoint = transaction.savepoint()
        for key in (TWO, THREE, FOUR):
            transaction.write(key, b"")
        transaction.begin_statement()
        transaction.rollback_to(savepoint)
        transaction.run(cells(ONE))
        transaction.write(ONE, b"mine")
        self.store(driver, {ONE: b"other"})
        with pytest.raises(Conflict):
            transaction.commit()

    def test_read_committed_looks_at_the_guard_in_every_statement(self, driver: Driver) -> None:
        transaction = Transaction(driver, isolation=Isolation.READ_COMMITTED, guard=(b"guard", 0))
        transaction.begin_statement()
        transaction.run(cells(ONE))
        self.store(driver, {b"guard": b"new"})
        transaction.begin_statement()
        with pytest.raises(GuardChanged):
            transaction.run(cells(ONE))
        transaction.rollback()

    def test_read_committed_keeps_the_guard_of_a_statement_that_wrote_without_reading(self, driver: Driver) -> None:
        transaction = Transaction(driver, isolation=Isolation.READ_COMMITTED, guard=(b"guard", 0))
        transaction.begin_statement()
        transaction.write(ONE, b"planned on the old catalogue")
        self.store(driver, {b"guard": b"new"})
        transaction.begin_statement()
        with pytest.raises(Conflict):
            transaction.run(cells(TWO))
        transaction.rollback()

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
        assert now(lambda: Transaction(driver), ONE) == [b"other"]

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
        assert now(lambda: Transaction(driver), ONE, THREE) == [b"1", b"3"]

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
        assert now(begin, ONE, TWO) == [b"new", None]
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
        assert now(begin, TWO) == [None]
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
        assert now(begin, TWO) == [b"2"]

    def test_over_a_faulty_network_every_acknowledged_commit_stands_once(self, driver: Driver) -> None:
        rates = {Fault.DROP_BEFORE: 0.1, Fault.LOSE: 0.1, Fault.DROP_AFTER: 0.1, Fault.DUPLICATE: 0.1}
        network = Faulty(driver, rates=rates, chance=random.Random(7))
        protocol = OneRoundTrip(sleep=lambda seconds: None)
        acknowledged = 0
        for _ in range(150):
            transaction = Transaction(network, protocol=protocol)
            try:
                _increment(transaction)
                transaction.commit()
                acknowledged += 1
            except Unavailable:
                transaction.rollback()  # nothing was written
        assert now(lambda: Transaction(driver), ONE) == [b"%d" % acknowledged]
        assert min(network.injected[fault] for fault in rates) > 10

    def test_a_contended_counter_loses_nothing_and_refuses_no_one(self, driver: Driver, begin: Begin) -> None:
        replay = Replay(Policy(max_tries=100))
        for _ in range(3):
            racing, journal = begin(), Journal()
            journal.perform(racing, _increment)
            other = begin()
            _increment(other)
            other.commit()
            replay.commit(journal, racing, begin)
        assert now(begin, ONE) == [b"6"]


def _increment(transaction: Transaction) -> int:
    """UPDATE … SET n = n + 1, which tells its row count."""
    (value,) = transaction.run(cells(ONE))
    transaction.write(ONE, b"%d" % (int(value or 0) + 1))
    return 1
