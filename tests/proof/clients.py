"""Many clients on one store at once: processes where the store can be shared, threads on what one process holds."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from multiprocessing.synchronize import Barrier

from rome.testing.history import Anomaly, Transaction, check, check_totals
from tests.proof import workload
from tests.proof.bugs import planted
from tests.proof.workload import TOTAL, Client, Told

CLIENTS = 8
TIMEOUT_S = 600

_meeting: list[Barrier] = []


def _prepare(barrier: Barrier) -> None:
    """Called once in each process: where they meet before they begin."""
    _meeting.append(barrier)


class Run:
    """What all clients of one run were told."""

    def __init__(self, told: list[Told]) -> None:
        self.history: list[Transaction] = [each for client in told for each in client.history]
        self.balances = [each for client in told for each in client.balances]
        self.errors: dict[str, int] = {}
        for client in told:
            for sqlstate, count in client.errors.items():
                self.errors[sqlstate] = self.errors.get(sqlstate, 0) + count
        self.replayed_commits = sum(client.replayed_commits for client in told)

    def anomalies(self) -> list[Anomaly]:
        return [*check(self.history), *check_totals(self.balances, TOTAL)]


@contextmanager
def processes(count: int = CLIENTS) -> Iterator[Pool]:
    """So many processes that share nothing but stores; each has ROME loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.proof.clients", "rome.driver.lmdb", "rome.driver.redis"])
    with context.Pool(count, _prepare, (context.Barrier(count),)) as pool:
        yield pool
        pool.terminate()
        pool.join()


def in_processes(pool: Pool, url: str, transactions: int, *, bug: str = "", seed: int = 0) -> Run:
    """`transactions` by each of the pool's processes, all at once."""
    workload.set_up(url, transactions)
    jobs = [(url, number, transactions, bug, seed) for number in range(CLIENTS)]
    told = pool.starmap_async(_work, jobs, chunksize=1).get(TIMEOUT_S)
    return Run([*told, workload.last_look(url)])


def _work(url: str, number: int, transactions: int, bug: str, seed: int) -> Told:
    with planted(bug):
        client = Client(url, number, seed)
        _meeting[0].wait(TIMEOUT_S)
        return client.run(transactions)


def in_threads(url: str, transactions: int, *, bug: str = "", seed: int = 0) -> Run:
    """The same by as many threads of this process."""
    workload.set_up(url, transactions)
    told: list[Told] = []
    with planted(bug):
        clients = [Client(url, number, seed) for number in range(CLIENTS)]
        threads = [threading.Thread(target=lambda c=client: told.append(c.run(transactions))) for client in clients]
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # so that threads meet in the middle of a transaction
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(TIMEOUT_S)
        finally:
            sys.setswitchinterval(interval_s)
    assert len(told) == CLIENTS, "a client did not come back; its error is on stderr"
    return Run([*told, workload.last_look(url)])
