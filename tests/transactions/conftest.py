"""Stores that need no server, and connections to them; SQLAlchemy's dialects as the distribution registers them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.dialects import registry

from rome import dbapi
from tests.transactions.speaker import Connect

# As the entry points of the distribution do; the tests also run from a checkout that is not installed.
registry.register("rome", "rome.dialect", "RomeDialect")
registry.register("rome.memory", "rome.dialect", "RomeMemoryDialect")
registry.register("rome.lmdb", "rome.dialect", "RomeLmdbDialect")


@pytest.fixture
def lmdb_url(tmp_path: Path) -> str:
    """The URL of an empty LMDB store."""
    return f"rome+lmdb:///{tmp_path}/store?sync=none"


@pytest.fixture(params=["memory", "lmdb"])
def url(request: pytest.FixtureRequest, tmp_path: Path, lmdb_url: str) -> str:
    """The URL of an empty store, on each kind of store in turn."""
    return lmdb_url if request.param == "lmdb" else f"rome+memory:///{tmp_path.name}"


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens connections that are closed after the test."""
    opened: list[dbapi.Connection] = []

    def open_connection(url: str, isolation_level: str = "SERIALIZABLE") -> dbapi.Connection:
        opened.append(dbapi.connect(url, isolation_level=isolation_level))
        return opened[-1]

    yield open_connection
    for connection in opened:
        connection.close()


@pytest.fixture
def elsewhere(lmdb_url: str) -> Callable[[], str]:
    """URLs of the one LMDB store, each opened apart from the others, as another process has it.

    What two connections of a process share (the catalogue, the plans) they share by URL.
    """
    spare = iter(("&max_readers=1024", "&map_size_gib=1024", "&readonly=0"))  # what is so anyway
    return lambda: lmdb_url + next(spare)
