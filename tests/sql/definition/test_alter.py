"""ALTER TABLE on tables with rows."""

from __future__ import annotations

import pytest

from rome.errors import (
    CheckViolation,
    DataError,
    DuplicateColumn,
    DuplicateObject,
    DuplicateTable,
    ForeignKeyViolation,
    NotNullViolation,
    ProgrammingError,
    TypeMismatch,
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    UniqueViolation,
)
from tests.sql.definition.conversation import NOW, Conversation


def test_an_added_column_has_its_default_in_the_rows_that_are_there(filled: Conversation) -> None:
    filled.run("ALTER TABLE child ADD COLUMN a INT DEFAULT 7 NOT NULL, ADD b DATETIME DEFAULT now(), ADD c INT")
    assert filled.run("SELECT a, b, c FROM child ORDER BY id") == [(7, NOW, None), (7, NOW, None)]
    filled.run("INSERT INTO child (code, a) VALUES ('ghi', 8)")
    assert filled.run("SELECT a, c FROM child WHERE code = 'ghi'") == [(8, None)]


def test_an_added_column_brings_its_constraints(filled: Conversation) -> None:
    filled.run("ALTER TABLE child ADD COLUMN other INT UNIQUE CHECK (other < 5) REFERENCES parent (id)")
    for sql, error in [
        ("UPDATE child SET other = 9 WHERE id = 1", CheckViolation),
        ("UPDATE child SET other = 3 WHERE id = 1", ForeignKeyViolation),
        ("UPDATE child SET other = 2", UniqueViolation),
    ]:
        with pytest.raises(error):
            filled.run(sql)
    filled.run("UPDATE child SET other = id")


def test_a_dropped_column_is_gone_and_may_come_back_empty(filled: Conversation) -> None:
    filled.run("ALTER TABLE child DROP COLUMN size", "ALTER TABLE child DROP COLUMN IF EXISTS size")
    with pytest.raises(UndefinedColumn):
        filled.run("SELECT size FROM child")
    filled.run("ALTER TABLE child ADD size INT")
    assert filled.run("SELECT size FROM child") == [(None,), (None,)]


def test_a_renamed_column_is_renamed_in_its_check_and_in_references(filled: Conversation) -> None:
    filled.run("ALTER TABLE child RENAME COLUMN size TO \"order\"", "ALTER TABLE parent RENAME id TO number")
    assert filled.table("child").checks[0].sql == '"order" > 0'
    with pytest.raises(CheckViolation):
        filled.run('UPDATE child SET "order" = 0')
    with pytest.raises(ForeignKeyViolation):
        filled.run("UPDATE child SET parent_id = 9")
    assert filled.run("SELECT number FROM parent ORDER BY number") == [(1,), (2,)]


def test_a_renamed_table_keeps_rows_and_referrers(filled: Conversation) -> None:
    filled.run("ALTER TABLE parent RENAME TO ancestor, ADD COLUMN age INT DEFAULT 70")
    assert filled.run("SELECT name, age FROM ancestor ORDER BY id") == [("x", 70), ("y", 70)]
    with pytest.raises(ForeignKeyViolation):
        filled.run("DELETE FROM ancestor")


def test_a_new_type_converts_the_rows(filled: Conversation) -> None:
    filled.run("ALTER TABLE child ALTER COLUMN size TYPE NUMERIC(10, 2), ALTER code TYPE VARCHAR(50)")
    assert [str(size) for (size,) in filled.run("SELECT size FROM child ORDER BY id")] == ["10.00", "20.00"]
    with pytest.raises(DataError):
        filled.run("ALTER TABLE child ALTER COLUMN code TYPE VARCHAR(2)")


def test_a_check_holds_for_values_that_a_new_type_changed(store: Conversation) -> None:
    store.run(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a NUMERIC(5, 2) CHECK (a > 0))", "INSERT INTO t (a) VALUES (0.40)"
    )
    with pytest.raises(CheckViolation):
        store.run("ALTER TABLE t ALTER COLUMN a TYPE NUMERIC(5, 0)")
    assert [str(a) for (a,) in store.run("SELECT a FROM t")] == ["0.40"]


def test_a_check_that_a_new_type_makes_meaningless_is_refused(filled: Conversation) -> None:
    with pytest.raises(TypeMismatch):
        filled.run("ALTER TABLE child ALTER COLUMN size TYPE VARCHAR(10)")


def test_null_is_refused_and_allowed(filled: Conversation) -> None:
    filled.run("ALTER TABLE child ALTER COLUMN size SET NOT NULL")
    with pytest.raises(NotNullViolation):
        filled.run("UPDATE child SET size = NULL")
    filled.run("ALTER TABLE child ALTER COLUMN size DROP NOT NULL", "UPDATE child SET size = NULL")
    with pytest.raises(NotNullViolation):
        filled.run("ALTER TABLE child ALTER COLUMN size SET NOT NULL")


