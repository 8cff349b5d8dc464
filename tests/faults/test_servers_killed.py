"""Servers killed with SIGKILL under load: what was acknowledged stays, clients go on by themselves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.bank import Told, audit, open_bank
from tests.faults.load import Record, alone, under_load, wait_until_done
from tests.servers.etcd import EtcdCluster, EtcdServer
from tests.servers.redis import DURABLE, RedisServer, Sentinel

pytestmark = pytest.mark.servers

FAILOVER_S = 30.0
OUTAGE_S = 5.0  # when the leader of three dies: under 2 s on a machine that has time for it


def kill_and_restart(server: RedisServer | EtcdServer, kills: int) -> None:
    """Kill a server that writes each commit to its disk again and again, at random moments, and look at the books."""
    chance = random.Random(kills)

    def disturb(record: Record) -> None:
        for _ in range(kills):
            wait_until_done(record, 20)
            time.sleep(chance.random() * 0.1)
            server.kill()
            time.sleep(chance.random() * 0.2)
            server.start()
        wait_until_done(record, 20)

    with server:
        url = server.url("bank", connect_timeout_ms=500)
        open_bank(url)
        record = under_load(alone(url), disturb)
        audit(url, record.tallies)
        assert record.count(Told.NOT_DONE) > 0 or record.longest_gap_s > 0.1, "the server was killed and no one noticed"


@pytest.fixture(params=["redis", "etcd"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> RedisServer | EtcdServer:
    """One that is not started yet."""
    return RedisServer(tmp_path / "redis", *DURABLE) if request.param == "redis" else EtcdServer(tmp_path / "etcd")


def test_a_server_that_is_killed_and_restarted_has_every_acknowledged_commit_whole(
    server: RedisServer | EtcdServer,
) -> None:
    kill_and_restart(server, 3)


@pytest.mark.nightly
def test_a_server_that_is_killed_again_and_again_has_every_acknowledged_commit_whole(
    server: RedisServer | EtcdServer,
) -> None:
    kill_and_restart(server, 20)


def kill_leaders(directory: Path, kills: int) -> None:
    """Kill the leader of three under load, again and again; the dead one comes back as a follower."""
    with EtcdCluster(directory) as cluster:
        url = cluster.url("bank", connect_timeout_ms=500)
        open_bank(url)

        def disturb(record: Record) -> None:
            for _ in range(kills):
                wait_until_done(record, 40)
                dead = cluster.leader()
                dead.kill()
                wait_until_done(record, 40, within_s=FAILOVER_S)
                assert cluster.leader() is not dead
                dead.start()

        record = under_load(alone(url), disturb)
        audit(url, record.tallies)
        assert record.longest_gap_s < OUTAGE_S


def test_the_leader_of_three_is_killed_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    kill_leaders(tmp_path, 1)


@pytest.mark.nightly
def test_one_leader_after_the_other_is_killed_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    kill_leaders(tmp_path, 6)


def wait_for_replica(primary: Callable[[], RedisServer]) -> None:
    """Until one follows the primary, which on a busy machine may become another one meanwhile."""
    end = time.monotonic() + FAILOVER_S
    while primary().client().info("replication").get("slave0", {}).get("state") != "online":
        assert time.monotonic() < end, "no replica came"
        time.sleep(0.01)


def fail_over(directory: Path, failovers: int) -> None:
    """Kill the primary of two servers under load, again and again; the dead one comes back as the other's replica.

    Every replica that can take over confirms each commit, so even a failover that no one asked for, of a primary that
    is only slow, loses nothing.
    """
    one = RedisServer(directory / "one", *DURABLE)
    two = RedisServer(directory / "two", *DURABLE, "--replicaof", f"127.0.0.1 {one.port}")
    with one, two, Sentinel(directory / "sentinel", one) as sentinel:

        def primary() -> RedisServer:
            _, port = sentinel.client().sentinel_get_master_addr_by_name("main")
            return one if int(port) == one.port else two

        def disturb(record: Record) -> None:
            for _ in range(failovers):
                wait_for_replica(primary)
                wait_until_done(record, 40)
                dead = primary()
                dead.kill()
                end = time.monotonic() + FAILOVER_S
                while primary() is dead:
                    assert time.monotonic() < end, "Sentinel does not fail over"
                    time.sleep(0.01)
                dead.start()
                dead.client().execute_command("REPLICAOF", "127.0.0.1", str(primary().port))
                wait_until_done(record, 40, within_s=FAILOVER_S)

        hosts = f"127.0.0.1:{sentinel.port}"
        url = f"rome+redis:///bank?sentinel=main&hosts={hosts}&wait_replicas=1&wait_ms=500&connect_timeout_ms=500"
        wait_for_replica(primary)
        end = time.monotonic() + FAILOVER_S
        while not sentinel.client().sentinel_slaves("main"):
            assert time.monotonic() < end, "Sentinel does not see the replica"
            time.sleep(0.05)
        open_bank(one.url("bank"))
        record = under_load(alone(url), disturb)
        audit(url, record.tallies, in_vain=record.in_vain)


@pytest.mark.nightly
def test_a_failover_through_sentinel_loses_nothing_that_the_replica_confirmed(tmp_path: Path) -> None:
    fail_over(tmp_path, 1)


@pytest.mark.nightly
def test_failovers_one_after_the_other_lose_nothing_that_the_replica_confirmed(tmp_path: Path) -> None:
    fail_over(tmp_path, 6)
