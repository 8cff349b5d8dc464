"""Operands: the types of literals and parameters, and what two of them are beside each other."""

from __future__ import annotations

from decimal import Decimal

from rome.errors import TypeMismatch
from rome.sql import syntax
from rome.sql.bound import Cast, Compare, Const, Expr
from rome.sql.coerce import coerce_value, comparable
from rome.values import BIGINT, BOOLEAN, NULL, NUMERIC_KINDS, TEXT, Kind, SqlType

_LOWERED = frozenset({(Kind.DECIMAL, Kind.FLOAT), (Kind.DATE, Kind.DATETIME)})
_LITERAL_TYPES: dict[type, SqlType] = {
    bool: BOOLEAN,
    int: BIGINT,
    float: SqlType(Kind.FLOAT, "FLOAT"),
    Decimal: SqlType(Kind.DECIMAL, "NUMERIC"),
    str: TEXT,
    bytes: SqlType(Kind.BYTES, "BLOB"),
}


def constant(value: object, expected: SqlType | None) -> Const:
    """A literal, converted to the kind that its context expects."""
    if value is None:
        return Const(None, expected or NULL)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        value = Decimal(value)
    own = _LITERAL_TYPES[type(value)]
    if expected is None or expected.kind in (own.kind, Kind.NULL) or {own.kind, expected.kind} <= NUMERIC_KINDS:
        return Const(value, own)
    if own.kind is not Kind.STRING or expected.kind in NUMERIC_KINDS:
        return Const(value, own)  # the comparison around it judges whether the types go together
    return Const(coerce_value(value, expected), expected)


def compare(op: str, left: Expr, right: Expr) -> Compare:
    """A comparison, its types checked."""
    if not comparable(left.type, right.type):
        raise TypeMismatch(f"{left.type} is compared with {right.type}; write CAST where that is meant")
    return Compare(op, beside(left, right.type), beside(right, left.type))


def beside(operand: Expr, other: SqlType) -> Expr:
    """`operand` as it is compared with a value of type `other`: both as one kind where Python's equality differs.

    NUMERIC beside FLOAT becomes a float, as SQL servers have it; DATE beside DATETIME becomes its midnight.
    """
    return Cast(operand, other) if (operand.type.kind, other.kind) in _LOWERED else operand


def context_of(type_: SqlType) -> SqlType:
    """The type that `type_` gives to a parameter beside it: any length, any number for a number."""
    if type_.kind in NUMERIC_KINDS or type_.length is not None:
        return SqlType(type_.kind, type_.name, flexible=type_.flexible)
    return type_


def is_untyped(node: syntax.Expression) -> bool:
    return isinstance(node, syntax.Parameter) or (
        isinstance(node, syntax.Literal) and (node.value is None or isinstance(node.value, str))
    )
