"""A replay that lost again queues for what others change, as for a row that is locked FOR UPDATE."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from rome.config import parse
from rome.driver.api import Driver, ExpectCell, ExpectRange, Patience, Scan
from rome.driver.open import open_store
from rome.errors import Conflict
from rome.lock.keeper import Keeper
from rome.testing.anomalies import ONE, THREE, TWO, cells, scanned
from rome.txn.contention import AGAIN_S, HOT_S, MAX_NAMES, MAX_PLACES, HotPlaces, Refusals, changed, places
from rome.txn.leases import RowLeases
from rome.txn.retry import Journal, Policy, Replay
from rome.txn.transaction import GuardChanged, Isolation, Transaction

STRANGER = b"a stranger's mark"[:16]


class Clock:
    """Time that only sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = open_store(parse("rome+memory://"))
    yield driver
    driver.close()


@pytest.fixture
def keeper(driver: Driver) -> Iterator[Keeper]:
    keeper = Keeper(driver)
    yield keeper
    keeper.close()


Run = Callable[[Transaction], object]


class Application:
    """One transaction of an application, with the leases of all of its tries."""

    def __init__(self, driver: Driver, keeper: Keeper, run: Run) -> None:
        self.leases = RowLeases(driver, keeper, timeout_ms=60_000)
        self.begin = partial(Transaction, driver, leases=self.leases)
        self.journal = Journal()
        self.transaction = self.begin()
        self.journal.perform(self.transaction, run)

    def commit(self, replay: Replay) -> None:
        replay.commit(self.journal, self.transaction, self.begin)


def held(driver: Driver) -> set[bytes]:
    return {holding.name for holding in driver.locks()}


def read_two_and_write_three(transaction: Transaction) -> int:
    transaction.run(cells(ONE, TWO))
    transaction.write(THREE, b"3")
    return 1


def losing(driver: Driver, times: int, run: Run = read_two_and_write_three, place: bytes = ONE) -> Run:
    """`run`, after which someone else writes to `place`, the first `times` times."""
    left = iter(range(times))

    def run_and_lose(transaction: Transaction) -> object:
        answer = run(transaction)
        if next(left, None) is not None:
            driver.commit((), [(place, b"other")])
        return answer

    return run_and_lose


def test_the_first_try_takes_no_lease(driver: Driver, keeper: Keeper) -> None:
    application = Application(driver, keeper, losing(driver, 1))
    application.commit(Replay())
    assert held(driver) == set()


def test_the_second_try_has_the_lease_of_what_had_changed_and_of_nothing_else(driver: Driver, keeper: Keeper) -> None:
    application, clock = Application(driver, keeper, losing(driver, 2)), Clock()
    replay = Replay(sleep=clock.sleep)
    application.commit(replay)
    assert (held(driver), replay.replays, clock.slept_s) == ({ONE}, 2, [])
    application.leases.release()
    assert held(driver) == set()


def test_a_range_is_queued_for_by_its_beginning(driver: Driver, keeper: Keeper) -> None:
    def count(transaction: Transaction) -> int:
        transaction.run(scanned(Scan(b"row/", b"row0")))
        transaction.run(cells(b"elsewhere"))
        transaction.write(b"elsewhere", b"1")
        return 1

    fresh = iter([ONE, TWO])

    def count_and_lose(transaction: Transaction) -> object:
        answer = count(transaction)
        if (place := next(fresh, None)) is not None:
            driver.commit((), [(place, b"new")])
        return answer

    application = Application(driver, keeper, count_and_lose)
    application.commit(Replay())
    assert held(driver) == {b"row/"}


def test_a_newcomer_queues_before_its_first_commit_where_others_of_its_process_had_to(
    driver: Driver, keeper: Keeper
) -> None:
    replay = Replay()
    Application(driver, keeper, losing(driver, 2)).commit(replay)
    driver.unlock(next(iter(driver.locks())).session)
    newcomer = Application(driver, keeper, read_two_and_write_three)
    newcomer.commit(replay)
    assert (held(driver), replay.replays) == ({ONE}, 2)
    newcomer.leases.release()
    elsewhere = Application(driver, keeper, lambda tx: (tx.run(cells(TWO)), tx.write(TWO, b"2")))
    elsewhere.commit(replay)
    assert held(driver) == set()


def test_who_only_reads_queues_for_nothing(driver: Driver, keeper: Keeper) -> None:
    replay = Replay()
    Application(driver, keeper, losing(driver, 2)).commit(replay)
    driver.unlock(next(iter(driver.locks())).session)
    Application(driver, keeper, lambda tx: tx.run(cells(ONE))).commit(replay)
    assert held(driver) == set()


