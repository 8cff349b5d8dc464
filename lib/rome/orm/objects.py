"""Tables as the first version's drivers had them: dictionaries by key, without Sessions and without SQL.

A table that the store has, or that a class of `global_scope` maps, is that table: its rows are the dictionaries, their
primary keys the keys (a tuple where it has several columns). A table of any other name holds whatever JSON can say, in
two tables of this module's own; its keys are text or whole numbers. Every call is one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy import JSON, Column, Connection, Engine, Integer, MetaData, String, Table, inspect, select
from sqlalchemy import exc as sqlalchemy_exc

from rome.orm.configuration import default_url
from rome.orm.deadlock import retry_on_db_deadlock
from rome.orm.engines import engine_of
from rome.orm.entity import classes
from rome.orm.first_use import make_tables
from rome.orm.json_values import Decoder, Encoder

Key = Any
R = TypeVar("R")

VERSION = "___version_number"  # what a stored dictionary has besides its own

_metadata = MetaData()
_tables = Table(
    "rome_object_tables",
    _metadata,
    Column("name", String(255), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("last_key", Integer, nullable=False),
)
_objects = Table(
    "rome_objects",
    _metadata,
    Column("table_name", String(255), primary_key=True),
    Column("key", String(255), primary_key=True),  # as JSON, which tells 1 from "1"
    Column("version", Integer, nullable=False),
    Column("value", JSON(none_as_null=True)),  # NULL: removed, and the version stays
)


def get_driver() -> ObjectDriver:
    """The tables of the store that a Session without a bind is on."""
    return ObjectDriver(engine_of(default_url()))


class ObjectDriver:
    """The tables of one store as dictionaries. Dates and networks are as `rome.orm.Encoder` writes them.

    A hint is a pair of a column and a value: an object that has one of the hints' values is meant. On a mapped table an
    index on the column (`secondary_index_decorator`) makes it quick.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def next_key(self, tablename: str) -> int:
        """A key that this never gave before, and that is greater than every whole number among the keys."""

        def take(connection: Connection, table: Table | None) -> int:
            row = _entry(connection, tablename)
            if table is None:
                used = [key for key in _keys(connection, tablename) if isinstance(key, int)]
            else:
                used = [key for key in connection.scalars(select(*table.primary_key)) if isinstance(key, int)]
            key = int(max(row.last_key, *used, 0)) + 1
            _set_entry(connection, tablename, row.version, key)
            return key

        return self._run(tablename, take)

    def add_key(self, tablename: str, key: Key) -> None:
        """Nothing: `put` made the key known. The first version's callers say both."""

    def keys(self, tablename: str) -> list[Key]:
        """The keys of the table, in order, numbers before text."""

        def read(connection: Connection, table: Table | None) -> list[Key]:
            if table is None:
                return _keys(connection, tablename)
            rows = connection.execute(select(*table.primary_key).order_by(*table.primary_key))
            return [_key_of(row) for row in rows]

        return self._run(tablename, read)

    def put(
        self, tablename: str, key: Key, value: Mapping[str, Any], secondary_indexes: Iterable[str] | None = None
    ) -> dict[str, Any]:
        """Insert or replace the object at `key`; what is stored now. On a mapped table, columns not given are kept.

        The table's indexes are kept in any case: `secondary_indexes` must name columns or keys of the value.
        """
        unknown = [each for each in secondary_indexes or () if each not in value]
        if unknown:
            raise sqlalchemy_exc.ArgumentError(f"the value has no {unknown[0]!r} to be found by")
        given = {name: each for name, each in value.items() if name != VERSION}

        def write(connection: Connection, table: Table | None) -> dict[str, Any]:
            if table is None:
                return _put_object(connection, tablename, key, given)
            _put_row(connection, table, key, given)
            return self._get(connection, table, tablename, key) or {}

        return self._run(tablename, write)

    def remove_key(self, tablename: str, key: Key) -> None:
        """Delete the object at `key`, if there is one."""

        def delete(connection: Connection, table: Table | None) -> None:
            if table is not None:
                connection.execute(table.delete().where(*_is(table, key)))
            elif self._get(connection, table, tablename, key) is not None:
                _put_object(connection, tablename, key, None)

        self._run(tablename, delete)

    def get(self, tablename: str, key: Key, hint: tuple[str, Any] | None = None) -> dict[str, Any] | None:
        """The object at `key`, or with a hint the first that has it; None if there is none."""
        if hint is not None:
            return next(iter(self.getall(tablename, [hint])), None)
        return self._run(tablename, lambda connection, table: self._get(connection, table, tablename, key))

    def getall(self, tablename: str, hints: Iterable[tuple[str, Any]] | None = None) -> list[dict[str, Any]]:
        """All objects in the order of their keys, or those that have one of the hints."""
        wanted = [(name, value) for name, value in hints or ()]

        def read(connection: Connection, table: Table | None) -> list[dict[str, Any]]:
            if table is None:
                found = [self._get(connection, None, tablename, key) for key in _keys(connection, tablename)]
                objects = [each for each in found if each is not None]
                alike = [each for each in objects if any(each.get(name) == value for name, value in wanted)]
                return alike if wanted else objects
            query = select(table).order_by(*table.primary_key)
            if wanted:
                first, *others = [_column(table, name) == Decoder().decode(value) for name, value in wanted]
                for other in others:
                    first = first | other
                query = query.where(first)
            return [_encoded(row._mapping) for row in connection.execute(query)]

        return self._run(tablename, read)

    def get_version_number(self, tablename: str) -> int:
        """How often something in the table was changed. A mapped table has no such number: NotImplementedError."""

        def read(connection: Connection, table: Table | None) -> int:
            _refuse_rows(table)
            return int(_entry(connection, tablename).version)

        return self._run(tablename, read)

    def get_object_version_number(self, tablename: str, key: Key) -> int:
        """How often the object was put or removed, 0 for never. A row of a mapped table has no such number."""

        def read(connection: Connection, table: Table | None) -> int:
            _refuse_rows(table)
            where = (_objects.c.table_name == tablename, _objects.c.key == _stored_key(key))
            return connection.scalar(select(_objects.c.version).where(*where)) or 0

        return self._run(tablename, read)

    def _get(self, connection: Connection, table: Table | None, tablename: str, key: Key) -> dict[str, Any] | None:
        if table is not None:
            row = connection.execute(select(table).where(*_is(table, key))).first()
            return None if row is None else _encoded(row._mapping)
        where = (_objects.c.table_name == tablename, _objects.c.key == _stored_key(key))
        found = connection.execute(select(_objects.c.value, _objects.c.version).where(*where)).first()
        return None if found is None or found.value is None else {**found.value, VERSION: found.version}

    def _run(self, tablename: str, work: Callable[[Connection, Table | None], R]) -> R:
        """`work` in a transaction, with the table of that name if there is one."""

        @retry_on_db_deadlock
        def transact() -> R:
            with self._engine.begin() as connection:
                return work(connection, self._table(connection, tablename))

        make_tables(self._engine, {_metadata})
        if tablename in classes:
            make_tables(self._engine, {inspect(classes[tablename]).local_table.metadata})
        return transact()

    def _table(self, connection: Connection, tablename: str) -> Table | None:
        if tablename in classes:
            return inspect(classes[tablename]).local_table
        if tablename in _metadata.tables:
            raise sqlalchemy_exc.ArgumentError(f"the table {tablename!r} is where these objects themselves are kept")
        if not inspect(connection).has_table(tablename):
            return None
        return Table(tablename, MetaData(), autoload_with=connection, resolve_fks=False)


