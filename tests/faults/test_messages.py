"""Messages to the store are lost, delayed, repeated and reordered: no commit is lost, done twice or done by half.

`Faulty` stands between transactions and the real driver of every store. Each teller has a database of its own, with
its own catalogue and its own line to the store, as a process has.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from rome import dbapi
from rome.driver.api import Expectation, Write
from rome.errors import Conflict, LeaseLost, LockNotAvailable, OutcomeUnknown, Unavailable, UniqueViolation
from rome.lock import LockManager
from rome.testing.driver_life import in_threads
from rome.testing.instruments import Fault, Faulty
from rome.txn.leases import RowLeases
from tests.faults.bank import OPENING, Kind, PlainTeller, Tally, Told, audit, open_bank
from tests.faults.load import TELLERS, alone
from tests.servers.stores import a_store, marked

DEEDS = 60
SHORT_DEEDS = 24
ALL = tuple(Fault)
TTL_MS = 300


@pytest.fixture(params=marked())
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A bank in a store of each kind in turn."""
    with a_store(request.param, tmp_path) as url:
        open_bank(url)
        yield url


def work(
    url: str, faults: Sequence[Fault], rate: float, deeds: int, seed: int, kind: type[Faulty] = Faulty
) -> dict[int, Tally]:
    """Tellers do deeds side by side over faulty lines; what each was told."""
    tallies: dict[int, Tally] = {}

    def serve(writer: int) -> None:
        chance = random.Random(f"{seed} {writer}")
        rates = {fault: rate / len(faults) for fault in faults}
        teller = alone(url, lambda driver: kind(driver, rates=rates, chance=chance, delay_ms=0.2))(writer)
        line = teller.conversation.database.driver
        tallies[writer] = teller.tally
        for number in range(deeds):
            teller.do(number)
        teller.close()
        assert isinstance(line, Faulty)
        assert set(line.injected) == set(faults), "too few messages for every fault to happen"

    in_threads([lambda writer=writer: serve(writer) for writer in range(TELLERS)])  # type: ignore[misc]
    return tallies


def assert_most_was_done(tallies: dict[int, Tally], least: float) -> None:
    told = [each for tally in tallies.values() for each in tally.values()]
    assert told.count(Told.DONE) >= least * len(told), {each: told.count(each) for each in Told}


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.value.replace(" ", "_"))
def test_no_single_kind_of_fault_loses_doubles_or_halves_a_commit(url: str, fault: Fault) -> None:
    tallies = work(url, (fault,), 0.25, SHORT_DEEDS, 1)
    standing = audit(url, tallies)
    if fault in (Fault.DELAY, Fault.DUPLICATE, Fault.ECHO):  # nothing that anyone may notice
        assert_most_was_done(tallies, 1.0)
        assert standing[Kind.TRANSFER] == standing[Kind.APPEND] == TELLERS * SHORT_DEEDS // 4
        assert standing[Kind.TAKE] == 0
    else:
        assert_most_was_done(tallies, 0.2)


def test_all_faults_together_lose_double_or_halve_no_commit(url: str) -> None:
    tallies = work(url, ALL, 0.3, DEEDS, 2)
    audit(url, tallies)
    assert_most_was_done(tallies, 0.2)


def count_under_locks(url: str, rate: float, deeds: int, seed: int) -> None:
    """Each teller adds to one account, one time under its row's lease and one time under a named lock."""
    added: list[int] = []

    def serve(writer: int) -> None:
        chance = random.Random(f"{seed} {writer}")
        rates = {fault: rate / len(ALL) for fault in ALL}
        teller = alone(url, lambda driver: Faulty(driver, rates=rates, chance=chance, delay_ms=0.2))(writer)
        with LockManager(teller.conversation.database.driver) as locks:
            for number in range(deeds):
                added.append(add_one(teller, locks if number % 2 else None))
        teller.close()

    in_threads([lambda writer=writer: serve(writer) for writer in range(TELLERS)])  # type: ignore[misc]
    least, most = added.count(1), TELLERS * deeds - added.count(0)
    connection = dbapi.connect(url)
    ((sum_,),) = connection.cursor().execute("SELECT balance FROM accounts WHERE id = 0").fetchall()
    connection.close()
    assert least <= sum_ - OPENING <= most
    assert least > TELLERS  # each request for locks is a message, and who waits asks often


UNKNOWN = -1


def add_one(teller: PlainTeller, locks: LockManager | None) -> int:
    """How much was added to account 0: 1, 0 if the store was out of reach, or `UNKNOWN`."""
    say, conversation = teller.say, teller.conversation
    for_update = "" if locks else " FOR UPDATE"
    try:
        with locks.hold("till", ttl_ms=TTL_MS) if locks else nullcontext() as lease:
            conversation.lease = lease
            ((balance,),) = say(f"SELECT balance FROM accounts WHERE id = :id{for_update}", {"id": 0})
            say("UPDATE accounts SET balance = :new WHERE id = :id", {"id": 0, "new": balance + 1})
            conversation.commit()
        return 1
    except (Conflict, Unavailable, LeaseLost, LockNotAvailable):
        return 0
    except OutcomeUnknown:
        return UNKNOWN
    finally:
        conversation.rollback()
        conversation.lease = None


def test_what_is_done_under_locks_over_faulty_lines_is_counted_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RowLeases.__init__.__kwdefaults__, "ttl_ms", TTL_MS)
    count_under_locks(url, 0.1, 12, 4)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(30, 36))
def test_what_is_done_under_locks_for_long_is_counted_once(
    url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RowLeases.__init__.__kwdefaults__, "ttl_ms", TTL_MS)
    count_under_locks(url, 0.1, 60, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(10, 20))
def test_all_faults_together_for_long(url: str, seed: int) -> None:
    tallies = work(url, ALL, 0.3, 10 * DEEDS, seed)
    audit(url, tallies)
    assert_most_was_done(tallies, 0.2)


class Forgetful(Faulty):
    """A store that does not look at marks, and knows of no commit that it is asked about."""

    def _commit_once(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes) -> int:
        return self.inner.commit(expect, writes)

    def _fate(self, mark: bytes) -> int | None:
        return None


class Careless(Forgetful):
    """One that does not look at expectations either."""

    def _commit_once(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes) -> int:
        return self.inner.commit((), writes)


class Torn(Faulty):
    """A store that loses the last of many writes."""

    def _commit_once(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes) -> int:
        return super()._commit_once(expect, writes[:-1] if len(writes) > 6 else writes, mark)


@pytest.mark.parametrize(
    ("kind", "faults", "complaint"),
    [
        (Forgetful, [Fault.ECHO], "its ticket was given back and is out again"),
        (Forgetful, [Fault.DROP_AFTER], r"\[23505\] UNIQUE constraint failed|stand twice"),
        (Careless, [Fault.DELAY], "belongs to no table, row or index"),
        (Torn, [Fault.DELAY], "has no entry in the index"),
    ],
)
def test_the_audit_notices_a_store_that_breaks_a_promise(
    tmp_path: Path, kind: type[Faulty], faults: list[Fault], complaint: str
) -> None:
    url = f"rome+memory:///{tmp_path.name}-planted"
    open_bank(url)
    with pytest.raises((AssertionError, UniqueViolation), match=complaint):
        audit(url, work(url, faults, 0.3, DEEDS, 3, kind))
