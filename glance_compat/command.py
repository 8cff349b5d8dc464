"""The console command `glance-on-rome`: a real Glance on ROME, proved and served, with no question asked."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from glance_compat import schema, tuning_command
from glance_compat.failure import Failure
from glance_compat.proof import MEMBER, OWNER, UPLOAD_BYTES, Proof
from glance_compat.server import Server, check_port, serve, wait_until_healthy, watch
from glance_compat.state import DEFAULT_STORE, State, default_root, finish, prepare, shown
from glance_compat.stores import HOST, STORES, StoreServer, serve_store

EXIT_FAILED = 1
HELP = ["-h", "--help"]


class Stopped(BaseException):
    """A signal asked for the end. Not an Exception, so that nothing on the way takes it for a failure of its own."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number


class _RunUnlessNamed(click.Group):
    """The command `run` where none is named."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        if not arguments or (arguments[0] not in self.commands and arguments[0] not in HELP):
            arguments = ["run", *arguments]
        return super().parse_args(context, arguments)


def _state_option(help_text: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(
        "--state",
        "state_dir",
        envvar="ROME_STATE",
        type=click.Path(file_okay=False, path_type=Path),
        show_envvar=True,
        help=help_text,
    )


@click.group(cls=_RunUnlessNamed, context_settings={"help_option_names": HELP, "max_content_width": 120})
def main() -> None:
    """OpenStack Glance, unmodified, with its data in ROME. Without a command: run."""


@main.command()
@_state_option(
    "Directory of configuration, data, image files and logs; made at the first start, reused later.  "
    "[default: var/<store>]"
)
@click.option(
    "--store",
    type=click.Choice(STORES),
    help="What keeps the data, at the first start; the server of redis or etcd is started and stopped too, with its "
    f"data below the state directory.  [default: {DEFAULT_STORE}]",
)
@click.option(
    "--connection",
    "--url",
    metavar="URL",
    help="SQLAlchemy URL of the data, at the first start, in place of --store: of a server of yours, for example "
    "rome+redis://user:password@host:6379/glance.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=9292, show_default=True, help="Port of 127.0.0.1.")
@click.option("--workers", type=click.IntRange(1), default=4, show_default=True, help="Server processes.")
@click.option("--threads", type=click.IntRange(1), default=4, show_default=True, help="Threads of each process.")
@click.option("--once", is_flag=True, help="Stop after the proof; the exit code says whether it held.")
def run(
    state_dir: Path | None,
    store: str | None,
    connection: str | None,
    port: int,
    workers: int,
    threads: int,
    once: bool,
) -> None:
    """Run OpenStack Glance, unmodified, with its data in ROME.

    Makes a state directory, starts the store's server if it is to have one of its own, brings the schema up to date
    (glance-manage db sync, load_metadefs), starts Glance under gunicorn on 127.0.0.1, proves with an HTTP client that
    it works, and serves until Ctrl-C.
    """
    if store is not None and connection is not None:
        raise click.UsageError("give --store or --connection, not both")
    if state_dir is None:
        state_dir = default_root(store, connection)
    console = Console(highlight=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop_on_signal)
    try:
        _run(console, state_dir, store, connection, port, workers, threads, once)
    except Failure as failure:
        _fail(str(failure))
    except OSError as error:
        reason = "no space is left on the device: make room" if error.errno == errno.ENOSPC else error.strerror
        _fail(f"{error.filename or state_dir}: {reason}")
    except Stopped as stopped:
        console.print("stopped, no process is left behind")
        if once:  # the proof was cut short
            sys.exit(128 + stopped.signal_number)


@main.command()
@_state_option(f"The state directory whose configuration names the store.  [default: var/{DEFAULT_STORE}]")
@click.option("--connection", "--url", metavar="URL", help="SQLAlchemy URL of the store, in place of --state.")
@click.option("--dry-run", is_flag=True, help="Say which indexes are there and which are missing; change nothing.")
@click.option("--remove", is_flag=True, help="Drop them: the schema is Glance's own again.")
def tune(state_dir: Path | None, connection: str | None, dry_run: bool, remove: bool) -> None:
    """Add the indexes that Glance's schema lacks and its lists profit from.

    Glance may be running meanwhile. What is there already is left alone.
    """
    if dry_run and remove:
        raise click.UsageError("give --dry-run or --remove, not both")
    try:
        tuning_command.tune(Console(highlight=False), state_dir, connection, dry_run, remove)
    except Failure as failure:
        _fail(str(failure))


def _stop_on_signal(signal_number: int, frame: FrameType | None) -> NoReturn:
    # the first signal ends everything in order; a second one must not interrupt that
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Stopped(signal_number)


def _fail(reason: str) -> NoReturn:
    click.echo(f"glance-on-rome: {reason}", err=True)
    sys.exit(EXIT_FAILED)


def _run(
    console: Console,
    state_dir: Path,
    store: str | None,
    connection: str | None,
    port: int,
    workers: int,
    threads: int,
    once: bool,
) -> None:
    check_port(port)
    state = prepare(state_dir, store, connection, port)
    console.print(f"state       {state.root}  ({'new' if state.is_new else 'reused'})")
    console.print(f"connection  {shown(state.connection)}")
    with _store_of(console, state) as store_server:
        with _progress(console, MofNCompleteColumn()) as progress:
            _follow(progress, "schema: glance-manage db sync", schema.count_revisions(), state, schema.sync)
            _follow(
                progress, "metadata definitions: load_metadefs", schema.count_metadefs(), state, schema.load_metadefs
            )
        finish(state)
        with serve(state, port, workers, threads) as server:
            with _progress(console) as progress:
                title = f"glance-api: {workers} processes of {threads} threads at {server.url}"
                bar = progress.add_task(title, total=None)
                wait_until_healthy(server)
                progress.update(bar, total=1, completed=1)
            image_id = _prove(console, server)
            if not once:
                _serve_on(console, server, store_server, image_id)


@contextmanager
def _store_of(console: Console, state: State) -> Iterator[StoreServer | None]:
    """The running server of the state's store; None if the state has none of its own."""
    if state.place is None:
        yield None
        return
    kind = state.place.kind
    with serve_store(state.place, console.print) as server:
        console.print(f"server      {kind.program} at {HOST}:{state.place.port}, pid {server.process.pid}")
        console.print(f"            {kind.durability}", soft_wrap=True)
        yield server


