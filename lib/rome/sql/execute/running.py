"""Aggregates of growing lists: the value of the first 0, 1, 2, … items without computing each from the beginning."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

from rome.sql import literals
from rome.sql.aggregates import AGGREGATES
from rome.sql.arithmetic import EXACT, QUOTIENT


def growing(name: str, items: list[Any]) -> Callable[[int], Any] | None:
    """The aggregate called `name` over the first so many of `items`, the same as over a list of them.

    None for an aggregate that has no quicker way than to look at each list.
    """
    if name == "count":
        return lambda count: count
    if name in ("min", "max"):
        best = min if name == "min" else max
        found = [None, *accumulate(items, best)]
        return lambda count: found[count]
    if name in ("sum", "avg", "total") and items:
        return _sums(name, [float(item) for item in items] if name == "total" else items)
    return None


def _sums(name: str, items: list[Any]) -> Callable[[int], Any]:
    compute = AGGREGATES[name].compute
    first = items[0]
    if isinstance(first, float):
        return _of_floats(name, items)
    zero: Any = Decimal() if isinstance(first, Decimal) else timedelta() if isinstance(first, timedelta) else 0
    add: Callable[[Any, Any], Any] = EXACT.add if isinstance(first, Decimal) else operator.add
    totals = list(accumulate(items, add, initial=zero))

    def value(count: int) -> Any:
        if not count:
            return compute([])
        total = totals[count]
        if isinstance(total, Decimal):
            total = literals.checked_decimal(total)
            return total if name == "sum" else QUOTIENT.divide(total, count)
        if name == "avg":
            return total / count
        return literals.checked_integer(total) if isinstance(total, int) else total

    return value


def _of_floats(name: str, items: list[float]) -> Callable[[int], Any]:
    compute = AGGREGATES[name].compute
    sums = list(_float_sums(items))

    def value(count: int) -> Any:
        if not count:
            return compute([])
        total = literals.checked_float(sums[count - 1])
        return total / count if name == "avg" else total

    return value


def _float_sums(items: list[float]) -> Iterator[float]:
    """The sum of the first one, two, … items, each rounded once, as math.fsum has it.

    `partials` are floats whose exact sum is the exact sum so far (Shewchuk, Adaptive Precision Arithmetic, 1997).
    """
    partials: list[float] = []
    for item in items:
        kept = []
        for partial in partials:
            if abs(item) < abs(partial):
                item, partial = partial, item
            high = item + partial
            low = partial - (high - item)
            if low:
                kept.append(low)
            item = high
        partials = [*kept, item]
        yield math.fsum(partials) if all(map(math.isfinite, partials)) else math.inf
