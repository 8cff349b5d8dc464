"""SELECT, FROM, set operations and what may follow a query."""

from __future__ import annotations

import pytest

from rome.errors import NotSupportedError, SyntaxError_
from rome.sql import syntax
from rome.sql.parse import parse
from tests.sql.parse.shape import shape

STAR = "SelectItem(Star())"
ITEM_A = "SelectItem(Name(['a']))"


def select(number: int) -> str:
    return f"Query(Select([SelectItem(Literal({number}))]))"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM t", f"Select([{STAR}], source=TableName('t'))"),
        ("SELECT t.*, a AS x, b y FROM t",
         "Select([SelectItem(Star(table='t')), SelectItem(Name(['a']), alias='x'), SelectItem(Name(['b']), alias='y')]"
         ", source=TableName('t'))"),
        ("SELECT DISTINCT a FROM t", f"Select([{ITEM_A}], source=TableName('t'), distinct=True)"),
        ("SELECT ALL a FROM t", f"Select([{ITEM_A}], source=TableName('t'))"),
        ("SELECT a FROM t WHERE b", f"Select([{ITEM_A}], source=TableName('t'), where=Name(['b']))"),
        ("SELECT a FROM t GROUP BY a, b HAVING c",
         f"Select([{ITEM_A}], source=TableName('t'), group_by=[Name(['a']), Name(['b'])], having=Name(['c']))"),
    ],
)  # fmt: skip
def test_clauses_of_a_select(sql: str, expected: str) -> None:
    assert shape(parse(sql)) == f"Query({expected})"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("ORDER BY a", "order_by=[OrderItem(Name(['a']))]"),
        ("ORDER BY a ASC, b DESC", "order_by=[OrderItem(Name(['a'])), OrderItem(Name(['b']), descending=True)]"),
        ("ORDER BY a NULLS FIRST", "order_by=[OrderItem(Name(['a']), nulls_first=True)]"),
        ("ORDER BY a DESC NULLS LAST", "order_by=[OrderItem(Name(['a']), descending=True, nulls_first=False)]"),
        ("LIMIT 5", "limit=Literal(5)"),
        ("LIMIT -1", "limit=Literal(-1)"),
        ("LIMIT ? OFFSET ?", "limit=Parameter('?1'), offset=Parameter('?2')"),
        ("LIMIT 2, 5", "limit=Literal(5), offset=Literal(2)"),
        ("OFFSET 2", "offset=Literal(2)"),
        ("OFFSET 2 ROWS FETCH NEXT 5 ROWS ONLY", "limit=Literal(5), offset=Literal(2)"),
        ("FETCH FIRST ROW ONLY", "limit=Literal(1)"),
        ("FETCH FIRST ? ROWS ONLY", "limit=Parameter('?1')"),
        ("FETCH FIRST (1 + 1) ROWS WITH TIES", "limit=Binary('+', Literal(1), Literal(1)), ties=True"),
        ("OFFSET 1 FETCH NEXT 2.5 PERCENT ROWS ONLY", "limit=Literal(Decimal('2.5')), offset=Literal(1), percent=True"),
        ("FOR UPDATE", "lock=Lock()"),
        ("FOR UPDATE OF t, u", "lock=Lock(of=[TableName('t'), TableName('u')])"),
        ("FOR UPDATE NOWAIT", "lock=Lock(patience=<Patience.NOWAIT: 'nowait'>)"),
        ("FOR SHARE OF t SKIP LOCKED", "lock=Lock(of=[TableName('t')], patience=<Patience.SKIP: 'skip'>)"),
        ("FOR NO KEY UPDATE", "lock=Lock()"),
        ("FOR KEY SHARE", "lock=Lock()"),
        ("ORDER BY a LIMIT 1 FOR UPDATE", "order_by=[OrderItem(Name(['a']))], limit=Literal(1), lock=Lock()"),
    ],
)
def test_what_may_follow_a_query(sql: str, expected: str) -> None:
    assert shape(parse(f"SELECT a FROM t {sql}")) == f"Query(Select([{ITEM_A}], source=TableName('t')), {expected})"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("t AS x", "TableName('t', alias='x')"),
        ("t x", "TableName('t', alias='x')"),
        ('"T"', "TableName('T')"),
        ("(t)", "TableName('t')"),
        ("a, b", "Join('CROSS', TableName('a'), TableName('b'))"),
        ("a CROSS JOIN b", "Join('CROSS', TableName('a'), TableName('b'))"),
        ("a JOIN b ON c", "Join('INNER', TableName('a'), TableName('b'), on=Name(['c']))"),
        ("a INNER JOIN b USING (x, y)", "Join('INNER', TableName('a'), TableName('b'), using=['x', 'y'])"),
        ("a LEFT JOIN b ON c", "Join('LEFT', TableName('a'), TableName('b'), on=Name(['c']))"),
        ("a RIGHT OUTER JOIN b ON c", "Join('RIGHT', TableName('a'), TableName('b'), on=Name(['c']))"),
        ("a FULL JOIN b ON c", "Join('FULL', TableName('a'), TableName('b'), on=Name(['c']))"),
        ("a JOIN b ON c JOIN d ON e",
         "Join('INNER', Join('INNER', TableName('a'), TableName('b'), on=Name(['c'])), "
         "TableName('d'), on=Name(['e']))"),
        ("a LEFT JOIN (b JOIN d ON e) ON c",
         "Join('LEFT', TableName('a'), Join('INNER', TableName('b'), TableName('d'), on=Name(['e'])), on=Name(['c']))"),
        ("a LEFT JOIN b JOIN d ON e ON c",
         "Join('LEFT', TableName('a'), Join('INNER', TableName('b'), TableName('d'), on=Name(['e'])), on=Name(['c']))"),
        ("(a JOIN b ON c) JOIN d ON e",
         "Join('INNER', Join('INNER', TableName('a'), TableName('b'), on=Name(['c'])), "
         "TableName('d'), on=Name(['e']))"),
        ("(SELECT 1) AS x", f"Derived({select(1)}, 'x')"),
        ("(SELECT 1)", f"Derived({select(1)}, None)"),
        ("a, LATERAL (SELECT 1) AS x (b)",
         f"Join('CROSS', TableName('a'), Derived({select(1)}, 'x', columns=['b'], lateral=True))"),
        ("a LEFT JOIN LATERAL (SELECT 1) AS x ON TRUE",
         f"Join('LEFT', TableName('a'), Derived({select(1)}, 'x', lateral=True), on=Literal(True))"),
        ("(SELECT 1) AS x (a)", f"Derived({select(1)}, 'x', columns=['a'])"),
        ("(VALUES (1)) AS x (a)", "Derived(Query(Values([[Literal(1)]])), 'x', columns=['a'])"),
        ("((SELECT 1) AS x JOIN b ON c)", f"Join('INNER', Derived({select(1)}, 'x'), TableName('b'), on=Name(['c']))"),
    ],
)  # fmt: skip
def test_what_may_stand_in_from(sql: str, expected: str) -> None:
    assert shape(parse(f"SELECT * FROM {sql}")) == f"Query(Select([{STAR}], source={expected}))"


