"""Expressions of every size compile: Python's own limits on nesting do not show."""

from __future__ import annotations

from rome.sql.bound import (
    And,
    Arithmetic,
    Call,
    Case,
    ColumnRef,
    Compare,
    Const,
    Expr,
    InArray,
    InList,
    IsNull,
    Not,
    Or,
    Slot,
    array,
)
from rome.sql.expr import Bindings, predicate, projection, scalar, values
from rome.values import BIGINT, BOOLEAN, TEXT
from tests.sql.expr.sqlite_opinion import bindings

A, B = ColumnRef(0, BIGINT, "a"), ColumnRef(1, BIGINT, "b")
LAYOUT = {0: 0, 1: 1}
ROWS: list[tuple[object, ...]] = [(number, None if number % 3 == 0 else number % 7) for number in range(100)]


def number(value: int) -> Const:
    return Const(value, BIGINT)


def test_an_or_and_an_and_of_a_thousand_terms() -> None:
    either = Or(tuple(Compare("=", A, number(value)) for value in range(0, 2000, 2)))
    assert predicate(either, LAYOUT)(ROWS, bindings()) == ROWS[::2]
    assert predicate(Not(either), LAYOUT)(ROWS, bindings()) == ROWS[1::2]
    assert values(either, LAYOUT)(ROWS[:2], bindings()) == [True, False]
    every = And(tuple(Compare("<>", B, number(value)) for value in range(7, 1007)))
    assert predicate(every, LAYOUT)(ROWS, bindings()) == [row for row in ROWS if row[1] is not None]
    assert values(every, LAYOUT)(ROWS[:2], bindings()) == [None, True]


def test_in_lists_of_ten_thousand_constants_and_of_ten_thousand_parameters() -> None:
    evens = range(0, 20000, 2)
    constants = InList(A, tuple(map(number, evens)))
    assert predicate(constants, LAYOUT)(ROWS, bindings()) == ROWS[::2]
    parameters = InList(A, tuple(Slot(place, BIGINT) for place in range(10000)))
    assert predicate(parameters, LAYOUT)(ROWS, bindings(*evens)) == ROWS[::2]
    assert predicate(Not(parameters), LAYOUT)(ROWS, bindings(*evens)) == ROWS[1::2]
    assert predicate(Not(parameters), LAYOUT)(ROWS, bindings(None, *evens[1:])) == []
    held = InArray(A, Slot(0, BIGINT))
    assert predicate(held, LAYOUT)(ROWS, bindings(array(list(evens)))) == ROWS[::2]


def nested(depth: int) -> Expr:
    """A condition that alternates between all kinds of nodes."""
    node: Expr = Compare("=", A, number(1))
    for level in range(depth):
        match level % 5:
            case 0:
                node = And((node, IsNull(Case(((node, B),), A, BIGINT))))
            case 1:
                node = Or((Not(node), Compare("<", B, number(level))))
            case 2:
                node = Compare("IS", node, Const(None, BOOLEAN))
            case 3:
                node = InList(node, (Const(True, BOOLEAN), Compare("=", B, number(2))))
            case 4:
                node = Compare("=", Call("coalesce", (node, Const(False, BOOLEAN)), BOOLEAN), Const(True, BOOLEAN))
    return node


def test_two_hundred_levels_of_nesting_in_every_form() -> None:
    node: Expr = Compare("=", A, number(1))
    for level in range(200):
        node = Or((Not(node), Compare("=", B, number(level)))) if level % 2 else And((node, Not(IsNull(A))))
    found = values(node, LAYOUT)(ROWS, bindings())
    assert predicate(node, LAYOUT)(ROWS, bindings()) == [row for row, value in zip(ROWS, found, strict=True) if value]
    assert predicate(Not(node), LAYOUT)(ROWS, bindings()) == [
        row for row, value in zip(ROWS, found, strict=True) if value is False
    ]


def test_nested_kinds_agree_with_their_own_parts_computed_one_by_one() -> None:
    for depth in (5, 12, 13, 24):
        node = nested(depth)
        found = values(node, LAYOUT)(ROWS, bindings())
        assert [scalar(node, LAYOUT)(row, bindings()) for row in ROWS] == found
        expected = [row for row, value in zip(ROWS, found, strict=True) if value]
        assert predicate(node, LAYOUT)(ROWS, bindings()) == expected


