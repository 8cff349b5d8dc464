"""Glance's own database tests pass on a Redis server, all of them, as its wheel ships them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.glance.suite import INSIDE, run_suite
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

DATABASE_TESTS = 252
MIGRATION_TESTS = 2


def test_every_database_test_of_glance_passes(server: RedisServer, tmp_path: Path) -> None:
    url = server.url("glance-database")
    outcome = run_suite(["glance/tests/functional/db/test_sqlalchemy.py"], tmp_path, url, timeout_s=900)
    assert len(outcome.passed) == outcome.total == DATABASE_TESTS, str(outcome)


def test_every_alembic_revision_runs_and_leaves_what_the_models_say(server: RedisServer, tmp_path: Path) -> None:
    url = server.url("glance-migrations")
    outcome = run_suite([str(INSIDE / "migrations_on_store.py")], tmp_path, url, timeout_s=300)
    assert len(outcome.passed) == outcome.total == MIGRATION_TESTS, str(outcome)
