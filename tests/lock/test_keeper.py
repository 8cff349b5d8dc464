"""The thread that renews sessions: when it renews, what it takes for lost, and where it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import Driver, Patience
from rome.driver.open import open_store
from rome.errors import InterfaceError, LeaseLost, Unavailable
from rome.lock import Lease, LockManager
from rome.lock.keeper import Keeper, Kept
from rome.lock.names import encode_name
from rome.testing.driver_life import in_child, in_threads
from rome.testing.instruments import Fault, Faulty, Recorder
from rome.testing.lease_suite import LONG_MS, pause, until
from tests.lock.conftest import Clock

A = b"a session of 16."
SHORT_MS = 900  # a renewal may be late by two thirds of it, on a busy machine


@pytest.fixture
def driver() -> Driver:
    return open_store(parse("rome+memory://"))


def keepers_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rome-lock-keeper"]


def test_all_leases_of_a_manager_are_renewed_by_one_thread_that_ends_with_it(driver: Driver) -> None:
    before = len(keepers_threads())
    locks = LockManager(driver)
    assert len(keepers_threads()) == before
    threads = [threading.Thread(target=locks.hold, args=(f"lock {number}", SHORT_MS)) for number in range(5)]
    for thread in threads:
        thread.start()
        thread.join()
    assert len(keepers_threads()) == before + 1
    pause(1.5 * SHORT_MS)
    assert len(locks.holders()) == 5
    locks.close()
    assert len(keepers_threads()) == before


def test_the_thread_ends_when_it_has_had_nothing_to_do_and_begins_again(driver: Driver) -> None:
    before = len(keepers_threads())
    keeper = Keeper(driver, idle_s=0.1)
    for _ in range(2):
        asked_s = time.monotonic()
        driver.lock(A, [b"x"], SHORT_MS, Patience.WAIT)
        kept = keeper.keep(A, SHORT_MS, asked_s)
        pause(1.5 * SHORT_MS)
        assert not kept.lost and len(keepers_threads()) == before + 1
        keeper.forget(kept)
        until(lambda: len(keepers_threads()) == before, 0)
    keeper.close()


def test_a_session_with_less_time_is_renewed_in_its_time_beside_one_with_more(driver: Driver) -> None:
    with LockManager(driver) as locks, locks.hold("long", ttl_ms=LONG_MS):
        time.sleep(0.1)  # its thread waits for a third of a minute by now
        thread = threading.Thread(target=locks.hold, args=("short", SHORT_MS))
        thread.start()
        thread.join()
        pause(1.5 * SHORT_MS)
        assert [holder.name for holder in locks.holders()] == ["long", "short"]


def test_a_session_is_renewed_after_a_third_of_its_time_and_not_before(driver: Driver) -> None:
    recorder = Recorder(driver)
    begun_s = time.monotonic()
    with LockManager(recorder) as locks, locks.hold("x", ttl_ms=3000) as lease:
        for renewals in (1, 2):
            until(lambda renewals=renewals: len(recorder.calls) > renewals, 0)  # type: ignore[misc]
            assert time.monotonic() - begun_s >= renewals
        assert {call.name for call in recorder.calls[1:]} == {"renew"}
        assert not lease.lost


def test_the_longest_time_of_a_threads_leases_is_the_time_of_all(driver: Driver) -> None:
    with LockManager(driver) as locks:
        with locks.hold("long", ttl_ms=LONG_MS) as long:
            with locks.hold("short", ttl_ms=SHORT_MS):
                pause(SHORT_MS / 2)
                assert min(holder.remaining_ms for holder in locks.holders()) > SHORT_MS
            assert not long.lost
        with locks.hold("short", ttl_ms=SHORT_MS):
            assert locks.holders()[0].remaining_ms <= SHORT_MS
            with locks.hold("long", ttl_ms=LONG_MS):
                until(lambda: min(holder.remaining_ms for holder in locks.holders()) > SHORT_MS, 0)


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.LOSE, Fault.DROP_AFTER])
def test_a_renewal_that_fails_is_tried_again_while_there_is_time(driver: Driver, fault: Fault) -> None:
    faulty = Faulty(driver, script=[None, fault, fault, fault])
    told: list[Lease] = []
    with LockManager(faulty) as locks, locks.hold("x", ttl_ms=1000, on_lost=told.append) as lease:
        until(lambda: faulty.injected[fault] == 3, 0)
        time.sleep(1.2)
        assert not lease.lost
        assert [holding.token for holding in driver.locks()] == [lease.token]
    assert told == []


def test_a_lease_is_lost_when_the_store_stays_out_of_reach_for_its_whole_time(driver: Driver) -> None:
    faulty = Faulty(driver, script=[None] + [Fault.DROP_BEFORE] * 10_000)
    told: list[Lease] = []
    locks = LockManager(faulty)
    begun_s = time.monotonic()
    lease = locks.hold("x", ttl_ms=SHORT_MS, on_lost=told.append)
    until(lambda: told == [lease], SHORT_MS)
    assert lease.lost and time.monotonic() - begun_s >= SHORT_MS / 1000
    with pytest.raises(LeaseLost):
        _ = lease.expectation
    with pytest.raises(Unavailable):
        lease.release()


def test_a_lease_whose_time_is_over_is_lost_before_its_keeper_has_looked() -> None:
    """As after a stop of the process: the first to look may be who holds it."""
    now_s = 100.0
    driver = open_store(parse("rome+memory://"))
    locks = LockManager(driver, clock=lambda: now_s)
    lease = locks.hold("x", ttl_ms=LONG_MS)
    now_s += LONG_MS / 1000 - 0.001
    assert not lease.lost
    now_s += 0.001
    assert lease.lost
    assert driver.renew(lease._thread_session.id, LONG_MS), "the store's own clock had not moved"
    now_s -= 1
    assert lease.lost, "it was lost and came back"
    locks.close()


def test_a_session_that_ran_out_and_began_anew_is_not_taken_for_the_old_one(driver: Driver) -> None:
    """After a stop, a waiting thread asks before the keeper does, and the session lives again, with nothing."""
    now_s = 100.0
    keeper = Keeper(driver, lambda: now_s)
    driver.lock(A, [b"x"], LONG_MS, Patience.WAIT)
    kept = keeper.keep(A, LONG_MS, now_s)
    now_s += LONG_MS / 1000
    driver.unlock(A)
    driver.lock(A, [b"y"], LONG_MS, Patience.WAIT)
    keeper._renew(kept)
    assert kept.lost
    keeper.close()


def test_a_reply_to_a_renewal_that_comes_after_the_time_says_nothing(driver: Driver, clock: Clock) -> None:
    faulty = Faulty(driver, script=[Fault.DELAY], delay_ms=LONG_MS / 2, sleep=clock.sleep)
    keeper = Keeper(faulty, clock.seconds)
    driver.lock(A, [b"x"], LONG_MS, Patience.WAIT)
    kept = keeper.keep(A, LONG_MS, clock.seconds())
    clock.advance(LONG_MS * 3 / 4)
    assert not kept.lost
    keeper._renew(kept)
    assert kept.lost
    keeper.close()


def test_a_renewal_that_was_under_way_when_the_time_was_lengthened_counts_as_it_was_sent(
    driver: Driver, clock: Clock
) -> None:
    kept: list[Kept] = []
    faulty = Faulty(
        driver, script=[Fault.DELAY], sleep=lambda seconds: keeper.lengthen(kept[0], 2 * LONG_MS)
    )
    keeper = Keeper(faulty, clock.seconds)
    driver.lock(A, [b"x"], LONG_MS, Patience.WAIT)
    kept.append(keeper.keep(A, LONG_MS, clock.seconds()))
    keeper._renew(kept[0])
    clock.advance(LONG_MS - 1)
    assert not kept[0].lost
    keeper._renew(kept[0])
    clock.advance(2 * LONG_MS - 1)
    assert not kept[0].lost
    clock.advance(1)
    assert kept[0].lost
    keeper.close()


def test_a_lease_is_renewed_though_the_threads_only_other_was_released_while_it_waited(driver: Driver) -> None:
    stored = encode_name("", "y")
    driver.lock(A, [stored], LONG_MS, Patience.WAIT)
    with LockManager(driver) as locks:
        had: list[Lease] = []
        got: list[Lease] = []

        def wait() -> None:
            had.append(locks.hold("x", ttl_ms=SHORT_MS))
            got.append(locks.hold("y", ttl_ms=SHORT_MS, wait_ms=LONG_MS))

        def release() -> None:
            until(lambda: driver.locks(stored)[0].waiting, 0)
            had[0].release()
            driver.unlock(A)

        in_threads([wait, release])
        pause(1.5 * SHORT_MS)
        assert not got[0].lost
        assert [holder.token for holder in locks.holders()] == [got[0].token]


def test_a_callback_that_fails_ends_no_renewal(driver: Driver, capfd: pytest.CaptureFixture[str]) -> None:
    def fail(lease: Lease) -> None:
        raise ZeroDivisionError(lease.name)

    hook: Callable[..., object] = threading.excepthook
    failures: list[object] = []
    threading.excepthook = lambda args: failures.append(args.exc_value)
    try:
        with LockManager(driver) as locks, locks.hold("kept", ttl_ms=SHORT_MS) as kept:
            thread = threading.Thread(target=lambda: locks.hold("lost", ttl_ms=SHORT_MS, on_lost=fail))
            thread.start()
            thread.join()
            doomed = next(each for each in driver.locks() if each.name.endswith(b"lost"))
            driver.unlock(doomed.session)
            until(lambda: failures, SHORT_MS)
            pause(1.5 * SHORT_MS)
            assert not kept.lost
            assert isinstance(failures[0], ZeroDivisionError)
    finally:
        threading.excepthook = hook


def test_what_could_not_be_released_is_released_with_the_next_thing_that_is(driver: Driver) -> None:
    faulty = Faulty(driver, script=[None, None, Fault.DROP_BEFORE])
    with LockManager(faulty) as locks, locks.hold("kept", ttl_ms=LONG_MS):
        lease = locks.hold("owed", ttl_ms=LONG_MS)
        with pytest.raises(Unavailable):
            lease.release()
        assert [holder.name for holder in locks.holders()] == ["kept", "owed"]
        again = locks.hold("owed", wait_ms=0)
        assert again.token > lease.token
        again.release()
        assert [holder.name for holder in locks.holders()] == ["kept"]


def test_a_lock_that_was_given_without_a_reply_is_given_up_with_the_next_thing_that_is(driver: Driver) -> None:
    faulty = Faulty(driver, script=[None, Fault.DROP_AFTER, Fault.DROP_BEFORE])
    with LockManager(faulty) as locks, locks.hold("kept", ttl_ms=LONG_MS):
        with pytest.raises(Unavailable):
            locks.hold("x", wait_ms=LONG_MS)
        assert [holder.name for holder in locks.holders()] == ["kept", "x"]
        with locks.hold("y", ttl_ms=LONG_MS):
            assert [holder.name for holder in locks.holders()] == ["kept", "y"]


def test_who_stands_still_while_it_waits_for_another_lock_is_told_that_it_lost_the_first(
    store: Driver, clock: Clock
) -> None:
    def stand_still(seconds: float) -> None:
        clock.advance(LONG_MS)
        store.unlock(A)

    store.lock(A, [encode_name("", "y")], 2 * LONG_MS, Patience.WAIT)
    with LockManager(store, clock=clock.seconds, sleep=stand_still) as locks:
        first = locks.hold("x", ttl_ms=LONG_MS)
        with pytest.raises(LeaseLost, match="lost the leases"):
            locks.hold("y", wait_ms=2 * LONG_MS)
        assert first.lost
        assert locks.holders() == []
        assert not locks.hold("x", wait_ms=0).lost


def test_a_block_ends_quietly_when_the_store_is_out_of_reach_and_the_lock_runs_out(driver: Driver) -> None:
    faulty = Faulty(driver, script=[None, Fault.DROP_BEFORE])
    locks = LockManager(faulty)
    with locks.hold("x", ttl_ms=300):
        pass
    with locks.hold("x", ttl_ms=300, wait_ms=LONG_MS):
        pass
    locks.close()


def test_a_manager_that_is_closed_while_a_thread_waits_gives_it_nothing(driver: Driver) -> None:
    locks = LockManager(driver)
    driver.lock(A, [encode_name("", "x")], LONG_MS, Patience.WAIT)

    def wait() -> None:
        with pytest.raises(InterfaceError, match="closed while a thread waited"):
            locks.hold("x", wait_ms=LONG_MS)

    def close() -> None:
        until(lambda: driver.locks()[0].waiting, 0)
        locks.close()
        driver.unlock(A)

    in_threads([wait, close])
    assert driver.locks() == []


def test_closing_a_manager_out_of_reach_of_the_store_closes_it_all_the_same(tmp_path: Path) -> None:
    url = f"rome+lmdb:///{tmp_path}/store?sync=none"
    locks = LockManager(url)
    locks._driver = locks._keeper._driver = Faulty(locks._driver, script=[None, Fault.DROP_BEFORE])
    lease = locks.hold("x", ttl_ms=LONG_MS)
    locks.close()
    with pytest.raises(InterfaceError):
        locks._driver.locks()
    with LockManager(url) as others:
        assert [holder.token for holder in others.holders()] == [lease.token]


def test_a_session_that_the_parent_renews_is_lost_to_the_child(driver: Driver) -> None:
    keeper = Keeper(driver)
    asked_s = time.monotonic()
    driver.lock(A, [b"x"], LONG_MS, Patience.WAIT)
    kept = keeper.keep(A, LONG_MS, asked_s)

    def child() -> bytes:
        keeper.forget(kept)
        return b"lost" if kept.lost and keeper.close() == [] else b"kept"

    assert in_child(child) == b"lost"
    assert not kept.lost
    assert keeper.close() == [A]


def test_a_child_renews_its_own_leases_and_leaves_its_parents(driver: Driver) -> None:
    with LockManager(driver) as locks, locks.hold("parent's", ttl_ms=SHORT_MS) as lease:

        def child() -> bytes:
            with locks.hold("child's", ttl_ms=SHORT_MS) as own:
                pause(1.5 * SHORT_MS)
                assert not own.lost and lease.lost
                assert [holder.name for holder in locks.holders()] == ["child's"]  # memory: the parent's ran out here
            return b"done"

        assert in_child(child) == b"done"
        assert not lease.lost
        assert [holder.name for holder in locks.holders()] == ["parent's"]
