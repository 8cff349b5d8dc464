"""Nova's alembic walks and models-against-migrations tests, both databases, on the store at ROME_NOVA_BASE_URL."""

from __future__ import annotations

import os

from nova.tests.unit.db.api import test_migrations as api
from nova.tests.unit.db.main import test_migrations as main
from oslo_db.sqlalchemy import test_fixtures
from oslotest import base

from tests.glance.inside.provision import store_fixture

StoreFixture = store_fixture(os.environ["ROME_NOVA_BASE_URL"])


class OnStore(test_fixtures.OpportunisticDBTestMixin):
    FIXTURE = StoreFixture
    SKIP_ON_UNAVAILABLE_DB = False


class TestApiWalk(OnStore, api.NovaMigrationsWalk):
    """Every revision of the API database, one after the other."""


class TestMainWalk(OnStore, main.NovaMigrationsWalk):
    """Every revision of a cell's database."""


class TestApiModels(api.NovaModelsMigrationsSync, OnStore, base.BaseTestCase):
    """What the revisions leave is what the models say."""


class TestMainModels(main.NovaModelsMigrationsSync, OnStore, base.BaseTestCase):
    """The same for a cell's database."""
