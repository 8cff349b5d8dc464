"""The row leases of one transaction: what they cost, how long they live, what ends them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

from rome.config import parse
from rome.driver.api import Patience
from rome.driver.open import open_store
from rome.errors import Deadlock, LockNotAvailable
from rome.lock.keeper import Keeper
from rome.testing.instruments import Recorder
from rome.txn.leases import RowLeases

SHORT_MS = 1000  # a renewal is due after a third of it
ROWS = [b"row 1", b"row 2", b"row 3"]

MakeLeases = Callable[..., RowLeases]


@pytest.fixture
def driver() -> Iterator[Recorder]:
    driver = Recorder(open_store(parse("rome+memory://")))
    yield driver
    driver.close()


@pytest.fixture
def keeper(driver: Recorder) -> Iterator[Keeper]:
    keeper = Keeper(driver)
    yield keeper
    keeper.close()


@pytest.fixture
def leases(driver: Recorder, keeper: Keeper) -> MakeLeases:
    """Makes the leases of one more transaction."""

    def make(ttl_ms: int = 60_000, timeout_ms: int = 20, kept_by: Keeper = keeper) -> RowLeases:
        return RowLeases(driver, kept_by, timeout_ms=timeout_ms, ttl_ms=ttl_ms)

    return make


def are_free(driver: Recorder, names: list[bytes]) -> bool:
    """Whether someone new could have all of `names` now."""
    session = os.urandom(16)
    locking = driver.inner.lock(session, names, 1000, Patience.NOWAIT)
    driver.inner.unlock(session)
    return all(standing.token for standing in locking.standings)


def test_many_rows_are_locked_in_one_round_trip_and_given_back_in_another(driver: Recorder, leases: MakeLeases) -> None:
    mine = leases()
    mine.take(ROWS, Patience.WAIT, "t")
    assert [call.name for call in driver.reset()] == ["lock"]
    assert driver.round_trips == 0
    assert mine.take(ROWS[:2], Patience.WAIT, "t") is None  # held already
    assert driver.round_trips == 0
    assert not are_free(driver, ROWS[:1])
    assert mine.release() == 1
    assert [call.name for call in driver.reset()] == ["unlock"]
    assert are_free(driver, ROWS)


@pytest.mark.parametrize("patience", [Patience.NOWAIT, Patience.SKIP])
def test_who_got_nothing_has_nothing_to_give_back(driver: Recorder, leases: MakeLeases, patience: Patience) -> None:
    leases().take(ROWS[:1], Patience.WAIT, "t")
    mine = leases()
    if patience is Patience.SKIP:
        taken = mine.take(ROWS[:1], patience, "t")
        assert taken is not None and taken.refused == {ROWS[0]}
    else:
        with pytest.raises(LockNotAvailable, match="a row of t"):
            mine.take(ROWS, patience, "t")
    driver.reset()
    assert mine.release() == 0
    assert driver.round_trips == 0


def test_what_a_wait_got_before_it_failed_is_given_back(driver: Recorder, leases: MakeLeases) -> None:
    leases().take(ROWS[1:2], Patience.WAIT, "t")
    mine = leases()
    with pytest.raises(LockNotAvailable):
        mine.take(ROWS, Patience.WAIT, "t")
    mine.release()
    assert are_free(driver, [ROWS[0], ROWS[2]])


def test_who_closes_a_circle_gives_way(driver: Recorder, leases: MakeLeases) -> None:
    one, two = leases(), leases()
    one.take(ROWS[:1], Patience.WAIT, "t")
    two.take(ROWS[1:2], Patience.WAIT, "t")
    session = one._session
    driver.inner.lock(session, ROWS[1:2], 60_000, Patience.WAIT)  # one waits for two
    with pytest.raises(Deadlock):
        two.take(ROWS[:1], Patience.WAIT, "t")
    two.release()
    assert one.take(ROWS[1:2], Patience.WAIT, "t") is not None


def test_they_are_renewed_while_their_transaction_does_nothing(driver: Recorder, leases: MakeLeases) -> None:
    mine = leases(ttl_ms=SHORT_MS)
    mine.take(ROWS, Patience.WAIT, "t")
    until = time.monotonic() + 1.5 * SHORT_MS / 1000
    while time.monotonic() < until:
        assert not are_free(driver, ROWS)
        time.sleep(SHORT_MS / 20_000)
    mine.release()
    assert are_free(driver, ROWS)


def test_they_run_out_when_no_one_renews_them(driver: Recorder, leases: MakeLeases, keeper: Keeper) -> None:
    mine = leases(ttl_ms=SHORT_MS)
    mine.take(ROWS, Patience.WAIT, "t")
    keeper.close()  # the process stands still
    time.sleep(1.2 * SHORT_MS / 1000)
    assert are_free(driver, ROWS)


def test_after_they_were_lost_others_are_taken_in_a_new_session(
    driver: Recorder, leases: MakeLeases, keeper: Keeper
) -> None:
    mine, other = leases(ttl_ms=SHORT_MS), leases()
    mine.take(ROWS[:1], Patience.WAIT, "t")
    lost = mine._session
    driver.inner.unlock(lost)  # as if its time had run out
    other.take(ROWS[:1], Patience.WAIT, "t")
    until = time.monotonic() + 20
    while mine._kept is not None and not mine._kept.lost and time.monotonic() < until:
        time.sleep(0.01)  # until the keeper hears of it
    with pytest.raises(LockNotAvailable):
        mine.take(ROWS[:1], Patience.WAIT, "t")
    assert mine._session != lost


def test_the_child_of_a_fork_leaves_its_parents_leases_alone(driver: Recorder, leases: MakeLeases) -> None:
    """Memory is copied at a fork, so the child looks at its own copy of the store."""
    mine = leases()
    mine.take(ROWS, Patience.WAIT, "t")
    pid = os.fork()
    if pid == 0:
        os._exit(0 if mine.release() == 0 and not are_free(driver, ROWS) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert mine.release() == 1
