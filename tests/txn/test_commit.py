"""What becomes of a commit whose reply is lost: told apart, sent again, or said to be unknown; never done twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from rome.config import parse
from rome.driver.api import Driver, Expectation, Scope, Write
from rome.driver.open import open_store
from rome.errors import Conflict, InactiveTransaction, NotSupportedError, OutcomeUnknown, Unavailable
from rome.testing.anomalies import ONE, TWO, cells, now
from rome.testing.instruments import Fault, Faulty
from rome.txn.commit import OneRoundTrip
from rome.txn.transaction import Transaction

AFTER, LOST, AWAY = Fault.DROP_AFTER, Fault.LOSE, Fault.DROP_BEFORE


class Line(Faulty):
    """A faulty line to `store`; `faults` befall the messages after the first, which is the read of `increment`."""

    def __init__(self, store: Driver, *faults: Fault | None) -> None:
        self.marks: dict[bytes, int | None] = {}  # every mark that reached the store, with its commit's version
        self.sent: list[bytes] = []
        super().__init__(store, script=(None, *faults), marks=self.marks)

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        self.sent.append(mark)
        return super().commit(expect, writes, mark)


@pytest.fixture
def store() -> Iterator[Driver]:
    url = parse("rome+memory://")
    driver = open_store(url)
    driver.commit((), [(ONE, b"1")])
    yield driver
    driver.close()


def increment(line: Line, waits_s: list[float] | None = None) -> Transaction:
    """A transaction that is about to add 1 to row 1; `waits_s` takes what it would have slept."""
    sleep = ([] if waits_s is None else waits_s).append
    transaction = Transaction(line, protocol=OneRoundTrip(sleep=sleep))
    (value,) = transaction.run(cells(ONE))
    transaction.write(ONE, b"%d" % (int(value or 0) + 1))
    return transaction


def row_one(store: Driver) -> bytes | None:
    return now(lambda: Transaction(store), ONE)[0]


@pytest.mark.parametrize(
    ("faults", "sends"),
    [
        ([AFTER], 1),
        ([AFTER, AWAY, AFTER, LOST], 1),
        ([LOST], 2),
        ([LOST, None, LOST], 3),
        ([LOST, None, AFTER], 2),
        ([Fault.DUPLICATE], 1),
    ],
)
def test_a_lost_reply_is_settled_and_the_commit_stands_once(
    store: Driver, faults: list[Fault | None], sends: int
) -> None:
    line = Line(store, *faults)
    transaction = increment(line)
    transaction.commit()
    assert row_one(store) == b"2"
    assert len(set(line.sent)) == len(line.sent) == sends, "each send has a mark of its own"
    assert [transaction.committed_at] == [version for version in line.marks.values() if version is not None]


@pytest.mark.parametrize("fault", [AFTER, LOST])
def test_a_commit_sent_again_still_checks_what_was_read(store: Driver, fault: Fault) -> None:
    line = Line(store, fault)
    transaction = increment(line)
    store.commit((), [(ONE, b"other")])
    with pytest.raises(Conflict):
        transaction.commit()
    assert len(line.sent) == 2
    assert row_one(store) == b"other"


@pytest.mark.parametrize(("fault", "value"), [(AFTER, b"2"), (LOST, b"1")])
def test_an_outcome_that_no_one_can_tell_is_raised_with_its_mark(store: Driver, fault: Fault, value: bytes) -> None:
    line = Line(store, fault, *[AWAY] * 6)
    waits_s: list[float] = []
    transaction = increment(line, waits_s)
    with pytest.raises(OutcomeUnknown, match=r"^\[08007\] .*6 questions") as unknown:
        transaction.commit()
    assert line.sent == [unknown.value.mark], "a commit of unknown fate is not sent again"
    assert len(unknown.value.mark) == 16
    assert waits_s == [0.02, 0.04, 0.08, 0.16, 0.32]
    assert not transaction.active
    assert (line.outcome(unknown.value.mark) is not None) is (fault is AFTER)
    assert row_one(store) == value


def test_a_commit_that_never_arrives_is_unavailable(store: Driver) -> None:
    line = Line(store, LOST, None, LOST, None, LOST)
    with pytest.raises(Unavailable, match="nothing was written"):
        increment(line).commit()
    assert len(line.sent) == 3
    assert row_one(store) == b"1"


def test_a_store_out_of_reach_is_unavailable_at_once(store: Driver) -> None:
    line = Line(store, AWAY)
    with pytest.raises(Unavailable):
        increment(line).commit()
    assert len(line.sent) == 1
    assert row_one(store) == b"1"


def test_a_local_store_gets_no_mark_and_is_asked_nothing(store: Driver) -> None:
    line = Line(store)
    line.traits = replace(line.traits, remote=False)
    increment(line).commit()
    assert (line.sent, line.marks) == ([b""], {})


def test_a_store_that_cannot_change_several_keys_at_once_is_refused(store: Driver) -> None:
    line = Line(store)
    line.traits = replace(line.traits, scope=Scope.KEY)
    with pytest.raises(NotSupportedError):
        increment(line).commit()
    assert line.sent == []


def test_a_transaction_whose_commit_failed_takes_only_a_rollback(store: Driver) -> None:
    transaction = increment(Line(store))
    store.commit((), [(ONE, b"other")])
    with pytest.raises(Conflict):
        transaction.commit()
    with pytest.raises(InactiveTransaction, match="25P02"):
        transaction.run(cells(TWO))
    transaction.rollback()
