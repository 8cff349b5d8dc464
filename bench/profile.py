"""`python -m bench.profile`: where the processor time of a few reads goes, room by room; `--write` keeps the page.

After every few milliseconds of processor time the stack is looked at, and they are counted for the room of the
innermost frame that lies in one: what a library or the interpreter does is its caller's. A call's time is measured
before, without anyone looking.
"""

from __future__ import annotations

import gc
import logging
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import click

from bench.backends import REDIS, ROME, TITLES, Backend, open_backends
from bench.catalogue import SEED, Catalogue
from bench.glance_calls import CALLS, Call, Contexts
from bench.setting import find_setting
from glance_compat.db import connect

CALLS_SHOWN = ("image_get", "list 25, biggest tenant", "list 25, admin")
DATABASES = (ROME, REDIS)
LOOK_EVERY_S = 0.004  # of processor time: Linux looks no oftener
WARM_UP = 20
SAMPLES = 60
PAGE = Path(__file__).with_name("PROFILE.md")

# The first room that a frame's module is of, by how the module's name begins.
ROOMS = {
    "rome.dialect": "ROME: dialect",
    "rome.txn.wave": "ROME: operators",
    "rome.txn.retry": "ROME: connection, transaction, journal",
    "rome.txn.leases": "ROME: connection, transaction, journal",
    "rome.txn": "ROME: what was read, expected, known",
    "rome.driver": "ROME: driver, with its client library",
    "rome.sql.execute": "ROME: operators",
    "rome.sql": "ROME: start of a statement",
    "rome.table": "ROME: keys and rows, to bytes and back",
    "rome": "ROME: connection, transaction, journal",
    "glance": "Glance",
    "oslo": "oslo",
    "sqlalchemy": "SQLAlchemy",
}
ELSEWHERE = "the bench itself"
SERVER = "redis-server"


@dataclass(frozen=True)
class Profile:
    """One call on one database: processor time of client and of server in µs, and the client's by room."""

    call: str
    database: str
    client_us: float
    server_us: float
    rooms: dict[str, float]

    @property
    def rome_us(self) -> float:
        """What is ROME's own, with the driver and its client library, without the server."""
        return sum(us for room, us in self.rooms.items() if room.startswith("ROME"))


def room_of(frame: FrameType | None) -> str:
    """The room of the innermost frame that lies in one."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))  # the code of an expression has none: it is its operator's
        for beginning, room in ROOMS.items():
            if module.startswith(beginning):
                return room
        frame = frame.f_back
    return ELSEWHERE


@contextmanager
def looking(found: Counter[str]) -> Iterator[None]:
    """Count in `found` where this thread is, time and again."""

    def look(number: int, frame: FrameType | None) -> None:
        found[room_of(frame)] += 1

    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, LOOK_EVERY_S, LOOK_EVERY_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def profile(call: Call, backend: Backend, catalogue: Catalogue, looks: int) -> Profile:
    """`call` on `backend`, looked at so many times."""
    chance, contexts = random.Random(f"{SEED} {call.name}"), Contexts()
    given = [call.choose(catalogue, chance, number) for number in range(SAMPLES)]
    client: list[int] = []
    found: Counter[str] = Counter()
    with backend.selected() as api:
        for number in range(WARM_UP):
            call.run(api, contexts, given[number])
        gc.collect()
        gc.disable()
        try:
            server_before = backend.server_cpu_ns()
            for arguments in given:
                before = time.process_time_ns()
                call.run(api, contexts, arguments)
                client.append(time.process_time_ns() - before)
            server_ns = (backend.server_cpu_ns() - server_before) / len(given)
            with looking(found):
                while found.total() < looks:
                    for arguments in given:
                        call.run(api, contexts, arguments)
                    gc.collect(0)
        finally:
            gc.enable()
    client_us = statistics.quantiles(client, n=4)[0] / 1000
    rooms = {room: client_us * count / found.total() for room, count in found.items()}
    return Profile(call.name, backend.name, client_us, server_ns / 1000, rooms)


def page(profiles: list[Profile], images: int, setting: list[str]) -> str:
    """The profiles as a table, a column each."""
    rooms = [*dict.fromkeys(ROOMS.values()), ELSEWHERE]
    head = ["µs a call", *[f"{each.call}, {TITLES[each.database]}" for each in profiles]]
    rows = [head, ["---", *["---:"] * len(profiles)]]
    rows += [[room, *[f"{each.rooms.get(room, 0.0):,.0f}" for each in profiles]] for room in rooms]
    rows.append([SERVER, *[f"{each.server_us:,.0f}" for each in profiles]])
    rows.append(["**all**", *[f"**{each.client_us + each.server_us:,.0f}**" for each in profiles]])
    rows.append(["**ROME's own**", *[f"**{each.rome_us:,.0f}**" for each in profiles]])
    lines = [
        "# Where the processor time of a read goes",
        "",
        f"`python -m bench.profile --write`: {images:,} images, calls that were made before. The stack was looked at",
        f"after every {LOOK_EVERY_S * 1000:g} ms of processor time, which counts for the room of the innermost frame",
        "that lies in one. The client's time is the lower quartile of the calls; *ROME's own* is without the server.",
        "",
        *[f"- {line}" for line in setting],
        "",
        *["| " + " | ".join(row) + " |" for row in rows],
    ]
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--images", default=1000, show_default=True, type=click.IntRange(1000), help="Images in the catalogue.")
@click.option("--looks", default=1500, show_default=True, type=click.IntRange(10), help="How often, at each call.")
@click.option("--write", is_flag=True, help="Write the table to bench/PROFILE.md as well.")
def main(images: int, looks: int, write: bool) -> None:
    """Where the processor time of a few of Glance's reads goes on LMDB and on Redis."""
    logging.disable(logging.WARNING)
    directory = Path(tempfile.mkdtemp(prefix="rome-profile-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        connect("sqlite://")  # reads Glance's settings, as every Glance process does before its first call
        catalogue = Catalogue(images)
        backends = open_backends(list(DATABASES), directory, catalogue, partial(click.echo, err=True), stack)
        calls = [call for call in CALLS if call.name in CALLS_SHOWN]
        profiles = [profile(call, backend, catalogue, looks) for call in calls for backend in backends]
        setting = find_setting(backends)
    text = page(profiles, images, [line for line in setting.lines if "SQLite" not in line])
    sys.stdout.write(text)
    if write:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
