"""One size of the catalogue: fill the databases and measure what is asked for."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import load, nova_schema
from bench.backends import MARIADB, POSTGRESQL, REDIS_TUNED, TUNED, Backend, Say, open_backends, open_floor
from bench.catalogue import Catalogue
from bench.glance_calls import Call
from bench.measure import Bench
from bench.results import CallsResult, LoadResult, SchemaResult
from bench.setting import find_setting
from glance_compat.db import connect

LOADED = (TUNED, REDIS_TUNED, MARIADB, POSTGRESQL)  # those that many clients use at once
MIXED_OPERATIONS = 2400


@dataclass(frozen=True)
class Plan:
    """What is asked for. Rounds of one call end after `call_s` seconds; hot images are updated for `hot_s`."""

    databases: list[str]
    calls: list[Call]
    rounds: int
    call_s: float
    hot_s: float
    rtt_ms: float = 0


@dataclass
class Filled:
    """The databases with a catalogue of one size in each."""

    plan: Plan
    catalogue: Catalogue
    directory: Path
    backends: list[Backend]
    stack: ExitStack
    say: Say

    def measure_calls(self) -> CallsResult:
        plan = self.plan
        floor = open_floor(self.directory, self.catalogue, self.backends, self.say, self.stack)
        bench = Bench(self.backends, floor, self.catalogue, far=plan.rtt_ms > 0)
        setting = find_setting(self.backends, plan.rtt_ms)
        loaded = [each.loaded for each in self.backends if each.loaded]
        measured = bench.measure(plan.calls, plan.rounds, plan.call_s, self.say)
        return CallsResult(setting, self.catalogue.images, plan.rtt_ms, loaded, measured)

    def measure_load(self) -> LoadResult:
        """After the calls: the databases do not stay alike."""
        chosen = [backend for backend in self.backends if backend.name in LOADED]
        mixed = [
            load.run_mixed(backend, self.catalogue, processes, MIXED_OPERATIONS, self.say)
            for processes in load.MIXED_PROCESSES
            for backend in chosen
        ]
        hot = [
            load.run_hot(backend, self.catalogue, images, self.plan.hot_s, self.say)
            for images in load.HOT_IMAGES
            for backend in chosen
        ]
        return LoadResult(find_setting(chosen), self.catalogue.images, mixed, hot)


@contextmanager
def filled(plan: Plan, images: int, say: Say) -> Iterator[Filled]:
    """The databases of `plan` in a directory of their own, gone at the end."""
    directory = Path(tempfile.mkdtemp(prefix="rome-bench-"))
    directory.chmod(0o755)  # PostgreSQL may be another user
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        connect("sqlite://")  # reads Glance's settings, as every Glance process does before its first call
        catalogue = Catalogue(images)
        backends = open_backends(plan.databases, directory, catalogue, say, stack, plan.rtt_ms)
        yield Filled(plan, catalogue, directory, backends, stack, say)


def measure_schema(rounds: int, say: Say) -> SchemaResult | None:
    """Nova's, made and dropped; None where Nova is not installed."""
    if not nova_schema.is_installed():
        say("leaving Nova's schema out: it is not installed: pip install nova==34.0.0")
        return None
    say("Nova's schema, made and dropped")
    return nova_schema.measure_schema(rounds, find_setting())
