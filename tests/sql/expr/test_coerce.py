"""Types that go together, and values that become one of a type: the tables of `coerce` and `cast`."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID as Uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rome.errors import DataError, ProgrammingError, TypeMismatch
from rome.sql import literals
from rome.sql.bound import Cast, Const
from rome.sql.cast import cast_value, caster
from rome.sql.coerce import arithmetic_type, coerce_value, common_type, comparable, type_of_value
from rome.sql.expr import scalar
from rome.values import (
    BIGINT,
    BLOB,
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    FLOAT,
    INTEGER,
    INTERVAL,
    JSON,
    NULL,
    TEXT,
    TIME,
    UUID,
    Kind,
    SqlType,
)
from tests.sql.expr.sqlite_opinion import bindings

SMALLINT = SqlType(Kind.INTEGER, "SMALLINT")
AN_ID = Uuid("12345678-1234-5678-1234-567812345678")
MOMENT = datetime(2024, 2, 29, 23, 59, 59, 500000)


def varchar(length: int) -> SqlType:
    return SqlType(Kind.STRING, "VARCHAR", length=length)


def numeric(precision: int, scale: int) -> SqlType:
    return SqlType(Kind.DECIMAL, "NUMERIC", precision=precision, scale=scale)


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([], NULL),
        ([NULL, NULL], NULL),
        ([NULL, TEXT], TEXT),
        ([BOOLEAN, INTEGER], INTEGER),
        ([SMALLINT, INTEGER], INTEGER),
        ([BIGINT, SMALLINT], BIGINT),
        ([INTEGER, DECIMAL], DECIMAL),
        ([DECIMAL, FLOAT, BOOLEAN], FLOAT),
        ([numeric(10, 2), numeric(10, 2)], numeric(10, 2)),
        ([numeric(10, 2), numeric(12, 4)], DECIMAL),
        ([numeric(10, 2), INTEGER], DECIMAL),
        ([varchar(5), varchar(9)], varchar(9)),
        ([varchar(5), TEXT], TEXT),
        ([JSON, TEXT], TEXT),
        ([DATE, DATETIME], DATETIME),
        ([BLOB, SqlType(Kind.BYTES, "VARBINARY", length=4)], BLOB),
        ([UUID, UUID], UUID),
    ],
)
def test_the_common_type(types: list[SqlType], expected: SqlType) -> None:
    assert common_type(types) == expected
    assert common_type(reversed(types)) == expected


@pytest.mark.parametrize(
    ("left", "right"),
    [(INTEGER, TEXT), (TEXT, BLOB), (DATETIME, TEXT), (DATE, TIME), (UUID, TEXT), (INTERVAL, TIME), (BOOLEAN, JSON)],
)
def test_what_has_no_common_type_is_refused_by_name(left: SqlType, right: SqlType) -> None:
    assert not comparable(left, right)
    assert not comparable(right, left)
    with pytest.raises(TypeMismatch, match=f"UNION mixes {left} and {right}"):
        common_type([left, NULL, right], "UNION")


def test_every_type_compares_with_itself_and_with_null() -> None:
    for type_ in (BIGINT, BLOB, BOOLEAN, DATE, DATETIME, DECIMAL, FLOAT, INTERVAL, JSON, NULL, TEXT, TIME, UUID):
        assert comparable(type_, type_)
        assert comparable(NULL, type_)


def test_types_of_arithmetic() -> None:
    assert arithmetic_type("+", INTEGER, SMALLINT) == BIGINT
    assert arithmetic_type("/", INTEGER, FLOAT) == FLOAT
    assert arithmetic_type("*", numeric(5, 2), INTEGER) == DECIMAL
    assert arithmetic_type("+", BOOLEAN, BOOLEAN) == BIGINT
    assert arithmetic_type("-", DATETIME, NULL) == DATETIME
    assert arithmetic_type("+", NULL, NULL) == BIGINT
    assert arithmetic_type("-", DATE, DATE) == BIGINT
    for op, left, right in (("+", TEXT, INTEGER), ("&", FLOAT, BIGINT), ("+", DATETIME, DATETIME), ("*", DATE, BIGINT)):
        with pytest.raises(TypeMismatch, match="no operator"):
            arithmetic_type(op, left, right)


class Text(str):
    def __str__(self) -> str:
        return "not the text"


class Status(enum.StrEnum):
    ACTIVE = "active"


ACCEPTED: list[tuple[object, SqlType, object]] = [
    (None, INTEGER, None),
    (True, BOOLEAN, True),
    (0, BOOLEAN, False),
    (1.0, BOOLEAN, True),
    ("TRUE", BOOLEAN, True),
    ("0", BOOLEAN, False),
    (5, INTEGER, 5),
    (True, INTEGER, 1),
    (2**40, SMALLINT, 2**40),
    (5.0, INTEGER, 5),
    (Decimal("5.00"), INTEGER, 5),
    ("-12", INTEGER, -12),
    (5, FLOAT, 5.0),
    (Decimal("0.5"), FLOAT, 0.5),
    ("2e3", FLOAT, 2000.0),
    (0.1, DECIMAL, Decimal("0.1")),
    (5, DECIMAL, Decimal(5)),
    ("1.50", DECIMAL, Decimal("1.50")),
    ("text", varchar(2), "text"),
    (Text("text"), TEXT, "text"),
    (Status.ACTIVE, TEXT, "active"),
    (5, TEXT, "5"),
    (AN_ID, TEXT, str(AN_ID)),
    (b"\x00", BLOB, b"\x00"),
    (bytearray(b"\x00"), BLOB, b"\x00"),
    (memoryview(b"\x00"), BLOB, b"\x00"),
    (MOMENT, DATETIME, MOMENT),
    (date(2024, 2, 29), DATETIME, datetime(2024, 2, 29)),
    ("2024-02-29", DATETIME, datetime(2024, 2, 29)),
    ("2024-02-29 23:59:59.5", DATETIME, MOMENT),
    ("2024-02-29T23:59", DATETIME, datetime(2024, 2, 29, 23, 59)),
    (date(2024, 2, 29), DATE, date(2024, 2, 29)),
    (datetime(2024, 2, 29), DATE, date(2024, 2, 29)),
    ("2024-02-29", DATE, date(2024, 2, 29)),
    ("2024-02-29 00:00:00", DATE, date(2024, 2, 29)),
    (time(1, 2), TIME, time(1, 2)),
    ("01:02:03.25", TIME, time(1, 2, 3, 250000)),
    (timedelta(1), INTERVAL, timedelta(1)),
    ("[1]", JSON, "[1]"),
    (AN_ID, UUID, AN_ID),
    (AN_ID.hex, UUID, AN_ID),
    (str(AN_ID).upper(), UUID, AN_ID),
    (Text("text"), NULL, "text"),
    (bytearray(b"x"), NULL, b"x"),
    (5, NULL, 5),
]


ACCEPTED_IDS = [ascii(bytes(value) if isinstance(value, memoryview) else value)[:30] for value, _, _ in ACCEPTED]


@pytest.mark.parametrize(("value", "type_", "expected"), ACCEPTED, ids=ACCEPTED_IDS)
def test_a_value_becomes_what_its_context_asks_for(value: object, type_: SqlType, expected: object) -> None:
    found = coerce_value(value, type_)
    assert (found, type(found)) == (expected, type(expected))


REFUSED: list[tuple[object, SqlType, type[Exception], str]] = [
    (2, BOOLEAN, DataError, "22018"),
    ("yes", BOOLEAN, DataError, "22018"),
    (b"1", BOOLEAN, TypeMismatch, "42804"),
    (1.5, INTEGER, DataError, "22018"),
    (2**63, INTEGER, DataError, "22003"),
    ("9" * 5000, INTEGER, DataError, "22003"),
    ("1.0", INTEGER, DataError, "22018"),
    (" 1", INTEGER, DataError, "22018"),
    ("١", INTEGER, DataError, "22018"),
    ("1_000", INTEGER, DataError, "22018"),
    ("", INTEGER, DataError, "22018"),
    (date(2024, 1, 1), INTEGER, TypeMismatch, "42804"),
    (float("nan"), FLOAT, DataError, "22003"),
    (float("inf"), NULL, DataError, "22003"),
    ("nan", FLOAT, DataError, "22018"),
    ("1e999", FLOAT, DataError, "22003"),
    (Decimal("NaN"), DECIMAL, DataError, "22003"),
    (Decimal("1e999999"), DECIMAL, DataError, "22003"),
    ("1e99999", DECIMAL, DataError, "22003"),
    (True, TEXT, TypeMismatch, "42804"),
    (1.5, TEXT, TypeMismatch, "42804"),
    (b"a", TEXT, TypeMismatch, "42804"),
    ("\ud800", TEXT, DataError, "22021"),
    ("\ud800", NULL, DataError, "22021"),
    ("a", BLOB, TypeMismatch, "42804"),
    (time(1, tzinfo=UTC), NULL, DataError, "22007"),
    ("2024-02-30", DATETIME, DataError, "22007"),
    ("2024-02-29 24:00", DATETIME, DataError, "22007"),
    ("2024-02-29 10:00Z", DATETIME, DataError, "22007"),
    ("20240229", DATE, DataError, "22007"),
    (MOMENT, DATE, DataError, "22007"),
    (5, DATE, TypeMismatch, "42804"),
    ("25:00", TIME, DataError, "22007"),
    (5, INTERVAL, TypeMismatch, "42804"),
    ("1 day", INTERVAL, TypeMismatch, "42804"),
    ("1234", UUID, DataError, "22018"),
    ("12345678-12345678-1234-567812345678", UUID, DataError, "22018"),
    (b"0" * 16, UUID, TypeMismatch, "42804"),
    ([1], TEXT, ProgrammingError, "42000"),
    ({}, NULL, ProgrammingError, "42000"),
    (1j, FLOAT, ProgrammingError, "42000"),
]


@pytest.mark.parametrize(("value", "type_", "error", "sqlstate"), REFUSED, ids=lambda part: ascii(part)[:30])
def test_a_value_that_does_not_fit_is_refused(
    value: object, type_: SqlType, error: type[Exception], sqlstate: str
) -> None:
    with pytest.raises(error, match=rf"^\[{sqlstate}\]"):
        coerce_value(value, type_)


def test_a_refusal_names_the_type_of_the_value_and_shows_little_of_it() -> None:
    with pytest.raises(TypeMismatch, match="INTEGER is expected here, not BLOB: b'x"):
        coerce_value(b"x" * 10000, INTEGER)
    with pytest.raises(DataError) as caught:
        coerce_value("x" * 10000, INTEGER)
    assert len(str(caught.value)) < 200


CASTS: list[tuple[object, SqlType, object]] = [
    (None, INTEGER, None),
    (2.9, INTEGER, 2),
    (-2.9, INTEGER, -2),
    (Decimal("-2.9"), BIGINT, -2),
    (True, INTEGER, 1),
    (" 12 ", INTEGER, 12),
    ("12.7", INTEGER, 12),
    (3, BOOLEAN, True),
    (0.0, BOOLEAN, False),
    ("false", BOOLEAN, False),
    (7, FLOAT, 7.0),
    (Decimal("0.1"), FLOAT, 0.1),
    ("1.5", FLOAT, 1.5),
    (0.1, DECIMAL, Decimal("0.1")),
    (Decimal("2.345"), numeric(5, 2), Decimal("2.35")),
    (Decimal("-2.345"), numeric(5, 2), Decimal("-2.35")),
    (7, numeric(5, 2), Decimal("7.00")),
    ("7", numeric(5, 0), Decimal("7")),
    (Decimal("0.004"), numeric(2, 2), Decimal("0.00")),
    (12, TEXT, "12"),
    (True, TEXT, "true"),
    (1e16, TEXT, "1e+16"),
    (Decimal("1E+3"), TEXT, "1000"),
    (MOMENT, TEXT, "2024-02-29 23:59:59.500000"),
    (datetime(2024, 2, 29), TEXT, "2024-02-29 00:00:00"),
    (MOMENT, varchar(10), "2024-02-29"),
    (date(2024, 2, 29), TEXT, "2024-02-29"),
    (time(1, 2), TEXT, "01:02:00"),
    (AN_ID, TEXT, str(AN_ID)),
    (b"\xc3\xa9", TEXT, "é"),
    ("é", BLOB, b"\xc3\xa9"),
    ("abc", varchar(2), "ab"),
    (b"abc", SqlType(Kind.BYTES, "BINARY", length=2), b"ab"),
    (MOMENT, DATE, date(2024, 2, 29)),
    (MOMENT, TIME, MOMENT.time()),
    (date(2024, 2, 29), DATETIME, datetime(2024, 2, 29)),
    ("2024-02-29 10:00", DATE, date(2024, 2, 29)),
    (" 2024-02-29 10:00", DATETIME, datetime(2024, 2, 29, 10)),
    ("10:00", TIME, time(10)),
    ('{"a": 1}', JSON, '{"a": 1}'),
    (AN_ID.hex, UUID, AN_ID),
    (AN_ID, BLOB, AN_ID.bytes),
    (AN_ID.bytes, UUID, AN_ID),
    (timedelta(1, 2), TEXT, "1 day, 0:00:02"),
    ("1 day, 0:00:02", INTERVAL, timedelta(1, 2)),
    (" -2 days, 22:58:58.5 ", INTERVAL, timedelta(-1, -3661, -500000)),
    ("12:30:00", INTERVAL, timedelta(hours=12, minutes=30)),
]


@pytest.mark.parametrize(("value", "type_", "expected"), CASTS, ids=lambda part: str(part)[:30])
def test_cast(value: object, type_: SqlType, expected: object) -> None:
    found = scalar(Cast(Const(value, type_of_value(value)), type_), {})((), bindings())
    assert (found, type(found), str(found)) == (expected, type(expected), str(expected))
    assert scalar(Cast(Const(value, NULL), type_), {})((), bindings()) == expected


@pytest.mark.parametrize(
    ("value", "type_", "sqlstate"),
    [
        ("12a", INTEGER, "22018"),
        ("", INTEGER, "22018"),
        (40000, SMALLINT, "22003"),
        (2**31, INTEGER, "22003"),
        (1e300, BIGINT, "22003"),
        (Decimal("1e30"), BIGINT, "22003"),
        (Decimal("1e400"), FLOAT, "22003"),
        (Decimal("999.995"), numeric(5, 2), "22003"),
        ("1e6", numeric(5, 2), "22003"),
        (b"\xff", TEXT, "22021"),
        ("{", JSON, "22032"),
        (b"short", UUID, "22018"),
        ("2024", DATE, "22007"),
        ("1 day", INTERVAL, "22007"),
    ],
)
def test_a_cast_that_cannot_be_is_a_data_error(value: object, type_: SqlType, sqlstate: str) -> None:
    with pytest.raises(DataError, match=rf"^\[{sqlstate}\]"):
        cast_value(value, type_)


def test_kinds_without_a_conversion_are_refused_when_the_statement_is_compiled() -> None:
    for source, target in ((DATE, INTEGER), (INTEGER, DATETIME), (BLOB, FLOAT), (TIME, DATE), (INTERVAL, TIME)):
        with pytest.raises(TypeMismatch, match=f"{source} cannot be CAST AS {target}"):
            caster(source, target)


TEXTS_OF = {
    BOOLEAN: st.booleans(),
    BIGINT: st.integers(-(2**63), 2**63 - 1),
    FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    DECIMAL: st.decimals(allow_nan=False, allow_infinity=False, places=4),
    DATETIME: st.datetimes(),
    DATE: st.dates(),
    TIME: st.times(),
    UUID: st.uuids(),
}


@pytest.mark.parametrize("type_", TEXTS_OF, ids=str)
def test_a_value_written_as_text_is_read_back_the_same(type_: SqlType) -> None:
    @given(TEXTS_OF[type_])
    def check(value: object) -> None:
        text = literals.write(value)
        assert cast_value(cast_value(value, TEXT), type_) == value
        assert coerce_value(text, type_) == value
        assert cast_value(value, TEXT) == text

    check()
