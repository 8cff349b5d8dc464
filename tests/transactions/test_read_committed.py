"""READ COMMITTED: what it must still prevent (dirty data has its tests in test_anomalies), and what it lets happen."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from rome import dbapi
from rome.errors import Conflict, ForeignKeyViolation, UniqueViolation
from tests.transactions.speaker import Connect, ask, problems, say, say_all


@pytest.fixture
def pair(url: str, connect: Connect) -> tuple[dbapi.Connection, dbapi.Connection]:
    """Two connections to parents and children."""
    one, two = connect(url, "READ COMMITTED"), connect(url, "READ COMMITTED")
    say_all(
        one,
        "CREATE TABLE parents (id INTEGER PRIMARY KEY, n INTEGER, name VARCHAR(20), UNIQUE (name))",
        "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id))",
        "INSERT INTO parents VALUES (1, 10, 'a'), (2, 20, 'b')",
    )
    return one, two


def refused(act: Callable[[], object]) -> bool:
    """Whether `act` meets one of the errors that tell of a competitor."""
    try:
        act()
    except (Conflict, UniqueViolation, ForeignKeyViolation):
        return True
    return False


Pair = tuple[dbapi.Connection, dbapi.Connection]


def test_a_statement_sees_what_was_committed_before_it(pair: Pair) -> None:
    one, two = pair
    assert say(one, "SELECT n FROM parents WHERE id = 1") == [(10,)]
    say_all(two, "UPDATE parents SET n = 11 WHERE id = 1")
    assert say(one, "SELECT n FROM parents WHERE id = 1") == [(11,)]


def test_no_update_is_lost_between_the_read_and_the_write_of_one_statement(pair: Pair) -> None:
    one, two = pair
    for connection in pair:
        say(connection, "UPDATE parents SET n = n + 1 WHERE id = 1")
        say(connection, "SELECT count(*) FROM children")  # another statement comes between it and the commit
    one.commit()
    assert not refused(two.commit)  # replayed: the row count is the same
    assert ask(one, "SELECT n FROM parents WHERE id = 1") == [(12,)]


def test_an_update_of_the_rows_that_match_now_matches_them_at_commit(pair: Pair) -> None:
    one, two = pair
    assert say(one, "UPDATE parents SET n = 0 WHERE n = 10") == 1
    say_all(two, "UPDATE parents SET n = 10 WHERE id = 2")
    assert refused(one.commit)
    one.rollback()
    assert ask(one, "SELECT n FROM parents ORDER BY id") == [(10,), (10,)]


def test_a_value_read_by_one_statement_and_written_by_another_is_not_protected(pair: Pair) -> None:
    """The level is what it says; an application that wants more asks for more, or for FOR UPDATE."""
    one, two = pair
    seen = [say(connection, "SELECT n FROM parents WHERE id = 1")[0][0] for connection in pair]
    for connection, n in zip(pair, seen, strict=True):
        say(connection, "UPDATE parents SET n = :n WHERE id = 1", {"n": n + 1})
        connection.commit()
    assert ask(one, "SELECT n FROM parents WHERE id = 1") == [(11,)]


def test_for_update_protects_a_value_until_the_commit(pair: Pair) -> None:
    """From those, too, who do not lock it."""
    one, two = pair
    ((n,),) = say(one, "SELECT n FROM parents WHERE id = 1 FOR UPDATE")
    say_all(two, "UPDATE parents SET n = 50 WHERE id = 1")
    assert refused(lambda: say_all(one, f"UPDATE parents SET n = {n + 1} WHERE id = 1"))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO parents (id, name) VALUES (3, :mine)",
        "INSERT INTO parents (id, name) VALUES (:id, 'same')",
        "UPDATE parents SET name = 'same' WHERE id = :id",
        "UPDATE parents SET id = 9 WHERE id = :id",
    ],
)
def test_two_rows_never_have_one_key(pair: Pair, sql: str) -> None:
    one, two = pair
    insert = sql.startswith("INSERT")
    named = [name for name in ("id", "mine") if f":{name}" in sql]
    for number, connection in enumerate(pair, 1):
        values = {"id": number + 10 * insert, "mine": f"mine {number}"}
        say(connection, sql, {name: values[name] for name in named})
        say(connection, "SELECT 1 FROM children")
    one.commit()
    assert refused(two.commit)
    assert problems(one) == []


@pytest.mark.parametrize(
    ("child_first", "action"), [(True, ""), (False, ""), (True, "ON DELETE CASCADE"), (False, "ON DELETE CASCADE")]
)
def test_no_child_is_left_without_its_parent(pair: Pair, child_first: bool, action: str) -> None:
    one, two = pair
    say_all(
        one,
        "DROP TABLE children",
        f"CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id) {action})",
    )
    say(one, "INSERT INTO children VALUES (1, 1)")
    say(two, "DELETE FROM parents WHERE id = 1")
    for connection in pair:
        say(connection, "SELECT count(*) FROM parents")
    first, second = pair if child_first else (two, one)
    first.commit()
    late = refused(second.commit)
    assert late or (child_first and action)
    assert problems(one) == []


def test_a_statement_that_wrote_nothing_expects_nothing(pair: Pair) -> None:
    one, two = pair
    assert say(one, "UPDATE parents SET n = 0 WHERE n = 99") == 0
    say_all(two, "UPDATE parents SET n = 99 WHERE id = 1")
    say(one, "UPDATE parents SET n = 21 WHERE id = 2")
    one.commit()
    assert ask(one, "SELECT n FROM parents ORDER BY id") == [(99,), (21,)]


def test_threads_lose_no_update_of_one_statement(url: str, pair: Pair) -> None:
    each = 25
    failures: list[BaseException] = []

    def work() -> None:
        connection = dbapi.connect(url, isolation_level="READ COMMITTED")
        try:
            for _ in range(each):
                while True:
                    try:
                        say(connection, "UPDATE parents SET n = n + 1 WHERE id = 1")
                        connection.commit()
                        break
                    except Conflict:
                        connection.rollback()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert ask(pair[0], "SELECT n FROM parents WHERE id = 1") == [(10 + 4 * each,)]
