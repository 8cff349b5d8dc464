"""CREATE and DROP of tables and indexes, and comments."""

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
    UndefinedColumn,
    UndefinedObject,
    UndefinedTable,
    UniqueViolation,
)
from tests.sql.definition.conversation import NOW, Conversation


def test_a_created_table_keeps_its_constraints(filled: Conversation) -> None:
    for sql, error in [
        ("INSERT INTO child (code) VALUES ('abc')", UniqueViolation),
        ("INSERT INTO child (code, parent_id) VALUES ('x', 9)", ForeignKeyViolation),
        ("INSERT INTO child (code, size) VALUES ('x', 0)", CheckViolation),
        ("INSERT INTO child (code) VALUES (NULL)", NotNullViolation),
        ("INSERT INTO child (id, code) VALUES (1, 'x')", UniqueViolation),
    ]:
        with pytest.raises(error):
            filled.run(sql)
    assert len(filled.run("SELECT * FROM child")) == 2


def test_defaults_are_evaluated_for_every_row(store: Conversation) -> None:
    store.run(
        """CREATE TABLE t (id INTEGER PRIMARY KEY, a INT DEFAULT 1 + 1, b BOOLEAN DEFAULT 0,
           c DATETIME DEFAULT CURRENT_TIMESTAMP, d TEXT DEFAULT 'x' || 'y', e NUMERIC(5, 2) DEFAULT 1.5, f INT)""",
        "INSERT INTO t (f) VALUES (7)",
    )
    [row] = store.run("SELECT a, b, c, d, e, f FROM t")
    assert row == (2, False, NOW, "xy", pytest.approx(1.5), 7)


def test_a_definition_is_rolled_back_with_its_transaction(store: Conversation) -> None:
    store.run("CREATE TABLE t (a INT)")
    store.rollback()
    with pytest.raises(UndefinedTable):
        store.run("SELECT * FROM t")
    store.run("CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)")
    store.commit()
    assert store.run("SELECT * FROM t") == [(1,)]


def test_a_failed_definition_leaves_no_trace(filled: Conversation) -> None:
    before = filled.table("child")
    with pytest.raises(UndefinedColumn):
        filled.run("ALTER TABLE child ADD COLUMN extra INT, DROP COLUMN nosuch")
    assert filled.table("child") == before
    with pytest.raises(UndefinedColumn):
        filled.run("SELECT extra FROM child")


@pytest.mark.parametrize("kind", ["SMALLINT", "INTEGER", "BIGINT"])
def test_an_integer_primary_key_numbers_itself(store: Conversation, kind: str) -> None:
    store.run(f"CREATE TABLE t (id {kind} NOT NULL, a INT, PRIMARY KEY (id))", "INSERT INTO t (a) VALUES (5), (6)")
    assert store.run("SELECT id, a FROM t ORDER BY id") == [(1, 5), (2, 6)]
    assert store.table("t").columns[0].autoincrement


@pytest.mark.parametrize(
    "columns",
    ["id INTEGER DEFAULT 5 PRIMARY KEY", "id VARCHAR(5) PRIMARY KEY", "id INT, b INT, PRIMARY KEY (id, b)",
     "id INT PRIMARY KEY REFERENCES parent (id)", "id INT"],
)  # fmt: skip
def test_no_other_column_numbers_itself_unasked(filled: Conversation, columns: str) -> None:
    filled.run(f"CREATE TABLE t ({columns})")
    assert not any(column.autoincrement for column in filled.table("t").columns)


def test_a_declared_autoincrement_column_must_be_the_only_one_and_in_a_key(store: Conversation) -> None:
    store.run("CREATE TABLE t (a INT, b INT AUTOINCREMENT, PRIMARY KEY (a, b))")
    assert [column.autoincrement for column in store.table("t").columns] == [False, True]
    with pytest.raises(ProgrammingError, match="must be in a key"):
        store.run("CREATE TABLE u (a INT AUTOINCREMENT)")
    with pytest.raises(ProgrammingError, match="two AUTOINCREMENT"):
        store.run("CREATE TABLE u (a INT AUTOINCREMENT, b INT AUTOINCREMENT, PRIMARY KEY (a, b))")


def test_if_exists_and_if_not_exists_leave_what_is_there(filled: Conversation) -> None:
    before = filled.transaction.context
    filled.run(
        "CREATE TABLE IF NOT EXISTS Child (other INT)",
        "CREATE INDEX IF NOT EXISTS IX_size ON child (code)",
        "DROP TABLE IF EXISTS nosuch",
        "DROP INDEX IF EXISTS nosuch",
        "DROP INDEX IF EXISTS nosuch ON child",
    )
    assert filled.transaction.context == before


