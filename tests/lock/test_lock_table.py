"""Locks of the embedded stores, to the nanosecond: they share the rules of `rome.driver.lock_table`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from rome.driver.api import Driver, ExpectLock, Patience
from rome.driver.lmdb import LmdbDriver, Settings
from rome.driver.lock_table import SWEEP_EVERY
from rome.driver.memory import MemoryDriver
from rome.errors import Deadlock, InterfaceError, LeaseLost, ReadOnlyStore
from tests.lock.conftest import Clock

A, B, C, D = (bytes([number]) * 16 for number in (1, 2, 3, 4))
WAIT, NOWAIT = Patience.WAIT, Patience.NOWAIT


def token(driver: Driver, session: bytes, name: bytes, ttl_ms: int = 1000, patience: Patience = WAIT) -> int:
    return driver.lock(session, [name], ttl_ms, patience).standings[0].token


def sessions_stored(driver: Driver) -> int:
    """How many sessions the store has records of, run out or not."""
    if isinstance(driver, MemoryDriver):
        return len(driver._opened().locks.sessions())
    return sum(key[:1] == b"\5" for key in stored_keys(driver))


def stored_keys(driver: Driver) -> list[bytes]:
    """The physical keys of an LMDB store."""
    return cast(LmdbDriver, driver)._look(lambda txn: list(txn.cursor().iternext(values=False)))


def test_a_session_lives_to_its_last_nanosecond_and_not_beyond(store: Driver, clock: Clock) -> None:
    mine = token(store, A, b"x", 1000)
    clock.now_ns += 1_000_000_000 - 1
    store.commit([ExpectLock(b"x", A, mine)], [(b"a", b"1")])
    assert [holding.remaining_ms for holding in store.locks()] == [1]
    assert token(store, B, b"x", patience=NOWAIT) == 0
    clock.now_ns += 1
    with pytest.raises(LeaseLost):
        store.commit([ExpectLock(b"x", A, mine)], [(b"a", b"2")])
    assert store.locks() == []
    assert store.renew(A, 1000) is False
    assert token(store, B, b"x", patience=NOWAIT) > mine


def test_a_renewal_begins_the_time_anew(store: Driver, clock: Clock) -> None:
    mine = token(store, A, b"x", 1000)
    clock.advance(999)
    assert store.renew(A, 500) is True
    clock.advance(499)
    assert token(store, A, b"x", 200) == mine
    assert [holding.remaining_ms for holding in store.locks()] == [200]
    clock.advance(200)
    assert store.locks() == []


def test_who_waits_keeps_three_quarters_of_its_time_without_a_write(store: Driver, clock: Clock) -> None:
    token(store, A, b"x", 60_000)
    token(store, B, b"y", 1000)
    for _ in range(100):
        token(store, B, b"x", 1000)
        assert store.locks(b"y")[0].remaining_ms >= 750
        clock.advance(37)
    clock.advance(700)
    assert token(store, B, b"y", 1000) > 0, "it lived on after its last question"


def test_who_died_in_a_queue_or_with_locks_is_in_nobodys_way(store: Driver, clock: Clock) -> None:
    token(store, A, b"x", 500)
    token(store, B, b"x", 600)
    token(store, C, b"x", 60_000)
    token(store, D, b"y", 60_000)
    token(store, B, b"y", 600)
    assert [holding.waiting for holding in store.locks()] == [2, 1]
    clock.advance(600)
    assert [holding[:1] + holding[5:] for holding in store.locks()] == [(b"y", 0)]
    assert token(store, C, b"x", 60_000) > 0
    assert sessions_stored(store) == 2


def test_a_circle_by_way_of_who_died_is_no_deadlock(store: Driver, clock: Clock) -> None:
    token(store, A, b"x", 60_000)
    token(store, B, b"y", 500)
    token(store, B, b"x", 500)
    clock.advance(500)
    assert token(store, A, b"y", 60_000) > 0


def test_who_comes_back_after_its_time_stands_at_the_end_of_the_queue(store: Driver, clock: Clock) -> None:
    token(store, A, b"x", 60_000)
    token(store, B, b"x", 500)
    token(store, C, b"x", 60_000)
    clock.advance(500)
    assert token(store, B, b"x", 60_000) == 0
    store.unlock(A)
    assert token(store, B, b"x", 60_000) == 0
    assert token(store, C, b"x", 60_000) > 0


def test_a_label_stays_until_another_is_given(store: Driver) -> None:
    store.lock(A, [b"x"], 1000, WAIT, b"first")
    store.lock(A, [b"y"], 1000, WAIT)
    assert [holding.label for holding in store.locks()] == [b"first"] * 2
    store.lock(A, [b"z"], 1000, WAIT, b"second")
    assert {holding.label for holding in store.locks()} == {b"second"}


def test_sessions_that_ran_out_and_were_never_met_are_swept_away(store: Driver, clock: Clock) -> None:
    for number in range(20):
        token(store, b"%016d" % number, b"lock %d" % number, 1000)
    clock.advance(1000)
    assert sessions_stored(store) == 20
    for _ in range(SWEEP_EVERY):
        assert token(store, A, b"x", 60_000)
        store.unlock(A)
    assert sessions_stored(store) == 0


def test_what_was_given_up_leaves_nothing_behind(store: Driver) -> None:
    long_names = [b"n" * 500 + b"%04d" % number for number in range(50)]
    for session in (A, B):
        store.lock(session, [b"x", *long_names], 60_000, WAIT)
    store.unlock(A, long_names)
    store.unlock(A, [b"x"])
    store.unlock(B)
    assert sessions_stored(store) == 0
    if isinstance(store, MemoryDriver):
        locks = store._opened().locks
        assert (len(locks._locks), locks._places) == (0, {})
    else:
        assert [key for key in stored_keys(store) if key[:1] in b"\3\4\5\6"] == []


def test_hundreds_may_wait_for_one_lock(store: Driver) -> None:
    token(store, A, b"x", 60_000)
    waiters = [b"%016d" % number for number in range(200)]
    for waiter in waiters:
        assert token(store, waiter, b"own " + waiter, 60_000) > 0
        assert store.lock(waiter, [b"x"], 60_000, WAIT).standings[0].holder == A
    assert store.locks(b"x")[0].waiting == 200
    with pytest.raises(Deadlock):
        token(store, A, b"own " + waiters[-1], 60_000)
    store.unlock(A)
    assert store.lock(waiters[2], [b"x"], 60_000, WAIT).standings[0][:3] == (0, waiters[0], 2)
    assert token(store, waiters[0], b"x", 60_000) > 0


def test_a_session_is_of_sixteen_bytes(store: Driver) -> None:
    for session in (b"", b"fifteen bytes..", b"seventeen bytes.."):
        with pytest.raises(InterfaceError, match="16 random bytes"):
            token(store, session, b"x")


def opened(path: Path, clock: Clock, boot: bytes, readonly: bool = False) -> LmdbDriver:
    return LmdbDriver(str(path / "store"), Settings(sync="none", readonly=readonly), clock, boot)


def test_locks_from_before_a_restart_of_the_machine_do_not_count(tmp_path: Path, clock: Clock) -> None:
    driver = opened(tmp_path, clock, b"first start")
    mine = token(driver, A, b"x", 60_000)
    token(driver, B, b"x", 60_000)
    driver.close()
    clock.now_ns = 0  # it begins anew
    driver = opened(tmp_path, clock, b"second start")
    assert driver.locks() == []
    for writes in ([(b"a", b"late")], []):
        with pytest.raises(LeaseLost):
            driver.commit([ExpectLock(b"x", A, mine)], writes)
    assert driver.renew(A, 60_000) is False
    assert token(driver, C, b"x", patience=NOWAIT) > mine
    assert token(driver, B, b"x", patience=NOWAIT) == 0
    driver.close()


def test_in_the_same_start_of_the_machine_locks_stay_when_the_store_is_closed(tmp_path: Path, clock: Clock) -> None:
    driver = opened(tmp_path, clock, b"first start")
    mine = token(driver, A, b"x", 60_000)
    driver.close()
    driver = opened(tmp_path, clock, b"first start")
    assert token(driver, A, b"x", 60_000) == mine
    driver.close()


def test_a_question_that_changes_nothing_writes_nothing_to_the_file(tmp_path: Path, clock: Clock) -> None:
    driver = opened(tmp_path, clock, b"first start")
    token(driver, A, b"x", 60_000)
    token(driver, B, b"x", 60_000)

    def last_write() -> int:
        environment = driver._opened()
        with environment.opening:
            return int(environment.opened().info()["last_txnid"])

    before = last_write()
    for _ in range(50):
        assert token(driver, B, b"x", 60_000) == 0
        assert token(driver, A, b"x", 60_000) > 0
        assert token(driver, C, b"x", patience=NOWAIT) == 0
        assert len(driver.locks()) == 1
    driver.unlock(C, [b"x"])
    driver.unlock(C)
    assert last_write() == before
    driver.unlock(A)
    assert last_write() > before
    driver.close()


def test_a_store_that_is_opened_to_be_read_shows_its_locks_and_gives_none(tmp_path: Path, clock: Clock) -> None:
    writer = opened(tmp_path, clock, b"first start")
    token(writer, A, b"x", 60_000)
    writer.close()
    driver = opened(tmp_path, clock, b"first start", readonly=True)
    assert [holding.name for holding in driver.locks()] == [b"x"]
    assert token(driver, B, b"x", patience=NOWAIT) == 0
    for change in (
        lambda: token(driver, B, b"y"),
        lambda: driver.renew(A, 1000),
        lambda: driver.unlock(A),
    ):
        with pytest.raises(ReadOnlyStore):
            change()
    driver.close()