def _progress(console: Console, *counters: ProgressColumn) -> Progress:
    columns = [SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), *counters, TimeElapsedColumn()]
    if counters:
        columns.insert(2, BarColumn(bar_width=30))
    return Progress(*columns, console=console)


def _follow(
    progress: Progress, title: str, total: int, state: State, work: Callable[[State, Callable[[], None]], None]
) -> None:
    """Show `work` as one bar. What is there already from an earlier start counts as done at the end."""
    bar = progress.add_task(title, total=total)
    work(state, lambda: progress.advance(bar))
    progress.update(bar, completed=total)


def _prove(console: Console, server: Server) -> str:
    table = Table("step", "seen", "ms", title=f"proof over HTTP at {server.url}", title_justify="left")
    table.columns[2].justify = "right"
    try:
        with _progress(console, DownloadColumn(binary_units=True)) as progress:
            bar = progress.add_task("proof: upload", total=UPLOAD_BYTES)
            proof = Proof(server.url, lambda count: progress.advance(bar, count))
            for step in proof.run():
                table.add_row(step.name, step.seen, f"{step.milliseconds:.1f}")
                progress.update(bar, description=f"proof: {step.name}")
    except Failure as failure:
        raise Failure(f"the proof did not hold: {failure} (see {server.log.path})") from None
    finally:
        if table.row_count:
            console.print(table)
    console.print(f"the proof held: {table.row_count} of {table.row_count} steps")
    return proof.image_id


def _serve_on(console: Console, server: Server, store_server: StoreServer | None, image_id: str) -> None:
    console.print(
        f"\nserving at {server.url}, log in {server.log.path}; go on with\n\n"
        f"  curl -H 'X-Project-Id: {OWNER}' {server.url}/v2/images\n"
        f"  curl -H 'X-Project-Id: {MEMBER}' {server.url}/v2/images/{image_id}\n"
        f"  openstack --os-auth-type none --os-endpoint {server.url} image list\n\n"
        f"Ctrl-C stops it",
        soft_wrap=True,
    )
    watch(server, store_server, console.print)
