"""Rows as bytes: two bytes of layout number, then the values as one MessagePack array.

A row keeps the layout it was written in. `decoder` gives it in the column order of today whatever that layout was:
columns added since take their `missing` value, columns dropped since are skipped. ALTER TABLE ADD and DROP COLUMN
therefore write no row. docs/keys.md has the format with vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec

from rome.errors import InternalError
from rome.table.schema import Table
from rome.values import Kind, SqlType

Row = tuple[Any, ...]

MAX_LAYOUT = 0xFFFF

MAX_ROW_BYTES = 16 << 20
"""How many bytes one stored row takes at most; a store may take less (its traits say)."""

_PYTHON_TYPES: dict[Kind, type] = {
    Kind.BOOLEAN: bool,
    Kind.INTEGER: int,
    Kind.FLOAT: float,
    Kind.DECIMAL: Decimal,
    Kind.STRING: str,
    Kind.BYTES: bytes,
    Kind.DATETIME: datetime,
    Kind.DATE: date,
    Kind.TIME: time,
    Kind.INTERVAL: timedelta,
    Kind.JSON: str,
    Kind.UUID: UUID,
}

_encode_values = msgspec.msgpack.Encoder(uuid_format="bytes").encode


def _stored_as(sql_type: SqlType) -> Any:
    """What msgspec is to expect of a column."""
    return int | str | None if sql_type.flexible else _PYTHON_TYPES[sql_type.kind] | None


def encode_value(value: object) -> bytes:
    """One value as it stands in a row."""
    return _encode_values(value)


def decode_value(data: bytes, kind: Kind) -> object:
    """The value of a column of `kind` behind `encode_value`'s bytes."""
    return msgspec.msgpack.decode(data, type=_PYTHON_TYPES[kind] | None)


def layout_bytes(table: Table) -> bytes:
    """What rows of today's layout begin with: they hold the values of all columns."""
    return table.layout.to_bytes(2, "big")


def encoder(table: Table) -> Callable[[Row], bytes]:
    """Rows of `table`, in column order, as bytes in today's layout; made once for each Table.

    The values must be of the columns' Python classes already (see `convert`).
    """
    found: Callable[[Row], bytes] | None = table.__dict__.get("_row_encoder")
    if found is None:
        found = table.__dict__["_row_encoder"] = _make_encoder(table)
    return found


def decoder(table: Table) -> Callable[[bytes], Row]:
    """Bytes of any layout as a row in the column order of today; made once for each Table.

    It raises InternalError for bytes that no layout of the table explains.
    """
    found: Callable[[bytes], Row] | None = table.__dict__.get("_row_decoder")
    if found is None:
        found = table.__dict__["_row_decoder"] = _make_decoder(table)
    return found


def batch_decoder(table: Table) -> Callable[[Iterable[bytes]], list[Row]]:
    """As `decoder`, for many rows at a time; made once for each Table."""
    found: Callable[[Iterable[bytes]], list[Row]] | None = table.__dict__.get("_row_batch_decoder")
    if found is None:
        found = table.__dict__["_row_batch_decoder"] = _make_batch_decoder(table)
    return found


def _make_encoder(table: Table) -> Callable[[Row], bytes]:
    prefix = layout_bytes(table)
    layout = table.layouts[table.layout]
    if layout != tuple(column.id for column in table.columns):
        raise InternalError(f"the layout {table.layout} of table {table.name} is not its column order")

    def encode(row: Row) -> bytes:
        return prefix + _encode_values(row)

    return encode


def _make_decoder(table: Table) -> Callable[[bytes], Row]:
    current = layout_bytes(table)
    decode_current: Callable[[bytes], Row] = msgspec.msgpack.Decoder(_tuple_type(table)).decode
    older: dict[bytes, Callable[[bytes], Row]] = {}

    def decode(data: bytes) -> Row:
        try:
            if data[:2] == current:
                return decode_current(data[2:])
            layout = data[:2]
            read = older.get(layout)
            if read is None:
                read = older[layout] = _older_decoder(table, int.from_bytes(layout, "big"))
            return read(data[2:])
        except msgspec.MsgspecError as error:
            raise InternalError(f"a row of table {table.name} does not have its types: {error}") from error

    return decode


def _make_batch_decoder(table: Table) -> Callable[[Iterable[bytes]], list[Row]]:
    current = layout_bytes(table)
    decode_current: Callable[[bytes], Row] = msgspec.msgpack.Decoder(_tuple_type(table)).decode
    decode = decoder(table)

    def decode_all(rows: Iterable[bytes]) -> list[Row]:
        try:
            return [decode_current(data[2:]) if data[:2] == current else decode(data) for data in rows]
        except msgspec.MsgspecError as error:
            raise InternalError(f"a row of table {table.name} does not have its types: {error}") from error

    return decode_all


def _tuple_type(table: Table) -> Any:
    if not table.columns:
        return tuple[()]
    return tuple.__class_getitem__(tuple(_stored_as(column.type) for column in table.columns))


def _older_decoder(table: Table, layout: int) -> Callable[[bytes], Row]:
    """A decoder of rows written in an earlier layout."""
    ids = table.layouts.get(layout)
    if ids is None:
        raise InternalError(f"table {table.name} has no layout {layout}")
    types: list[Any] = []
    for column_id in ids:
        place = table.position.get(column_id)
        # A dropped column: its value is skipped, whatever its type was.
        types.append(msgspec.Raw if place is None else _stored_as(table.columns[place].type))
    written = msgspec.msgpack.Decoder(tuple.__class_getitem__(tuple(types))).decode
    place_in_layout = {column_id: place for place, column_id in enumerate(ids)}
    missing = tuple(column.missing for column in table.columns)
    places = [place_in_layout.get(column.id, len(ids) + at) for at, column in enumerate(table.columns)]
    if len(places) == 1:
        only = places[0]
        return lambda data: ((written(data) + missing)[only],)
    rearrange: Callable[[Row], Row] = itemgetter(*places)

    def decode(data: bytes) -> Row:
        return rearrange(written(data) + missing)

    return decode


def key_family(kind: Kind) -> type:
    """What `kind` is in a key: kinds of one family encode equal values equally, so they can reference each other."""
    return int if kind is Kind.BOOLEAN else _PYTHON_TYPES[kind]
