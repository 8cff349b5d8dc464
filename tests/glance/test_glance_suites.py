"""Glance's own database tests pass on every store, all of them, as its wheel ships them.

The counts are those of Glance 33.0.0 and are exact: a test that is no longer collected is a failure too.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.glance.stores import URLS, store_url
from tests.glance.suite import INSIDE, run_suite

DATABASE_TESTS = 252
MIGRATION_TESTS = 2


@pytest.mark.parametrize("store", URLS)
class TestGlance:
    def test_every_database_test_of_glance_passes(self, store: str, tmp_path: Path) -> None:
        url = store_url(store, tmp_path)
        outcome = run_suite(["glance/tests/functional/db/test_sqlalchemy.py"], tmp_path, url, timeout_s=900)
        assert len(outcome.passed) == outcome.total == DATABASE_TESTS, str(outcome)

    def test_every_alembic_revision_runs_and_leaves_what_the_models_say(self, store: str, tmp_path: Path) -> None:
        url = store_url(store, tmp_path)
        outcome = run_suite([str(INSIDE / "migrations_on_store.py")], tmp_path, url, timeout_s=300)
        assert len(outcome.passed) == outcome.total == MIGRATION_TESTS, str(outcome)
