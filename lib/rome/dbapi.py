"""PEP 249: `rome.dbapi.connect("rome+lmdb:////var/lib/glance/rome")`.

Parameters are named (`:name`, given as a mapping) or, where the text has `?`, positional (given as a sequence). Values
are the native Python values that rome.values lists. Threads may share the module but not a connection; a connection
that two threads use at once says so instead of breaking.

Beyond PEP 249: `Connection.begin()`, `lease`, `autocommit`, `isolation_level`, `catalog()`, `ping()`, `counters`;
`Cursor.executemany` of a statement with RETURNING gives the rows in the order of the parameters.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, NoReturn, Protocol

from rome.config import StoreURL, parse
from rome.conversation import Conversation
from rome.database import Counters, open_database
from rome.errors import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,
)
from rome.lock import Lease
from rome.sql.statement import Result, ResultColumn
from rome.table.schema import Catalog
from rome.values import Kind

apilevel = "2.0"
threadsafety = 1
paramstyle = "named"

Description = tuple[str, Kind, None, int | None, int | None, int | None, bool]
Parameters = Mapping[str, object] | Sequence[object]


# ---- constructors and type objects


class TypeObject(frozenset[Kind]):
    """Compares equal to the type codes, `description[i][1]`, of one of its kinds."""

    def __eq__(self, other: object) -> bool:
        return other in self if isinstance(other, Kind) else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = frozenset.__hash__


STRING = TypeObject({Kind.STRING, Kind.JSON, Kind.UUID})
BINARY = TypeObject({Kind.BYTES})
NUMBER = TypeObject({Kind.BOOLEAN, Kind.INTEGER, Kind.FLOAT, Kind.DECIMAL})
DATETIME = TypeObject({Kind.DATETIME, Kind.DATE, Kind.TIME, Kind.INTERVAL})
ROWID = TypeObject({Kind.INTEGER})

Date = datetime.date
Time = datetime.time
Timestamp = datetime.datetime
DateFromTicks = datetime.date.fromtimestamp
TimestampFromTicks = datetime.datetime.fromtimestamp


def TimeFromTicks(ticks: float) -> datetime.time:
    """The local time of day at `ticks` seconds from the epoch."""
    return TimestampFromTicks(ticks).time()


def Binary(value: bytes | bytearray | memoryview) -> bytes:
    """`value` as bytes that no one can change."""
    return value if type(value) is bytes else bytes(memoryview(value))


# ---- connections


def connect(url: str | StoreURL, *, isolation_level: str = "SERIALIZABLE") -> Connection:
    """Open a connection to the store at `url`, e.g. "rome+lmdb:////var/lib/glance/rome".

    `isolation_level` is SERIALIZABLE, READ COMMITTED or AUTOCOMMIT. Raises InterfaceError for a URL or an option that
    ROME does not know, OperationalError when the store cannot be opened.
    """
    return Connection(parse(url) if isinstance(url, str) else url, isolation_level)


class Connection:
    """One connection. As a context manager it commits, or rolls back after an error, and stays open."""

    Warning = Warning
    Error = Error
    InterfaceError = InterfaceError
    DatabaseError = DatabaseError
    DataError = DataError
    OperationalError = OperationalError
    IntegrityError = IntegrityError
    InternalError = InternalError
    ProgrammingError = ProgrammingError
    NotSupportedError = NotSupportedError

    def __init__(self, url: StoreURL, isolation_level: str) -> None:
        self._busy = threading.Lock()
        self._restored_level = "SERIALIZABLE"  # what `autocommit = False` goes back to
        self._conversation: Conversation | None = None
        database = open_database(url)
        try:
            self._conversation = Conversation(database, isolation_level)
        except Error:
            database.release()
            raise
        self.url = url

    def cursor(self) -> Cursor:
        """A new cursor."""
        self._opened()
        return Cursor(self)

    def execute(self, sql: str, parameters: Sequence[Mapping[str, object]]) -> Result:
        """Run one statement; `Cursor` is the way to it."""
        conversation = self._opened()
        if not self._busy.acquire(blocking=False):
            self._refuse_sharing()
        try:
            return conversation.execute(sql, parameters)
        finally:
            self._busy.release()

    def begin(self, *, under: Lease | None = None) -> None:
        """Begin a transaction; without this the first statement does. ProgrammingError if one is open.

        `under` is a lease of `rome.lock`: the commit is then LeaseLost, and nothing is written, if the lease is held no
        more when it reaches the store.
        """
        conversation = self._opened()
        if not self._busy.acquire(blocking=False):
            self._refuse_sharing()
        try:
            conversation.begin(under)
        finally:
            self._busy.release()

    def commit(self) -> None:
        """Commit the transaction, if there is one. After an error nothing was written, unless it is OutcomeUnknown."""
        conversation = self._opened()
        if not self._busy.acquire(blocking=False):
            self._refuse_sharing()
        try:
            conversation.commit()
        finally:
            self._busy.release()

    def rollback(self) -> None:
        """Roll the transaction back, if there is one."""
        conversation = self._opened()
        if not self._busy.acquire(blocking=False):
            self._refuse_sharing()
        try:
            conversation.rollback()
        finally:
            self._busy.release()

    def catalog(self) -> Catalog:
        """Every table, as the current transaction sees them."""
        conversation = self._opened()
        if not self._busy.acquire(blocking=False):
            self._refuse_sharing()
        try:
            return conversation.catalog()
        finally:
            self._busy.release()

    def close(self) -> None:
        """Roll back and close. Closing twice does nothing; anything else afterwards raises InterfaceError."""
        if self._conversation is None:
            return
        if not self._busy.acquire(blocking=False):
            self._refuse_sharing()
        try:
            conversation, self._conversation = self._conversation, None
            conversation.close()
        finally:
            self._busy.release()

    @property
    def closed(self) -> bool:
        return self._conversation is None

    def ping(self) -> None:
        """InterfaceError if the connection is closed; the store is not asked."""
        self._opened()

    @property
    def counters(self) -> Counters:
        """What all connections of this process to this store have done."""
        return self._opened().database.counters

    @property
    def in_transaction(self) -> bool:
        return self._opened().in_transaction

    @property
    def isolation_level(self) -> str:
        """SERIALIZABLE, READ COMMITTED or AUTOCOMMIT; it can be set outside a transaction."""
        return self._opened().isolation

    @isolation_level.setter
    def isolation_level(self, level: str) -> None:
        self._opened().isolation = level

    @property
    def lease(self) -> Lease | None:
        """The lease that every transaction of this connection runs under; it can be set outside a transaction."""
        return self._opened().lease

    @lease.setter
    def lease(self, lease: Lease | None) -> None:
        self._opened().lease = lease

    @property
    def autocommit(self) -> bool:
        """Whether each statement is a transaction of its own; setting it sets `isolation_level`."""
        return self._opened().isolation == "AUTOCOMMIT"

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        conversation = self._opened()
        if value == (conversation.isolation == "AUTOCOMMIT"):
            return
        if value:
            self._restored_level = conversation.isolation
        conversation.isolation = "AUTOCOMMIT" if value else self._restored_level

    def _opened(self) -> Conversation:
        if self._conversation is None:
            raise InterfaceError("this connection is closed: open another")
        return self._conversation

    def _refuse_sharing(self) -> NoReturn:
        raise InterfaceError("two threads use this connection at the same time: give each its own")

    def __enter__(self) -> Connection:
        self._opened()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()


# ---- cursors


class Cursor:
    """Runs statements and hands out their rows. As a context manager and iterator it is what one expects."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self._result: Result | None = None
        self._next = 0  # of the result's rows
        self.description: tuple[Description, ...] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    @property
    def connection(self) -> Connection:
        """The connection that made this cursor; InterfaceError once the cursor is closed."""
        if self._connection is None:
            raise InterfaceError("this cursor is closed: make another")
        return self._connection

    def execute(self, operation: str, parameters: Parameters = ()) -> Cursor:
        """Run one statement; the cursor itself, so that rows can be fetched from the call.

        Raises ProgrammingError when a parameter is missing, is too many, or the sequence should be a mapping.
        """
        connection = self.connection
        self._forget()
        self._keep(connection.execute(operation, (_named(parameters),)))
        return self

    def executemany(self, operation: str, seq_of_parameters: Sequence[Parameters]) -> Cursor:
        """Run one statement for each set of parameters, together: all of it takes effect or nothing.

        `rowcount` is the sum; with RETURNING the rows are those of all sets, in their order.
        """
        connection = self.connection
        self._forget()
        sets = [_named(parameters) for parameters in seq_of_parameters]
        if sets:
            self._keep(connection.execute(operation, sets))
        else:
            self.rowcount = 0
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row; None when there is none left."""
        rows = self._rows()
        if self._next >= len(rows):
            return None
        row = rows[self._next]
        self._next += 1
        return row

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next `size` rows (default `arraysize`), or those that are left."""
        rows = self._rows()
        start = self._next
        self._next = min(len(rows), start + max(0, self.arraysize if size is None else size))
        return rows[start : self._next]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        rows = self._rows()
        start, self._next = self._next, len(rows)
        return rows[start:]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    def close(self) -> None:
        """Close the cursor. Closing twice does nothing; anything else afterwards raises InterfaceError."""
        self._connection = None
        self._result = None

    def setinputsizes(self, sizes: Sequence[object]) -> None:
        """Nothing: values need no sizes."""
        self.connection.ping()

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Nothing: values are never cut."""
        self.connection.ping()

    def callproc(self, procname: str, parameters: Sequence[object] = ()) -> NoReturn:
        raise NotSupportedError("ROME has no stored procedures")

    def nextset(self) -> NoReturn:
        raise NotSupportedError("a statement of ROME has one result")

    def __enter__(self) -> Cursor:
        self.connection.ping()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _forget(self) -> None:
        self._result = None
        self._next = 0
        self.description = None
        self.rowcount = -1
        self.lastrowid = None

    def _keep(self, result: Result) -> None:
        self._result = result
        self.rowcount = result.rowcount
        self.lastrowid = result.lastrowid
        if result.columns is not None:
            self.description = _description(result.columns)

    def _rows(self) -> list[tuple[Any, ...]]:
        self.connection.ping()
        if self._result is None or self._result.columns is None:
            raise ProgrammingError("there are no rows to fetch: the last statement gives none", sqlstate="24000")
        return self._result.rows


def _named(parameters: Parameters) -> Mapping[str, object]:
    """Parameters by name; those of a sequence are called ?1, ?2, …. A copy: a replay must see what was given."""
    if type(parameters) is dict:
        return parameters.copy()
    if isinstance(parameters, Mapping):
        return dict(parameters)
    if isinstance(parameters, Sequence) and not isinstance(parameters, str | bytes | bytearray | memoryview):
        return {f"?{number}": value for number, value in enumerate(parameters, 1)}
    raise ProgrammingError(
        "parameters are a mapping for :name or a sequence for ?, not "
        f"{'None' if parameters is None else type(parameters).__name__}"
    )


def explain(
    connection: str | Connection | Pooled,
    sql: str,
    parameters: Mapping[str, object] | Sequence[object] = (),
    *,
    analyze: bool = False,
) -> str:
    """The plan of `sql` as text, one operator a line; an extension to PEP 249.

    `connection` is a store URL, a connection of this module or SQLAlchemy's. With `analyze` the statement is executed
    (in the transaction of the connection; rolled back for a URL) and the text shows waves, keys and rows.
    Raises what `Cursor.execute` raises.
    """
    if isinstance(connection, str):
        with closing(connect(connection)) as opened:
            return explain(opened, sql, parameters, analyze=analyze)
    if not isinstance(connection, Connection):
        pooled = getattr(getattr(connection, "connection", None), "dbapi_connection", None)
        if not isinstance(pooled, Connection):
            raise InterfaceError("this connection is not to a store of ROME")
        connection = pooled
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"EXPLAIN {'ANALYZE ' if analyze else ''}{sql}", parameters)
        return "\n".join(str(row[0]) for row in cursor.fetchall())


class Pooled(Protocol):
    """What `explain` needs of SQLAlchemy's Connection: the connection it took from the pool."""

    @property
    def connection(self) -> Any: ...


_MOST_DESCRIPTIONS = 1024
_descriptions: dict[int, tuple[tuple[ResultColumn, ...], tuple[Description, ...]]] = {}


def _description(columns: tuple[ResultColumn, ...]) -> tuple[Description, ...]:
    """PEP 249's seven items a column; remembered, because a plan answers with the same `columns` each time."""
    known = _descriptions.get(id(columns))
    if known is not None and known[0] is columns:
        return known[1]
    description = tuple(_seven_items(column) for column in columns)
    if len(_descriptions) >= _MOST_DESCRIPTIONS:
        _descriptions.clear()
    _descriptions[id(columns)] = (columns, description)
    return description


def _seven_items(column: ResultColumn) -> Description:
    type_ = column.type
    return column.name, type_.kind, None, type_.length, type_.precision, type_.scale, column.nullable
