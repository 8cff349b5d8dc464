"""The SQLAlchemy dialect: `create_engine("rome+lmdb:////var/lib/glance/rome")`.

    dialect      what SQLAlchemy may expect, connections, isolation
    compiler     statements as text
    ddl          definitions as text
    dml          INSERT … ON CONFLICT
    json         what stands in JSON columns
    types        types as text, and the few values that need converting
    reflection   the Inspector's questions, answered from the catalogue
    alembic      migrations, registered when alembic is installed
    oslo         exception filters, registered when oslo.db is installed
"""

from __future__ import annotations

from rome.dialect import alembic, oslo
from rome.dialect.dialect import (
    RomeDialect,
    RomeEtcdDialect,
    RomeEtcdsDialect,
    RomeLmdbDialect,
    RomeMemoryDialect,
    RomeRedisDialect,
    RomeRedissDialect,
)
from rome.dialect.dml import Insert, insert

__all__ = [
    "Insert",
    "RomeDialect",
    "RomeEtcdDialect",
    "RomeEtcdsDialect",
    "RomeLmdbDialect",
    "RomeMemoryDialect",
    "RomeRedisDialect",
    "RomeRedissDialect",
    "alembic",
    "insert",
    "oslo",
]
