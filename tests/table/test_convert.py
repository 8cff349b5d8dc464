"""Conversion of values to column types."""

from __future__ import annotations

import enum
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rome import values as v
from rome.errors import DataError, InternalError
from rome.table.convert import convert, converter
from rome.values import Kind, SqlType

SMALLINT = SqlType(Kind.INTEGER, "SMALLINT")
VARCHAR = SqlType(Kind.STRING, "VARCHAR", 5)
BINARY = SqlType(Kind.BYTES, "VARBINARY", 3)
MONEY = SqlType(Kind.DECIMAL, "NUMERIC", None, 5, 2)
WHOLE = SqlType(Kind.DECIMAL, "NUMERIC", None, 3)
SOME_UUID = UUID(int=7)


class Colour(str, enum.Enum):  # noqa: UP042 - whose str() is not its value
    RED = "red"


class Moment(datetime):
    pass


@pytest.mark.parametrize(
    ("sql_type", "value", "stored"),
    [
        (v.BOOLEAN, True, True),
        (v.BOOLEAN, 0, False),
        (v.BOOLEAN, 1, True),
        (SMALLINT, -32768, -32768),
        (SMALLINT, 32767, 32767),
        (v.INTEGER, -(1 << 31), -(1 << 31)),
        (v.BIGINT, (1 << 63) - 1, (1 << 63) - 1),
        (v.INTEGER, True, 1),
        (v.INTEGER, 3.0, 3),
        (v.INTEGER, Decimal("3.00"), 3),
        (v.INTEGER, Decimal("1E+3"), 1000),
        (v.INTEGER, " -17 ", -17),
        (v.FLOAT, 1.5, 1.5),
        (v.FLOAT, 2, 2.0),
        (v.FLOAT, Decimal("0.1"), 0.1),
        (v.FLOAT, "1e3", 1000.0),
        (MONEY, Decimal("1.5"), Decimal("1.50")),
        (MONEY, Decimal("1.005"), Decimal("1.01")),
        (MONEY, Decimal("-1.005"), Decimal("-1.01")),
        (MONEY, Decimal("-0.001"), Decimal("0.00")),
        (MONEY, Decimal("999.99"), Decimal("999.99")),
        (MONEY, 7, Decimal("7.00")),
        (MONEY, 0.1, Decimal("0.10")),
        (MONEY, "12.345", Decimal("12.35")),
        (MONEY, False, Decimal("0.00")),
        (WHOLE, Decimal("12.5"), Decimal("13")),
        (v.DECIMAL, Decimal("1.10"), Decimal("1.10")),
        (VARCHAR, "äöüßé", "äöüßé"),
        (VARCHAR, "a\x00b", "a\x00b"),
        (VARCHAR, Colour.RED, "red"),
        (VARCHAR, 12, "12"),
        (VARCHAR, True, "1"),
        (VARCHAR, Decimal("1.50"), "1.50"),
        (v.TEXT, SOME_UUID, str(SOME_UUID)),
        (v.TEXT, datetime(2026, 1, 2, 3, 4, 5), "2026-01-02 03:04:05"),
        (v.TEXT, date(2026, 1, 2), "2026-01-02"),
        (BINARY, b"abc", b"abc"),
        (BINARY, bytearray(b"ab"), b"ab"),
        (BINARY, memoryview(b"ab"), b"ab"),
        (v.DATETIME, datetime(2026, 1, 2, 3, 4, 5, 6), datetime(2026, 1, 2, 3, 4, 5, 6)),
        (v.DATETIME, "2026-01-02 03:04:05.000006", datetime(2026, 1, 2, 3, 4, 5, 6)),
        (v.DATETIME, "2026-01-02T03:04", datetime(2026, 1, 2, 3, 4)),
        (v.DATETIME, date(2026, 1, 2), datetime(2026, 1, 2)),
        (v.DATETIME, Moment(2026, 1, 2, 3), datetime(2026, 1, 2, 3)),
        (v.DATE, date(2026, 1, 2), date(2026, 1, 2)),
        (v.DATE, datetime(2026, 1, 2), date(2026, 1, 2)),
        (v.DATE, "2026-01-02", date(2026, 1, 2)),
        (v.TIME, time(1, 2, 3, 4), time(1, 2, 3, 4)),
        (v.TIME, "01:02:03.000004", time(1, 2, 3, 4)),
        (v.INTERVAL, timedelta(1, 2, 3), timedelta(1, 2, 3)),
        (v.JSON, '{"a": [1, null]}', '{"a": [1, null]}'),
        (v.JSON, "null", "null"),
        (v.UUID, SOME_UUID, SOME_UUID),
        (v.UUID, str(SOME_UUID), SOME_UUID),
    ],
)
def test_a_value_is_stored_as(sql_type: SqlType, value: object, stored: object) -> None:
    back = convert(value, sql_type)
    assert (type(back), repr(back)) == (type(stored), repr(stored))


