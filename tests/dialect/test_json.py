"""JSON columns through SQLAlchemy: what stands in them can be asked for, compared and sorted by."""

from __future__ import annotations

from decimal import Decimal

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    data: Mapped[object] = mapped_column(sa.JSON)
    maybe: Mapped[object] = mapped_column(sa.JSON(none_as_null=True), nullable=True)


BIG = 123456789012345678901234567890
FIRST = {"name": "b", "size": 10, "price": 28.5, "on": True, "none": None, "a.b'\"\\$": {"é🐍": [1, {"x": "y"}]}}
SECOND = {"name": "a", "size": 9, "price": 1, "on": False, "big": BIG, "tags": ["x", "y"]}


@pytest.fixture
def things(engine: Engine) -> Engine:
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all([Thing(id=1, data=FIRST, maybe=None), Thing(id=2, data=SECOND, maybe={})])
        session.add(Thing(id=3, data=None))
    return engine


data = Thing.data


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (data["name"], "b"),
        (data["a.b'\"\\$"]["é🐍"][0], 1),
        (data["a.b'\"\\$"][("é🐍", 1, "x")], "y"),
        (data[("a.b'\"\\$", "é🐍", -1, "x")].as_string(), "y"),
        (data["nothing"], None),
        (data["none"].as_string(), None),
        (data["size"].as_integer(), 10),
        (data["size"].as_string(), "10"),
        (data["size"].as_numeric(10, 2), Decimal("10.00")),
        (data["price"].as_float(), 28.5),
        (data["on"].as_boolean(), True),
        (data["a.b'\"\\$"].as_json(), FIRST["a.b'\"\\$"]),
        (sa.func.json_array_length(data["a.b'\"\\$"]["é🐍"]), 2),
    ],
)
def test_an_index_finds_what_python_finds(things: Engine, expression: sa.ColumnElement[object], found: object) -> None:
    with things.connect() as connection:
        value = connection.scalar(sa.select(expression).where(Thing.id == 1))
    assert value == found and type(value) is type(found)


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        (data["name"].as_string() == "a", [2]),
        (data["size"].as_integer() > 9, [1]),
        (data["size"].as_integer().in_([9, 10]), [1, 2]),
        (data["price"].as_float() < 2, [2]),
        (data["on"].as_boolean(), [1]),
        (data["tags"] == ["x", "y"], [2]),
        (data["big"].as_numeric(40, 0) == BIG, [2]),
        (data == sa.JSON.NULL, [3]),
        (sa.cast(data, sa.String) == "null", [3]),
        (Thing.maybe.is_(sa.null()), [1, 3]),
        (data["tags"].is_not(None), [2]),
    ],
)
def test_what_is_inside_can_be_asked_for(things: Engine, condition: sa.ColumnElement[bool], ids: list[int]) -> None:
    with Session(things) as session:
        assert session.scalars(sa.select(Thing.id).where(condition).order_by(Thing.id)).all() == ids


def test_what_is_inside_sorts_and_groups(things: Engine) -> None:
    size, name = data["size"].as_integer(), data["name"].as_string()
    with Session(things) as session:
        assert session.scalars(sa.select(Thing.id).order_by(size.desc().nulls_last())).all() == [1, 2, 3]
        grouped = sa.select(name, sa.func.count()).group_by(name).order_by(name)
        assert [tuple(row) for row in session.execute(grouped)] == [(None, 1), ("a", 1), ("b", 1)]


def test_a_large_number_comes_back_whole(things: Engine) -> None:
    with Session(things) as session:
        thing = session.get_one(Thing, 2)
        assert thing.data == SECOND
        assert session.scalar(sa.select(data["big"]).where(Thing.id == 2)) == BIG


def test_an_index_may_be_written_as_a_literal(things: Engine) -> None:
    text = str(sa.select(data["it's"][0]).compile(things, compile_kwargs={"literal_binds": True}))
    assert """things.data -> '$."it''s"' -> '$[0]'""" in text
    with things.connect() as connection:
        assert connection.execute(sa.text(text)).all() == [(None,)] * 3
