"""Values written as text: how a string is read as a value of each kind, and how a value is written as a string.

One spelling per value, locale-free: numbers as in SQL (`-12`, `1.5`, `2e3`), dates and times as in ISO 8601
(`2024-02-29`, `2024-02-29 23:59:59.5`, `23:59`), UUIDs with or without hyphens. Anything else is refused with a
DataError that names the text. Numbers stay within bounds that arithmetic can keep: integers within 64 bits, decimals
within MAX_DECIMAL_DIGITS digits before and after the point.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from rome.errors import DataError

MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1
MAX_DECIMAL_DIGITS = 1000

INVALID_CHARACTER_VALUE = "22018"
NUMERIC_OUT_OF_RANGE = "22003"
INVALID_DATETIME = "22007"

_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,6})?")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_CLOCK = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?")
_INTERVAL = re.compile(r"(?:([+-]?[0-9]{1,9}) days?, )?([0-9]{1,2}):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,6}))?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
_TRUTHS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def read_boolean(text: str) -> bool:
    """true, t, 1, false, f or 0, in any case."""
    try:
        return _TRUTHS[text.lower()]
    except KeyError:
        raise _refused(text, "a boolean", "write true or false") from None


def read_integer(text: str) -> int:
    """A 64-bit integer; a fraction is refused."""
    if not _INTEGER.fullmatch(text):
        raise _refused(text, "an integer", "write digits only, with a sign or without")
    if len(text.lstrip("+-").lstrip("0")) > 19:
        raise out_of_range(text, "a 64-bit integer")
    return checked_integer(int(text))


def read_decimal(text: str) -> Decimal:
    """An exact decimal number."""
    if not _NUMBER.fullmatch(text):
        raise _refused(text, "a number", "write it as 12, -1.5 or 2e3")
    return checked_decimal(Decimal(text))


def read_float(text: str) -> float:
    """The float nearest to a number."""
    if not _NUMBER.fullmatch(text):
        raise _refused(text, "a number", "write it as 12, -1.5 or 2e3")
    return checked_float(float(text))


def read_date(text: str) -> date:
    """YYYY-MM-DD."""
    found = _DATE.fullmatch(text)
    try:
        if found:
            return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        pass
    raise _refused(text, "a date", "write it as YYYY-MM-DD", INVALID_DATETIME)


def read_time(text: str) -> time:
    """HH:MM, HH:MM:SS or HH:MM:SS.ffffff."""
    found = _CLOCK.fullmatch(text)
    try:
        if found:
            micros = int((found[4] or "").ljust(6, "0"))
            return time(int(found[1]), int(found[2]), int(found[3] or 0), micros)
    except ValueError:
        pass
    raise _refused(text, "a time", "write it as HH:MM:SS, without a time zone", INVALID_DATETIME)


def read_datetime(text: str) -> datetime:
    """A date, or a date and a time with a space or a T between them."""
    day, clock = text[:10], text[10:]
    try:
        midnight = datetime.combine(read_date(day), time())
        if not clock:
            return midnight
        if clock[0] in " T":
            return datetime.combine(midnight, read_time(clock[1:]))
    except DataError:
        pass
    raise _refused(text, "a date and time", "write it as YYYY-MM-DD HH:MM:SS, without a time zone", INVALID_DATETIME)


def read_uuid(text: str) -> UUID:
    """32 hexadecimal digits, with the four hyphens or without."""
    if not _UUID.fullmatch(text):
        raise _refused(text, "a UUID", "write 32 hexadecimal digits, with hyphens or without")
    return UUID(text)


def read_interval(text: str) -> timedelta:
    """As it is written: days, if any, then hours, minutes and seconds: `-2 days, 22:58:58.5` or `1:30:00`."""
    found = _INTERVAL.fullmatch(text)
    if not found:
        raise _refused(text, "an interval", "write it as 3 days, 12:30:00", INVALID_DATETIME)
    days, hours, minutes, seconds, fraction = found.groups()
    try:
        return timedelta(int(days or 0), int(seconds), int((fraction or "").ljust(6, "0")), 0, int(minutes), int(hours))
    except OverflowError:
        raise DataError(f"{_short(repr(text))} is out of range for an interval", sqlstate="22008") from None


def write(value: object) -> str:
    """The canonical text of a value of any kind but BYTES."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (int, timedelta, UUID)):
        return str(value)
    raise DataError(f"a value of type {type(value).__name__} has no text", sqlstate=INVALID_CHARACTER_VALUE)


def checked_integer(value: int) -> int:
    """`value`, which must fit 64 bits."""
    if MIN_INTEGER <= value <= MAX_INTEGER:
        return value
    raise out_of_range(value, "a 64-bit integer")


def checked_float(value: float) -> float:
    """`value`, which must be finite."""
    if math.isfinite(value):
        return value
    raise out_of_range(value, "a finite floating-point number")


def checked_decimal(value: Decimal) -> Decimal:
    """`value`, which must be finite and within MAX_DECIMAL_DIGITS digits on either side of the point.

    Zero comes back without a sign: SQL's NUMERIC has one zero, and Python's -0 would show itself in texts.
    """
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise out_of_range(value, "a finite decimal number")
    if exponent < -MAX_DECIMAL_DIGITS or value.adjusted() >= MAX_DECIMAL_DIGITS:
        raise out_of_range(value, f"a decimal number of {MAX_DECIMAL_DIGITS} digits before and after the point")
    return value or abs(value)


def out_of_range(value: object, what: str) -> DataError:
    return DataError(f"{_short(value)} is out of range for {what}", sqlstate=NUMERIC_OUT_OF_RANGE)


def _refused(text: str, what: str, advice: str, sqlstate: str = INVALID_CHARACTER_VALUE) -> DataError:
    return DataError(f"{_short(repr(text))} is not {what}: {advice}", sqlstate=sqlstate)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."
