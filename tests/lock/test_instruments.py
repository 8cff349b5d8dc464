"""The instruments around a store's locks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import Driver, ExpectLock, Patience
from rome.driver.open import open_store
from rome.errors import Deadlock, Error, LeaseLost, Unavailable
from rome.testing.instruments import Call, Disagreement, Fault, Faulty, Mirror, Recorder

A, B = (bytes([number]) * 16 for number in (1, 2))
LONG_MS = 60_000
WAIT, NOWAIT = Patience.WAIT, Patience.NOWAIT


@pytest.fixture
def memory() -> Driver:
    return open_store(parse("rome+memory://"))


@pytest.fixture
def lmdb(tmp_path: Path) -> Driver:
    return open_store(parse(f"rome+lmdb:///{tmp_path}/store?sync=none"))


def test_a_recorder_counts_every_call_about_locks_as_a_round_trip(memory: Driver) -> None:
    recorder = Recorder(memory)
    token = recorder.lock(A, [b"x", b"yy"], LONG_MS, WAIT).standings[0].token
    recorder.lock(B, [b"zzz"], LONG_MS, WAIT)
    recorder.commit([ExpectLock(b"x", A, token)], [(b"a", b"1")])
    recorder.renew(A, LONG_MS)
    recorder.locks(b"y")
    recorder.unlock(A, [b"x"])
    assert [holding.name for holding in memory.locks()] == [b"yy", b"zzz"]
    recorder.unlock(A)
    assert [holding.name for holding in memory.locks()] == [b"zzz"]
    with pytest.raises(Error):
        recorder.commit([ExpectLock(b"x", A, token)], ())
    assert recorder.calls == [
        Call("lock", 2, 0, 3, 0),
        Call("lock", 1, 0, 3, 0),
        Call("commit", 2, 0, 3, 0),
        Call("renew", 0, 0, 0, 0),
        Call("locks", 1, 0, 1, 0),
        Call("unlock", 1, 0, 1, 0),
        Call("unlock", 0, 0, 0, 0),
        Call("commit", 1, 0, 1, 0, error="LeaseLost"),
    ]


def test_a_mirror_of_stores_that_agree_speaks_of_locks_as_the_first(memory: Driver, lmdb: Driver) -> None:
    lmdb.lock(A, [b"x"], LONG_MS, WAIT)
    lmdb.unlock(A)  # the second store is a token ahead
    mirror = Mirror(memory, lmdb)
    token = mirror.lock(A, [b"x"], LONG_MS, WAIT, b"me").standings[0].token
    assert mirror.lock(B, [b"y", b"x"], LONG_MS, WAIT).standings[1] == (0, A, 1)
    with pytest.raises(Deadlock):
        mirror.lock(A, [b"y"], LONG_MS, WAIT)
    assert mirror.locks(b"x")[0]._replace(remaining_ms=0) == (b"x", A, b"me", token, 0, 1)
    assert mirror.renew(A, LONG_MS) is True
    version = mirror.commit([ExpectLock(b"x", A, token)], [(b"a", b"1")])
    with pytest.raises(LeaseLost):
        mirror.commit([ExpectLock(b"x", A, token + 1)], [(b"a", b"2")])
    assert mirror.commit([ExpectLock(b"x", A, token)], ()) == version
    mirror.unlock(A)
    assert mirror.locks(b"x") == []
    mirror.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda mirror: mirror.lock(B, [b"x"], LONG_MS, WAIT),
        lambda mirror: mirror.lock(B, [b"x"], LONG_MS, NOWAIT),
        lambda mirror: mirror.locks(),
        lambda mirror: mirror.renew(A, LONG_MS),
    ],
    ids=["lock", "lock nowait", "locks", "renew"],
)
def test_a_mirror_finds_a_lock_that_only_one_store_has_given(
    memory: Driver, lmdb: Driver, ask: Callable[[Driver], object]
) -> None:
    lmdb.lock(A, [b"x"], LONG_MS, WAIT)
    with pytest.raises(Disagreement):
        ask(Mirror(memory, lmdb))


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.LOSE, Fault.DROP_AFTER])
def test_a_lost_message_about_locks_is_unavailable_and_may_be_sent_again(memory: Driver, fault: Fault) -> None:
    calls: list[Callable[[Driver], object]] = [
        lambda driver: driver.lock(A, [b"x"], LONG_MS, WAIT).standings[0].token,
        lambda driver: driver.renew(A, LONG_MS),
        lambda driver: [holding.name for holding in driver.locks()],
        lambda driver: driver.unlock(A),
    ]
    for call, answer in zip(calls, (1, True, [b"x"], None), strict=True):
        with pytest.raises(Unavailable):
            call(Faulty(memory, script=[fault]))
        assert call(memory) == answer
    assert memory.locks() == []
