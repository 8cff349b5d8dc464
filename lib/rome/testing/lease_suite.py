"""The second half of the lock suite: what `rome.lock` makes of a store's locks, with threads and processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

import pytest

from rome.driver.api import Driver, ExpectLock, Patience
from rome.errors import Deadlock, InterfaceError, LeaseLost, LockNotAvailable
from rome.lock import Lease, LockManager
from rome.lock.names import MAX_NAME_BYTES, encode_name
from rome.testing.driver_life import OpenDriver, in_child, in_threads, value_at, version_of

T = TypeVar("T")

LONG_MS = 60_000  # a time that does not run out during a test
LATE_WRITES = 1000


def short_ms(driver: Driver) -> int:
    """A time that runs out soon, but not while a busy machine does something else for a moment."""
    return max(driver.traits.min_ttl_ms, 800)


def pause(ms: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Let time pass."""
    sleep(ms / 1000)


def until(
    ask: Callable[[], T],
    ttl_ms: int,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What `ask` answers once it is true, which it must be soon after a session's time has run out."""
    deadline_s = clock() + 10 + 5 * ttl_ms / 1000
    while not (answer := ask()):
        assert clock() < deadline_s, f"nothing had changed long after {ttl_ms} ms"
        sleep(0.01)
    return answer


def given_time(trial: Callable[[int], bool], driver: Driver) -> bool:
    """Whether `trial`, of a time in milliseconds, says that nothing ran out that was kept in time.

    On a machine that stands still for longer than that (another program syncs a disk), something does run out, on a
    store that is right too. So there are three trials, each of four times the time; a store that is wrong fails all.
    """
    return any(trial(short_ms(driver) * 4**more) for more in range(3))


def held_by(driver: Driver, session: bytes) -> list[bytes]:
    """The names of the locks that `session` has."""
    return [holding.name for holding in driver.locks() if holding.session == session]


def in_children(works: list[Callable[[], None]]) -> None:
    """Run `works` side by side in forked processes; AssertionError if one failed or did not come back in 60 s."""
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=work) for work in works]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads: that is the test
        for child in children:
            child.start()
    for child in children:
        child.join(60)
        if child.exitcode is None:
            child.kill()
    assert [child.exitcode for child in children] == [0] * len(works), "a child failed: its error is on stderr"


