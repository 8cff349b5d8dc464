"""Commits of more than etcd takes in one transaction: all or nothing, whoever dies at whichever step."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from rome.config import parse
from rome.driver.api import Expectation, ExpectCell, ExpectLock, ExpectRange, Patience, Scan
from rome.driver.etcd import EtcdDriver, layout, open_url
from rome.driver.etcd.large import APPLYING, CHUNK_OPERATIONS, GATE_TTL_S, TAKEN
from rome.driver.etcd.layout import MAX_OPERATIONS
from rome.driver.etcd.messages import TxnRequest
from rome.errors import Conflict, DataError, LeaseLost, OutcomeUnknown, Unavailable
from rome.testing.driver_life import in_threads, scanned, value_at, version_of
from tests.servers.etcd import EtcdServer

_numbers = itertools.count(1)

pytestmark = pytest.mark.servers

MANY = 2 * CHUNK_OPERATIONS + 100  # in three redo keys
EVERYTHING = Scan(b"", b"\xff")
SESSION = b"a session of one"


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it, nothing more is sent."""


class Dying(EtcdDriver):
    """A driver whose process dies before its call number `last` of the next commit, if there is one."""

    calls = 0
    last: int | None = None
    error: BaseException = Killed()

    def die_before(self, last: int | None) -> None:
        """Count from now on."""
        self.calls, self.last = 0, last

    def arm(self) -> Dying:
        send = self._client.repeat
        once = self._client.once

        def counted(work: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object) -> object:
                if self.last is not None and self.calls >= self.last:
                    raise self.error
                self.calls += 1
                return work(*arguments)

            return call

        self._client.repeat = counted(send)  # type: ignore[method-assign, assignment]
        self._client.once = counted(once)  # type: ignore[method-assign, assignment]
        return self


@pytest.fixture
def url(server: EtcdServer) -> str:
    return server.url(f"large{next(_numbers)}")


@pytest.fixture
def driver(url: str) -> Iterator[EtcdDriver]:
    driver = open_url(parse(url))
    yield driver
    driver.close()


def writes(value: bytes, count: int = MANY) -> list[tuple[bytes, bytes | None]]:
    return [(b"%06d" % number, value) for number in range(count)]


def values(driver: EtcdDriver) -> set[bytes]:
    """The different values of all cells, read as one state."""
    return {cell.value for cell in scanned(driver, EVERYTHING)}


def test_more_writes_than_operations_and_more_bytes_than_a_request_are_one_commit(driver: EtcdDriver) -> None:
    for pairs in (writes(b"few", MAX_OPERATIONS + 1), writes(b"many"), writes(b"x" * 100_000, 40)):
        version = driver.commit((), pairs, b"mark %d" % len(pairs))
        assert version == version_of(driver) == driver.outcome(b"mark %d" % len(pairs))
        reading = driver.read([key for key, _ in pairs])
        assert [cell and cell.value for cell in reading.cells] == [value for _, value in pairs]
        assert all(cell is not None and cell.version <= version for cell in reading.cells)
        expect: list[Expectation] = [ExpectCell(cell.key, cell.version) for cell in reading.cells if cell is not None]
        assert driver.commit(expect[:50], [(b"after", b"")]) > version


def test_the_smallest_keys_have_the_version_that_the_commit_returns(driver: EtcdDriver) -> None:
    version = driver.commit((), writes(b"1"))
    cell = driver.read([b"000000"]).cells[0]
    assert cell is not None and cell.version == version


@pytest.mark.parametrize("count", [MAX_OPERATIONS + 1, MANY])
def test_a_large_commit_expects_as_a_small_one_does(driver: EtcdDriver, count: int) -> None:
    version = driver.commit((), writes(b"0", count))
    keys = tuple(key for key, _ in writes(b"", count))
    cells = [cell for cell in driver.read(keys).cells if cell is not None]
    good: list[Expectation] = [ExpectCell(cell.key, cell.version) for cell in cells]
    good.append(ExpectRange(b"", b"\xff", version, keys))
    bad: list[Expectation] = [
        ExpectCell(b"000000", 0),
        ExpectCell(b"none", version),
        ExpectCell(keys[-1], version + 1),
        ExpectRange(b"", b"\xff", version, (*keys, b"x")),
        ExpectRange(b"", b"\xff", cells[-1].version - 1, keys),
    ]
    for each in bad:
        for pairs in ([(b"a", b"1")], writes(b"1", count)):
            with pytest.raises(Conflict):
                driver.commit([*good, each], pairs)
    assert values(driver) == {b"0"} and version_of(driver) == version
    driver.commit(good, writes(b"1", count))
    assert values(driver) == {b"1"}
    with pytest.raises(Conflict):
        driver.commit(good, writes(b"2", count))


