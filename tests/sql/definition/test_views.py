"""Views: queries with a name."""

from __future__ import annotations

import pytest

from rome.errors import (
    DuplicateColumn,
    DuplicateTable,
    NotSupportedError,
    ProgrammingError,
    UndefinedColumn,
    UndefinedTable,
)
from rome.table.schema import Catalog
from tests.sql.definition.conversation import Conversation


@pytest.fixture
def viewed(filled: Conversation) -> Conversation:
    """A view of the children that are large."""
    filled.run("CREATE VIEW large (child, owner) AS SELECT id, parent_id FROM child WHERE size >= 20")
    return filled


def test_a_view_is_read_as_its_query(viewed: Conversation) -> None:
    assert viewed.run("SELECT * FROM large") == [(2, 2)]
    assert viewed.run("SELECT name FROM large AS l JOIN parent ON parent.id = l.owner") == [("y",)]
    viewed.run("INSERT INTO child (parent_id, code, size) VALUES (1, 'new', 99)")
    assert viewed.run("SELECT owner FROM large ORDER BY child") == [(2,), (1,)]


def test_a_view_may_read_views_and_have_subqueries_unions_and_limits(viewed: Conversation) -> None:
    viewed.run(
        """CREATE VIEW both_ AS WITH q AS (SELECT child AS n FROM large) SELECT n FROM q
           UNION SELECT id FROM parent WHERE id > (SELECT min(owner) FROM large) - 1""",
        "CREATE VIEW top AS SELECT n FROM both_ ORDER BY n LIMIT 1",
    )
    assert viewed.run("SELECT * FROM top") == [(2,)]
    nested = "SELECT id FROM parent WHERE id IN (SELECT n FROM top) AND EXISTS (SELECT 1 FROM large)"
    assert viewed.run(nested) == [(2,)]


def test_a_view_is_not_asked_for_what_is_outside_of_it(viewed: Conversation) -> None:
    with pytest.raises(UndefinedColumn, match="size"):
        viewed.run("SELECT size FROM large")
    with pytest.raises(UndefinedTable, match='in the view "bad": no table "parent" in this query'):
        viewed.run("CREATE VIEW bad AS SELECT parent.id FROM child")


def test_a_view_is_replaced_and_dropped_under_kept_plans(viewed: Conversation) -> None:
    query = "SELECT * FROM large"
    assert viewed.run(query) == [(2, 2)]
    viewed.run("CREATE OR REPLACE VIEW large AS SELECT code FROM child ORDER BY code")
    assert viewed.run(query) == [("abc",), ("def",)]
    viewed.run("DROP VIEW large", "CREATE TABLE large (x INTEGER)")
    assert viewed.run(query) == []


def test_a_view_is_part_of_its_transaction_and_is_kept(viewed: Conversation) -> None:
    viewed.commit()
    viewed.run("DROP VIEW large")
    with pytest.raises(UndefinedTable):
        viewed.run("SELECT * FROM large")
    viewed.rollback()
    viewed.environment.catalogs.__init__(viewed.environment.keys)  # type: ignore[misc]
    assert viewed.run("SELECT * FROM large") == [(2, 2)]


def test_the_names_of_tables_and_views_are_the_same_names(viewed: Conversation) -> None:
    for sql in ["CREATE TABLE large (a INT)", "CREATE VIEW parent AS SELECT 1", "CREATE VIEW LARGE AS SELECT 1",
                "ALTER TABLE parent RENAME TO large", "CREATE OR REPLACE VIEW parent AS SELECT 1"]:  # fmt: skip
        with pytest.raises(DuplicateTable):
            viewed.run(sql)
    viewed.run("CREATE VIEW IF NOT EXISTS large AS SELECT 1", "CREATE TABLE IF NOT EXISTS large (a INT)")
    assert viewed.run("SELECT * FROM large") == [(2, 2)]


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO large VALUES (1, 2)", "UPDATE large SET owner = 1", "DELETE FROM large", "DROP TABLE large",
     "ALTER TABLE large ADD COLUMN a INT", "CREATE INDEX i ON large (owner)", "COMMENT ON TABLE large IS 'x'",
     "CREATE TABLE u (a INT REFERENCES large)", "DROP VIEW parent"],
)  # fmt: skip
def test_a_view_is_no_table(viewed: Conversation, sql: str) -> None:
    with pytest.raises(ProgrammingError, match=r'"(large|parent)" is a (view|table)'):
        viewed.run(sql)


def test_a_view_without_its_table_says_so_when_it_is_used(viewed: Conversation) -> None:
    viewed.run("DROP TABLE child")
    with pytest.raises(UndefinedTable, match='in the view "large": no table "child"'):
        viewed.run("SELECT * FROM large")
    viewed.run("CREATE TABLE child (id INT, parent_id INT, size INT)", "INSERT INTO child VALUES (8, 9, 20)")
    assert viewed.run("SELECT * FROM large") == [(8, 9)]


def test_a_view_cannot_read_itself(viewed: Conversation) -> None:
    with pytest.raises(ProgrammingError, match="is defined by itself"):
        viewed.run("CREATE OR REPLACE VIEW large AS SELECT * FROM large")
    viewed.run("CREATE VIEW other AS SELECT * FROM large")
    with pytest.raises(ProgrammingError, match="is defined by itself"):
        viewed.run("CREATE OR REPLACE VIEW large AS SELECT * FROM other")
    assert viewed.run("SELECT * FROM other") == [(2, 2)]


@pytest.mark.parametrize(
    ("query", "error"),
    [("SELECT :x", NotSupportedError), ("SELECT * FROM child FOR UPDATE", NotSupportedError),
     ("SELECT 1 AS a, 2 AS A", DuplicateColumn), ("SELECT nosuch FROM child", UndefinedColumn)],
)  # fmt: skip
def test_what_a_view_cannot_be(viewed: Conversation, query: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        viewed.run(f"CREATE VIEW bad AS {query}")
    catalog = viewed.transaction.context
    assert isinstance(catalog, Catalog) and list(catalog.views) == ["large"]


def test_rows_of_a_view_cannot_be_locked(viewed: Conversation) -> None:
    with pytest.raises(NotSupportedError, match="large"):
        viewed.run("SELECT * FROM large FOR UPDATE")


def test_dropping_views_by_name(viewed: Conversation) -> None:
    with pytest.raises(UndefinedTable, match=r'view "larg" does not exist; did you mean "large"'):
        viewed.run("DROP VIEW larg")
    viewed.run("CREATE VIEW other AS SELECT 1", "DROP VIEW IF EXISTS nosuch, large, other")
    with pytest.raises(UndefinedTable):
        viewed.run("SELECT * FROM other")
