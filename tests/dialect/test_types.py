"""SQLAlchemy's types, through the store and back."""

from __future__ import annotations

import datetime
import enum
import uuid
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from rome.dialect import RomeDialect
from rome.dialect.types import reflected
from rome.sql.parse import parse
from rome.values import Kind, SqlType


class Colour(enum.Enum):
    red = 1
    blue = 2


UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
MOMENT = datetime.datetime(2020, 7, 1, 10, 0, 0, 5, tzinfo=datetime.UTC)
MOMENT_IN_PARIS = MOMENT.astimezone(datetime.timezone(datetime.timedelta(hours=2)))

ROUND_TRIPS = [
    (sa.Boolean(), True, True),
    (sa.Boolean(), False, False),
    (sa.SmallInteger(), -7, -7),
    (sa.Integer(), 2**31 - 1, 2**31 - 1),
    (sa.BigInteger(), -(2**63), -(2**63)),
    (sa.Float(), 0.1, 0.1),
    (sa.Double(), 1e300, 1e300),
    (sa.Float(asdecimal=True), 0.5, Decimal("0.5")),
    (sa.Numeric(20, 5), Decimal("123456789012345.12345"), Decimal("123456789012345.12345")),
    (sa.Numeric(10, 2), 0.1, Decimal("0.10")),
    (sa.Numeric(10, 2), 3, Decimal("3.00")),
    (sa.Numeric(10, 2, asdecimal=False), 2.5, 2.5),
    (sa.String(10), "aé😀", "aé😀"),
    (sa.CHAR(3), "abc", "abc"),
    (sa.Text(), "x" * 100_000, "x" * 100_000),
    (sa.Unicode(10), "ß", "ß"),
    (sa.LargeBinary(), b"\x00\xff", b"\x00\xff"),
    (sa.LargeBinary(), bytearray(b"ab"), b"ab"),
    (sa.VARBINARY(4), b"\x01", b"\x01"),
    (sa.DateTime(), datetime.datetime(2020, 1, 2, 3, 4, 5, 678901), datetime.datetime(2020, 1, 2, 3, 4, 5, 678901)),
    (sa.TIMESTAMP(), datetime.datetime(1, 1, 1), datetime.datetime(1, 1, 1)),
    (sa.DateTime(timezone=True), MOMENT_IN_PARIS, MOMENT),
    (sa.TIMESTAMP(timezone=True), MOMENT.replace(tzinfo=None), MOMENT),
    (sa.Date(), datetime.date(9999, 12, 31), datetime.date(9999, 12, 31)),
    (sa.Time(), datetime.time(23, 59, 59, 999999), datetime.time(23, 59, 59, 999999)),
    (sa.Interval(), datetime.timedelta(days=-3, microseconds=5), datetime.timedelta(days=-3, microseconds=5)),
    (sa.Interval(native=False), datetime.timedelta(days=3), datetime.timedelta(days=3)),
    (sa.JSON(), {"a": [1, None, "é"]}, {"a": [1, None, "é"]}),
    (sa.JSON(), [], []),
    (sa.JSON(none_as_null=False), None, None),
    (sa.Enum(Colour), Colour.blue, Colour.blue),
    (sa.Enum("a", "b", name="letters"), "b", "b"),
    (sa.Uuid(), UUID, UUID),
    (sa.Uuid(as_uuid=False), str(UUID), str(UUID)),
    (sa.Uuid(as_uuid=False), UUID.hex, str(UUID)),
    (sa.Uuid(native_uuid=False), UUID, UUID),
    (sa.PickleType(), {"a": 1}, {"a": 1}),
]


def test_every_type_keeps_its_values(engine: Engine) -> None:
    metadata = sa.MetaData()
    columns = [sa.Column(f"c{number}", type_) for number, (type_, _, _) in enumerate(ROUND_TRIPS)]
    table = sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), {f"c{number}": given for number, (_, given, _) in enumerate(ROUND_TRIPS)})
        connection.execute(table.insert(), {"id": 7})
        row = connection.execute(table.select().where(table.c.id != 7)).one()
        nothing = connection.execute(table.select().where(table.c.id == 7)).one()

    for number, (type_, _, expected) in enumerate(ROUND_TRIPS):
        value = row[number + 1]
        assert (value, type(value)) == (expected, type(expected)), repr(type_)
    assert nothing == (7, *(None for _ in ROUND_TRIPS))


