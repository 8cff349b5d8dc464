"""`make bench ARGS='…'`: measure Glance's calls and print the tables."""

from __future__ import annotations

import functools
import logging
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console

from bench import nova_schema, report
from bench.backends import MARIADB, POSTGRESQL, REDIS, ROME, SQLITE, disk_bytes, open_backends, open_floor
from bench.catalogue import make_catalogue
from bench.glance_calls import CALLS
from bench.measure import WrongAnswer, measure
from bench.servers import ServerFailed
from glance_compat.db import connect

EVERY = (ROME, REDIS, SQLITE, MARIADB, POSTGRESQL)
SERVERS = (REDIS, MARIADB, POSTGRESQL)
REPORT_COLUMNS = 160  # where no terminal says how wide it is
RESULTS = Path(__file__).with_name("RESULTS.md")


@click.command()
@click.option("--images", default=1000, show_default=True, type=click.IntRange(1000), help="Images in the catalogue.")
@click.option("--rounds", default=30, show_default=True, type=click.IntRange(3), help="Rounds of each call.")
@click.option("--databases", help="Some of " + ", ".join(EVERY) + "; a server not installed is left out.")
@click.option("--rtt-ms", default=0.0, type=click.FloatRange(0), help="Put the servers a network's round trip away.")
@click.option("--calls", default="", help="Only the calls whose names hold this text.")
@click.option("--write", is_flag=True, help="Write the tables to bench/RESULTS.md as well.")
def main(images: int, rounds: int, databases: str | None, rtt_ms: float, calls: str, write: bool) -> None:
    """Glance's DB API on ROME and on SQL servers, in one run: processor time and elapsed time a call.

    Every answer is compared between the databases. Without --calls, Nova's schema is made and dropped as well.
    """
    names = databases.split(",") if databases else list(SERVERS if rtt_ms else EVERY)
    if unknown := set(names) - set(EVERY):
        raise click.BadParameter(f"no such database: {', '.join(sorted(unknown))}", param_hint="--databases")
    chosen = [call for call in CALLS if calls in call.name]
    if not chosen:
        raise click.BadParameter(f"no call holds {calls!r}", param_hint="--calls")
    console = Console(width=None if sys.stdout.isatty() else REPORT_COLUMNS)
    say = functools.partial(click.echo, err=True)
    logging.disable(logging.WARNING)
    directory = Path(tempfile.mkdtemp(prefix="rome-bench-"))
    directory.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        connect("sqlite://")  # reads Glance's settings, as every Glance process does before its first call
        catalogue = make_catalogue(images)
        try:
            backends = open_backends(names, directory, catalogue, say, stack, rtt_ms)
            floor = open_floor(directory, catalogue, stack)
            measured = measure(chosen, backends, floor, catalogue, rounds, say)
        except (WrongAnswer, ServerFailed) as failure:
            sys.exit(f"bench: {failure}")
        tables = report.grids(measured, backends, rtt_ms)
        if not calls and not rtt_ms:
            if nova_schema.is_installed():
                say("Nova's schema, made and dropped")
                tables.append(nova_schema.grid(nova_schema.measure_schema(rounds)))
            else:
                say("leaving Nova's schema out: it is not installed: pip install nova==34.0.0")
        report.show(console, tables)
        for line in report.surroundings(backends, rtt_ms):
            console.print(line, highlight=False)
        if write:
            disk = {each.name: disk_bytes(directory / each.name) for each in backends}
            command = "make bench ARGS='" + " ".join(sys.argv[1:]) + "'"
            report.write_page(RESULTS, tables, backends, catalogue, rounds, command, disk, rtt_ms)


if __name__ == "__main__":
    main()
