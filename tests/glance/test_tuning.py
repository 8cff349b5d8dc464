"""`glance_compat.tuning`: the indexes that Glance's schema lacks, added to a store and taken away again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from click.testing import CliRunner

from glance_compat import models, tuning
from glance_compat.command import main
from glance_compat.db import create_schema


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"rome+lmdb:///{tmp_path}/store"
    create_schema(url)
    return url


@pytest.fixture
def engine(url: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(url)
    yield engine
    engine.dispose()


def indexes(engine: sqlalchemy.Engine) -> dict[object, list[object]]:
    inspector = sqlalchemy.inspect(engine)
    return {table: list(inspector.get_indexes(table)) for table in inspector.get_table_names()}


def run(*arguments: str) -> list[str]:
    result = CliRunner().invoke(main, ["tune", *arguments])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()[1:]  # the first line names the store


def test_every_index_is_created_once_and_goes_again_without_a_trace(engine: sqlalchemy.Engine) -> None:
    before = indexes(engine)
    assert [done.index for done in tuning.tune(engine)] == list(tuning.INDEXES) == tuning.present(engine)
    assert list(tuning.tune(engine)) == tuning.missing(engine) == []
    assert [done.index for done in tuning.untune(engine)] == list(tuning.INDEXES) == tuning.missing(engine)
    assert indexes(engine) == before


def test_only_what_is_missing_is_created(engine: sqlalchemy.Engine) -> None:
    list(tuning.tune(engine))
    lost = tuning.INDEXES[1]
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"DROP INDEX {lost.name} ON {lost.table}"))
    assert tuning.missing(engine) == [lost] == [done.index for done in tuning.tune(engine)]


def test_alembic_proposes_nothing_for_a_tuned_store(engine: sqlalchemy.Engine) -> None:
    """So `glance-manage db sync` of a later Glance, and its test of models against migrations, meet what they know."""
    list(tuning.tune(engine))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, [models.metadata, models.metadef_metadata])
    assert differences == []


def test_the_command_lists_creates_and_removes(url: str) -> None:
    count = len(tuning.INDEXES)
    assert [line.split()[0] for line in run("--connection", url, "--dry-run")] == ["missing"] * count
    assert [line.split()[0] for line in run("--connection", url)] == ["created"] * count
    assert [line.split()[0] for line in run("--connection", url, "--dry-run")] == ["present"] * count
    assert run("--connection", url) == ["nothing to do: all of them are there"]
    assert [line.split()[0] for line in run("--connection", url, "--remove")] == ["dropped"] * count
    assert run("--connection", url, "--remove") == ["nothing to do: there is none of them"]


def test_a_store_without_glances_tables_is_told_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["tune", "--connection", f"rome+lmdb:///{tmp_path}/empty"])
    assert result.exit_code == 1
    assert "run `glance-manage db sync` first" in result.stderr