@pytest.mark.parametrize(
    ("sql", "error", "words"),
    [
        ("CREATE TABLE Parent (a INT)", DuplicateTable, '"Parent"'),
        ("CREATE TABLE t (a INT, A INT)", DuplicateColumn, "named twice"),
        ("CREATE TABLE t (a INT, PRIMARY KEY (b))", UndefinedColumn, '"b"'),
        ("CREATE TABLE t (a INT PRIMARY KEY, b INT PRIMARY KEY)", ProgrammingError, "two primary keys"),
        ("CREATE TABLE t (a INT REFERENCES parents (id))", UndefinedTable, 'did you mean "parent"?'),
        ("CREATE TABLE t (a INT REFERENCES parent (idd))", UndefinedColumn, 'did you mean "id"?'),
        ("CREATE TABLE t (a INT REFERENCES parent (name))", ProgrammingError, "42830"),
        ("CREATE TABLE t (a INT, b INT REFERENCES t)", ProgrammingError, "has no primary key"),
        ("CREATE TABLE t (a INT, CONSTRAINT k UNIQUE (a), CONSTRAINT K CHECK (a > 0))", DuplicateObject, '"k"'),
        ("CREATE TABLE t (a INT, UNIQUE (a, A))", DuplicateColumn, "names a column twice"),
        ("CREATE INDEX i ON child (size, size)", DuplicateColumn, "names a column twice"),
        ("CREATE TABLE t (a INT CHECK (b > 0))", UndefinedColumn, '"b"'),
        ("CREATE TABLE t (a INT CHECK (t.a > 0))", ProgrammingError, "without a table name"),
        ("CREATE TABLE t (a INT CHECK (a > ?))", ProgrammingError, "neither parameters nor subqueries"),
        ("CREATE TABLE t (a INT CHECK ((SELECT 1) > a))", ProgrammingError, "neither parameters nor subqueries"),
        ("CREATE TABLE t (a INT DEFAULT (b + 1))", UndefinedColumn, '"b"'),
        ("CREATE TABLE t (a INT DEFAULT ?)", ProgrammingError, "cannot have parameters"),
        ("CREATE TABLE t (a INT DEFAULT 'abc')", DataError, "t.a"),
        ("CREATE TABLE t (a VARCHAR(2) DEFAULT 'abc')", DataError, "t.a"),
        ("CREATE INDEX i ON childs (size)", UndefinedTable, 'did you mean "child"?'),
        ("CREATE INDEX i ON child (sice)", UndefinedColumn, 'did you mean "size"?'),
        ("CREATE INDEX ix_size ON child (code)", DuplicateObject, '"ix_size"'),
        ("DROP TABLE childs", UndefinedTable, 'did you mean "child"?'),
        ("DROP TABLE parent", ProgrammingError, "2BP01"),
        ("DROP INDEX ix_sice", UndefinedObject, 'did you mean "ix_size"?'),
        ("DROP INDEX uq_code", ProgrammingError, "drop that constraint instead"),
        ("COMMENT ON TABLE nosuch IS 'c'", UndefinedTable, "nosuch"),
        ("COMMENT ON COLUMN child.sice IS 'c'", UndefinedColumn, 'did you mean "size"?'),
    ],
)
def test_a_definition_that_cannot_be_is_refused(
    filled: Conversation, sql: str, error: type[Exception], words: str
) -> None:
    before = filled.transaction.context
    with pytest.raises(error) as refused:
        filled.run(sql)
    assert words in str(refused.value)
    assert filled.transaction.context == before


def test_an_index_is_filled_with_the_rows_that_are_there(filled: Conversation) -> None:
    filled.run("CREATE INDEX ix_code ON child (code, size)")
    assert filled.run("SELECT id FROM child WHERE code = 'def'") == [(2,)]
    with pytest.raises(UniqueViolation):
        filled.run("INSERT INTO child (code, size) VALUES ('ghi', 10)", "CREATE UNIQUE INDEX ux ON child (size)")


def test_an_index_name_belongs_to_its_table(filled: Conversation) -> None:
    filled.run("CREATE INDEX ix_size ON parent (name)")
    with pytest.raises(ProgrammingError, match="one of child, parent"):
        filled.run("DROP INDEX ix_size")
    filled.run("DROP INDEX ix_size ON parent", "DROP INDEX ix_size")
    assert not any(index.name == "ix_size" for index in filled.table("child").indexes)


def test_tables_that_reference_each_other_are_dropped_together(filled: Conversation) -> None:
    filled.run("DROP TABLE parent, child, Parent")
    with pytest.raises(UndefinedTable):
        filled.run("SELECT * FROM parent")


def test_comments_are_set_and_removed(store: Conversation) -> None:
    store.run("CREATE TABLE t (a INT COMMENT 'of a') COMMENT 'of t'")
    assert (store.table("t").comment, store.table("t").columns[0].comment) == ("of t", "of a")
    store.run("COMMENT ON TABLE t IS 'new'", "COMMENT ON COLUMN t.a IS NULL")
    assert (store.table("t").comment, store.table("t").columns[0].comment) == ("new", None)


def test_default_null_is_no_default(store: Conversation) -> None:
    store.run("CREATE TABLE t (a INT DEFAULT NULL, b INT DEFAULT 5)")
    assert [column.default for column in store.table("t").columns] == [None, "5"]