@pytest.mark.parametrize(
    ("sql_type", "value", "sqlstate"),
    [
        (v.BOOLEAN, 2, "22018"),
        (v.BOOLEAN, "true", "22018"),
        (v.BOOLEAN, 1.0, "22018"),
        (SMALLINT, 32768, "22003"),
        (SMALLINT, -32769, "22003"),
        (v.INTEGER, 1 << 31, "22003"),
        (v.BIGINT, 1 << 63, "22003"),
        (v.BIGINT, "9" * 30, "22003"),
        (v.INTEGER, 1.5, "22018"),
        (v.INTEGER, float("inf"), "22018"),
        (v.INTEGER, Decimal("NaN"), "22018"),
        (v.INTEGER, Decimal("1E+999999"), "22018"),
        (v.INTEGER, "12a", "22018"),
        (v.INTEGER, "", "22018"),
        (v.INTEGER, "٣", "22018"),
        (v.INTEGER, b"1", "22018"),
        (v.FLOAT, float("nan"), "22003"),
        (v.FLOAT, float("-inf"), "22003"),
        (v.FLOAT, "nan", "22018"),
        (v.FLOAT, 1 << 2000, "22003"),
        (v.FLOAT, Decimal("sNaN"), "22003"),
        (v.FLOAT, "1e999", "22003"),
        (MONEY, Decimal("1000"), "22003"),
        (MONEY, Decimal("999.995"), "22003"),
        (MONEY, Decimal("1E+999999"), "22003"),
        (MONEY, Decimal("NaN"), "22003"),
        (MONEY, float("nan"), "22003"),
        (MONEY, "one", "22018"),
        (VARCHAR, "sixsix", "22001"),
        (VARCHAR, b"a", "22018"),
        (v.TEXT, "\ud800", "22021"),
        (v.TEXT, ["a"], "22018"),
        (BINARY, b"abcd", "22001"),
        (BINARY, "abc", "22018"),
        (v.DATE, datetime(2026, 1, 2, tzinfo=UTC), "22007"),
        (v.DATETIME, "2026-01-02T03:04:05Z", "22007"),
        (v.DATETIME, "yesterday", "22007"),
        (v.DATETIME, 12, "22018"),
        (v.DATE, datetime(2026, 1, 2, 3), "22008"),
        (v.DATE, "2026-13-01", "22007"),
        (v.DATE, 12, "22018"),
        (v.TIME, time(1, tzinfo=UTC), "22007"),
        (v.TIME, "25:00", "22007"),
        (v.TIME, 1, "22018"),
        (v.INTERVAL, 1, "22018"),
        (v.JSON, "{", "22032"),
        (v.JSON, {"a": 1}, "22018"),
        (v.JSON, '"\ud800"', "22021"),
        (v.UUID, "not one", "22018"),
        (v.UUID, 7, "22018"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(sql_type: SqlType, value: object, sqlstate: str) -> None:
    with pytest.raises(DataError) as caught:
        convert(value, sql_type, "t.c")
    assert str(caught.value).startswith(f"[{sqlstate}] ")
    assert caught.value.sqlstate == sqlstate
    assert str(caught.value).endswith(f' (column "t.c", type {sql_type})')


def test_the_message_says_what_to_do_about_a_time_zone() -> None:
    with pytest.raises(DataError, match=r"convert it to UTC and drop its tzinfo first"):
        convert("2026-01-02T03:04:05Z", v.DATETIME)


@pytest.mark.parametrize("hours", [-12, 0, 2])
def test_a_datetime_with_a_time_zone_is_stored_as_its_moment_in_utc(hours: int) -> None:
    noon = datetime(2026, 1, 2, 12, 0, 0, 7, tzinfo=timezone(timedelta(hours=hours)))
    assert convert(noon, v.DATETIME) == datetime(2026, 1, 2, 12, 0, 0, 7) - timedelta(hours=hours)


def test_a_moment_before_the_calendar_of_utc_is_out_of_range() -> None:
    with pytest.raises(DataError, match="out of range in UTC"):
        convert(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), v.DATETIME)


def test_a_flexible_integer_keeps_a_string_that_is_no_number() -> None:
    flexible = replace(v.INTEGER, flexible=True)
    assert [convert(value, flexible) for value in ("one", "12", 7, None)] == ["one", 12, 7, None]
    with pytest.raises(DataError):
        convert(b"one", flexible)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(DataError) as caught:
        convert("x" * 10_000, v.INTEGER)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.NULL])
def test_null_passes_every_type(kind: Kind) -> None:
    assert convert(None, SqlType(kind, kind.upper())) is None


def test_no_column_has_the_type_of_null() -> None:
    with pytest.raises(InternalError, match="NULL"):
        converter(v.NULL)


def test_exact_values_are_not_copied() -> None:
    text = "abc" * 2
    assert convert(text, v.TEXT) is text
    moment = datetime(2026, 1, 2)
    assert convert(moment, v.DATETIME) is moment


@given(st.decimals(-(10**6), 10**6, allow_nan=False) | st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_is_stored_with_its_scale_within_half_a_unit_or_refused(value: Decimal) -> None:
    wide = SqlType(Kind.DECIMAL, "NUMERIC", None, 9, 3)
    try:
        stored: Any = convert(value, wide)
    except DataError:
        assert abs(value) > Decimal("999999.999")
    else:
        assert stored.as_tuple().exponent == -3
        assert abs(stored - value) <= Decimal("0.0005")
        assert abs(stored) < 10**6