def test_a_read_checks_more_expectations_than_a_transaction_takes(driver: EtcdDriver) -> None:
    version = driver.commit((), writes(b"0", 300))
    good: list[Expectation] = [ExpectCell(b"%06d" % number, version) for number in range(300)]
    assert driver.read([b"000000"], (), good).version == version
    driver.commit((), [(b"000299", b"1")])
    with pytest.raises(Conflict):
        driver.read([b"000000"], (), good)


def test_a_large_commit_is_made_once_however_often_it_arrives(driver: EtcdDriver) -> None:
    expect = [ExpectCell(b"000000", 0)]
    version = driver.commit(expect, writes(b"1"), b"large")
    assert driver.commit(expect, writes(b"1"), b"large") == version == driver.outcome(b"large")
    assert driver.outcome(b"given up") is None
    with pytest.raises(Conflict):
        driver.commit((), writes(b"2"), b"given up")
    assert values(driver) == {b"1"}


@pytest.mark.parametrize("count", [1, MAX_OPERATIONS + 1, MANY])
@pytest.mark.parametrize("locks", [1, 100])
def test_a_large_commit_is_made_under_locks_and_not_without(driver: EtcdDriver, count: int, locks: int) -> None:
    names = [b"lock %d" % number for number in range(locks)]
    standings = driver.lock(SESSION, names, 60_000, Patience.NOWAIT).standings
    expect = [ExpectLock(name, SESSION, each.token) for name, each in zip(names, standings, strict=True)]
    driver.commit(expect, writes(b"1", count))
    driver.unlock(SESSION, names[-1:])
    with pytest.raises(LeaseLost):
        driver.commit(expect, writes(b"2", count))
    with pytest.raises(LeaseLost):
        driver.commit(expect, ())
    assert values(driver) == {b"1"}


def test_a_commit_over_the_limits_is_refused_with_the_limit_and_nothing_is_sent(driver: EtcdDriver) -> None:
    traits = driver.traits
    largest = b"x" * traits.max_value_bytes
    with pytest.raises(DataError, match=str(traits.max_value_bytes)):
        driver.commit((), [(b"a", b""), (b"b", largest + b"x")])
    with pytest.raises(DataError, match=str(traits.max_commit_bytes)):
        driver.commit((), [(b"%d" % number, largest) for number in range(65)])
    assert scanned(driver, EVERYTHING) == [] and driver.commit((), [(b"a", b"")])


def steps(url: str, count: int) -> int:
    """How many calls a commit of `count` writes takes."""
    dying = Dying(parse(url)).arm()
    dying.die_before(None)
    dying.commit((), writes(b"0", count), b"first")
    calls = dying.calls
    dying.close()
    return calls


def let_the_gate_open(server: EtcdServer, driver: EtcdDriver) -> None:
    """End the lease of who died with the gate taken, as GATE_TTL_S does."""
    look = TxnRequest(success=[layout.get(driver._keys.gate)])
    for gate in driver._client.transact(look).responses[0].response_range.kvs:
        if gate.value.startswith(TAKEN):
            server.control("lease", "revoke", f"{int(gate.value[len(TAKEN) :]):x}")


def test_a_death_at_any_step_leaves_all_or_nothing_to_every_reader(
    url: str, driver: EtcdDriver, server: EtcdServer
) -> None:
    last = steps(url, MANY)
    assert last > 8, "the commit had fewer steps than it is made of"
    before, made = b"0", 0
    for step in range(last):
        dying = Dying(parse(url)).arm()
        value, mark = b"%d" % (step + 1), b"mark %d" % step
        view = driver.read([b"000000"]).view
        dying.die_before(step)
        with pytest.raises(Killed):
            dying.commit((), writes(value), mark)
        assert values(driver) == {before}, f"a reader saw part of it after step {step}"
        old = driver.read([b"000000"], [EVERYTHING], (), view)
        assert {cell.value for cell in old.scans[0]} == {before}
        if driver.outcome(mark) is not None:  # whoever asks finishes it
            before = value
            made += 1
        assert values(driver) == {before}
        dying.close()
        let_the_gate_open(server, driver)  # the next one would die while it waits for that
    assert 2 <= made < last, "it was never, or always, decided"
    driver.commit((), [(b"000000", before)])


def test_others_go_on_after_a_death_before_the_decision_and_finish_after_it(url: str, driver: EtcdDriver) -> None:
    last = steps(url, MANY)
    for step in (2, last - 3):
        dying = Dying(parse(url)).arm()
        dying.die_before(step)
        with pytest.raises(Killed):
            dying.commit((), writes(b"large", MANY))
        decided = values(driver) == {b"0"} and _gate(driver).startswith(APPLYING)
        assert decided == (step == last - 3)
        driver.commit((), [(b"other", b"0")])  # waits for the lease, or for what others do
        assert value_at(driver, b"000000") == (b"large" if decided else b"0")
        assert value_at(driver, b"%06d" % (MANY - 1)) == (b"large" if decided else b"0")
        driver.commit((), [(b"other", None)])
        dying.close()