# ---- rows of a table


def _key_of(row: Any) -> Key:
    return row[0] if len(row) == 1 else tuple(row)


def _is(table: Table, key: Key) -> list[Any]:
    """The conditions that a row has the primary key `key`."""
    columns = list(table.primary_key)
    parts = key if isinstance(key, tuple) else (key,)
    if not columns or len(parts) != len(columns):
        raise sqlalchemy_exc.ArgumentError(f"a key of {table.name!r} has {len(columns)} parts, not {key!r}")
    return [column == _fitting(column, part) for column, part in zip(columns, parts, strict=True)]


def _fitting(column: Column[Any], part: Any) -> Any:
    """Keys often come back as text from where they were kept."""
    if isinstance(part, str) and column.type.python_type is int:
        return int(part)
    return part


def _column(table: Table, name: str) -> Column[Any]:
    if name not in table.columns:
        raise sqlalchemy_exc.ArgumentError(f"the table {table.name!r} has no column {name!r}")
    return table.columns[name]


def _put_row(connection: Connection, table: Table, key: Key, value: Mapping[str, Any]) -> None:
    given = {_column(table, name): Decoder().decode(each) for name, each in value.items()}
    parts = key if isinstance(key, tuple) else (key,)
    where = _is(table, key)
    for column, part in zip(table.primary_key, parts, strict=True):
        given[column] = _fitting(column, part)
    if connection.execute(select(*table.primary_key).where(*where)).first() is None:
        connection.execute(table.insert().values(given))
    else:
        connection.execute(table.update().where(*where).values(given))


def _encoded(row: Any) -> dict[str, Any]:
    encoder = Encoder()
    return {name: encoder.encode(value) for name, value in row.items()}


def _refuse_rows(table: Table | None) -> None:
    if table is not None:
        raise NotImplementedError(
            f"the rows of {table.name!r} have no version numbers: the store keeps versions of its own, and every "
            "transaction compares them when it commits"
        )


# ---- objects that are in no table


def _stored_key(key: Key) -> str:
    if not isinstance(key, int | str) or isinstance(key, bool):
        raise sqlalchemy_exc.ArgumentError(f"a key is text or a whole number, not {key!r}")
    return json.dumps(key)


def _keys(connection: Connection, tablename: str) -> list[Key]:
    query = select(_objects.c.key, _objects.c.value).where(_objects.c.table_name == tablename)
    keys = [json.loads(row.key) for row in connection.execute(query) if row.value is not None]
    return sorted(keys, key=lambda key: (isinstance(key, str), key))


def _entry(connection: Connection, tablename: str) -> Any:
    found = connection.execute(select(_tables).where(_tables.c.name == tablename)).first()
    if found is None:
        connection.execute(_tables.insert().values(name=tablename, version=0, last_key=0))
        return _entry(connection, tablename)
    return found


def _set_entry(connection: Connection, tablename: str, version: int, last_key: int) -> None:
    change = _tables.update().where(_tables.c.name == tablename)
    connection.execute(change.values(version=version, last_key=last_key))


def _put_object(
    connection: Connection, tablename: str, key: Key, value: Mapping[str, Any] | None
) -> dict[str, Any]:
    stored = _stored_key(key)
    where = (_objects.c.table_name == tablename, _objects.c.key == stored)
    version = connection.scalar(select(_objects.c.version).where(*where))
    plain = None if value is None else Encoder().encode(Decoder().decode(value))
    if version is None:
        connection.execute(_objects.insert().values(table_name=tablename, key=stored, version=1, value=plain))
    else:
        connection.execute(_objects.update().where(*where).values(version=version + 1, value=plain))
    entry = _entry(connection, tablename)
    _set_entry(connection, tablename, entry.version + 1, entry.last_key)
    return {**(plain or {}), VERSION: (version or 0) + 1}
