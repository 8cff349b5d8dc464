"""Reflection: what SQLAlchemy's Inspector asks, answered from the catalogue of the current transaction, without SQL.

What was declared is what is reflected: types by their declared names, defaults by their text, constraints and
indexes apart. Hidden indexes (made for foreign keys) and the index behind a UNIQUE constraint are not listed. A view
has the columns that its query has now, and no constraints.
"""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import Connection, exc
from sqlalchemy.engine import reflection

from rome.dialect.types import reflected
from rome.errors import DatabaseError
from rome.sql.views import columns_of
from rome.table.schema import Action, Catalog, Check, Column, ForeignKey, Index, Table

_Named = TypeVar("_Named", Check, ForeignKey, Index)


def catalog_of(connection: Connection) -> Catalog:
    """The catalogue that the transaction of `connection` sees."""
    dbapi_connection: Any = connection.connection.dbapi_connection
    catalog: Catalog = dbapi_connection.catalog()
    return catalog


def table_of(connection: Connection, name: str, schema: str | None) -> Table:
    """The table, or what looks like one for the view, called `name`.

    NoSuchTableError when there is none, or for any schema: ROME has none. UnreflectableTableError for a view whose
    query does not fit the tables any more.
    """
    if schema:
        raise exc.NoSuchTableError(f"{schema}.{name}")
    catalog = catalog_of(connection)
    table = catalog.tables.get(_key(name))
    if table is not None:
        return table
    view = catalog.view(_key(name))
    if view is None:
        raise exc.NoSuchTableError(name)
    try:
        columns = columns_of(catalog, view)
    except DatabaseError as error:
        raise exc.UnreflectableTableError(str(error)) from error
    return Table(view.id, view.name, tuple(Column(at, c.name, c.type, c.nullable) for at, c in enumerate(columns)))


def _key(name: str) -> str:
    """The name as the catalogue's key. SQLAlchemy's quoted_name has a `lower` of its own, which does nothing."""
    return str.lower(name)


class Reflection:
    """The reflecting methods of a Dialect."""

    def get_schema_names(self, connection: Connection, **kw: Any) -> list[str]:
        return []

    @reflection.cache
    def get_table_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        return [] if schema else sorted(table.name for table in catalog_of(connection).shared.values())

    @reflection.cache
    def get_view_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        return [] if schema else sorted(view.name for view in catalog_of(connection).views.values())

    @reflection.cache
    def get_view_definition(
        self, connection: Connection, view_name: str, schema: str | None = None, **kw: Any
    ) -> str:
        """The text of the view's query."""
        view = None if schema else catalog_of(connection).view(_key(view_name))
        if view is None:
            raise exc.NoSuchTableError(f"{schema}.{view_name}" if schema else view_name)
        return view.sql

    @reflection.cache
    def get_temp_table_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        return [] if schema else sorted(table.name for table in catalog_of(connection).temporary.values())

    def get_temp_view_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        return []

    @reflection.cache
    def has_table(self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        self._ensure_has_table_connection(connection)  # type: ignore[attr-defined]
        catalog, key = catalog_of(connection), _key(table_name)
        return not schema and (key in catalog.tables or key in catalog.views)

    @reflection.cache
    def get_sequence_names(self, connection: Connection, schema: str | None = None, **kw: Any) -> list[str]:
        return [] if schema else sorted(sequence.name for sequence in catalog_of(connection).sequences.values())

    @reflection.cache
    def has_sequence(self, connection: Connection, sequence_name: str, schema: str | None = None, **kw: Any) -> bool:
        return not schema and _key(sequence_name) in catalog_of(connection).sequences

    @reflection.cache
    def get_columns(self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        return [_column(column) for column in table_of(connection, table_name, schema).columns]

    @reflection.cache
    def get_pk_constraint(self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        table = table_of(connection, table_name, schema)
        return {
            "constrained_columns": list(table.names(table.primary_key)),
            "name": table.primary_key_name,
            "comment": table.primary_key_comment,
        }

    @reflection.cache
    def get_foreign_keys(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[Any]:
        table = table_of(connection, table_name, schema)
        return [
            {
                "name": key.name,
                "constrained_columns": list(table.names(key.columns)),
                "referred_schema": None,
                "referred_table": key.target,
                "referred_columns": list(key.target_columns),
                "options": _options(key),
                "comment": key.comment,
            }
            for key in _by_name(table.foreign_keys)
        ]

    @reflection.cache
    def get_indexes(self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any) -> list[Any]:
        table = table_of(connection, table_name, schema)
        return [
            _index(table, index)
            for index in _by_name(table.indexes)
            if not index.hidden and not index.constraint and not index.building
        ]

    @reflection.cache
    def get_unique_constraints(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[Any]:
        table = table_of(connection, table_name, schema)
        return [
            {"name": index.name, "column_names": list(table.names(index.columns)), "comment": index.comment}
            for index in _by_name(table.indexes)
            if index.constraint
        ]

    @reflection.cache
    def get_check_constraints(
        self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any
    ) -> list[Any]:
        checks = table_of(connection, table_name, schema).checks
        return [{"name": check.name, "sqltext": check.sql, "comment": check.comment} for check in _by_name(checks)]

    @reflection.cache
    def get_table_comment(self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        return {"text": table_of(connection, table_name, schema).comment}

    @reflection.cache
    def get_table_options(self, connection: Connection, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        """None: a table has no options. Raises NoSuchTableError."""
        table_of(connection, table_name, schema)
        return {}


def _column(column: Column) -> dict[str, Any]:
    """A column as the Inspector shows it; what it has no word for is left out."""
    found: dict[str, Any] = {
        "name": column.name,
        "type": reflected(column.type),
        "nullable": column.nullable,
        "default": column.default,
        "autoincrement": column.autoincrement,
        "comment": column.comment,
    }
    if column.computed is not None:
        found["computed"] = {"sqltext": column.computed.sql, "persisted": column.computed.stored}
    if column.identity is not None:
        numbers = column.identity.numbers
        found["identity"] = {
            "always": column.identity.always,
            "start": numbers.start,
            "increment": numbers.increment,
            "minvalue": numbers.minimum,
            "maxvalue": numbers.maximum,
            "cycle": numbers.cycle,
            "cache": numbers.cache or 1,
        }
    return found


def _by_name(named: tuple[_Named, ...]) -> list[_Named]:
    """Constraints and indexes in the order of their names, as other dialects list them; those without come first."""
    return sorted(named, key=lambda each: each.name or "")


def _index(table: Table, index: Index) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": index.name,
        "column_names": list(table.names(index.columns)),
        "unique": index.unique,
        "dialect_options": {},
    }
    if index.descending:
        found["column_sorting"] = {name: ("desc",) for name in table.names(index.descending)}
    return found


def _options(key: ForeignKey) -> dict[str, Any]:
    """What SQLAlchemy calls options: actions that do something, and what was said of when it is checked."""
    actions = {"ondelete": key.on_delete, "onupdate": key.on_update}
    options: dict[str, Any] = {option: action for option, action in actions.items() if action != Action.NO_ACTION}
    if key.deferrable is not None:
        options["deferrable"] = key.deferrable
    if key.initially is not None:
        options["initially"] = key.initially
    return options
