"""A connection to each store that needs no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rome import dbapi


@pytest.fixture(params=["memory", "lmdb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store that several connections can open."""
    if request.param == "memory":
        return f"rome+memory:///{tmp_path.name}"
    return f"rome+lmdb:///{tmp_path}/store"


@pytest.fixture
def connection(url: str) -> Iterator[dbapi.Connection]:
    connection = dbapi.connect(url)
    yield connection
    connection.close()


@pytest.fixture
def other(url: str, connection: dbapi.Connection) -> Iterator[dbapi.Connection]:
    """A second connection to the same store."""
    other = dbapi.connect(url)
    yield other
    other.close()


@pytest.fixture
def items(connection: dbapi.Connection) -> dbapi.Connection:
    """A connection to a store with the table `items`, empty and committed."""
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE items (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(20), n INTEGER)")
    connection.commit()
    return connection
