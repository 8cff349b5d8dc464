"""The servers of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.etcd import EtcdServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """A server for tests that neither stop nor reconfigure it; the others start their own."""
    with EtcdServer(tmp_path_factory.mktemp("etcd")) as server:
        yield server
