"""Attribute selection, functions, joins and where clauses: what SQLAlchemy does on SQLite, ROME does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import joinedload, subqueryload
from sqlalchemy.sql.functions import count, max, min, sum

from rome.core.orm.query import and_, or_
from tests.upstream.models import Painter, Picture

pytestmark = pytest.mark.filterwarnings("ignore:SELECT statement has a cartesian product")  # some ask for it

Work = Callable[[Any], Any]
Alike = Callable[[Work], None]

SELECTIONS: dict[str, Work] = {
    "a class": lambda s: s.query(Painter).order_by(Painter.id).all(),
    "a key": lambda s: s.query(Painter.id).order_by(Painter.id).all(),
    "an attribute": lambda s: s.query(Painter.name).order_by(Painter.name).all(),
    "a class and its attributes": lambda s: s.query(Painter, Painter.id, Painter.name).order_by(Painter.id).all(),
    "a class and a foreign key": lambda s: s.query(Picture, Picture.painter_id).order_by(Picture.id).all(),
    "a foreign key": lambda s: s.query(Picture.painter_id).order_by(Picture.id).all(),
    "two classes and an attribute": lambda s: (
        s.query(Picture, Picture.painter_id, Painter).filter(Picture.id < 4).order_by(Picture.id, Painter.id).all()
    ),
    "two classes and attributes of both": lambda s: (
        s.query(Picture, Picture.painter_id, Painter, Painter.name, Painter.id)
        .filter(Picture.id > 6)
        .order_by(Picture.id, Painter.id)
        .all()
    ),
    "everything of a product": lambda s: sorted(map(str, s.query(Picture.id, Painter.id))),
}

FUNCTIONS: dict[str, Work] = {
    "count": lambda s: s.query(count(Painter.id)).all(),
    "sum": lambda s: s.query(sum(Painter.id)).all(),
    "min": lambda s: s.query(min(Painter.id)).all(),
    "max": lambda s: s.query(max(Painter.id)).all(),
    "all four in one": lambda s: s.query(count(), sum(Picture.price), min(Picture.title), max(Picture.price)).all(),
    "of nothing": lambda s: s.query(sum(Picture.price), count(Picture.id)).filter(Picture.id > 99).all(),
    "by group": lambda s: (
        s.query(Picture.painter_id, count(Picture.id), sum(Picture.price))
        .group_by(Picture.painter_id)
        .order_by(Picture.painter_id)
        .all()
    ),
    "the number of results": lambda s: [s.query(Picture).count(), s.query(Picture).filter(Picture.id < 3).count()],
}

JOINS: dict[str, Work] = {
    "to a class": lambda s: s.query(Painter).join(Picture).order_by(Painter.id).all(),
    "of both classes": lambda s: s.query(Painter, Picture).join(Picture).order_by(Picture.id).all(),
    "along a relationship": lambda s: s.query(Painter).join(Painter.pictures).order_by(Painter.id).all(),
    "loading what is joined": lambda s: [
        [painter, painter.pictures]
        for painter in s.query(Painter)
        .join(Painter.pictures)
        .options(joinedload(Painter.pictures))
        .order_by(Painter.id)
    ],
    "with filters on both sides": lambda s: [
        [painter, painter.pictures]
        for painter in s.query(Painter)
        .join(Painter.pictures)
        .options(joinedload(Painter.pictures))
        .filter(Painter.name == "Painter3")
        .filter(Picture.title == "Picture5")
    ],
    "loading by a subquery": lambda s: [
        [painter, name, painter.pictures]
        for painter, name in s.query(Painter, Painter.name)
        .join(Painter.pictures)
        .options(subqueryload(Painter.pictures))
        .filter(Painter.name == "Painter3")
        .filter(Picture.title == "Picture5")
    ],
    "on a condition": lambda s: (
        s.query(Painter, Picture.title).join(Picture, Picture.painter_id == Painter.id).order_by(Picture.id).all()
    ),
    "outer": lambda s: s.query(Painter, Picture).outerjoin(Picture).order_by(Painter.id, Picture.id).all(),
    "by filter": lambda s: (
        s.query(Painter.name, Picture.title).filter(Picture.painter_id == Painter.id).order_by(Picture.id).all()
    ),
    "and the way back": lambda s: s.query(Picture).filter(Picture.id == 5).one().painter,
}

CLAUSES: dict[str, Work] = {
    "equal": lambda s: s.query(Painter).filter(Painter.id == 1).all(),
    "unequal": lambda s: s.query(Painter).filter(Painter.id != 1).order_by(Painter.id).all(),
    "greater": lambda s: s.query(Painter).filter(Painter.id > 1).order_by(Painter.id).all(),
    "less": lambda s: s.query(Painter).filter(Painter.id < 2).all(),
    "text": lambda s: s.query(Painter).filter(Painter.name == "Painter1").all(),
    "other text": lambda s: s.query(Painter).filter(Painter.name != "Painter1").order_by(Painter.id).all(),
    "NULL": lambda s: s.query(Picture).filter(Picture.painter_id == None).all(),  # noqa: E711 - as people write it
    "not NULL": lambda s: s.query(Picture).filter(Picture.painter_id != None).order_by(Picture.id).all(),  # noqa: E711
    "keywords": lambda s: s.query(Painter).filter_by(name="Painter2", born=1820).all(),
    "and": lambda s: s.query(Painter).filter(and_(Painter.id > 1, Painter.born < 1830)).all(),
    "or": lambda s: s.query(Painter).filter(or_(Painter.id == 1, Painter.born == 1830)).order_by(Painter.id).all(),
    "one of": lambda s: s.query(Picture).filter(Picture.price.in_([200, 300])).order_by(Picture.id).all(),
    "like": lambda s: s.query(Picture.title).filter(Picture.title.like("%ture7")).all(),
    "first": lambda s: s.query(Picture).filter(Picture.price > 200).order_by(Picture.id).first(),
    "one": lambda s: s.query(Picture).filter(Picture.title == "Found").one(),
    "a page": lambda s: s.query(Picture).order_by(Picture.price, Picture.id).limit(3).offset(2).all(),
    "in a subquery": lambda s: (
        s.query(Painter).filter(Painter.id.in_(s.query(Picture.painter_id).filter(Picture.price == 300))).all()
    ),
}


def cases() -> list[Any]:
    groups = {"selection": SELECTIONS, "function": FUNCTIONS, "join": JOINS, "where": CLAUSES}
    return [
        pytest.param(work, id=f"{group}: {name}") for group, works in groups.items() for name, work in works.items()
    ]


@pytest.mark.parametrize("work", cases())
def test_a_query_answers_as_on_sqlite(alike: Alike, work: Work) -> None:
    alike(work)


def test_answers_are_compared(alike: Alike) -> None:
    answers = iter([[1], [2]])
    with pytest.raises(AssertionError):
        alike(lambda _: next(answers))
