"""Many clients at once: a mixed load, and images that everyone updates.

Each client is a process of its own, as Glance's are. They begin together, when all have made their first call, and stay
connected until the server's processor time is read.
"""

from __future__ import annotations

import logging
import multiprocessing
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Literal

from glance.common import exception
from oslo_db import exception as db_exception
from sqlalchemy.exc import SQLAlchemyError

from bench.backends import TITLES, Backend, Say, open_manager
from bench.catalogue import BIGGEST, SEED, Catalogue
from bench.glance_calls import CALLS, Arguments, Call, Contexts
from bench.results import HotRun, MixedRun
from glance_compat.db import connect

MIXED_PROCESSES = (1, 8)
HOT_PROCESSES = 8
HOT_IMAGES = (1, 50)
# What is drawn stands here as often, of twenty, as it is drawn: 80 % reads.
MIX = (
    *("image_get",) * 10, *("list 25, small tenant",) * 2, *("list 25, middling tenant",) * 2, "list 25, admin",
    "tags of an image", *("image_update, 2 properties",) * 2, "image_create, 3 properties", "tag_set_all",
)  # fmt: skip
HOT_CALL = "image_update, 2 properties"
WARM_UP_STEPS = {"mixed": 50, "hot": 5}
BY_NAME = {call.name: call for call in CALLS}
REFUSED = (db_exception.DBError, exception.GlanceException, SQLAlchemyError)


@dataclass(frozen=True)
class Client:
    """What one process does: `operations` of the mix, or updates of `hot_images` images for `seconds`."""

    url: str
    images: int
    number: int
    kind: Literal["mixed", "hot"]
    operations: int = 0
    hot_images: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Done:
    """What became of it; `cpu_s` is the process's own, `ended` the moment on the machine's monotonic clock."""

    succeeded: int
    refused: int
    cpu_s: float
    ended: float


def run_mixed(backend: Backend, catalogue: Catalogue, processes: int, operations: int, say: Say) -> MixedRun:
    """`operations` operations in all, 80 % of them reads."""
    say(f"{TITLES[backend.name]}: mixed load of {processes} processes")
    clients = [
        Client(backend.url, catalogue.images, number, "mixed", operations // processes) for number in range(processes)
    ]
    done, server_s, wall_s = _run(backend, clients)
    cpu_s = sum(each.cpu_s for each in done) + server_s
    succeeded, refused = sum(each.succeeded for each in done), sum(each.refused for each in done)
    return MixedRun(backend.name, processes, succeeded, refused, cpu_s, wall_s)


def run_hot(backend: Backend, catalogue: Catalogue, images: int, seconds: float, say: Say) -> HotRun:
    """For `seconds`, every process updates images drawn from the same `images`, one after the other.

    What is done by then counts. An update that is still under way then does not, and nobody waits for it: one that was
    refused may sleep in oslo.db while all the others have ended.
    """
    say(f"{TITLES[backend.name]}: {HOT_PROCESSES} processes update {images} image{'s' * (images > 1)}")
    clients = [
        Client(backend.url, catalogue.images, number, "hot", hot_images=images, seconds=seconds)
        for number in range(HOT_PROCESSES)
    ]
    done, _, _ = _run(backend, clients)
    succeeded, refused = sum(each.succeeded for each in done), sum(each.refused for each in done)
    return HotRun(backend.name, HOT_PROCESSES, images, succeeded, refused, seconds)


def _run(backend: Backend, clients: list[Client]) -> tuple[list[Done], float, float]:
    """(what each client did, processor time of the server, time from the common beginning to the last end), in s."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "bench.__main__"])  # which each process would import by itself
    started: list[tuple[ForkServerProcess, Connection]] = []
    try:
        for client in clients:
            mine, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(client, theirs), daemon=True)
            process.start()
            theirs.close()
            started.append((process, mine))
        _answers(started)
        backend.read_files()
        server_before, begun = backend.server_cpu_ns(), time.monotonic()
        for _, line in started:
            line.send("begin")
        done = _answers(started)
        server_s = (backend.server_cpu_ns() - server_before) / 1e9
        return done, server_s, max(each.ended for each in done) - begun
    finally:
        for process, line in started:
            line.close()  # which ends it
            process.join()


def _answers(started: list[tuple[ForkServerProcess, Connection]]) -> list[Any]:
    """What each client says next; EOFError if one has ended."""
    return [line.recv() for _, line in started]


# In a client's process


def _serve(client: Client, line: Connection) -> None:
    """Say when ready, begin when told to, say what was done, and stay connected until the other end closes."""
    logging.disable(logging.WARNING)
    connect("sqlite://")  # reads Glance's settings
    with ExitStack() as stack:
        backend = Backend("client", client.url, open_manager(client.url, stack), Path())
        catalogue, contexts = Catalogue(client.images), Contexts()
        chance = random.Random(f"{SEED} {client}")
        choose = _mixed if client.kind == "mixed" else _hot
        with backend.selected() as api:

            def step(number: int) -> bool:
                call, arguments = choose(client, catalogue, chance, number)
                try:
                    call.run(api, contexts, arguments)
                except REFUSED:
                    return False
                return True

            for number in range(WARM_UP_STEPS[client.kind]):
                step(-1 - number)
            line.send("ready")
            line.recv()
            line.send(_work(client, step))
            try:
                line.recv()
            except EOFError:
                return


def _work(client: Client, step: Callable[[int], bool]) -> Done:
    succeeded = refused = number = 0
    cpu_before, ends = time.process_time(), time.monotonic() + client.seconds
    while number < client.operations or time.monotonic() < ends:
        if not step(number):
            refused += 1
        elif not client.seconds or time.monotonic() < ends:
            succeeded += 1
        number += 1
    return Done(succeeded, refused, time.process_time() - cpu_before, time.monotonic())


def _mixed(client: Client, catalogue: Catalogue, chance: random.Random, number: int) -> tuple[Call, Arguments]:
    call = BY_NAME[chance.choice(MIX)]
    if call.name == "image_create, 3 properties" or call.group == "list":
        return call, call.choose(catalogue, chance, number)
    oldest = catalogue.numbers(BIGGEST)[: len(catalogue.numbers(BIGGEST)) // 2]  # image_destroy is not among these
    return call, _update_of(client, catalogue.image_id(chance.choice(oldest)), number)


def _hot(client: Client, catalogue: Catalogue, chance: random.Random, number: int) -> tuple[Call, Arguments]:
    hottest = catalogue.numbers(BIGGEST)[: client.hot_images]
    return BY_NAME[HOT_CALL], _update_of(client, catalogue.image_id(chance.choice(hottest)), number)


def _update_of(client: Client, image_id: str, number: int) -> Arguments:
    return {"tenant": BIGGEST, "image_id": image_id, "number": f"{client.number}-{number}"}
