"""Expressions: what each form of SQL is in the syntax tree."""

from __future__ import annotations

import pytest

from rome.errors import NotSupportedError, SyntaxError_
from rome.sql import syntax
from rome.sql.parse import parse
from tests.sql.parse.shape import expression, nodes

A, B, C = (f"Name(['{name}'])" for name in "abc")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("12", "Literal(12)"),
        ("-12", "Literal(-12)"),
        ("9223372036854775808", "Literal(9223372036854775808)"),
        ("1.50", "Literal(Decimal('1.50'))"),
        (".5", "Literal(Decimal('0.5'))"),
        ("-.5", "Literal(Decimal('-0.5'))"),
        ("1.", "Literal(Decimal('1'))"),
        ("1e3", "Literal(1000.0)"),
        ("1.5E-3", "Literal(0.0015)"),
        ("'it''s'", 'Literal("it\'s")'),
        ("'back\\slash'", "Literal('back\\\\slash')"),
        ("''", "Literal('')"),
        ("X'00ff'", "Literal(b'\\x00\\xff')"),
        ("x''", "Literal(b'')"),
        ("NULL", "Literal(None)"),
        ("TRUE", "Literal(True)"),
        ("false", "Literal(False)"),
        ("DATE '2020-01-31'", "Cast(Literal('2020-01-31'), DATE)"),
        ("TIMESTAMP '2020-01-31 00:00:00'", "Cast(Literal('2020-01-31 00:00:00'), TIMESTAMP)"),
        ("TIME '00:00:01'", "Cast(Literal('00:00:01'), TIME)"),
        ("INTERVAL '3' DAY", "Interval(Literal(3), 'day')"),
        ("INTERVAL 3 MONTH", "Interval(Literal(3), 'month')"),
        ("INTERVAL '1.5' hour", "Interval(Literal(Decimal('1.5')), 'hour')"),
        ("INTERVAL :n SECOND", "Interval(Parameter('n'), 'second')"),
    ],
)
def test_a_literal_is_a_python_value(sql: str, expected: str) -> None:
    assert expression(sql) == expected


def test_a_number_is_of_the_class_that_the_standard_gives_it() -> None:
    query = parse("SELECT 12, 1.5, 1e3, TRUE")
    assert isinstance(query, syntax.Query) and isinstance(query.body, syntax.Select)
    values = [item.expression.value for item in query.body.items if isinstance(item.expression, syntax.Literal)]
    assert [type(value).__name__ for value in values] == ["int", "Decimal", "float", "bool"]


NAMES_ALL_THE_SAME = """date time timestamp interval index key value type first format schema namespace percent row rows
    comment year"""
FUNCTIONS = """abs ceil ceiling char_length coalesce concat concat_ws date_add day floor greatest group_concat hex hour
    ifnull instr json_extract least length log lower ltrim max md5 mod nosuchfunction nullif power random round rtrim
    sign sqrt strftime string_agg strpos substr unhex upper year"""


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a", A),
        ("t.a", "Name(['t', 'a'])"),
        ('"a b"', "Name(['a b'])"),
        ('"say ""a"""', "Name(['say \"a\"'])"),
        ('"T"."A"', "Name(['T', 'A'])"),
        ("ä", "Name(['ä'])"),
        *((word, f"Name(['{word}'])") for word in NAMES_ALL_THE_SAME.split()),
    ],
)
def test_a_name_is_as_written_without_its_quotes(sql: str, expected: str) -> None:
    assert expression(sql) == expected


