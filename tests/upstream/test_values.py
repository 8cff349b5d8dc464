"""JSON values, conversions and lazy relationships."""

from __future__ import annotations

import copy
import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from netaddr import IPNetwork

from rome.core.dataformat.json import Decoder, Encoder
from rome.core.orm.query import Query
from rome.core.session.session import Session
from rome.core.utils import LazyRelationship, current_milli_time, datetime_to_int, merge_dicts
from tests.upstream.models import Painter, Picture, gallery

NOON = datetime(2026, 1, 31, 12, 0, 0, 123456)

VALUES = [
    NOON,
    NOON.replace(microsecond=0),
    datetime(33, 1, 2),
    NOON.replace(tzinfo=UTC),
    NOON.replace(tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    NOON.replace(tzinfo=ZoneInfo("Europe/Paris")),
    datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Paris"), fold=1),  # the second half past two of that night
    IPNetwork("10.0.0.0/8"),
    IPNetwork("2001:db8::/32"),
    [NOON, {"network": IPNetwork("192.168.1.0/24"), "names": ["a", None, 1.5, True]}],
    {"empty": [], "none": None, "text": "2026-01-31 12:00:00"},
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_values_come_back_from_json_as_they_were(value: Any) -> None:
    decoded = Decoder().decode(json.loads(json.dumps(Encoder().encode(value))))
    assert decoded == value and type(decoded) is type(value)
    if isinstance(value, datetime):
        assert (decoded.utcoffset(), decoded.tzinfo is None, decoded.fold) == (
            value.utcoffset(),
            value.tzinfo is None,
            value.fold,
        )


def test_the_form_is_that_of_the_first_version() -> None:
    assert Encoder().encode(NOON) == {
        "simplify_strategy": "datetime",
        "value": "2026-01-31 12:00:00.123456",
        "timezone": "None",
    }
    assert Encoder().encode(NOON.replace(tzinfo=UTC))["timezone"] == "UTC"
    assert Encoder().encode(IPNetwork("10.0.0.0/8")) == {"simplify_strategy": "ipnetwork", "value": "10.0.0.0/8"}


def test_what_could_not_come_back_is_refused() -> None:
    with pytest.raises(ValueError, match="encoded already"):
        Encoder().encode({"simplify_strategy": "datetime"})
    with pytest.raises(ValueError, match="'novabase' is no simplify_strategy"):
        Decoder().decode({"simplify_strategy": "novabase"})
    with pytest.raises(ValueError, match="is no time zone"):
        Encoder().encode(NOON.replace(tzinfo=timezone(timedelta(hours=1), "somewhere")))


def test_conversions() -> None:
    assert merge_dicts({"a": 1, "b": 2}, {"b": 3}) == {"a": 1, "b": 3}
    assert datetime_to_int(datetime(1970, 1, 2, tzinfo=UTC)) == 86400
    local = datetime(2026, 7, 1, 12)
    assert datetime_to_int(local) == int(time.mktime(local.timetuple()))
    assert current_milli_time(lambda: 1.2345) == 1234
    assert abs(current_milli_time() - time.time() * 1000) < 60_000


# ---- lazy relationships


@pytest.fixture
def pictures(own_store: str) -> LazyRelationship:
    with Session() as session:
        session.add_all(gallery())
        session.commit()
    return LazyRelationship(Query(Picture).filter(Picture.painter_id == 2).order_by(Picture.id), Picture)


def test_a_relationship_is_loaded_when_looked_at_and_once(pictures: LazyRelationship) -> None:
    assert not pictures.is_loaded and "not loaded" in repr(pictures) and not pictures.is_loaded
    assert len(pictures) == 4 and pictures.is_loaded
    Query(Picture).delete()
    assert [picture.id for picture in pictures] == [1, 2, 3, 4]
    assert pictures[0].title == "Picture1" and pictures[1] in pictures and bool(pictures)
    assert pictures == pictures.data and pictures != []


def test_a_relationship_to_one_acts_as_that_one(pictures: LazyRelationship) -> None:
    painter = LazyRelationship(Query(Painter).filter(Painter.id == 2), Painter, many=False)
    assert (painter.name, len(painter.pictures)) == ("Painter2", 4)
    painter.name = "renamed"
    assert painter.data.name == "renamed"
    nobody = LazyRelationship(Query(Painter).filter(Painter.id == 99), Painter, many=False)
    assert not nobody and nobody == None  # noqa: E711 - it stands for None
    with pytest.raises(AttributeError, match="colour"):
        _ = painter.colour


def test_a_session_takes_what_a_relationship_has_loaded(pictures: LazyRelationship) -> None:
    with Session() as session:
        session.add(pictures)  # nobody has looked at it, so nothing of it can have changed
        assert not pictures.is_loaded
        for picture in pictures:
            picture.price = 1
        session.add(pictures)
        session.commit()
        session.delete(pictures)
        session.commit()
    assert Query(Picture).count() == 5


def test_a_relationship_can_be_copied_and_is_not_asked_too_early(pictures: LazyRelationship) -> None:
    assert copy.copy(pictures).query is pictures.query
    with pytest.raises(AttributeError):
        _ = LazyRelationship.__new__(LazyRelationship).data
    assert not hasattr(pictures, "__len_hint__")