class LeaseSuite:
    """Derive from `rome.testing.lock_suite.LockSuite`, which has these tests and the others."""

    capability = "leases and fencing"

    @pytest.fixture
    def open_driver(self) -> OpenDriver:
        """What opens one more driver on this test's store; see `rome.testing.lock_suite`."""
        raise NotImplementedError("give your suite an open_driver fixture")

    @pytest.fixture
    def driver(self, open_driver: OpenDriver) -> Iterator[Driver]:
        driver = open_driver()
        yield driver
        driver.close()

    @pytest.fixture
    def locks(self, driver: Driver) -> Iterator[LockManager]:
        with LockManager(driver) as manager:
            yield manager

    @pytest.fixture
    def rivals(self, open_driver: OpenDriver) -> Iterator[LockManager]:
        """Another manager on the same store."""
        driver = open_driver()
        with LockManager(driver, label="the rival") as manager:
            yield manager
        driver.close()

    # Holding

    def test_a_lease_is_held_inside_the_block_and_released_after_it(
        self, locks: LockManager, rivals: LockManager
    ) -> None:
        with locks.hold("import:42", ttl_ms=LONG_MS, wait_ms=0) as lease:
            assert (lease.name, lease.lost, lease.token > 0) == ("import:42", False, True)
            with pytest.raises(LockNotAvailable):
                rivals.hold("import:42", wait_ms=0)
        with rivals.hold("import:42", wait_ms=0) as later:
            assert later.token > lease.token
        with pytest.raises(InterfaceError):
            _ = lease.expectation
        lease.release()

    def test_a_lease_is_released_when_the_block_fails(self, locks: LockManager, rivals: LockManager) -> None:
        with pytest.raises(ZeroDivisionError), locks.hold("x", wait_ms=0):
            _ = 1 // 0
        rivals.hold("x", wait_ms=0).release()

    def test_who_waits_too_long_is_told_who_has_the_lock(self, locks: LockManager, rivals: LockManager) -> None:
        with rivals.hold("x", ttl_ms=LONG_MS):
            for wait_ms in (0, 30):
                with pytest.raises(LockNotAvailable, match=r"^\[55P03\] the lock 'x' .*the rival"):
                    locks.hold("x", wait_ms=wait_ms)
            assert [holder.waiting for holder in locks.holders()] == [0], "it still stands in the queue"
        locks.hold("x", wait_ms=0).release()

    def test_a_waiting_thread_gets_the_lock_when_it_is_released(self, locks: LockManager, rivals: LockManager) -> None:
        lease = locks.hold("x", ttl_ms=LONG_MS)
        tokens: list[int] = []

        def wait() -> None:
            with rivals.hold("x", wait_ms=LONG_MS) as later:
                tokens.append(later.token)

        def release() -> None:
            until(lambda: locks.holders("x")[0].waiting, 0)
            lease.release()

        in_threads([wait, release])
        assert tokens and tokens[0] > lease.token

    def test_a_thread_that_has_a_lock_is_refused_it_again_and_another_waits_for_it(self, locks: LockManager) -> None:
        lease = locks.hold("x", ttl_ms=LONG_MS)
        with pytest.raises(InterfaceError, match="already"):
            locks.hold("x", wait_ms=LONG_MS)
        assert not lease.lost

        def another() -> None:
            with pytest.raises(LockNotAvailable):
                locks.hold("x", wait_ms=0)

        in_threads([another])
        lease.release()
        locks.hold("x", wait_ms=0).release()

    def test_a_lease_may_be_released_by_another_thread_and_then_taken_again(self, locks: LockManager) -> None:
        for _ in range(3):
            leases = [locks.hold(name, wait_ms=0) for name in ("x", "y")]
            in_threads([lease.release for lease in leases])
        assert locks.holders() == []

    def test_a_thread_may_have_several_leases_and_releases_each_on_its_own(
        self, locks: LockManager, rivals: LockManager
    ) -> None:
        with locks.hold("x", ttl_ms=LONG_MS) as x:
            with locks.hold("y", ttl_ms=LONG_MS) as y:
                assert [holder.name for holder in rivals.holders()] == ["x", "y"]
            assert [holder.name for holder in rivals.holders()] == ["x"]
            assert (x.lost, y.lost) == (False, False)
            rivals.hold("y", wait_ms=0).release()

    def test_of_threads_that_wait_for_each_other_one_gives_way_within_a_second(
        self, locks: LockManager, clock: Callable[[], float] = time.monotonic
    ) -> None:
        for names in (["x", "y"], ["x", "y", "z"]):
            ready = threading.Barrier(len(names))
            fates: Counter[str] = Counter()
            spent_s: list[float] = []

            def run(
                mine: str, other: str, ready: threading.Barrier = ready, fates: Counter[str] = fates,
                spent_s: list[float] = spent_s,
            ) -> None:
                with locks.hold(mine, ttl_ms=LONG_MS):
                    ready.wait(60)
                    begun_s = clock()
                    try:
                        with locks.hold(other, wait_ms=30_000):
                            fates["had both"] += 1
                    except Deadlock:
                        spent_s.append(clock() - begun_s)
                        fates["gave way"] += 1

            pairs = zip(names, names[1:] + names[:1], strict=True)
            in_threads([lambda pair=pair, run=run: run(*pair) for pair in pairs])  # type: ignore[misc]
            assert fates == {"had both": len(names) - 1, "gave way": 1}
            assert spent_s[0] < 1
        assert locks.holders() == []

    def test_nobody_starves_among_many(self, open_driver: OpenDriver) -> None:
        drivers = [open_driver(), open_driver()]
        managers = [LockManager(driver) for driver in drivers]
        turns: Counter[int] = Counter()
        when_first_was_done: Counter[int] = Counter()
        each = 10
        gate = managers[0].hold("hot", ttl_ms=LONG_MS)

        def open_gate() -> None:
            until(lambda: managers[0].holders("hot")[0].waiting == 8, 0)
            gate.release()

        def run(number: int) -> None:
            for _ in range(each):
                with managers[number % 2].hold("hot", ttl_ms=LONG_MS, wait_ms=50_000):
                    turns[number] += 1
                    if turns[number] == each and not when_first_was_done:
                        when_first_was_done.update(turns)

        runs = [lambda number=number: run(number) for number in range(8)]
        in_threads([open_gate, *runs])
        assert turns == dict.fromkeys(range(8), each)
        assert min(when_first_was_done[number] for number in range(8)) >= each // 2, when_first_was_done
        for manager, driver in zip(managers, drivers, strict=True):
            manager.close()
            driver.close()

    # Renewal and loss

    def test_a_lease_is_renewed_as_long_as_it_is_held(
        self, driver: Driver, locks: LockManager, rivals: LockManager
    ) -> None:
        def held_all_along(ttl_ms: int) -> bool:
            told: list[Lease] = []
            with locks.hold("x", ttl_ms=ttl_ms, on_lost=told.append) as lease:
                for _ in range(5):
                    pause(ttl_ms / 2)
                    try:
                        rivals.hold("x", wait_ms=0).release()
                    except LockNotAvailable:
                        assert all(0 < holder.remaining_ms <= ttl_ms for holder in rivals.holders("x"))
                    else:
                        assert lease.lost, "a rival got a lock whose holder does not take it for lost"
                        return False
                assert lease.lost or not told
                return not lease.lost

        assert given_time(held_all_along, driver)

    def test_a_lost_lease_is_noticed_told_once_and_refused_by_the_store(
        self, driver: Driver, locks: LockManager, rivals: LockManager
    ) -> None:
        ttl_ms = short_ms(driver)
        told: list[Lease] = []
        lease = locks.hold("x", ttl_ms=ttl_ms, on_lost=told.append)
        other = locks.hold("y", on_lost=told.append)
        expectation = lease.expectation
        driver.unlock(expectation.session)
        rival = rivals.hold("x", wait_ms=0)
        with pytest.raises(LeaseLost):
            driver.commit([expectation], [(b"a", b"late")])
        until(lambda: len(told) == 2, LONG_MS)
        assert lease.lost and other.lost
        for lost in (lease, other):
            with pytest.raises(LeaseLost):
                _ = lost.expectation
        again = locks.hold("y", wait_ms=0)
        assert not again.lost and again.token > other.token
        lease.release()
        assert not rival.lost and [holder.token for holder in rivals.holders("x")] == [rival.token]
        assert sorted(each.name for each in told) == ["x", "y"]

    def test_a_released_lease_is_never_told_lost(self, driver: Driver, locks: LockManager) -> None:
        told: list[Lease] = []
        ttl_ms = short_ms(driver)
        locks.hold("x", ttl_ms=ttl_ms, on_lost=told.append).release()
        pause(1.5 * ttl_ms)
        assert told == []

    def test_no_commit_of_who_was_not_renewed_comes_after_the_next_holders_first_look(
        self, open_driver: OpenDriver
    ) -> None:
        driver, other = open_driver(), open_driver()
        ttl_ms = short_ms(driver)
        session = b"never renewed..."
        token = driver.lock(session, [b"x"], ttl_ms, Patience.NOWAIT).standings[0].token
        seen: list[int] = []
        refused = made = 0

        def write() -> None:
            nonlocal refused, made
            while refused < LATE_WRITES:
                try:
                    driver.commit([ExpectLock(b"x", session, token)], [(b"a", b"%d" % made)])
                except LeaseLost:
                    refused += 1
                else:
                    made += 1
                    pause(1)

        def succeed() -> None:
            until(lambda: other.lock(b"the next holder.", [b"x"], LONG_MS, Patience.WAIT).standings[0].token, ttl_ms)
            seen.append(version_of(other))

        in_threads([write, succeed])
        assert made > 0 and refused == LATE_WRITES
        assert version_of(other) == seen[0], "a commit came after the lock had passed on"
        driver.close()
        other.close()

    # Names and listing

    def test_holders_are_listed_by_name_with_what_they_say_of_themselves(
        self, locks: LockManager, rivals: LockManager
    ) -> None:
        with locks.hold("image/é", ttl_ms=LONG_MS) as mine, rivals.hold("image/b") as other, rivals.hold("else"):
            second, first = locks.holders("image/")
            assert first[:3] == ("image/é", f"{socket.gethostname()}:{os.getpid()}", mine.token)
            assert second[:3] == ("image/b", "the rival", other.token)
            assert (0 < first.remaining_ms <= LONG_MS, first.waiting) == (True, 0)
            assert [holder.name for holder in locks.holders()] == ["else", "image/b", "image/é"]
        assert locks.holders() == []

    def test_any_text_is_a_name_and_what_is_none_is_refused(self, locks: LockManager, rivals: LockManager) -> None:
        names = ["a", "a\0", "\0", "a b", "\U0010ffff", "é" * (MAX_NAME_BYTES // 2)]
        leases = [locks.hold(name, ttl_ms=LONG_MS, wait_ms=0) for name in names]
        assert [holder.name for holder in rivals.holders()] == sorted(names, key=str.encode)
        for lease in leases:
            lease.release()
        for bad in ("", "x" * (MAX_NAME_BYTES + 1), "\ud800", b"bytes", 42, None):
            with pytest.raises(InterfaceError, match="name of a lock"):
                locks.hold(bad)  # type: ignore[arg-type]
        for ttl_ms, wait_ms in ((0, 0), (-1, 0), (1.5, 0), (True, 0), (1, -1), (1, 0.5), (1, None), (1 << 40, 0)):
            with pytest.raises(InterfaceError, match="whole number of milliseconds"):
                locks.hold("x", ttl_ms=ttl_ms, wait_ms=wait_ms)  # type: ignore[arg-type]
        assert locks.holders() == []

    def test_namespaces_keep_names_apart(self, driver: Driver) -> None:
        managers = [LockManager(driver, namespace=namespace) for namespace in ("", "g", "gl", "glance")]
        leases = [manager.hold("x", ttl_ms=LONG_MS, wait_ms=0) for manager in managers]
        assert [len(manager.holders()) for manager in managers] == [1] * 4
        assert len(driver.locks()) == 4
        assert [each.name for each in driver.locks()] == sorted(lease.stored_name for lease in leases)
        for manager in managers:
            manager.close()
        assert driver.locks() == []

    # The end of things

    def test_closing_a_manager_releases_what_was_taken_through_it(self, driver: Driver, rivals: LockManager) -> None:
        locks = LockManager(driver)
        lease = locks.hold("x", ttl_ms=LONG_MS)
        locks.hold("y", ttl_ms=LONG_MS)
        locks.close()
        locks.close()
        assert rivals.holders() == []
        for call in (lambda: locks.hold("x"), locks.holders):
            with pytest.raises(InterfaceError):
                call()
        lease.release()
        assert version_of(driver) >= 0, "a driver that was given is left open"

    def test_a_lease_of_the_parent_is_not_the_childs(self, driver: Driver, locks: LockManager) -> None:
        lease = locks.hold("x", ttl_ms=LONG_MS)
        expectation = lease.expectation

        def child() -> bytes:
            assert lease.lost
            with pytest.raises(LeaseLost):
                _ = lease.expectation
            lease.release()
            with pytest.raises(LockNotAvailable):
                locks.hold("x", wait_ms=0)
            with locks.hold("y", ttl_ms=LONG_MS, wait_ms=0) as own:
                driver.commit([own.expectation], [(b"a", b"the child's")])
            locks.close()
            return b"done"

        assert in_child(child) == b"done"
        assert not lease.lost
        driver.commit([expectation], [(b"b", b"1")])
        assert value_at(driver, b"a") == (b"the child's" if driver.traits.shared else None)
        lease.release()

    def test_a_read_and_a_write_under_the_lock_lose_nothing_between_many(self, open_driver: OpenDriver) -> None:
        driver = open_driver()
        shared = driver.traits.shared

        def add() -> None:
            own = open_driver()
            with LockManager(own) as locks:
                for _ in range(10):
                    with locks.hold("sum", ttl_ms=LONG_MS, wait_ms=50_000) as lease:
                        total = int(value_at(own, b"sum") or b"0") + 1
                        own.commit([lease.expectation], [(b"sum", b"%d" % total)])
            own.close()

        (in_children if shared else in_threads)([add] * 4)
        assert value_at(driver, b"sum") == b"40"
        assert driver.locks() == []
        driver.close()

    def test_a_holder_that_stood_still_past_its_time_writes_nothing_any_more(self, open_driver: OpenDriver) -> None:
        """A process is stopped while it has a lease, another takes the lock, and it goes on: every write is late."""
        driver = open_driver()
        if not driver.traits.shared:
            with pytest.raises(LockNotAvailable), LockManager(driver) as locks, locks.hold("x"):
                in_threads([lambda: locks.hold("x", wait_ms=0).release()])
            return  # no other process has this store: that of a thread is the test above
        context = multiprocessing.get_context("fork")
        pipe, far_end = context.Pipe()
        child = context.Process(target=_stand_still, args=(open_driver, far_end))
        child.start()
        try:
            assert pipe.poll(60) and pipe.recv() == "about to stand still"
            assert child.pid is not None
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
            with LockManager(driver) as locks, locks.hold("x", ttl_ms=LONG_MS, wait_ms=LONG_MS) as lease:
                before = value_at(driver, b"a")
                version = driver.commit([lease.expectation], [(b"b", b"the next holder's")])
                os.kill(child.pid, signal.SIGCONT)
                assert pipe.poll(60)
                report = pipe.recv()
                assert report == {"late writes made": 0, "refused": LATE_WRITES, "noticed": True, "told": 1}
                assert version_of(driver) == version and value_at(driver, b"a") == before
        finally:
            child.kill()
            child.join()
        driver.close()

    def test_the_locks_of_a_killed_process_are_free_after_their_time(self, open_driver: OpenDriver) -> None:
        driver = open_driver()
        ttl_ms = short_ms(driver)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            LockManager(open_driver()).hold("x", ttl_ms=ttl_ms)
            os.write(writer, b"held")
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            assert pipe.read() == b"held"
        os.waitpid(child, 0)
        with LockManager(driver) as locks:
            assert len(locks.holders("x")) == driver.traits.shared
            with locks.hold("x", ttl_ms=LONG_MS, wait_ms=LONG_MS):
                assert driver.locks(encode_name("", "x"))[0].waiting == 0
        driver.close()


def _stand_still(open_driver: OpenDriver, report: Connection) -> None:
    """In a process: write under a lease, stand still until somebody lets it go on, write on."""
    driver = open_driver()
    told: list[Lease] = []
    locks = LockManager(driver)
    lease = locks.hold("x", ttl_ms=short_ms(driver), on_lost=told.append)
    expectation = lease.expectation
    for number in range(10):
        driver.commit([expectation], [(b"a", b"%d" % number)])
    report.send("about to stand still")
    os.kill(os.getpid(), signal.SIGSTOP)
    noticed = lease.lost
    made = refused = 0
    for number in range(LATE_WRITES):
        try:
            driver.commit([expectation], [(b"a", b"late %d" % number)])
            made += 1
        except LeaseLost:
            refused += 1
    until(lambda: told, 0)
    report.send({"late writes made": made, "refused": refused, "noticed": noticed, "told": len(told)})
