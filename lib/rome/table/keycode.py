"""Order-preserving keys: a tuple of values becomes bytes that sort as the tuple does.

Every value is a tag byte and a body, and no encoding of a value begins another's, so a tuple is the plain
concatenation of its values, a prefix of the bytes is a prefix of the tuple, and `after` gives exact range ends.
docs/keys.md has the format with vectors; docs/decisions/0001-key-codec.md says why the codec is our own.

Order: NULL first; then, within one kind, the order of the SQL values: numbers by value, strings by code point, bytes
bytewise, times by the clock. Integers (and booleans, which are 0 and 1), floats and decimals are separate families:
a column has one type, so one index never mixes them. Values that SQL holds equal encode equal: 1.0 and 1.00, 0.0 and
-0.0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from rome.driver.api import after as after  # of keys, as every floor above the drivers reckons with them
from rome.errors import DataError, InternalError

NULL = 0x05
BYTES = 0x06
STRING = 0x07
INTEGER_BELOW = 0x0B  # a negative integer of more than 8 bytes
INTEGER = 0x14  # zero; ±1 to ±8 for integers of as many bytes
INTEGER_ABOVE = 0x1D  # a positive integer of more than 8 bytes
FLOAT = 0x21
DECIMAL_BELOW = 0x22
DECIMAL_ZERO = 0x23
DECIMAL_ABOVE = 0x24
DATETIME = 0x30
DATE = 0x31
TIME = 0x32
INTERVAL = 0x33
UUID_TAG = 0x34

_MICROSECOND = timedelta(microseconds=1)
_COMPLEMENT = bytes(range(255, -1, -1))
_UINT64 = struct.Struct(">Q")
_FLOAT64 = struct.Struct(">d")
_HIGH_BIT = 1 << 63
_ALL_BITS = (1 << 64) - 1
_MAX_INTEGER_BYTES = 255


def _null(value: object) -> bytes:
    return b"\x05"


def _integer(value: int) -> bytes:
    if value > 0:
        size = (value.bit_length() + 7) >> 3
        if size <= 8:
            return _POSITIVE_TAGS[size] + value.to_bytes(size, "big")
        if size <= _MAX_INTEGER_BYTES:
            return bytes((INTEGER_ABOVE, size)) + value.to_bytes(size, "big")
    elif value == 0:
        return b"\x14"
    else:
        size = ((-value).bit_length() + 7) >> 3
        if size <= 8:
            return _NEGATIVE_TAGS[size] + (value + (1 << (8 * size)) - 1).to_bytes(size, "big")
        if size <= _MAX_INTEGER_BYTES:
            return bytes((INTEGER_BELOW, 255 - size)) + (value + (1 << (8 * size)) - 1).to_bytes(size, "big")
    raise DataError(f"an integer of {value.bit_length()} bits cannot be a key", sqlstate="22003")


_POSITIVE_TAGS = [bytes((INTEGER + size,)) for size in range(9)]
_NEGATIVE_TAGS = [bytes((INTEGER - size,)) for size in range(9)]


def _float(value: float) -> bytes:
    if value != value:
        raise DataError("NaN cannot be a key", sqlstate="22003")
    bits: int = _UINT64.unpack(_FLOAT64.pack(value + 0.0))[0]  # + 0.0 turns -0.0 into 0.0
    return b"\x21" + _UINT64.pack(bits ^ (_ALL_BITS if bits & _HIGH_BIT else _HIGH_BIT))


def _decimal(value: Decimal) -> bytes:
    """Sign, exponent of 0.d1d2d3…, then two digits a byte (plus one), ended by zero; complemented below zero."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise DataError(f"{value} cannot be a key", sqlstate="22003")
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return b"\x23"
    point = len(text) + exponent
    text = text.rstrip("0")
    if len(text) & 1:
        text += "0"
    body = _integer(point) + bytes(int(text[at : at + 2]) + 1 for at in range(0, len(text), 2)) + b"\x00"
    return b"\x22" + body.translate(_COMPLEMENT) if sign else b"\x24" + body


def _string(value: str) -> bytes:
    try:
        body = value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"a string with a lone surrogate cannot be a key: {error}", sqlstate="22021") from error
    return b"\x07" + body.replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01") + b"\x00"


def _bytes(value: bytes) -> bytes:
    return b"\x06" + value.replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01") + b"\x00"


def _microseconds(value: datetime | time) -> int:
    if value.tzinfo is not None:
        raise DataError(f"{value} has a time zone: convert it to UTC and drop tzinfo first", sqlstate="22007")
    return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond


def _datetime(value: datetime) -> bytes:
    return b"\x30" + _UINT64.pack(value.toordinal() * 86_400_000_000 + _microseconds(value))


def _date(value: date) -> bytes:
    return b"\x31" + value.toordinal().to_bytes(4, "big")


def _time(value: time) -> bytes:
    return b"\x32" + _microseconds(value).to_bytes(5, "big")


