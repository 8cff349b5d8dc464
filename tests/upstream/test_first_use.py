"""Tables appear when they are first used, and their indexes with them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Column, Integer, String
from sqlalchemy.orm import declarative_base

from rome import orm
from rome.core.orm.query import Query
from rome.core.session.session import Session
from rome.utils.secondary_index_decorator import secondary_index_decorator
from tests.servers.stores import marked
from tests.upstream.models import Horse, Painter


def fresh() -> Any:
    """A class of its own that no store has a table for."""
    base = declarative_base()

    class Thing(base):  # type: ignore[valid-type, misc]
        __tablename__ = "things"
        id = Column(Integer, primary_key=True)
        name = Column(String(20))
        size = Column(Integer)

    return Thing


USES = {
    "a query of the class": lambda s, thing: s.query(thing).all(),
    "a query of a column": lambda s, thing: s.query(thing.name).all(),
    "a function": lambda s, thing: s.query(sa.func.max(thing.size)).all(),
    "a select": lambda s, thing: s.execute(sa.select(thing)).all(),
    "a subquery": lambda s, thing: s.scalar(sa.select(sa.exists().where(thing.id == 1))),
    "a get": lambda s, thing: s.get(thing, 1),
    "an insert": lambda s, thing: s.execute(sa.insert(thing), [{"id": 1}]),
    "an insert into the table": lambda s, thing: s.execute(thing.__table__.insert(), [{"id": 1}]),
    "an update": lambda s, thing: s.query(thing).update({"name": "x"}),
    "a flush": lambda s, thing: (s.add(thing(name="x")), s.flush()),
    "a join": lambda s, thing: s.query(Painter.id).join(thing, thing.id == Painter.id).all(),
}


@pytest.mark.parametrize("use", USES)
def test_a_table_appears_with(use: str, own_store: str) -> None:
    thing = fresh()
    with Session() as session:
        USES[use](session, thing)
        session.commit()
    assert "things" in sa.inspect(orm.engine_of(own_store)).get_table_names()


@pytest.mark.parametrize("own_store", marked(), indirect=True)
def test_threads_that_use_a_table_first_all_find_it(own_store: str) -> None:
    thing, together, failures = fresh(), threading.Barrier(5), []

    def work(number: int) -> None:
        together.wait()
        try:
            with Session() as session:
                session.add(thing(id=number))
                session.commit()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Query(thing).count() == 5


def test_a_table_appears_in_the_middle_of_a_transaction(own_store: str) -> None:
    thing = fresh()
    with Session() as session:
        session.add(Painter(id=1))
        session.flush()
        session.add(thing(id=1))
        session.commit()
    assert Query(thing).count() == Query(Painter).count() == 1


def test_a_table_that_was_dropped_appears_again(own_store: str) -> None:
    thing = fresh()
    assert Query(thing).count() == 0
    thing.__table__.drop(orm.engine_of(own_store))
    assert Query(thing).count() == 0
    thing.metadata.drop_all(orm.engine_of(own_store))
    assert Query(thing).count() == 0


def test_an_engine_that_was_given_gets_no_table(own_store: str) -> None:
    with Session(orm.create_engine("rome+memory://")) as session, pytest.raises(sa.exc.ProgrammingError):
        session.query(fresh()).all()


def test_the_decorator_makes_an_index_that_queries_use(own_store: str) -> None:
    assert Query(Horse).count() == 0
    engine = orm.engine_of(own_store)
    assert [each["column_names"] for each in sa.inspect(engine).get_indexes("horses")] == [["name"]]
    with engine.connect() as connection:
        plan = connection.scalars(sa.text("EXPLAIN SELECT id FROM horses WHERE name = 'x'")).all()
    assert "ix_horses_name" in "\n".join(plan)


def test_the_decorator_makes_an_index_on_a_table_that_is_there(own_store: str) -> None:
    thing = fresh()
    assert Query(thing).count() == 0
    secondary_index_decorator("size")(secondary_index_decorator("name")(thing))
    assert Query(thing).count() == 0
    names = {each["name"] for each in sa.inspect(orm.engine_of(own_store)).get_indexes("things")}
    assert names == {"ix_things_name", "ix_things_size"}
    assert thing._secondary_indexes == ["name", "size"]


def test_the_decorator_makes_no_second_index(own_store: str) -> None:
    thing = fresh()
    for attribute in ("name", "id", "name"):
        secondary_index_decorator(attribute)(thing)
    assert [index.name for index in thing.__table__.indexes] == ["ix_things_name"]


def test_the_decorator_names_an_attribute_that_is_not_there() -> None:
    with pytest.raises(sa.exc.ArgumentError, match="Thing has no column 'colour'"):
        secondary_index_decorator("colour")(fresh())


