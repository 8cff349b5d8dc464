"""The same code on SQLAlchemy over SQLite and on ROME, where no bind is given and no table is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm as sqlalchemy_orm

from rome import orm
from rome.core.session.session import Session
from rome.orm import locks
from tests.servers.stores import a_store, marked
from tests.upstream.models import Base, gallery

Work = Callable[[Any], Any]


def plain(value: Any) -> Any:
    """`value` with mapped objects as their class and key, rows as tuples."""
    if isinstance(value, Base):
        return type(value).__name__, sa.inspect(value).identity
    if isinstance(value, list | tuple | sa.Row):
        return [plain(each) for each in value]
    return value


@pytest.fixture(scope="module", params=marked())
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a store for all tests of a module."""
    with a_store(request.param, tmp_path_factory.mktemp("store")) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROME_URL", url)
        yield url
        orm.engine_of(url).dispose()


@pytest.fixture(scope="module")
def alike(store: str) -> Iterator[Callable[[Work], None]]:
    """Asserts that a function of a session gives the same on both, with the gallery in them."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    Base.metadata.create_all(engine)
    for session in (sqlalchemy_orm.Session(engine), Session()):
        session.add_all(gallery())
        session.commit()
        session.close()

    def compare(work: Work) -> None:
        with sqlalchemy_orm.Session(engine) as theirs, Session() as ours:
            expected = plain(work(theirs))
            assert expected, "an empty answer says little: choose a query that finds something"
            assert plain(work(ours)) == expected

    yield compare
    engine.dispose()


@pytest.fixture
def own_store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a store for one test, memory unless the test is parametrized."""
    with a_store(getattr(request, "param", "memory"), tmp_path) as url:
        monkeypatch.setenv("ROME_URL", url)
        yield url
        locks.get_driver().close()
        orm.engine_of(url).dispose()
