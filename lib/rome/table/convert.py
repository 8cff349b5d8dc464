"""Strict conversion of Python values to a column's type, before they are stored.

A value that converts loses nothing but digits beyond a NUMERIC's scale (rounded half up, as SQL does); anything else is
a DataError that names the column. Numbers written as strings, ISO 8601 dates and times, and numbers for a string
column are taken, as every SQL server takes them.

| type     | taken as it is       | converted                                                    | refused             |
|----------|----------------------|--------------------------------------------------------------|---------------------|
| BOOLEAN  | bool                 | 0, 1                                                         | any other number    |
| INTEGER  | int in range         | bool, whole float and Decimal, digits                        | fractions           |
| FLOAT    | finite float         | int, bool, Decimal, number as a string                       | NaN, infinities     |
| DECIMAL  | Decimal of the scale | int, bool, float, number as a string; rounded to the scale   | too many digits     |
| STRING   | str                  | numbers, UUID, date and time                                 | lone surrogates     |
| BYTES    | bytes                | bytearray, memoryview                                        | str                 |
| DATETIME | datetime             | one with a time zone, to UTC; date, ISO 8601                 | a time zone in text |
| DATE     | date                 | datetime at midnight, ISO 8601                               | any other datetime  |
| TIME     | time                 | ISO 8601                                                     | a time zone         |
| INTERVAL | timedelta            | –                                                            | all else            |
| JSON     | str, a JSON text     | –                                                            | not JSON            |
| UUID     | UUID                 | its text                                                     | all else            |
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeGuard
from uuid import UUID

import msgspec

from rome.errors import DataError, InternalError
from rome.values import Kind, SqlType

Convert = Callable[[object], object]

INTEGER_RANGES: dict[str, int] = {
    "TINYINT": 1 << 7,
    "SMALLINT": 1 << 15,
    "MEDIUMINT": 1 << 23,
    "INT": 1 << 31,
    "INTEGER": 1 << 31,
    "BIGINT": 1 << 63,
}
"""By declared name: the values of an integer type are -n to n - 1."""

_DIGITS = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
_NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,6})?\s*")
_MIDNIGHT = time()
_WIDE = Context(prec=2000, rounding=ROUND_HALF_UP, Emax=999999, Emin=-999999)
_check_json = msgspec.json.Decoder().decode


def convert(value: object, sql_type: SqlType, column: str = "") -> object:
    """`value` as `sql_type` stores it; None stays None. Raises DataError, which names `column` if it is given."""
    return converter(sql_type, column)(value)


def integer_range(sql_type: SqlType) -> int:
    """n, for an integer type whose values are -n to n - 1."""
    return INTEGER_RANGES.get(sql_type.name, 1 << 63)


@lru_cache(maxsize=4096)
def converter(sql_type: SqlType, column: str = "") -> Convert:
    """`convert` for one type, made once; exact values pass straight through."""
    make = _MAKERS.get(sql_type.kind)
    if make is None:
        raise InternalError(f"no value is stored as {sql_type}")
    return make(sql_type, _Refusal(sql_type, column))


def is_exact(values: Sequence[object], sql_type: SqlType) -> bool:
    """Whether conversion would give back each of `values` as it is; False also where only converting them tells."""
    classes = set(map(type, values))
    some = values
    if type(None) in classes:
        classes.remove(type(None))
        some = [value for value in values if value is not None]
    if not classes:
        return True
    look = _EXACT.get((sql_type.kind, *classes))
    return look is not None and look(some, sql_type)


def _always(values: Sequence[object], sql_type: SqlType) -> bool:
    return True


def _are_short(values: Sequence[Any], sql_type: SqlType) -> bool:
    longest: int = max(map(len, values))
    return sql_type.length is None or longest <= sql_type.length


def _are_plain_strings(values: Sequence[Any], sql_type: SqlType) -> bool:
    return _are_short(values, sql_type) and all(map(str.isascii, values))


def _are_in_range(values: Sequence[Any], sql_type: SqlType) -> bool:
    limit = integer_range(sql_type)
    return all(-limit <= value < limit for value in (min(values), max(values)))


def _are_without_zone(values: Sequence[Any], sql_type: SqlType) -> bool:
    return [value.tzinfo for value in values].count(None) == len(values)


# By kind and the one class that all values are of.
_EXACT: dict[tuple[object, ...], Callable[[Sequence[Any], SqlType], bool]] = {
    (Kind.BOOLEAN, bool): _always,
    (Kind.INTEGER, int): _are_in_range,
    (Kind.STRING, str): _are_plain_strings,
    (Kind.BYTES, bytes): _are_short,
    (Kind.DATETIME, datetime): _are_without_zone,
    (Kind.DATE, date): _always,
    (Kind.INTERVAL, timedelta): _always,
    (Kind.UUID, UUID): _always,
}


class _Refusal:
    """Makes the errors of one column."""

    def __init__(self, sql_type: SqlType, column: str) -> None:
        self.where = f'(column "{column}", type {sql_type})' if column else f"(type {sql_type})"

    def __call__(self, sqlstate: str, why: str) -> DataError:
        return DataError(f"{why} {self.where}", sqlstate=sqlstate)

    def kind(self, value: object) -> DataError:
        return self("22018", f"{_shown(value)} ({type(value).__name__}) cannot be stored")

    def range(self, value: object) -> DataError:
        return self("22003", f"{_shown(value)} is out of range")

    def zone(self, value: object) -> DataError:
        return self("22007", f"{_shown(value)} has a time zone: convert it to UTC and drop its tzinfo first")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…" + text[-1]


def _boolean(sql_type: SqlType, refuse: _Refusal) -> Convert:
    def to_boolean(value: object) -> object:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        raise refuse.kind(value)

    return to_boolean


def _integer(sql_type: SqlType, refuse: _Refusal) -> Convert:
    limit = integer_range(sql_type)

    def to_integer(value: object) -> object:
        if value is None:
            return None
        if type(value) is int:
            number = value
        elif _is_whole(value):
            number = int(value)
        elif sql_type.flexible and isinstance(value, str):
            return _check_text(str.__str__(value), refuse)
        else:
            raise refuse.kind(value)
        if -limit <= number < limit:
            return number
        raise refuse.range(value)

    return to_integer


def _is_whole(value: object) -> TypeGuard[int | float | Decimal | str]:
    """Whether `int(value)` loses nothing."""
    if isinstance(value, Decimal):
        return value.is_finite() and value.adjusted() < 40 and value == int(value)
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) or (isinstance(value, str) and _DIGITS.fullmatch(value) is not None)


def _float(sql_type: SqlType, refuse: _Refusal) -> Convert:
    def to_float(value: object) -> object:
        if value is None:
            return None
        if type(value) is float:
            number = value
        elif isinstance(value, int | float | Decimal) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
            try:
                number = float(value)
            except (OverflowError, ValueError) as error:  # too large an integer, a signalling NaN
                raise refuse.range(value) from error
        else:
            raise refuse.kind(value)
        if math.isfinite(number):
            return number
        raise refuse.range(value)

    return to_float


def _decimal(sql_type: SqlType, refuse: _Refusal) -> Convert:
    precision, scale = sql_type.precision, sql_type.scale or 0
    unit = Decimal(1).scaleb(-scale)

    def to_decimal(value: object) -> object:
        if value is None:
            return None
        if type(value) is Decimal:
            number = value
        elif isinstance(value, int | Decimal):
            number = Decimal(value)
        elif isinstance(value, float):
            number = Decimal(repr(float(value)))
        elif isinstance(value, str) and _NUMBER.fullmatch(value):
            number = Decimal(value.strip())
        else:
            raise refuse.kind(value)
        if not number.is_finite():
            raise refuse.range(value)
        if precision is not None:
            rounded = _quantize(number, precision, scale, unit)
            if rounded is None:
                raise refuse.range(value)
            number = rounded
        return number if number else number.copy_abs()  # one zero, not two

    return to_decimal


def _quantize(number: Decimal, precision: int, scale: int, unit: Decimal) -> Decimal | None:
    """`number` rounded to `scale` digits behind the point; None when it has over precision - scale before it."""
    if number.adjusted() >= precision - scale and number:
        return None
    try:
        number = number.quantize(unit, context=_WIDE)
    except InvalidOperation:  # digits without end
        return None
    return None if number and number.adjusted() >= precision - scale else number


def _check_text(text: str, refuse: _Refusal) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise refuse("22021", f"{_shown(text)} has a lone surrogate and cannot be stored") from error
    return text


def _string(sql_type: SqlType, refuse: _Refusal) -> Convert:
    length = sql_type.length

    def to_string(value: object) -> object:
        if value is None:
            return None
        if type(value) is str:
            text = value
        elif isinstance(value, str):
            text = str.__str__(value)
        elif isinstance(value, bool):
            text = "1" if value else "0"
        elif isinstance(value, int | float | Decimal | UUID):
            text = str(value)
        elif isinstance(value, datetime):
            text = value.isoformat(" ")
        elif isinstance(value, date | time):
            text = value.isoformat()
        else:
            raise refuse.kind(value)
        if length is not None and len(text) > length:
            raise refuse("22001", f"a string of {len(text)} characters is too long")
        return text if text.isascii() else _check_text(text, refuse)

    return to_string


def _bytes(sql_type: SqlType, refuse: _Refusal) -> Convert:
    length = sql_type.length

    def to_bytes(value: object) -> object:
        if value is None:
            return None
        if type(value) is bytes:
            data = value
        elif isinstance(value, bytes | bytearray | memoryview):
            data = bytes(value)
        else:
            raise refuse.kind(value)
        if length is not None and len(data) > length:
            raise refuse("22001", f"{len(data)} bytes are too long")
        return data

    return to_bytes


def _datetime(sql_type: SqlType, refuse: _Refusal) -> Convert:
    def to_datetime(value: object) -> object:
        if value is None:
            return None
        moment = value
        if isinstance(value, str):
            moment = _parsed(datetime.fromisoformat, value, refuse)
        if isinstance(moment, datetime):
            if moment.tzinfo is not None:
                if moment is not value:
                    raise refuse.zone(value)
                return in_utc(moment)
            return moment if type(moment) is datetime else datetime.combine(_plain_date(moment), moment.time())
        if isinstance(moment, date):
            return datetime.combine(_plain_date(moment), _MIDNIGHT)
        raise refuse.kind(value)

    return to_datetime


def in_utc(moment: datetime) -> datetime:
    """The moment of a datetime with a time zone, as DATETIME keeps moments: in UTC, without saying so.

    Raises DataError when UTC's calendar has no such day.
    """
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise DataError(f"{moment} is out of range in UTC", sqlstate="22008") from None


def _plain_date(value: date) -> date:
    """A date of no derived class: what a test's clock makes must be stored as any other."""
    return date(value.year, value.month, value.day)