def test_a_comma_binds_more_loosely_than_a_join() -> None:
    assert shape(parse("SELECT * FROM a, b RIGHT JOIN c ON x, d")) == (
        f"Query(Select([{STAR}], source=Join('CROSS', Join('CROSS', TableName('a'), "
        "Join('RIGHT', TableName('b'), TableName('c'), on=Name(['x']))), TableName('d'))))"
    )


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1 UNION SELECT 2", f"SetOperation('UNION', False, {select(1)}, {select(2)})"),
        ("SELECT 1 UNION DISTINCT SELECT 2", f"SetOperation('UNION', False, {select(1)}, {select(2)})"),
        ("SELECT 1 UNION ALL SELECT 2", f"SetOperation('UNION', True, {select(1)}, {select(2)})"),
        ("SELECT 1 EXCEPT SELECT 2", f"SetOperation('EXCEPT', False, {select(1)}, {select(2)})"),
        ("SELECT 1 INTERSECT ALL SELECT 2", f"SetOperation('INTERSECT', True, {select(1)}, {select(2)})"),
        ("SELECT 1 UNION SELECT 2 EXCEPT SELECT 3",
         f"SetOperation('EXCEPT', False, Query(SetOperation('UNION', False, {select(1)}, {select(2)})), {select(3)})"),
        ("SELECT 1 UNION SELECT 2 INTERSECT SELECT 3",
         f"SetOperation('UNION', False, {select(1)}, "
         f"Query(SetOperation('INTERSECT', False, {select(2)}, {select(3)})))"),
        ("SELECT 1 UNION (SELECT 2 EXCEPT SELECT 3)",
         f"SetOperation('UNION', False, {select(1)}, Query(SetOperation('EXCEPT', False, {select(2)}, {select(3)})))"),
    ],
)  # fmt: skip
def test_set_operations_and_what_they_join(sql: str, expected: str) -> None:
    assert shape(parse(sql)) == f"Query({expected})"


