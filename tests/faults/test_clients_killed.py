"""Client processes killed with SIGKILL in the middle of their commits, at random moments."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from rome import dbapi
from tests.faults.bank import PlainTeller, Tally, audit, open_bank
from tests.servers.stores import SHARED_STORES, a_store

pytestmark = pytest.mark.servers

FORK = multiprocessing.get_context("fork")
CLIENTS = 3
LONGEST_LIFE_S = 0.1  # after the first acknowledgement
START_S = 30.0


@pytest.fixture(params=SHARED_STORES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A bank in a store of each kind that processes can share."""
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


def kill(process: BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(START_S)
    assert process.exitcode == -signal.SIGKILL, "it ended before it was killed; its error is on stderr"


def lives(url: str, writers: range, chance: random.Random) -> dict[int, Tally]:
    """Let clients work side by side, each for a random time, and kill them; what each of them was told."""
    started = []
    for writer in writers:
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=work_until_killed, args=(url, writer, sender), daemon=True)
        process.start()
        sender.close()
        started.append((process, receiver))
    for process, receiver in started:
        assert receiver.poll(START_S), "a client is held up by one that was killed"
        time.sleep(chance.random() * LONGEST_LIFE_S)
        kill(process)
    return {writer: _heard(receiver) for writer, (_, receiver) in zip(writers, started, strict=True)}


def _heard(receiver: Pipe) -> Tally:
    tally: Tally = {}
    try:
        while True:
            number, told = receiver.recv()
            tally[number] = told
    except EOFError:
        receiver.close()
        return tally


def kill_many(url: str, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    tallies: dict[int, Tally] = {}
    for number in range(rounds):
        tallies |= lives(url, range(number * CLIENTS, (number + 1) * CLIENTS), chance)
        audit(url, tallies, killed=True)
    assert sum(map(len, tallies.values())) > rounds * CLIENTS


def test_killed_clients_lose_nothing_acknowledged_and_leave_nothing_by_half(url: str) -> None:
    kill_many(url, 6, 1)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_clients_killed_one_after_the_other(url: str, seed: int) -> None:
    kill_many(url, 25, seed)
