"""What was measured, as tables: on the terminal, and as a Markdown page."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.backends import FLOOR, REDIS, ROME, TITLES, Backend
from bench.catalogue import Catalogue
from bench.measure import Measured, Samples

LIBRARIES = ("rome", "glance", "SQLAlchemy", "oslo.db", "sqlglot", "msgspec", "lmdb", "mysqlclient", "psycopg2")


@dataclass(frozen=True)
class Grid:
    """A table of texts."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def grids(measured: Sequence[Measured], backends: Sequence[Backend], rtt_ms: float = 0) -> list[Grid]:
    """The tables: processor time, ROME's ratios to the others, elapsed time, ROME's waves.

    With `rtt_ms`: elapsed time and how many times faster ROME is. The proxies' processor time is no one's.
    """
    names = [FLOOR, *(backend.name for backend in backends)]
    if rtt_ms:
        tables = [_times("Elapsed, ms (median)", measured, names, lambda samples: samples.wall_ms)]
        mine = next((name for name in names if name in (ROME, REDIS)), None)
        if mine is not None:
            tables += [_speed(measured, mine, [name for name in names[1:] if name != mine]), _work(measured)]
        return tables
    tables = [
        _times("CPU, client and server, ms (median)", measured, names, lambda samples: samples.cpu_ms),
        _times("Elapsed, ms (median)", measured, names, lambda samples: samples.wall_ms),
    ]
    if ROME in names:
        tables.insert(1, _ratios(measured, [name for name in names if name != ROME]))
        tables.append(_work(measured))
    return tables


def show(console: Console, tables: Sequence[Grid]) -> None:
    for grid in tables:
        table = Table(title=grid.title, title_justify="left")
        for number, column in enumerate(grid.head):
            table.add_column(column, justify="right" if number else "left", no_wrap=True)
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)


def write_page(
    path: Path,
    tables: Sequence[Grid],
    backends: Sequence[Backend],
    catalogue: Catalogue,
    rounds: int,
    command: str,
    disk: dict[str, int],
    rtt_ms: float = 0,
) -> None:
    """A part of a page with the tables, and what they were measured on; the page's other parts stay."""
    title = f"Glance's calls at round trips of {rtt_ms:g} ms" if rtt_ms else "Glance's calls, measured"
    lines = [
        "",
        f"`{command}`: {catalogue.images:,} images, the median of {rounds} rounds, every database in turn in one run.",
        "The replay floor is Glance, oslo.db and SQLAlchemy over a driver that answers at once with recorded rows.",
        "Every answer was compared between the databases.",
        "",
        *(f"- {line}" for line in surroundings(backends, rtt_ms)),
        "",
    ]
    for grid in tables:
        lines += [f"## {grid.title}", "", _markdown(grid.head), _markdown(("---",) + ("---:",) * (len(grid.head) - 1))]
        lines += [*map(_markdown, grid.rows), ""]
    loads = Grid(
        "Loading the catalogue", ("database", "seconds", "MB on disk"),
        [(TITLES[each.name], f"{each.load_s:.1f}", f"{disk[each.name] / 1e6:.1f}") for each in backends],
    )
    lines += [f"## {loads.title}", "", _markdown(loads.head), "| --- | ---: | ---: |", *map(_markdown, loads.rows)]
    _replace_part(path, title, "\n".join(lines))


def _replace_part(path: Path, title: str, text: str) -> None:
    """Write the part of the page that has the heading `title`."""
    parts: dict[str, str] = {}
    for part in re.split("^# ", path.read_text() if path.exists() else "", flags=re.MULTILINE)[1:]:
        heading, _, rest = part.partition("\n")
        parts[heading] = rest.rstrip()
    parts[title] = text
    path.write_text("\n\n".join(f"# {heading}\n{rest}" for heading, rest in parts.items()) + "\n")


def surroundings(backends: Sequence[Backend], rtt_ms: float = 0) -> list[str]:
    """The machine, the versions and the settings."""
    installed = []
    for library in LIBRARIES:
        try:
            installed.append(f"{library} {version(library)}")
        except ModuleNotFoundError:
            continue
    return [
        f"machine: {_processor()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}",
        f"Python {platform.python_version()}, {', '.join(installed)}",
        ", ".join(
            [f"SQLite {sqlite3.sqlite_version}"]
            + [f"{TITLES[each.name]} {each.version}" for each in backends if each.server]
        ),
        "every database with its shipped settings and synced commits; "
        + (f"a proxy holds each message to a server back for {rtt_ms / 2:g} ms, and each from it" if rtt_ms
           else "servers on a local socket"),
        f"revision {_revision()}",
    ]


def _times(
    title: str, measured: Sequence[Measured], names: Sequence[str], of: Callable[[Samples], float]
) -> Grid:
    rows = [
        (each.call.name, str(each.statements), *(_figure(of(each.samples[name])) for name in names))
        for each in measured
    ]
    return Grid(title, ("call", "SQL", *(TITLES[name] for name in names)), rows)


def _ratios(measured: Sequence[Measured], others: Sequence[str]) -> Grid:
    """ROME's median divided by each other's: below 1, ROME takes less."""
    rows = [
        (each.call.name, *(f"{each.samples[ROME].cpu_ms / each.samples[name].cpu_ms:.2f}" for name in others))
        for each in measured
    ]
    return Grid("CPU of ROME ÷ the other's", ("call", *(TITLES[name] for name in others)), rows)


def _speed(measured: Sequence[Measured], mine: str, others: Sequence[str]) -> Grid:
    """Each other's elapsed median divided by that of `mine`: how many times faster ROME is."""
    rows = [
        (each.call.name, *(f"{each.samples[name].wall_ms / each.samples[mine].wall_ms:.1f}" for name in others))
        for each in measured
    ]
    for title, calls in (("all that read, together", False), ("all that write, together", True)):
        chosen = [each for each in measured if each.call.writes is calls]
        if chosen:
            times = {name: sum(each.samples[name].wall_ms for each in chosen) for name in (mine, *others)}
            rows.append((title, *(f"{times[name] / times[mine]:.1f}" for name in others)))
    return Grid(f"How many times faster {TITLES[mine]} is", ("call", *(TITLES[name] for name in others)), rows)


def _work(measured: Sequence[Measured]) -> Grid:
    """What a call asks of ROME's store, on average."""
    counters = ("waves", "round_trips", "keys", "bytes_read")
    rows = [
        (each.call.name, str(each.statements), *(f"{each.work.per_call(counter):.1f}" for counter in counters))
        for each in measured
        if each.work
    ]
    return Grid("ROME's work a call (mean)", ("call", "SQL", "waves", "round trips", "keys", "bytes read"), rows)


def _figure(milliseconds: float) -> str:
    """Two significant digits, or all before the point."""
    digits = 2 if milliseconds < 1 else 1 if milliseconds < 10 else 0
    return f"{milliseconds:.{digits}f}"


def _markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    return done.stdout.strip() or "unknown"
