"""The second half of the driver suite: views, threads, processes and the end of a driver's life."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence

import pytest

from rome.driver.api import Cell, Driver, ExpectCell, ExpectRange, Follow, Range, Reading, Scan, Scope
from rome.errors import Conflict, InterfaceError, NotSupportedError

OpenDriver = Callable[[], Driver]

EVERYTHING = (b"", b"\xff" * 64)


def value_at(driver: Driver, key: bytes) -> bytes | None:
    """The newest value at `key`, None for no cell."""
    reading = driver.read([key])
    driver.release(reading.view)
    cell = reading.cells[0]
    return None if cell is None else cell.value


def scanned(driver: Driver, scan: Scan) -> list[Cell]:
    """The newest cells of `scan`."""
    reading = driver.read((), [scan])
    driver.release(reading.view)
    return reading.scans[0]


def counted(driver: Driver, *ranges: Range) -> list[int]:
    """How many cells each of `ranges` holds in the newest state."""
    reading = driver.read(counts=ranges)
    driver.release(reading.view)
    return list(reading.counts)


def version_of(driver: Driver) -> int:
    """The store's commit counter."""
    reading = driver.read()
    driver.release(reading.view)
    return reading.version


def in_child(work: Callable[[], bytes]) -> bytes:
    """What `work` returns in a forked process; AssertionError if it raised there."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=lambda: writer.send_bytes(work()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads: that is the test
        child.start()
    child.join(60)
    failed = child.exitcode != 0
    if child.exitcode is None:
        child.kill()
    assert not failed, f"the child process failed or hung (exit code {child.exitcode}); its error is on stderr"
    return reader.recv_bytes()


def in_threads(works: Sequence[Callable[[], None]]) -> None:
    """Run `works` side by side; raise the first exception that one of them raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait(60)
            work()
        except BaseException as error:  # a failed test is no Exception; it is raised again below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads are interrupted in the middle of everything
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a thread did not come back within 60 s"
    finally:
        sys.setswitchinterval(interval_s)
    if failures:
        raise failures[0]


