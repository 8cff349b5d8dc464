"""INSERT … ON CONFLICT among many writers: what was committed is there, once, and a key has one row."""

from __future__ import annotations

import threading

import pytest

from rome import dbapi
from tests.transactions.speaker import Connect

WRITERS = 4
ROUNDS = 15
UNSEEN = "INSERT INTO counts (name, n) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = counts.n + 1"
COUNT = f"{UNSEEN} RETURNING n"


def run_together(url: str, sql: str, work: list[str]) -> list[object]:
    """Each writer runs `sql` for every name of `work`, one transaction each; what those that committed were given."""
    found: list[object] = []

    def write() -> None:
        connection = dbapi.connect(url)
        try:
            for name in work:
                cursor = connection.cursor()
                cursor.execute(sql, (name,))
                given = cursor.fetchall() if cursor.description else [(None,)]
                try:
                    connection.commit()
                except dbapi.OperationalError as error:
                    assert "[40001]" in str(error)
                    connection.rollback()
                    continue
                found.append(given[0][0])
        finally:
            connection.close()

    writers = [threading.Thread(target=write) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return found


@pytest.mark.parametrize("key", ["name TEXT PRIMARY KEY", "id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE"])
def test_every_count_that_was_committed_is_there(url: str, connect: Connect, key: str) -> None:
    connection = connect(url)
    connection.cursor().execute(f"CREATE TABLE counts ({key}, n INTEGER)")
    connection.commit()
    given = run_together(url, COUNT, ["a"] * ROUNDS)
    cursor = connection.cursor()
    cursor.execute("SELECT n FROM counts")
    assert cursor.fetchall() == [(len(given),)]
    assert sorted(given) == list(range(1, len(given) + 1))  # type: ignore[type-var]


def test_who_is_not_shown_the_count_is_never_refused(url: str, connect: Connect) -> None:
    connection = connect(url)
    connection.cursor().execute("CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER)")
    connection.commit()
    given = run_together(url, UNSEEN, ["a"] * ROUNDS)  # a replay gives the same row count
    cursor = connection.cursor()
    cursor.execute("SELECT n FROM counts")
    assert cursor.fetchall() == [(len(given),)] == [(WRITERS * ROUNDS,)]


def test_one_of_two_that_insert_the_same_key_does(url: str, connect: Connect) -> None:
    first, second = connect(url), connect(url)
    first.cursor().execute("CREATE TABLE counts (name TEXT PRIMARY KEY, n INTEGER)")
    first.commit()
    for connection, n in ((first, 1), (second, 2)):
        connection.cursor().execute("INSERT INTO counts VALUES ('a', ?) ON CONFLICT DO NOTHING", (n,))
    first.commit()
    with pytest.raises(dbapi.OperationalError, match="40001"):
        second.commit()  # it was told that it inserted a row
    second.rollback()
    cursor = second.cursor()
    cursor.execute("INSERT INTO counts VALUES ('a', 2) ON CONFLICT DO NOTHING")
    assert cursor.rowcount == 0
    cursor.execute("SELECT n FROM counts")
    assert cursor.fetchall() == [(1,)]


def test_a_transaction_meets_the_rows_that_it_has_written(url: str, connect: Connect) -> None:
    connection = connect(url)
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE counts (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, n INTEGER)")
    for expected in (1, 2, 3):
        cursor.execute(COUNT, ("a",))
        assert cursor.fetchall() == [(expected,)]
    cursor.execute("SAVEPOINT s")
    cursor.execute(COUNT, ("a",))
    cursor.execute("ROLLBACK TO s")
    cursor.execute("DELETE FROM counts")
    cursor.execute(COUNT, ("a",))
    assert cursor.fetchall() == [(1,)]


def test_a_number_taken_by_hand_elsewhere_is_no_conflict(url: str, connect: Connect) -> None:
    first, second = connect(url), connect(url)
    first.cursor().execute("CREATE TABLE counts (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)")
    first.commit()
    cursor = first.cursor()
    cursor.execute("INSERT INTO counts (name) VALUES ('one')")
    first.commit()
    second.cursor().execute("INSERT INTO counts VALUES (2, 'by hand'), (3, 'by hand')")
    second.commit()
    cursor.execute("SELECT count(*) FROM counts")  # a row is looked for in the state of the first read
    cursor.execute("INSERT INTO counts (name) VALUES ('two') ON CONFLICT (id) DO NOTHING RETURNING name")
    assert cursor.fetchall() == [("two",)]
    first.commit()
    cursor.execute("SELECT count(*) FROM counts")
    assert cursor.fetchall() == [(4,)]
