"""Glance's tests of single alembic revisions, on the store at ROME_GLANCE_BASE_URL.

Glance's wheel has one mixin for each, and classes that run it on MySQL, some on SQLite and PostgreSQL too. Here each
mixin gets one more class.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from glance.tests import utils as glance_tests
from glance.tests.functional.db import migrations
from oslo_db.sqlalchemy import test_fixtures

from tests.glance.inside.migrations_on_store import StoreFixture


def on_store(module: ModuleType) -> dict[str, type]:
    """A test class for each mixin that `module` defines."""
    return {
        name: type(
            name,
            (test_fixtures.OpportunisticDBTestMixin, mixin, glance_tests.BaseTestCase),
            {"FIXTURE": StoreFixture, "SKIP_ON_UNAVAILABLE_DB": False},
        )
        for name, mixin in vars(module).items()
        if name.endswith("Mixin") and mixin.__module__ == module.__name__
    }


for found in pkgutil.iter_modules(migrations.__path__):
    globals().update(on_store(importlib.import_module(f"{migrations.__name__}.{found.name}")))
