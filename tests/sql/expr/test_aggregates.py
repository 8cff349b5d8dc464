"""The aggregate functions."""

from __future__ import annotations

import random
import sqlite3
from datetime import timedelta
from decimal import Decimal

import pytest

from rome.errors import DataError, TypeMismatch, UndefinedFunction
from rome.sql.aggregates import AGGREGATES, distinct, lookup_aggregate
from rome.values import BIGINT, BLOB, BOOLEAN, DECIMAL, FLOAT, INTEGER, INTERVAL, NULL, TEXT, SqlType


@pytest.mark.parametrize(
    ("name", "items", "expected"),
    [
        ("count", [5, 5], 2),
        ("sum", [1, 2], 3),
        ("sum", [True, True], 2),
        ("sum", [0.1] * 10, 1.0),
        ("sum", [Decimal("0.1")] * 3, Decimal("0.3")),
        ("sum", [Decimal("1e40"), Decimal("1e-10")], Decimal("10000000000000000000000000000000000000000.0000000001")),
        ("sum", [timedelta(1), timedelta(2)], timedelta(3)),
        ("total", [1, 2], 3.0),
        ("avg", [1, 2], 1.5),
        ("avg", [2**62, 2**62, 2**62], float(2**62)),
        ("avg", [Decimal(1), Decimal(2), Decimal(2)], Decimal("1.6666666666666666666666666666666666667")),
        ("avg", [1.0, 2.0], 1.5),
        ("avg", [timedelta(1), timedelta(2)], timedelta(1.5)),
        ("min", ["b", "B", "a"], "B"),
        ("max", [b"a", b"\xff"], b"\xff"),
        ("group_concat", ["a", "b"], "a,b"),
        ("group_concat", [1, 2], "1,2"),
        ("every", [True, False], False),
        ("bool_and", [True, True], True),
        ("bool_or", [False, True], True),
        ("bool_or", [False], False),
    ],
)
def test_golden(name: str, items: list[object], expected: object) -> None:
    found = AGGREGATES[name].compute(items)
    assert (found, type(found)) == (expected, type(expected))


def test_of_no_values_all_but_the_counts_and_json_are_null() -> None:
    empty = {name: function.compute([]) for name, function in AGGREGATES.items()}
    assert {name: value for name, value in empty.items() if value is not None} == {
        "count": 0,
        "total": 0.0,
        "json_group_array": "[]",
        "json_group_object": "{}",
    }
    assert isinstance(empty["total"], float)


def test_a_separator_stands_between_texts() -> None:
    assert AGGREGATES["string_agg"].compute(["a", "b"], "; ") == "a; b"
    assert AGGREGATES["group_concat"].compute(["a", "b"], None) == "ab"


def test_a_sum_of_integers_stays_within_64_bits_and_a_mean_need_not() -> None:
    with pytest.raises(DataError, match=r"^\[22003\]"):
        AGGREGATES["sum"].compute([2**63 - 1, 1])
    assert AGGREGATES["sum"].compute([2**63 - 1, 1, -1]) == 2**63 - 1
    assert AGGREGATES["avg"].compute([2**63 - 1, 2**63 - 1]) == float(2**63)
    with pytest.raises(DataError, match=r"^\[22003\]"):
        AGGREGATES["sum"].compute([1.7e308, 1.7e308])


def test_a_sum_of_floats_does_not_depend_on_the_order_of_the_rows() -> None:
    numbers = [1e16, 1.0, -1e16, 0.1, 3e-9] * 20
    shuffled = numbers[:]
    random.Random(7).shuffle(shuffled)
    assert AGGREGATES["sum"].compute(numbers) == AGGREGATES["sum"].compute(shuffled)


def test_distinct_keeps_the_first_of_equal_values() -> None:
    assert distinct(["b", "a", "b"]) == ["b", "a"]


@pytest.mark.parametrize("items", [[], [3], [1, 2, 2, -7], [2**40, 5]])
@pytest.mark.parametrize("name", ["count", "sum", "total", "avg", "min", "max", "group_concat"])
def test_integers_give_what_sqlite_gives(name: str, items: list[int]) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (v INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?)", [(item,) for item in [*items, None]])
    (expected,) = connection.execute(f"SELECT {name}(v) FROM t").fetchone()
    (expected_distinct,) = connection.execute(f"SELECT {name}(DISTINCT v) FROM t").fetchone()
    connection.close()
    compute = lookup_aggregate(name).compute
    assert (compute(items), compute(distinct(items))) == (expected, expected_distinct)


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        ("count", TEXT, BIGINT),
        ("sum", INTEGER, BIGINT),
        ("sum", BOOLEAN, BIGINT),
        ("sum", DECIMAL, DECIMAL),
        ("sum", INTERVAL, INTERVAL),
        ("avg", INTEGER, FLOAT),
        ("avg", DECIMAL, DECIMAL),
        ("total", INTEGER, FLOAT),
        ("min", TEXT, TEXT),
        ("group_concat", INTEGER, TEXT),
        ("every", BOOLEAN, BOOLEAN),
    ],
)
def test_the_type_of_an_aggregate(name: str, type_: SqlType, expected: SqlType) -> None:
    assert lookup_aggregate(name.upper()).result([type_]) == expected


def test_arguments_that_an_aggregate_cannot_take_are_refused() -> None:
    with pytest.raises(TypeMismatch, match=r"sum\(\) takes numbers or intervals, not TEXT"):
        lookup_aggregate("sum").result([TEXT])
    with pytest.raises(TypeMismatch, match=r"separator of string_agg\(\) must be a string"):
        lookup_aggregate("string_agg").result([TEXT, BIGINT])
    with pytest.raises(TypeMismatch, match=r"group_concat\(\) takes values that have a text, not BLOB"):
        lookup_aggregate("group_concat").result([BLOB])
    with pytest.raises(UndefinedFunction, match=r"string_agg\(\) takes 2 arguments, not 1"):
        lookup_aggregate("string_agg").result([TEXT])
    with pytest.raises(UndefinedFunction, match=r"sum\(\) takes 1 argument, not 0"):
        lookup_aggregate("sum").result([])
    with pytest.raises(UndefinedFunction, match=r"did you mean max\(\)"):
        lookup_aggregate("maxx")
    assert lookup_aggregate("count").result([]) == BIGINT
    assert lookup_aggregate("min").result([NULL]) == NULL
