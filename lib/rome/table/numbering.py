"""Which number is the n-th of a sequence or an identity column, and the other way round."""

from __future__ import annotations

from rome.errors import DataError, ProgrammingError
from rome.table.schema import Numbering


def numbering(
    most: int,
    start: int | None = None,
    increment: int | None = None,
    minimum: int | None = None,
    maximum: int | None = None,
    cycle: bool = False,
    cache: int | None = None,
) -> Numbering:
    """The numbers that a definition asks for, of a type whose values are -`most` to `most` - 1.

    What is not said is as in PostgreSQL: upwards from 1, or downwards from -1. ProgrammingError (22023) when it does
    not fit together.
    """
    step = 1 if increment is None else increment
    low = (1 if step > 0 else -most) if minimum is None else minimum
    high = (most - 1 if step > 0 else -1) if maximum is None else maximum
    first = (low if step > 0 else high) if start is None else start
    if not -most <= low <= first <= high < most or low == high or step == 0 or (cache is not None and cache < 1):
        raise ProgrammingError(
            f"no numbers start with {first}, step by {step} and lie between {low} and {high} of a type that holds "
            f"{-most} to {most - 1}",
            sqlstate="22023",
        )
    return Numbering(first, step, low, high, cycle, cache)


def number_at(numbers: Numbering, place: int, whose: str) -> int:
    """The number at `place`, counted from 1; DataError (2200H) behind the last. `whose` they are is for the error."""
    step = numbers.increment
    end, beginning = (numbers.maximum, numbers.minimum) if step > 0 else (numbers.minimum, numbers.maximum)
    first_round = (end - numbers.start) // step + 1
    if place <= first_round:
        return numbers.start + (place - 1) * step
    if not numbers.cycle:
        raise DataError(f"the numbers of {whose} are used up: the last was {number_at(numbers, first_round, whose)}",
                        sqlstate="2200H")  # fmt: skip
    each_round = (end - beginning) // step + 1
    return beginning + (place - first_round - 1) % each_round * step


def place_of(numbers: Numbering, number: int) -> int:
    """The last place that is needed for `number` to lie behind: 0 for one that comes before all; 0 in a cycle."""
    return 0 if numbers.cycle else max(0, (number - numbers.start) // numbers.increment + 1)
