"""Transactions that begin alike: what they read is asked for at once, and in all else it is as if it were not."""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rome import dbapi
from rome.driver.api import Scan
from rome.errors import Conflict
from rome.sql import foresight
from rome.sql.foresight import MAX_CELLS, Foresight
from rome.txn import distance
from tests.servers.stores import a_store, marked
from tests.transactions.speaker import Connect, Step, off, played, say, say_all

SCHEMA = (
    "CREATE TABLE images (id VARCHAR(36) NOT NULL PRIMARY KEY, owner VARCHAR(36), at INTEGER)",
    "CREATE INDEX images_owner ON images (owner)",
    "CREATE TABLE tags (id INTEGER NOT NULL PRIMARY KEY, image VARCHAR(36) NOT NULL, value VARCHAR(20))",
    "CREATE INDEX tags_image ON tags (image)",
)
IMAGES = [f"00000000-0000-0000-0000-{number:012}" for number in range(20)]
IMAGE = "SELECT id, owner, at FROM images WHERE id = :id"
TAGS = "SELECT id, value FROM tags WHERE image = :image ORDER BY id"
OF_OWNER = "SELECT id, at FROM images WHERE owner = :owner ORDER BY at, id"


@pytest.fixture(autouse=True)
def no_store_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though these are on this very machine."""
    monkeypatch.setattr(distance, "NEAR_S", float("-inf"))


@pytest.fixture(params=marked(["redis", "etcd"]))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store, on each kind that is a round trip away."""
    with a_store(request.param, tmp_path) as url:
        yield url


def fill(connection: dbapi.Connection) -> None:
    """20 images of the owners `owner 0` to `owner 3`, with two tags each."""
    say_all(connection, *SCHEMA)
    cursor = connection.cursor()
    rows = [(image, f"owner {number % 4}", number) for number, image in enumerate(IMAGES)]
    cursor.executemany("INSERT INTO images VALUES (?, ?, ?)", rows)
    tags = [(10 * number + each, image, f"{each}") for number, image in enumerate(IMAGES) for each in range(2)]
    cursor.executemany("INSERT INTO tags VALUES (?, ?, ?)", tags)
    connection.commit()


def with_foresight(connection: dbapi.Connection) -> dbapi.Connection:
    """As if the store were a round trip away."""
    connection._opened().database.environment.foresight = Foresight()
    return connection


def look(connection: dbapi.Connection, image: str) -> list[Any]:
    """An image, then its tags, then what else its owner has: three waves, each of which needs the one before."""
    [(_, owner, at)] = say(connection, IMAGE, {"id": image})
    found = [owner, at, say(connection, TAGS, {"image": image}), say(connection, OF_OWNER, {"owner": owner})]
    connection.rollback()
    return found


def waves(connection: dbapi.Connection, run: Callable[[], object]) -> int:
    before = connection.counters.waves
    run()
    return connection.counters.waves - before


# ---- what it saves


def test_a_transaction_that_begins_like_an_earlier_one_makes_one_round_trip(store: str, connect: Connect) -> None:
    one, plain = connect(store), connect(off(store))
    fill(plain)
    found = look(plain, IMAGES[3])
    assert [waves(plain, lambda: look(plain, IMAGES[3])) for _ in range(3)] == [3, 3, 3]
    look(one, IMAGES[7])
    assert [waves(one, lambda: look(one, IMAGES[3])) for _ in range(3)] == [3, 1, 1]
    assert look(one, IMAGES[3]) == found
    assert one.counters.from_ahead > 0 and plain.counters.read_ahead == 0


def test_on_a_near_store_only_short_courses_are_foreseen(
    store: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distance, "NEAR_S", float("inf"))
    one = connect(store)
    fill(one)
    assert [waves(one, lambda: look(one, IMAGES[3])) for _ in range(4)] == [3, 1, 1, 1]
    monkeypatch.setattr(foresight, "NEAR_READS", 1)
    assert [waves(one, lambda: look(one, IMAGES[3])) for _ in range(4)] == [3, 3, 3, 3]
    monkeypatch.setattr(distance, "NEAR_S", float("-inf"))
    assert [waves(one, lambda: look(one, IMAGES[3])) for _ in range(3)] == [3, 1, 1]


def test_for_another_parameter_the_keys_that_hold_it_are_changed(store: str, connect: Connect) -> None:
    one = connect(store)
    fill(one)

    def tags(image: str) -> list[Any]:
        say(one, IMAGE, {"id": image})
        found: list[Any] = say(one, TAGS, {"image": image})
        one.rollback()
        return found

    assert [waves(one, lambda image=image: tags(image)) for image in IMAGES[:5]] == [2, 2, 1, 1, 1]  # type: ignore[misc]
    assert tags(IMAGES[9]) == [(90, "0"), (91, "1")]


