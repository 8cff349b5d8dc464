"""Servers killed with SIGKILL under load: what was acknowledged stays, clients go on by themselves."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from tests.faults.bank import Told, audit, open_bank
from tests.faults.load import Record, alone, under_load, wait_until_done
from tests.servers.redis import DURABLE, RedisServer, Sentinel

pytestmark = pytest.mark.servers

FAILOVER_S = 30.0


def kill_and_restart(directory: Path, kills: int) -> None:
    """Kill a Redis that writes each commit to its disk again and again, at random moments, and look at the books."""
    server = RedisServer(directory / "redis", *DURABLE)
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
        assert record.count(Told.NOT_DONE) > 0, "the server was killed and no one noticed"


def test_a_redis_that_is_killed_and_restarted_has_every_acknowledged_commit_whole(tmp_path: Path) -> None:
    kill_and_restart(tmp_path, 4)


@pytest.mark.nightly
def test_a_redis_that_is_killed_again_and_again_has_every_acknowledged_commit_whole(tmp_path: Path) -> None:
    kill_and_restart(tmp_path, 60)


def wait_for_replicas(primary: RedisServer, replicas: int) -> None:
    end = time.monotonic() + FAILOVER_S
    while primary.client().info("replication").get(f"slave{replicas - 1}", {}).get("state") != "online":
        assert time.monotonic() < end, "no replica came"
        time.sleep(0.01)


def fail_over(directory: Path, failovers: int) -> None:
    """Kill the primary of three servers under load, again and again; the dead one comes back as a replica."""
    one = RedisServer(directory / "one", *DURABLE)
    others = [
        RedisServer(directory / name, *DURABLE, "--replicaof", f"127.0.0.1 {one.port}") for name in ("two", "three")
    ]
    by_port = {server.port: server for server in (one, *others)}
    try:
        for server in by_port.values():
            server.start()
        with Sentinel(directory / "sentinel", one) as sentinel:

            def primary() -> int:
                return int(sentinel.client().sentinel_get_master_addr_by_name("main")[1])

            def disturb(record: Record) -> None:
                for _ in range(failovers):
                    wait_for_replicas(by_port[primary()], 2)
                    wait_until_done(record, 40)
                    dead = by_port[primary()]
                    dead.kill()
                    wait_until_done(record, 40, within_s=FAILOVER_S)
                    assert primary() != dead.port
                    if failovers > 1:
                        dead.start()
                        dead.client().execute_command("REPLICAOF", "127.0.0.1", str(primary()))

            hosts = f"127.0.0.1:{sentinel.port}"
            url = f"rome+redis:///bank?sentinel=main&hosts={hosts}&wait_replicas=1&connect_timeout_ms=500"
            end = time.monotonic() + FAILOVER_S
            while len(sentinel.client().sentinel_slaves("main")) < 2:
                assert time.monotonic() < end, "Sentinel does not see the replicas"
                time.sleep(0.05)
            open_bank(url)
            record = under_load(alone(url), disturb)
            audit(url, record.tallies)
    finally:
        for server in by_port.values():
            server.kill()


def test_a_failover_through_sentinel_loses_nothing_that_a_replica_confirmed(tmp_path: Path) -> None:
    fail_over(tmp_path, 1)


@pytest.mark.nightly
def test_failovers_one_after_the_other_lose_nothing_that_a_replica_confirmed(tmp_path: Path) -> None:
    fail_over(tmp_path, 6)
