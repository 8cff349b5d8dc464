"""Every suite on the store that `--rome-url` names; see `rome.testing.conformance`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from rome import dbapi
from rome.config import StoreURL
from rome.driver.api import Driver
from rome.driver.open import open_store
from rome.testing import golden
from rome.testing.driver_life import OpenDriver
from rome.testing.driver_suite import DriverSuite
from rome.testing.lock_suite import LockSuite
from rome.testing.orm_suite import OrmSuite
from rome.testing.txn_suite import TransactionSuite


class TestDriver(DriverSuite):
    @pytest.fixture
    def open_driver(self, rome_url: StoreURL) -> OpenDriver:
        return lambda: open_store(rome_url)


class TestTransactions(TransactionSuite):
    @pytest.fixture
    def driver(self, rome_url: StoreURL) -> Iterator[Driver]:
        driver = open_store(rome_url)
        yield driver
        driver.close()


class TestLocks(LockSuite):
    @pytest.fixture
    def open_driver(self, rome_url: StoreURL) -> OpenDriver:
        return lambda: open_store(rome_url)


class TestSql:
    """The golden scripts: the plans, the round trips and the rows of SQL, the same on every store."""

    capability = "SQL"

    @pytest.mark.parametrize("script", golden.SCRIPTS, ids=lambda path: path.stem)
    def test_a_script_says_what_happens(self, script: Path, rome_url: StoreURL) -> None:
        golden.check(script, rome_url)


class TestOrm(OrmSuite):
    @pytest.fixture
    def engine(self, rome_url: StoreURL) -> Iterator[sqlalchemy.Engine]:
        # any of ROME's URLs: the dialect is the same, and the store that is opened is this one
        engine = sqlalchemy.create_engine("rome+memory://", creator=lambda: dbapi.connect(rome_url))
        yield engine
        engine.dispose()
