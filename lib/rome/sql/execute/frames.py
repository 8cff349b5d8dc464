"""Which rows of an ordered partition the frame of each row has (ISO 9075-2, 7.15)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from rome.errors import DataError
from rome.sql.arithmetic import midnight
from rome.sql.bound import Frame
from rome.sql.window_functions import Ordered, Segments, whole

Edge = Callable[[int], int]  # from a row's place to the place where its frame begins, or to that behind its end


def frames(
    frame: Frame, ordered: Ordered, keys: list[Any], descending: bool, start: Any, end: Any
) -> list[Segments]:
    """The frame of each row, as places without those that the frame excludes.

    `keys` are the values of the first ORDER BY expression, `start` and `end` the offsets.
    """
    for side, offset in ((frame.start, start), (frame.end, end)):
        if side in ("PRECEDING", "FOLLOWING"):
            _check(frame, offset)
    first = _edge(frame.kind, frame.start, ordered, keys, descending, start, False)
    last = _edge(frame.kind, frame.end, ordered, keys, descending, end, True)
    exclude = _EXCLUSIONS.get(frame.exclude)
    found: list[Segments] = []
    for place in range(ordered.size):
        begin, stop = first(place), last(place)
        segments = [(begin, stop)] if begin < stop else []
        if exclude is not None and segments:
            segments = _without(begin, stop, exclude(ordered, place))
        found.append(segments)
    return found


def _check(frame: Frame, offset: Any) -> None:
    if frame.kind != "RANGE" and offset is not None:
        whole(f"the offset of {frame.kind}", offset)
    if offset is None or offset < type(offset)():
        raise DataError("the offset of a frame must not be NULL or negative", sqlstate="22013")


def _edge(
    kind: str, bound: str, ordered: Ordered, keys: list[Any], descending: bool, offset: Any, is_end: bool
) -> Edge:
    if bound == "UNBOUNDED PRECEDING":
        return lambda place: 0
    if bound == "UNBOUNDED FOLLOWING":
        return lambda place: ordered.size
    if kind == "ROWS":
        distance = 0 if offset is None else -offset if bound == "PRECEDING" else offset
        shift = distance + is_end
        return lambda place: min(max(place + shift, 0), ordered.size)
    groups, group_of = ordered.groups, ordered.group_of
    if bound == "CURRENT ROW":
        return lambda place: groups[group_of[place]][is_end]
    if kind == "GROUPS":
        return _group_edge(ordered, -offset if bound == "PRECEDING" else offset, is_end)
    return _range_edge(bound == "PRECEDING", ordered, keys, descending, offset, is_end)


def _group_edge(ordered: Ordered, distance: int, is_end: bool) -> Edge:
    def edge(place: int) -> int:
        group = ordered.group_of[place] + distance
        if group < 0:
            return 0
        return ordered.groups[group][is_end] if group < len(ordered.groups) else ordered.size

    return edge


def _range_edge(
    preceding: bool, ordered: Ordered, keys: list[Any], descending: bool, offset: Any, is_end: bool
) -> Edge:
    """By the value of the key: the rows whose key is at most `offset` away. NULLs are near to NULLs alone."""
    keys = [midnight(key) if isinstance(key, date) and not isinstance(key, datetime) else key for key in keys]
    begin = next((place for place, key in enumerate(keys) if key is not None), 0)
    values = [key for key in keys if key is not None]
    if descending:
        values.reverse()
    sign = -1 if preceding != descending else 1

    def edge(place: int) -> int:
        key = keys[place]
        if key is None:
            return ordered.groups[ordered.group_of[place]][is_end]
        try:
            limit = key + offset if sign > 0 else key - offset
        except OverflowError:  # beyond all dates
            return begin if preceding else begin + len(values)
        if descending:
            return begin + len(values) - (bisect_left if is_end else bisect_right)(values, limit)
        return begin + (bisect_right if is_end else bisect_left)(values, limit)

    return edge


def _without(begin: int, stop: int, holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The places from `begin` to before `stop` that are in none of `holes`, which are in order."""
    found = []
    for first, behind in holes:
        if begin < min(first, stop):
            found.append((begin, min(first, stop)))
        begin = max(begin, behind)
    if begin < stop:
        found.append((begin, stop))
    return found


def _own_row(ordered: Ordered, place: int) -> list[tuple[int, int]]:
    return [(place, place + 1)]


def _own_group(ordered: Ordered, place: int) -> list[tuple[int, int]]:
    return [ordered.groups[ordered.group_of[place]]]


def _own_ties(ordered: Ordered, place: int) -> list[tuple[int, int]]:
    first, behind = ordered.groups[ordered.group_of[place]]
    return [(first, place), (place + 1, behind)]


_EXCLUSIONS: dict[str, Callable[[Ordered, int], list[tuple[int, int]]]] = {
    "CURRENT ROW": _own_row,
    "GROUP": _own_group,
    "TIES": _own_ties,
}