def _interval(value: timedelta) -> bytes:
    return b"\x33" + _integer(value // _MICROSECOND)


def _uuid(value: UUID) -> bytes:
    return b"\x34" + value.bytes


_ENCODERS: dict[type, Callable[[object], bytes]] = {
    type(None): _null,
    bool: _integer,  # type: ignore[dict-item]
    int: _integer,  # type: ignore[dict-item]
    float: _float,  # type: ignore[dict-item]
    Decimal: _decimal,  # type: ignore[dict-item]
    str: _string,  # type: ignore[dict-item]
    bytes: _bytes,  # type: ignore[dict-item]
    datetime: _datetime,  # type: ignore[dict-item]
    date: _date,  # type: ignore[dict-item]
    time: _time,  # type: ignore[dict-item]
    timedelta: _interval,  # type: ignore[dict-item]
    UUID: _uuid,  # type: ignore[dict-item]
}


def encode(values: Sequence[object]) -> bytes:
    """The key of `values`: of two tuples over the same types, the smaller one has the smaller bytes.

    Raises DataError for what has no place in the order: NaN, a lone surrogate, a time with a time zone, an integer of
    more than 255 bytes; InternalError for a value of a class that no SQL type has.
    """
    try:
        return b"".join([_ENCODERS[type(value)](value) for value in values])
    except KeyError:
        return b"".join([_encoder(value)(value) for value in values])


def encode_each(values: Sequence[object]) -> list[bytes]:
    """The keys of tuples of one value each; those of one column, of which each that comes again is encoded once."""
    distinct = set(values) if len(values) > 1 else values
    if 2 * len(distinct) > len(values):
        return _each(values)
    codes = dict(zip(distinct, _each(distinct), strict=True))
    return [codes[value] for value in values]


def _each(values: Collection[object]) -> list[bytes]:
    try:
        return [_ENCODERS[type(value)](value) for value in values]
    except KeyError:
        return [_encoder(value)(value) for value in values]


def _encoder(value: object) -> Callable[[object], bytes]:
    """The encoder of a value whose class may be derived from a known one (an IntEnum, a str with an attribute)."""
    for kind in type(value).__mro__:
        if kind in _ENCODERS:
            return _ENCODERS[kind]
    raise InternalError(f"{type(value).__name__} is not a value that SQL types have")


def decode(data: bytes) -> tuple[object, ...]:
    """The values of a key; booleans come back as 0 and 1, decimals without trailing zeros.

    Raises InternalError when `data` is not whole values: what was stored is damaged, or is not a tuple.
    """
    values: list[object] = []
    at = 0
    value: object
    try:
        while at < len(data):
            tag = data[at]
            if INTEGER_BELOW <= tag <= INTEGER_ABOVE:
                value, at = _read_integer(data, at)
            else:
                value, at = _DECODERS[tag](data, at + 1)
            values.append(value)
    except (IndexError, KeyError, ValueError, OverflowError, struct.error) as error:
        raise InternalError(f"not a key of whole values: {data!r}") from error
    return tuple(values)


def _piece(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(data):
        raise IndexError("the key ends in the middle of a value")
    return data[at : at + size], at + size


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    tag = data[at]
    size = tag - INTEGER
    at += 1
    if tag in (INTEGER_BELOW, INTEGER_ABOVE):
        size = data[at] if tag == INTEGER_ABOVE else data[at] - 255
        at += 1
    body, at = _piece(data, at, abs(size))
    value = int.from_bytes(body, "big")
    return (value if size >= 0 else value - (1 << (8 * -size)) + 1), at


def _read_null(data: bytes, at: int) -> tuple[None, int]:
    return None, at


def _read_float(data: bytes, at: int) -> tuple[float, int]:
    body, at = _piece(data, at, 8)
    bits: int = _UINT64.unpack(body)[0]
    value: float = _FLOAT64.unpack(_UINT64.pack(bits ^ (_HIGH_BIT if bits & _HIGH_BIT else _ALL_BITS)))[0]
    return value, at


def _read_decimal_zero(data: bytes, at: int) -> tuple[Decimal, int]:
    return Decimal(0), at


def _read_decimal_above(data: bytes, at: int) -> tuple[Decimal, int]:
    point, at = _read_integer(data, at)
    stop = data.index(b"\x00", at)
    digits = "".join(f"{pair - 1:02d}" for pair in data[at:stop]).rstrip("0")
    return Decimal((0, tuple(map(int, digits)), point - len(digits))), stop + 1


def _read_decimal_below(data: bytes, at: int) -> tuple[Decimal, int]:
    value, size = _read_decimal_above(data[at:].translate(_COMPLEMENT), 0)
    return value.copy_negate(), at + size


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    stop = data.index(b"\x00", at)
    return data[at:stop].replace(b"\x01\x01", b"\x00").replace(b"\x01\x02", b"\x01"), stop + 1


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    body, at = _read_bytes(data, at)
    return body.decode(), at


def _clock(microseconds: int) -> time:
    seconds, microsecond = divmod(microseconds, 1_000_000)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60, microsecond)


def _read_datetime(data: bytes, at: int) -> tuple[datetime, int]:
    body, at = _piece(data, at, 8)
    days, microseconds = divmod(_UINT64.unpack(body)[0], 86_400_000_000)
    return datetime.combine(date.fromordinal(days), _clock(microseconds)), at


def _read_date(data: bytes, at: int) -> tuple[date, int]:
    body, at = _piece(data, at, 4)
    return date.fromordinal(int.from_bytes(body, "big")), at


def _read_time(data: bytes, at: int) -> tuple[time, int]:
    body, at = _piece(data, at, 5)
    return _clock(int.from_bytes(body, "big")), at


def _read_interval(data: bytes, at: int) -> tuple[timedelta, int]:
    value, at = _read_integer(data, at)
    return timedelta(microseconds=value), at


def _read_uuid(data: bytes, at: int) -> tuple[UUID, int]:
    body, at = _piece(data, at, 16)
    return UUID(bytes=body), at


_DECODERS: dict[int, Callable[[bytes, int], tuple[object, int]]] = {
    NULL: _read_null,
    BYTES: _read_bytes,
    STRING: _read_string,
    FLOAT: _read_float,
    DECIMAL_BELOW: _read_decimal_below,
    DECIMAL_ZERO: _read_decimal_zero,
    DECIMAL_ABOVE: _read_decimal_above,
    DATETIME: _read_datetime,
    DATE: _read_date,
    TIME: _read_time,
    INTERVAL: _read_interval,
    UUID_TAG: _read_uuid,
}
