"""Types: how SQLAlchemy's types are written in SQL, how their values travel, and back from the catalogue.

ROME takes and returns native Python values (rome.values), so almost every type here says "no processor": the fewer
there are, the cheaper each row. The exceptions convert what SQLAlchemy itself defines: JSON to and from text, UUIDs
asked for as strings, Numeric with asdecimal=False.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from sqlalchemy import exc, types
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import sqltypes, type_api
from sqlalchemy.sql.compiler import GenericTypeCompiler

from rome.dialect.json import JSONIndexType, JSONPathType
from rome.errors import InternalError
from rome.values import SqlType


class RomeFloat(types.Float[Any]):
    """FLOAT: the store gives a float; only `asdecimal=True` needs a conversion."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        return super().result_processor(dialect, coltype) if self.asdecimal else None


class RomeNumeric(types.Numeric[Any]):
    """NUMERIC: the store gives a Decimal; only `asdecimal=False` needs a conversion."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return _decimal


def _decimal(value: object) -> object:
    """A float as the decimal it prints as, so that 0.1 means 0.1 and not its 55 binary digits."""
    return Decimal(repr(value)) if isinstance(value, float) else value


class RomeDateTime(types.DateTime):
    """DATETIME as it is; with timezone=True a moment, which the store keeps in UTC and which comes back in UTC."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        return _in_utc if self.timezone else None

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _moment


def _in_utc(value: datetime.datetime | None) -> datetime.datetime | None:
    return None if value is None else value.replace(tzinfo=datetime.UTC)


def _moment(value: datetime.datetime) -> str:
    naive = value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)
    return f"TIMESTAMP '{naive.isoformat(' ')}'"


class RomeDate(types.Date):
    """DATE, written as a literal that is one."""

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return lambda value: f"DATE '{value.isoformat()}'"


class RomeTime(types.Time):
    """TIME, written as a literal that is one."""

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return lambda value: f"TIME '{value.isoformat()}'"


class INTERVAL(type_api.NativeForEmulated, sqltypes._AbstractInterval):
    """INTERVAL: a timedelta with microseconds."""

    __visit_name__ = "INTERVAL"
    native = True

    @classmethod
    def adapt_emulated_to_native(cls, impl: Any, **kw: Any) -> INTERVAL:
        return cls()

    @property
    def _type_affinity(self) -> Any:
        return sqltypes.Interval

    def as_generic(self, allow_nulltype: bool = False) -> sqltypes.Interval:
        return sqltypes.Interval(native=True)

    @property
    def python_type(self) -> type[datetime.timedelta]:
        return datetime.timedelta

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _seconds


def _seconds(value: datetime.timedelta) -> str:
    microseconds = value // datetime.timedelta(microseconds=1)
    whole, fraction = divmod(abs(microseconds), 1_000_000)
    return f"INTERVAL '{'-' if microseconds < 0 else ''}{whole}.{fraction:06}' SECOND"


class RomeLargeBinary(types.LargeBinary):
    """BLOB, written as a literal in hexadecimal."""

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _hexadecimal


class RomeBINARY(types.BINARY):
    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _hexadecimal


class RomeVARBINARY(types.VARBINARY):
    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _hexadecimal


def _hexadecimal(value: bytes) -> str:
    return f"X'{value.hex()}'"


