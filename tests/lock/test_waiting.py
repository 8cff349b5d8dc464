"""The wait loop, on the embedded stores and a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from rome.driver.api import Driver, Patience
from rome.errors import LockNotAvailable, Unavailable
from rome.lock.waiting import FAR_MS, LOCAL, REMOTE, Pace, Taken, take_locks
from rome.testing.instruments import Fault, Faulty, Recorder
from tests.lock.conftest import Clock

A, B, C = (bytes([number]) * 16 for number in (1, 2, 3))
WAIT, NOWAIT = Patience.WAIT, Patience.NOWAIT
LONG_MS = 60_000


class Pauses:
    """Pauses of a waiter: the clock moves on, and what is planned for a pause happens in it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ms: list[float] = []
        self.plan: dict[int, Callable[[], object]] = {}

    def __call__(self, seconds: float) -> None:
        self.clock.sleep(seconds)
        self.ms.append(seconds * 1000)
        self.plan.get(len(self.ms), lambda: None)()


@pytest.fixture
def pauses(clock: Clock) -> Iterator[Pauses]:
    pauses = Pauses(clock)
    yield pauses
    assert len(pauses.ms) >= max(pauses.plan, default=0), "what the test had planned did not happen"


def wait(
    driver: Driver, names: Sequence[bytes], pauses: Pauses, *, wait_ms: int | None = 10_000, ttl_ms: int = LONG_MS,
    pace: Pace | None = None, jitter: float = 0.5,
) -> Taken:
    clock = pauses.clock
    return take_locks(
        driver, A, names, ttl_ms=ttl_ms, wait_ms=wait_ms, pace=pace, clock=clock.seconds, sleep=pauses,
        jitter=lambda: jitter,
    )


def test_free_locks_are_taken_in_one_round_trip(store: Driver, pauses: Pauses) -> None:
    recorder = Recorder(store)
    version = store.commit((), [(b"a", b"1")])
    for wait_ms in (0, 5000, None):
        taken = wait(recorder, [b"x", b"y"], pauses, wait_ms=wait_ms)
        assert [call.name for call in recorder.reset()] == ["lock"]
        assert taken == Taken([each.token for each in store.locks()], version, pauses.clock.seconds())
        assert all(taken.tokens)
    assert pauses.ms == []
    assert wait(recorder, [], pauses).tokens == []


def test_a_lock_is_taken_when_it_comes_free_and_the_others_are_kept_meanwhile(store: Driver, pauses: Pauses) -> None:
    store.lock(B, [b"x", b"z"], LONG_MS, NOWAIT)
    pauses.plan = {3: lambda: store.unlock(B, [b"z"]), 6: lambda: store.unlock(B)}
    taken = wait(store, [b"x", b"y", b"z"], pauses)
    assert len(pauses.ms) == 6
    assert dict(zip([b"x", b"y", b"z"], taken.tokens, strict=True)) == {each.name: each.token for each in store.locks()}
    assert taken.tokens[1] < taken.tokens[2] < taken.tokens[0]


def test_pauses_begin_short_grow_and_stay_below_a_bound(store: Driver, pauses: Pauses) -> None:
    store.lock(B, [b"x"], LONG_MS, NOWAIT)
    for pace in (LOCAL, REMOTE):
        pauses.ms.clear()
        with pytest.raises(LockNotAvailable):
            wait(store, [b"x"], pauses, pace=pace, wait_ms=2000)
        assert pauses.ms[0] == pytest.approx(pace.first_ms)
        assert pauses.ms[:-1] == sorted(pauses.ms[:-1])
        assert max(pauses.ms) == pytest.approx(pace.most_ms)
        assert sum(pauses.ms) == pytest.approx(2000)
    for jitter, shares in ((0.0, 0.5), (1.0, 1.5)):
        pauses.ms.clear()
        with pytest.raises(LockNotAvailable):
            wait(store, [b"x"], pauses, jitter=jitter)
        assert pauses.ms[0] == pytest.approx(LOCAL.first_ms * shares)


TURNS = 40