def test_a_place_cools_down(driver: Driver, keeper: Keeper) -> None:
    clock = Clock()
    replay = Replay(clock=clock, sleep=clock.sleep)
    Application(driver, keeper, losing(driver, 2)).commit(replay)
    driver.unlock(next(iter(driver.locks())).session)
    clock.now_s += HOT_S
    Application(driver, keeper, read_two_and_write_three).commit(replay)
    assert held(driver) == set()


def test_who_waits_too_long_for_its_turn_tries_without_it(driver: Driver, keeper: Keeper) -> None:
    driver.lock(STRANGER, [ONE], 60_000, Patience.WAIT)
    application, clock = Application(driver, keeper, losing(driver, 2)), Clock()
    replay = Replay(Policy(max_time_s=0.05), sleep=clock.sleep)
    application.commit(replay)
    assert (replay.replayed_commits, len(clock.slept_s)) == (1, 1)


def test_who_is_in_a_deadlock_tries_without_its_turn(driver: Driver, keeper: Keeper) -> None:
    application = Application(driver, keeper, losing(driver, 2))
    application.transaction.lock_rows([TWO], Patience.WAIT, "the table")
    driver.lock(STRANGER, [ONE], 60_000, Patience.WAIT)
    driver.lock(STRANGER, [TWO], 60_000, Patience.WAIT)
    replay = Replay(sleep=lambda seconds: None)
    application.commit(replay)
    assert replay.replayed_commits == 1


def test_a_replay_whose_answers_differ_is_refused_with_its_turn_too(driver: Driver, keeper: Keeper) -> None:
    def tell(transaction: Transaction) -> object:
        transaction.write(THREE, b"3")
        return transaction.run(cells(TWO, ONE))

    driver.commit((), [(ONE, b"other")])
    replay = Replay()
    application = Application(driver, keeper, losing(driver, 2, tell))
    driver.commit((), [(TWO, b"this is told")])
    with pytest.raises(Conflict, match="answers would now be different"):
        application.commit(replay)
    assert Transaction(driver).run(cells(THREE)) == [None]


def read_one(transaction: Transaction) -> object:
    return transaction.run(cells(ONE))


def write_three(transaction: Transaction) -> None:
    transaction.write(THREE, b"3")


def refused(driver: Driver, keeper: Keeper, replay: Replay) -> None:
    """An application reads ONE, hears what is there, and is refused, because another has changed it meanwhile."""
    application = Application(driver, keeper, read_one)
    application.journal.perform(application.transaction, write_three)
    driver.commit((), [(ONE, b"other")])
    with pytest.raises(Conflict, match="answers would now be different"):
        application.commit(replay)
    application.leases.release()


def again(driver: Driver, keeper: Keeper, replay: Replay, run: Run = read_one) -> set[bytes]:
    """What is held after the first statement of the next transaction, which is `run`."""
    leases = RowLeases(driver, keeper, timeout_ms=60_000)
    begin = partial(Transaction, driver, leases=leases)
    journal, transaction = Journal(), begin()
    replay.queue_again(journal, transaction, run)
    journal.perform(transaction, run)
    journal.perform(transaction, write_three)
    taken = held(driver)
    replay.commit(journal, transaction, begin)
    leases.release()
    return taken


def test_who_was_refused_and_runs_the_same_again_queues_before_it_reads_once(driver: Driver, keeper: Keeper) -> None:
    replay = Replay()
    assert again(driver, keeper, replay) == set()
    refused(driver, keeper, replay)
    assert again(driver, keeper, replay) == {ONE}
    assert again(driver, keeper, replay) == set()


def test_who_runs_something_else_or_much_later_or_in_another_thread_does_not_queue(
    driver: Driver, keeper: Keeper
) -> None:
    clock = Clock()
    replay = Replay(clock=clock, sleep=clock.sleep)
    refused(driver, keeper, replay)
    assert again(driver, keeper, replay, lambda transaction: transaction.run(cells(ONE))) == set()
    told: list[set[bytes]] = []
    other = threading.Thread(target=lambda: told.append(again(driver, keeper, replay)))
    other.start()
    other.join()
    assert told == [set()]
    clock.now_s += AGAIN_S
    assert again(driver, keeper, replay) == set()


def test_who_waits_too_long_before_it_reads_reads_without_its_turn(driver: Driver, keeper: Keeper) -> None:
    replay = Replay(Policy(max_time_s=0.05))
    refused(driver, keeper, replay)
    driver.lock(STRANGER, [ONE], 60_000, Patience.WAIT)
    assert again(driver, keeper, replay) == {ONE}  # the stranger's
    assert [holding.waiting for holding in driver.locks()] == [0]


