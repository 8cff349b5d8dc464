"""The aggregate functions of SQL: each computes one value from the list of a group's non-NULL values.

SUM of integers is an integer within 64 bits, or DataError 22003; AVG of integers is a FLOAT, as in SQLite (PostgreSQL
and MySQL give a decimal); both are exact for DECIMAL. A sum of floats does not depend on the order of the rows. Of no
values every aggregate but count and total is NULL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from rome import values
from rome.errors import TypeMismatch, UndefinedFunction
from rome.sql import literals
from rome.sql.arithmetic import EXACT, QUOTIENT
from rome.sql.bound import Call, Expr
from rome.sql.functions import lookup, undefined_function
from rome.values import NUMERIC_KINDS, Kind, SqlType


@dataclass(frozen=True, slots=True)
class AggregateFunction:
    """One aggregate function.

    compute   from the list of the first argument's non-NULL values in the group (for count(*): of any values, one a
              row) and, for group_concat and string_agg, the second argument's value, to the result
    maximum   how many arguments it takes; at least one, except count, which takes * as well
    of        the scalar function whose values, of the arguments, it is computed from, when it is not the arguments
    """

    name: str
    returns: Callable[[SqlType], SqlType]
    compute: Callable[..., Any]
    doc: str
    kinds: frozenset[Kind]
    what: str
    minimum: int = 1
    maximum: int = 1
    of: str = ""

    def result(self, types: Sequence[SqlType]) -> SqlType:
        """The type of the aggregate over arguments of `types`; () for count(*).

        Raises TypeMismatch or UndefinedFunction when it takes no such arguments.
        """
        if not types and self.name == "count":
            return values.BIGINT
        self.check_count(len(types))
        if types[0].kind is not Kind.NULL and types[0].kind not in self.kinds:
            raise TypeMismatch(f"{self.name}() takes {self.what}, not {types[0]}: CAST it")
        if self.of:
            return lookup(self.of).result(types)
        if len(types) > 1 and types[1].kind not in (Kind.STRING, Kind.NULL):
            raise TypeMismatch(f"the separator of {self.name}() must be a string, not {types[1]}")
        return self.returns(types[0])

    def computed_from(self, arguments: tuple[Expr, ...]) -> tuple[Expr, ...]:
        """What each row gives the aggregate, of its bound arguments."""
        if not self.of:
            return arguments
        return (Call(self.of, arguments, lookup(self.of).result([argument.type for argument in arguments])),)

    def check_count(self, count: int) -> None:
        """Raise UndefinedFunction unless the aggregate takes `count` arguments."""
        if not self.minimum <= count <= self.maximum:
            counts = " or ".join(map(str, range(self.minimum, self.maximum + 1)))
            noun = "argument" if counts == "1" else "arguments"
            raise UndefinedFunction(f"{self.name}() takes {counts} {noun}, not {count}")


def lookup_aggregate(name: str) -> AggregateFunction:
    """The aggregate called `name`, in any case; UndefinedFunction with the names it is like."""
    found = AGGREGATES.get(name.lower())
    if found is None:
        raise undefined_function(name, AGGREGATES)
    return found


def distinct(items: list[Any]) -> list[Any]:
    """`items` without repetitions, in their order: what a DISTINCT aggregate computes from."""
    return list(dict.fromkeys(items))


def _sum(items: list[Any]) -> Any:
    if not items:
        return None
    first = items[0]
    if isinstance(first, int):
        return literals.checked_integer(sum(items))
    if isinstance(first, Decimal):
        return _decimal_sum(items)
    if isinstance(first, timedelta):
        return sum(items, timedelta())
    return _float_sum(items)


def _float_sum(items: list[float]) -> float:
    try:
        return literals.checked_float(math.fsum(items))
    except OverflowError:
        raise literals.out_of_range("sum()", "a floating-point number") from None


def _decimal_sum(items: list[Decimal]) -> Decimal:
    total = Decimal()
    for item in items:
        total = EXACT.add(total, item)
    return literals.checked_decimal(total)


def _average(items: list[Any]) -> Any:
    if not items:
        return None
    first = items[0]
    if isinstance(first, int):
        return sum(items) / len(items)
    if isinstance(first, Decimal):
        return QUOTIENT.divide(_decimal_sum(items), len(items))
    if isinstance(first, timedelta):
        return sum(items, timedelta()) / len(items)
    return _float_sum(items) / len(items)


def _total(items: list[Any]) -> float:
    return _float_sum([float(item) for item in items])


def _joined(items: list[Any], separator: str | None = ",") -> str | None:
    return (separator or "").join(map(literals.write, items)) if items else None


def _json_array(items: list[str]) -> str:
    return f"[{','.join(items)}]"


def _json_object(items: list[str]) -> str:
    return "{" + ",".join(item[1:-1] for item in items) + "}"


def _all(items: list[Any]) -> bool | None:
    return all(items) if items else None


def _any(items: list[Any]) -> bool | None:
    return any(items) if items else None


def _least(items: list[Any]) -> Any:
    return min(items, default=None)


def _greatest(items: list[Any]) -> Any:
    return max(items, default=None)


def _sum_type(type_: SqlType) -> SqlType:
    return {Kind.FLOAT: values.FLOAT, Kind.DECIMAL: values.DECIMAL, Kind.INTERVAL: values.INTERVAL}.get(
        type_.kind, values.BIGINT
    )


def _average_type(type_: SqlType) -> SqlType:
    return {Kind.DECIMAL: values.DECIMAL, Kind.INTERVAL: values.INTERVAL}.get(type_.kind, values.FLOAT)


def _own_type(type_: SqlType) -> SqlType:
    return type_


_ANY = frozenset(Kind)
_ADDABLE = NUMERIC_KINDS | {Kind.INTERVAL}
_TRUTHS = frozenset({Kind.BOOLEAN})
_WRITABLE = _ANY - {Kind.BYTES}

AGGREGATES: dict[str, AggregateFunction] = {
    function.name: function
    for function in (
        AggregateFunction("count", lambda type_: values.BIGINT, len, "How many are not NULL; count(*): how many rows.",
                          _ANY, "anything"),
        AggregateFunction("sum", _sum_type, _sum, "The sum.", _ADDABLE, "numbers or intervals"),
        AggregateFunction("total", lambda type_: values.FLOAT, _total, "The sum as a FLOAT; 0.0 of no values.",
                          NUMERIC_KINDS, "numbers"),
        AggregateFunction("avg", _average_type, _average, "The mean.", _ADDABLE, "numbers or intervals"),
        AggregateFunction("min", _own_type, _least, "The least.", _ANY, "anything"),
        AggregateFunction("max", _own_type, _greatest, "The greatest.", _ANY, "anything"),
        AggregateFunction("group_concat", lambda type_: values.TEXT, _joined,
                          "The texts of all, with the second argument, or a comma, between them.",
                          _WRITABLE, "values that have a text", maximum=2),
        AggregateFunction("string_agg", lambda type_: values.TEXT, _joined, "As group_concat.",
                          _WRITABLE, "values that have a text", minimum=2, maximum=2),
        AggregateFunction("json_group_array", lambda type_: values.JSON, _json_array,
                          "A JSON array of the values, of NULL too; [] of none.",
                          _WRITABLE, "values that JSON can hold", of="json_quote"),
        AggregateFunction("json_group_object", lambda type_: values.JSON, _json_object,
                          "A JSON object of names and values, of NULL too; {} of none.", frozenset({Kind.STRING}),
                          "names and values", minimum=2, maximum=2, of="json_object"),
        AggregateFunction("every", lambda type_: values.BOOLEAN, _all, "Whether all are TRUE.", _TRUTHS, "conditions"),
        AggregateFunction("bool_and", lambda type_: values.BOOLEAN, _all, "As every.", _TRUTHS, "conditions"),
        AggregateFunction("bool_or", lambda type_: values.BOOLEAN, _any, "Whether one is TRUE.", _TRUTHS, "conditions"),
    )
}  # fmt: skip