@pytest.mark.parametrize("turn_ms", [5.0, 50.0, 200.0])
def test_who_is_far_back_asks_seldom_however_long_a_turn_takes_and_is_never_late(
    store: Driver, pauses: Pauses, turn_ms: float
) -> None:
    others = [b"%016d" % number for number in range(TURNS)]
    for other in others:
        store.lock(other, [b"x"], LONG_MS, WAIT)
    start_s = pauses.clock.seconds()
    over = 0  # turns

    def let_time_pass(seconds: float) -> None:
        nonlocal over
        pauses(seconds)
        while over < TURNS and (pauses.clock.seconds() - start_s) * 1000 >= turn_ms * (over + 1):
            store.unlock(others[over])
            over += 1
            if over < TURNS:
                store.lock(others[over], [b"x"], LONG_MS, WAIT)

    take_locks(
        store, A, [b"x"], ttl_ms=LONG_MS, wait_ms=None, clock=pauses.clock.seconds, sleep=let_time_pass,
        jitter=lambda: 1.0,  # the longest pauses
    )  # fmt: skip
    late_ms = (pauses.clock.seconds() - start_s) * 1000 - turn_ms * TURNS
    assert late_ms <= max(LOCAL.first_ms * 1.5, turn_ms / 2)
    assert len(pauses.ms) <= TURNS / 2 + 10
    assert max(pauses.ms) <= 1.5 * FAR_MS


def test_a_waiter_asks_well_before_its_time_runs_out(store: Driver, pauses: Pauses) -> None:
    store.lock(B, [b"x"], LONG_MS, NOWAIT)
    with pytest.raises(LockNotAvailable):
        wait(store, [b"x"], pauses, ttl_ms=40, wait_ms=500, jitter=1.0)
    assert max(pauses.ms) <= 40 / 4


def test_who_gives_up_leaves_the_queue_and_says_who_is_in_the_way(store: Driver, pauses: Pauses) -> None:
    store.lock(B, [b"x"], LONG_MS, NOWAIT, b"host:7")
    for wait_ms, waited in ((0, ""), (100, " and was not free within 100 ms")):
        with pytest.raises(LockNotAvailable) as refused:
            wait(store, [b"y", b"x"], pauses, wait_ms=wait_ms)
        message = str(refused.value)
        assert message.startswith("[55P03] b'x' is held by host:7 (for ")
        assert message.endswith(f"ms more, unless that is renewed){waited}: try again later, or wait longer")
        assert store.locks(b"x")[0].waiting == 0
    store.unlock(B)
    assert store.lock(C, [b"x"], LONG_MS, NOWAIT).standings[0].token > 0


def test_a_lock_that_only_others_wait_for_is_said_to_be(store: Driver, pauses: Pauses) -> None:
    store.lock(B, [b"x"], LONG_MS, NOWAIT)
    store.lock(C, [b"x"], LONG_MS, WAIT)
    store.unlock(B)
    with pytest.raises(LockNotAvailable, match="is waited for by others: try"):
        wait(store, [b"x"], pauses, wait_ms=0)


def test_whatever_ends_a_wait_the_place_in_the_queue_is_left(store: Driver, pauses: Pauses) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    store.lock(B, [b"x"], LONG_MS, NOWAIT)
    pauses.plan = {3: interrupt}
    with pytest.raises(KeyboardInterrupt):
        wait(store, [b"x"], pauses)
    assert store.locks()[0].waiting == 0


def test_a_lock_whose_reply_is_lost_is_given_up_again(store: Driver, pauses: Pauses) -> None:
    for wait_ms in (0, 1000):
        with pytest.raises(Unavailable):
            wait(Faulty(store, script=[Fault.DROP_AFTER]), [b"x"], pauses, wait_ms=wait_ms)
        assert store.locks() == []


def test_what_was_taken_before_a_standstill_is_asked_for_again(store: Driver, pauses: Pauses) -> None:
    """The process stands still in a pause; its session runs out, and another takes what it had."""
    store.lock(B, [b"y"], LONG_MS, NOWAIT)

    def stand_still() -> None:
        pauses.clock.advance(2000)
        assert store.lock(C, [b"x"], LONG_MS, NOWAIT).standings[0].token > 0
        store.unlock(B)

    pauses.plan = {2: stand_still, 4: lambda: store.unlock(C)}
    taken = wait(store, [b"x", b"y"], pauses, ttl_ms=1000)
    assert {each.name: each.token for each in store.locks()} == dict(zip([b"x", b"y"], taken.tokens, strict=True))
    assert {each.session for each in store.locks()} == {A}
