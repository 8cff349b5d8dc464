"""INSERT, UPDATE, DELETE and EXPLAIN."""

from __future__ import annotations

import pytest

from rome.errors import NotSupportedError, SyntaxError_
from rome.sql.parse import parse
from tests.sql.parse.shape import shape

T = "TableName('t')"
ONE_ROW = "Query(Values([[Literal(1)]]))"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO t VALUES (1)", f"Insert({T}, [], {ONE_ROW})"),
        ("INSERT INTO t (a) VALUES (1)", f"Insert({T}, [Name(['a'])], {ONE_ROW})"),
        ("INSERT INTO t AS x (a) VALUES (1)", f"Insert(TableName('t', alias='x'), [Name(['a'])], {ONE_ROW})"),
        ("INSERT INTO t (a) VALUES (?), (DEFAULT)",
         f"Insert({T}, [Name(['a'])], Query(Values([[Parameter('?1')], [DefaultValue()]])))"),
        ("INSERT INTO t DEFAULT VALUES", f"Insert({T}, [], None)"),
        ("INSERT INTO t (a) VALUES (1) RETURNING a, b AS c",
         f"Insert({T}, [Name(['a'])], {ONE_ROW}, "
         "returning=[SelectItem(Name(['a'])), SelectItem(Name(['b']), alias='c')])"),
        ("INSERT INTO t (a) SELECT 1", f"Insert({T}, [Name(['a'])], Query(Select([SelectItem(Literal(1))])))"),
        ("INSERT INTO t (SELECT 1)", f"Insert({T}, [], Query(Select([SelectItem(Literal(1))])))"),
        ("INSERT INTO t WITH x AS (SELECT 1) SELECT 2 RETURNING *",
         f"Insert({T}, [], Query(Select([SelectItem(Literal(2))]), "
         "common_tables=[CommonTable('x', Query(Select([SelectItem(Literal(1))])))]), returning=[SelectItem(Star())])"),
        ("UPDATE t SET a = 1", f"Update({T}, [[Name(['a']), Literal(1)]])"),
        ("UPDATE t AS x SET a = x.b + 1, c = DEFAULT WHERE d RETURNING a",
         "Update(TableName('t', alias='x'), [[Name(['a']), Binary('+', Name(['x', 'b']), Literal(1))], "
         "[Name(['c']), DefaultValue()]], where=Name(['d']), returning=[SelectItem(Name(['a']))])"),
        ("UPDATE t SET a = (SELECT 1)",
         f"Update({T}, [[Name(['a']), ScalarQuery(Query(Select([SelectItem(Literal(1))])))]])"),
        ("DELETE FROM t", f"Delete({T})"),
        ("DELETE FROM t x WHERE x.a RETURNING *",
         "Delete(TableName('t', alias='x'), where=Name(['x', 'a']), returning=[SelectItem(Star())])"),
        ("INSERT INTO t (a) SELECT 1 ON CONFLICT DO NOTHING",
         f"Insert({T}, [Name(['a'])], Query(Select([SelectItem(Literal(1))])), conflict=OnConflict([], None, None))"),
        ("INSERT INTO t VALUES (1) ON CONFLICT ON CONSTRAINT c DO UPDATE SET a = DEFAULT",
         f"Insert({T}, [], {ONE_ROW}, "
         "conflict=OnConflict([], None, 'c', assignments=[[Name(['a']), DefaultValue()]]))"),
        ("INSERT INTO t VALUES (1) ON CONFLICT (a, b) WHERE c DO UPDATE SET a = excluded.b, b = 1 WHERE d RETURNING a",
         f"Insert({T}, [], {ONE_ROW}, conflict=OnConflict([Name(['a']), Name(['b'])], Name(['c']), None, "
         "assignments=[[Name(['a']), Name(['excluded', 'b'])], [Name(['b']), Literal(1)]], where=Name(['d'])), "
         "returning=[SelectItem(Name(['a']))])"),
        ("UPDATE t SET a = u.b FROM u, v AS x WHERE x.a",
         f"Update({T}, [[Name(['a']), Name(['u', 'b'])]], "
         "source=Join('CROSS', TableName('u'), TableName('v', alias='x')), where=Name(['x', 'a']))"),
        ("DELETE FROM t USING u JOIN v ON a WHERE b RETURNING u.c",
         f"Delete({T}, source=Join('INNER', TableName('u'), TableName('v'), on=Name(['a'])), "
         "where=Name(['b']), returning=[SelectItem(Name(['u', 'c']))])"),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT 2",
         f"Insert({T}, [], Query(Select([SelectItem(Literal(2))])), "
         "common_tables=[CommonTable('x', Query(Select([SelectItem(Literal(1))])))])"),
        ("WITH RECURSIVE x AS MATERIALIZED (SELECT 1) DELETE FROM t",
         f"Delete({T}, common_tables=[CommonTable('x', Query(Select([SelectItem(Literal(1))])), recursive=True, "
         "materialized=True)])"),
        ("WITH x AS NOT MATERIALIZED (SELECT 1) UPDATE t SET a = 1",
         f"Update({T}, [[Name(['a']), Literal(1)]], common_tables=[CommonTable('x', "
         "Query(Select([SelectItem(Literal(1))])), materialized=False)])"),
        ("EXPLAIN DELETE FROM t", f"Explain(Delete({T}))"),
        ("EXPLAIN ANALYZE SELECT 1", "Explain(Query(Select([SelectItem(Literal(1))])), analyze=True)"),
    ],
)  # fmt: skip
def test_changes(sql: str, expected: str) -> None:
    assert shape(parse(sql)) == expected