def test_an_embedded_store_has_no_round_trips_to_save(url: str, connect: Connect) -> None:
    one = connect(url)
    fill(one)
    for _ in range(3):
        look(one, IMAGES[3])
    assert one.counters.read_ahead == 0


# ---- what it may cost


def test_courses_that_differ_each_time_are_soon_no_longer_believed(url: str, connect: Connect) -> None:
    one = with_foresight(connect(url))
    fill(one)

    def other_tags(number: int) -> None:
        say(one, IMAGE, {"id": IMAGES[0]})
        say(one, TAGS, {"image": IMAGES[number]})
        one.rollback()

    for number in range(1, 6):
        other_tags(number)
    before = one.counters.read_ahead
    for number in range(6, 20):
        other_tags(number)
    assert one.counters.read_ahead == before <= 2


def test_a_range_that_has_grown_is_read_up_to_a_bound(url: str, connect: Connect) -> None:
    one = with_foresight(connect(url))
    fill(one)
    look(one, IMAGES[3])
    rows = [(1000 + number, IMAGES[3], "x") for number in range(500)]
    one.cursor().executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)
    one.commit()
    before = one.counters
    assert len(look(one, IMAGES[3])[2]) == 502
    after = one.counters
    assert after.waves - before.waves == 2, "the tags are read again, and nothing else"
    assert after.keys - before.keys <= 2 * 502 + 2 * foresight.TIMES_AS_MANY * 2 + 20


def test_a_course_of_many_cells_is_not_remembered(url: str, connect: Connect) -> None:
    one = with_foresight(connect(url))
    fill(one)
    rows = [(1000 + number, IMAGES[3], "x") for number in range(MAX_CELLS)]
    one.cursor().executemany("INSERT INTO tags VALUES (?, ?, ?)", rows)
    one.commit()
    for _ in range(3):
        look(one, IMAGES[3])
    assert one.counters.read_ahead == 0


def test_what_is_kept_is_bounded_and_the_least_recently_used_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight, "MAX_KEPT", 40)
    memory = Foresight()

    def run(number: int) -> list[bytes]:
        course = memory.begin(f"SELECT {number}", {"number": number}, near=False, far=False)
        foreseen = [*course.ahead(0).gets]
        course.note([b"key %d" % number], [Scan(b"%d" % number, b"%d~" % number)], [3])
        course.end(100, 1)
        return foreseen

    for number in range(100):
        assert run(number) == []
        assert run(number) == [b"key %d" % number]
        assert run(0) == [b"key 0"], "used all the time"
    assert memory._reads <= 40
    assert run(5) == [], "forgotten"


# ---- what it must not change

READS = (
    (IMAGE, "id"), (TAGS, "image"), (OF_OWNER, "owner"), ("SELECT count(*) FROM tags WHERE image = :image", "image"),
    ("SELECT images.id, tags.value FROM images JOIN tags ON tags.image = images.id WHERE owner = :owner ORDER BY 1, 2",
     "owner"),
)  # fmt: skip
WRITES = (
    ("INSERT INTO tags (image, value) VALUES (:image, 'new')", "image"),
    ("DELETE FROM tags WHERE image = :image AND value = '1'", "image"),
    ("UPDATE images SET at = at + 100 WHERE owner = :owner", "owner"),
    ("UPDATE tags SET value = 'changed' WHERE image = :image", "image"),
    ("DELETE FROM images WHERE id = :id", "id"),
)


def script(chance: random.Random) -> list[Step]:
    """One of few beginnings, then reads and writes that mostly are those of others, now and then another's write."""
    image, owner = chance.choice(IMAGES[:4]), f"owner {chance.randrange(2)}"

    def step(who: str, statements: tuple[tuple[str, str], ...]) -> Step:
        sql, name = chance.choice(statements)
        return who, sql, {name: owner if name == "owner" else image}

    steps = [("one", IMAGE, {"id": image})]
    for _ in range(chance.randint(1, 5)):
        if chance.random() < 0.2:
            steps.append(step("two", WRITES))
        steps.append(step("one", READS if chance.random() < 0.8 else WRITES))
    return steps


