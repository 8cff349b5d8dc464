"""The plots of the page, as SVG: cost against the size of the catalogue, and round trips a call.

The same results give the same files, byte for byte.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib import pyplot

from bench.backends import FLOOR, KINDS, MARIADB, POSTGRESQL, REDIS, REDIS_TUNED, ROME, SQLITE, TITLES, TUNED
from bench.results import CallsResult, Results

DRAWN = {
    FLOOR: ("0.5", ":"), TUNED: ("tab:blue", "-"), ROME: ("tab:blue", "--"), REDIS_TUNED: ("tab:red", "-"),
    REDIS: ("tab:red", "--"), SQLITE: ("tab:olive", "-"), MARIADB: ("tab:orange", "-"),
    POSTGRESQL: ("tab:green", "-"),
}  # fmt: skip
COLUMNS = 4
INCH = 2.6


def write_plots(directory: Path, results: Results) -> list[Path]:
    """Those that there are figures for."""
    written = []
    with matplotlib.rc_context({"svg.hashsalt": "rome", "svg.fonttype": "none", "font.size": 8}):
        if len(results.calls) > 1:
            written.append(_save(_growth(results.calls), directory / "growth.svg"))
        if results.calls and any(call.wire for call in results.calls[0].calls):
            written.append(_save(_round_trips(results.calls[0]), directory / "round-trips.svg"))
    return written


def _save(figure: pyplot.Figure, path: Path) -> Path:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n")
    return path


def _growth(results: list[CallsResult]) -> pyplot.Figure:
    """A field a call: CPU ms against images, both logarithmic, a line a database; all fields have one scale."""
    calls = [call.name for call in results[0].calls]
    rows = -(-len(calls) // COLUMNS)
    figure, fields = pyplot.subplots(
        rows, COLUMNS, figsize=(COLUMNS * INCH, rows * INCH * 0.8), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for field in fields.flat[len(calls) :]:
        field.set_visible(False)
    for name, field in zip(calls, fields.flat, strict=False):
        field.set_title(name, fontsize=7)
        field.set_xscale("log")
        field.set_yscale("log")
        field.minorticks_off()
        field.xaxis.set_major_formatter("{x:,.0f}")
        field.yaxis.set_major_formatter("{x:,g}")
        field.grid(visible=True, linewidth=0.3)
        for database, (colour, style) in DRAWN.items():
            points = [
                (result.images, call.cpu_ms(database))
                for result in results
                for call in result.calls
                if call.name == name and database in call.cpu
            ]
            if points:
                field.plot(*zip(*points, strict=True), style, color=colour, marker=".", label=TITLES[database])
    lines, labels = fields.flat[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=4)
    figure.supxlabel("images")
    figure.supylabel("CPU of client and server, ms")
    return figure


def _round_trips(result: CallsResult) -> pyplot.Figure:
    """A bar a call and server."""
    calls = [call for call in result.calls if call.wire]
    names = [name for name in KINDS if name in calls[0].wire]
    height = 0.8 / len(names)
    figure, field = pyplot.subplots(figsize=(COLUMNS * INCH, len(calls) * 0.3 + 1), layout="constrained")
    for number, name in enumerate(names):
        places = [place + number * height for place in range(len(calls))]
        field.barh(
            places, [call.wire[name].round_trips for call in calls], height,
            label=TITLES[name], color=DRAWN[name][0], hatch="//" if DRAWN[name][1] == "--" else None,
        )  # fmt: skip
    field.set_yticks([place + 0.4 - height / 2 for place in range(len(calls))], [call.name for call in calls])
    field.invert_yaxis()
    field.set_xlabel("sequential round trips a call")
    field.grid(visible=True, axis="x", linewidth=0.3)
    field.legend(loc="lower right")
    return figure
