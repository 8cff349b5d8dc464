"""ROME's capabilities for SQLAlchemy's own tests, which ask for more than the compliance suite does."""

from sqlalchemy.testing import exclusions
from test.requirements import DefaultRequirements

from rome.dialect.requirements import Requirements


class BackendRequirements(Requirements, DefaultRequirements):
    """What ROME says of itself; for the rest, SQLAlchemy's answers to a database that it does not know."""

    @property
    def two_phase_transactions(self):
        return exclusions.closed("a transaction commits in one step")
