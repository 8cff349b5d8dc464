"""A cluster of three: endpoints fail over, and the death of the leader costs no acknowledged commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import ExpectCell, Patience
from rome.driver.open import open_store
from rome.errors import Conflict, OutcomeUnknown, Unavailable
from rome.testing.driver_life import in_threads, value_at
from rome.txn.commit import OneRoundTrip
from tests.servers.etcd import EtcdCluster

pytestmark = pytest.mark.servers

WRITERS = 4
LEADER_LOSS_S = 2.0
SLACK_S = 3.0  # of a busy machine, on which the election itself is late


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    with EtcdCluster(tmp_path / "cluster") as cluster:
        yield cluster


class Writer:
    """Commits numbers, each under a key of its own and one more than the last; keeps what was acknowledged."""

    def __init__(self, url: str, number: int) -> None:
        self.driver = open_store(parse(url))
        self.number = number
        self.acknowledged: list[int] = []
        self.longest_s = 0.0
        self.stop = threading.Event()

    def run(self) -> None:
        protocol = OneRoundTrip()
        count = 0
        while not self.stop.is_set():
            begun = time.monotonic()
            with suppress(Unavailable):
                protocol.publish(self.driver, (), [(self.key(count), b"%d" % count)])
                self.acknowledged.append(count)
                self.longest_s = max(self.longest_s, time.monotonic() - begun)
            count += 1

    def key(self, count: int) -> bytes:
        return b"%d/%06d" % (self.number, count)


def lose_a_leader(cluster: EtcdCluster, writers: list[Writer], rounds: int) -> None:
    """Kill the leader under load, `rounds` times, and start it again."""
    threads = [threading.Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(rounds):
            time.sleep(1)
            leader = cluster.leader()
            leader.kill()
            time.sleep(5)
            leader.start()
    finally:
        for writer in writers:
            writer.stop.set()
        for thread in threads:
            thread.join(60)


def test_a_killed_leader_costs_little_time_and_no_acknowledged_commit(cluster: EtcdCluster) -> None:
    writers = [Writer(cluster.url("load"), number) for number in range(WRITERS)]
    lose_a_leader(cluster, writers, 1)
    check(cluster, writers)
    longest_s = [round(writer.longest_s, 2) for writer in writers]
    assert max(longest_s) < LEADER_LOSS_S + SLACK_S, longest_s


@pytest.mark.nightly
@pytest.mark.serial
def test_leaders_killed_again_and_again_cost_no_acknowledged_commit(cluster: EtcdCluster) -> None:
    writers = [Writer(cluster.url("load"), number) for number in range(WRITERS)]
    lose_a_leader(cluster, writers, 10)
    check(cluster, writers)
    assert sorted(writer.longest_s for writer in writers)[0] < LEADER_LOSS_S + SLACK_S


def check(cluster: EtcdCluster, writers: list[Writer]) -> None:
    """Everything acknowledged is there, read through a driver that saw none of it."""
    reader = open_store(parse(cluster.url("load")))
    for writer in writers:
        assert len(writer.acknowledged) > 20
        keys = [writer.key(count) for count in writer.acknowledged]
        missing = [key for key, cell in zip(keys, reader.read(keys).cells, strict=True) if cell is None]
        assert missing == []
        writer.driver.close()
    reader.close()


def test_increments_guarded_by_expectations_lose_nothing_when_the_leader_dies(cluster: EtcdCluster) -> None:
    drivers = [open_store(parse(cluster.url("sum"))) for _ in range(2)]
    protocol = OneRoundTrip()
    each = 150

    def add(at: int) -> None:
        done = 0
        while done < each:
            with suppress(Conflict, Unavailable):
                cell = drivers[at].read([b"sum"]).cells[0]
                total, version = (0, 0) if cell is None else (int(cell.value), cell.version)
                protocol.publish(drivers[at], [ExpectCell(b"sum", version)], [(b"sum", b"%d" % (total + 1))])
                done += 1

    def kill() -> None:
        time.sleep(0.3)
        cluster.leader().kill()

    in_threads([lambda: add(0), lambda: add(1), kill])
    assert value_at(drivers[0], b"sum") == b"%d" % (2 * each)
    for driver in drivers:
        driver.close()


def test_a_lock_outlives_the_leader_and_ends_with_its_session(cluster: EtcdCluster) -> None:
    driver = open_store(parse(cluster.url("locks")))
    one, other = b"1" * 16, b"2" * 16
    token = driver.lock(one, [b"x"], 4000, Patience.NOWAIT).standings[0].token
    cluster.leader().kill()
    assert driver.lock(other, [b"x"], 60_000, Patience.WAIT).standings[0].holder == one
    assert driver.renew(one, 4000)
    end = time.monotonic() + 30
    while not (later := driver.lock(other, [b"x"], 60_000, Patience.WAIT).standings[0].token):
        assert time.monotonic() < end, "the session of the dead leader's time never ran out"
        time.sleep(0.05)
    assert later > token
    driver.close()


def test_without_a_majority_every_call_is_unavailable_and_nothing_is_written(cluster: EtcdCluster) -> None:
    driver = open_store(parse(cluster.url("majority", retry_ms=500, read_timeout_ms=3000)))
    driver.commit((), [(b"a", b"1")])
    members = cluster.members[1:]
    for member in members:
        member.kill()
    calls = [lambda: driver.read([b"a"]), lambda: driver.read(counts=[(b"", b"z")]), lambda: driver.increment(b"c", 1)]
    for call in calls:
        with pytest.raises(Unavailable, match="majority|leader|members|reached"):
            call()
    with pytest.raises((Unavailable, OutcomeUnknown)):
        driver.commit((), [(b"a", b"2")], b"in the dark")
    for member in members:
        member.start()
    applied = driver.outcome(b"in the dark")
    assert value_at(driver, b"a") == (b"1" if applied is None else b"2")
    driver.close()


def test_a_store_is_found_while_one_member_answers(cluster: EtcdCluster) -> None:
    url = cluster.url("found")
    open_store(parse(url)).close()
    for member in cluster.members:
        member.kill()
        driver = open_store(parse(url))
        driver.commit((), [(member.name.encode(), b"")])
        driver.close()
        member.start()
