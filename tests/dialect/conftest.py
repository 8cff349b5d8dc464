"""An engine on each store that needs no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.dialects import registry

# As the entry points of the distribution do; the tests also run from a checkout that is not installed.
registry.register("rome", "rome.dialect", "RomeDialect")
registry.register("rome.memory", "rome.dialect", "RomeMemoryDialect")
registry.register("rome.lmdb", "rome.dialect", "RomeLmdbDialect")


@pytest.fixture(params=["memory", "lmdb"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store; a memory store is private to the engine that opens it."""
    return "rome+memory://" if request.param == "memory" else f"rome+lmdb:///{tmp_path}/store"


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    engine = create_engine(store_url)
    yield engine
    engine.dispose()
