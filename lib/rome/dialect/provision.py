"""What SQLAlchemy's test runner asks of a dialect before and between tests; `sqlalchemy.testing` loads it by its name.

With pytest-xdist each process has a store of its own: one named as the process in memory, on LMDB, Redis or etcd.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, make_url
from sqlalchemy.testing.provision import create_db, drop_db, follower_url_from_main, temp_table_keyword_args


@create_db.for_db("rome")
def create_store(cfg: Any, eng: Any, ident: str) -> None:
    """A store is made when it is first opened."""


@drop_db.for_db("rome")
def drop_store(cfg: Any, eng: Any, ident: str) -> None:
    """The suite has dropped its tables; the store goes with its directory or its server."""


@follower_url_from_main.for_db("rome")
def follower_url(url: URL | str, ident: str) -> URL:
    """The URL of the store of the process `ident`, beside the one that was asked for."""
    main = make_url(url)
    return main.set(database=f"{main.database or ''}{ident}")


@temp_table_keyword_args.for_db("rome")
def temporary_table_arguments(cfg: Any, eng: Any) -> dict[str, Any]:
    """The keyword arguments that make a Table a temporary one."""
    return {"prefixes": ["TEMPORARY"]}