@pytest.mark.parametrize("word", ["select", "from", "group", "order", "primary", "default", "left", "all", "case"])
def test_a_reserved_word_is_a_name_only_in_quotes(word: str) -> None:
    assert expression(f'"{word}"') == f"Name(['{word}'])"
    with pytest.raises(SyntaxError_):
        parse(f"SELECT a FROM t WHERE {word} = 1")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a + b * c", f"Binary('+', {A}, Binary('*', {B}, {C}))"),
        ("(a + b) * c", f"Binary('*', Binary('+', {A}, {B}), {C})"),
        ("a - b - c", f"Binary('-', Binary('-', {A}, {B}), {C})"),
        ("a / b % c", f"Binary('%', Binary('/', {A}, {B}), {C})"),
        ("a || b + c", f"Binary('||', {A}, Binary('+', {B}, {C}))"),
        ("a & b | c", f"Binary('|', Binary('&', {A}, {B}), {C})"),
        ("a << b >> c", f"Binary('>>', Binary('<<', {A}, {B}), {C})"),
        ("- a * b", f"Binary('*', Unary('-', {A}), {B})"),
        ("- -1", "Unary('-', Literal(-1))"),
        ("+a", A),
        ("a = b", f"Binary('=', {A}, {B})"),
        ("a == b", f"Binary('=', {A}, {B})"),
        ("a != b", f"Binary('<>', {A}, {B})"),
        ("a <> b", f"Binary('<>', {A}, {B})"),
        ("a < b", f"Binary('<', {A}, {B})"),
        ("a <= b", f"Binary('<=', {A}, {B})"),
        ("a > b", f"Binary('>', {A}, {B})"),
        ("a >= b", f"Binary('>=', {A}, {B})"),
        ("a + b = c", f"Binary('=', Binary('+', {A}, {B}), {C})"),
        ("a = b = c", f"Binary('=', Binary('=', {A}, {B}), {C})"),
        ("NOT a = b", f"Unary('NOT', Binary('=', {A}, {B}))"),
        ("NOT NOT a", f"Unary('NOT', Unary('NOT', {A}))"),
        ("a AND b OR c", f"Binary('OR', Binary('AND', {A}, {B}), {C})"),
        ("a AND (b OR c)", f"Binary('AND', {A}, Binary('OR', {B}, {C}))"),
        ("a OR NOT b AND c", f"Binary('OR', {A}, Binary('AND', Unary('NOT', {B}), {C}))"),
    ],
)
def test_operators_bind_as_in_the_standard(sql: str, expected: str) -> None:
    assert expression(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a IS NULL", f"Unary('IS NULL', {A})"),
        ("a ISNULL", f"Unary('IS NULL', {A})"),
        ("a IS NOT NULL", f"Unary('NOT', Unary('IS NULL', {A}))"),
        ("a NOTNULL", f"Unary('NOT', Unary('IS NULL', {A}))"),
        ("a IS TRUE", f"Unary('IS TRUE', {A})"),
        ("a IS FALSE", f"Unary('IS FALSE', {A})"),
        ("a IS NOT TRUE", f"Unary('NOT', Unary('IS TRUE', {A}))"),
        ("a = b IS NULL", f"Unary('IS NULL', Binary('=', {A}, {B}))"),
        ("a IS NULL = b", f"Binary('=', Unary('IS NULL', {A}), {B})"),
        ("a IS b", f"Binary('IS', {A}, {B})"),
        ("a IS NOT b", f"Binary('IS NOT', {A}, {B})"),
        ("a <=> b", f"Binary('IS', {A}, {B})"),
        ("a IS DISTINCT FROM b", f"Binary('IS NOT', {A}, {B})"),
        ("a IS NOT DISTINCT FROM b", f"Binary('IS', {A}, {B})"),
        ("a BETWEEN b AND c", f"Between({A}, {B}, {C})"),
        ("a NOT BETWEEN b AND c", f"Unary('NOT', Between({A}, {B}, {C}))"),
        ("a BETWEEN 1 AND 2 AND b", f"Binary('AND', Between({A}, Literal(1), Literal(2)), {B})"),
        ("a LIKE b", f"Like({A}, {B})"),
        ("a NOT LIKE b", f"Unary('NOT', Like({A}, {B}))"),
        ("a LIKE b ESCAPE '/'", f"Like({A}, {B}, escape=Literal('/'))"),
        ("a NOT LIKE b ESCAPE '/'", f"Unary('NOT', Like({A}, {B}, escape=Literal('/')))"),
        ("a LIKE b ESCAPE ?", f"Like({A}, {B}, escape=Parameter('?1'))"),
        ("a REGEXP b", f"Function('regexp_like', [{A}, {B}])"),
        ("a NOT RLIKE b", f"Unary('NOT', Function('regexp_like', [{A}, {B}]))"),
        ("a ILIKE b", f"Like({A}, {B}, ignore_case=True)"),
        ("a NOT ILIKE b", f"Unary('NOT', Like({A}, {B}, ignore_case=True))"),
        ("a IN (1, b)", f"InList({A}, [Literal(1), {B}])"),
        ("a NOT IN (1)", f"Unary('NOT', InList({A}, [Literal(1)]))"),
        ("(a, b) IN ((1, 2))", f"InList(Row([{A}, {B}]), [Row([Literal(1), Literal(2)])])"),
        ("a IN UNNEST(:p)", f"InArray({A}, Parameter('p'))"),
        ("a NOT IN UNNEST(?)", f"Unary('NOT', InArray({A}, Parameter('?1')))"),
        ("(a, b) = (1, 2)", f"Binary('=', Row([{A}, {B}]), Row([Literal(1), Literal(2)]))"),
    ],
)
def test_predicates(sql: str, expected: str) -> None:
    assert expression(sql) == expected


