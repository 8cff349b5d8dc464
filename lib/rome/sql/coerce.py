"""Which types go together, and how a value becomes one of a type that its context asks for.

Numbers of all four kinds go together, ordered BOOLEAN < INTEGER < DECIMAL < FLOAT: the higher one is the common type.
They compare by their numeric values, DECIMAL beside FLOAT as a float, so the NUMERIC 0.1 equals the FLOAT 0.1. DATE
goes with DATETIME and counts as its midnight; JSON goes with STRING as its text. Nothing else mixes:
a string is no number and no date unless it is a literal or a parameter, which `coerce_value` converts strictly, or
CAST says so.

What `coerce_value` accepts, by the kind that the context asks for:

| context  | value accepted                                                                                          |
|----------|---------------------------------------------------------------------------------------------------------|
| BOOLEAN  | bool; the numbers 0 and 1; '0', '1', 't', 'f', 'true', 'false' in any case                              |
| INTEGER  | int and bool within 64 bits; a float or Decimal without a fraction; a string of digits                  |
| FLOAT    | any finite number; a string that is a number                                                            |
| DECIMAL  | any finite number (a float as its shortest text says, so 0.1 is 0.1); a string that is a number         |
| STRING   | str; int, as its digits; UUID, with hyphens. Length is not looked at                                    |
| BYTES    | bytes, bytearray, memoryview                                                                            |
| DATETIME | datetime, one with a time zone as its moment in UTC; date, as its midnight; an ISO string               |
| DATE     | date; datetime at midnight; an ISO string                                                               |
| TIME     | time without a time zone; an ISO string                                                                 |
| INTERVAL | timedelta                                                                                               |
| JSON     | str                                                                                                     |
| UUID     | UUID; a string of 32 hexadecimal digits with or without hyphens                                         |
| NULL     | any of the above, unchanged: the context has no type                                                    |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID as Uuid

from rome import values
from rome.errors import DataError, ProgrammingError, TypeMismatch
from rome.sql import literals
from rome.table.convert import in_utc
from rome.values import Kind, SqlType

_NUMERIC_ORDER = (Kind.BOOLEAN, Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT)
_NUMERIC_TYPES = {
    Kind.BOOLEAN: values.BOOLEAN,
    Kind.INTEGER: values.BIGINT,
    Kind.DECIMAL: values.DECIMAL,
    Kind.FLOAT: values.FLOAT,
}
_INTEGER_BITS = {"SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}
_TEXTS = frozenset({Kind.STRING, Kind.JSON})
_DAYS = frozenset({Kind.DATE, Kind.DATETIME})
_MIDNIGHT = time()


# ---- types ---------------------------------------------------------------------------------------------------------


def common_type(types: Iterable[SqlType], what: str = "the expression") -> SqlType:
    """The one type that values of all `types` can take: of CASE, COALESCE, UNION, IN.

    Bare NULLs go with everything; the common type of nothing but NULLs is NULL. Raises TypeMismatch, naming `what`.
    """
    found = values.NULL
    for type_ in types:
        found = _wider(found, type_, what)
    return found


def _wider(left: SqlType, right: SqlType, what: str) -> SqlType:
    if left == right or right.kind is Kind.NULL:
        return left
    if left.kind is Kind.NULL:
        return right
    if left.kind in values.NUMERIC_KINDS and right.kind in values.NUMERIC_KINDS:
        return _wider_number(left, right)
    if left.kind in _TEXTS and right.kind in _TEXTS:
        return _longer(left, right, values.TEXT) if left.kind is right.kind else values.TEXT
    if left.kind is Kind.BYTES and right.kind is Kind.BYTES:
        return _longer(left, right, values.BLOB)
    if left.kind in _DAYS and right.kind in _DAYS:
        return left if left.kind is Kind.DATETIME else right
    if left.kind is right.kind:
        return left
    raise TypeMismatch(f"{what} mixes {left} and {right}: CAST one to the other's type")


def _wider_number(left: SqlType, right: SqlType) -> SqlType:
    kind = max(left.kind, right.kind, key=_NUMERIC_ORDER.index)
    if left.kind is not right.kind and kind is not Kind.INTEGER:
        return _NUMERIC_TYPES[kind]
    if left.kind is not right.kind:
        return left if left.kind is kind else right
    if kind is Kind.INTEGER:
        return max(left, right, key=lambda type_: _INTEGER_BITS.get(type_.name, 64))
    return _NUMERIC_TYPES[kind]


def _longer(left: SqlType, right: SqlType, unbounded: SqlType) -> SqlType:
    if left.length is None or right.length is None:
        return unbounded
    return left if left.length >= right.length else right


def comparable(left: SqlType, right: SqlType) -> bool:
    """Whether = and < make sense between values of the two types as they stand (see the module's text)."""
    try:
        common_type((left, right))
    except TypeMismatch:
        return False
    return True


def arithmetic_type(op: str, left: SqlType, right: SqlType) -> SqlType:
    """The type of `left op right`, for op one of + - * / % & | ^ << >>. Raises TypeMismatch.

    Numbers give their common type (INTEGER kinds: BIGINT). A date or datetime and an interval give a DATETIME, two
    datetimes an INTERVAL, two dates a number of days, a date and an integer a date that many days off. A bare NULL
    takes the other side's type.
    """
    if left.kind is Kind.NULL:
        left = values.INTERVAL if right.kind in _DAYS or right.kind is Kind.TIME else right
    if right.kind is Kind.NULL:
        right = values.INTERVAL if left.kind in _DAYS or left.kind is Kind.TIME else left
    found = _TEMPORAL_RESULTS.get((op, left.kind, right.kind))
    if found is not None:
        return found
    if left.kind is Kind.NULL and right.kind is Kind.NULL:
        return values.BIGINT
    if left.kind in values.NUMERIC_KINDS and right.kind in values.NUMERIC_KINDS:
        kind = max(left.kind, right.kind, Kind.INTEGER, key=_NUMERIC_ORDER.index)
        if op in "+-*/%" or kind is Kind.INTEGER:
            return _NUMERIC_TYPES[kind]
    raise TypeMismatch(f"there is no operator {left} {op} {right}: CAST the operands")


def _temporal_results() -> dict[tuple[str, Kind, Kind], SqlType]:
    results = {
        ("-", Kind.DATE, Kind.DATE): values.BIGINT,
        ("-", Kind.DATE, Kind.INTEGER): values.DATE,
        ("+", Kind.DATE, Kind.INTEGER): values.DATE,
        ("+", Kind.INTEGER, Kind.DATE): values.DATE,
        ("-", Kind.DATETIME, Kind.DATETIME): values.INTERVAL,
        ("-", Kind.DATETIME, Kind.DATE): values.INTERVAL,
        ("-", Kind.DATE, Kind.DATETIME): values.INTERVAL,
        ("-", Kind.TIME, Kind.TIME): values.INTERVAL,
        ("+", Kind.INTERVAL, Kind.INTERVAL): values.INTERVAL,
        ("-", Kind.INTERVAL, Kind.INTERVAL): values.INTERVAL,
    }
    for kind, result in ((Kind.DATETIME, values.DATETIME), (Kind.DATE, values.DATETIME), (Kind.TIME, values.TIME)):
        results["+", kind, Kind.INTERVAL] = result
        results["+", Kind.INTERVAL, kind] = result
        results["-", kind, Kind.INTERVAL] = result
    for kind in (Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT):
        results["*", Kind.INTERVAL, kind] = values.INTERVAL
        results["*", kind, Kind.INTERVAL] = values.INTERVAL
        results["/", Kind.INTERVAL, kind] = values.INTERVAL
    return results


_TEMPORAL_RESULTS = _temporal_results()


def type_of_value(value: object) -> SqlType:
    """The type of a parameter's value when no context gives it one.

    Raises ProgrammingError for a Python type that carries no SQL type, DataError for a value outside its type's range.
    """
    for class_, type_ in _TYPES_OF_VALUES:
        if isinstance(value, class_):
            _checked(value)
            return type_
    raise ProgrammingError(
        f"a value of type {type(value).__name__} is not supported: give bool, int, float, Decimal, str, bytes, "
        "datetime, date, time, timedelta, UUID or None"
    )


# bool before int and datetime before date, of which they are subclasses
_TYPES_OF_VALUES: tuple[tuple[type, SqlType], ...] = (
    (type(None), values.NULL),
    (str, values.TEXT),
    (bool, values.BOOLEAN),
    (int, values.BIGINT),
    (float, values.FLOAT),
    (Decimal, values.DECIMAL),
    (datetime, values.DATETIME),
    (date, values.DATE),
    (time, values.TIME),
    (timedelta, values.INTERVAL),
    (bytes, values.BLOB),
    (bytearray, values.BLOB),
    (memoryview, values.BLOB),
    (Uuid, values.UUID),
)


# ---- values --------------------------------------------------------------------------------------------------------


def coerce_value(value: object, sql_type: SqlType) -> object:
    """`value`, a literal or a parameter, as the value of `sql_type`'s kind that it means; None stays None.

    See the table above. Lengths and the range of SMALLINT and INTEGER are not looked at: a comparison may go beyond
    them, and whoever stores the value checks. Raises TypeMismatch for a value of the wrong kind, DataError for one of
    the right kind that does not fit, ProgrammingError for a Python type that carries no SQL type.
    """
    if value is None or (type(value) is str and sql_type.kind is Kind.STRING and value.isascii()):
        return value
    type_ = type_of_value(value)
    result = _COERCIONS[sql_type.kind](value)
    if result is None:
        raise TypeMismatch(f"{sql_type} is expected here, not {type_}: {_shown(value)}")
    return result


_PLAIN = frozenset({int, str, bool, type(None), bytes, date, timedelta, Uuid})


def untyped(value: object) -> object:
    """A parameter's value where the context has no type."""
    if type(value) in _PLAIN or (type(value) is datetime and value.tzinfo is None):
        return value
    return coerce_value(value, values.NULL)


def _checked(value: object) -> object:
    """`value` as exactly one of the classes that carry SQL values."""
    if isinstance(value, str):
        return _plain_string(value)
    if isinstance(value, int):
        return value if isinstance(value, bool) else literals.checked_integer(int(value))
    if isinstance(value, float):
        return literals.checked_float(float(value))
    if isinstance(value, Decimal):
        return literals.checked_decimal(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return in_utc(value)
    if isinstance(value, time) and value.tzinfo is not None:
        raise DataError(
            f"{value.isoformat()} has a time zone, which SQL values here have not: convert it to UTC and drop tzinfo",
            sqlstate=literals.INVALID_DATETIME,
        )
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return value


def _plain_string(value: str) -> str:
    plain = str.__str__(value)  # of a subclass, such as an enum or a lazily translated message, the text itself
    if plain.isascii():
        return plain
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{_shown(plain)} has a lone surrogate at character {error.start + 1}, which is no character of Unicode",
            sqlstate="22021",
        ) from None
    return plain


def _to_boolean(value: object) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float, Decimal)):
        if value in (0, 1):
            return bool(value)
        raise DataError(f"{value} is not a boolean: give 0 or 1", sqlstate=literals.INVALID_CHARACTER_VALUE)
    return literals.read_boolean(value) if isinstance(value, str) else None


