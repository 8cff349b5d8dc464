"""The parameters of a statement, as what stands around them needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from rome.errors import DataError, ProgrammingError
from rome.sql.bound import Array, array
from rome.sql.coerce import coerce_value, type_of_value, untyped
from rome.sql.literals import checked_integer
from rome.sql.plan import SlotSource
from rome.values import NUMERIC_KINDS, TEXT, Kind, SqlType

_NUMBERS = (int, float, Decimal)

Parameters = Mapping[str, object]


def value_of(source: SlotSource, parameters: Parameters) -> object:
    """The value of a slot that a parameter fills, converted to what its context needs; the others come later."""
    if source.name is None:
        return None
    try:
        value = parameters[source.name]
    except KeyError:
        what = source.name.removeprefix("?")
        message = f"parameter {what} is missing" if source.name[0] == "?" else f'parameter ":{what}" is missing'
        raise ProgrammingError(message, sqlstate="07002") from None
    if source.array:
        return _array(source, value)
    type_ = source.column.type
    return untyped(value) if type_.kind is Kind.NULL else _converted(value, type_)


def _array(source: SlotSource, value: object) -> Array:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        message = f'parameter ":{source.name}" must be a list: it stands in IN UNNEST(…)'
        raise ProgrammingError(message, sqlstate="07006")
    return array([_converted(item, source.column.type) for item in value])


def _converted(value: object, type_: SqlType) -> object:
    kind = type_.kind
    if kind is Kind.NULL:
        return untyped(value)
    if kind is Kind.INTEGER and type(value) is int:
        return checked_integer(value)
    if kind is Kind.DECIMAL and type(value) is int:
        return coerce_value(Decimal(value), type_)  # it may have more than 64 bits
    if kind in NUMERIC_KINDS and isinstance(value, _NUMBERS) and not _is_inexact(value, kind):
        return coerce_value(value, type_of_value(value))  # any number may be compared with any other
    if type_.flexible and isinstance(value, str):
        return _flexible(value, type_)
    return coerce_value(value, type_)


def _flexible(value: str, type_: SqlType) -> object:
    """A string beside an INTEGER that may hold strings: the number that it means, else itself."""
    try:
        return coerce_value(value, type_)
    except DataError:
        return coerce_value(value, TEXT)


def _is_inexact(value: object, kind: Kind) -> bool:
    """Whether a number must first become one of `kind`: 0.1 as a float is not the NUMERIC 0.1."""
    return (kind is Kind.DECIMAL and isinstance(value, float)) or (kind is Kind.FLOAT and isinstance(value, Decimal))
