"""OVER, WINDOW and frames."""

from __future__ import annotations

import pytest

from rome.errors import NotSupportedError, SyntaxError_
from rome.sql import syntax
from rome.sql.parse import parse
from tests.sql.parse.shape import shape

CALL = "Function('f', [])"
CURRENT = "FrameBound('CURRENT ROW')"
FIRST = "FrameBound('UNBOUNDED PRECEDING')"


def over(sql: str) -> str:
    query = parse(f"SELECT f() OVER {sql} FROM t")
    assert isinstance(query, syntax.Query) and isinstance(query.body, syntax.Select)
    return shape(query.body.items[0].expression)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("()", "WindowDefinition()"),
        ("w", "'w'"),
        ("(w)", "WindowDefinition(base='w')"),
        ("(PARTITION BY a, b)", "WindowDefinition(partition_by=[Name(['a']), Name(['b'])])"),
        ("(ORDER BY a DESC NULLS LAST)",
         "WindowDefinition(order_by=[OrderItem(Name(['a']), descending=True, nulls_first=False)])"),
        ("(ROWS 1 PRECEDING)",
         f"WindowDefinition(frame=Frame('ROWS', FrameBound('PRECEDING', offset=Literal(1)), {CURRENT}))"),
        ("(w RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE NO OTHERS)",
         f"WindowDefinition(base='w', frame=Frame('RANGE', {FIRST}, FrameBound('UNBOUNDED FOLLOWING')))"),
        ("(groups between current row and ? following exclude group)",
         f"WindowDefinition(frame=Frame('GROUPS', {CURRENT}, FrameBound('FOLLOWING', offset=Parameter('?1')), "
         "exclude='GROUP'))"),
        ('("rows" ROWS UNBOUNDED PRECEDING EXCLUDE TIES)',
         f"WindowDefinition(base='rows', frame=Frame('ROWS', {FIRST}, {CURRENT}, exclude='TIES'))"),
    ],
)  # fmt: skip
def test_what_stands_behind_over(sql: str, expected: str) -> None:
    assert over(sql) == f"Window({CALL}, {expected})"


def test_windows_have_names_that_stand_behind_having() -> None:
    query = parse("SELECT 1 FROM t HAVING a WINDOW w AS (PARTITION BY a), \"V\" AS (w ORDER BY b) ORDER BY 1")
    assert isinstance(query, syntax.Query) and isinstance(query.body, syntax.Select)
    assert [(name, shape(definition)) for name, definition in query.body.windows] == [
        ("w", "WindowDefinition(partition_by=[Name(['a'])])"),
        ("V", "WindowDefinition(base='w', order_by=[OrderItem(Name(['b']))])"),
    ]


def test_filter_stands_before_over() -> None:
    query = parse("SELECT count(*) FILTER (WHERE a) OVER w FROM t")
    assert "Window(Function('count', [], star=True, filter=Name(['a'])), 'w')" in shape(query)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT f() OVER", "SELECT f() OVER (", "SELECT f() OVER (ORDER BY)", "SELECT f() OVER (PARTITION BY)",
        "SELECT f() OVER (ORDER BY a PARTITION BY b)", "SELECT f() OVER (ROWS 1)", "SELECT f() OVER (ROWS PRECEDING)",
        "SELECT f() OVER (ROWS BETWEEN 1 PRECEDING)", "SELECT f() OVER (ROWS 1 PRECEDING AND 1 FOLLOWING)",
        "SELECT f() OVER (EXCLUDE TIES)", "SELECT f() OVER (ROWS 1 PRECEDING EXCLUDE a)", "SELECT f() OVER (a b)",
        "SELECT f() OVER (UNBOUNDED PRECEDING)", "SELECT a OVER ()", "SELECT CASE WHEN a THEN b END OVER ()",
        "SELECT count(*) FILTER (a > 1) FROM t", "SELECT count(*) OVER () FILTER (WHERE a)", "SELECT 1 WINDOW w",
        "SELECT 1 WINDOW w AS a", "SELECT 1 WINDOW w AS (), W AS ()", "SELECT 1 FROM t ORDER BY a WINDOW w AS ()",
        "SELECT 1 FROM t WINDOW w AS () WHERE a", "SELECT f() OVER () OVER ()",
    ],
)  # fmt: skip
def test_what_is_no_window_is_a_syntax_error(sql: str) -> None:
    with pytest.raises(SyntaxError_, match="42601"):
        parse(sql)


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT lag(a) IGNORE NULLS OVER () FROM t", "IGNORE NULLS"),
        ("SELECT lag(a) RESPECT NULLS OVER () FROM t", "RESPECT NULLS"),
        ("SELECT f(a) WITHIN GROUP (ORDER BY b) FROM t", "WITHIN GROUP"),
        ("SELECT f(a) KEEP (DENSE_RANK FIRST ORDER BY b) FROM t", None),
    ],
)
def test_what_windows_do_not_have_is_refused(sql: str, named: str | None) -> None:
    with pytest.raises((NotSupportedError, SyntaxError_)) as refused:
        parse(sql)
    assert named is None or named in str(refused.value)
