"""What was measured, as tables of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.backends import (
    FLOOR,
    KINDS,
    MARIADB,
    POSTGRESQL,
    REDIS,
    REDIS_TUNED,
    ROME,
    SQLITE,
    TITLES,
    TUNED,
    UNSYNCED,
)  # fmt: skip
from bench.results import CallResult, CallsResult, LoadResult, SchemaResult

MEBIBYTE = 1 << 20
LMDB_FIRST, REDIS_FIRST = (TUNED, ROME), (REDIS_TUNED, REDIS)  # the one that stands for ROME on this store
PEERS = (MARIADB, POSTGRESQL)


@dataclass(frozen=True)
class Grid:
    """A table of texts."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def first_of(names: Sequence[str], among: Sequence[str]) -> str | None:
    """The first of `names` that is `among` them."""
    return next((name for name in names if name in among), None)


def call_grids(result: CallsResult) -> list[Grid]:
    """Of one size: times, ratios, ROME's work, bytes on the wire."""
    names = [FLOOR, *result.names()]
    if result.rtt_ms:
        return [_times("Elapsed, ms (median)", result, names, CallResult.wall_ms), *_speed(result), *_work(result)]
    return [
        _times("CPU, client and server, ms (median)", result, names, CallResult.cpu_ms),
        _ratios(result, names[1:]),
        *_against_peers(result),
        _times("Elapsed, ms (median)", result, names, CallResult.wall_ms),
        *_work(result),
        *_wire(result),
    ]


def brief_grid(result: CallsResult) -> Grid:
    """What one reads before and after a change: ratios, and ROME's waves and keys."""
    names = result.names()
    mine = [name for name in (first_of(LMDB_FIRST, names), first_of(REDIS_FIRST, names)) if name]
    pairs = [(name, other) for name in mine for other in (FLOOR, *PEERS) if other in (FLOOR, *names)]
    rows = [
        (
            each.name,
            f"{each.cpu_ms(FLOOR):.2f}",
            *(f"{each.cpu_ms(name) / each.cpu_ms(other):.2f}" for name, other in pairs),
            *(f"{each.work[name].waves:.1f}" for name in mine),
            *(f"{each.work[name].keys:.0f}" for name in mine),
        )
        for each in result.calls
    ]
    head = ("call", "floor ms", *(f"{_store(name)} ÷ {_short(other)}" for name, other in pairs))
    head += (*(f"waves {_store(name)}" for name in mine), *(f"keys {_store(name)}" for name in mine))
    return Grid(f"CPU ratios, waves and keys at {result.images:,} images", head, rows)


def loading_grid(results: Sequence[CallsResult]) -> Grid:
    """How fast every database took the images, at every size, and what they take on its disk."""
    names = list(dict.fromkeys(name for result in results for name in result.names()))
    loaded = {(result.images, each.name): each for result in results for each in result.databases}

    def speed(images: int, name: str) -> str:
        each = loaded.get((images, name))
        return f"{images / each.load_s:,.0f}" if each and each.load_s else "–"

    def seconds(images: int, name: str) -> str:
        each = loaded.get((images, name))
        return f"{each.tune_s:.1f}" if each and each.tune_s is not None else "–"

    def size(images: int, name: str) -> str:
        each = loaded.get((images, name))
        return f"{each.disk_bytes / MEBIBYTE:,.0f}" if each else "–"

    sizes = [result.images for result in results]
    head = (
        "database",
        *(f"{images:,}: images/s" for images in sizes),
        *(f"{images:,}: indexes added, s" for images in sizes),
        *(f"{images:,}: MiB" for images in sizes),
    )
    rows = [
        (TITLES[name], *(of(images, name) for of in (speed, seconds, size) for images in sizes)) for name in names
    ]
    return Grid("Bulk load: images with 3 properties, 1 location and 2 tags", head, rows)


def growth_grids(results: Sequence[CallsResult]) -> list[Grid]:
    """For every database measured at more than one size, its cost at each beside that at the smallest.

    The first tables divide by the floor, whose growth is that of the answers: fuller pages hold more rows.
    """
    if len(results) < 2:
        return []
    smallest, *larger = results
    names = [name for name in KINDS if name in smallest.names() and any(name in each.names() for each in larger)]
    grids = []
    for images in larger:
        calls = {each.name: each for each in images.calls}
        both = [(each, calls[each.name]) for each in smallest.calls if each.name in calls]
        there = [name for name in names if name in images.names()]
        rows = [
            (
                small.name,
                f"{large.cpu_ms(FLOOR) / small.cpu_ms(FLOOR):.2f}",
                *(f"{growth(small, large, name):.2f}" for name in there),
            )
            for small, large in both
        ]
        title = f"Growth from {smallest.images:,} to {images.images:,} images: CPU ÷ floor, beside the same then"
        grids.append(Grid(title, ("call", "the floor's own", *(TITLES[name] for name in there)), rows))
    return grids


def growth(small: CallResult, large: CallResult, name: str) -> float:
    """How many times the cost beside the floor, at the larger size, is that at the smaller."""
    return (large.cpu_ms(name) / large.cpu_ms(FLOOR)) / (small.cpu_ms(name) / small.cpu_ms(FLOOR))


