"""Rows as bytes, in today's layout and in older ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rome.errors import InternalError
from rome.table.rowcode import decoder, encoder
from rome.table.schema import Column, Table
from rome.values import Kind, SqlType

VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.BOOLEAN: st.booleans(),
    Kind.INTEGER: st.integers(-(1 << 63), (1 << 63) - 1),
    Kind.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    Kind.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False),
    Kind.STRING: st.text(),
    Kind.BYTES: st.binary(),
    Kind.DATETIME: st.datetimes().map(lambda moment: moment.replace(fold=0)),
    Kind.DATE: st.dates(),
    Kind.TIME: st.times().map(lambda clock: clock.replace(fold=0)),  # no zone, so no fold
    Kind.INTERVAL: st.timedeltas(),
    Kind.JSON: st.sampled_from(['{"a": 1}', "null"]),
    Kind.UUID: st.uuids(),
}


def table_of(*columns: Column, layouts: dict[int, tuple[int, ...]] | None = None) -> Table:
    layouts = layouts or {1: tuple(column.id for column in columns)}
    return Table(1, "t", columns, layout=max(layouts), layouts=layouts)


EVERY_KIND = table_of(*(Column(at, kind, SqlType(kind, kind.upper())) for at, kind in enumerate(VALUES, 1)))


@given(st.tuples(*(st.none() | strategy for strategy in VALUES.values())))
def test_a_row_comes_back_exactly(row: tuple[Any, ...]) -> None:
    back = decoder(EVERY_KIND)(encoder(EVERY_KIND)(row))
    assert [(type(value), repr(value)) for value in back] == [(type(value), repr(value)) for value in row]


def column(column_id: int, kind: Kind = Kind.STRING, missing: object = None) -> Column:
    return Column(column_id, f"c{column_id}", SqlType(kind, "X"), missing=missing)


def test_an_added_column_takes_its_missing_value_in_rows_written_before() -> None:
    before = table_of(column(1))
    after = table_of(column(1), column(2, missing="new"), column(3), layouts={1: (1,), 2: (1, 2), 3: (1, 2, 3)})
    assert decoder(after)(encoder(before)(("old",))) == ("old", "new", None)


def test_a_dropped_column_is_skipped_whatever_it_held() -> None:
    before = table_of(column(1), column(2, Kind.UUID), column(3, Kind.INTEGER))
    after = table_of(column(1), column(3, Kind.INTEGER), layouts={1: (1, 2, 3), 2: (1, 3)})
    assert decoder(after)(encoder(before)(("a", None, 7))) == ("a", 7)
    only = replace(after, columns=(column(3, Kind.INTEGER),), layout=3, layouts={**after.layouts, 3: (3,)})
    assert decoder(only)(encoder(before)(("a", None, 7))) == (7,)


def test_layouts_beyond_one_byte_are_told_apart() -> None:
    table = table_of(column(1), layouts={5: (1, 2), 0x0105: (1,)})
    assert decoder(table)(encoder(table)(("x",))) == ("x",)
    assert decoder(table)(b"\x00\x05\x92\xa1y\xc0") == ("y",)


def test_the_codec_is_made_once_for_a_table() -> None:
    assert decoder(EVERY_KIND) is decoder(EVERY_KIND)
    assert encoder(EVERY_KIND) is encoder(EVERY_KIND)


@pytest.mark.parametrize(
    "data", [b"", b"\x00\x01", b"\x00\x01\x91\x05", b"\x00\x01\x92\xa1a\xa1b", b"\x00\x09\x91\xa1a"]
)
def test_bytes_that_are_no_row_of_the_table_are_refused(data: bytes) -> None:
    with pytest.raises(InternalError, match="table t"):
        decoder(table_of(column(1)))(data)


def test_a_table_whose_layout_is_not_its_column_order_is_refused() -> None:
    with pytest.raises(InternalError, match="layout 1"):
        encoder(table_of(column(2), column(1), layouts={1: (1, 2)}))
