"""EXPLAIN as a function: how a statement is, or was, executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

from sqlalchemy import Connection as SQLAlchemyConnection

from rome import dbapi


def explain(
    connection: str | dbapi.Connection | SQLAlchemyConnection,
    sql: str,
    parameters: Mapping[str, object] | Sequence[object] = (),
    *,
    analyze: bool = False,
) -> str:
    """The plan of `sql` as text, one operator a line.

    `connection` is a store URL, a `rome.dbapi` connection or a SQLAlchemy one. With `analyze` the statement is executed
    (in the transaction of the connection; rolled back for a URL) and the text shows waves, keys and rows.
    Raises what `Cursor.execute` raises.
    """
    if isinstance(connection, str):
        with closing(dbapi.connect(connection)) as opened:
            return _explain(opened, sql, parameters, analyze)
    if isinstance(connection, SQLAlchemyConnection):
        pooled = connection.connection.dbapi_connection
        if not isinstance(pooled, dbapi.Connection):
            raise dbapi.InterfaceError("this connection is not to a store of ROME")
        connection = pooled
    return _explain(connection, sql, parameters, analyze)


def _explain(
    connection: dbapi.Connection, sql: str, parameters: Mapping[str, object] | Sequence[object], analyze: bool
) -> str:
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"EXPLAIN {'ANALYZE ' if analyze else ''}{sql}", parameters)
        return "\n".join(str(row[0]) for row in cursor.fetchall())
