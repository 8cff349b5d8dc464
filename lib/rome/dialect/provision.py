"""What SQLAlchemy's test runner asks of a dialect before and between tests; `sqlalchemy.testing` loads it by its name.

With pytest-xdist each process has a store of its own: one named as the process in memory, on LMDB, Redis or etcd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import URL, Engine, Table, inspect, make_url
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.testing.provision import (
    create_db,
    drop_db,
    follower_url_from_main,
    stop_test_class_outside_fixtures,
    temp_table_keyword_args,
    upsert,
)

from rome.dialect.dml import insert


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


@stop_test_class_outside_fixtures.for_db("rome")
def drop_what_is_left(cfg: Any, eng: Engine, testcls: type) -> None:
    """Drop the tables that a class of tests has left.

    SQLAlchemy drops tables that reference each other by the names of their foreign keys; where these have none, the
    tables stay and stand in the way of the next class.
    """
    names = inspect(eng).get_table_names()
    if names:
        quoted = ", ".join(map(eng.dialect.identifier_preparer.quote, names))
        with eng.begin() as connection:
            connection.exec_driver_sql(f"DROP TABLE {quoted}")


@temp_table_keyword_args.for_db("rome")
def temporary_table_arguments(cfg: Any, eng: Any) -> dict[str, Any]:
    """The keyword arguments that make a Table a temporary one."""
    return {"prefixes": ["TEMPORARY"]}


@upsert.for_db("rome")
def upsert_statement(
    cfg: Any,
    table: Table,
    returning: Sequence[Any],
    *,
    set_lambda: Callable[[Any], Any] | None = None,
    sort_by_parameter_order: bool = False,
    index_elements: Sequence[Any] | None = None,
) -> ReturningInsert[Any]:
    """An INSERT that updates the row it meets, as `set_lambda(excluded)` says, or else leaves it."""
    statement = insert(table)
    if set_lambda:
        statement = statement.on_conflict_do_update(set_=set_lambda(statement.excluded), index_elements=index_elements)
    else:
        statement = statement.on_conflict_do_nothing()
    return statement.returning(*returning, sort_by_parameter_order=sort_by_parameter_order)
