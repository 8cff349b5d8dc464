"""`make bench ARGS='…'`: measure Glance's calls, print the tables, keep the results and write the page."""

from __future__ import annotations

import functools
import logging
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench import report
from bench.backends import KINDS, MARIADB, POSTGRESQL, REDIS_TUNED, ROME, SQLITE, TUNED, UNSYNCED
from bench.glance_calls import CALLS
from bench.goals import goals_grid
from bench.measure import WrongAnswer
from bench.page import write_page
from bench.report import Grid
from bench.results import CallsResult, LoadResult, Result, collect, keep, read_kept
from bench.run import Plan, filled, measure_schema
from bench.servers import ServerFailed

EVERY = (ROME, TUNED, UNSYNCED, REDIS_TUNED, SQLITE, MARIADB, POSTGRESQL)
FAR = (REDIS_TUNED, MARIADB, POSTGRESQL)
PARTS = ("calls", "load", "nova")
LEAST_IMAGES = 1000
REPORT_COLUMNS = 220  # where no terminal says how wide it is
HERE = Path(__file__).parent
PAGE, KEPT = HERE / "RESULTS.md", HERE / "results"


class Sizes(click.ParamType):
    """Sizes of the catalogue, with commas between them."""

    name = "sizes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        try:
            sizes = [int(each) for each in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is not made of whole numbers", param, ctx)
        if min(sizes) < LEAST_IMAGES:
            self.fail(f"the calls need {LEAST_IMAGES:,} images at least", param, ctx)
        return sizes


class Some(click.ParamType):
    """Some of a few names, with commas between them."""

    name = "names"

    def __init__(self, *names: str) -> None:
        self._names = names

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        chosen = value.split(",")
        if unknown := sorted(set(chosen) - set(self._names)):
            self.fail(f"there is no {', '.join(unknown)}; there are {', '.join(self._names)}", param, ctx)
        return [name for name in self._names if name in chosen]


@click.command()
@click.option(
    "--images", type=Sizes(), multiple=True, default=[str(LEAST_IMAGES)], show_default=True,
    help="Images in the catalogue: 1000,20000,200000, or the option several times.",
)
@click.option("--rounds", default=30, show_default=True, type=click.IntRange(3), help="Rounds of each call.")
@click.option(
    "--call-s", default=15.0, show_default=True, type=click.FloatRange(0),
    help="Rounds of one call end after so many seconds, though not before the fifth.",
)
@click.option(
    "--databases", type=Some(*KINDS), default=None,
    help=f"Some of {', '.join(KINDS)}. [default: {','.join(EVERY)}] A server not installed is left out.",
)
@click.option(
    "--parts", type=Some(*PARTS), default=",".join(PARTS), show_default=True,
    help="calls: every call, databases in turns. load: many clients at once, on the first size: 80 % reads by 1 and 8 "
    "processes, and 8 that update the same 1 and 50 images. nova: Nova's schema, made and dropped.",
)
@click.option("--rtt-ms", default=0.0, type=click.FloatRange(0), help="Calls alone, the servers a round trip away.")
@click.option("--calls", default="", help="Only the calls whose names hold this text.")
@click.option(
    "--hot-s", default=5.0, show_default=True, type=click.FloatRange(0, min_open=True),
    help="For how long the same images are updated.",
)
@click.option("--brief", is_flag=True, help="Print one table a size: ratios of CPU, waves and keys.")
@click.option(
    "--write", is_flag=True,
    help="Keep each result in bench/results as soon as it is there, and render bench/RESULTS.md from all.",
)
@click.option("--render", is_flag=True, help="Measure nothing; render bench/RESULTS.md from the results kept.")
def main(
    images: tuple[list[int], ...], rounds: int, call_s: float, databases: list[str] | None, parts: list[str],
    rtt_ms: float, calls: str, hot_s: float, brief: bool, write: bool, render: bool,
) -> None:  # fmt: skip
    """Glance's DB API on ROME and on SQL servers: processor time, elapsed time, waves, bytes, many clients.

    Every answer is compared between the databases. A run may be split by size and by part, and the page still shows
    them all: each size and part is kept in a file of its own.
    """
    if write and calls:
        raise click.UsageError("only all calls together are kept: --write and --calls exclude each other")
    if render:
        write_page(PAGE, read_kept(KEPT))
        return
    chosen = [call for call in CALLS if calls in call.name]
    if not chosen:
        raise click.BadParameter(f"no call holds {calls!r}", param_hint="--calls")
    logging.disable(logging.WARNING)
    console = Console(width=None if sys.stdout.isatty() else REPORT_COLUMNS)
    say = functools.partial(_say, time.monotonic())
    plan = Plan(databases or list(FAR if rtt_ms else EVERY), chosen, rounds, call_s, hot_s, rtt_ms)
    found: list[Result] = []

    def deliver(result: Result | None) -> None:
        if result is not None:
            found.append(result)
            report.show(console, _grids(result, brief))
            if write:  # what comes after may be cut off
                keep(KEPT, result)
                write_page(PAGE, read_kept(KEPT))

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("bench: told to end"))  # servers and files go, too
    try:
        _run(plan, sorted({size for each in images for size in each}), ["calls"] if rtt_ms else parts, say, deliver)
    except (WrongAnswer, ServerFailed) as failure:
        sys.exit(f"bench: {failure}")
    if not brief:
        results = read_kept(KEPT) if write else collect(found)
        report.show(console, [*report.growth_grids(results.calls), goals_grid(results)])
        for line in found[-1].setting.lines if found else ():
            console.print(line, highlight=False)


def _run(
    plan: Plan, sizes: list[int], parts: list[str], say: Callable[[str], None],
    deliver: Callable[[Result | None], None],
) -> None:  # fmt: skip
    for size in sizes:
        many = "load" in parts and size == sizes[0]
        if "calls" in parts or many:
            with filled(plan, size, say) as databases:
                if "calls" in parts:
                    deliver(databases.measure_calls())
                if many:
                    deliver(databases.measure_load())
    if "nova" in parts:
        deliver(measure_schema(plan.rounds, say))


def _grids(result: Result, brief: bool) -> list[Grid]:
    if isinstance(result, CallsResult):
        return [report.brief_grid(result)] if brief else [*report.call_grids(result), report.loading_grid([result])]
    if isinstance(result, LoadResult):
        return report.load_grids(result)
    return [report.schema_grid(result)]


def _say(begun: float, line: str) -> None:
    click.echo(f"{time.monotonic() - begun:6.0f} s  {line}", err=True)


if __name__ == "__main__":
    main()
