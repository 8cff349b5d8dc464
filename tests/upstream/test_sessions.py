"""Sessions as the first version's users have them: several at once, objects passed between them, deadlocks retried."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import orm as sqlalchemy_orm

from rome.core.session.session import DBDeadlock, Session, SessionDeadlock
from rome.core.session.utils import retry_on_db_deadlock
from rome.orm.deadlock import ATTEMPTS
from tests.servers.stores import marked
from tests.upstream.models import Address, Base, Painter, Picture, gallery

ADDRESSES = 5

pytestmark = pytest.mark.parametrize("own_store", marked(), indirect=True)


def fill(*objects: Base) -> None:
    with Session() as session:
        session.add(*objects)
        session.commit()


def take_an_address(session: Any, network_id: int) -> None:
    with session.begin():
        free = session.query(Address).filter(Address.taken == False).order_by(Address.id).first()  # noqa: E712
        session.add(free)
        free.taken = True
        free.network_id = network_id


def taken(session: Any) -> list[Any]:
    return sorted((address.taken, address.network_id) for address in session.query(Address))


def taken_in_turn_on_sqlite() -> list[Any]:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    Base.metadata.create_all(engine)
    with sqlalchemy_orm.Session(engine) as session:
        session.add_all([Address(taken=False) for _ in range(ADDRESSES)])
        session.commit()
    for number in range(ADDRESSES):
        with sqlalchemy_orm.Session(engine) as session:
            take_an_address(session, number)
    with sqlalchemy_orm.Session(engine) as session:
        return taken(session)


def test_five_threads_take_five_addresses_as_one_would_in_turn(own_store: str) -> None:
    fill(*(Address(taken=False) for _ in range(ADDRESSES)))
    together = threading.Barrier(ADDRESSES)
    failures: list[BaseException] = []

    @retry_on_db_deadlock
    def take(number: int) -> None:
        take_an_address(Session(), number)

    def work(number: int) -> None:
        together.wait()
        try:
            take(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(ADDRESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert taken(Session()) == taken_in_turn_on_sqlite()


def test_of_two_sessions_that_change_what_both_read_the_later_has_a_deadlock(own_store: str) -> None:
    fill(Address(id=1, taken=False))
    first, second = Session(), Session()
    one, other = first.get_one(Address, 1), second.get_one(Address, 1)
    one.network_id, other.network_id = 1, 2

    first.commit()
    with pytest.raises(DBDeadlock) as caught:
        second.commit()

    assert isinstance(caught.value, SessionDeadlock)
    second.rollback()
    assert second.get_one(Address, 1).network_id == 1
    second.close()
    first.close()


def test_the_later_change_stays_where_versions_are_not_checked(own_store: str) -> None:
    fill(Address(id=1, taken=False))
    first, second = Session(), Session(check_version_numbers=False)
    first.get_one(Address, 1).network_id = 1
    second.get_one(Address, 1).network_id = 2

    first.commit()
    second.commit()

    assert Session().get_one(Address, 1).network_id == 2


def test_a_reader_left_open_blocks_no_writer_however_many_there_are(own_store: str) -> None:
    fill(*gallery())
    readers = [Session() for _ in range(20)]
    for reader in readers:
        assert reader.query(Painter).count() == 3

    with Session() as writer:
        writer.query(Painter).filter(Painter.id == 1).update({"name": "renamed"})
        writer.delete(writer.get_one(Picture, 9))
        writer.commit()

    assert {reader.query(Picture).count() for reader in readers} <= {8, 9}  # before or after
    for reader in readers:
        reader.close()
    assert Session().query(Picture).count() == 8


def test_an_object_of_another_living_session_can_be_added(own_store: str) -> None:
    fill(*gallery())
    reading, writing = Session(), Session()
    painter = reading.query(Painter).filter(Painter.id == 2).one()
    assert len(painter.pictures) == 4

    writing.add(painter)
    painter.name = "renamed"
    painter.pictures[0].price = 1
    writing.commit()

    assert sqlalchemy_orm.object_session(painter) is writing
    with Session() as session:
        assert session.get_one(Painter, 2).name == "renamed" and session.get_one(Picture, 1).price == 1
    reading.close()
    writing.close()


def test_an_object_of_another_living_session_can_be_deleted(own_store: str) -> None:
    fill(*gallery())
    reading, writing = Session(), Session()
    pictures = reading.query(Picture).filter(Picture.painter_id == 3).all()

    writing.delete(*pictures)
    writing.commit()

    with Session() as session:
        assert session.query(Picture).count() == 5
    reading.close()


@pytest.mark.parametrize("change", ["update", "delete"])
def test_an_object_whose_row_was_changed_meanwhile_overwrites_nothing(own_store: str, change: str) -> None:
    fill(*gallery())
    reading = Session()
    picture = reading.query(Picture).filter(Picture.id == 1).one()
    with Session() as quicker:
        mine = quicker.query(Picture).filter(Picture.id == 1)
        if change == "update":
            mine.update({"price": 7})
        else:
            mine.delete()
        quicker.commit()
    writing = Session()
    writing.add(picture)
    picture.title = "renamed"

    with pytest.raises(SessionDeadlock, match=r"^(price of )?Picture \(1,\) was (changed|deleted) since it was read"):
        writing.commit()

    with Session() as session:
        found = session.query(Picture.title, Picture.price).filter(Picture.id == 1).all()
        assert [tuple(row) for row in found] == ([("Picture1", 7)] if change == "update" else [])


def test_an_object_that_was_not_changed_is_added_whatever_became_of_its_row(own_store: str) -> None:
    fill(*gallery())
    reading, writing = Session(), Session()
    picture = reading.query(Picture).filter(Picture.id == 1).one()
    with Session() as quicker:
        quicker.query(Picture).filter(Picture.id == 1).update({"price": 7})
        quicker.commit()

    writing.add(picture)
    writing.commit()

    assert picture.price == 7


def test_retrying_pauses_longer_each_time_and_gives_up_in_the_end(own_store: str) -> None:
    pauses: list[float] = []

    def never() -> None:
        raise DBDeadlock()

    with pytest.raises(DBDeadlock):
        retry_on_db_deadlock(never, sleep=pauses.append, jitter=lambda: 0.5)()

    assert len(pauses) == ATTEMPTS - 1
    assert pauses[:4] == [0.01, 0.02, 0.04, 0.08] and pauses[-1] == 0.5


def test_other_errors_are_not_retried(own_store: str) -> None:
    calls: list[int] = []

    @retry_on_db_deadlock
    def fails() -> None:
        calls.append(1)
        raise ValueError("no deadlock")

    with pytest.raises(ValueError, match="no deadlock"):
        fails()
    assert calls == [1] and fails.__name__ == "fails"