def test_order_and_limit_behind_a_set_operation_belong_to_all_of_it() -> None:
    query = parse("SELECT 1 UNION SELECT 2 ORDER BY 1 LIMIT 3")
    assert isinstance(query, syntax.Query) and isinstance(query.body, syntax.SetOperation)
    assert query.limit == syntax.Literal(3) and len(query.order_by) == 1
    assert query.body.right == syntax.Query(query.body.right.body)


def test_order_and_limit_in_parentheses_belong_to_that_part() -> None:
    query = parse("(SELECT 1 ORDER BY 1 LIMIT 1) UNION (SELECT 2 LIMIT 2)")
    assert isinstance(query, syntax.Query) and isinstance(query.body, syntax.SetOperation)
    assert query.limit is None
    assert query.body.left.limit == syntax.Literal(1) and query.body.right.limit == syntax.Literal(2)


@pytest.mark.parametrize("condition", ["(FALSE)", "(NULL)", "(TRUE) AND (FALSE)", "b = 1"])
def test_a_clause_of_keywords_alone_stands_where_it_stands(condition: str) -> None:
    parse(f"SELECT (SELECT NULL FROM t WHERE {condition} ORDER BY 1 LIMIT 1) AS x FROM t")
    with pytest.raises(SyntaxError_, match="stand in another order"):
        parse("SELECT a FROM t ORDER BY a WHERE b = 1")


def test_a_limit_around_a_limit_keeps_both() -> None:
    query = parse("(SELECT a FROM t LIMIT 5) LIMIT 3")
    assert isinstance(query, syntax.Query) and isinstance(query.body, syntax.Select)
    assert query.limit == syntax.Literal(3)
    assert isinstance(query.body.source, syntax.Derived) and query.body.source.query.limit == syntax.Literal(5)


def test_values_are_a_query_of_their_own() -> None:
    assert shape(parse("VALUES (1, 2), (3, 4)")) == (
        "Query(Values([[Literal(1), Literal(2)], [Literal(3), Literal(4)]]))"
    )


def test_common_tables_come_with_their_query() -> None:
    assert shape(parse("WITH a AS (SELECT 1), b (x) AS (SELECT 2) SELECT * FROM b")) == (
        f"Query(Select([{STAR}], source=TableName('b')), "
        f"common_tables=[CommonTable('a', {select(1)}), CommonTable('b', {select(2)}, columns=['x'])])"
    )