ONE = "Query(Select([SelectItem(Literal(1))]))"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a IN (SELECT 1)", f"InQuery({A}, {ONE})"),
        ("a NOT IN (SELECT 1)", f"Unary('NOT', InQuery({A}, {ONE}))"),
        ("EXISTS (SELECT 1)", f"Exists({ONE})"),
        ("NOT EXISTS (SELECT 1)", f"Unary('NOT', Exists({ONE}))"),
        ("(SELECT 1)", f"ScalarQuery({ONE})"),
        ("(SELECT 1) + a", f"Binary('+', ScalarQuery({ONE}), {A})"),
        ("((SELECT 1))", f"ScalarQuery({ONE})"),
    ],
)
def test_subqueries(sql: str, expected: str) -> None:
    assert expression(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CASE WHEN a THEN b END", f"Case(None, [[{A}, {B}]], None)"),
        ("CASE a WHEN 1 THEN 2 WHEN 3 THEN 4 ELSE c END",
         f"Case({A}, [[Literal(1), Literal(2)], [Literal(3), Literal(4)]], {C})"),
        ("CAST(a AS INTEGER)", f"Cast({A}, INTEGER)"),
        ("CAST(a AS double precision)", f"Cast({A}, DOUBLE PRECISION)"),
        ("CAST(a AS NUMERIC(10, 2))", f"Cast({A}, NUMERIC(10, 2))"),
    ],
)  # fmt: skip
def test_case_and_cast(sql: str, expected: str) -> None:
    assert expression(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("count(*)", "Function('count', [], star=True)"),
        ("COUNT(a)", f"Function('count', [{A}])"),
        ("count(DISTINCT a)", f"Function('count', [{A}], distinct=True)"),
        ("count(DISTINCT a, b)", f"Function('count', [{A}, {B}], distinct=True)"),
        ("count(ALL a)", f"Function('count', [{A}])"),
        ("count(*) FILTER (WHERE a)", f"Function('count', [], star=True, filter={A})"),
        ("sum(a) FILTER (WHERE b > 1)", f"Function('sum', [{A}], filter=Binary('>', {B}, Literal(1)))"),
        ("CURRENT_TIMESTAMP", "Function('current_timestamp', [])"),
        ("current_timestamp()", "Function('current_timestamp', [])"),
        ("LOCALTIMESTAMP", "Function('localtimestamp', [])"),
        ("CURRENT_DATE", "Function('current_date', [])"),
        ("now()", "Function('now', [])"),
        ("EXTRACT(year FROM a)", f"Function('extract', [Literal('year'), {A}])"),
        ("SUBSTRING(a FROM 2 FOR 3)", f"Function('substring', [{A}, Literal(2), Literal(3)])"),
        ("SUBSTRING(a FROM 2)", f"Function('substring', [{A}, Literal(2)])"),
        ("SUBSTRING(a FOR 3)", f"Function('substring', [{A}, Literal(1), Literal(3)])"),
        ("substring(a, 2, 3)", f"Function('substring', [{A}, Literal(2), Literal(3)])"),
        ("TRIM(a)", f"Function('trim', [{A}])"),
        ("TRIM(BOTH 'x' FROM a)", f"Function('trim', [{A}, Literal('x')])"),
        ("TRIM(LEADING 'x' FROM a)", f"Function('ltrim', [{A}, Literal('x')])"),
        ("TRIM(TRAILING FROM a)", f"Function('rtrim', [{A}])"),
        ("TRIM('x' FROM a)", f"Function('trim', [{A}, Literal('x')])"),
        ("POSITION('x' IN a)", f"Function('position', [Literal('x'), {A}])"),
        ("date(a)", f"Function('date', [{A}])"),
        ("left(a, 2)", f"Function('left', [{A}, Literal(2)])"),
        ("replace(a, 'x', 'y')", f"Function('replace', [{A}, Literal('x'), Literal('y')])"),
        ("if(a, b, c)", f"Function('if', [{A}, {B}, {C}])"),
    ],
)
def test_a_call_keeps_the_name_that_was_written(sql: str, expected: str) -> None:
    assert expression(sql) == expected


