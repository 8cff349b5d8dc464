"""What becomes of a commit whose reply is lost: told apart, sent again, or said to be unknown; never done twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from rome.config import parse
from rome.driver.api import Driver, Expectation, Scope, Write
from rome.driver.open import open_store
from rome.errors import Conflict, InactiveTransaction, NotSupportedError, OutcomeUnknown, Unavailable
from rome.testing.anomalies import ONE, TWO, cells, now
from rome.txn.commit import OneRoundTrip
from rome.txn.transaction import Transaction


class LossyLine:
    """A store behind a line that loses what `losses` says: commits "before" or "after" they are applied, and
    "question"s about them. It keeps marks, as remote stores do."""

    def __init__(self, store: Driver, *losses: str) -> None:
        self.store = store
        self.traits = replace(store.traits, remote=True)
        self.losses = list(losses)
        self.applied: dict[bytes, int] = {}
        self.marks: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        self.marks.append(mark)
        loss = self.losses.pop(0) if self.losses else ""
        if loss == "before":
            raise OutcomeUnknown("no reply", mark=mark)
        self.applied[mark] = self.store.commit(expect, writes, mark)
        if loss == "after":
            raise OutcomeUnknown("no reply", mark=mark)
        return self.applied[mark]

    def outcome(self, mark: bytes) -> int | None:
        if self.losses and self.losses[0] == "question":
            self.losses.pop(0)
            raise Unavailable("no answer")
        return self.applied.get(mark)


@pytest.fixture
def store() -> Iterator[Driver]:
    url = parse("rome+memory://")
    driver = open_store(url)
    driver.commit((), [(ONE, b"1")])
    yield driver
    driver.close()


def increment(line: LossyLine, waits: list[float] | None = None) -> Transaction:
    """A transaction that is about to add 1 to row 1."""
    sleep: Callable[[float], None] = (waits if waits is not None else []).append
    transaction = Transaction(line, protocol=OneRoundTrip(sleep=sleep))
    (value,) = transaction.run(cells(ONE))
    transaction.write(ONE, b"%d" % (int(value or 0) + 1))
    return transaction


def row_one(store: Driver) -> bytes | None:
    return now(lambda: Transaction(store), ONE)[0]


@pytest.mark.parametrize("losses", [["after"], ["before"], ["before", "before"], ["after", "question", "question"]])
def test_a_lost_reply_is_settled_and_the_commit_stands_once(store: Driver, losses: list[str]) -> None:
    line = LossyLine(store, *losses)
    transaction = increment(line)
    transaction.commit()
    assert row_one(store) == b"2"
    assert len(set(line.marks)) == len(line.marks) == 1 + losses.count("before")
    assert transaction.committed_at == line.applied[line.marks[-1]]


def test_a_commit_sent_again_still_checks_what_was_read(store: Driver) -> None:
    class DisturbedLine(LossyLine):
        def outcome(self, mark: bytes) -> int | None:
            fate = super().outcome(mark)
            self.store.commit((), [(ONE, b"other")])
            return fate

    transaction = increment(DisturbedLine(store, "before"))
    with pytest.raises(Conflict):
        transaction.commit()
    assert row_one(store) == b"other"


def test_an_outcome_that_no_one_can_tell_is_raised_with_its_mark(store: Driver) -> None:
    line = LossyLine(store, "after", *["question"] * 6)
    waits: list[float] = []
    transaction = increment(line, waits)
    with pytest.raises(OutcomeUnknown, match="^.08007. .*6 questions") as unknown:
        transaction.commit()
    assert unknown.value.mark == line.marks[0] and len(unknown.value.mark) == 16
    assert waits == [0.02, 0.04, 0.08, 0.16, 0.32]
    assert len(line.marks) == 1, "a commit of unknown fate is not sent again"
    assert not transaction.active
    assert line.outcome(unknown.value.mark) is not None


def test_a_commit_that_never_arrives_is_unavailable(store: Driver) -> None:
    line = LossyLine(store, "before", "before", "before")
    with pytest.raises(Unavailable, match="nothing was written"):
        increment(line).commit()
    assert row_one(store) == b"1"


def test_a_local_store_gets_no_mark_and_is_asked_nothing(store: Driver) -> None:
    line = LossyLine(store)
    line.traits = replace(line.traits, remote=False)
    increment(line).commit()
    assert line.marks == [b""]


def test_a_store_that_cannot_change_several_keys_at_once_is_refused(store: Driver) -> None:
    line = LossyLine(store)
    line.traits = replace(line.traits, scope=Scope.KEY)
    with pytest.raises(NotSupportedError):
        increment(line).commit()
    assert line.marks == []


def test_a_transaction_whose_commit_failed_takes_only_a_rollback(store: Driver) -> None:
    transaction = increment(LossyLine(store))
    store.commit((), [(ONE, b"other")])
    with pytest.raises(Conflict):
        transaction.commit()
    with pytest.raises(InactiveTransaction, match="25P02"):
        transaction.run(cells(TWO))
    transaction.rollback()
