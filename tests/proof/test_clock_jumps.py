"""An hour's jump of a client's clock changes no lease, no version and no commit: the store's clock judges."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path

import pytest

from rome import dbapi
from rome.testing.history import describe
from tests.proof import clients, jumping, workload
from tests.proof.contention import ROW
from tests.servers.stores import SHARED_STORES, a_store, marked

CLIENTS = 4
TRANSACTIONS = 60


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with clients.processes(CLIENTS, "tests.proof.jumping", start="spawn") as pool:
        yield pool


@pytest.fixture
def crowd(pool: Pool) -> clients.Run:
    return clients.in_processes(pool, CLIENTS)


@pytest.fixture(params=marked(SHARED_STORES))
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with a_store(request.param, tmp_path) as url:
        yield url


def test_histories_stay_strictly_serializable_while_the_clocks_of_half_the_clients_jump(
    url: str, crowd: clients.Run
) -> None:
    found = workload.run(crowd, url, TRANSACTIONS, client=jumping.one_client)
    anomalies = found.anomalies()
    assert anomalies == [], describe(anomalies)
    assert len(found.history) == CLIENTS * TRANSACTIONS + 1
    assert found.errors.keys() <= {"40001"}, found.errors


def test_versions_only_grow(url: str, pool: Pool) -> None:
    found = pool.apply(jumping.versions, (0, url))
    assert found == sorted(set(found))
    assert found[-1] - found[0] < jumping.HOUR_S * 1_000_000 / 2, "a client's clock is in the versions"


def test_a_lease_lives_as_long_as_it_should(url: str, pool: Pool) -> None:
    with dbapi.connect(url) as connection:
        cursor = connection.cursor()
        for sql in ROW:
            cursor.execute(sql)
        connection.commit()
        assert pool.apply(jumping.leases, (0, url)) == []
        cursor.execute("SELECT n FROM t WHERE id = 1")
        assert cursor.fetchall() == [(len(jumping.JUMPS),)]
    connection.close()


def test_the_clock_does_jump_as_far_as_sql_can_tell(url: str, pool: Pool) -> None:
    assert pool.apply(jumping.wall_clock, (0, url)) == [0, 10, -10, 0]
