"""Leads every engine that oslo.db would open on an SQLite file to a database on another store.

Glance's REST tests write the URL of an SQLite file into their configuration, each its own. Wrapping the one function
with which oslo.db opens engines moves them all, and two processes that name the same file meet in the same database.
The file itself stays, empty: the integration tests copy it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oslo_db.sqlalchemy import engines
from sqlalchemy.engine import make_url

from tests.glance.inside.databases import database_url


def redirect_sqlite_files(base: str) -> None:
    """From now on, in this process, a file's URL opens the database named after the file on the store at `base`."""
    engines.create_engine = _redirected(engines.create_engine, base)


def _redirected(create_engine: Callable[..., Any], base: str) -> Callable[..., Any]:
    @functools.wraps(create_engine)
    def create(sql_connection: Any, *args: Any, **kwargs: Any) -> Any:
        url = make_url(sql_connection)
        if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
            name = hashlib.sha256(str(Path(url.database).resolve()).encode()).hexdigest()[:16]
            Path(url.database).touch()
            sql_connection = database_url(base, name).render_as_string(hide_password=False)
        return create_engine(sql_connection, *args, **kwargs)

    return create
