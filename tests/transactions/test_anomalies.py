"""The ten anomalies in every order of their statements, SERIALIZABLE: none happens, and READ COMMITTED shows them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.stores import LOCAL_STORES, STORES, a_store, marked
from tests.transactions.hermitage import ORDERS, SCRIPTS, anomalies, make_table, play_all
from tests.transactions.speaker import Connect

SHOWN_BY_READ_COMMITTED = ("PMP", "P4", "G-single", "G2-item", "G2", "G2 with two edges")


FEW_ORDERS = 12  # of one script, on a server


@pytest.fixture(params=marked())
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(store: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store, on each kind of store in turn."""
    with a_store(store, tmp_path) as url:
        yield url


@pytest.fixture
def most(store: str) -> int:
    """How many orders of a script are tried besides the serial ones."""
    return ORDERS if store in LOCAL_STORES else FEW_ORDERS


@pytest.mark.parametrize("indexed", [False, True], ids=["scanned", "indexed"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_order_of_the_statements_ends_as_a_serial_one(
    url: str, connect: Connect, name: str, indexed: bool, most: int
) -> None:
    connections = [connect(url) for _ in SCRIPTS[name]]
    make_table(connections[0], indexed)
    assert anomalies(connections, SCRIPTS[name], random.Random(name), most) == []


@pytest.mark.nightly
@pytest.mark.parametrize("indexed", [False, True], ids=["scanned", "indexed"])
@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("store", marked(name for name in STORES if name not in LOCAL_STORES), indirect=True)
def test_every_order_on_a_server_ends_as_a_serial_one(url: str, connect: Connect, name: str, indexed: bool) -> None:
    connections = [connect(url) for _ in SCRIPTS[name]]
    make_table(connections[0], indexed)
    assert anomalies(connections, SCRIPTS[name], random.Random(name)) == []


@pytest.mark.parametrize("name", SHOWN_BY_READ_COMMITTED)
def test_the_judge_sees_what_read_committed_lets_happen(url: str, connect: Connect, name: str) -> None:
    connections = [connect(url, "READ COMMITTED") for _ in SCRIPTS[name]]
    make_table(connections[0], indexed=True)
    assert anomalies(connections, SCRIPTS[name], random.Random(name))


@pytest.mark.parametrize("name", SCRIPTS)
def test_someone_always_commits(url: str, connect: Connect, name: str, most: int) -> None:
    connections = [connect(url) for _ in SCRIPTS[name]]
    make_table(connections[0], indexed=True)
    assert all(played.committed for played in play_all(connections, name, most))


@pytest.mark.parametrize("name", ["G0", "G1a"])
def test_read_committed_lets_no_dirty_write_and_no_aborted_read_happen(url: str, connect: Connect, name: str) -> None:
    connections = [connect(url, "READ COMMITTED") for _ in SCRIPTS[name]]
    make_table(connections[0], indexed=True)
    assert anomalies(connections, SCRIPTS[name], random.Random(name)) == []


def test_read_committed_shows_no_intermediate_state(url: str, connect: Connect, most: int) -> None:
    connections = [connect(url, "READ COMMITTED") for _ in SCRIPTS["G1b"]]
    make_table(connections[0], indexed=True)
    for played in play_all(connections, "G1b", most):
        assert all(rows in ([(1, 10), (2, 20)], [(1, 11), (2, 20)]) for rows in played.told[1])


def test_read_committed_lets_no_information_flow_in_a_circle(url: str, connect: Connect, most: int) -> None:
    connections = [connect(url, "READ COMMITTED") for _ in SCRIPTS["G1c"]]
    make_table(connections[0], indexed=True)
    for played in play_all(connections, "G1c", most):
        saw_second = played.told[0][1:] == [[(22,)]]
        saw_first = played.told[1][1:] == [[(11,)]]
        assert not (saw_first and saw_second)


def test_read_committed_lets_no_observed_transaction_vanish(url: str, connect: Connect, most: int) -> None:
    """Once the later of two writers was seen in a row, the earlier one is seen in no other."""
    connections = [connect(url, "READ COMMITTED") for _ in SCRIPTS["OTV"]]
    make_table(connections[0], indexed=True)
    later = {11: 0, 19: 0, 12: 1, 18: 1}
    for played in play_all(connections, "OTV", most):
        assert played.rows in ([[(1, 11), (2, 19)]], [[(1, 12), (2, 18)]])
        assert played.committed == {0, 1, 2}
        values = [rows[0][0] for rows in played.told[2]]
        seen = [later[value] for value in values if value in later]
        first_writer_last = played.rows == [[(1, 11), (2, 19)]]
        assert seen == sorted(seen, reverse=first_writer_last), played
