"""Every driver, and every instrument around one, keeps the driver contract."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.open import open_store
from rome.testing.driver_life import OpenDriver
from rome.testing.driver_suite import DriverSuite
from rome.testing.instruments import Fault, Faulty, Mirror, Recorder, Turn


class TestMemory(DriverSuite):
    @pytest.fixture
    def open_driver(self) -> OpenDriver:
        url = parse("rome+memory://")
        return lambda: open_store(url)


class TestLmdb(DriverSuite):
    @pytest.fixture
    def open_driver(self, tmp_path: Path) -> OpenDriver:
        url = parse(f"rome+lmdb:///{tmp_path}/store")
        return lambda: open_store(url)


class TestRecorder(DriverSuite):
    @pytest.fixture
    def open_driver(self) -> OpenDriver:
        url = parse("rome+memory://")
        return lambda: Recorder(open_store(url))


class TestMirror(DriverSuite):
    @pytest.fixture
    def open_driver(self, tmp_path: Path) -> OpenDriver:
        url = parse("rome+memory://")
        turn = Turn()

        def open_both() -> Mirror:
            # A child process has its own memory, so it gets a directory of its own too.
            directory = parse(f"rome+lmdb:///{tmp_path}/{os.getpid()}?sync=none")
            return Mirror(open_store(url), open_store(directory), turn)

        return open_both


class TestFaultyWithoutFaults(DriverSuite):
    """A local store behind a network: it keeps marks, so this is the remote half of the contract."""

    @pytest.fixture
    def open_driver(self) -> OpenDriver:
        url = parse("rome+memory://")
        marks: dict[bytes, int | None] = {}
        return lambda: Faulty(open_store(url), marks=marks)


class TestFaultyWithDelays(DriverSuite):
    """A delay is nothing that a caller may notice, on a store with snapshots either."""

    @pytest.fixture
    def open_driver(self, tmp_path: Path) -> OpenDriver:
        url = parse(f"rome+lmdb:///{tmp_path}/store?sync=none")
        marks: dict[bytes, int | None] = {}
        rates = {Fault.DELAY: 0.1}
        return lambda: Faulty(open_store(url), rates=rates, chance=random.Random(1), delay_ms=0.1, marks=marks)