def load_grids(result: LoadResult) -> list[Grid]:
    mixed = [
        (
            TITLES[each.database], str(each.processes), f"{each.per_core_second:,.0f}", f"{each.per_second:,.0f}",
            str(each.refused),
        )
        for each in result.mixed
    ]  # fmt: skip
    hot = [
        (TITLES[each.database], str(each.images), f"{each.per_second:,.1f}", str(each.refused)) for each in result.hot
    ]
    processes = result.hot[0].processes if result.hot else 0
    return [
        Grid(
            f"Mixed load at {result.images:,} images, 80 % reads",
            ("database", "processes", "operations per core-second", "operations per second", "refused"), mixed,
        ),
        Grid(
            f"{processes} processes that update the same images, of {result.images:,}",
            ("database", "images", "updates per second", "refused"), hot,
        ),
    ]  # fmt: skip


def schema_grid(result: SchemaResult) -> Grid:
    rows = [
        (name, f"{each['rome']:.0f}", f"{each['sqlite']:.0f}", f"{each['rome'] / each['sqlite']:.2f}")
        for name, each in (("the first of a process", result.first_ms), ("every other, median", result.later_ms))
    ]
    title = f"Nova's main schema, {result.tables} tables: create_all and drop_all of a new database in memory, CPU ms"
    return Grid(title, ("database", "ROME", "SQLite", "ROME ÷ SQLite"), rows)


def show(console: Console, grids: Sequence[Grid]) -> None:
    for grid in grids:
        table = Table(title=grid.title, title_justify="left")
        for number, column in enumerate(grid.head):
            table.add_column(column, justify="right" if number else "left")
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)


def _times(title: str, result: CallsResult, names: Sequence[str], of: Callable[[CallResult, str], float]) -> Grid:
    rows = [
        (each.name, str(each.statements), str(each.rounds), *(_figure(of(each, name)) for name in names))
        for each in result.calls
    ]
    return Grid(title, ("call", "SQL", "rounds", *(TITLES[name] for name in names)), rows)


def _ratios(result: CallsResult, names: Sequence[str]) -> Grid:
    """Every database's median divided by the floor's."""
    rows = [
        (each.name, *(f"{each.cpu_ms(name) / each.cpu_ms(FLOOR):.2f}" for name in names)) for each in result.calls
    ]
    return Grid("CPU ÷ replay floor", ("call", *(TITLES[name] for name in names)), rows)


def _against_peers(result: CallsResult) -> list[Grid]:
    """ROME's median divided by each peer's: below 1, ROME takes less."""
    names = result.names()
    mine = [name for name in (first_of(LMDB_FIRST, names), first_of(REDIS_FIRST, names)) if name]
    pairs = [(name, other) for name in mine for other in (*PEERS, SQLITE) if other in names]
    if not pairs:
        return []
    rows = [
        (each.name, *(f"{each.cpu_ms(name) / each.cpu_ms(other):.2f}" for name, other in pairs))
        for each in result.calls
    ]
    return [Grid("CPU of ROME ÷ the other's", ("call", *(f"{TITLES[a]} ÷ {TITLES[b]}" for a, b in pairs)), rows)]


def _speed(result: CallsResult) -> list[Grid]:
    """Each other's elapsed median divided by ROME's: how many times faster ROME is."""
    names = result.names()
    mine = first_of(REDIS_FIRST, names)
    others = [name for name in names if not KINDS[name].is_rome]
    if not mine or not others:
        return []
    rows = [
        (each.name, *(f"{each.wall_ms(name) / each.wall_ms(mine):.1f}" for name in others)) for each in result.calls
    ]
    for title, writes in (("all that read, together", False), ("all that write, together", True)):
        chosen = [each for each in result.calls if each.writes is writes]
        if chosen:
            times = {name: sum(each.wall_ms(name) for each in chosen) for name in (mine, *others)}
            rows.append((title, *(f"{times[name] / times[mine]:.1f}" for name in others)))
    return [Grid(f"How many times faster {TITLES[mine]} is", ("call", *(TITLES[name] for name in others)), rows)]


def _work(result: CallsResult) -> list[Grid]:
    """What a call asks of ROME's stores; what LMDB syncs does not change it."""
    names = [name for name in result.names() if KINDS[name].is_rome and name != UNSYNCED]
    if not names:
        return []
    rows = [
        (
            each.name,
            str(each.statements),
            *(f"{each.work[name].waves:.1f}" for name in names),
            *(f"{each.work[name].keys:,.0f}" for name in names),
            *(f"{each.work[name].bytes_read:,.0f}" for name in names),
        )
        for each in result.calls
    ]
    head = [f"{TITLES[name]}: {what}" for what in ("waves", "keys", "bytes read") for name in names]
    return [Grid("ROME's work a call (mean)", ("call", "SQL", *head), rows)]


def _wire(result: CallsResult) -> list[Grid]:
    names = [name for name in result.names() if result.calls and name in result.calls[0].wire]
    if not names:
        return []
    rows = [
        (
            each.name,
            *(f"{each.wire[name].total_bytes:,.0f}" for name in names),
            *(f"{each.wire[name].round_trips:.1f}" for name in names),
        )
        for each in result.calls
    ]
    head = (*(f"{TITLES[name]}: bytes" for name in names), *(f"{TITLES[name]}: round trips" for name in names))
    return [Grid("On the wire, both ways, a call (mean, counted by a proxy)", ("call", *head), rows)]


def _store(name: str) -> str:
    return "LMDB" if name in LMDB_FIRST else "Redis"


def _short(name: str) -> str:
    return {FLOOR: "floor", MARIADB: "Maria", POSTGRESQL: "PG"}[name]


def _figure(milliseconds: float) -> str:
    """Two significant digits, or all before the point."""
    digits = 2 if milliseconds < 1 else 1 if milliseconds < 10 else 0
    return f"{milliseconds:.{digits}f}"