class RomeUuid(types.Uuid[Any]):
    """UUID: a uuid.UUID in the store; with as_uuid=False the application sees and gives strings."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        if self.as_uuid or not self.native_uuid:
            return super().bind_processor(dialect)
        return _uuid

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        if self.native_uuid:
            return lambda value: f"CAST('{uuid.UUID(str(value))}' AS UUID)"
        written: Callable[[Any], str] = super().literal_processor(dialect)
        return written


def _uuid(value: str | None) -> uuid.UUID | None:
    return None if value is None else uuid.UUID(value)


COLSPECS: dict[type[types.TypeEngine[Any]], type[types.TypeEngine[Any]]] = {
    types.Float: RomeFloat,
    types.Numeric: RomeNumeric,
    types.Date: RomeDate,
    types.DateTime: RomeDateTime,
    types.Time: RomeTime,
    types.Interval: INTERVAL,
    types.LargeBinary: RomeLargeBinary,
    types.BINARY: RomeBINARY,
    types.VARBINARY: RomeVARBINARY,
    types.Uuid: RomeUuid,
    types.JSON.JSONIndexType: JSONIndexType,
    types.JSON.JSONPathType: JSONPathType,
}


_ZONED = "TIMESTAMP WITH TIME ZONE"


class RomeTypeCompiler(GenericTypeCompiler):
    """Writes types by the names that rome.sql.parse reads."""

    def visit_DOUBLE(self, type_: Any, **kw: Any) -> str:
        return "DOUBLE PRECISION"

    def visit_NUMERIC(self, type_: Any, **kw: Any) -> str:
        return _exact("NUMERIC", type_)

    def visit_DECIMAL(self, type_: Any, **kw: Any) -> str:
        return _exact("DECIMAL", type_)

    def visit_NCHAR(self, type_: Any, **kw: Any) -> str:
        return self.visit_CHAR(type_, **kw)

    def visit_NVARCHAR(self, type_: Any, **kw: Any) -> str:
        return self.visit_VARCHAR(type_, **kw)

    def visit_NCLOB(self, type_: Any, **kw: Any) -> str:
        return self.visit_CLOB(type_, **kw)

    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:
        return _ZONED if type_.timezone else "DATETIME"

    def visit_TIMESTAMP(self, type_: Any, **kw: Any) -> str:
        return _ZONED if type_.timezone else "TIMESTAMP"

    def visit_TIME(self, type_: Any, **kw: Any) -> str:
        if type_.timezone:
            raise exc.CompileError("TIME WITH TIME ZONE is not supported by ROME; DateTime(timezone=True) is")
        return "TIME"

    def visit_INTERVAL(self, type_: Any, **kw: Any) -> str:
        return "INTERVAL"

    def visit_JSON(self, type_: Any, **kw: Any) -> str:
        return "JSON"

    def _render_string_type(self, name: str, length: int | None, collation: str | None, *args: Any, **kw: Any) -> str:
        if collation:
            raise exc.CompileError(
                f"COLLATE {collation}: ROME compares strings by code point and has no collations; "
                "give the type without one (for one database only: .with_variant())"
            )
        return f"{name}({length})" if length else name


def _exact(name: str, type_: Any) -> str:
    """NUMERIC(p, s) with the scale always said, so that what is declared and what is reflected read the same."""
    if type_.precision is None:
        return name
    return f"{name}({type_.precision}, {type_.scale or 0})"


_SIMPLE: dict[str, Callable[[], types.TypeEngine[Any]]] = {
    "BOOLEAN": types.BOOLEAN,
    "BOOL": types.BOOLEAN,
    "TINYINT": types.SMALLINT,
    "SMALLINT": types.SMALLINT,
    "MEDIUMINT": types.INTEGER,
    "INT": types.INTEGER,
    "INTEGER": types.INTEGER,
    "BIGINT": types.BIGINT,
    "FLOAT": types.FLOAT,
    "REAL": types.REAL,
    "DOUBLE": types.DOUBLE_PRECISION,
    "DOUBLE PRECISION": types.DOUBLE_PRECISION,
    "DATE": types.DATE,
    "TIME": types.TIME,
    "DATETIME": types.DATETIME,
    "TIMESTAMP": types.TIMESTAMP,
    _ZONED: lambda: types.TIMESTAMP(timezone=True),
    "INTERVAL": INTERVAL,
    "JSON": types.JSON,
    "UUID": types.UUID,
}
_WITH_LENGTH: dict[str, Callable[[int | None], types.TypeEngine[Any]]] = {
    "CHAR": types.CHAR,
    "CHARACTER": types.CHAR,
    "NCHAR": types.NCHAR,
    "VARCHAR": types.VARCHAR,
    "CHARACTER VARYING": types.VARCHAR,
    "NVARCHAR": types.NVARCHAR,
    "TINYTEXT": types.TEXT,
    "TEXT": types.TEXT,
    "MEDIUMTEXT": types.TEXT,
    "LONGTEXT": types.TEXT,
    "CLOB": types.CLOB,
    "BINARY": types.BINARY,
    "VARBINARY": types.VARBINARY,
    "TINYBLOB": types.BLOB,
    "BLOB": types.BLOB,
    "MEDIUMBLOB": types.BLOB,
    "LONGBLOB": types.BLOB,
}
_WITH_PRECISION: dict[str, type[types.Numeric[Any]]] = {"NUMERIC": types.NUMERIC, "DECIMAL": types.DECIMAL}


def reflected(declared: SqlType) -> types.TypeEngine[Any]:
    """The SQLAlchemy type that `declared` came from; another database's name gives the nearest of the standard ones."""
    if simple := _SIMPLE.get(declared.name):
        return simple()
    if with_length := _WITH_LENGTH.get(declared.name):
        return with_length(declared.length)
    if with_precision := _WITH_PRECISION.get(declared.name):
        return with_precision(declared.precision, declared.scale)
    raise InternalError(f"the catalogue holds a type that the dialect does not know: {declared}")
