"""SQLAlchemy's dialects, registered as the distribution does it: tests also run from a checkout not installed."""

from __future__ import annotations

from sqlalchemy.dialects import registry

for name, dialect in (
    ("rome.memory", "RomeMemoryDialect"),
    ("rome.lmdb", "RomeLmdbDialect"),
    ("rome.redis", "RomeRedisDialect"),
    ("rome.rediss", "RomeRedissDialect"),
):
    registry.register(name, "rome.dialect", dialect)
