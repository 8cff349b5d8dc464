"""The Redis driver keeps the driver contract, and what stands above it keeps its own on it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import Driver
from rome.driver.open import open_store
from rome.testing import golden
from rome.testing.driver_life import OpenDriver
from rome.testing.driver_suite import DriverSuite
from rome.testing.instruments import Fault, Faulty
from rome.testing.lock_suite import LockSuite
from rome.testing.txn_suite import TransactionSuite
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

_numbers = itertools.count(1)


def fresh_url(server: RedisServer, **options: str | int) -> str:
    """The URL of a store that no test has used."""
    return server.url(f"suite{next(_numbers)}", **options)


class TestRedis(DriverSuite):
    @pytest.fixture
    def open_driver(self, server: RedisServer) -> OpenDriver:
        url = parse(fresh_url(server))
        return lambda: open_store(url)


class TestRedisWithFaults(DriverSuite):
    """A network that delays messages and delivers them twice is nothing that a caller may notice."""

    @pytest.fixture
    def open_driver(self, server: RedisServer) -> OpenDriver:
        url = parse(fresh_url(server))
        rates = {Fault.DELAY: 0.1}
        return lambda: Faulty(open_store(url), rates=rates, chance=random.Random(1), delay_ms=0.1)


class TestLocksOnRedis(LockSuite):
    @pytest.fixture
    def open_driver(self, server: RedisServer) -> OpenDriver:
        url = parse(fresh_url(server))
        return lambda: open_store(url)


class TestTransactionsOnRedis(TransactionSuite):
    @pytest.fixture
    def driver(self, server: RedisServer) -> Iterator[Driver]:
        driver = open_store(parse(fresh_url(server)))
        yield driver
        driver.close()


class TestTransactionsOnRedisWithFaults(TransactionSuite):
    """Replies of commits are lost and commits delivered twice; their marks settle it."""

    @pytest.fixture
    def driver(self, server: RedisServer) -> Iterator[Driver]:
        rates = {Fault.DELAY: 0.05}
        driver = Faulty(
            open_store(parse(fresh_url(server))), rates=rates, chance=random.Random(2), delay_ms=0.1
        )
        yield driver
        driver.close()


@pytest.mark.parametrize("script", golden.SCRIPTS, ids=lambda path: path.stem)
def test_a_golden_script_says_on_redis_what_it_says_elsewhere(script: Path, server: RedisServer) -> None:
    golden.check(script, fresh_url(server))