class DriverLifeSuite:
    """Derive from `rome.testing.driver_suite.DriverSuite`, which has these tests and the others."""

    capability = "driver: views, threads, processes"

    @pytest.fixture
    def open_driver(self) -> OpenDriver:
        """What opens one more driver on this test's store; see the module."""
        raise NotImplementedError("give your suite an open_driver fixture")

    @pytest.fixture
    def driver(self, open_driver: OpenDriver) -> Iterator[Driver]:
        driver = open_driver()
        yield driver
        driver.close()

    # Atomicity, snapshots, threads

    def test_one_commit_is_seen_whole_or_not_at_all(self, open_driver: OpenDriver) -> None:
        writer, reader = open_driver(), open_driver()
        writer.commit((), [(b"x", b"0"), (b"y", b"0"), (b"z", b"0")])
        done = threading.Event()

        def write() -> None:
            try:
                for number in range(1, 150):
                    value = b"%d" % number
                    writer.commit((), [(b"x", value), (b"y", value), (b"z", value)])
            finally:
                done.set()

        def look() -> None:
            while not done.is_set():
                reading = reader.read([b"x", b"z"], [Scan(b"x", b"{")])
                reader.release(reading.view)
                values = {cell.value for cell in (*reading.cells, *reading.scans[0]) if cell is not None}
                assert len(values) == 1, values

        in_threads([write, look, look])
        writer.close()
        reader.close()

    def test_increments_guarded_by_expectations_lose_nothing_between_threads(self, open_driver: OpenDriver) -> None:
        drivers = [open_driver(), open_driver()]

        def add(driver: Driver) -> None:
            for _ in range(150):
                while True:
                    reading = driver.read([b"sum"])
                    driver.release(reading.view)
                    cell = reading.cells[0]
                    total, version = (0, 0) if cell is None else (int(cell.value), cell.version)
                    try:
                        driver.commit([ExpectCell(b"sum", version)], [(b"sum", b"%d" % (total + 1))])
                        break
                    except Conflict:
                        continue

        in_threads([lambda driver=driver: add(driver) for driver in drivers * 2])  # type: ignore[misc]
        assert value_at(drivers[0], b"sum") == b"600"
        for driver in drivers:
            driver.close()

    def test_a_scope_of_the_whole_store_lets_one_commit_span_it_and_a_smaller_one_refuses(self, driver: Driver) -> None:
        writes = [(bytes([byte]) + b"key", b"") for byte in range(256)]
        if driver.traits.scope is Scope.STORE:
            driver.commit([ExpectRange(*EVERYTHING, version_of(driver), ())], writes)
            assert len(scanned(driver, Scan(*EVERYTHING))) == 256
        else:
            with pytest.raises(NotSupportedError):
                driver.commit((), writes)
            assert scanned(driver, Scan(*EVERYTHING)) == []

    def test_a_store_with_snapshots_reads_on_at_a_view_and_one_without_gives_none(self, driver: Driver) -> None:
        follow = (Follow(0, b"f", False, 9),)
        first = driver.commit((), [(b"a", b"1"), (b"i", b"a")])
        reading = driver.read([b"a"])
        driver.commit((), [(b"a", b"2"), (b"b", b"new"), (b"fa", b"new")])
        if not driver.traits.snapshots:
            assert reading.view is None
            return
        assert reading.view is not None
        for _ in range(2):
            later = driver.read([b"a", b"b"], [Scan(b"a", b"z", None, False, True, follow)], (), reading.view)
            assert later.version == reading.version == first
            assert later.cells == [Cell(b"a", b"1", first), None]
            assert [cell.key for cell in later.scans[0]] == [b"a", b"i"]
            assert later.rows == [[None, Cell(b"a", b"1", first)]]
            assert [each.cells for each in later.followed[0][0]] == [[], []]
        assert driver.read([b"a"], (), [ExpectCell(b"a", 99)], reading.view).cells[0] is not None
        assert value_at(driver, b"a") == b"2"
        driver.release(reading.view)

    def test_a_view_serves_any_thread_and_many_at_once(self, driver: Driver) -> None:
        driver.commit((), [(b"%03d" % number, b"old") for number in range(200)])
        view = driver.read().view
        if driver.traits.snapshots:
            driver.commit((), [(b"%03d" % number, b"new") for number in range(200)])

        def look() -> None:
            for number in range(100):
                reading = driver.read([b"%03d" % number], [Scan(b"", b"z")], (), view)
                assert {cell.value for cell in (*reading.cells, *reading.scans[0]) if cell} == {b"old"}

        in_threads([look] * 3)
        driver.release(view)

    def test_a_released_view_is_released_once_and_refused_afterwards(self, driver: Driver) -> None:
        view = driver.read().view
        driver.release(view)
        driver.release(view)
        driver.release(None)
        if driver.traits.snapshots:
            with pytest.raises(InterfaceError):
                driver.read([b"a"], view=view)

    def test_readings_whose_views_are_dropped_do_not_pile_up(self, driver: Driver) -> None:
        driver.commit((), [(b"a", b"1")])
        for _ in range(5000):
            assert driver.read([b"a"]).cells[0] is not None

    def test_a_reading_stays_as_it_was_whatever_is_written_later(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a", b"1")])
        reading = driver.read([b"a"], [Scan(b"a", b"b")])
        driver.commit((), [(b"a", b"2")])
        driver.clear(b"")
        assert isinstance(reading, Reading)
        assert (reading.cells, reading.scans) == ([Cell(b"a", b"1", version)], [[Cell(b"a", b"1", version)]])

    def test_increments_of_many_threads_give_every_number_once(self, open_driver: OpenDriver) -> None:
        drivers = [open_driver(), open_driver()]
        drawn: list[int] = []

        def draw(driver: Driver) -> None:
            for _ in range(40):
                drawn.append(driver.increment(b"c", 1))

        in_threads([lambda driver=driver: draw(driver) for driver in drivers * 2])  # type: ignore[misc]
        assert sorted(drawn) == list(range(1, 161))
        for driver in drivers:
            driver.close()

    # Processes

    def test_a_driver_opened_before_a_fork_works_in_the_child_and_still_in_the_parent(self, driver: Driver) -> None:
        driver.commit((), [(b"a", b"parent")])
        reading = driver.read([b"a"])  # a view that is open at the fork must not hurt

        def child() -> bytes:
            before = value_at(driver, b"a") or b""
            driver.commit((), [(b"b", b"child")])
            assert driver.increment(b"c", 1) == 1
            return before + (value_at(driver, b"b") or b"")

        assert in_child(child) == b"parentchild"
        assert value_at(driver, b"b") == (b"child" if driver.traits.shared else None)
        driver.commit((), [(b"a", b"again")])
        if driver.traits.snapshots:
            assert driver.read([b"a"], view=reading.view).cells == reading.cells
        driver.release(reading.view)
        assert value_at(driver, b"a") == b"again"

    def test_a_fork_while_threads_read_and_write_leaves_both_processes_working(self, driver: Driver) -> None:
        driver.commit((), [(b"a", b"1")])
        done = threading.Event()

        def write() -> None:
            while not done.is_set():
                driver.commit((), [(b"w", b"x" * 100)])

        def look() -> None:
            while not done.is_set():
                driver.release(driver.read([b"a"], [Scan(b"", b"z")]).view)

        def child() -> bytes:
            driver.commit((), [(b"child", b"1")])
            return value_at(driver, b"a") or b""

        def fork() -> None:
            try:
                for _ in range(8):
                    assert in_child(child) == b"1"
            finally:
                done.set()

        in_threads([write, look, look, fork])
        assert value_at(driver, b"a") == b"1"

    def test_a_shared_store_is_seen_by_another_process_and_any_other_is_not(self, open_driver: OpenDriver) -> None:
        driver = open_driver()
        shared = driver.traits.shared

        def child() -> bytes:
            other = open_driver()
            other.commit((), [(b"a", b"from the child")])
            other.close()
            return b""

        in_child(child)
        assert value_at(driver, b"a") == (b"from the child" if shared else None)
        driver.close()

    def test_what_a_killed_process_committed_stays_if_the_store_is_durable_and_is_gone_if_not(
        self, open_driver: OpenDriver
    ) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            driver = open_driver()
            version = driver.commit((), [(b"a", b"1")])
            driver.increment(b"c", 7)
            os.write(writer, b"%d %d" % (driver.traits.durable, version))
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            durable, version = map(int, pipe.read().split())
        os.waitpid(child, 0)
        driver = open_driver()
        assert value_at(driver, b"a") == (b"1" if durable else None)
        assert driver.increment(b"c", 1) == (8 if durable else 1)
        if durable:
            assert driver.commit([ExpectCell(b"a", version)], [(b"a", b"2")]) > version
        driver.close()

    def test_a_remote_store_applies_a_marked_commit_once_and_any_other_keeps_no_marks(self, driver: Driver) -> None:
        if not driver.traits.remote:
            with pytest.raises(NotSupportedError):
                driver.outcome(b"mark" * 4)
            return
        expect = [ExpectCell(b"a", 0)]
        version = driver.commit(expect, [(b"a", b"1")], b"first mark" * 2)
        assert driver.commit(expect, [(b"a", b"1")], b"first mark" * 2) == version
        assert driver.outcome(b"first mark" * 2) == version
        assert driver.read([b"a"]).cells == [Cell(b"a", b"1", version)]

    def test_a_mark_that_was_asked_for_and_not_found_is_never_applied(self, driver: Driver) -> None:
        if not driver.traits.remote:
            driver.commit((), [(b"a", b"1")], b"ignored mark" * 2)
            assert value_at(driver, b"a") == b"1"
            return
        assert driver.outcome(b"lost mark" * 2) is None
        with pytest.raises(Conflict):
            driver.commit((), [(b"a", b"1")], b"lost mark" * 2)
        assert value_at(driver, b"a") is None
        assert driver.outcome(b"lost mark" * 2) is None

    # Closing

    def test_a_closed_driver_refuses_every_call_and_closes_again_without_harm(self, open_driver: OpenDriver) -> None:
        driver = open_driver()
        view = driver.read().view
        driver.close()
        driver.close()
        driver.release(view)
        calls: list[Callable[[], object]] = [
            lambda: driver.read([b"a"]),
            lambda: driver.read((), view=view),
            lambda: driver.commit((), [(b"a", b"")]),
            lambda: driver.commit((), ()),
            lambda: driver.outcome(b"mark" * 4),
            lambda: driver.read(counts=[EVERYTHING]),
            lambda: driver.increment(b"c", 1),
            lambda: driver.clear(b""),
        ]
        for call in calls:
            with pytest.raises(InterfaceError):
                call()

    def test_closing_one_driver_leaves_another_on_the_same_store_open(self, open_driver: OpenDriver) -> None:
        one, other = open_driver(), open_driver()
        one.commit((), [(b"a", b"1")])
        reading = other.read([b"a"])
        one.close()
        assert value_at(other, b"a") == b"1"
        if other.traits.snapshots:
            assert other.read([b"a"], view=reading.view).cells == reading.cells
        other.close()

    def test_a_store_opened_again_still_holds_what_was_committed(self, open_driver: OpenDriver) -> None:
        driver = open_driver()
        version = driver.commit((), [(b"a", b"1")])
        driver.close()
        driver = open_driver()
        assert driver.read([b"a"]).cells == [Cell(b"a", b"1", version)]
        assert driver.commit((), [(b"b", b"1")]) > version
        driver.close()

    def test_closing_while_other_threads_read_ends_their_reads_with_one_clear_error(
        self, open_driver: OpenDriver
    ) -> None:
        for _ in range(10):
            driver = open_driver()
            driver.commit((), [(b"%03d" % number, b"") for number in range(100)])
            started = threading.Barrier(3)

            def look(driver: Driver = driver, started: threading.Barrier = started) -> None:
                started.wait()
                with pytest.raises(InterfaceError):
                    while True:
                        driver.read([b"001"], [Scan(*EVERYTHING)])

            def close(driver: Driver = driver, started: threading.Barrier = started) -> None:
                started.wait()
                driver.close()

            in_threads([look, look, close])
