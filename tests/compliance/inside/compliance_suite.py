"""SQLAlchemy's compliance suite for dialects, all of it, as its wheel ships it.

One fixture is not marked with what it requires: `use_schema_fixture` asks every database for a schema.
"""

from sqlalchemy.testing import fixture
from sqlalchemy.testing.suite import *  # noqa: F403
from sqlalchemy.testing.suite import ComponentReflectionTestExtra as _ComponentReflectionTestExtra


class ComponentReflectionTestExtra(_ComponentReflectionTestExtra):
    @fixture(params=[False])
    def use_schema_fixture(self, request):
        return None
