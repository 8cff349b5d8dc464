"""The embedded stores keep the contract of locks, behind a network too."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.open import open_store
from rome.testing.driver_life import OpenDriver
from rome.testing.instruments import Fault, Faulty
from rome.testing.lock_suite import LockSuite


class TestMemory(LockSuite):
    @pytest.fixture
    def open_driver(self) -> OpenDriver:
        url = parse("rome+memory://")
        return lambda: open_store(url)


class TestLmdb(LockSuite):
    @pytest.fixture
    def open_driver(self, tmp_path: Path) -> OpenDriver:
        url = parse(f"rome+lmdb:///{tmp_path}/store?sync=none")
        return lambda: open_store(url)


class TestFaultyWithDelaysAndDuplicates(LockSuite):
    """A network that delays messages and delivers them twice is nothing that a caller may notice."""

    @pytest.fixture
    def open_driver(self) -> OpenDriver:
        url = parse("rome+memory://")
        marks: dict[bytes, int | None] = {}
        rates = {Fault.DELAY: 0.1, Fault.DUPLICATE: 0.5}
        return lambda: Faulty(open_store(url), rates=rates, chance=random.Random(1), delay_ms=0.1, marks=marks)
