"""The page bench/RESULTS.md and its plots, from the results that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import plots
from bench.goals import goals_grid
from bench.report import Grid, call_grids, growth_grids, load_grids, loading_grid, schema_grid
from bench.results import Results, Setting

INTRODUCTION = """\
Rendered by `make bench ARGS=--render` from [results](results), one JSON file a run and size, which
`make bench ARGS='… --write'` leaves there. Each database is filled with the same images and asked the same, in turns
within one process; every answer was compared between the databases. The replay floor is Glance, oslo.db and SQLAlchemy
over a driver that answers at once with recorded rows. Processor time is that of client and server together; every
figure is a median, and [results](results) have the quartiles. *Tuned* is with the indexes that Glance's schema lacks
and `glance-on-rome tune` adds; *unsynced* with commits that do not wait for the disk."""
PLOTS = {"growth.svg": "Processor time against images", "round-trips.svg": "Sequential round trips a call"}


def write_page(path: Path, results: Results) -> None:
    """In place of an earlier one, the plots beside it."""
    drawn = {each.name for each in plots.write_plots(path.parent, results)}
    lines = ["# Glance's calls, measured", "", INTRODUCTION, "", *_section(goals_grid(results))]
    if results.calls:
        lines += _section(loading_grid(results.calls))
    for grid in growth_grids(results.calls):
        lines += _section(grid)
    for name, words in PLOTS.items():
        if name in drawn:
            lines += [f"## {words}", "", f"![{words}]({name})", ""]
    for load in results.load:
        lines += _part(f"Many clients, {load.images:,} images", load.setting, load_grids(load))
    for calls in results.calls:
        lines += _part(f"{calls.images:,} images", calls.setting, call_grids(calls))
    for calls in results.far:
        title = f"Round trips of {calls.rtt_ms:g} ms, {calls.images:,} images"
        lines += _part(title, calls.setting, call_grids(calls))
    if results.schema:
        lines += _part("Making and dropping a schema", results.schema.setting, [schema_grid(results.schema)])
    path.write_text("\n".join(lines).rstrip() + "\n")


def _part(title: str, setting: Setting, grids: Sequence[Grid]) -> list[str]:
    lines = [f"# {title}", "", f"`{setting.command}`", "", *(f"- {line}" for line in setting.lines), ""]
    for grid in grids:
        lines += _section(grid)
    return lines


def _section(grid: Grid) -> list[str]:
    rule = ("---",) + ("---:",) * (len(grid.head) - 1)
    return [f"## {grid.title}", "", *map(_markdown, (grid.head, rule, *grid.rows)), ""]


def _markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