def _date(sql_type: SqlType, refuse: _Refusal) -> Convert:
    def to_date(value: object) -> object:
        if value is None or type(value) is date:
            return value
        day = value
        if isinstance(value, str):
            day = _parsed(datetime.fromisoformat, value, refuse)
        if isinstance(day, datetime):
            if day.tzinfo is not None:
                raise refuse.zone(value)
            if day.time() != _MIDNIGHT:
                raise refuse("22008", f"{_shown(value)} has a time of day, which would be lost")
        if isinstance(day, date):
            return _plain_date(day)
        raise refuse.kind(value)

    return to_date


def _time(sql_type: SqlType, refuse: _Refusal) -> Convert:
    def to_time(value: object) -> object:
        if value is None:
            return None
        clock = _parsed(time.fromisoformat, value, refuse) if isinstance(value, str) else value
        if not isinstance(clock, time):
            raise refuse.kind(value)
        if clock.tzinfo is not None:
            raise refuse.zone(value)
        return time(clock.hour, clock.minute, clock.second, clock.microsecond)

    return to_time


def _parsed(parse: Callable[[str], object], text: str, refuse: _Refusal) -> object:
    try:
        return parse(text.strip())
    except ValueError as error:
        raise refuse("22007", f"{_shown(text)} is not written in ISO 8601 (2026-01-31 23:59:59.000001)") from error


