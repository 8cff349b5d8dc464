"""Waves: how code above the transaction asks for reads without asking row by row.

A *step* is a generator: it yields a `Wave` (the cells and ranges it needs next), is sent the `WaveResult`, and returns
its value. `together` runs many steps side by side and merges what all of them need next into one wave, so a
statement costs as many round trips as its longest chain of dependent reads, not as many as it has parts.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from msgspec import structs

from rome.driver.api import Cell, Follow, Range, Scan

T = TypeVar("T")


class Wave(NamedTuple):
    """Reads to be made in one round trip.

    `vacant` are keys that only this transaction can know of, such as that of a row with a number drawn for it. They are
    read along with the rest; when nothing else needs a round trip they are taken to be absent, and the commit meets
    a conflict if they are not.

    What a scan follows is fetched ahead: it is no part of the answer, but a later wave of the same statement that asks
    for it costs no round trip. So to follow is never wrong, whatever the transaction has written or read before.
    """

    gets: Sequence[bytes] = ()
    scans: Sequence[Scan] = ()
    vacant: Sequence[bytes] = ()
    counts: Sequence[Range] = ()


class WaveResult(NamedTuple):
    """The answer to a `Wave`, the transaction's own writes included; shapes as in `driver.api.Reading`.

    `cells` has those of `gets`, then those of `vacant`.
    """

    cells: Sequence[Cell | None]
    scans: Sequence[list[Cell]]
    rows: Sequence[list[Cell | None] | None]
    counts: Sequence[int] = ()


Step = Generator[Wave, WaveResult, T]


def together(steps: Iterable[Step[Any]]) -> Step[list[Any]]:
    """Run `steps` side by side, their waves merged; the list of their values, in order.

    Equal gets, scans and counts that meet in one wave are asked for once; a scan follows what any of its equals does.
    """
    steps = list(steps)
    if len(steps) == 1:
        return [(yield from steps[0])]
    running: list[tuple[int, Step[Any], Wave]] = []
    values: list[Any] = []
    for position, step in enumerate(steps):
        values.append(None)
        try:
            running.append((position, step, next(step)))
        except StopIteration as stop:
            values[position] = stop.value
    while running:
        if len(running) == 1:
            position, step, wave = running[0]
            answers = [(yield wave)]
        else:
            answers = yield from _merged([wave for _, _, wave in running])
        still: list[tuple[int, Step[Any], Wave]] = []
        for (position, step, _), answer in zip(running, answers, strict=True):
            try:
                still.append((position, step, step.send(answer)))
            except StopIteration as stop:
                values[position] = stop.value
        running = still
    return values


def _merged(waves: list[Wave]) -> Step[list[WaveResult]]:
    """Ask for every wave at once and hand each its own part of the answer."""
    get_at: dict[bytes, int] = {}
    scan_at: dict[Scan, int] = {}
    follow: dict[Scan, dict[Follow, None]] = {}
    places: list[list[int]] = []  # of each wave's scans
    count_at: dict[Range, int] = {}
    for wave in waves:
        for key in wave.gets:
            get_at.setdefault(key, len(get_at))
        own = []
        for scan in wave.scans:
            plain = structs.replace(scan, follow=()) if scan.follow else scan
            own.append(scan_at.setdefault(plain, len(scan_at)))
            if scan.follow:
                follow.setdefault(plain, {}).update(dict.fromkeys(scan.follow))
        places.append(own)
        for counted in wave.counts:
            count_at.setdefault(counted, len(count_at))
    gets = tuple(get_at)
    for wave in waves:
        for key in wave.vacant:
            get_at.setdefault(key, len(get_at))
    scans = tuple([structs.replace(scan, follow=tuple(follow[scan])) if scan in follow else scan for scan in scan_at])
    answer = yield Wave(gets, scans, tuple(get_at)[len(gets) :], tuple(count_at))
    return [
        WaveResult(
            [answer.cells[get_at[key]] for key in (*wave.gets, *wave.vacant)],
            [answer.scans[at] for at in own],
            [answer.rows[at] for at in own],
            tuple([answer.counts[count_at[counted]] for counted in wave.counts]),
        )
        for wave, own in zip(waves, places, strict=True)
    ]