def test_every_type_finds_its_values(engine: Engine) -> None:
    findable = [
        (type_, expected if isinstance(type_, sa.Numeric) else given)
        for type_, given, expected in ROUND_TRIPS
        if type(type_) not in (sa.JSON, sa.PickleType) and getattr(type_, "native", True)
    ]
    metadata = sa.MetaData()
    columns = [sa.Column(f"c{number}", type_) for number, (type_, _) in enumerate(findable)]
    table = sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), {f"c{number}": given for number, (_, given) in enumerate(findable)})
        for number, (type_, given) in enumerate(findable):
            column = table.c[f"c{number}"]
            found = connection.scalar(sa.select(sa.func.count()).where(column == given, column.in_([given])))
            assert found == 1, repr(type_)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (sa.String(3), "abcd"),
        (sa.SmallInteger(), 2**15),
        (sa.Integer(), 2**31),
        (sa.BigInteger(), 2**63),
        (sa.Numeric(4, 2), Decimal("123.45")),
        (sa.VARBINARY(2), b"abc"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(engine: Engine, type_: Any, value: object) -> None:
    metadata = sa.MetaData()
    table = sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", type_))
    metadata.create_all(engine)
    with engine.connect() as connection, pytest.raises(sa.exc.DataError, match=r"\[22"):
        connection.execute(table.insert(), {"a": value})


def test_a_time_zone_is_for_moments_only(engine: Engine) -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Time(timezone=True)))
    with pytest.raises(sa.exc.CompileError, match="TIME WITH TIME ZONE"):
        table.create(engine)


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (MOMENT.replace(tzinfo=None), sa.DateTime()),
        (MOMENT_IN_PARIS, sa.DateTime(timezone=True)),
        (datetime.date(2024, 2, 29), sa.Date()),
        (datetime.time(1, 2, 3, 4), sa.Time()),
        (datetime.timedelta(days=-1, microseconds=1), sa.Interval()),
        (UUID, sa.Uuid()),
        (str(UUID), sa.Uuid(as_uuid=False)),
        (b"\x00'", sa.LargeBinary()),
        ("it's 100% \\n:x 😀", sa.String()),
        ("", sa.String()),
        (True, sa.Boolean()),
        (Decimal("123456789012345678901234567890.10"), sa.Numeric(40, 2)),
        (2**63 - 1, sa.BigInteger()),
    ],
)
def test_a_literal_is_the_value_that_it_says(engine: Engine, value: object, type_: Any) -> None:
    with engine.connect() as connection:
        found = connection.scalar(sa.select(sa.literal(value, type_, literal_execute=True)))
    assert (found, type(found)) == (value, type(value))


def test_most_values_need_no_conversion() -> None:
    dialect = RomeDialect(paramstyle="named")
    native: list[sa.types.TypeEngine[Any]] = [
        sa.Integer(), sa.BigInteger(), sa.Float(), sa.Numeric(10, 2), sa.String(3), sa.Text(), sa.DateTime(), sa.Date(),
        sa.Time(), sa.Interval(), sa.Uuid(), sa.Boolean(), sa.LargeBinary(),
    ]  # fmt: skip
    assert [type_ for type_ in native if type_.dialect_impl(dialect).result_processor(dialect, None)] == []


DECLARED: list[sa.types.TypeEngine[Any]] = [
    sa.BOOLEAN(), sa.SMALLINT(), sa.INTEGER(), sa.BIGINT(), sa.FLOAT(), sa.REAL(), sa.DOUBLE_PRECISION(),
    sa.NUMERIC(10, 2), sa.DECIMAL(5, 0), sa.NUMERIC(), sa.CHAR(3), sa.VARCHAR(255), sa.VARCHAR(), sa.TEXT(),
    sa.TEXT(1000), sa.CLOB(), sa.BINARY(4), sa.VARBINARY(8), sa.BLOB(), sa.DATE(), sa.TIME(), sa.DATETIME(),
    sa.TIMESTAMP(), sa.TIMESTAMP(timezone=True), sa.JSON(), sa.UUID(),
]  # fmt: skip


def test_a_declared_type_is_reflected_as_it_was_declared(engine: Engine) -> None:
    metadata = sa.MetaData()
    columns = [sa.Column(f"c{number}", type_) for number, type_ in enumerate(DECLARED)]
    sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)
    metadata.create_all(engine)
    found = [column["type"] for column in sa.inspect(engine).get_columns("t")][1:]

    for declared, reflected_type in zip(DECLARED, found, strict=True):
        assert type(reflected_type) is type(declared)
        assert reflected_type.compile(engine.dialect) == declared.compile(engine.dialect)


@pytest.mark.parametrize("name", ["INT", "TINYINT", "BOOL", "CHARACTER VARYING", "LONGTEXT", "MEDIUMBLOB"])
def test_another_database_s_type_name_is_reflected_as_the_nearest(name: str) -> None:
    statement = parse(f"CREATE TABLE t (a {name})")
    declared: SqlType = statement.columns[0].type  # type: ignore[union-attr]

    assert reflected(declared).compile(RomeDialect(paramstyle="named"))


def test_every_type_name_the_parser_takes_is_reflected() -> None:
    from_parser = parse("CREATE TABLE t (a INTERVAL)").columns[0].type  # type: ignore[union-attr]

    assert from_parser.kind is Kind.INTERVAL
    assert isinstance(reflected(from_parser), sa.types.TypeEngine)


def test_json_is_written_and_read_as_the_engine_says(store_url: str) -> None:
    engine = sa.create_engine(
        store_url, json_serializer=lambda value: '["written"]', json_deserializer=lambda text: text
    )
    metadata = sa.MetaData()
    table = sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.JSON))
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), {"a": 1})
        assert connection.scalar(sa.select(table.c.a)) == '["written"]'
    engine.dispose()
