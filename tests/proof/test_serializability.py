"""Random concurrent histories of every store are strictly serializable, and a planted bug does not go unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path

import pytest

from rome.testing.history import Outcome, describe
from tests.proof import clients, workload
from tests.proof.bugs import BUGS
from tests.proof.workload import Result
from tests.servers.stores import SHARED_STORES, a_store, marked

CLIENTS = 8
TRANSACTIONS = 200  # of each client; 1,600 in all
NIGHTLY_TRANSACTIONS = 2_500  # 20,000 in all
BUGGY_TRANSACTIONS = 120


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with clients.processes(CLIENTS) as pool:
        yield pool


def run(store: str, pool: Pool, directory: Path, transactions: int, bug: str = "") -> Result:
    crowd = clients.in_threads(CLIENTS) if store == "memory" else clients.in_processes(pool, CLIENTS)
    with a_store(store, directory) as url:
        return workload.run(crowd, url, transactions, bug=bug)


def judge(found: Result, transactions: int) -> None:
    anomalies = found.anomalies()
    assert anomalies == [], describe(anomalies)
    assert len(found.history) == CLIENTS * transactions + 1
    committed = sum(each.outcome is Outcome.OK for each in found.history)
    assert committed > len(found.history) * 0.6
    assert found.errors.keys() <= {"40001"}, found.errors
    assert found.replayed_commits, "the clients never met"


@pytest.mark.parametrize("store", marked())
def test_random_transactions_of_eight_clients_are_strictly_serializable(store: str, pool: Pool, tmp_path: Path) -> None:
    judge(run(store, pool, tmp_path, TRANSACTIONS), TRANSACTIONS)


@pytest.mark.nightly
@pytest.mark.parametrize("store", marked())
def test_twenty_thousand_transactions_are_strictly_serializable(store: str, pool: Pool, tmp_path: Path) -> None:
    judge(run(store, pool, tmp_path, NIGHTLY_TRANSACTIONS), NIGHTLY_TRANSACTIONS)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug: str, pool: Pool, tmp_path: Path) -> None:
    assert run("memory", pool, tmp_path, BUGGY_TRANSACTIONS, bug).anomalies()


@pytest.mark.nightly
@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize("store", marked(SHARED_STORES))
def test_a_planted_bug_is_caught_between_processes(bug: str, store: str, pool: Pool, tmp_path: Path) -> None:
    assert run(store, pool, tmp_path, TRANSACTIONS, bug).anomalies()
