"""The first version's two drivers, on every store: tables as dictionaries by key, and named locks."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import exc

from rome.core.dataformat.json import Encoder
from rome.core.orm.query import Query
from rome.core.session.session import Session
from rome.driver import database_driver, lock_driver
from rome.errors import InterfaceError
from rome.lock import LockManager
from tests.servers.stores import marked
from tests.upstream.models import Horse, Painter, Stable

on_every_store = pytest.mark.parametrize("own_store", marked(), indirect=True)


@on_every_store
def test_objects_are_put_found_and_removed_by_key(own_store: str) -> None:
    driver = database_driver.get_driver()
    tom = {"id": 1, "name": "Tom", "seen": Encoder().encode(datetime(2020, 1, 2)), "kittens": ["a", None]}

    assert driver.put("cats", 1, tom, secondary_indexes=["name"]) == {**tom, "___version_number": 1}
    driver.add_key("cats", 1)
    driver.put("cats", 10, {"name": "Kit"}, None)
    driver.put("cats", "1", {"name": "other"})

    assert driver.keys("cats") == [1, 10, "1"]
    assert driver.get("cats", 1) == {**tom, "___version_number": 1}
    assert [each["name"] for each in driver.getall("cats")] == ["Tom", "Kit", "other"]
    assert [each["name"] for each in driver.getall("cats", [("name", "Kit"), ("id", 1)])] == ["Tom", "Kit"]
    assert driver.get("cats", None, hint=("name", "Kit")) == {"name": "Kit", "___version_number": 1}
    assert driver.get("cats", 2) is None and driver.getall("dogs", hints=None) == [] and driver.keys("dogs") == []
    driver.remove_key("cats", 1)
    driver.remove_key("cats", 99)
    assert driver.get("cats", 1) is None and driver.keys("cats") == [10, "1"]


def test_versions_count_the_changes_of_an_object_and_of_its_table(own_store: str) -> None:
    driver = database_driver.get_driver()
    assert (driver.get_version_number("cats"), driver.get_object_version_number("cats", 1)) == (0, 0)
    driver.put("cats", 1, {"name": "Tom"})
    assert driver.put("cats", 1, {"name": "Tim"})["___version_number"] == 2
    driver.put("cats", 2, {"name": "Kit"})
    assert (driver.get_version_number("cats"), driver.get_object_version_number("cats", 1)) == (3, 2)
    driver.remove_key("cats", 1)
    assert (driver.get_version_number("cats"), driver.get_object_version_number("cats", 1)) == (4, 3)
    assert driver.put("cats", 1, {})["___version_number"] == 4


@on_every_store
def test_next_key_gives_no_key_twice(own_store: str) -> None:
    given: list[int] = []

    def take() -> None:
        given.extend(database_driver.get_driver().next_key("cats") for _ in range(3))

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 10))


@on_every_store
def test_the_rows_of_a_mapped_class_are_the_objects_of_its_table(own_store: str) -> None:
    driver = database_driver.get_driver()
    assert driver.keys("horses") == []  # the table appears here
    Horse(name="Ada").save()
    (row,) = driver.getall("horses")
    assert (row["id"], row["name"], row["created_at"]["simplify_strategy"]) == (1, "Ada", "datetime")

    driver.put("horses", driver.next_key("horses"), {**row, "id": 2, "name": "Bob"})
    driver.put("horses", "1", {"name": "Ann"})
    assert [(horse.id, horse.name) for horse in Query(Horse).order_by(Horse.id)] == [(1, "Ann"), (2, "Bob")]
    assert Query(Horse).filter(Horse.id == 2).one().created_at == Query(Horse).filter(Horse.id == 1).one().created_at
    assert [each["id"] for each in driver.getall("horses", [("name", "Bob")])] == [2]
    driver.remove_key("horses", 2)
    assert driver.keys("horses") == [1] and Query(Horse).count() == 1


def test_a_table_that_no_class_was_registered_for_is_found_in_the_store(own_store: str) -> None:
    with Session() as session:
        session.add(Painter(id=5, name="Eve"))
        session.commit()
    driver = database_driver.get_driver()
    assert driver.get("painters", 5) == {"id": 5, "name": "Eve", "born": None}
    assert driver.next_key("painters") == 6


REFUSED: list[tuple[str, Any, str]] = [
    ("an unknown column", lambda d: d.put("horses", 1, {"colour": "brown"}), "no column 'colour'"),
    ("an unknown hint", lambda d: d.getall("horses", [("colour", "brown")]), "no column 'colour'"),
    ("a key of two parts", lambda d: d.get("horses", (1, 2)), "has 1 parts"),
    ("a key that is none", lambda d: d.put("cats", 1.5, {}), "text or a whole number"),
    ("an index of nothing", lambda d: d.put("cats", 1, {}, ["name"]), "no 'name'"),
    ("its own tables", lambda d: d.getall("rome_objects"), "these objects themselves"),
]


@pytest.mark.parametrize(("call", "message"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_what_cannot_be_is_refused(own_store: str, call: Any, message: str) -> None:
    with pytest.raises(exc.ArgumentError, match=message):
        call(database_driver.get_driver())


def test_rows_have_no_version_numbers(own_store: str) -> None:
    Stable(town="York").save()
    for ask in (lambda d: d.get_version_number("stables"), lambda d: d.get_object_version_number("stables", 1)):
        with pytest.raises(NotImplementedError, match="rows of 'stables' have no version numbers"):
            ask(database_driver.get_driver())


# ---- locks


@on_every_store
def test_a_lock_is_had_by_one_until_it_is_unlocked(own_store: str) -> None:
    locks = lock_driver.get_driver()
    assert lock_driver.get_driver() is locks
    assert locks.lock("door", 60_000) is True
    assert locks.lock("door", 60_000) is False
    assert locks.lock("window", 60_000) is True
    assert locks.unlock("door") is True
    assert locks.unlock("door") is False
    assert locks.lock("door", 60_000) is True


@on_every_store
def test_a_lock_keeps_out_those_of_a_lock_manager_and_they_it(own_store: str) -> None:
    locks = lock_driver.get_driver()
    with LockManager(own_store) as manager:
        assert locks.lock("door", 60_000)
        assert [holder.name for holder in manager.holders()] == ["door"]
        locks.unlock("door")
        with manager.hold("door"):
            assert not locks.lock("door", 60_000)
        assert locks.lock("door", 60_000)
        locks.unlock("door")


@on_every_store
def test_a_lock_is_free_when_its_time_has_run_out(own_store: str) -> None:
    locks = lock_driver.get_driver()
    assert locks.lock("door", 50)
    deadline = time.monotonic() + 30
    while not locks.lock("door", 60_000):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert locks.unlock("door") is True


def test_a_lock_that_ran_out_and_is_anothers_is_not_unlocked(own_store: str) -> None:
    locks = lock_driver.get_driver()
    assert locks.lock("door", 1)
    time.sleep(0.05)
    with LockManager(own_store) as manager, manager.hold("door"):
        assert locks.unlock("door") is False
        assert [holder.name for holder in manager.holders()] == ["door"]


@pytest.mark.parametrize("ttl_ms", [0, -1, 1.5, True, "1"])
def test_a_time_is_a_whole_number_of_milliseconds(own_store: str, ttl_ms: Any) -> None:
    with pytest.raises(InterfaceError, match="whole number of milliseconds"):
        lock_driver.get_driver().lock("door", ttl_ms)


def test_closed_locks_open_again(own_store: str) -> None:
    locks = lock_driver.get_driver()
    assert locks.lock("door", 60_000)
    locks.close()
    locks.close()
    assert not locks.lock("door", 60_000) and locks.lock("window", 60_000)
    assert locks.unlock("door") is False
