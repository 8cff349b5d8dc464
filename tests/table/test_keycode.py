"""The key codec: order, round trip, prefixes."""

from __future__ import annotations

import enum
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cmp_to_key
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rome.errors import DataError, InternalError
from rome.table.keycode import after, decode, encode

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False) | st.decimals(-100, 100, places=3)
FAMILIES: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers() | st.integers(-300, 300) | st.booleans() | st.integers(-(1 << 64), 1 << 64),
    "float": st.floats(allow_nan=False),
    "decimal": DECIMALS,
    "string": st.text() | st.text("\x00\x01\x02a\u00e9\U0001f600"),
    "bytes": st.binary() | st.binary(max_size=4).map(lambda data: data.replace(b"a", b"\x00\x01")),
    "datetime": st.datetimes(),
    "date": st.dates(),
    "time": st.times(),
    "interval": st.timedeltas(),
    "uuid": st.uuids(),
}


def compare(one: tuple[Any, ...], two: tuple[Any, ...]) -> int:
    """The order of SQL, NULL first, with a shorter tuple before its continuations."""
    for left, right in zip(one, two, strict=False):
        if left is None or right is None:
            if left is not right:
                return -1 if left is None else 1
        elif left != right:
            return -1 if left < right else 1
    return len(one) - len(two)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


@given(st.data())
def test_keys_sort_as_their_tuples_do(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, max_size=3))
    tuples = st.tuples(*(st.none() | FAMILIES[family] for family in shape))
    some = data.draw(st.lists(tuples, min_size=2, max_size=6))
    assert sorted(some, key=encode) == sorted(some, key=cmp_to_key(compare))
    for one in some:
        for two in some:
            byte_order = (encode(one) > encode(two)) - (encode(one) < encode(two))
            assert byte_order == sign(compare(one, two))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_near_values_of_each_family_sort_in_order(family: str) -> None:
    @given(FAMILIES[family], FAMILIES[family])
    def check(one: Any, two: Any) -> None:
        assert (encode((one,)) < encode((two,))) == (one < two)
        assert (encode((one,)) == encode((two,))) == (one == two)

    check()


@given(st.lists(st.none() | st.one_of(*FAMILIES.values())))
def test_every_tuple_comes_back(values: list[Any]) -> None:
    assert decode(encode(values)) == tuple(values)


@given(st.one_of(*FAMILIES.values()), st.one_of(*FAMILIES.values()))
def test_no_encoding_begins_another(one: Any, two: Any) -> None:
    left, right = encode((one,)), encode((two,))
    assert left == right or not right.startswith(left)


@given(st.binary().filter(lambda data: data.strip(b"\xff") != b""), st.binary(), st.binary())
def test_after_lies_behind_everything_with_the_prefix_and_before_everything_else(
    prefix: bytes, more: bytes, other: bytes
) -> None:
    assert prefix + more < after(prefix)
    assert (other < after(prefix)) == (other < prefix or other.startswith(prefix))


def test_nothing_lies_after_a_prefix_of_ff() -> None:
    with pytest.raises(InternalError, match="0xFF"):
        after(b"\xff\xff")


def test_equal_numbers_have_equal_keys() -> None:
    assert encode((Decimal("1.0"),)) == encode((Decimal("1.00"),)) == encode((Decimal(1),))
    assert encode((0.0,)) == encode((-0.0,))
    assert encode((Decimal("-0.00"),)) == encode((Decimal(0),))
    assert encode((True,)) == encode((1,))


class Level(enum.IntEnum):
    HIGH = 7


class Name(str):
    pass


def test_a_derived_class_is_encoded_as_what_it_is_derived_from() -> None:
    assert encode((Level.HIGH, Name("a"))) == encode((7, "a"))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "NaN"),
        (Decimal("NaN"), "NaN"),
        (Decimal("Infinity"), "Infinity"),
        ("\ud800", "surrogate"),
        (datetime(2026, 1, 1, tzinfo=UTC), "time zone"),
        (time(1, tzinfo=UTC), "time zone"),
        (1 << 3000, "bits"),
        (-(1 << 3000), "bits"),
    ],
)
def test_a_value_without_a_place_in_the_order_is_refused(value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        encode((value,))


def test_a_value_that_no_type_has_is_a_defect() -> None:
    with pytest.raises(InternalError, match="list"):
        encode(([],))


@pytest.mark.parametrize(
    "data", [b"\x00", b"\xff", b"\x16\x01", b"\x07abc", b"\x21\x00", b"\x30" + b"\xff" * 8, b"\x1d"]
)
def test_bytes_that_are_no_key_are_refused(data: bytes) -> None:
    with pytest.raises(InternalError, match="not a key"):
        decode(data)
