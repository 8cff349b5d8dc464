"""SQLAlchemy's Session and Query, bound to a ROME URL.

    session = Session("rome+lmdb:////var/lib/glance/rome")

They are SQLAlchemy's own classes in every respect but two: a Session takes a URL (or an Engine, as `bind`), the engines
of one process being shared by URL; and `begin` takes a lease that its transaction runs under.
"""

from __future__ import annotations

import threading
from typing import Any

import sqlalchemy
from sqlalchemy import Engine
from sqlalchemy import exc as sqlalchemy_exc
from sqlalchemy import orm as sqlalchemy_orm

from rome.lock import Lease

Query = sqlalchemy_orm.Query

_lock = threading.Lock()
_engines: dict[str, Engine] = {}


def create_engine(url: str, **options: Any) -> Engine:
    """SQLAlchemy's `create_engine`: one more engine for the store at `url`, with SQLAlchemy's own options."""
    return sqlalchemy.create_engine(url, **options)


def engine_of(url: str) -> Engine:
    """The engine that the Sessions of this process share for `url`, made when first asked for."""
    with _lock:
        engine = _engines.get(url)
        if engine is None:
            engine = _engines[url] = create_engine(url)
        return engine


class Session(sqlalchemy_orm.Session):
    """SQLAlchemy's Session; its first argument may be a store URL."""

    def __init__(self, bind: str | Engine | sqlalchemy.Connection | None = None, **options: Any) -> None:
        super().__init__(engine_of(bind) if isinstance(bind, str) else bind, **options)

    def begin(self, nested: bool = False, *, under: Lease | None = None) -> sqlalchemy_orm.SessionTransaction:
        """SQLAlchemy's `begin`. `under` is a lease of `rome.lock` for this one transaction.

        Its commit is LeaseLost, and nothing is written, if the lease is held no more when it reaches the store. With
        other Session classes say `session.connection(execution_options={"rome_lease": lease})` first of all.
        """
        if nested and under is not None:
            raise sqlalchemy_exc.InvalidRequestError("a whole transaction runs under a lease, not a savepoint of one")
        transaction = super().begin(nested)
        if under is not None:
            try:
                self.connection(execution_options={"rome_lease": under})
            except BaseException:
                transaction.close()
                raise
        return transaction


__all__ = ["Query", "Session", "create_engine", "engine_of"]