@pytest.mark.parametrize(
    "sql",
    ["INSERT t VALUES (1)", "INSERT INTO t", "INSERT INTO t (a)", "INSERT INTO t () VALUES ()",
     "INSERT INTO t VALUES ()",
     "INSERT INTO t VALUES (1), (2, 3)", "INSERT INTO t VALUES 1", "INSERT INTO t SET a = 1",
     "INSERT INTO t (a,) VALUES (1)",
     "INSERT INTO t (a) DEFAULT VALUES", "INSERT INTO t (a) RETURNING a VALUES (1)", "INSERT INTO VALUES (1)",
     "UPDATE t", "UPDATE t SET", "UPDATE t SET a", "UPDATE t SET a = ", "UPDATE t SET a = 1,", "UPDATE t SET a == 1 + ",
     "UPDATE t SET a = 1 SET b = 2", "UPDATE t WHERE b SET a = 1", "UPDATE t SET a = 1 WHERE TRUE WHERE b",
     "UPDATE t SET a = 1 RETURNING a WHERE b", "UPDATE t SET (a, b) = (1, 2)", "DELETE t", "DELETE t FROM t",
     "DELETE FROM", "DELETE FROM t WHERE", "DELETE FROM t RETURNING a WHERE b", "DELETE FROM t WHERE a WHERE b",
     "INSERT INTO t VALUES (1) ON CONFLICT", "INSERT INTO t VALUES (1) ON CONFLICT (a) DO",
     "INSERT INTO t VALUES (1) ON CONFLICT () DO NOTHING", "INSERT INTO t VALUES (1) ON CONFLICT (a + 1) DO NOTHING",
     "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE", "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET",
     "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING WHERE a", "INSERT INTO t ON CONFLICT DO NOTHING VALUES (1)",
     "INSERT INTO t VALUES (1) ON CONFLICT ON CONSTRAINT DO NOTHING",
     "UPDATE t SET a = 1 FROM", "UPDATE t SET a = 1 WHERE b FROM u", "DELETE FROM t USING",
     "DELETE FROM t WHERE a USING u",
     "EXPLAIN", "EXPLAIN ANALYZE", "SELCT 1", "xyz", "1", "(1)", ")"],
)  # fmt: skip
def test_what_is_not_a_statement_is_a_syntax_error(sql: str) -> None:
    with pytest.raises(SyntaxError_):
        parse(sql)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("INSERT OR REPLACE INTO t VALUES (1)", "INSERT OR"),
        ("INSERT IGNORE INTO t VALUES (1)", "INSERT IGNORE"),
        ("INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING ON CONFLICT DO NOTHING", "a second ON CONFLICT"),
        ("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1", "ON DUPLICATE"),
        ("INSERT INTO s.t VALUES (1)", "a table name with a schema"),
        ("UPDATE t, u SET a = 1", "UPDATE of several tables"),
        ("UPDATE t SET a = 1 LIMIT 1", "LIMIT in UPDATE"),
        ("UPDATE t SET a = 1 FROM u ORDER BY b", "ORDER BY in UPDATE"),
        ("DELETE FROM t, u USING v", "DELETE from several tables"),
        ("DELETE FROM t ORDER BY a LIMIT 1", "ORDER BY in DELETE"),
        ("REPLACE INTO t VALUES (1)", "the statement REPLACE"),
        ("TRUNCATE TABLE t", "the statement TRUNCATE"),
        ("MERGE INTO t USING u ON a WHEN MATCHED THEN DELETE", "the statement MERGE"),
        ("PRAGMA table_info(t)", "the statement PRAGMA"),
        ("SHOW TABLES", "the statement SHOW"),
        ("SAVEPOINT x", "the statement SAVEPOINT"),
        ("SELECT 1; SELECT 2", "more than one statement"),
    ],
)
def test_a_statement_that_rome_does_not_take_is_refused_by_name(sql: str, named: str) -> None:
    with pytest.raises(NotSupportedError) as refused:
        parse(sql)
    assert named in str(refused.value)


@pytest.mark.parametrize("sql", ["SELECT 1;", "SELECT 1 ; ;", "-- first\nSELECT 1 /* of /* all */ */; -- last"])
def test_semicolons_at_the_end_and_comments_are_passed_over(sql: str) -> None:
    assert parse(sql) == parse("SELECT 1")


@pytest.mark.parametrize("sql", ["", "  \n", ";", "-- nothing", "/* nothing */"])
def test_an_empty_text_is_a_syntax_error(sql: str) -> None:
    with pytest.raises(SyntaxError_, match="empty"):
        parse(sql)