def test_five_thousand_levels_of_arithmetic() -> None:
    node: Expr = A
    for _ in range(5000):
        node = Arithmetic("+", node, number(1), BIGINT)
    compiled = values(node, LAYOUT)
    assert compiled([], bindings()) == []
    shallow: Expr = A
    for _ in range(2000):
        shallow = Arithmetic("+", shallow, number(1), BIGINT)
    assert values(shallow, LAYOUT)([(1, None)], bindings()) == [2001]


def test_a_case_of_a_thousand_branches() -> None:
    whens = tuple((Compare("=", A, number(value)), number(-value)) for value in range(1000))
    node = Case(whens, number(7), BIGINT)
    assert scalar(node, LAYOUT)((999, None), bindings()) == -999
    assert scalar(node, LAYOUT)((1000, None), bindings()) == 7
    conditions = Case(tuple((when, Compare("=", B, number(1))) for when, _ in whens), Const(True, BOOLEAN), BOOLEAN)
    assert predicate(conditions, LAYOUT)([(999, 1), (998, 2), (1000, None)], bindings()) == [(999, 1), (1000, None)]
    assert predicate(Not(conditions), LAYOUT)([(999, 1), (998, 2)], bindings()) == [(998, 2)]


def test_what_is_not_needed_is_not_computed() -> None:
    fails = Compare("=", Arithmetic("/", number(1), A, BIGINT), number(1))
    zero = Compare("=", A, number(0))
    row = [(0, None)]
    assert predicate(Or((zero, fails)), LAYOUT)(row, bindings()) == row
    assert predicate(And((Not(zero), fails)), LAYOUT)(row, bindings()) == []
    assert predicate(Not(And((Not(zero), fails))), LAYOUT)(row, bindings()) == row
    assert values(Or((zero, fails)), LAYOUT)(row, bindings()) == [True]
    guarded = Case(((zero, number(1)),), Arithmetic("/", number(1), A, BIGINT), BIGINT)
    assert values(guarded, LAYOUT)(row, bindings()) == [1]
    whens = tuple((Compare("=", A, number(value)), number(value)) for value in range(30))
    late = Case(whens, Arithmetic("/", number(1), number(0), BIGINT), BIGINT)
    assert values(late, LAYOUT)([(29, None)], bindings()) == [29]


def test_text_of_any_kind_reaches_the_function_as_data_only() -> None:
    hostile = '\'); import os; os.abort(); (\'\n"""\\'
    node = Compare("=", ColumnRef(0, TEXT, hostile), Const(hostile, TEXT))
    assert predicate(node, {0: 0})([(hostile,), ("x",)], bindings()) == [(hostile,)]
    assert projection([Const(hostile, TEXT), ColumnRef(0, TEXT)], {0: 0})([("x",)], bindings()) == [(hostile, "x")]


def test_a_projection_of_the_rows_own_columns_is_the_list_itself() -> None:
    rows: list[tuple[object, ...]] = [(1, 2), (3, 4)]
    assert projection([A, B], LAYOUT)(rows, bindings()) is rows
    assert projection([B, A], LAYOUT)(rows, bindings()) == [(2, 1), (4, 3)]
    assert projection([A], LAYOUT)(rows, bindings()) == [(1,), (3,)]
    assert projection([], LAYOUT)(rows, bindings()) == [(), ()]
    assert projection([A, B], LAYOUT)([(1, 2, 3)], bindings()) == [(1, 2)]
    assert projection([A, B], LAYOUT)([], bindings()) == []


def test_one_compiled_function_serves_many_executions() -> None:
    node = And((Compare("=", A, Slot(0, BIGINT)), InArray(B, Slot(1, BIGINT))))
    run = predicate(node, LAYOUT)
    given: Bindings = bindings(1, array([1, 2]))
    assert run(ROWS, given) == [(1, 1)]
    assert run(ROWS, bindings(2, array([2]))) == [(2, 2)]
    assert run(ROWS, bindings(None, array([2]))) == []
