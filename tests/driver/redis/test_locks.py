"""Locks on servers that lose replies, stand still, are full, are killed, or are taken over by a replica."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import Driver, ExpectLock, Patience, Standing
from rome.driver.open import open_store
from rome.errors import DataError, InterfaceError, LeaseLost, ReadOnlyStore, StoreFull, Unavailable
from tests.servers.proxy import Proxy
from tests.servers.redis import DURABLE, FORGETFUL, RedisServer

pytestmark = pytest.mark.servers

ONE, TWO, THREE = (bytes([number]) * 16 for number in (1, 2, 3))
LONG_MS = 600_000
WAIT_S = 30.0
_numbers = itertools.count(1)


def opened(url: str) -> Driver:
    return open_store(parse(url))


def fresh(server: RedisServer, **options: int) -> Driver:
    return opened(server.url(f"locks{next(_numbers)}", **options))


def take(driver: Driver, session: bytes, *names: bytes, ttl_ms: int = LONG_MS) -> list[Standing]:
    """Where `session` stands for the locks `names`, "l" if none is given."""
    return driver.lock(session, names or (b"l",), ttl_ms, Patience.WAIT).standings


def test_each_call_is_one_round_trip_and_one_script(server: RedisServer) -> None:
    driver = fresh(server)
    client = server.client()
    take(driver, ONE)  # scripts are known from here on
    take(driver, TWO)
    driver.renew(ONE, LONG_MS)
    driver.locks()
    driver.unlock(TWO, [b"l"])

    def calls() -> int:
        stats = client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))

    before = calls()
    take(driver, TWO, *(b"%d" % number for number in range(500)), b"l")
    driver.renew(TWO, LONG_MS)
    driver.locks()
    driver.unlock(TWO)
    driver.unlock(ONE, ())
    assert calls() - before == 4
    driver.close()


def test_what_cannot_be_a_session_or_a_name_is_refused_before_anything_is_sent(server: RedisServer) -> None:
    driver = fresh(server)
    with pytest.raises(InterfaceError, match="16 random bytes"):
        take(driver, b"short")
    with pytest.raises(DataError, match="54000"):
        take(driver, ONE, b"x" * 8193)
    assert driver.locks() == []
    driver.close()


class TestTime:
    def test_a_session_ends_by_the_servers_clock_and_its_queue_goes_on(self, server: RedisServer) -> None:
        driver = fresh(server)
        token = take(driver, ONE, ttl_ms=1000)[0].token
        assert take(driver, TWO)[0].holder == ONE
        end = time.monotonic() + WAIT_S
        while not (got := take(driver, TWO)[0]).token:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert got.token > token
        assert not driver.renew(ONE, LONG_MS)
        with pytest.raises(LeaseLost):
            driver.commit([ExpectLock(b"l", ONE, token)], [(b"a", b"late")])
        driver.close()

    def test_a_commit_that_stood_still_past_the_sessions_end_writes_nothing(self, server: RedisServer) -> None:
        driver = fresh(server)
        token = take(driver, ONE, ttl_ms=30)[0].token
        time.sleep(0.1)
        with pytest.raises(LeaseLost):
            driver.commit([ExpectLock(b"l", ONE, token)], [(b"a", b"late")])
        assert driver.read([b"a"]).cells == [None]
        driver.close()

    def test_renewing_keeps_a_session_for_longer_than_its_first_time(self, server: RedisServer) -> None:
        driver = fresh(server)
        token = take(driver, ONE, ttl_ms=2000)[0].token
        assert driver.renew(ONE, LONG_MS)
        assert driver.locks()[0].remaining_ms > 2000
        assert driver.commit([ExpectLock(b"l", ONE, token)], [(b"a", b"1")])
        driver.close()


class TestLostReplies:
    def test_every_call_is_sent_again_and_means_the_same(self, server: RedisServer) -> None:
        with Proxy(server.port) as proxy:
            driver = opened(f"rome+redis://127.0.0.1:{proxy.port}/locks{next(_numbers)}")
            for lost in ("lose_replies", "lose_requests"):
                setattr(proxy, lost, 1)
                mine = take(driver, ONE)[0]
                assert mine.holder == ONE
                assert take(driver, ONE) == [mine]
                for session in (TWO, THREE):
                    setattr(proxy, lost, 1)
                    assert take(driver, session)[0].holder == ONE
                setattr(proxy, lost, 1)
                assert driver.renew(ONE, LONG_MS)
                setattr(proxy, lost, 1)
                assert [(held.session, held.waiting) for held in driver.locks()] == [(ONE, 2)]
                setattr(proxy, lost, 1)
                driver.unlock(ONE)
                assert take(driver, THREE)[0].holder == TWO
                for session in (TWO, THREE):
                    assert take(driver, session)[0].holder == session
                    driver.unlock(session)
                assert driver.locks() == []
            driver.close()

    def test_a_server_that_is_gone_is_unavailable(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", *DURABLE) as server:
            driver = fresh(server)
            take(driver, ONE)
        for call in (
            lambda: take(driver, ONE), lambda: driver.renew(ONE, 1), lambda: driver.unlock(ONE), driver.locks,
        ):  # fmt: skip
            with pytest.raises(Unavailable):
                call()
        driver.close()


class TestServers:
    def test_a_durable_server_that_is_killed_knows_who_has_what_when_it_comes_back(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", *DURABLE) as server:
            driver = fresh(server)
            mine = take(driver, ONE)[0]
            waiting = take(driver, TWO)
            server.kill()
            server.start()
            assert take(driver, ONE) == [mine]
            assert take(driver, TWO) == waiting
            driver.commit([ExpectLock(b"l", ONE, mine.token)], [(b"a", b"1")])
            driver.unlock(ONE)
            assert take(driver, TWO)[0].token > mine.token
            driver.close()

    def test_a_server_that_forgot_gives_no_token_twice(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", *FORGETFUL) as server:
            driver = fresh(server)
            token = take(driver, ONE)[0].token
            server.kill()
            server.start()
            assert not driver.renew(ONE, LONG_MS)
            assert take(driver, TWO)[0].token > token
            with pytest.raises(LeaseLost):
                driver.commit([ExpectLock(b"l", ONE, token)], [(b"a", b"1")])
            driver.close()

    def test_a_full_server_gives_no_lock_and_takes_back_those_there_are(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", *DURABLE) as server:
            driver = fresh(server)
            take(driver, ONE)
            server.client().config_set("maxmemory", 1)
            with pytest.raises(StoreFull):
                take(driver, TWO)
            assert driver.renew(ONE, LONG_MS)
            assert [held.session for held in driver.locks()] == [ONE]
            driver.unlock(ONE)
            assert driver.locks() == []
            driver.close()

    def test_a_primary_that_became_a_replica_gives_no_lock(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "one", *DURABLE) as one, RedisServer(tmp_path / "two", *DURABLE) as two:
            driver = fresh(one)
            take(driver, ONE)
            one.client().replicaof("127.0.0.1", str(two.port))
            for call in (lambda: take(driver, ONE), lambda: driver.renew(ONE, 1), lambda: driver.unlock(ONE)):
                with pytest.raises(ReadOnlyStore):
                    call()
            driver.close()


class TestTakeover:
    """What docs/drivers.md promises of locks when a replica takes over."""

    def url(self, server: RedisServer, **options: int) -> str:
        return server.url("glance", **options)

    def follow(self, replica: RedisServer, primary: RedisServer) -> None:
        """Wait until `replica` has what `primary` has."""
        end = time.monotonic() + WAIT_S
        while replica.client().get("rome:{glance}:tokens") != primary.client().get("rome:{glance}:tokens"):
            assert time.monotonic() < end
            time.sleep(0.01)

    def test_a_lock_that_replicas_confirmed_is_given_to_no_one_else(self, tmp_path: Path) -> None:
        with (
            RedisServer(tmp_path / "one", *DURABLE) as one,
            RedisServer(tmp_path / "two", "--replicaof", f"127.0.0.1 {one.port}", *DURABLE) as two,
        ):
            driver = opened(self.url(one, wait_replicas=1, wait_ms=20_000))
            for number in range(20):
                take(driver, ONE, b"%d" % number)
            token = take(driver, ONE)[0].token
            assert driver.renew(ONE, 2 * LONG_MS)
            one.kill()
            driver.close()
            two.client().replicaof("NO", "ONE")
            other = opened(self.url(two))
            assert len(other.locks()) == 21
            assert other.locks()[0].remaining_ms > LONG_MS
            assert take(other, TWO)[0].holder == ONE
            other.commit([ExpectLock(b"l", ONE, token)], [(b"a", b"1")])
            other.unlock(ONE)
            assert take(other, TWO)[0].token > token
            other.close()

    def test_a_lock_that_was_lost_has_a_greater_token_next_and_the_first_holder_commits_nothing(
        self, tmp_path: Path
    ) -> None:
        with (
            RedisServer(tmp_path / "one", *DURABLE) as one,
            RedisServer(tmp_path / "two", "--replicaof", f"127.0.0.1 {one.port}", *DURABLE) as two,
        ):
            driver = opened(self.url(one))
            take(driver, THREE, b"other")
            self.follow(two, one)
            two.client().replicaof("NO", "ONE")  # before the primary dies: what follows is not replicated
            token = take(driver, ONE)[0].token
            one.kill()
            driver.close()
            other = opened(self.url(two))
            assert not other.renew(ONE, LONG_MS)
            assert take(other, TWO)[0].token > token
            with pytest.raises(LeaseLost):
                other.commit([ExpectLock(b"l", ONE, token)], [(b"a", b"late")])
            other.close()

    def test_what_too_few_replicas_confirm_is_not_promised_and_can_be_asked_for_again(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "one", *DURABLE) as one:
            replica = RedisServer(tmp_path / "two", "--replicaof", f"127.0.0.1 {one.port}")
            hasty, patient = (opened(self.url(one, wait_replicas=1, wait_ms=ms)) for ms in (100, 20_000))
            with pytest.raises(Unavailable, match="too few replicas"):
                take(hasty, ONE)
            with pytest.raises(Unavailable, match="too few replicas"):
                hasty.renew(ONE, LONG_MS)
            assert not hasty.renew(TWO, LONG_MS)
            with replica:
                token = take(patient, ONE)[0].token
                assert token == patient.locks()[0].token
                assert replica.client().zcard("rome:{glance}:locks") == 1
                assert patient.renew(ONE, LONG_MS)
            hasty.unlock(ONE)
            hasty.close()
            patient.close()
