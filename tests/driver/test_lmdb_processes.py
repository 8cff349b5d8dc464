"""The LMDB driver between processes: nothing lost, nothing half-done, whoever is killed when."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from rome.config import StoreURL, parse
from rome.driver.api import Cell, ExpectCell, ExpectRange, Scan
from rome.driver.open import open_store
from rome.errors import Conflict
from rome.testing.driver_life import scanned, value_at

PROCESSES = 4
FORK = multiprocessing.get_context("fork")


def in_processes(works: list[Callable[[], None]]) -> None:
    """Run `works` in a process each; AssertionError unless all end well within 60 s."""
    children = [FORK.Process(target=work) for work in works]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    codes = [child.exitcode for child in children]
    for child in children:
        child.kill()
    assert codes == [0] * len(works)


@pytest.fixture
def url(tmp_path: Path) -> StoreURL:
    return parse(f"rome+lmdb:///{tmp_path}/store?sync=none")


def test_processes_that_make_the_same_store_at_once_find_one(tmp_path: Path) -> None:
    """Again and again: it hangs on a few microseconds who is seen making the directory, and the format cell."""
    for trial in range(60):
        url = parse(f"rome+lmdb:///{tmp_path}/{trial}?sync=full")
        together = FORK.Barrier(PROCESSES)

        def work(url: StoreURL = url, together: Barrier = together) -> None:
            together.wait()
            driver = open_store(url)
            driver.increment(b"c", 1)
            driver.commit((), [(b"%d" % os.getpid(), b"")])
            driver.close()

        in_processes([work] * PROCESSES)
        driver = open_store(url)
        assert driver.increment(b"c", 0) == PROCESSES
        assert len(scanned(driver, Scan(b"", b"z"))) == PROCESSES
        driver.close()


def test_increments_of_many_processes_give_every_number_once(url: StoreURL) -> None:
    each = 100

    def work() -> None:
        driver = open_store(url)
        drawn = [driver.increment(b"c", 1) for _ in range(each)]
        driver.commit((), [(b"drawn %d" % number, b"") for number in drawn])

    in_processes([work] * PROCESSES)
    driver = open_store(url)
    assert driver.increment(b"c", 0) == PROCESSES * each
    assert len(scanned(driver, Scan(b"drawn", b"drawo"))) == PROCESSES * each
    driver.close()


def test_expected_cells_lose_no_update_between_processes(url: StoreURL) -> None:
    each = 50

    def work() -> None:
        driver = open_store(url)
        done = 0
        while done < each:
            reading = driver.read([b"sum"])
            driver.release(reading.view)
            cell = reading.cells[0] or Cell(b"sum", b"0", 0)
            try:
                driver.commit([ExpectCell(b"sum", cell.version)], [(b"sum", b"%d" % (int(cell.value) + 1))])
                done += 1
            except Conflict:
                continue

    in_processes([work] * PROCESSES)
    driver = open_store(url)
    assert value_at(driver, b"sum") == b"%d" % (PROCESSES * each)
    driver.close()


def test_expected_ranges_let_no_phantom_in_between_processes(url: StoreURL) -> None:
    """Each process appends the number of cells that it saw: were a phantom missed, a number would come twice."""
    each = 30

    def work() -> None:
        driver = open_store(url)
        done = 0
        while done < each:
            reading = driver.read((), [Scan(b"list ", b"list!")])
            driver.release(reading.view)
            keys = tuple(cell.key for cell in reading.scans[0])
            key = b"list %d %05d" % (os.getpid(), done)
            try:
                driver.commit(
                    [ExpectRange(b"list ", b"list!", reading.version, keys)], [(key, b"%d" % len(keys))]
                )
                done += 1
            except Conflict:
                continue

    in_processes([work] * PROCESSES)
    driver = open_store(url)
    numbers = sorted(int(cell.value) for cell in scanned(driver, Scan(b"list ", b"list!")))
    assert numbers == list(range(PROCESSES * each))
    driver.close()


LONG = b"long" * 200  # so that a commit also changes children of long keys


def commit_until_killed(url: StoreURL, worker: int, acknowledged: Connection) -> None:
    """Commit generation after generation of five cells that must agree; tell each that was acknowledged."""
    driver = open_store(url)
    prefix = b"%d " % worker
    latest = value_at(driver, prefix + b"0")
    generation = int(latest or b"0")
    source = random.Random(generation)
    while True:
        generation += 1
        value = b"%d" % generation
        padding = bytes(source.randrange(20_000))
        writes = [(prefix + b"%d" % place, value) for place in range(4)]
        writes += [(prefix + LONG, value), (prefix + b"padding", padding), (prefix + b"log %09d" % generation, value)]
        if generation > 3:
            writes.append((prefix + b"log %09d" % (generation - 3), None))
        driver.commit((), writes)
        acknowledged.send(generation)


@pytest.mark.parametrize("sync", ["full", "none"])
def test_killed_processes_lose_nothing_acknowledged_and_leave_nothing_half_done(tmp_path: Path, sync: str) -> None:
    """At least 200 commits, processes killed with SIGKILL at random points of them; the writer's lock never sticks."""
    url = parse(f"rome+lmdb:///{tmp_path}/store?sync={sync}")
    chance = random.Random(sync)
    workers = 2
    highest = dict.fromkeys(range(workers), 0)
    kills = 0
    while sum(highest.values()) < 200 or kills < 24:
        children = []
        for worker in range(workers):
            receiver, sender = FORK.Pipe(duplex=False)
            child = FORK.Process(target=commit_until_killed, args=(url, worker, sender), daemon=True)
            child.start()
            sender.close()
            children.append((worker, child, receiver))
        for _, child, receiver in children:
            assert receiver.poll(20), "a writer is blocked by one that was killed"
            time.sleep(chance.random() * 0.03)
            os.kill(child.pid or 0, signal.SIGKILL)
            kills += 1
        for worker, child, receiver in children:
            child.join(20)
            try:
                while True:
                    highest[worker] = max(highest[worker], receiver.recv())
            except EOFError:
                receiver.close()
        driver = open_store(url)
        for worker in range(workers):
            assert_whole(driver, worker, highest[worker])
        driver.close()


