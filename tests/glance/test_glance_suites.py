"""Glance's own database tests pass on every store, all of them, as its wheel ships them.

The counts are those of Glance 33.0.0 and are exact: a test that is no longer collected is a failure too.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.glance.stores import EVERY_STORE, glance_store
from tests.glance.suite import INSIDE, run_suite

DATABASE_TESTS = 252
MIGRATION_TESTS = 2
REVISION_TESTS = 14
MYSQL_ONLY = {
    # MySQL lists a UNIQUE constraint among the indexes
    "::Test2024_1Expand01Mixin::test_walk_versions",
    # the data migration to Ocata calls its own functions without an argument, whenever it finds rows to migrate
    "::TestOcataContract01Mixin::test_walk_versions",
    # triggers, which Glance makes on MySQL alone
    "::TestOcataExpand01Mixin::test_walk_versions",
}


@pytest.mark.parametrize("store", EVERY_STORE)
class TestDatabase:
    def test_every_database_test_of_glance_passes(self, store: str, tmp_path: Path) -> None:
        with glance_store(store, tmp_path) as url:
            outcome = run_suite(["glance/tests/functional/db/test_sqlalchemy.py"], tmp_path, url, timeout_s=900)
        assert len(outcome.passed) == outcome.total == DATABASE_TESTS, str(outcome)


@pytest.mark.parametrize("store", EVERY_STORE)
class TestMigrations:
    def test_every_alembic_revision_runs_and_leaves_what_the_models_say(self, store: str, tmp_path: Path) -> None:
        with glance_store(store, tmp_path) as url:
            outcome = run_suite([str(INSIDE / "migrations_on_store.py")], tmp_path, url, timeout_s=300)
        assert len(outcome.passed) == outcome.total == MIGRATION_TESTS, str(outcome)

    def test_every_test_of_a_single_revision_passes_that_is_not_mysqls_own(self, store: str, tmp_path: Path) -> None:
        with glance_store(store, tmp_path) as url:
            outcome = run_suite([str(INSIDE / "revisions_on_store.py")], tmp_path, url, timeout_s=600)
        assert outcome.total == REVISION_TESTS, str(outcome)
        assert set(outcome.failed) == MYSQL_ONLY and not outcome.skipped, str(outcome)
