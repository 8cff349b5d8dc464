"""EXPLAIN as a function, on every kind of connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from rome import dbapi, explain

URL = "rome+memory:///explain"
SQL = "SELECT name FROM items WHERE id = :id"


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = sa.create_engine(URL)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS items"))
        connection.execute(sa.text("CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(9))"))
    yield engine
    engine.dispose()


def test_the_plan_of_a_statement_is_told_to_every_kind_of_connection(engine: Engine) -> None:
    with engine.connect() as connection, closing(dbapi.connect(URL)) as dbapi_connection:
        plans = {explain(each, SQL, {"id": 1}) for each in (URL, connection, dbapi_connection)}

    assert len(plans) == 1
    assert "items" in plans.pop()


def test_analyze_runs_the_statement_and_counts(engine: Engine) -> None:
    with engine.connect() as connection:
        text = explain(connection, "INSERT INTO items (id, name) VALUES (?, ?)", (1, "a"), analyze=True)
        assert connection.scalar(sa.text("SELECT count(*) FROM items")) == 1
        connection.rollback()

    assert "wave" in text


def test_analyze_by_url_leaves_nothing(engine: Engine) -> None:
    explain(URL, "INSERT INTO items (id) VALUES (1)", analyze=True)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM items")) == 0


def test_a_connection_to_something_else_is_refused() -> None:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(dbapi.InterfaceError, match="ROME"):
        explain(connection, SQL)
    engine.dispose()
