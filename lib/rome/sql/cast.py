"""CAST(x AS type): the conversions between kinds, stricter than most databases'.

* A number becomes an INTEGER by cutting off its fraction, toward zero (as in SQLite; PostgreSQL and MySQL round), and
  a NUMERIC(p, s) by rounding halves away from zero. One that does not fit its type is DataError 22003.
* A string is read as `literals` says, spaces around it ignored; one that is no such value is DataError 22018 or 22007.
  (SQLite and MySQL would take its leading digits.)
* Anything becomes a string as `literals` writes it: booleans as true and false, datetimes as YYYY-MM-DD
  HH:MM:SS[.ffffff], bytes as the UTF-8 text they are. A string or bytes longer than VARCHAR(n) or BINARY(n) are cut.
* A number becomes TRUE unless it is 0; TRUE becomes 1. A datetime gives its date or its time, a date its midnight.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

from rome.errors import DataError, TypeMismatch
from rome.sql import json_functions, literals
from rome.sql.arithmetic import ROUNDED, midnight
from rome.sql.coerce import coerce_value, type_of_value
from rome.values import NUMERIC_KINDS, Kind, SqlType

Conversion = Callable[[Any], Any]
_INTEGER_BITS = {"SMALLINT": 16, "INTEGER": 32, "INT": 32, "BIGINT": 64}


def caster(source: SqlType, target: SqlType) -> Conversion | None:
    """The function from non-NULL values of `source` to values of `target`; None when they are the same values.

    Raises TypeMismatch when there is no such conversion. A source without a type is looked at value by value.
    """
    if target.kind is Kind.NULL or source == target:
        return None
    if source.kind is Kind.NULL:
        return lambda value: cast_value(value, target)
    convert: Conversion | None = None
    if source.kind is not target.kind:
        convert = _CONVERSIONS.get((source.kind, target.kind))
        if convert is None:
            raise TypeMismatch(f"a value of type {source} cannot be CAST AS {target}")
    return _chain(convert, _fitting(target))


def cast_value(value: object, target: SqlType) -> object:
    """One value CAST AS `target`; NULL stays NULL."""
    if value is None:
        return None
    convert = caster(type_of_value(value), target)
    return coerce_value(value, target) if convert is None else convert(value)


def _chain(first: Conversion | None, second: Conversion | None) -> Conversion | None:
    if first is None or second is None:
        return first or second
    one, two = first, second
    return lambda value: two(one(value))


def _fitting(target: SqlType) -> Conversion | None:
    """What makes a value of the right kind fit the declared size."""
    length, scale = target.length, target.scale or 0
    if target.kind in (Kind.STRING, Kind.BYTES) and length is not None:
        return lambda value: value if len(value) <= length else value[:length]
    if target.kind is Kind.INTEGER:
        bits = _INTEGER_BITS.get(target.name, 64)
        return None if bits == 64 else lambda value: _within(value, bits, target)
    if target.kind is Kind.DECIMAL and target.precision is not None:
        whole_digits = target.precision - scale
        return lambda value: rounded_decimal(value, whole_digits, scale, str(target))
    return None


def _within(value: int, bits: int, target: SqlType) -> int:
    if -(1 << bits - 1) <= value < 1 << bits - 1:
        return value
    raise literals.out_of_range(value, str(target))


def rounded_decimal(value: Decimal, whole_digits: int, scale: int, what: str) -> Decimal:
    """`value` with exactly `scale` digits after the point and at most `whole_digits` before; DataError 22003."""
    rounded = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP, ROUNDED)
    if rounded and rounded.adjusted() >= whole_digits:
        raise literals.out_of_range(value, what)
    return rounded or abs(rounded)


def _integer_from_number(value: float | Decimal) -> int:
    return literals.checked_integer(int(value))


def _float_from_decimal(value: Decimal) -> float:
    return float(coerce_value(value, _FLOAT))  # type: ignore[arg-type]


def _text_from_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"these bytes are no UTF-8 text: {error}", sqlstate="22021") from None


def _from_text(read: Callable[[str], object]) -> Conversion:
    return lambda text: read(text.strip(" "))


def _integer_from_text(text: str) -> int:
    return _integer_from_number(literals.read_decimal(text)) if "." in text else literals.read_integer(text)


_FLOAT = SqlType(Kind.FLOAT, "FLOAT")


def _conversions() -> dict[tuple[Kind, Kind], Conversion]:
    table: dict[tuple[Kind, Kind], Conversion] = {
        (Kind.STRING, Kind.BYTES): str.encode,
        (Kind.BYTES, Kind.STRING): _text_from_bytes,
        (Kind.STRING, Kind.JSON): json_functions.checked,
        (Kind.JSON, Kind.STRING): str,
        (Kind.DATETIME, Kind.DATE): datetime.date,
        (Kind.DATETIME, Kind.TIME): datetime.time,
        (Kind.DATE, Kind.DATETIME): midnight,
        (Kind.BOOLEAN, Kind.INTEGER): int,
        (Kind.BOOLEAN, Kind.FLOAT): float,
        (Kind.BOOLEAN, Kind.DECIMAL): Decimal,
        (Kind.INTEGER, Kind.FLOAT): float,
        (Kind.INTEGER, Kind.DECIMAL): Decimal,
        (Kind.FLOAT, Kind.INTEGER): _integer_from_number,
        (Kind.DECIMAL, Kind.INTEGER): _integer_from_number,
        (Kind.FLOAT, Kind.DECIMAL): lambda value: Decimal(repr(value)),
        (Kind.DECIMAL, Kind.FLOAT): _float_from_decimal,
    }
    for kind in NUMERIC_KINDS - {Kind.BOOLEAN}:
        table[kind, Kind.BOOLEAN] = bool
    readers: dict[Kind, Callable[[str], object]] = {
        Kind.BOOLEAN: literals.read_boolean,
        Kind.INTEGER: _integer_from_text,
        Kind.FLOAT: literals.read_float,
        Kind.DECIMAL: literals.read_decimal,
        Kind.DATETIME: literals.read_datetime,
        Kind.DATE: _date_from_text,
        Kind.TIME: literals.read_time,
        Kind.INTERVAL: literals.read_interval,
        Kind.UUID: literals.read_uuid,
    }
    for kind, read in readers.items():
        table[Kind.STRING, kind] = _from_text(read)
        table[kind, Kind.STRING] = literals.write
    table[Kind.UUID, Kind.BYTES] = lambda value: value.bytes
    table[Kind.BYTES, Kind.UUID] = _uuid_from_bytes
    return table


def _date_from_text(text: str) -> date:
    return literals.read_datetime(text).date() if len(text) > 10 else literals.read_date(text)


def _uuid_from_bytes(value: bytes) -> UUID:
    if len(value) != 16:
        raise DataError(f"a UUID has 16 bytes, not {len(value)}", sqlstate=literals.INVALID_CHARACTER_VALUE)
    return UUID(bytes=value)


_CONVERSIONS = _conversions()