def test_refusals_that_are_remembered_are_bounded() -> None:
    clock, current = Clock(), [0]
    refusals = Refusals(clock, lambda: current[0])
    for number in range(MAX_PLACES + 1):
        current[0] = number
        refusals.add("first", [b"%d" % each for each in range(2 * MAX_NAMES)])
    assert refusals.take("first") == []  # one too many
    current[0] = 7
    assert refusals.take("another") == []
    assert refusals.take("first") == [b"%d" % each for each in range(MAX_NAMES)]
    clock.now_s += AGAIN_S
    current[0] = 8
    refusals.add("first", [b"a"])
    assert refusals.take("first") == [b"a"]
    current[0] = MAX_PLACES + 1
    for _ in range(2):  # what is too old makes room
        refusals.add("first", [b"b"])
    assert refusals.take("first") == [b"b"]


def test_replay_turned_off_takes_no_lease(driver: Driver, keeper: Keeper) -> None:
    application = Application(driver, keeper, losing(driver, 1))
    with pytest.raises(Conflict):
        application.commit(Replay(Policy(enabled=False)))
    assert held(driver) == set()


def test_what_changed_is_a_cell_of_another_version_or_a_range_of_other_keys() -> None:
    before = places([ExpectCell(b"a", 1), ExpectCell(b"b", 1), ExpectRange(b"r", b"s", 5, (b"r1",))])
    assert changed(before, places([ExpectCell(b"a", 1), ExpectCell(b"b", 2)])) == [b"b"]
    assert changed(before, places([ExpectRange(b"r", b"s", 9, (b"r1", b"r2"))])) == [b"r"]
    # a cell within a range was written: its keys do not tell
    assert changed(before, places([ExpectCell(b"a", 1), ExpectRange(b"r", b"s", 9, (b"r1",))])) == [b"r"]
    assert changed(before, places([ExpectCell(b"c", 1)])) == []


def test_what_is_looked_at_and_remembered_is_bounded() -> None:
    assert places(ExpectCell(b"%d" % number, 1) for number in range(MAX_PLACES + 1)) == {}
    clock = Clock()
    hot = HotPlaces(clock)
    assert not hot
    hot.add(b"%d" % number for number in range(MAX_PLACES + 1))
    hot.add([b"another"])
    assert hot
    assert hot.among({b"another": (1,)}) == []
    clock.now_s += HOT_S
    assert not hot
    hot.add([b"another"])
    assert hot.among({b"another": (1,), b"1": (1,)}) == [b"another"]


def read_one_by_one(transaction: Transaction) -> int:
    for place in (ONE, TWO, THREE):
        transaction.run(cells(place))
    transaction.run(scanned(Scan(b"row/", b"row0", limit=2)))
    transaction.write(THREE, b"3")
    return 1


@pytest.mark.parametrize(("isolation", "waves"), [(Isolation.SERIALIZABLE, 1), (Isolation.READ_COMMITTED, 4)])
def test_a_replay_of_several_statements_reads_what_they_read_in_one_round_trip(
    driver: Driver, isolation: Isolation, waves: int
) -> None:
    def begin() -> Transaction:
        return Transaction(driver, isolation=isolation)

    def read_as_statements(transaction: Transaction) -> int:
        transaction.hold_statement()
        return read_one_by_one(transaction)

    driver.commit((), [(ONE, b"1"), (TWO, b"2")])
    journal, transaction = Journal(), begin()
    journal.perform(transaction, read_as_statements)
    journal.perform(transaction, lambda tx: tx.write(b"row/9", b"9"))
    driver.commit((), [(ONE, b"other")])
    committed = Replay().commit(journal, transaction, begin)
    assert committed is not transaction
    assert committed.stats.waves == waves


def test_a_replay_that_finds_the_catalogue_changed_looks_at_nothing_ahead(driver: Driver) -> None:
    """No statement was told of it then, so each must find it out itself."""
    catalogue = b"catalogue"
    told: list[str] = []

    def begin() -> Transaction:
        return Transaction(driver, guard=(catalogue, 0))

    def plan_and_read(transaction: Transaction) -> int:
        try:
            transaction.run(cells(ONE))
        except GuardChanged:
            told.append("changed")
            transaction.run(cells(ONE))
        transaction.write(TWO, b"2")
        return 1

    journal, transaction = Journal(), begin()
    journal.perform(transaction, plan_and_read)
    journal.perform(transaction, plan_and_read)
    driver.commit((), [(catalogue, b"newer")])
    Replay().commit(journal, transaction, begin)
    assert told == ["changed"]
