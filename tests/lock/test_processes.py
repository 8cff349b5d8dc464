"""Processes that share a store by its locks alone, and are killed at any moment."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import Driver, Scan
from rome.driver.open import open_store
from rome.errors import LeaseLost
from rome.lock import LockManager
from tests.servers.stores import SHARED_STORES, a_store, marked

PROCESSES = 5
KILLINGS = 8
TTL_MS = 600
FORK = multiprocessing.get_context("fork")


def number_at(driver: Driver, key: bytes) -> int:
    reading = driver.read([key])
    driver.release(reading.view)
    cell = reading.cells[0]
    return 0 if cell is None else int(cell.value)


def work(url: str, me: bytes) -> None:
    """Count up under the lock, with no other expectation: every turn adds to the sum, to my own, and to the log."""
    driver = open_store(parse(url))
    with LockManager(driver) as locks:
        while True:
            with locks.hold("sum", ttl_ms=TTL_MS, wait_ms=60_000) as lease:
                total, mine = number_at(driver, b"sum") + 1, number_at(driver, b"of " + me) + 1
                writes = [(b"sum", b"%d" % total), (b"of " + me, b"%d" % mine)]
                writes.append((b"log %06d" % total, b"%d" % lease.token))
                try:
                    driver.commit([lease.expectation], writes)
                except LeaseLost:  # a busy machine let it stand still too long: nothing was written
                    continue


@pytest.mark.parametrize("store", marked(SHARED_STORES))
def test_processes_killed_at_any_moment_lose_no_turn_and_leave_no_lock(store: str, tmp_path: Path) -> None:
    chance = random.Random(7)
    with a_store(store, tmp_path) as url:
        driver = open_store(parse(url))
        workers = [FORK.Process(target=work, args=(url, b"%d" % number)) for number in range(PROCESSES)]
        for worker in workers:
            worker.start()
        try:
            for killing in range(KILLINGS):
                time.sleep(chance.uniform(0.05, 0.4))
                workers[killing % PROCESSES].kill()
                workers.append(FORK.Process(target=work, args=(url, b"%d" % len(workers))))
                workers[-1].start()
            before = number_at(driver, b"sum")
            deadline_s = time.monotonic() + 60
            while number_at(driver, b"sum") < before + 5:  # who was killed with the lock holds nobody up for long
                assert time.monotonic() < deadline_s, "nobody gets the lock any more"
                time.sleep(0.02)
            assert all(worker.is_alive() for worker in workers[KILLINGS:])
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
        total = number_at(driver, b"sum")
        log = driver.read((), [Scan(b"log ", b"log!")]).scans[0]
        tokens = [int(cell.value) for cell in log]
        assert total == len(log) == sum(number_at(driver, b"of %d" % number) for number in range(len(workers)))
        assert tokens == sorted(set(tokens))
        with LockManager(driver) as locks:
            locks.hold("sum", wait_ms=60_000).release()
            assert locks.holders() == []
        driver.close()
