"""Computed columns: GENERATED ALWAYS AS (expression)."""

from __future__ import annotations

import pytest

from rome.errors import (
    CheckViolation,
    DataError,
    NotSupportedError,
    ProgrammingError,
    UndefinedColumn,
    UniqueViolation,
)
from tests.sql.definition.conversation import Conversation


@pytest.fixture
def squares(store: Conversation) -> Conversation:
    store.run(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, side INTEGER, area BIGINT GENERATED ALWAYS AS (side * side) STORED,
           label VARCHAR(8) GENERATED ALWAYS AS ('#' || id) VIRTUAL UNIQUE, CONSTRAINT small CHECK (area < 1000))""",
        "INSERT INTO t (side) VALUES (2), (3)",
    )
    return store


def test_it_is_computed_for_new_and_for_changed_rows(squares: Conversation) -> None:
    assert squares.run("SELECT * FROM t") == [(1, 2, 4, "#1"), (2, 3, 9, "#2")]
    assert squares.run("INSERT INTO t VALUES (7, NULL) RETURNING area, label") == [(None, "#7")]
    assert squares.run("UPDATE t SET side = side + 1, id = id + 10 RETURNING area, label") == [
        (9, "#11"), (16, "#12"), (None, "#17")
    ]  # fmt: skip
    assert squares.run("SELECT id FROM t WHERE label = '#12' AND area = 16") == [(12,)]


def test_it_is_computed_where_a_conflict_changes_a_row(squares: Conversation) -> None:
    upsert = "INSERT INTO t (id, side) VALUES (1, 5), (3, 6) ON CONFLICT (id) DO UPDATE SET side = excluded.side"
    assert squares.run(f"{upsert} RETURNING id, area") == [(1, 25), (3, 36)]
    assert squares.run("SELECT area, label FROM t ORDER BY id") == [(25, "#1"), (9, "#2"), (36, "#3")]


def test_constraints_judge_the_computed_value(squares: Conversation) -> None:
    with pytest.raises(CheckViolation):
        squares.run("UPDATE t SET side = 99")
    squares.run("ALTER TABLE t ADD COLUMN parity INTEGER GENERATED ALWAYS AS (side % 2) NOT NULL")
    squares.run("CREATE UNIQUE INDEX one ON t (parity)")
    with pytest.raises(UniqueViolation):
        squares.run("INSERT INTO t (side) VALUES (4)")
    squares.run("CREATE TABLE tight (a INT, b TINYINT GENERATED ALWAYS AS (a * 2))")
    with pytest.raises(DataError):
        squares.run("INSERT INTO tight (a) VALUES (100)")


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO t (side, area) VALUES (1, 1)", "INSERT INTO t SELECT 5, 5, 5", "UPDATE t SET area = 4",
     "UPDATE t SET side = 1, label = 'x'",
     "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET area = 5"],
)  # fmt: skip
def test_it_is_not_written_to(squares: Conversation, sql: str) -> None:
    with pytest.raises(ProgrammingError, match="is computed: leave it out|columns but"):
        squares.run(sql)
    squares.run("INSERT INTO t (side, area) VALUES (5, DEFAULT)")
    assert squares.run("SELECT area FROM t WHERE side = 5") == [(25,)]


def test_it_is_added_to_rows_that_are_there(squares: Conversation) -> None:
    squares.run("ALTER TABLE t ADD COLUMN around INTEGER GENERATED ALWAYS AS (4 * side)")
    squares.commit()
    assert squares.run("SELECT around FROM t") == [(8,), (12,)]


def test_its_text_follows_a_renamed_column_and_holds_the_others(squares: Conversation) -> None:
    squares.run('ALTER TABLE t RENAME COLUMN side TO "the side"', 'UPDATE t SET "the side" = 5 WHERE id = 1')
    assert squares.run("SELECT area FROM t") == [(25,), (9,)]
    for sql in ['ALTER TABLE t DROP COLUMN "the side"', 'ALTER TABLE t ALTER "the side" TYPE BIGINT']:
        with pytest.raises(ProgrammingError, match=r"2BP01.*computed column area"):
            squares.run(sql)
    with pytest.raises(NotSupportedError, match="drop it and add it anew"):
        squares.run("ALTER TABLE t ALTER area TYPE INTEGER")
    squares.run("ALTER TABLE t DROP CONSTRAINT small, DROP COLUMN area")
    assert squares.run("SELECT * FROM t WHERE id = 2") == [(2, 3, "#2")]


@pytest.mark.parametrize(
    ("expression", "error"),
    [("random()", ProgrammingError), ("CURRENT_TIMESTAMP", ProgrammingError), ("(SELECT 1)", ProgrammingError),
     (":x + 1", ProgrammingError), ("c + 1", UndefinedColumn), ("d + 1", UndefinedColumn),
     ("t.a + 1", ProgrammingError), ("sum(a)", ProgrammingError)],
)  # fmt: skip
def test_what_cannot_be_computed(store: Conversation, expression: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        store.run(f"CREATE TABLE t (a INT, c INT GENERATED ALWAYS AS ({expression}), d INT GENERATED ALWAYS AS (a))")


def test_a_foreign_key_does_not_change_what_a_column_is_computed_from(store: Conversation) -> None:
    store.run("CREATE TABLE p (id INTEGER PRIMARY KEY)")
    columns = "a INT, b INT GENERATED ALWAYS AS (a + 1)"
    for action in ["ON DELETE SET NULL", "ON UPDATE CASCADE", "ON UPDATE SET DEFAULT"]:
        with pytest.raises(NotSupportedError, match="cannot both be"):
            store.run(f"CREATE TABLE c ({columns}, FOREIGN KEY (a) REFERENCES p {action})")
    store.run(f"CREATE TABLE c ({columns})")
    with pytest.raises(NotSupportedError, match="cannot both be"):
        store.run("ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES p ON DELETE SET NULL")
    store.run("ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES p ON DELETE CASCADE")
    store.run("INSERT INTO p VALUES (4)", "INSERT INTO c VALUES (4)", "DELETE FROM p")
    assert store.run("SELECT * FROM c") == []
