"""Engines: one for each URL in a process, with deadlocks that have oslo.db's name."""

from __future__ import annotations

import threading
from typing import Any

import sqlalchemy
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from rome import errors
from rome.orm.deadlock import SessionDeadlock

_MET_ANOTHER = (errors.Conflict, errors.Deadlock, errors.LockNotAvailable)

_lock = threading.Lock()
_engines: dict[str, Engine] = {}


def create_engine(url: str, **options: Any) -> Engine:
    """SQLAlchemy's `create_engine`: one more engine for the store at `url`, with SQLAlchemy's own options."""
    return sqlalchemy.create_engine(url, **options)


def engine_of(url: str) -> Engine:
    """The engine that the Sessions of this process share for `url`, made when first asked for.

    It gives out as many connections as are asked for: a connection costs next to nothing, and a Session that somebody
    left open must never keep another one waiting. What meets another transaction is SessionDeadlock.
    """
    with _lock:
        engine = _engines.get(url)
        if engine is None:
            engine = _engines[url] = create_engine(url, pool_size=0)
            event.listen(engine, "handle_error", _tell_deadlocks)
        return engine


def _tell_deadlocks(context: ExceptionContext) -> None:
    if isinstance(context.original_exception, _MET_ANOTHER):
        raise SessionDeadlock(context.sqlalchemy_exception) from context.original_exception