def _to_integer(value: object) -> object:
    if isinstance(value, int):
        return literals.checked_integer(int(value))
    if isinstance(value, (float, Decimal)):
        if value.is_integer() if isinstance(value, float) else value == value.to_integral_value():
            return literals.checked_integer(int(value))
        raise DataError(f"{value} is not an integer: CAST it", sqlstate=literals.INVALID_CHARACTER_VALUE)
    return literals.read_integer(value) if isinstance(value, str) else None


def _to_float(value: object) -> object:
    if isinstance(value, (int, float, Decimal)):
        return _float_of(value)
    return literals.read_float(value) if isinstance(value, str) else None


def _float_of(value: float | Decimal) -> float:
    try:
        return literals.checked_float(float(value))
    except OverflowError:
        raise literals.out_of_range(value, "a floating-point number") from None


def _to_decimal(value: object) -> object:
    if isinstance(value, float):
        return Decimal(repr(float(value)))
    if isinstance(value, int):
        return Decimal(int(value))
    if isinstance(value, Decimal):
        return value
    return literals.read_decimal(value) if isinstance(value, str) else None


def _to_string(value: object) -> object:
    if isinstance(value, str):
        return _plain_string(value)
    if isinstance(value, Uuid) or (isinstance(value, int) and not isinstance(value, bool)):
        return literals.write(value)
    return None


