"""Glance's alembic walk and models-against-migrations tests, on the store at ROME_GLANCE_BASE_URL.

Glance runs these two mixins on SQLite, MySQL and PostgreSQL, through the databases that oslo.db provisions for tests.
"""

from __future__ import annotations

import os

from glance.tests import utils as glance_tests
from glance.tests.functional.db import test_migrations as shipped
from oslo_db.sqlalchemy import test_fixtures, test_migrations

from tests.glance.inside.provision import store_fixture

StoreFixture = store_fixture(os.environ["ROME_GLANCE_BASE_URL"])


class TestMigrationsOnStore(
    test_fixtures.OpportunisticDBTestMixin, shipped.AlembicMigrationsMixin, glance_tests.BaseTestCase
):
    FIXTURE = StoreFixture
    SKIP_ON_UNAVAILABLE_DB = False


class TestModelsAgainstMigrationsOnStore(
    shipped.ModelsMigrationSyncMixin,
    test_migrations.ModelsMigrationsSync,
    test_fixtures.OpportunisticDBTestMixin,
    glance_tests.BaseTestCase,
):
    FIXTURE = StoreFixture
    SKIP_ON_UNAVAILABLE_DB = False
