"""The transaction suite on every store at hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import Driver
from rome.driver.open import open_store
from rome.testing.txn_suite import TransactionSuite


class TestOnMemory(TransactionSuite):
    @pytest.fixture
    def driver(self) -> Iterator[Driver]:
        url = parse("rome+memory://")
        driver = open_store(url)
        yield driver
        driver.close()


class TestOnLmdb(TransactionSuite):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> Iterator[Driver]:
        driver = open_store(parse(f"rome+lmdb:///{tmp_path}/store"))
        yield driver
        driver.close()
