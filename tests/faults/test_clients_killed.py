"""Client processes killed with SIGKILL in the middle of their commits, at random moments."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import pytest

from rome import dbapi
from rome.config import parse
from rome.driver.open import open_store
from rome.errors import LockNotAvailable
from rome.lock import LockManager
from rome.txn.leases import RowLeases
from tests.faults.bank import PlainTeller, Tally, audit, open_bank
from tests.faults.processes import Client, a_client
from tests.servers.stores import SHARED_STORES, a_store, marked

CLIENTS = 3
LONGEST_LIFE_S = 0.1  # after the first acknowledgement
TTL_MS = 1000
EXPIRED_S = 15.0  # by then the leases of the dead must have run out, on a slow machine too


@pytest.fixture(params=marked(SHARED_STORES))
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bank in a store of each kind that processes can share; row leases run out sooner than they do by default."""
    monkeypatch.setitem(RowLeases.__init__.__kwdefaults__, "ttl_ms", TTL_MS)
    with a_store(request.param, tmp_path) as url:
        open_bank(url)
        yield url


def work_until_killed(url: str, writer: int, told: Pipe) -> None:
    connection = dbapi.connect(url)
    teller = PlainTeller(connection._opened(), writer)
    number = 0
    while True:
        told.send((number, teller.do(number)))
        number += 1


def work_under_locks_until_killed(url: str, writer: int, told: Pipe) -> None:
    """The same, each deed while it has one of two named locks and the lease of an account's row."""
    connection = dbapi.connect(url)
    locks = LockManager(url)
    teller = PlainTeller(connection._opened(), writer)
    number = 0
    while True:
        with locks.hold(f"desk {number % 2}", ttl_ms=TTL_MS, wait_ms=60_000):
            teller.say("SELECT id FROM accounts WHERE id = :id FOR UPDATE", {"id": number % 3})
            told.send((number, teller.do(number)))
        number += 1


def kill_many(url: str, work: Callable[[str, int, Pipe], None], rounds: int, seed: int) -> None:
    """Let clients work side by side, each for a random time, and kill them; then look at the books."""
    chance = random.Random(seed)
    tallies: dict[int, Tally] = {}
    for first in range(0, rounds * CLIENTS, CLIENTS):
        clients = {writer: Client(work, url, writer) for writer in range(first, first + CLIENTS)}
        for client in clients.values():
            client.wait()
            time.sleep(chance.random() * LONGEST_LIFE_S)
            client.kill()
        tallies |= {writer: dict(client.last_words()) for writer, client in clients.items()}
        audit(url, tallies, killed=True)
    assert sum(map(len, tallies.values())) >= rounds * CLIENTS


def wait_until_no_one_holds_anything(url: str) -> None:
    driver = open_store(parse(url))
    end = time.monotonic() + EXPIRED_S
    while left := driver.locks():
        assert time.monotonic() < end, f"the dead still hold {left}"
        time.sleep(0.05)
    driver.close()


def test_killed_clients_lose_nothing_acknowledged_and_leave_nothing_by_half(url: str) -> None:
    kill_many(url, work_until_killed, 5, 1)


def test_clients_killed_with_locks_leave_nothing_by_half_and_their_leases_expire(url: str) -> None:
    kill_many(url, work_under_locks_until_killed, 3, 1)
    wait_until_no_one_holds_anything(url)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("work", [work_until_killed, work_under_locks_until_killed], ids=lambda work: work.__name__)
def test_many_clients_killed_one_after_the_other(url: str, work: Callable[[str, int, Pipe], None], seed: int) -> None:
    kill_many(url, work, 20, seed)
    wait_until_no_one_holds_anything(url)


def hold(url: str, told: Pipe) -> None:
    """Have a lock and the lease of a row, and tell the lock's token."""
    connection = dbapi.connect(url)
    PlainTeller(connection._opened(), 0).say("SELECT id FROM accounts WHERE id = :id FOR UPDATE", {"id": 0})
    lease = LockManager(url).hold("import", ttl_ms=TTL_MS, wait_ms=0)
    told.send(lease.token)
    time.sleep(600)


def stand_in_the_queue(url: str, told: Pipe) -> None:
    told.send("here")
    LockManager(url).hold("import", ttl_ms=TTL_MS, wait_ms=600_000)
    told.send("had it")


def test_the_lock_the_row_and_the_place_in_the_queue_of_the_dead_are_free_again(url: str) -> None:
    connection = dbapi.connect(url)
    say = PlainTeller(connection._opened(), 0).say
    with LockManager(url) as locks, a_client(hold, url) as holder:
        token = holder.hear()
        with a_client(stand_in_the_queue, url) as waiter:
            assert waiter.hear() == "here"
            while not locks.holders()[0].waiting:
                time.sleep(0.01)
            time.sleep(2 * TTL_MS / 1000)  # while its holder lives a lease is renewed
            with pytest.raises(LockNotAvailable):
                locks.hold("import", wait_ms=0)
            with pytest.raises(LockNotAvailable):
                say("SELECT id FROM accounts WHERE id = :id FOR UPDATE NOWAIT", {"id": 0})
            connection.rollback()
            waiter.kill()
            holder.kill()
        lease = locks.hold("import", wait_ms=int(EXPIRED_S * 1000))
        assert lease.token > token
        assert say("SELECT id FROM accounts WHERE id = :id FOR UPDATE", {"id": 0}) == [(0,)]
        connection.rollback()
        lease.release()
    connection.close()
    wait_until_no_one_holds_anything(url)