@pytest.mark.parametrize("name", FUNCTIONS.split())
def test_no_function_is_renamed_and_an_unknown_one_passes(name: str) -> None:
    assert expression(f"{name}(a, b)") == f"Function('{name}', [{A}, {B}])"


def test_positional_parameters_are_numbered_in_the_order_of_the_text() -> None:
    statement = parse("UPDATE t SET a = ?, b = CASE WHEN ? THEN ? END WHERE c IN (?, ?)")
    names = [node.name for node in nodes(statement) if isinstance(node, syntax.Parameter)]
    assert names == ["?1", "?2", "?3", "?4", "?5"]


def test_named_and_positional_parameters_may_stand_together() -> None:
    assert expression("a = :first AND b = ? AND c = :first") == (
        f"Binary('AND', Binary('AND', Binary('=', {A}, Parameter('first')), Binary('=', {B}, Parameter('?1'))), "
        f"Binary('=', {C}, Parameter('first')))"
    )


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a -> 'b' ->> 0", "(a -> 'b') ->> 0"),
        ("a -> 'b' || 'c'", "(a -> 'b') || 'c'"),
        ("a ->> :p = 'x'", "(a ->> :p) = 'x'"),
        ("- a -> 0", "- (a -> 0)"),
        ("a -> -1", "a -> (-1)"),
        ("(a || b) ->> t.c + 1", "((a || b) ->> t.c) + 1"),
        ("f(a) -> 'b' IS NULL", "((f(a)) -> 'b') IS NULL"),
    ],
)
def test_a_step_into_json_binds_more_tightly_than_any_other_operator(sql: str, expected: str) -> None:
    assert expression(sql) == expression(expected)


@pytest.mark.parametrize(
    "sql",
    ["1_000", "1a", "$1", "@x", "`a`", ":1", ": a", "a[1]", "a::int", "a ? b", "a && b", "(1", "1)", "()", "a b c",
     "a,", ",a", "a IN ()", "a BETWEEN 1 2", "CASE WHEN a b END", "CASE a END", "CAST(a INTEGER)", "CAST(a AS)",
     "EXTRACT(year, a)", "POSITION('a', b)", "INTERVAL '1 day'", "X'abc'", "X'zz'", "1e400", "a AS", "a AS 'x'",
     "count(DISTINCT)", "f(a", "f(a,)", "EXISTS ()", "a LIKE", "NOT", "a AND", "OR a", "a ESCAPE 'x'",
     "a ->", "-> 'a'", "a ->> AND b"],
)  # fmt: skip
def test_what_is_not_sql_is_a_syntax_error(sql: str) -> None:
    with pytest.raises(SyntaxError_, match="42601"):
        parse(f"SELECT {sql}")


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("a #> 'b'", "#>"),
        ("a GLOB b", "GLOB"),
        ("a SIMILAR TO b", "SIMILAR TO"),
        ("a COLLATE nocase", "COLLATE"),
        ("a = ANY (SELECT 1)", "ANY"),
        ("a > ALL (SELECT 1)", "ALL"),
        ("a BETWEEN SYMMETRIC 1 AND 2", "BETWEEN SYMMETRIC"),
        ("a AT TIME ZONE 'UTC'", "AT TIME ZONE"),
        ("'a' 'b'", "a string of several parts"),
        ("N'a'", "N'…'"),
        ("0x1F", "0x"),
        ("string_agg(a ORDER BY b LIMIT 1)", "LIMIT inside a call"),
        ("s.f(a)", "a function name with a schema"),
        ('"f"(a)', "a function name in quotes"),
        ("s.t.a", "a column name with a schema"),
        ("* + 1", "* here"),
        ("count(t.*)", "* here"),
        ("a IN b", "IN without parentheses"),
        ("a IN UNNEST(b)", "UNNEST of anything but one parameter"),
        ("CAST(a AS TIME WITH TIME ZONE)", "TIMESTAMP can have one"),
        ("f(a AS b)", "AS here"),
    ],
)
def test_what_rome_does_not_do_is_refused_by_name(sql: str, named: str) -> None:
    with pytest.raises(NotSupportedError, match="0A000") as refused:
        parse(f"SELECT {sql} FROM t")
    assert named in str(refused.value)