def test_a_default_is_set_and_dropped(filled: Conversation) -> None:
    filled.run("ALTER TABLE child ALTER COLUMN size SET DEFAULT 5 * 5", "INSERT INTO child (code) VALUES ('a')")
    filled.run("ALTER TABLE child ALTER COLUMN size DROP DEFAULT", "INSERT INTO child (code) VALUES ('b')")
    assert filled.run("SELECT code, size FROM child WHERE id > 2 ORDER BY code") == [("a", 25), ("b", None)]


def test_constraints_are_dropped_by_name(filled: Conversation) -> None:
    filled.run(
        "ALTER TABLE child DROP CONSTRAINT UQ_CODE, DROP CONSTRAINT fk_parent, DROP CONSTRAINT ck_size",
        "ALTER TABLE child DROP CONSTRAINT IF EXISTS uq_code",
        "UPDATE child SET code = 'same', parent_id = 99, size = -1",
    )
    assert filled.run("SELECT DISTINCT code, parent_id, size FROM child") == [("same", 99, -1)]


@pytest.mark.parametrize("sql", ["DROP PRIMARY KEY", "DROP CONSTRAINT pk_child"])
def test_a_primary_key_is_dropped_and_another_made(filled: Conversation, sql: str) -> None:
    filled.run(f"ALTER TABLE child {sql}")
    assert not filled.table("child").columns[0].autoincrement
    filled.run("INSERT INTO child (id, code) VALUES (1, 'ghi')")
    with pytest.raises(UniqueViolation):
        filled.run("ALTER TABLE child ADD PRIMARY KEY (id)")
    filled.run("ALTER TABLE child ADD CONSTRAINT pk PRIMARY KEY (id, code)")
    assert filled.run("SELECT id, code FROM child ORDER BY id, code") == [(1, "abc"), (1, "ghi"), (2, "def")]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("ADD CONSTRAINT c CHECK (size > 10)", CheckViolation),
        ("ADD CONSTRAINT c UNIQUE (grade)", UniqueViolation),
        ("ADD CONSTRAINT c FOREIGN KEY (size) REFERENCES parent", ForeignKeyViolation),
        ("ADD PRIMARY KEY (grade)", ProgrammingError),
        ("ADD COLUMN c INT NOT NULL", NotNullViolation),
    ],
)
def test_rows_that_are_there_must_keep_a_new_constraint(
    filled: Conversation, sql: str, error: type[Exception]
) -> None:
    filled.run("ALTER TABLE child ADD COLUMN grade INT DEFAULT 1")
    with pytest.raises(error):
        filled.run(f"ALTER TABLE child {sql}")
    filled.run("INSERT INTO child (code, size, grade) VALUES ('ghi', 5, 1)")


@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("ALTER TABLE childs ADD a INT", UndefinedTable, 'did you mean "child"?'),
        ("ALTER TABLE child ADD Size INT", DuplicateColumn, "named twice"),
        ("ALTER TABLE child DROP sice", UndefinedColumn, 'did you mean "size"?'),
        ("ALTER TABLE child DROP id", ProgrammingError, "the primary key"),
        ("ALTER TABLE child DROP parent_id", ProgrammingError, "the foreign key fk_parent"),
        ("ALTER TABLE parent DROP id", ProgrammingError, "2BP01"),
        ("ALTER TABLE child RENAME sice TO a", UndefinedColumn, 'did you mean "size"?'),
        ("ALTER TABLE child RENAME size TO Code", DuplicateColumn, "named twice"),
        ("ALTER TABLE child RENAME TO parent", DuplicateTable, '"parent"'),
        ("ALTER TABLE child ALTER sice TYPE INT", UndefinedColumn, 'did you mean "size"?'),
        ("ALTER TABLE child ALTER id DROP NOT NULL", ProgrammingError, "primary key"),
        ("ALTER TABLE child ALTER size SET DEFAULT 'abc'", DataError, "child.size"),
        ("ALTER TABLE child ALTER code TYPE INT", DataError, "child.code"),
        ("ALTER TABLE child DROP CONSTRAINT ck_sice", UndefinedObject, 'did you mean "ck_size"?'),
        ("ALTER TABLE parent DROP PRIMARY KEY", ProgrammingError, "2BP01"),
        ("ALTER TABLE child ADD CONSTRAINT ck_size CHECK (size > 1)", DuplicateObject, "ck_size"),
        ("ALTER TABLE child ADD FOREIGN KEY (size) REFERENCES nosuch", UndefinedTable, "nosuch"),
        ("ALTER TABLE child ADD FOREIGN KEY (sice) REFERENCES parent", UndefinedColumn, 'did you mean "size"?'),
        ("ALTER TABLE child ADD a INT AUTOINCREMENT", ProgrammingError, "AUTOINCREMENT column already"),
    ],
)
def test_an_alteration_that_cannot_be_is_refused_and_changes_nothing(
    filled: Conversation, sql: str, error: type[Exception], words: str
) -> None:
    before = filled.transaction.context
    with pytest.raises(error) as refused:
        filled.run(sql)
    assert words in str(refused.value)
    assert filled.transaction.context == before