def _to_bytes(value: object) -> object:
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else None


def _to_datetime(value: object) -> object:
    if isinstance(value, datetime):
        return value if value.tzinfo is None else in_utc(value)
    if isinstance(value, date):
        return datetime.combine(value, _MIDNIGHT)
    return literals.read_datetime(value) if isinstance(value, str) else None


def _to_date(value: object) -> object:
    if isinstance(value, str) and len(value) > 10:
        value = literals.read_datetime(value)
    if isinstance(value, datetime):
        if value.time() == _MIDNIGHT:
            return value.date()
        raise DataError(f"{value} is not a date: CAST it", sqlstate=literals.INVALID_DATETIME)
    if isinstance(value, date):
        return value
    return literals.read_date(value) if isinstance(value, str) else None


def _to_time(value: object) -> object:
    if isinstance(value, time):
        return value
    return literals.read_time(value) if isinstance(value, str) else None


def _to_interval(value: object) -> object:
    return value if isinstance(value, timedelta) else None


def _to_json(value: object) -> object:
    return _plain_string(value) if isinstance(value, str) else None


def _to_uuid(value: object) -> object:
    if isinstance(value, Uuid):
        return value
    return literals.read_uuid(value) if isinstance(value, str) else None


_COERCIONS: dict[Kind, Callable[[object], object]] = {
    Kind.BOOLEAN: _to_boolean,
    Kind.INTEGER: _to_integer,
    Kind.FLOAT: _to_float,
    Kind.DECIMAL: _to_decimal,
    Kind.STRING: _to_string,
    Kind.BYTES: _to_bytes,
    Kind.DATETIME: _to_datetime,
    Kind.DATE: _to_date,
    Kind.TIME: _to_time,
    Kind.INTERVAL: _to_interval,
    Kind.JSON: _to_json,
    Kind.UUID: _to_uuid,
    Kind.NULL: _checked,
}


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."
