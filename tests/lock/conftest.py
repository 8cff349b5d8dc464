"""The embedded stores, with a clock that the test sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rome.driver.api import Driver
from rome.driver.lmdb import LmdbDriver, Settings
from rome.driver.memory import MemoryDriver, MemoryStore


class Clock:
    """A clock that stands still until it is moved; as a function it gives nanoseconds, `seconds` gives seconds."""

    def __init__(self) -> None:
        self.now_ns = 5_000_000_000

    def __call__(self) -> int:
        return self.now_ns

    def seconds(self) -> float:
        return self.now_ns / 1e9

    def advance(self, ms: float) -> None:
        self.now_ns += round(ms * 1_000_000)

    def sleep(self, seconds: float) -> None:
        self.advance(seconds * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Iterator[Driver]:
    """An empty store whose time is `clock`."""
    driver: Driver
    if request.param == "memory":
        driver = MemoryDriver(MemoryStore(clock))
    else:
        driver = LmdbDriver(str(tmp_path / "store"), Settings(sync="none"), clock, b"this start")
    yield driver
    driver.close()
