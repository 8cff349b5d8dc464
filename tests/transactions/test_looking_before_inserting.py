"""Who looks whether a row is there and then inserts it in another transaction: the second look costs nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rome import dbapi
from rome.driver.api import Cell, ExpectCell, Reading, Scan
from rome.errors import Conflict, ForeignKeyViolation, UniqueViolation
from rome.txn.known import Known
from rome.txn.recent import MAX_AGE_S, MAX_TRANSACTIONS, Recent
from tests.transactions.speaker import Connect, ask, problems, say, say_all

SCHEMA = (
    "CREATE TABLE parents (id INTEGER PRIMARY KEY, name VARCHAR(10) UNIQUE)",
    "CREATE TABLE children (id INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL REFERENCES parents (id), "
    "name VARCHAR(10), UNIQUE (parent, name))",
    "INSERT INTO parents VALUES (1, 'one')",
)
LOOK = ("SELECT * FROM parents WHERE name = 'one'", "SELECT * FROM children WHERE parent = 1 AND name = 'a'")
INSERT = "INSERT INTO children (parent, name) VALUES (1, 'a')"


def trips(connection: dbapi.Connection, run: Callable[[], object]) -> int:
    before = connection.counters.round_trips
    run()
    return connection.counters.round_trips - before


def look(connection: dbapi.Connection) -> None:
    for query in LOOK:
        say_all(connection, query)


def test_an_insert_after_a_look_costs_the_commit_alone(url: str, connect: Connect) -> None:
    one = connect(url)
    say_all(one, *SCHEMA)
    say_all(one, "INSERT INTO children (parent, name) VALUES (1, 'z')")  # takes a block of numbers
    look(one)
    assert trips(one, lambda: say_all(one, INSERT)) == 1
    assert trips(one, lambda: look(one)) == 2  # queries are asked again
    with pytest.raises(UniqueViolation):
        say(one, INSERT)
    one.rollback()
    assert ask(one, "SELECT parent, name FROM children ORDER BY id") == [(1, "z"), (1, "a")]
    assert problems(one) == []


def test_what_another_connection_of_the_process_wrote_is_seen_at_the_statement(url: str, connect: Connect) -> None:
    one, two = connect(url), connect(url)
    say_all(one, *SCHEMA)
    look(one)
    say_all(two, INSERT)
    with pytest.raises(UniqueViolation):
        say(one, INSERT)
    one.rollback()
    say_all(one, "DELETE FROM children")
    look(one)
    say_all(two, "DELETE FROM parents")
    with pytest.raises(ForeignKeyViolation):
        say(one, INSERT)


def test_what_another_process_wrote_in_the_moment_between_is_a_conflict(
    elsewhere: Callable[[], str], connect: Connect
) -> None:
    here, there = connect(elsewhere()), connect(elsewhere())
    say_all(here, *SCHEMA)
    say(there, "SELECT 1 FROM parents")
    there.rollback()
    look(here)
    say_all(there, INSERT)
    try:
        say(here, INSERT)
        with pytest.raises(Conflict):
            here.commit()
    except UniqueViolation:  # the machine was slow, and the look is out of date
        here.rollback()
    with pytest.raises(UniqueViolation):
        say(here, INSERT)
    here.rollback()
    assert ask(there, "SELECT count(*) FROM children") == [(1,)]
    assert problems(there) == []


def test_a_change_that_makes_no_difference_is_replayed(elsewhere: Callable[[], str], connect: Connect) -> None:
    here, there = connect(elsewhere()), connect(elsewhere())
    say_all(here, *SCHEMA)
    look(here)
    say_all(there, "UPDATE parents SET name = 'uno'")
    say_all(here, INSERT)
    assert ask(there, "SELECT parent, name FROM children") == [(1, "a")]


def test_a_conflict_in_autocommit_is_told_as_what_it_is(elsewhere: Callable[[], str], connect: Connect) -> None:
    here, there = connect(elsewhere(), "AUTOCOMMIT"), connect(elsewhere())
    for statement in SCHEMA:
        say(here, statement)
    for query in LOOK:
        say(here, query)
    say_all(there, INSERT)
    with pytest.raises(UniqueViolation):
        say(here, INSERT)


# ---- what is kept

GUARD = ExpectCell(b"guard", 1)


def knowing(**cells: str) -> Known:
    known = Known()
    found = [Cell(key.encode(), value.encode(), 7) for key, value in cells.items()]
    scan = Scan(b"a", b"z")
    known.learn((), [scan], Reading(7, None, [], [found], [None], [[]]), 0)
    return known


class Place:
    """A clock and a count of others' commits, as the test sets them."""

    now_s = 100.0
    others = 0


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def recent(place: Place) -> Recent:
    return Recent(lambda: place.now_s, lambda: place.others)


def test_only_hopes_that_come_true_are_found(recent: Recent) -> None:
    recent.keep(recent.now(), GUARD, lambda: knowing(b="1"), ())
    assert recent.find({b"b": True, b"c": False}, GUARD) == {b"b": Cell(b"b", b"1", 7), b"c": None}
    for hopes in ({b"b": False}, {b"c": True}, {b"zz": False}, {b"b": True, b"zz": True}):
        assert recent.find(hopes, GUARD) is None
    assert recent.find({b"b": True}, ExpectCell(b"guard", 2)) is None


def test_what_is_old_is_not_found(recent: Recent, place: Place) -> None:
    recent.keep(recent.now(), GUARD, lambda: knowing(b="1"), ())
    place.now_s += MAX_AGE_S * 0.9
    assert recent.find({b"b": True}, GUARD) is not None
    place.now_s += MAX_AGE_S * 0.2
    assert recent.find({b"b": True}, GUARD) is None


def test_nothing_is_found_after_others_wrote(recent: Recent, place: Place) -> None:
    recent.keep(recent.now(), GUARD, lambda: knowing(b="1"), ())
    place.others += 1
    assert recent.find({b"b": True}, GUARD) is None


def test_a_key_that_was_written_is_not_found_even_in_what_was_read_before(recent: Recent) -> None:
    recent.keep(recent.now(), GUARD, lambda: knowing(b="1"), ())
    recent.keep(recent.now(), GUARD, Known, {b"c"})
    assert recent.find({b"b": True}, GUARD) is not None
    assert recent.find({b"c": False}, GUARD) is None


def test_only_the_last_few_transactions_are_kept(recent: Recent) -> None:
    recent.keep(recent.now(), GUARD, lambda: knowing(b="1"), ())
    for _ in range(MAX_TRANSACTIONS):
        recent.keep(recent.now(), GUARD, Known, ())
    assert recent.find({b"b": True}, GUARD) is None
