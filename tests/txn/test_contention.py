"""Real contention: threads on one cell, and processes on one LMDB store."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import Driver, Scan
from rome.driver.open import open_store
from rome.errors import Conflict
from rome.lock.keeper import Keeper
from rome.testing.anomalies import cells, now, scanned
from rome.txn.leases import RowLeases
from rome.txn.retry import Journal, Policy, Replay
from rome.txn.transaction import Transaction
from tests.txn.rival import ACCOUNTS, OPENING, ROUNDS, TRANSFERS, account, on_call

RIVAL = Path(__file__).with_name("rival.py")
ROOT = RIVAL.parents[2]
COUNTER = b"counter"


@pytest.fixture
def lmdb_url(tmp_path: Path) -> str:
    return f"rome+lmdb:///{tmp_path}/store"


@pytest.fixture(params=["memory", "lmdb"])
def driver(request: pytest.FixtureRequest, lmdb_url: str) -> Iterator[Driver]:
    url = parse("rome+memory://" if request.param == "memory" else lmdb_url)
    driver = open_store(url)
    yield driver
    driver.close()


def increment(transaction: Transaction) -> int:
    """UPDATE … SET n = n + 1: tells how many rows it matched."""
    (value,) = transaction.run(cells(COUNTER))
    transaction.write(COUNTER, b"%d" % (int(value or 0) + 1))
    return 1


def test_sixteen_threads_increment_one_cell_and_none_is_refused(driver: Driver) -> None:
    replay = Replay(Policy(max_time_s=60))  # a slow disk is no refusal; the tries are bounded as ever
    keeper = Keeper(driver)
    refused: list[str] = []
    start = threading.Barrier(16)

    def work() -> None:
        start.wait()
        for number in range(50):
            leases = RowLeases(driver, keeper, timeout_ms=60_000)
            begin = partial(Transaction, driver, leases=leases)
            journal, transaction = Journal(), begin()
            journal.perform(transaction, increment)
            if number == 0:
                start.wait()  # all have read, none has committed: they meet once at least
            try:
                replay.commit(journal, transaction, begin)
            except Conflict as conflict:
                refused.append(str(conflict))
            leases.release()

    switching_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads meet in the middle of a transaction
    try:
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switching_s)
    keeper.close()
    assert refused == []
    assert now(lambda: Transaction(driver), COUNTER) == [b"800"]
    assert replay.replayed_commits > 0, "the threads never met"


def compete(what: str, url: str, processes: int) -> list[subprocess.Popen[bytes]]:
    return [
        subprocess.Popen(
            [sys.executable, str(RIVAL), what, url, str(number), str(processes)],
            env={"PYTHONPATH": f"{ROOT / 'lib'}", "PATH": ""},
            stderr=subprocess.PIPE,
        )
        for number in range(processes)
    ]


def finish(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 0, complaint.decode()


def test_transfers_between_processes_keep_the_sum_at_every_moment(lmdb_url: str) -> None:
    driver = open_store(parse(lmdb_url))
    driver.commit((), [(account(number), b"%d" % OPENING) for number in range(ACCOUNTS)])
    processes = compete("transfer", lmdb_url, 4)
    sums = set()
    while any(process.poll() is None for process in processes):
        balances = Transaction(driver).run(scanned(Scan(b"account/", b"account0")))
        sums.add(sum(int(balance) for _, balance in balances))
        looking = Transaction(driver)  # the same, account by account, in one transaction
        sums.add(sum(int(looking.run(cells(account(number)))[0] or 0) for number in range(ACCOUNTS)))
        looking.commit()
    finish(processes)
    assert sums == {ACCOUNTS * OPENING}
    moves = Transaction(driver).run(scanned(Scan(b"moves/", b"moves0")))
    assert [int(count) for _, count in moves] == [TRANSFERS] * 4
    driver.close()


def test_a_write_skew_between_processes_never_commits_on_both_sides(lmdb_url: str) -> None:
    driver = open_store(parse(lmdb_url))
    driver.commit((), [(on_call(turn, who), b"on") for turn in range(ROUNDS) for who in (0, 1)])
    finish(compete("skew", lmdb_url, 2))
    for turn in range(ROUNDS):
        duties = now(lambda: Transaction(driver), on_call(turn, 0), on_call(turn, 1))
        assert sorted(duties, key=str) == [b"off", b"on"], f"round {turn}"
    driver.close()
