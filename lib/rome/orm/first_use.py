"""Tables that appear when they are first used.

The first statement that touches a table makes all tables of its MetaData that the store has not. A table that is
dropped through SQLAlchemy appears again; whoever drops it by SQL text of his own makes it again himself.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, Table, event, exc

from rome.orm.deadlock import retry_on_db_deadlock

SECONDARY = "rome_secondary_index"  # in `Index.info`: to be made on tables that are there already, too
MAX_RACES = 5  # each is lost to another process that made a table

_lock = threading.RLock()
_ready: weakref.WeakKeyDictionary[Engine, weakref.WeakKeyDictionary[MetaData, int]] = weakref.WeakKeyDictionary()
_listening: weakref.WeakSet[Any] = weakref.WeakSet()


def make_tables(engine: Engine, used: Iterable[MetaData]) -> None:
    """Make what the store of `engine` has not of the tables of `used`, in a transaction of its own."""
    for metadata in missing(engine, used):
        _make(engine, metadata)


def make_tables_within(connection: Connection, used: Iterable[MetaData]) -> None:
    """The same within the transaction of `connection`, which has looked at the store before and sees it as it was."""
    for metadata in missing(connection.engine, used):
        _create(connection, metadata)


def missing(engine: Engine, used: Iterable[MetaData]) -> list[MetaData]:
    """Those of `used` that the store of `engine` was not made to have."""
    ready = _ready.get(engine)
    return [metadata for metadata in used if ready is None or ready.get(metadata) != len(metadata.tables)]


def forget(metadata: MetaData) -> None:
    """Look again at what the stores have of `metadata`: something was dropped, or an index declared."""
    with _lock:
        for ready in _ready.values():
            ready.pop(metadata, None)


def _make(engine: Engine, metadata: MetaData) -> None:
    with _lock:
        size = len(metadata.tables)
        for race in range(MAX_RACES):
            try:
                retry_on_db_deadlock(_create)(engine, metadata)
                break
            except exc.ProgrammingError as error:
                if getattr(error.orig, "sqlstate", "") not in ("42P07", "42710") or race == MAX_RACES - 1:
                    raise
        for each in (metadata, *metadata.tables.values()):
            if each not in _listening:
                event.listen(each, "after_drop", _dropped)
                _listening.add(each)
        _ready.setdefault(engine, weakref.WeakKeyDictionary())[metadata] = size


def _create(bind: Engine | Connection, metadata: MetaData) -> None:
    metadata.create_all(bind)
    for table in metadata.tables.values():
        for index in table.indexes:
            if index.info.get(SECONDARY):
                index.create(bind, checkfirst=True)


def _dropped(target: MetaData | Table, connection: object, **options: object) -> None:
    forget(target if isinstance(target, MetaData) else target.metadata)
