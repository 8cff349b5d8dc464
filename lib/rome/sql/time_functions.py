"""Functions on dates and times, as Python functions of non-NULL values; a string is read as `literals` reads it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta

from rome.errors import DataError
from rome.sql import literals

MomentLike = datetime | date | time | str

# what the examples in `functions` speak of
MOMENT = datetime(2024, 2, 29, 10)
DAY = MOMENT.date()
CLOCK = MOMENT.time()

_EPOCH = datetime(1970, 1, 1)
_NO_DAY = date(2000, 1, 1)  # a time alone lies on this day, as in SQLite


def at_once(now: datetime) -> datetime:
    return now


def moment_of(value: MomentLike) -> datetime:
    """The datetime that `value` says; a date says its midnight, a time a moment of 2000-01-01."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return literals.read_datetime(value) if value[2:3] != ":" else moment_of(literals.read_time(value))
    return datetime.combine(_NO_DAY, value) if isinstance(value, time) else datetime.combine(value, time())


def day_of(value: MomentLike) -> date:
    return moment_of(value).date()


def time_of(value: MomentLike) -> time:
    return moment_of(value).time()


def julian_day(value: MomentLike) -> float:
    return (moment_of(value) - _EPOCH).total_seconds() / 86400 + 2440587.5


def _seconds_since_1970(moment: datetime) -> int:
    delta = moment - _EPOCH
    return delta.days * 86400 + delta.seconds


def _field(compute: Callable[[datetime], int]) -> Callable[[MomentLike], int]:
    return lambda value: compute(moment_of(value))


FIELDS: dict[str, Callable[[MomentLike], int]] = {
    "year": _field(lambda moment: moment.year),
    "quarter": _field(lambda moment: (moment.month + 2) // 3),
    "month": _field(lambda moment: moment.month),
    "week": _field(lambda moment: moment.isocalendar().week),
    "day": _field(lambda moment: moment.day),
    "hour": _field(lambda moment: moment.hour),
    "minute": _field(lambda moment: moment.minute),
    "second": _field(lambda moment: moment.second),
    "microsecond": _field(lambda moment: moment.microsecond),
    "dow": _field(lambda moment: moment.isoweekday() % 7),
    "doy": _field(lambda moment: moment.timetuple().tm_yday),
    "epoch": _field(_seconds_since_1970),
}
FIELD_NAMES = ", ".join(FIELDS)


INTERVAL_FIELDS: dict[str, Callable[[timedelta], int]] = {
    "day": lambda size: size.days,
    "hour": lambda size: size.seconds // 3600,
    "minute": lambda size: size.seconds // 60 % 60,
    "second": lambda size: size.seconds % 60,
    "microsecond": lambda size: size.microseconds,
    "epoch": lambda size: size.days * 86400 + size.seconds,
}


def field_of(name: str, value: MomentLike | timedelta) -> int:
    """EXTRACT(name FROM value): whole numbers; dow counts from Sunday as 0. Of an interval each has its sign."""
    if isinstance(value, timedelta):
        part = INTERVAL_FIELDS.get(name.lower())
        if part is None:
            known = ", ".join(INTERVAL_FIELDS)
            raise DataError(f"EXTRACT has no field {name!r} of an interval: take one of {known}", sqlstate="22023")
        return -part(-value) if value < timedelta() else part(value)
    compute = FIELDS.get(name.lower())
    if compute is None:
        raise DataError(f"EXTRACT has no field {name!r}: take one of {FIELD_NAMES}", sqlstate="22023")
    return compute(value)


_FORMATS: dict[str, Callable[[datetime], str]] = {
    "Y": lambda moment: f"{moment.year:04}",
    "m": lambda moment: f"{moment.month:02}",
    "d": lambda moment: f"{moment.day:02}",
    "H": lambda moment: f"{moment.hour:02}",
    "M": lambda moment: f"{moment.minute:02}",
    "S": lambda moment: f"{moment.second:02}",
    "f": lambda moment: f"{moment.second:02}.{moment.microsecond // 1000:03}",
    "j": lambda moment: f"{moment.timetuple().tm_yday:03}",
    "w": lambda moment: str(moment.isoweekday() % 7),
    "s": lambda moment: str(_seconds_since_1970(moment)),
    "%": lambda moment: "%",
}
FORMAT_NAMES = " ".join(f"%{name}" for name in _FORMATS)


def formatted(pattern: str, value: MomentLike) -> str:
    """strftime(pattern, value), with SQLite's meanings: %f is seconds with milliseconds."""
    moment = moment_of(value)
    head, *rest = pattern.replace("%%", "%\0").split("%")
    pieces = [head]
    for piece in rest:
        name = "%" if piece[:1] == "\0" else piece[:1]
        compute = _FORMATS.get(name)
        if compute is None:
            raise DataError(f"strftime() has no %{name}: take one of {FORMAT_NAMES}", sqlstate="22023")
        pieces.append(compute(moment) + piece[1:])
    return "".join(pieces)
