"""TRUE, FALSE and unknown: every form of an expression agrees with SQLite on every combination of inputs."""

from __future__ import annotations

import functools
import itertools
import sqlite3
from collections.abc import Callable

import pytest

from rome.sql.bound import (
    And,
    Array,
    Case,
    ColumnRef,
    Compare,
    Const,
    Expr,
    InArray,
    InList,
    IsNull,
    Like,
    Not,
    Or,
    OuterRef,
    Slot,
    array,
    transform,
)
from rome.sql.expr import predicate, projection, scalar, values
from rome.values import BOOLEAN, TEXT
from tests.sql.expr.sqlite_opinion import as_sqlite, bindings, condition, sql_of, sqlite_values

TRUTHS = (True, False, None)
A, B, C = (condition(column) for column in range(3))
LAYOUT = {0: 0, 1: 1, 2: 2}

FORMS: dict[str, Expr] = {
    "not": Not(A),
    "and": And((A, B)),
    "or": Or((A, B)),
    "and of three": And((A, B, C)),
    "or of three": Or((A, B, C)),
    "and of none": And(()),
    "or of none": Or(()),
    "not and": Not(And((A, B))),
    "not or": Not(Or((A, B))),
    "de morgan": Or((Not(A), And((Not(B), Not(Not(C)))))),
    "and in or": Or((And((A, B)), C)),
    "or in and": And((Or((A, B)), C)),
    "is null": IsNull(A),
    "is not null": Not(IsNull(A)),
    "null of and": IsNull(And((A, B))),
    "and of null": And((A, IsNull(B))),
    "or of null": Or((A, Not(IsNull(B)))),
    "=": Compare("=", A, B),
    "<>": Compare("<>", A, B),
    "<": Compare("<", A, B),
    "<=": Compare("<=", A, B),
    ">": Compare(">", A, B),
    ">=": Compare(">=", A, B),
    "is": Compare("IS", A, B),
    "is not": Compare("IS NOT", A, B),
    "= of conditions": Compare("=", And((A, B)), Or((B, C))),
    "<> of conditions": Compare("<>", Not(A), Or((B, C))),
    "is of conditions": Compare("IS", And((A, B)), C),
    "in": InList(A, (B, C)),
    "in with a constant": InList(A, (B, Const(True, BOOLEAN))),
    "in with null": InList(A, (B, Const(None, BOOLEAN))),
    "in constants": InList(A, (Const(True, BOOLEAN), Const(True, BOOLEAN))),
    "in constants and null": InList(A, (Const(True, BOOLEAN), Const(None, BOOLEAN))),
    "in nothing": InList(A, ()),
    "condition in": InList(And((A, B)), (C, Const(False, BOOLEAN))),
    "condition in conditions": InList(A, (And((A, B)), Not(C))),
    "case": Case(((A, B),), C, BOOLEAN),
    "case of conditions": Case(((And((A, B)), Not(C)), (B, Const(None, BOOLEAN))), Or((A, C)), BOOLEAN),
}


def check(
    expr: Expr, row: tuple[object, ...], slots: tuple[object, ...] = (), outer: dict[int, object] | None = None
) -> None:
    """Every entrance, and every form of the code it makes, says what SQLite says."""
    given = bindings(*slots, outer=outer)
    (expected,) = sqlite_values([expr], row, slots, outer)
    about = sql_of(expr, slots, outer), row
    assert as_sqlite(scalar(expr, LAYOUT)(row, given)) == expected, about
    assert [as_sqlite(value) for value in values(expr, LAYOUT)([row], given)] == [expected], about
    assert [as_sqlite(value) for value, _ in projection([expr, A], LAYOUT)([row], given)] == [expected], about
    assert predicate(expr, LAYOUT)([row], given) == ([row] if expected else []), about
    assert predicate(Not(expr), LAYOUT)([row], given) == ([row] if expected == 0 else []), about
    assert predicate(IsNull(expr), LAYOUT)([row], given) == ([row] if expected is None else []), about


@pytest.mark.parametrize("name", FORMS)
def test_columns_of_every_truth_value(name: str) -> None:
    for row in itertools.product(TRUTHS, repeat=3):
        check(FORMS[name], row)


def _replaced(expr: Expr, make: Callable[[int], Expr]) -> Expr:
    return transform(expr, lambda node: make(node.column) if isinstance(node, ColumnRef) else None)


def _nullable_but(strict: int, column: int) -> Expr:
    return condition(column, column != strict)


def _constant_of(row: tuple[object, ...], column: int) -> Expr:
    return Const(row[column], BOOLEAN)


@pytest.mark.parametrize("name", FORMS)
def test_columns_that_cannot_be_null(name: str) -> None:
    expr = _replaced(FORMS[name], lambda column: condition(column, nullable=False))
    for row in itertools.product((True, False), repeat=3):
        check(expr, row)


@pytest.mark.parametrize("name", FORMS)
def test_one_column_that_cannot_be_null_beside_others_that_can(name: str) -> None:
    for strict in range(3):
        expr = _replaced(FORMS[name], functools.partial(_nullable_but, strict))
        for row in itertools.product(TRUTHS, repeat=3):
            if row[strict] is not None:
                check(expr, row)


@pytest.mark.parametrize("name", FORMS)
def test_slots_outer_columns_and_constants_count_as_columns_do(name: str) -> None:
    with_slots = _replaced(FORMS[name], lambda column: Slot(column, BOOLEAN) if column else A)
    with_outer = _replaced(FORMS[name], lambda column: OuterRef(column, BOOLEAN))
    for row in itertools.product(TRUTHS, repeat=3):
        check(with_slots, row, slots=row)
        check(with_outer, row, outer=dict(enumerate(row)))
        check(_replaced(FORMS[name], functools.partial(_constant_of, row)), row)


@pytest.mark.parametrize("held", [(), (True,), (False, True), (None,), (None, True)])
def test_in_an_array_is_unknown_only_if_a_null_could_decide(held: tuple[object, ...]) -> None:
    slots: tuple[Array, ...] = (array(list(held)),)
    for operand in (A, And((A, B)), condition(2, nullable=False)):
        expr = InArray(operand, Slot(0, BOOLEAN))
        for row in itertools.product(TRUTHS, TRUTHS, (True, False)):
            check(expr, row, slots=slots)


@pytest.mark.parametrize("escape", [None, Const("!", TEXT), Const(None, TEXT), Slot(1, TEXT)])
@pytest.mark.parametrize("pattern", [Const("a%", TEXT), Const(None, TEXT), Slot(0, TEXT), Slot(2, TEXT)])
def test_like_is_unknown_when_any_part_is(pattern: Expr, escape: Expr | None) -> None:
    for text in ("abc", "b", None):
        row = (True, text)
        slots = ("%b", "!", None)
        expr = Like(ColumnRef(1, TEXT), pattern, escape)
        (expected,) = sqlite_values([expr], row, slots)
        given = bindings(*slots)
        assert as_sqlite(scalar(expr, LAYOUT)(row, given)) == expected
        assert predicate(expr, LAYOUT)([row], given) == ([row] if expected else [])
        assert predicate(Not(expr), LAYOUT)([row], given) == ([row] if expected == 0 else [])


def test_the_opinion_is_of_a_sqlite_that_knows_what_is_asked() -> None:
    assert sqlite3.sqlite_version_info >= (3, 35)