def assert_whole(driver: object, worker: int, acknowledged: int) -> None:
    """The newest generation is at least the acknowledged one, and every cell of it is there and no other."""
    prefix = b"%d " % worker
    reading = driver.read([prefix + LONG], [Scan(prefix, prefix + b"\xff")])  # type: ignore[attr-defined]
    driver.release(reading.view)  # type: ignore[attr-defined]
    cells = {cell.key[len(prefix) :]: cell for cell in reading.scans[0]}
    generation = int(cells[b"0"].value)
    assert generation in (acknowledged, acknowledged + 1)
    logged = {b"log %09d" % each for each in range(max(1, generation - 2), generation + 1)}
    assert set(cells) == {b"0", b"1", b"2", b"3", LONG, b"padding"} | logged
    assert {cells[key].value for key in (b"0", b"1", b"2", b"3", LONG)} == {b"%d" % generation}
    assert len({cells[key].version for key in (b"0", b"1", b"2", b"3", LONG, b"padding")}) == 1
    assert reading.cells[0] == cells[LONG]


def test_a_writer_killed_while_it_holds_the_lock_blocks_no_one(url: StoreURL) -> None:
    driver = open_store(url)
    driver.commit((), [(b"a", b"1")])

    class Slow:
        """A value that is asked for its length, and holds up the commit there, under the lock of the writer."""

        def __init__(self, waiting: Connection) -> None:
            self.waiting = waiting

        def __radd__(self, stamp: bytes) -> bytes:
            self.waiting.send(None)
            time.sleep(60)
            return stamp

        def __len__(self) -> int:
            return 1

    receiver, sender = FORK.Pipe(duplex=False)

    def hold() -> None:
        driver.commit((), [(b"a", b"2"), (b"b", Slow(sender))])  # type: ignore[list-item]

    child = FORK.Process(target=hold, daemon=True)
    child.start()
    assert receiver.poll(20)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join(20)
    in_processes([lambda: driver.commit((), [(b"c", b"3")]) and None])  # type: ignore[func-returns-value]
    assert [value_at(driver, key) for key in (b"a", b"b", b"c")] == [b"1", None, b"3"]
    driver.close()