@pytest.mark.parametrize(
    "sql",
    ["SELECT", "SELECT FROM t", "SELECT a FROM", "SELECT a FROM t WHERE", "SELECT a FROM t GROUP BY",
     "SELECT a FROM t ORDER BY", "SELECT a FROM t LIMIT", "SELECT a FROM t LIMIT ALL", "FROM t SELECT a",
     "SELECT * FROM (FROM t)", "SELECT a FROM t LIMIT 1 WHERE b", "SELECT a FROM t ORDER BY a WHERE b",
     "SELECT a FROM t HAVING b WHERE c", "SELECT 1 UNION SELECT 2 LIMIT 1 ORDER BY 1",
     "SELECT a FROM t LIMIT 1 LIMIT 2",
     "SELECT a FROM t WHERE a WHERE b", "SELECT 1 ORDER BY 1 UNION SELECT 2", "SELECT AS x FROM t", "SELECT * x FROM t",
     "SELECT * FROM t *", "SELECT * FROM a,", "SELECT * FROM a, WHERE b", "SELECT * FROM a JOIN b",
     "SELECT * FROM a LEFT JOIN b", "SELECT * FROM a CROSS JOIN b ON c", "SELECT * FROM a JOIN b ON",
     "SELECT * FROM .t", "SELECT * FROM t AS", "SELECT * FROM t 'x'", "SELECT a FROM t FETCH NEXT",
     "SELECT a FROM t FETCH FIRST 5 ROWS", "SELECT a FROM t FOR UPDATE FOR UPDATE",
     "SELECT a FROM t FOR UPDATE OF", "SELECT a FROM t FOR UPDATE OF t,", "SELECT a FROM t FOR UPDATE OF t AS x",
     "SELECT a FROM t FOR UPDATE NOWAIT SKIP LOCKED", "SELECT a FROM t FOR UPDATE SKIP",
     "SELECT a FROM t FOR NO UPDATE",     "SELECT TOP 5 a FROM t",
     "SELECT a FROM t NULLS FIRST", "SELECT a FROM t ORDER BY a NULLS", "VALUES (1, 2), (3)", "VALUES ()", "VALUES 1",
     "WITH a SELECT 1", "WITH a (SELECT 1) SELECT 1", "SELECT 1 UNION", "SELECT * FROM (SELECT 1"],
)  # fmt: skip
def test_what_is_not_a_query_is_a_syntax_error(sql: str) -> None:
    with pytest.raises((SyntaxError_, NotSupportedError)) as wrong:
        parse(sql)
    assert wrong.type is SyntaxError_ or "* here" in str(wrong.value)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT DISTINCT ON (a) a FROM t", "DISTINCT ON"),
        ("SELECT a INTO b FROM t", "INTO in SELECT"),
        ("SELECT a FROM t GROUP BY ROLLUP (a)", "ROLLUP"),
        ("SELECT a FROM t GROUP BY CUBE (a)", "CUBE"),
        ("SELECT a FROM t GROUP BY GROUPING SETS ((a), (b))", "GROUPING SETS"),
        ("SELECT a FROM t FOR UPDATE WAIT 5", "WAIT with a time"),
        ("SELECT a FROM t FOR UPDATE OF s.t", "a table name with a schema"),
        ("SELECT * FROM a NATURAL JOIN b", "NATURAL JOIN"),
        ("SELECT * FROM a, LATERAL f(a.b) AS x", "LATERAL before anything but a query"),
        ("SELECT * FROM a LATERAL (SELECT 1) AS x", "LATERAL without a comma"),
        ("SELECT * FROM UNNEST(:p) AS x", "UNNEST"),
        ("SELECT * FROM f(1)", "the table function f"),
        ("SELECT * FROM s.t", "a table name with a schema"),
        ("SELECT * FROM t AS x (a, b)", "a table alias with column names"),
        ("SELECT * FROM (a JOIN b ON c) AS x", "as a query"),
        ("WITH a AS (INSERT INTO t VALUES (1) RETURNING b) SELECT * FROM a", "INSERT as a query"),
        ("SELECT * EXCEPT (a) FROM t", "EXCEPT in STAR"),
        ("SELECT 1 UNION BY NAME SELECT 2", "BY NAME in UNION"),
    ],
)
def test_a_clause_that_rome_does_not_take_is_refused_by_name(sql: str, named: str) -> None:
    with pytest.raises(NotSupportedError) as refused:
        parse(sql)
    assert named in str(refused.value)
