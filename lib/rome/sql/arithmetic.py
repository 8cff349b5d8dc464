"""The operators + - * / % & | ^ << >> and unary minus on non-NULL values.

* Integers are 64 bits: a result beyond them is DataError 22003. `/` between integers cuts toward zero and `%` takes
  the sign of the dividend (as in SQLite and PostgreSQL). Division by zero is DataError 22012.
* DECIMAL arithmetic is exact; a quotient has DIVISION_DIGITS significant digits, halves to even. More than
  literals.MAX_DECIMAL_DIGITS digits are DataError 22003. A DECIMAL beside a FLOAT is taken as the nearest float.
* A FLOAT result that is not finite is DataError 22003.
* Dates: see `coerce.arithmetic_type`. Beyond the years 1 to 9999 is DataError 22008. A time goes round the clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from typing import Any

from rome.errors import DataError, InternalError
from rome.sql import literals
from rome.sql.literals import MAX_DECIMAL_DIGITS, checked_decimal, checked_float, checked_integer
from rome.values import Kind

Operation = Callable[[Any, Any], Any]

DIVISION_DIGITS = 38
_TRAPS = [DivisionByZero, InvalidOperation, Overflow]
EXACT = Context(prec=4 * MAX_DECIMAL_DIGITS, rounding=ROUND_HALF_EVEN, traps=[*_TRAPS, Inexact])
ROUNDED = Context(prec=4 * MAX_DECIMAL_DIGITS, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
QUOTIENT = Context(prec=DIVISION_DIGITS, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
MAX_SHIFT = 64

_WHOLE = frozenset({Kind.INTEGER, Kind.BOOLEAN})
_KINDS: dict[type, Kind] = {
    bool: Kind.BOOLEAN, int: Kind.INTEGER, float: Kind.FLOAT, Decimal: Kind.DECIMAL, datetime: Kind.DATETIME,
    date: Kind.DATE, time: Kind.TIME, timedelta: Kind.INTERVAL,
}  # fmt: skip
_MICROSECOND = timedelta(microseconds=1)
_CLOCK_DAY = date(2000, 1, 1)  # any day: times of day are computed on it


def operation(op: str, left: Kind, right: Kind) -> Operation:
    """The function for `left op right`; the kinds are such that `coerce.arithmetic_type` takes them.

    The kind NULL means that only the value tells.
    """
    if left is Kind.NULL or right is Kind.NULL:
        return _by_value(op)
    if left in _WHOLE and right in _WHOLE:
        return _INTEGER_OPERATIONS[op]
    if Kind.FLOAT in (left, right) and Kind.INTERVAL not in (left, right):
        return _FLOAT_OPERATIONS[op]
    if Kind.DECIMAL in (left, right) and Kind.INTERVAL not in (left, right):
        return _DECIMAL_OPERATIONS[op]
    return _guarded_dates(op, _temporal_operation(op, left, right))


def negation(kind: Kind) -> Callable[[Any], Any]:
    """The function for `- operand`."""
    if kind in _WHOLE:
        return lambda value: checked_integer(-value)
    if kind is Kind.DECIMAL:
        return Decimal.copy_negate
    if kind is Kind.NULL:
        return lambda value: negation(_KINDS.get(type(value), Kind.FLOAT))(value)
    return lambda value: -value


def _by_value(op: str) -> Operation:
    """Where a side has no type, its value says which operation it is."""

    def run(left: Any, right: Any) -> Any:
        try:
            return operation(op, _KINDS[type(left)], _KINDS[type(right)])(left, right)
        except KeyError:
            raise DataError(
                f"there is no {type(left).__name__} {op} {type(right).__name__}",
                sqlstate=literals.INVALID_CHARACTER_VALUE,
            ) from None

    return run


def division_by_zero(op: str) -> DataError:
    return DataError(f"division by zero in {op}", sqlstate="22012")


def divide_integers(left: int, right: int) -> int:
    """The quotient cut toward zero."""
    if right == 0:
        raise division_by_zero("/")
    quotient = abs(left) // abs(right)
    return checked_integer(quotient if (left < 0) == (right < 0) else -quotient)


def remainder_of_integers(left: int, right: int) -> int:
    """The remainder with the sign of `left`."""
    if right == 0:
        raise division_by_zero("%")
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def _shift_left(left: int, right: int) -> int:
    return checked_integer(left << _shift(right))


def _shift_right(left: int, right: int) -> int:
    return left >> _shift(right)


def _shift(places: int) -> int:
    if 0 <= places <= MAX_SHIFT:
        return places
    raise DataError(f"a shift by {places} bits: give 0 to {MAX_SHIFT}", sqlstate=literals.NUMERIC_OUT_OF_RANGE)


_INTEGER_OPERATIONS: dict[str, Operation] = {
    "+": lambda left, right: checked_integer(left + right),
    "-": lambda left, right: checked_integer(left - right),
    "*": lambda left, right: checked_integer(left * right),
    "/": divide_integers,
    "%": remainder_of_integers,
    "&": lambda left, right: int(left) & right,
    "|": lambda left, right: int(left) | right,
    "^": lambda left, right: int(left) ^ right,
    "<<": _shift_left,
    ">>": _shift_right,
}


def _of_floats(compute: Callable[[float, float], float]) -> Operation:
    def run(left: float | Decimal, right: float | Decimal) -> float:
        try:
            return checked_float(compute(float(left), float(right)))
        except OverflowError:
            raise literals.out_of_range("the result", "a floating-point number") from None

    return run


def _divide_floats(left: float, right: float) -> float:
    if right == 0:
        raise division_by_zero("/")
    return left / right


def _remainder_of_floats(left: float, right: float) -> float:
    if right == 0:
        raise division_by_zero("%")
    return math.fmod(left, right)


_FLOAT_OPERATIONS: dict[str, Operation] = {
    "+": _of_floats(lambda left, right: left + right),
    "-": _of_floats(lambda left, right: left - right),
    "*": _of_floats(lambda left, right: left * right),
    "/": _of_floats(_divide_floats),
    "%": _of_floats(_remainder_of_floats),
}


def _of_decimals(op: str, compute: Callable[[Any, Any], Decimal]) -> Operation:
    def run(left: Decimal | int, right: Decimal | int) -> Decimal:
        try:
            return checked_decimal(compute(left, right))
        except (DivisionByZero, InvalidOperation):
            if right == 0:
                raise division_by_zero(op) from None
            raise _too_many_digits(op) from None
        except (Inexact, Overflow):
            raise _too_many_digits(op) from None

    return run


def _too_many_digits(op: str) -> DataError:
    return DataError(
        f"the result of {op} has more than {MAX_DECIMAL_DIGITS} decimal digits before or after the point",
        sqlstate=literals.NUMERIC_OUT_OF_RANGE,
    )


_DECIMAL_OPERATIONS: dict[str, Operation] = {
    "+": _of_decimals("+", EXACT.add),
    "-": _of_decimals("-", EXACT.subtract),
    "*": _of_decimals("*", EXACT.multiply),
    "/": _of_decimals("/", QUOTIENT.divide),
    "%": _of_decimals("%", EXACT.remainder),
}


# ---- dates and times -----------------------------------------------------------------------------------------------


def midnight(value: date) -> datetime:
    """The first moment of a day: what a DATE means among DATETIMEs."""
    return datetime.combine(value, time())


def _temporal_operation(op: str, left: Kind, right: Kind) -> Operation:
    if op == "+" and right in (Kind.DATE, Kind.DATETIME, Kind.TIME):
        swapped = _temporal_operation(op, right, left)
        return lambda a, b: swapped(b, a)
    sign = 1 if op == "+" else -1
    if left is Kind.DATE and right is Kind.INTEGER:
        return lambda a, b: a + timedelta(days=sign * b)
    if left is Kind.DATE and right is Kind.DATE:
        return lambda a, b: (a - b).days
    if left is Kind.TIME and right is Kind.INTERVAL:
        return lambda a, b: (datetime.combine(_CLOCK_DAY, a) + sign * _within_a_day(b)).time()
    if left is Kind.TIME:
        return lambda a, b: datetime.combine(_CLOCK_DAY, a) - datetime.combine(_CLOCK_DAY, b)
    if Kind.INTERVAL in (left, right) and op in "*/":
        return _scaled_interval(op)
    as_left: Callable[[Any], Any] = midnight if left is Kind.DATE else _same
    as_right: Callable[[Any], Any] = midnight if right is Kind.DATE else _same
    if op == "+":
        return lambda a, b: as_left(a) + as_right(b)
    if op == "-":
        return lambda a, b: as_left(a) - as_right(b)
    raise InternalError(f"no operation {left} {op} {right}")


def _same(value: Any) -> Any:
    return value


def _within_a_day(interval: timedelta) -> timedelta:
    return timedelta(seconds=interval.seconds, microseconds=interval.microseconds)


def _scaled_interval(op: str) -> Operation:
    def run(left: Any, right: Any) -> timedelta:
        interval: timedelta = left if isinstance(left, timedelta) else right
        microseconds, factor = Fraction(interval // _MICROSECOND), Fraction(right if interval is left else left)
        if op == "*":
            return timedelta(microseconds=round(microseconds * factor))
        if factor == 0:
            raise division_by_zero("/")
        return timedelta(microseconds=round(microseconds / factor))

    return run


def _guarded_dates(op: str, compute: Operation) -> Operation:
    def run(left: Any, right: Any) -> Any:
        try:
            return compute(left, right)
        except OverflowError:
            raise DataError(
                f"{literals.write(left)} {op} {literals.write(right)} is outside the years 1 to 9999, "
                "or an interval of more than 999999999 days",
                sqlstate="22008",
            ) from None

    return run