def test_many_finish_what_one_left_and_each_cell_is_written_once(url: str, driver: EtcdDriver) -> None:
    dying = Dying(parse(url)).arm()
    dying.die_before(steps(url, MANY) - 4)
    with pytest.raises(Killed):
        dying.commit((), writes(b"large"), b"left")
    found: list[int | None] = []
    helpers = [threading.Thread(target=lambda: found.append(driver.outcome(b"left"))) for _ in range(4)]
    for helper in helpers:
        helper.start()
    for helper in helpers:
        helper.join()
    assert len(set(found)) == 1 and found[0] == version_of(driver)
    assert values(driver) == {b"large"}
    look = driver._client.transact(TxnRequest(success=[layout.every(driver._keys.cells)]))
    assert {kv.version for kv in look.responses[0].response_range.kvs} == {2}, "a helper wrote a cell again"
    dying.close()


def test_what_reads_while_a_large_commit_is_applied_conflicts_with_it(url: str, driver: EtcdDriver) -> None:
    dying = Dying(parse(url)).arm()
    dying.die_before(steps(url, MANY) - 3)
    with pytest.raises(Killed):
        dying.commit((), writes(b"large"), b"left")
    reading = driver.read([b"000000"], [EVERYTHING])
    cell = reading.cells[0]
    assert cell is not None and cell.value == b"0"
    keys = tuple(cell.key for cell in reading.scans[0])
    for expect in (ExpectCell(b"000000", cell.version), ExpectRange(b"", b"\xff", reading.version, keys)):
        with pytest.raises(Conflict):
            driver.commit([expect], [(b"000000", b"late")])
    assert values(driver) == {b"large"}
    dying.close()


def test_a_large_commit_that_stood_still_past_its_lease_writes_nothing(url: str, driver: EtcdDriver) -> None:
    slow = Dying(parse(url)).arm()
    calls = steps(url, MANY)
    stage = slow._gate._stage

    def stand_still(*arguments: object) -> None:
        stage(*arguments)  # type: ignore[arg-type]
        driver.commit((), [(b"other", b"meanwhile")])  # waits until the gate's lease has run out

    slow._gate._stage = stand_still  # type: ignore[method-assign, assignment]
    slow.die_before(None)
    with pytest.raises((Conflict, Unavailable)):
        slow.commit((), writes(b"late"))
    assert calls and GATE_TTL_S < 10
    assert values(driver) == {b"0", b"meanwhile"}
    driver.commit((), writes(b"next"))
    assert values(driver) == {b"next", b"meanwhile"}
    slow.close()


def _gate(driver: EtcdDriver) -> bytes:
    looked = driver._client.transact(TxnRequest(success=[driver._keys.look()])).responses[0].response_range
    gate = driver._keys.seen(looked).gate
    return bytes(gate.value) if gate is not None else b""


def test_what_fails_after_the_decision_leaves_the_outcome_unknown_and_the_question_makes_it(
    url: str, driver: EtcdDriver
) -> None:
    last = steps(url, MANY)
    for back in range(1, 4):
        failing = Dying(parse(url)).arm()
        failing.error = Unavailable("the network is gone")
        failing.die_before(last - back)
        value, mark = b"%d" % back, b"failing %d" % back
        with pytest.raises(OutcomeUnknown) as caught:
            failing.commit((), writes(value), mark)
        assert caught.value.mark == mark
        assert driver.outcome(mark) == version_of(driver)
        assert values(driver) == {value}
        failing.close()


def test_commits_that_expect_much_get_through_beside_others_and_lose_nothing(url: str) -> None:
    drivers = [open_url(parse(url)) for _ in range(3)]
    drivers[0].commit((), writes(b"0", 200))
    each = 15
    stop = threading.Event()

    def add(driver: EtcdDriver) -> None:
        for _ in range(each):
            while True:
                reading = driver.read((), [EVERYTHING])
                cells = reading.scans[0]
                total = max(int(cell.value) for cell in cells if cell.key == b"000000")
                keys = tuple(cell.key for cell in cells)
                try:
                    driver.commit(
                        [ExpectRange(b"", b"\xff", reading.version, keys)], [(b"000000", b"%d" % (total + 1))]
                    )
                    break
                except Conflict:
                    continue

    def disturb() -> None:
        while not stop.is_set():
            drivers[2].commit((), [(b"\xff\xff", b"elsewhere")])

    noise = threading.Thread(target=disturb)
    noise.start()
    try:
        in_threads([lambda: add(drivers[0]), lambda: add(drivers[1])])
    finally:
        stop.set()
        noise.join()
    assert value_at(drivers[0], b"000000") == b"%d" % (2 * each)
    for driver in drivers:
        driver.close()
