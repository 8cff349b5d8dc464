"""Commits whose reply never came: what is said of them, and what became of them."""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import Driver, ExpectCell
from rome.driver.open import open_store
from rome.driver.redis.driver import FENCE_KEPT_MS, MARK_KEPT_MS
from rome.errors import Conflict, OutcomeUnknown, Unavailable
from rome.testing.driver_life import in_threads, value_at
from rome.testing.instruments import Fault, Faulty
from rome.txn.commit import OneRoundTrip
from tests.servers.proxy import Proxy
from tests.servers.redis import DURABLE, RedisServer

pytestmark = pytest.mark.servers

_numbers = itertools.count(1)


def through(proxy: Proxy, **options: int) -> Driver:
    """A driver whose next round trip is the only one: the server knows its scripts."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    driver = open_store(parse(f"rome+redis://127.0.0.1:{proxy.port}/lost{next(_numbers)}?{query}"))
    driver.commit((), [(b"first", b"1")])
    driver.increment(b"first", 1)
    driver.clear(b"first")
    return driver


class TestOneReply:
    def test_a_lost_reply_leaves_the_outcome_unknown_and_the_mark_tells_it(self, server: RedisServer) -> None:
        with Proxy(server.port) as proxy:
            driver = through(proxy)
            mark = os.urandom(16)
            proxy.lose_replies = 1
            with pytest.raises(OutcomeUnknown) as caught:
                driver.commit((), [(b"a", b"1")], mark)
            assert caught.value.mark == mark
            version = driver.outcome(mark)
            assert driver.read([b"a"]).version == version
            assert driver.commit((), [(b"a", b"1")], mark) == version
            assert driver.read([b"a"]).version == version
            driver.close()

    def test_a_lost_request_is_fenced_off_by_the_question(self, server: RedisServer) -> None:
        with Proxy(server.port) as proxy:
            driver = through(proxy)
            mark = os.urandom(16)
            proxy.lose_requests = 1
            with pytest.raises(OutcomeUnknown):
                driver.commit((), [(b"a", b"1")], mark)
            assert driver.outcome(mark) is None
            with pytest.raises(Conflict):
                driver.commit((), [(b"a", b"1")], mark)
            assert value_at(driver, b"a") is None
            driver.close()

    def test_a_commit_is_never_sent_twice_by_itself(self, server: RedisServer) -> None:
        with Proxy(server.port) as proxy:
            driver = through(proxy, retries=5)
            proxy.lose_replies = 1
            with pytest.raises(OutcomeUnknown):
                driver.commit((), [(b"a", b"1")])
            version = driver.read().version
            time.sleep(0.1)
            assert driver.read().version == version
            driver.close()

    def test_a_server_that_is_gone_before_anything_was_sent_makes_no_riddle(self, tmp_path: Path) -> None:
        server = RedisServer(tmp_path / "redis", *DURABLE)
        with server:
            driver = open_store(parse(server.url("glance")))
            driver.commit((), [(b"a", b"1")])
        for _ in range(2):
            with pytest.raises(Unavailable):
                driver.commit((), [(b"a", b"2")], os.urandom(16))
            with pytest.raises(Unavailable):
                driver.read([b"a"])
        with server:
            assert value_at(driver, b"a") == b"1"
            driver.commit((), [(b"a", b"2")], os.urandom(16))
            driver.close()

    def test_a_lost_increment_leaves_a_gap_and_a_lost_clearing_says_so(self, server: RedisServer) -> None:
        with Proxy(server.port) as proxy:
            driver = through(proxy)
            assert driver.increment(b"c", 1) == 1
            proxy.lose_replies = 1
            assert driver.increment(b"c", 1) == 3
            driver.commit((), [(b"a", b"1")])
            proxy.lose_replies = 1
            with pytest.raises(OutcomeUnknown):
                driver.clear(b"a")
            assert value_at(driver, b"a") is None
            driver.close()

    def test_a_server_that_stands_still_is_asked_again_when_it_goes_on(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", *DURABLE) as server:
            driver = open_store(parse(server.url("glance", read_timeout_ms=1000, retries=1)))
            for _ in range(5):
                mark = os.urandom(16)
                server.stop()
                with pytest.raises(OutcomeUnknown, match="did not answer in time"):
                    driver.commit((), [(b"a", mark)], mark)
                with pytest.raises(Unavailable):
                    driver.outcome(mark)
                with pytest.raises(Unavailable, match="did not answer in time"):
                    driver.read([b"a"])
                server.go_on()
                version = driver.outcome(mark)
                assert (value_at(driver, b"a") == mark) == (version is not None)
                assert driver.outcome(mark) == version
                assert (value_at(driver, b"a") == mark) == (version is not None)
            driver.close()

    def test_marks_and_fences_are_forgotten_in_the_end(self, server: RedisServer) -> None:
        driver = open_store(parse(server.url("marks")))
        driver.commit((), [(b"a", b"1")], b"applied")
        assert driver.outcome(b"fenced") is None
        left_ms = {name: server.client().pttl(f"rome:{{marks}}:mark:{name}") for name in ("applied", "fenced")}
        assert MARK_KEPT_MS - 60_000 < left_ms["applied"] <= MARK_KEPT_MS
        assert FENCE_KEPT_MS - 60_000 < left_ms["fenced"] <= FENCE_KEPT_MS
        driver.close()


class TestReplicas:
    def test_a_commit_waits_for_replicas_and_is_settled_when_one_comes_back(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "one", *DURABLE) as one:
            replica = RedisServer(tmp_path / "two", "--replicaof", f"127.0.0.1 {one.port}")
            driver = open_store(parse(one.url("glance", wait_replicas=1, wait_ms=200)))
            patient = open_store(parse(one.url("glance", wait_replicas=1, wait_ms=20_000)))
            mark = os.urandom(16)
            with pytest.raises(OutcomeUnknown, match="not on enough replicas") as caught:
                driver.commit((), [(b"a", b"1")], mark)
            assert caught.value.mark == mark
            assert value_at(driver, b"a") == b"1"
            with pytest.raises(OutcomeUnknown, match="not on enough replicas"):
                driver.outcome(mark)
            with pytest.raises(Conflict):
                driver.commit([ExpectCell(b"a", 0)], [(b"a", b"2")], os.urandom(16))
            with pytest.raises(OutcomeUnknown):
                driver.clear(b"none")
            with pytest.raises(Unavailable):
                driver.increment(b"c", 1)
            with replica:
                assert patient.outcome(mark) is not None
                assert replica.client().hexists("rome:{glance}:cells", b"a")
                for number in range(20):
                    patient.commit((), [(b"b", b"%d" % number)], os.urandom(16))
                    assert replica.client().hget("rome:{glance}:cells", b"b")[8:] == b"%d" % number  # type: ignore[index]
                assert patient.increment(b"c", 1) == 2
                patient.clear(b"b")
            driver.close()
            patient.close()


class Tally:
    """What one thread was told of its commits, by number: True (stands), False (does not), None (no one knows)."""

    def __init__(self) -> None:
        self.told: dict[int, bool | None] = {}


def test_a_server_killed_under_load_loses_nothing_it_acknowledged_and_halves_nothing(tmp_path: Path) -> None:
    """Each commit writes a cell of its own and its thread's newest one, which it expects to be as it was."""
    server = RedisServer(tmp_path / "redis", *DURABLE)
    protocol = OneRoundTrip(max_questions=8, first_wait_s=0.05)
    tallies = [Tally() for _ in range(4)]
    done = threading.Event()

    def write(thread: int) -> None:
        driver = open_store(parse(server.url("glance", connect_timeout_ms=500, retries=0)))
        tally = tallies[thread]
        for number in itertools.count(1):
            if done.is_set():
                break
            own, newest = b"%d/own/%d" % (thread, number), b"%d/newest" % thread
            try:
                cell = driver.read([newest]).cells[0]
                expect = [ExpectCell(newest, 0 if cell is None else cell.version), ExpectCell(own, 0)]
                protocol.publish(driver, expect, [(own, b"%d" % number), (newest, b"%d" % number)])
                tally.told[number] = True
            except Unavailable:
                tally.told[number] = False
                time.sleep(0.01)
            except OutcomeUnknown:
                tally.told[number] = None
        driver.close()

    def kill() -> None:
        try:
            for _ in range(4):
                time.sleep(0.5)
                server.kill()
                server.start()
            time.sleep(0.3)
        finally:
            done.set()

    with server:
        open_store(parse(server.url("glance"))).close()
        in_threads([*(lambda thread=thread: write(thread) for thread in range(4)), kill])  # type: ignore[misc]
        driver = open_store(parse(server.url("glance")))
        for thread, tally in enumerate(tallies):
            numbers = sorted(tally.told)
            cells = driver.read([b"%d/own/%d" % (thread, number) for number in numbers]).cells
            there = {number for number, cell in zip(numbers, cells, strict=True) if cell is not None}
            assert {number for number in numbers if tally.told[number] is True} <= there
            assert not {number for number in numbers if tally.told[number] is False} & there
            assert value_at(driver, b"%d/newest" % thread) == b"%d" % max(there)
            assert len(there) > 20
        assert any(True in tally.told.values() and len(set(tally.told.values())) > 1 for tally in tallies)
        driver.close()


def test_faults_of_every_kind_neither_lose_nor_repeat_an_increment(server: RedisServer) -> None:
    url = parse(server.url(f"lost{next(_numbers)}"))
    rates = dict.fromkeys((Fault.DROP_BEFORE, Fault.LOSE, Fault.DROP_AFTER, Fault.DUPLICATE, Fault.DELAY), 0.1)
    protocol = OneRoundTrip(max_questions=20, sleep=lambda seconds: None)

    def add(seed: int) -> None:
        driver = Faulty(open_store(url), rates=rates, chance=random.Random(seed), delay_ms=0.2)
        for _ in range(25):
            while True:
                try:
                    cell = driver.read([b"sum"]).cells[0]
                    total, version = (0, 0) if cell is None else (int(cell.value), cell.version)
                    protocol.publish(driver, [ExpectCell(b"sum", version)], [(b"sum", b"%d" % (total + 1))])
                    break
                except (Conflict, Unavailable):
                    continue
        assert len(driver.injected) == len(rates)
        driver.close()

    in_threads([lambda seed=seed: add(seed) for seed in range(4)])  # type: ignore[misc]
    driver = open_store(url)
    assert value_at(driver, b"sum") == b"100"
    driver.close()
