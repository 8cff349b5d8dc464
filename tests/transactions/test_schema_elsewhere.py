"""A schema that changes under a connection: another process alters it, and the next statement here is right.

`here` and `there` are opened apart, as two processes have them: neither hears of what the other does but by the store.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, inspect

from rome import dbapi
from rome.errors import Conflict, DatabaseError, IntegrityError, UndefinedColumn, UndefinedTable, UniqueViolation
from tests.transactions.speaker import Connect, ask, problems, say, say_all

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b VARCHAR(20))"
ROWS = "INSERT INTO t VALUES (1, 10, 'x'), (2, 20, 'y'), (3, 30, 'z')"


@pytest.fixture
def there(elsewhere: Callable[[], str], connect: Connect) -> dbapi.Connection:
    """The one that changes the schema; it made the table."""
    there = connect(elsewhere())
    say_all(there, TABLE, ROWS)
    return there


@pytest.fixture
def here(there: dbapi.Connection, elsewhere: Callable[[], str], connect: Connect) -> dbapi.Connection:
    """The one that knows the table as it was, and has plans for it."""
    here = connect(elsewhere())
    for sql in USES:
        say(here, sql)
        here.rollback()
    return here


USES = (
    "SELECT * FROM t ORDER BY id",
    "SELECT id FROM t WHERE a = 20",
    "SELECT id, b FROM t WHERE b >= 'y' ORDER BY b",
    "INSERT INTO t (id, a, b) VALUES (4, 40, 'w')",
    "UPDATE t SET a = a + 1",
    "DELETE FROM t WHERE a > 10",
)


def plan(connection: dbapi.Connection, sql: str) -> str:
    return "\n".join(line for (line,) in ask(connection, f"EXPLAIN {sql}"))


def test_a_table_made_before_the_first_statement_is_there(
    there: dbapi.Connection, elsewhere: Callable[[], str], connect: Connect
) -> None:
    assert ask(connect(elsewhere()), "SELECT count(*) FROM t") == [(3,)]


def test_tables_made_and_dropped_elsewhere(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "CREATE TABLE u (id INTEGER PRIMARY KEY)", "INSERT INTO u VALUES (7)")
    assert ask(here, "SELECT id FROM u") == [(7,)]
    say_all(there, "DROP TABLE u")
    with pytest.raises(UndefinedTable):
        ask(here, "SELECT id FROM u")
    say_all(there, "CREATE TABLE u (name VARCHAR(5), id INTEGER PRIMARY KEY)", "INSERT INTO u VALUES ('n', 8)")
    assert ask(here, "SELECT * FROM u") == [("n", 8)]


def test_a_table_dropped_elsewhere_is_gone_for_statements_that_read_nothing(
    there: dbapi.Connection, here: dbapi.Connection
) -> None:
    say(here, "SELECT * FROM t WHERE 1 = 0")
    here.rollback()
    say_all(there, "DROP TABLE t")
    with pytest.raises(UndefinedTable):
        say(here, "SELECT * FROM t WHERE 1 = 0")


def test_if_exists_and_if_not_exists_judge_by_what_is(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "CREATE TABLE u (id INTEGER PRIMARY KEY)")
    say_all(here, "DROP TABLE IF EXISTS u")
    with pytest.raises(UndefinedTable):
        ask(there, "SELECT * FROM u")
    say_all(there, "DROP TABLE t")
    say_all(here, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY)")
    assert ask(there, "SELECT * FROM t") == []


def test_a_new_index_is_used_and_kept_up(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "CREATE INDEX t_a ON t (a)")
    assert "t_a" in plan(here, USES[1])
    assert ask(here, USES[1]) == [(2,)]
    say_all(here, *USES[3:5])
    assert problems(there) == []
    assert ask(there, "SELECT id FROM t WHERE a = 41") == [(4,)]


@pytest.mark.parametrize("sql", USES[3:])
def test_a_new_index_is_kept_up_by_the_very_next_statement(
    there: dbapi.Connection, here: dbapi.Connection, sql: str
) -> None:
    say_all(there, "CREATE INDEX t_a ON t (a)", "CREATE INDEX t_b_a ON t (b, a)")
    say_all(here, sql)
    assert problems(there) == []


def test_a_dropped_index_is_used_no_more(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "CREATE INDEX t_a ON t (a)")
    assert ask(here, USES[1]) == [(2,)]
    say_all(there, "DROP INDEX t_a", "UPDATE t SET a = 20 WHERE id = 3")
    assert ask(here, USES[1]) == [(2,), (3,)]
    say_all(here, *USES[3:])
    assert problems(there) == []


def test_a_new_unique_index_refuses_at_once(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "CREATE UNIQUE INDEX t_a ON t (a)")
    with pytest.raises(UniqueViolation):
        say(here, "INSERT INTO t VALUES (5, 10, 'again')")
    say(here, "INSERT INTO t VALUES (5, 50, 'other')")
    here.commit()
    assert problems(there) == []


def test_columns_come_and_go(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 5")
    assert ask(here, "SELECT * FROM t WHERE id = 1") == [(1, 10, "x", 5)]
    say_all(there, "ALTER TABLE t DROP COLUMN a")
    assert ask(here, "SELECT * FROM t ORDER BY id") == [(1, "x", 5), (2, "y", 5), (3, "z", 5)]
    with pytest.raises(UndefinedColumn):
        ask(here, USES[1])
    say_all(here, "INSERT INTO t (id, b) VALUES (4, 'w')")
    assert ask(there, "SELECT * FROM t WHERE id = 4") == [(4, "w", 5)]
    assert problems(there) == []


def test_a_column_dropped_and_added_again_is_another(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "ALTER TABLE t DROP COLUMN a")
    say_all(there, "ALTER TABLE t ADD COLUMN a INTEGER")
    assert ask(here, "SELECT id, a FROM t ORDER BY id") == [(1, None), (2, None), (3, None)]
    assert ask(here, USES[1]) == []
    say_all(here, "UPDATE t SET a = 20 WHERE id = 3")
    assert ask(there, "SELECT * FROM t WHERE id = 3") == [(3, "z", 20)]


def test_a_renamed_column_answers_to_its_new_name(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "ALTER TABLE t RENAME COLUMN a TO b2")
    say_all(there, "ALTER TABLE t RENAME COLUMN b TO a")
    assert ask(here, "SELECT b2, a FROM t WHERE id = 1") == [(10, "x")]
    assert ask(here, "SELECT id FROM t WHERE a = 'y'") == [(2,)]
    with pytest.raises(UndefinedColumn):
        ask(here, USES[2])


def test_a_changed_type_is_read_and_written(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "CREATE INDEX t_a ON t (a)")
    say_all(there, "ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(10)")
    assert ask(here, "SELECT a FROM t ORDER BY id") == [("10",), ("20",), ("30",)]
    assert ask(here, "SELECT id FROM t WHERE a = '20'") == [(2,)]
    say_all(here, "INSERT INTO t VALUES (4, 'forty', 'w')")
    assert ask(there, "SELECT id FROM t WHERE a = 'forty'") == [(4,)]
    assert problems(there) == []


def test_a_renamed_table_and_another_of_its_name(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "ALTER TABLE t RENAME TO old")
    say_all(there, TABLE, "INSERT INTO t VALUES (9, 20, 'new')")
    assert ask(here, USES[1]) == [(9,)]
    assert ask(here, "SELECT count(*) FROM old") == [(3,)]


def test_a_new_reference_is_kept_by_statements_planned_before_it(
    there: dbapi.Connection, here: dbapi.Connection
) -> None:
    """The plan of a DELETE knows its own table only; who references it is asked each time."""
    say_all(there, "CREATE TABLE child (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (id))")
    say_all(there, "INSERT INTO child VALUES (1, 2)")
    with pytest.raises(IntegrityError):
        say(here, USES[5])
    here.rollback()
    say_all(there, "DROP TABLE child")
    say_all(here, USES[5])
    assert ask(there, "SELECT id FROM t") == [(1,)]


def test_new_checks_and_defaults_hold(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say_all(there, "ALTER TABLE t ALTER COLUMN b SET DEFAULT 'none'")
    say_all(there, "ALTER TABLE t ADD CONSTRAINT positive CHECK (a > 0)")
    say_all(here, "INSERT INTO t (id, a) VALUES (4, 1)")
    assert ask(here, "SELECT b FROM t WHERE id = 4") == [("none",)]
    with pytest.raises(IntegrityError):
        say(here, "INSERT INTO t (id, a) VALUES (5, -1)")


def test_reflection_shows_what_is(there: dbapi.Connection, here: dbapi.Connection) -> None:
    engine = create_engine(str(here.url))
    assert [column["name"] for column in inspect(engine).get_columns("t")] == ["id", "a", "b"]
    say_all(there, "ALTER TABLE t RENAME COLUMN a TO a2", "CREATE INDEX t_b ON t (b)", "CREATE TABLE u (id INTEGER)")
    assert [column["name"] for column in inspect(engine).get_columns("t")] == ["id", "a2", "b"]
    assert [index["name"] for index in inspect(engine).get_indexes("t")] == ["t_b"]
    assert sorted(inspect(engine).get_table_names()) == ["t", "u"]
    say_all(there, "DROP TABLE t")
    assert not inspect(engine).has_table("t")
    engine.dispose()


# ---- in the middle of a transaction

CHANGES = {
    "index": "CREATE INDEX t_a ON t (a)",
    "unique index": "CREATE UNIQUE INDEX t_a ON t (a)",
    "added column": "ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 5",
    "dropped column": "ALTER TABLE t DROP COLUMN b",
    "type": "ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(10)",
    "rename": "ALTER TABLE t RENAME COLUMN b TO c",
}


@pytest.mark.parametrize("level", ["SERIALIZABLE", "READ COMMITTED"])
@pytest.mark.parametrize("savepoint", [False, True], ids=["", "savepoint"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize(
    "writes",
    [
        ("INSERT INTO t (id, a) VALUES (4, 40)",),
        ("SELECT id FROM t WHERE id = 1", "UPDATE t SET a = 12 WHERE id = 1", "INSERT INTO t (id, a) VALUES (4, 40)"),
        ("DELETE FROM t WHERE id = 3", "INSERT INTO t (id, a) VALUES (4, 40)"),
    ],
    ids=["insert", "select-update-insert", "delete-insert"],
)
def test_nothing_is_written_on_a_schema_that_has_gone(
    there: dbapi.Connection, here: dbapi.Connection, writes: tuple[str, ...], change: str, savepoint: bool, level: str
) -> None:
    """The schema changes after the first, the second, … statement, or before the commit: all or nothing, all sound."""
    here.isolation_level = level
    for moment in range(len(writes) + 1):
        say_all(there, "DROP TABLE t", TABLE, ROWS)
        try:
            if savepoint:
                say(here, "SAVEPOINT s")
            for at, sql in enumerate(writes):
                if at == moment:
                    say_all(there, change)
                if savepoint and at == 1:
                    say(here, "ROLLBACK TO SAVEPOINT s")
                say(here, sql)
            if moment == len(writes):
                say_all(there, change)
            here.commit()
            done = True
        except Conflict:
            here.rollback()
            done = False
        assert problems(there) == []
        written = ask(there, "SELECT count(*) FROM t WHERE id = 4") == [(1,)]
        assert written is done
        assert ask(here, "SELECT * FROM t ORDER BY id") == ask(there, "SELECT * FROM t ORDER BY id")


def test_a_statement_that_failed_first_leaves_the_new_schema_known(
    there: dbapi.Connection, here: dbapi.Connection
) -> None:
    say_all(there, "CREATE INDEX t_a ON t (a)")
    with pytest.raises(UniqueViolation):
        say(here, "INSERT INTO t VALUES (1, 1, '')")
    say_all(here, "INSERT INTO t VALUES (4, 40, '')")
    assert problems(there) == []


def test_a_savepoint_from_before_the_first_read_does_not_bring_the_old_schema_back(
    there: dbapi.Connection, here: dbapi.Connection
) -> None:
    say_all(there, "CREATE INDEX t_a ON t (a)")
    say(here, "SAVEPOINT s")
    say(here, "SELECT * FROM t")
    say(here, "ROLLBACK TO SAVEPOINT s")
    say_all(here, "INSERT INTO t VALUES (4, 40, '')")
    assert problems(there) == []


def test_a_table_without_a_key_is_inserted_into_after_a_change(
    there: dbapi.Connection, here: dbapi.Connection
) -> None:
    say_all(there, "CREATE TABLE log (line VARCHAR(10))")
    assert ask(here, "SELECT * FROM log") == []
    say_all(there, "ALTER TABLE log ADD COLUMN n INTEGER DEFAULT 1")
    say(here, "INSERT INTO log (line) VALUES ('one')")
    say(here, "INSERT INTO log (line) VALUES ('two')")
    here.commit()
    assert ask(there, "SELECT * FROM log ORDER BY line") == [("one", 1), ("two", 1)]
    say_all(there, "DROP TABLE log")
    with pytest.raises(UndefinedTable):
        say(here, "INSERT INTO log (line) VALUES ('three')")


def test_two_who_change_the_schema_at_once_do_both_or_one(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say(here, "ALTER TABLE t ADD COLUMN c INTEGER")
    say(there, "CREATE TABLE u (id INTEGER PRIMARY KEY)")
    here.commit()
    try:
        there.commit()
        done = 1
    except Conflict:
        there.rollback()
        done = 0
    assert ask(here, "SELECT c FROM t WHERE id = 1") == [(None,)]
    tables = set(here.catalog().tables)
    here.rollback()
    assert tables == {"t", "u"} if done else {"t"}
    say(here, "CREATE TABLE v (id INTEGER PRIMARY KEY)")
    say(there, "CREATE TABLE v (name VARCHAR(5))")
    here.commit()
    with pytest.raises(DatabaseError):
        there.commit()
    there.rollback()
    assert problems(here) == []


def test_rows_written_while_an_index_was_made_are_in_it(there: dbapi.Connection, here: dbapi.Connection) -> None:
    say(there, "CREATE INDEX t_a ON t (a)")
    say_all(here, *USES[3:5])
    there.commit()  # replayed: it now finds the new rows too
    assert problems(here) == []
    assert ask(here, "SELECT id FROM t WHERE a = 41") == [(4,)]


def test_a_duplicate_written_while_a_unique_index_was_made_refuses_the_index(
    there: dbapi.Connection, here: dbapi.Connection
) -> None:
    say(there, "CREATE UNIQUE INDEX t_a ON t (a)")
    say_all(here, "INSERT INTO t VALUES (4, 10, 'as 1')")
    with pytest.raises(Conflict):
        there.commit()
    there.rollback()
    with pytest.raises(UniqueViolation):
        say(there, "CREATE UNIQUE INDEX t_a ON t (a)")
    there.rollback()
    say_all(here, "INSERT INTO t VALUES (5, 10, 'as 1')")
    assert problems(here) == []
