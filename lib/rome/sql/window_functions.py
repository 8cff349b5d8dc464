"""The window functions of SQL that are no aggregates: each computes one value for every row of a partition.

`Ordered` is what they see of it. As in SQLite and PostgreSQL, lag, lead and the ranks do not look at the frame;
first_value, last_value and nth_value do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from rome import values
from rome.errors import DataError, UndefinedFunction
from rome.values import SqlType

Values = list[Any]
Segments = Sequence[tuple[int, int]]  # the rows of a frame: from a place to before another, in order


class Ordered(NamedTuple):
    """The rows of a partition in the order of the window.

    Rows with equal keys are peers: `groups` are their places, from and to before, `group_of` says for each row which.
    """

    size: int
    groups: list[tuple[int, int]]
    group_of: list[int]


@dataclass(frozen=True, slots=True)
class WindowFunction:
    """One window function.

    compute      from the partition and, for each row, the tuple of arguments, to a value for each row
    over_frame   instead: from the arguments of all rows, the frame of one and its own place, to the value of that one
    takes_value  the first argument is any value and the result is of its type; the second is a count
    """

    name: str
    minimum: int
    maximum: int
    doc: str
    returns: SqlType | None
    compute: Callable[[Ordered, list[tuple[Any, ...]]], Values] | None = None
    over_frame: Callable[[list[tuple[Any, ...]], Segments, int], Any] | None = None

    @property
    def takes_value(self) -> bool:
        return self.returns is None

    def check_count(self, count: int) -> None:
        """Raise UndefinedFunction unless the function takes `count` arguments."""
        if not self.minimum <= count <= self.maximum:
            counts = " to ".join(map(str, sorted({self.minimum, self.maximum})))
            raise UndefinedFunction(f"{self.name}() takes {counts} argument{'s' * (counts != '1')}, not {count}")


def _row_number(ordered: Ordered, arguments: list[tuple[Any, ...]]) -> Values:
    return list(range(1, ordered.size + 1))


def _rank(ordered: Ordered, arguments: list[tuple[Any, ...]]) -> Values:
    return [ordered.groups[group][0] + 1 for group in ordered.group_of]


def _dense_rank(ordered: Ordered, arguments: list[tuple[Any, ...]]) -> Values:
    return [group + 1 for group in ordered.group_of]


def _percent_rank(ordered: Ordered, arguments: list[tuple[Any, ...]]) -> Values:
    others = max(ordered.size - 1, 1)
    return [ordered.groups[group][0] / others for group in ordered.group_of]


def _cume_dist(ordered: Ordered, arguments: list[tuple[Any, ...]]) -> Values:
    return [ordered.groups[group][1] / ordered.size for group in ordered.group_of]


def _ntile(ordered: Ordered, arguments: list[tuple[Any, ...]]) -> Values:
    count = whole("the argument of ntile()", arguments[0][0])
    if count is None:
        return [None] * ordered.size
    if count < 1:
        raise DataError(f"ntile() makes 1 part or more, not {count}", sqlstate="22014")
    size, larger = divmod(ordered.size, count)
    edge = larger * (size + 1)  # the first `larger` parts have one row more
    return [
        place // (size + 1) + 1 if place < edge else larger + (place - edge) // size + 1
        for place in range(ordered.size)
    ]  # fmt: skip


def _lag(ordered: Ordered, arguments: list[tuple[Any, ...]]) -> Values:
    return _beside(ordered, arguments, -1)


def _lead(ordered: Ordered, arguments: list[tuple[Any, ...]]) -> Values:
    return _beside(ordered, arguments, 1)


def _beside(ordered: Ordered, arguments: list[tuple[Any, ...]], direction: int) -> Values:
    """The first argument of the row that is so many rows away, else the third one of the row itself."""
    found: Values = []
    for place, (_, *rest) in enumerate(arguments):
        distance = whole("the offset of lag() and lead()", rest[0]) if rest else 1
        if distance is None:
            found.append(None)
            continue
        other = place + direction * distance
        if 0 <= other < ordered.size:
            found.append(arguments[other][0])
        else:
            found.append(rest[1] if len(rest) > 1 else None)
    return found


def _first_value(arguments: list[tuple[Any, ...]], frame: Segments, place: int) -> Any:
    return arguments[frame[0][0]][0] if frame else None


def _last_value(arguments: list[tuple[Any, ...]], frame: Segments, place: int) -> Any:
    return arguments[frame[-1][1] - 1][0] if frame else None


def _nth_value(arguments: list[tuple[Any, ...]], frame: Segments, place: int) -> Any:
    count = whole("the second argument of nth_value()", arguments[place][1])
    if count is None:
        return None
    if count < 1:
        raise DataError(f"nth_value() counts from 1, not from {count}", sqlstate="22016")
    for start, stop in frame:
        if count <= stop - start:
            return arguments[start + count - 1][0]
        count -= stop - start
    return None


def whole(what: str, count: Any) -> int | None:
    """`count`, which must be an integer or NULL: a parameter can be any number."""
    if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
        raise DataError(f"{what} must be an integer, not {count!r}", sqlstate="22023")
    return count


def places_of(frame: Segments) -> list[int]:
    """The places of the rows in a frame."""
    return list(chain.from_iterable(range(start, stop) for start, stop in frame))


WINDOW_FUNCTIONS: dict[str, WindowFunction] = {
    function.name: function
    for function in (
        WindowFunction("row_number", 0, 0, "The place of the row in its partition, from 1.", values.BIGINT,
                       _row_number),
        WindowFunction("rank", 0, 0, "The place of the first of its peers.", values.BIGINT, _rank),
        WindowFunction("dense_rank", 0, 0, "How many groups of peers there are up to its own.", values.BIGINT,
                       _dense_rank),
        WindowFunction("percent_rank", 0, 0, "(rank - 1) / (rows - 1); 0.0 of one row.", values.FLOAT, _percent_rank),
        WindowFunction("cume_dist", 0, 0, "The share of the rows up to its last peer.", values.FLOAT, _cume_dist),
        WindowFunction("ntile", 1, 1, "Its part, from 1, when the partition is cut into so many equal ones.",
                       values.BIGINT, _ntile),
        WindowFunction("lag", 1, 3, "The value one row, or so many, before; else NULL, or the third argument.", None,
                       _lag),
        WindowFunction("lead", 1, 3, "The value one row, or so many, after; else NULL, or the third argument.", None,
                       _lead),
        WindowFunction("first_value", 1, 1, "The value of the first row of its frame.", None, None, _first_value),
        WindowFunction("last_value", 1, 1, "The value of the last row of its frame.", None, None, _last_value),
        WindowFunction("nth_value", 2, 2, "The value of the n-th row of its frame, from 1; NULL if there is none.",
                       None, None, _nth_value),
    )
}  # fmt: skip
