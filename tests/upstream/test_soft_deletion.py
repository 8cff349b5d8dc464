"""Entities, rows that are marked as deleted, and queries without a session."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from oslo_db.sqlalchemy.update_match import MultiRowsMatched, NoRowsMatched

from rome.core.orm.exc import InvalidRequestError, MultipleResultsFound, NoResultFound
from rome.core.orm.query import Query
from rome.core.session.session import Session
from tests.servers.stores import marked
from tests.upstream.models import Horse, Painter, Stable


@pytest.fixture
def horses(own_store: str) -> str:
    """Ada and Bob in a stable at York, where Bob is deleted; Cid in none."""
    stable = Stable(town="York").save()
    Horse(name="Ada", stable_id=stable.id).save()
    Horse(name="Bob", stable_id=stable.id).save().soft_delete()
    Horse(name="Cid").save()
    return own_store


READ: list[tuple[str, list[str]]] = [("no", ["Ada", "Cid"]), ("yes", ["Ada", "Bob", "Cid"]), ("only", ["Bob"])]


def reading(read_deleted: str, *entities: Any) -> Any:
    query = Query(*entities)
    query.read_deleted = read_deleted
    return query


@pytest.mark.parametrize("own_store", marked(), indirect=True)
@pytest.mark.parametrize(("read_deleted", "names"), READ)
def test_a_query_reads_deleted_rows_as_it_is_told(horses: str, read_deleted: str, names: list[str]) -> None:
    query = reading(read_deleted, Horse).order_by(Horse.id)
    assert [horse.name for horse in query.all()] == names
    assert [horse.name for horse in query] == names
    assert query.first().name == names[0]
    assert query.count() == len(names)


@pytest.mark.parametrize(("read_deleted", "names"), READ)
def test_columns_functions_aliases_and_subqueries_read_alike(horses: str, read_deleted: str, names: list[str]) -> None:
    assert [name for (name,) in reading(read_deleted, Horse.name).order_by(Horse.id)] == names
    assert reading(read_deleted, sa.func.count(Horse.id)).scalar() == len(names)
    other = sa.orm.aliased(Horse)
    assert [name for (name,) in reading(read_deleted, other.name).order_by(other.id)] == names
    inner = reading(read_deleted, Horse.id)
    assert reading(read_deleted, Horse).filter(Horse.id.in_(inner.subquery().select())).count() == len(names)
    assert reading(read_deleted, inner.subquery()).count() == len(names)
    with Session() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(inner.subquery())) == len(names)
    assert reading(read_deleted, Horse).union(reading(read_deleted, Horse)).count() == len(names)


def test_queries_that_differ_are_refused_in_one_statement(horses: str) -> None:
    with pytest.raises(InvalidRequestError, match="reads deleted rows in one way"):
        reading("yes", Horse).filter(Horse.id.in_(Query(Horse.id).subquery().select())).all()


def test_joins_and_relationships_leave_out_deleted_rows(horses: str) -> None:
    assert [horse.name for horse in Query(Stable).one().horses] == ["Ada"]
    assert [name for (name,) in Query(Horse.name).join(Stable, Stable.id == Horse.stable_id)] == ["Ada"]
    Query(Stable).one().soft_delete()
    joined = Query(Horse.name, Stable.town).outerjoin(Stable, Stable.id == Horse.stable_id).order_by(Horse.id)
    assert [tuple(row) for row in joined] == [("Ada", None), ("Cid", None)]


def test_filter_deleted_is_for_one_call(horses: str) -> None:
    query = reading("yes", Horse).order_by(Horse.id.desc())
    assert [horse.name for horse in query.all(filter_deleted=True)] == ["Cid", "Ada"]
    assert query.filter(Horse.name == "Bob").first(filter_deleted=True) is None
    assert query.count() == 3


def test_soft_delete_marks_the_rows_of_a_query_and_counts_them(horses: str) -> None:
    moment = datetime(2020, 1, 2, 3, 4, 5, 6)
    with Session() as session:
        assert session.query(Horse).filter(Horse.name != "Cid").soft_delete(now=lambda: moment) == 1
        session.commit()
    ada = reading("only", Horse).filter(Horse.name == "Ada").one()
    assert (ada.deleted, ada.deleted_at, ada.updated_at) == (ada.id, moment, None)


def test_updates_and_deletes_spare_deleted_rows(horses: str) -> None:
    assert Query(Horse).update({"name": "new"}) == 2
    assert Query(Horse).delete() == 2
    assert [name for (name,) in reading("yes", Horse.name)] == ["Bob"]


def test_a_class_without_the_columns_is_not_soft_deleted(own_store: str) -> None:
    with pytest.raises(InvalidRequestError, match="Painter has no columns `id` and `deleted`"):
        Query(Painter).soft_delete()


def test_read_deleted_takes_three_words(own_store: str) -> None:
    with pytest.raises(InvalidRequestError, match="'no', 'yes' or 'only', not 'maybe'"):
        reading("maybe", Horse).all()


def test_one_wants_one(horses: str) -> None:
    assert Query(Horse).filter(Horse.name == "Ada").one().name == "Ada"
    with pytest.raises(NoResultFound):
        Query(Horse).filter(Horse.name == "Bob").one()
    with pytest.raises(MultipleResultsFound):
        Query(Horse).one()


def test_the_session_may_stand_anywhere_among_the_entities(horses: str) -> None:
    with Session() as session:
        session.add(Horse(name="Dan"))
        for query in (Query(Horse, session), Query(session, Horse), Query(Horse, None, session=session)):
            assert query.count() == 3 and query.session is session
    assert Query(Horse).count() == 2


def test_update_on_match_changes_the_one_row_that_is_alike(horses: str) -> None:
    with Session() as session:
        query = session.query(Horse)
        found = query.update_on_match(Horse(id=1, name=["Ada", "Eve"]), "id", {"name": "Ann"})
        assert (found.name, sa.orm.object_session(found)) == ("Ann", session)
        with pytest.raises(NoRowsMatched):
            query.update_on_match(Horse(id=1, name="Ada"), "id", {"name": "x"})
        with pytest.raises(NoRowsMatched):
            query.update_on_match(Horse(id=2), "id", {"name": "x"})  # deleted
        with pytest.raises(MultiRowsMatched):
            query.update_on_match(Horse(deleted=0), "deleted", {"name": "x"})
        with pytest.raises(InvalidRequestError, match="needs a value of 'id'"):
            query.update_on_match(Horse(name="Cid"), "id", {"name": "x"})
        session.commit()
    assert [name for (name,) in Query(Horse.name).order_by(Horse.id)] == ["Ann", "Cid"]


def test_a_lock_mode_is_for_update(horses: str) -> None:
    with Session() as session:
        assert "FOR UPDATE" in str(session.query(Horse).with_lockmode("update").statement)
        assert "FOR UPDATE" not in str(session.query(Horse).with_lockmode(None).statement)
        with pytest.raises(sa.exc.ArgumentError, match="a lock mode is one of"):
            session.query(Horse).with_lockmode("exclusive")


# ---- entities


def test_an_entity_saves_itself_and_goes_on_living(own_store: str) -> None:
    horse = Horse(name="Ada")
    assert horse.save() is horse and horse.id == 1 and horse.created_at is not None
    horse.name = "Ann"
    horse.save()
    assert [(each.id, each.name) for each in Query(Horse)] == [(1, "Ann")]
    assert horse.updated_at is not None and horse.stable is None
    horse.delete()
    assert Query(Horse).count() == 0


def test_an_entity_of_a_query_without_a_session_loads_its_relationships(horses: str) -> None:
    horse = Query(Horse).filter(Horse.name == "Ada").first()
    assert horse.stable.town == "York" and [each.name for each in horse.stable.horses] == ["Ada"]


def test_a_session_given_to_an_entity_commits_for_it(own_store: str) -> None:
    with Session() as session:
        horse = Horse(name="Ada").save(session)
        assert horse.id == 1 and Query(Horse).count() == 0
        session.commit()
        horse.soft_delete(session)
        session.rollback()
        horse.delete(session)
        session.rollback()
    assert Query(Horse).count() == 1


def test_an_entity_is_a_dictionary_of_its_columns(own_store: str) -> None:
    horse = Horse(name="Ada")
    assert horse.update({"name": "Ann", "stable_id": None}) is horse
    horse["id"] = 7
    assert (horse["name"], horse["id"], horse.get("name"), horse.get("colour", 1)) == ("Ann", 7, "Ann", 1)
    assert "name" in horse and "colour" not in horse
    assert dict(horse) == dict(horse.items()) == horse.to_dict() == dict(zip(horse.keys(), horse.values(), strict=True))
    assert set(horse.keys()) == {"id", "name", "stable_id", "created_at", "updated_at", "deleted_at", "deleted"}
    assert dict(iter(horse))["name"] == "Ann"
    with pytest.raises(KeyError, match="Horse has no attribute 'colour'"):
        horse["colour"] = "brown"
    with pytest.raises(KeyError, match="Horse has no attribute 'colour'"):
        horse.update({"colour": "brown"})


@pytest.mark.parametrize("load", [sa.orm.joinedload, sa.orm.selectinload, sa.orm.subqueryload, sa.orm.lazyload])
def test_relationships_leave_out_deleted_rows_however_they_are_loaded(horses: str, load: Any) -> None:
    stable = Query(Stable).options(load(Stable.horses)).one()
    assert [horse.name for horse in stable.horses] == ["Ada"]
    assert [horse.name for horse in reading("yes", Stable).options(load(Stable.horses)).one().horses] == ["Ada", "Bob"]


def test_an_object_that_was_deleted_since_is_still_read_again(horses: str) -> None:
    with Session() as session:
        horse = session.query(Horse).filter(Horse.name == "Ada").one()
        horse.soft_delete(session)
        session.commit()
        assert (horse.name, horse.deleted) == ("Ada", horse.id)
