"""Databases on a ROME store for the tests that oslo.db provisions one for: a namespace each."""

from __future__ import annotations

import sqlalchemy
from oslo_db.sqlalchemy import provision, test_fixtures
from sqlalchemy.engine import URL

from tests.glance.inside.databases import database_url


class NamespaceProvision(provision.BackendImpl):
    """A provisioned database is a namespace of the store; there is nothing to create."""

    def create_opportunistic_driver_url(self) -> str:
        raise NotImplementedError("the backend is registered with its URL")

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


def store_fixture(base: str) -> type[test_fixtures.OpportunisticDbFixture]:
    """The FIXTURE of an oslo.db test that runs on the store at `base`."""
    backend = sqlalchemy.make_url(base).get_backend_name()
    if backend != "sqlite":  # which oslo.db knows how to provision
        provision.BackendImpl.impl.dispatch_for(backend)(NamespaceProvision)
        provision.Backend.backends_by_database_type[backend] = provision.Backend(backend, sqlalchemy.make_url(base))
    return type("StoreFixture", (test_fixtures.OpportunisticDbFixture,), {"DRIVER": backend})
