"""Replay: which transactions are run again, how often, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from rome.config import parse
from rome.driver.api import Driver
from rome.driver.open import open_store
from rome.errors import Conflict, InterfaceError, Unavailable, UniqueViolation
from rome.testing.anomalies import ONE, TWO, cells, now
from rome.txn.retry import Entry, Failure, Journal, Policy, Replay, weigh
from rome.txn.transaction import Diverged, Tape, Transaction


@pytest.fixture
def driver() -> Iterator[Driver]:
    url = parse("rome+memory://")
    driver = open_store(url)
    yield driver
    driver.close()


@pytest.fixture
def begin(driver: Driver) -> Callable[[], Transaction]:
    return lambda: Transaction(driver)


def disturb(driver: Driver, value: bytes = b"other") -> None:
    driver.commit((), [(ONE, value)])


def touch(transaction: Transaction) -> int:
    """Depends on row 1 but does not tell what it holds."""
    transaction.run(cells(ONE))
    transaction.write(TWO, b"touched")
    return 1


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


def contended(driver: Driver, policy: Policy, clock: Clock) -> tuple[Replay, Callable[[], object]]:
    """A replay that never wins: whenever it has read, someone commits; and the commit to be tried."""
    replay = Replay(policy, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5)

    def touch_and_be_disturbed(transaction: Transaction) -> int:
        touch(transaction)
        disturb(driver)
        return 1

    def commit() -> object:
        journal, transaction = Journal(), Transaction(driver)
        journal.perform(transaction, touch_and_be_disturbed)
        return replay.commit(journal, transaction, lambda: Transaction(driver))

    return replay, commit


def test_tries_are_bounded_and_the_waits_grow_to_a_limit(driver: Driver) -> None:
    clock = Clock()
    replay, commit = contended(driver, Policy(max_tries=6, first_wait_s=0.01, max_wait_s=0.05), clock)
    with pytest.raises(Conflict, match=r"^\[40001\].*6 replays met conflicts too"):
        commit()
    assert clock.slept_s == [0.01, 0.02, 0.025, 0.025, 0.025]  # the first try is free; half of each, as jitter says
    assert (replay.replays, replay.replayed_commits, replay.refused) == (6, 0, 1)
    assert now(lambda: Transaction(driver), TWO) == [None]


def test_time_is_bounded(driver: Driver) -> None:
    clock = Clock()
    replay, commit = contended(driver, Policy(max_tries=1000, max_time_s=1.0, first_wait_s=0.5, max_wait_s=1), clock)
    with pytest.raises(Conflict, match=r"replays took 1\.0 s"):
        commit()
    assert replay.refused == 1 and replay.replays < 5


def test_bounds_hold_for_a_transaction_as_a_whole(driver: Driver, begin: Callable[[], Transaction]) -> None:
    journal, replay = Journal(), Replay(Policy(max_tries=3), sleep=lambda seconds: None)
    transaction = begin()
    for _ in range(3):
        transaction = replay.recover(journal, transaction, begin)
    with pytest.raises(Conflict, match="3 replays"):
        replay.recover(journal, transaction, begin)


def test_replay_can_be_turned_off(driver: Driver, begin: Callable[[], Transaction]) -> None:
    replay, journal, transaction = Replay(Policy(enabled=False)), Journal(), begin()
    journal.perform(transaction, touch)
    disturb(driver)
    with pytest.raises(Conflict):
        replay.commit(journal, transaction, begin)
    assert (replay.replays, replay.refused) == (0, 1)


def test_a_commit_without_conflict_is_not_replayed(begin: Callable[[], Transaction]) -> None:
    replay, journal, transaction = Replay(), Journal(), begin()
    journal.perform(transaction, touch)
    assert replay.commit(journal, transaction, begin) is transaction
    assert (replay.replays, replay.replayed_commits, replay.refused) == (0, 0, 0)


def test_an_error_that_is_raised_again_is_the_same_answer(driver: Driver, begin: Callable[[], Transaction]) -> None:
    def insert_twice(transaction: Transaction) -> object:
        transaction.run(cells(ONE))
        raise UniqueViolation("row 1 exists")

    replay, journal, transaction = Replay(), Journal(), begin()
    journal.perform(transaction, touch)
    with pytest.raises(UniqueViolation):
        journal.perform(transaction, insert_twice)
    assert journal.entries[1].result == Failure(UniqueViolation, "[23505] row 1 exists")
    disturb(driver)
    replay.commit(journal, transaction, begin)
    assert replay.replayed_commits == 1


@pytest.mark.parametrize("first", [True, False])
def test_an_error_in_place_of_an_answer_or_the_other_way_is_a_difference(
    driver: Driver, begin: Callable[[], Transaction], first: bool
) -> None:
    def fails_when_absent(transaction: Transaction) -> object:
        (value,) = transaction.run(cells(ONE))
        transaction.write(TWO, b"2")
        if (value is None) is first:
            raise UniqueViolation("it is so")
        return 1

    replay, journal, transaction = Replay(), Journal(), begin()
    try:
        journal.perform(transaction, fails_when_absent)
    except UniqueViolation:
        assert first
    disturb(driver)
    with pytest.raises(Conflict, match="answers would now be different"):
        replay.commit(journal, transaction, begin)
    assert now(begin, TWO) == [None]


def test_draws_are_the_same_in_a_replay(driver: Driver, begin: Callable[[], Transaction]) -> None:
    numbers = iter(range(100))
    replay, journal, transaction = Replay(), Journal(), begin()
    for _ in range(3):
        journal.perform(transaction, lambda tx: (touch(tx), tx.draw(lambda: next(numbers))))
    disturb(driver)
    committed = replay.commit(journal, transaction, begin)
    assert replay.replayed_commits == 1
    assert committed.tape.values == [0, 1, 2]


def test_a_replay_that_draws_otherwise_is_a_difference(driver: Driver, begin: Callable[[], Transaction]) -> None:
    def draws_when_absent(transaction: Transaction) -> object:
        touch(transaction)
        if transaction.run(cells(ONE)) == [None]:
            transaction.draw(lambda: "drawn")
        return 1

    for known in (True, False):  # whether the journal knows where each entry's draws end
        driver.clear(b"")
        replay, journal, transaction = Replay(), Journal(), begin()
        if known:
            journal.perform(transaction, draws_when_absent)
        else:
            journal.add(draws_when_absent, draws_when_absent(transaction))
        disturb(driver)
        with pytest.raises(Conflict, match="another course"):
            replay.commit(journal, transaction, begin)
        assert now(begin, TWO) == [None]


def test_draws_of_one_entry_are_not_read_back_by_another(driver: Driver, begin: Callable[[], Transaction]) -> None:
    def draws_if(absent: bool) -> Callable[[Transaction], object]:
        def run(transaction: Transaction) -> object:
            touch(transaction)
            if (transaction.run(cells(ONE)) == [None]) is absent:
                transaction.draw(lambda: absent)
            return 1

        return run

    replay, journal, transaction = Replay(), Journal(), begin()
    journal.perform(transaction, draws_if(absent=True))
    journal.perform(transaction, draws_if(absent=False))
    disturb(driver)
    with pytest.raises(Conflict, match="another course"):
        replay.commit(journal, transaction, begin)


def test_a_drawn_value_is_never_read_back_as_one_of_another_source(
    driver: Driver, begin: Callable[[], Transaction]
) -> None:
    def draws(transaction: Transaction) -> object:
        touch(transaction)
        absent = transaction.run(cells(ONE)) == [None]
        transaction.increment(b"orders" if absent else b"invoices", 1)
        return 1

    replay, journal, transaction = Replay(), Journal(), begin()
    journal.perform(transaction, draws)
    disturb(driver)
    with pytest.raises(Conflict, match="another course"):
        replay.commit(journal, transaction, begin)
    tape = Tape()
    for make in (partial(int, "1"), partial(int, "2"), tape.rewind, tape.rewind):
        transaction = Transaction(driver, tape=tape)
        tape.rewind()
        if make == tape.rewind:
            with pytest.raises(Diverged):
                transaction.draw(make)
        else:
            assert transaction.draw(make) == 1


def test_draws_by_the_same_code_are_told_apart_by_what_they_are_of(driver: Driver) -> None:
    tape = Tape()
    for of, number in (("orders", 1), ("orders", 2), ("invoices", 3)):
        tape.rewind()
        transaction = Transaction(driver, tape=tape)
        if of == "orders":
            assert transaction.draw(partial(int, number), of=of) == 1
        else:
            with pytest.raises(Diverged):
                transaction.draw(partial(int, number), of=of)


def test_a_statement_that_is_run_again_draws_afresh(driver: Driver, begin: Callable[[], Transaction]) -> None:
    replay, journal, transaction = Replay(), Journal(), begin()
    journal.perform(transaction, lambda tx: tx.draw(lambda: "seen"))
    transaction.draw(lambda: "not seen")
    transaction = replay.recover(journal, transaction, begin)
    assert transaction.draw(lambda: "afresh") == "afresh"
    assert transaction.tape.values == ["seen", "afresh"]


def test_waits_are_measured_by_the_time_a_try_takes(driver: Driver) -> None:
    clock = Clock()
    replay = Replay(
        Policy(max_tries=3, first_wait_s=0.001, max_wait_s=1), clock=clock, sleep=clock.sleep, jitter=lambda: 0.5
    )

    def slow(transaction: Transaction) -> int:
        touch(transaction)
        clock.now_s += 0.1
        disturb(driver)
        return 1

    journal, transaction = Journal(), Transaction(driver)
    journal.perform(transaction, slow)
    with pytest.raises(Conflict):
        replay.commit(journal, transaction, lambda: Transaction(driver))
    assert clock.slept_s == pytest.approx([0.1, 0.2])


def test_a_try_that_took_another_course_leaves_no_draw_behind(driver: Driver, begin: Callable[[], Transaction]) -> None:
    courses = iter(["first", "astray", "as the first"])

    def strays_once(transaction: Transaction) -> object:
        touch(transaction)
        if next(courses) == "astray":
            transaction.draw(lambda: "astray")
            raise Conflict("while it was being replayed")
        return 1

    replay, journal, transaction = Replay(sleep=lambda seconds: None), Journal(), begin()
    journal.perform(transaction, strays_once)
    disturb(driver)
    committed = replay.commit(journal, transaction, begin)
    assert (replay.replays, committed.tape.values) == (2, [])


def test_every_try_that_fails_is_rolled_back(driver: Driver) -> None:
    tried: list[Transaction] = []

    def begin() -> Transaction:
        tried.append(Transaction(driver))
        return tried[-1]

    def tells(transaction: Transaction) -> object:
        transaction.write(TWO, b"2")
        return transaction.run(cells(ONE))

    replay, journal, transaction = Replay(), Journal(), begin()
    journal.perform(transaction, tells)
    disturb(driver)
    with pytest.raises(Conflict):
        replay.commit(journal, transaction, begin)
    assert [each.active for each in tried] == [False, False]


def test_a_failed_statement_leaves_no_draw_behind(driver: Driver, begin: Callable[[], Transaction]) -> None:
    def unreachable(transaction: Transaction) -> object:
        transaction.draw(lambda: "lost")
        raise Unavailable("the store is away")

    replay, journal, transaction = Replay(), Journal(), begin()
    journal.perform(transaction, touch)
    with pytest.raises(Unavailable):
        journal.perform(transaction, unreachable)
    assert journal.perform(transaction, lambda tx: tx.draw(lambda: "kept")) == "kept"
    disturb(driver)
    replay.commit(journal, transaction, begin)
    assert (replay.replayed_commits, transaction.tape.values) == (1, ["kept"])


def test_savepoints_are_replayed_as_entries(driver: Driver, begin: Callable[[], Transaction]) -> None:
    replay, journal, transaction = Replay(), Journal(), begin()
    names: dict[str, object] = {}
    journal.perform(transaction, touch)
    journal.perform(transaction, lambda tx: names.update(here=tx.savepoint()))
    journal.perform(transaction, lambda tx: tx.write(TWO, b"undone"))
    journal.perform(transaction, lambda tx: tx.rollback_to(names["here"]))  # type: ignore[arg-type]
    disturb(driver)
    replay.commit(journal, transaction, begin)
    assert now(begin, TWO) == [b"touched"]


def test_a_conflict_while_replaying_is_another_try(driver: Driver, begin: Callable[[], Transaction]) -> None:
    disturbances = iter([True, True, False])

    def read_twice(transaction: Transaction) -> object:
        touch(transaction)
        if next(disturbances):
            disturb(driver)
        transaction.run(cells(TWO, b"more"))
        return 1

    replay, journal, transaction = Replay(sleep=lambda seconds: None), Journal(), begin()
    journal.perform(transaction, touch)
    with pytest.raises(Conflict):
        journal.perform(transaction, read_twice)
    transaction = replay.recover(journal, transaction, begin)
    with pytest.raises(Conflict):
        journal.perform(transaction, read_twice)
    transaction = replay.recover(journal, transaction, begin)
    assert journal.perform(transaction, read_twice) == 1
    assert replay.commit(journal, transaction, begin) is transaction
    assert replay.replays == journal.tries == 2


def test_an_error_of_the_store_while_replaying_is_raised(driver: Driver, begin: Callable[[], Transaction]) -> None:
    calls = iter([False, True])

    def fails_second(transaction: Transaction) -> object:
        if next(calls):
            raise Unavailable("the store is away")
        return touch(transaction)

    replay, journal, transaction = Replay(), Journal(), begin()
    journal.perform(transaction, fails_second)
    disturb(driver)
    with pytest.raises(Unavailable):
        replay.commit(journal, transaction, begin)
    assert now(begin, TWO) == [None]


def test_a_journal_gives_up_above_its_caps(driver: Driver, begin: Callable[[], Transaction]) -> None:
    rows = [(number, "x" * 100) for number in range(50)]
    for caps in ({"max_rows": 49}, {"max_bytes": 5000}):
        replay, journal, transaction = Replay(), Journal(**caps), begin()  # type: ignore[arg-type]
        journal.perform(transaction, touch)
        assert not journal.given_up
        journal.add(lambda tx: rows, rows)
        assert journal.given_up and not journal.entries
        journal.add(touch, 1)
        assert not journal.entries
        disturb(driver)
        with pytest.raises(Conflict, match="more than is kept"):
            replay.commit(journal, transaction, begin)
        assert replay.refused == 1


def test_a_journal_keeps_what_was_run_and_answered(begin: Callable[[], Transaction]) -> None:
    journal = Journal(max_rows=50)
    journal.add(touch, 1)
    assert journal.entries == [Entry(touch, 1, None)]


def test_results_are_weighed_by_rows_and_about_by_bytes() -> None:
    rows, size = weigh([("x" * 968,)] * 1000)
    assert rows == 1000 and 1_000_000 <= size <= 1_100_000
    assert weigh((1, [(1,), (2,)])).rows == 2
    assert weigh(None).rows == 0


def test_a_defect_while_replaying_is_not_hidden(driver: Driver, begin: Callable[[], Transaction]) -> None:
    calls = iter([False, True])

    def misused_later(transaction: Transaction) -> object:
        if next(calls):
            raise ZeroDivisionError
        return touch(transaction)

    replay, journal, transaction = Replay(), Journal(), begin()
    journal.perform(transaction, misused_later)
    disturb(driver)
    with pytest.raises(ZeroDivisionError):
        replay.commit(journal, transaction, begin)
    with pytest.raises(InterfaceError):
        journal.perform(begin(), lambda tx: (_ for _ in ()).throw(InterfaceError("misused")))
    assert journal.entries[-1].result == (InterfaceError, "misused")
