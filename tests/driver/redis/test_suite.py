"""The Redis driver keeps the driver contract, and the floor above keeps its own on it."""

from __future__ import annotations

import itertools

import pytest

from rome.config import parse
from rome.driver.open import open_store
from rome.testing.driver_life import OpenDriver
from rome.testing.driver_suite import DriverSuite
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

_numbers = itertools.count(1)


class TestRedis(DriverSuite):
    @pytest.fixture
    def open_driver(self, server: RedisServer) -> OpenDriver:
        url = parse(server.url(f"suite{next(_numbers)}"))
        return lambda: open_store(url)