def test_with_and_without_it_every_answer_is_the_same(tmp_path: Path, connect: Connect) -> None:
    """On a store with snapshots, where the time of a read makes no difference, other writers or not."""
    pairs = []
    for flag in (1, 0):
        url = f"rome+lmdb:///{tmp_path}/{flag}?sync=none&prefetch={flag}"
        pairs.append((connect(url), connect(url)))
    for one, _ in pairs:
        fill(one)
    with_foresight(pairs[0][0])
    chance = random.Random(11)
    ends = set()
    for number in range(250):
        steps = script(chance)
        answers, expected = [played(one, two, steps) for one, two in pairs]
        assert answers == expected, (number, steps)
        ends.add(answers[-1])
    saving, plain = [one.counters for one, _ in pairs]
    assert ends == {"done", "conflict"}
    assert saving.from_ahead > 200 and saving.waves < 0.9 * plain.waves, (saving, plain)


def test_what_was_foreseen_is_of_the_state_that_the_transaction_reads(store: str, connect: Connect) -> None:
    """Others write between two transactions that are alike, and in the middle of them."""
    one, two = connect(store), connect(store)
    fill(one)
    for number in range(12):
        [(_, _, at)] = say(one, IMAGE, {"id": IMAGES[0]})
        if number % 3 == 2:
            say_all(two, f"UPDATE tags SET value = 'late {number}' WHERE image = '{IMAGES[0]}'")
        tags = [value for _, value in say(one, TAGS, {"image": IMAGES[0]})]
        one.rollback()
        assert at == 100 * number
        late = number if number % 3 == 2 else None
        assert set(tags) <= {f"value {number}", f"late {late}", "0", "1"}, (number, tags)
        say_all(
            two,
            f"UPDATE images SET at = {100 * (number + 1)} WHERE id = '{IMAGES[0]}'",
            f"UPDATE tags SET value = 'value {number + 1}' WHERE image = '{IMAGES[0]}'",
        )


def test_what_was_foreseen_is_useless_once_another_read_has_seen_a_later_state(store: str, connect: Connect) -> None:
    one, two = connect(store), connect(store)
    fill(one)
    for _ in range(3):
        say(one, IMAGE, {"id": IMAGES[0]})
        say(one, TAGS, {"image": IMAGES[0]})
        one.rollback()
    say(one, IMAGE, {"id": IMAGES[0]})
    say_all(
        two,
        f"UPDATE images SET at = 1000 WHERE id = '{IMAGES[4]}'",
        f"UPDATE tags SET value = 'late' WHERE image = '{IMAGES[0]}'",
    )
    late = (IMAGES[4], 1000) in say(one, OF_OWNER, {"owner": "owner 0"})
    assert late is store.startswith("rome+redis"), "it has no snapshots, so this read sees the newest state"
    assert {value for _, value in say(one, TAGS, {"image": IMAGES[0]})} == ({"late"} if late else {"0", "1"})


def test_what_was_foreseen_and_used_is_expected_at_the_commit(store: str, connect: Connect) -> None:
    one, two = connect(store), connect(store)
    fill(one)

    def begin() -> None:
        say(one, IMAGE, {"id": IMAGES[0]})
        say(one, TAGS, {"image": IMAGES[0]})

    for _ in range(3):
        begin()
        one.rollback()
    begin()
    say(one, "INSERT INTO images VALUES ('new', 'one', 1)")
    say_all(two, f"DELETE FROM tags WHERE image = '{IMAGES[0]}'")
    with pytest.raises(Conflict):
        one.commit()
    one.rollback()
    begin()
    say(one, "INSERT INTO images VALUES ('new', 'one', 1)")
    say_all(two, f"UPDATE tags SET value = 'z' WHERE image = '{IMAGES[1]}'")
    one.commit()


def test_what_is_kept_holds_no_parameter() -> None:
    memory = Foresight()

    class Text(str):
        pass

    body = Text("x" * 1_000_000)
    kept = weakref.ref(body)
    for values in ({"id": IMAGES[0], "body": body}, {"id": IMAGES[0], "body": [body]}):
        course = memory.begin("INSERT", values, near=False, far=False)
        course.note([b"a key"], [], [])
        course.end(100, 1)
    assert memory.begin("INSERT", {"id": IMAGES[0], "body": body}, near=False, far=False).ahead(0).gets == [b"a key"]
    del body, values, course
    assert kept() is None


def test_threads_may_share_it() -> None:
    memory = Foresight()
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            for at in range(500):
                course = memory.begin(f"SELECT {at % 7}", {"image": IMAGES[(number + at) % 20]}, near=False, far=False)
                course.ahead(0)
                course.note([IMAGES[(number + at) % 20].encode()], [], [])
                course.end(10, 1)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert memory._reads == sum(len(kept.reads) for kept in memory._kept.values())
