"""Functions on numbers, as Python functions of non-NULL values.

What has no value in the real numbers (the root of a negative number, the logarithm of 0) is DataError 2201F or 2201E,
and what is too great 22003; SQLite gives NULL instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from rome.errors import DataError
from rome.sql import literals
from rome.sql.arithmetic import ROUNDED, operation
from rome.values import Kind

Number = int | float | Decimal


def absolute(value: Number) -> Number:
    if isinstance(value, Decimal):
        return value.copy_abs()
    return literals.checked_integer(abs(value)) if isinstance(value, int) else abs(value)


def sign(value: Number) -> int:
    return (value > 0) - (value < 0)


def rounded(value: Number, digits: int = 0) -> Number:
    """Halves away from zero, judged on the number as it is written: 2.345 to 2 digits is 2.35."""
    return _at_digits(value, digits, ROUND_HALF_UP)


def truncated(value: Number, digits: int = 0) -> Number:
    return _at_digits(value, digits, ROUND_DOWN)


def ceiling(value: Number) -> Number:
    return _at_digits(value, 0, ROUND_CEILING)


def floor(value: Number) -> Number:
    return _at_digits(value, 0, ROUND_FLOOR)


def _at_digits(value: Number, digits: int, rounding: str) -> Number:
    if isinstance(value, int) and digits >= 0:
        return int(value)
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    exponent = exact.as_tuple().exponent
    if isinstance(exponent, int) and -exponent <= digits and not (isinstance(value, Decimal) and digits >= 0):
        return value
    places = max(min(digits, literals.MAX_DECIMAL_DIGITS), -literals.MAX_DECIMAL_DIGITS)
    result = exact.quantize(Decimal(1).scaleb(-places), rounding, ROUNDED)
    if isinstance(value, Decimal):
        return (result or abs(result)) if places >= 0 else Decimal(int(result))
    return literals.checked_integer(int(result)) if isinstance(value, int) else literals.checked_float(float(result))


def modulo(left: Number, right: Number) -> Number:
    result: Number = operation("%", _kind(left), _kind(right))(left, right)
    return result


def _kind(value: Number) -> Kind:
    return Kind.INTEGER if isinstance(value, int) else Kind.FLOAT if isinstance(value, float) else Kind.DECIMAL


def _real(name: str, sqlstate: str, compute: Callable[..., float]) -> Callable[..., float]:
    """`compute` on floats, its failures as DataErrors that name the function."""

    def run(*arguments: Number) -> float:
        try:
            return literals.checked_float(compute(*map(float, arguments)))
        except OverflowError:
            raise literals.out_of_range(f"the result of {name}()", "a floating-point number") from None
        except (ValueError, ZeroDivisionError):
            shown = ", ".join(map(str, arguments))
            raise DataError(f"{name}({shown}) has no value among the real numbers", sqlstate=sqlstate) from None

    return run


_INVALID_POWER, _INVALID_LOGARITHM = "2201F", "2201E"

power = _real("power", _INVALID_POWER, math.pow)
square_root = _real("sqrt", _INVALID_POWER, math.sqrt)
exponential = _real("exp", _INVALID_POWER, math.exp)
natural_logarithm = _real("ln", _INVALID_LOGARITHM, math.log)
_base_10 = _real("log10", _INVALID_LOGARITHM, math.log10)
_base_2 = _real("log", _INVALID_LOGARITHM, math.log2)
_any_base = _real("log", _INVALID_LOGARITHM, lambda base, value: math.log(value) / math.log(base))


def logarithm(first: Number, second: Number | None = None) -> float:
    """log(x) to base 10; log(base, x)."""
    if second is None:
        return _base_10(first)
    if first == 2:
        return _base_2(second)
    return _base_10(second) if first == 10 else _any_base(first, second)