def _interval(sql_type: SqlType, refuse: _Refusal) -> Convert:
    def to_interval(value: object) -> object:
        if value is None or type(value) is timedelta:
            return value
        if isinstance(value, timedelta):
            return timedelta(value.days, value.seconds, value.microseconds)
        raise refuse.kind(value)

    return to_interval


def _json(sql_type: SqlType, refuse: _Refusal) -> Convert:
    def to_json(value: object) -> object:
        if value is None:
            return None
        if not isinstance(value, str):
            raise refuse.kind(value)
        text = _check_text(str.__str__(value), refuse)
        try:
            _check_json(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise refuse("22032", f"{_shown(value)} is not a JSON text ({error})") from error
        return text

    return to_json


def _uuid(sql_type: SqlType, refuse: _Refusal) -> Convert:
    def to_uuid(value: object) -> object:
        if value is None or type(value) is UUID:
            return value
        if isinstance(value, UUID):
            return UUID(int=value.int)
        if isinstance(value, str):
            try:
                return UUID(value)
            except ValueError as error:
                raise refuse("22018", f"{_shown(value)} is not a UUID") from error
        raise refuse.kind(value)

    return to_uuid


_MAKERS: dict[Kind, Callable[[SqlType, _Refusal], Convert]] = {
    Kind.BOOLEAN: _boolean,
    Kind.INTEGER: _integer,
    Kind.FLOAT: _float,
    Kind.DECIMAL: _decimal,
    Kind.STRING: _string,
    Kind.BYTES: _bytes,
    Kind.DATETIME: _datetime,
    Kind.DATE: _date,
    Kind.TIME: _time,
    Kind.INTERVAL: _interval,
    Kind.JSON: _json,
    Kind.UUID: _uuid,
}
