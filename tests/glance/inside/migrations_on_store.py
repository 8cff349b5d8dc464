"""Glance's alembic walk and models-against-migrations tests, on the store at ROME_GLANCE_BASE_URL.

Glance runs these two mixins on SQLite, MySQL and PostgreSQL, through the databases that oslo.db provisions for tests.
Here oslo.db learns to provision a database on a ROME store: it is a namespace, and comes into being when it is used.
"""

from __future__ import annotations

import os

import sqlalchemy
from glance.tests import utils as glance_tests
from glance.tests.functional.db import test_migrations as shipped
from oslo_db.sqlalchemy import provision, test_fixtures, test_migrations
from sqlalchemy.engine import URL

from tests.glance.inside.databases import database_url

BASE = os.environ["ROME_GLANCE_BASE_URL"]
BACKEND = sqlalchemy.make_url(BASE).get_backend_name()


class NamespaceProvision(provision.BackendImpl):
    """A provisioned database is a namespace of the store; there is nothing to create."""

    def create_opportunistic_driver_url(self) -> str:
        return BASE

    def create_named_database(self, engine: sqlalchemy.Engine, ident: str, conditional: bool = False) -> None:
        """Nothing to do: the namespace comes into being with its first table."""

    def drop_named_database(self, engine: sqlalchemy.Engine, ident: str, conditional: bool = False) -> None:
        provisioned = sqlalchemy.create_engine(self.provisioned_database_url(engine.url, ident))
        self.drop_all_objects(provisioned)
        provisioned.dispose()

    def database_exists(self, engine: sqlalchemy.Engine, ident: str) -> bool:
        return True

    def drop_all_objects(self, engine: sqlalchemy.Engine) -> None:
        """Drop the tables, those that refer to others first; oslo.db itself would drop foreign keys by name."""
        metadata = sqlalchemy.MetaData()
        with engine.begin() as connection:
            metadata.reflect(connection)
            metadata.drop_all(connection)

    def provisioned_database_url(self, base_url: URL, ident: str) -> URL:
        return database_url(base_url.render_as_string(hide_password=False), ident)


if BACKEND != "sqlite":  # which oslo.db knows how to provision
    provision.BackendImpl.impl.dispatch_for(BACKEND)(NamespaceProvision)
    provision.Backend.backends_by_database_type[BACKEND] = provision.Backend(BACKEND, sqlalchemy.make_url(BASE))


class StoreFixture(test_fixtures.OpportunisticDbFixture):
    DRIVER = BACKEND


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
