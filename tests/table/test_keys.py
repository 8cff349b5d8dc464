"""The key layout: what lies where, and ranges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rome.errors import DataError
from rome.table.keycode import encode
from rome.table.keys import MAX_INDEXED_BYTES, NO_BOUND, Keys, check_size, range_of, range_starting
from rome.table.schema import Index
from tests.table.workbench import draft

KEYS = Keys("glance")
TABLE = replace(draft("images", "id str!, name str, size int", "id"), id=7)
PLAIN = Index(4, "ix", (2,))
UNIQUE = Index(5, "uq", (2, 3), unique=True)


def test_everything_of_a_namespace_lies_under_its_prefix_and_no_other_does() -> None:
    mine = [
        KEYS.catalog_version,
        KEYS.catalog_counter,
        KEYS.catalog_range[0],
        KEYS.table_cell(7),
        KEYS.row_key(TABLE, ("a",)),
        KEYS.index_key(TABLE, PLAIN, ("a", "b", 1)),
        KEYS.sequence_key(TABLE),
        KEYS.row_number_key(TABLE),
    ]
    assert len(set(mine)) == len(mine)
    assert all(key.startswith(KEYS.namespace_prefix) for key in mine)
    others = [Keys(name).namespace_prefix for name in ("glanc", "glance2", "glance\x00", "")]
    assert not any(key.startswith(other) for key in mine for other in others)


def test_only_table_descriptions_lie_in_the_catalogue_range() -> None:
    start, stop = KEYS.catalog_range
    assert start <= KEYS.table_cell(1) < KEYS.table_cell(1 << 40) < stop
    assert not any(start <= key < stop for key in (KEYS.catalog_version, KEYS.row_key(TABLE, ("a",))))


def test_counters_lie_under_the_table_but_not_among_its_rows_and_entries() -> None:
    for counter in (KEYS.sequence_key(TABLE), KEYS.row_number_key(TABLE)):
        assert counter.startswith(KEYS.table_prefix(TABLE))
        assert not counter.startswith(KEYS.row_prefix(TABLE))


def test_an_entry_of_a_plain_index_ends_with_the_primary_key() -> None:
    assert KEYS.index_key(TABLE, PLAIN, ("a", "b", 1)) == KEYS.index_prefix(TABLE, PLAIN) + encode(("b", "a"))


def test_an_entry_of_a_unique_index_ends_with_the_primary_key_only_beside_a_null() -> None:
    prefix = KEYS.index_prefix(TABLE, UNIQUE)
    assert KEYS.index_key(TABLE, UNIQUE, ("a", "b", 1)) == prefix + encode(("b", 1))
    assert KEYS.unique_key(TABLE, UNIQUE, ("b", 1)) == prefix + encode(("b", 1))
    assert KEYS.index_key(TABLE, UNIQUE, ("a", None, 1)) == prefix + encode((None, 1, "a"))


def test_a_table_without_primary_key_is_keyed_by_the_number_behind_its_columns() -> None:
    table = replace(TABLE, primary_key=())
    assert KEYS.primary_values(table, ("a", "b", 1, 99)) == [99]
    assert KEYS.index_key(table, PLAIN, ("a", "b", 1, 99)) == KEYS.index_prefix(table, PLAIN) + encode(("b", 99))


VALUE = st.none() | st.integers(-3, 3)


@given(
    VALUE,
    VALUE | st.just(NO_BOUND),
    st.booleans(),
    VALUE | st.just(NO_BOUND),
    st.booleans(),
    st.lists(st.tuples(VALUE, VALUE, VALUE)),
)
def test_a_range_holds_exactly_the_keys_between_its_bounds(
    equal: Any, low: Any, low_inclusive: bool, high: Any, high_inclusive: bool, stored: list[Any]
) -> None:
    def rank(value: int | None) -> float:
        return float("-inf") if value is None else value

    def inside(key: tuple[int | None, ...]) -> bool:
        value = rank(key[1])
        above = low is NO_BOUND or value > rank(low) or (low_inclusive and value == rank(low))
        below = high is NO_BOUND or value < rank(high) or (high_inclusive and value == rank(high))
        return key[0] == equal and above and below

    start, stop = range_of(b"p", (equal,), low, low_inclusive, high, high_inclusive)
    for key in stored:
        assert (start <= b"p" + encode(key) < stop) == inside(key)


@given(st.text("ab\x00\x01"), st.lists(st.text("ab\x00\x01")))
def test_a_range_of_strings_that_start_alike(start: str, stored: list[str]) -> None:
    low, high = range_starting(b"p", (1,), start)
    for text in stored:
        assert (low <= b"p" + encode((1, text, 5)) < high) == text.startswith(start)


def test_bounds_that_cross_leave_nothing() -> None:
    start, stop = range_of(b"p", (), 5, True, 3, True)
    assert start >= stop


def test_sizes_are_counted_in_utf8_bytes_over_all_columns() -> None:
    check_size("the index ix", ["é" * (MAX_INDEXED_BYTES // 2), 12])
    with pytest.raises(DataError, match=r"^\[22001\] the values of the index ix hold 3073 bytes.*at most 3072"):
        check_size("the index ix", ["é" * (MAX_INDEXED_BYTES // 2), b"x"])
