"""Sixteen clients on one row, or on one image of Glance: all of them succeed, and none runs anything again itself.

An SQL server would have them queue on row locks. Here a commit that met a conflict is replayed, and a replay that loses
queues as they would.
"""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.pool import Pool
from pathlib import Path

import pytest

from rome import dbapi
from rome.errors import Conflict
from rome.testing.history import check, describe
from tests.proof import clients, contention
from tests.proof.contention import ROW, Told, Work
from tests.servers.stores import a_store, marked

CLIENTS = 16
NIGHTLY = pytest.mark.nightly
TIMES = [pytest.param(20, id="20 times"), pytest.param(100, id="100 times", marks=NIGHTLY)]
GLANCE_TIMES = [pytest.param(2, id="2 each"), pytest.param(20, id="20 each", marks=NIGHTLY)]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with clients.processes(CLIENTS) as pool:
        yield pool


@pytest.fixture(params=marked())
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(store: str, tmp_path: Path) -> Iterator[str]:
    with a_store(store, tmp_path) as url:
        yield url


@pytest.fixture
def crowd(store: str, pool: Pool) -> clients.Run:
    """Processes; on memory, which is one process's, threads."""
    return clients.in_threads(CLIENTS) if store == "memory" else clients.in_processes(pool, CLIENTS)


def errors(told: list[Told]) -> list[str]:
    return [error for each in told for error in each.errors]


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("work", [contention.increment_by_itself, contention.increment_in_transactions])
def test_sixteen_clients_increment_one_row_and_every_increment_counts(
    url: str, crowd: clients.Run, work: Work, times: int
) -> None:
    with dbapi.connect(url) as connection:
        cursor = connection.cursor()
        for sql in ROW:
            cursor.execute(sql)
        connection.commit()
        told = crowd(work, url, times)
        cursor.execute("SELECT n, items FROM t WHERE id = 1")
        ((n, items),) = cursor.fetchall()
    connection.close()
    assert errors(told) == []
    assert n == CLIENTS * times == len(set(items.split()))
    anomalies = check([each for client in told for each in client.history])
    assert anomalies == [], describe(anomalies)


@pytest.mark.parametrize("times", GLANCE_TIMES)
def test_sixteen_clients_tag_one_image(url: str, crowd: clients.Run, times: int) -> None:
    contention.make_image(url)
    told = crowd(contention.tag_image, url, times)
    assert errors(told) == []
    assert contention.tags(url) == sorted(
        f"tag {number} {count}" for number in range(CLIENTS) for count in range(times)
    )


@pytest.mark.parametrize("times", GLANCE_TIMES)
def test_sixteen_clients_set_different_properties_of_one_image(url: str, crowd: clients.Run, times: int) -> None:
    contention.make_image(url)
    told = crowd(contention.set_properties, url, times)
    assert errors(told) == []
    expected = {f"p {number} {count}": str(count) for number in range(CLIENTS) for count in range(times)}
    assert contention.properties(url) == expected


def test_a_replay_whose_answers_differ_is_refused_and_writes_nothing(url: str) -> None:
    with dbapi.connect(url) as one, dbapi.connect(url) as two:
        first, second = one.cursor(), two.cursor()
        for sql in ROW:
            first.execute(sql)
        one.commit()
        first.execute("SELECT n FROM t WHERE id = 1")
        assert first.fetchall() == [(0,)]
        first.execute("UPDATE t SET n = 100 WHERE id = 2")
        second.execute("UPDATE t SET n = n + 1 WHERE id = 1")
        two.commit()
        with pytest.raises(Conflict, match=r"^\[40001\] .* its answers would now be different; nothing was written"):
            one.commit()
        second.execute("SELECT n FROM t ORDER BY id")
        assert second.fetchall() == [(1,), (0,)]
    one.close()
    two.close()
