"""The drivers of servers keep the driver contract, and what stands above them keeps its own on them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

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
from tests.servers.stores import LOCAL_STORES, STORES, a_store

pytestmark = pytest.mark.servers


class OnAServer:
    """Tests on a store that no other test has used."""

    kind_of_store: ClassVar[str]

    @pytest.fixture
    def url(self, tmp_path: Path) -> Iterator[str]:
        with a_store(self.kind_of_store, tmp_path) as url:
            yield url

    @pytest.fixture
    def open_driver(self, url: str) -> OpenDriver:
        return lambda: open_store(parse(url))


class WithFaults(OnAServer):
    """A network that delays messages and delivers them twice is nothing that a caller may notice."""

    @pytest.fixture
    def open_driver(self, url: str) -> OpenDriver:
        chance = random.Random(1)
        return lambda: Faulty(open_store(parse(url)), rates={Fault.DELAY: 0.1}, chance=chance, delay_ms=0.1)


class OneDriver:
    """What stands above a driver has one."""

    @pytest.fixture
    def driver(self, open_driver: OpenDriver) -> Iterator[Driver]:
        driver = open_driver()
        yield driver
        driver.close()


class TestRedis(OnAServer, DriverSuite):
    kind_of_store = "redis"


class TestEtcd(OnAServer, DriverSuite):
    kind_of_store = "etcd"


class TestRedisWithFaults(WithFaults, DriverSuite):
    kind_of_store = "redis"


class TestEtcdWithFaults(WithFaults, DriverSuite):
    kind_of_store = "etcd"


class TestTransactionsOnRedis(OneDriver, OnAServer, TransactionSuite):
    kind_of_store = "redis"


class TestTransactionsOnEtcd(OneDriver, OnAServer, TransactionSuite):
    kind_of_store = "etcd"


class TestTransactionsOnRedisWithFaults(OneDriver, WithFaults, TransactionSuite):
    kind_of_store = "redis"


class TestTransactionsOnEtcdWithFaults(OneDriver, WithFaults, TransactionSuite):
    kind_of_store = "etcd"


class TestLocksOnRedis(OnAServer, LockSuite):
    kind_of_store = "redis"


class TestLocksOnEtcd(OnAServer, LockSuite):
    kind_of_store = "etcd"


@pytest.mark.parametrize("store", [name for name in STORES if name not in LOCAL_STORES])
@pytest.mark.parametrize("script", golden.SCRIPTS, ids=lambda path: path.stem)
def test_a_golden_script_says_there_what_it_says_elsewhere(script: Path, store: str, tmp_path: Path) -> None:
    with a_store(store, tmp_path) as url:
        golden.check(script, url)
