"""Every call, on every database, in turns."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.backends import FLOOR, Backend, tape_in_hand
from bench.catalogue import SEED, Catalogue
from bench.glance_calls import Call, Contexts
from bench.replay import Tape
from rome.database import Counters

WARM_UP_ROUNDS = 3


class WrongAnswer(Exception):
    """Two databases answered the same call differently."""


@dataclass
class Samples:
    """What the rounds of one call took on one database, in ns; `cpu` is client and server together."""

    cpu_ns: list[int] = field(default_factory=list)
    wall_ns: list[int] = field(default_factory=list)

    @property
    def cpu_ms(self) -> float:
        return statistics.median(self.cpu_ns) / 1e6

    @property
    def wall_ms(self) -> float:
        return statistics.median(self.wall_ns) / 1e6


@dataclass(frozen=True)
class Work:
    """What ROME did for the calls of all rounds together, warming up included."""

    rounds: int
    before: Counters
    after: Counters

    def per_call(self, counter: str) -> float:
        return (getattr(self.after, counter) - getattr(self.before, counter)) / self.rounds


@dataclass(frozen=True)
class Measured:
    """One call: how many SQL statements it was in its last round, its samples by database, and ROME's work."""

    call: Call
    statements: int
    samples: dict[str, Samples]
    work: Work | None


@dataclass(frozen=True)
class Turn:
    """One call with its arguments, what it must answer and its recording."""

    arguments: Any
    answer: Any
    tape: Tape


def measure(
    calls: list[Call],
    backends: list[Backend],
    floor: tuple[Backend, Backend],
    catalogue: Catalogue,
    rounds: int,
    say: Callable[[str], None],
) -> list[Measured]:
    """`rounds` rounds of each of `calls`, after a few to warm up, each round on every database before the next.

    Which database goes first changes every round. Raises WrongAnswer when one answers otherwise than SQLite did in
    the recording.
    """
    contexts = Contexts(catalogue)
    recording, replaying = floor
    measured = []
    for call in calls:
        say(f"measuring {call.name}")
        chance = random.Random(f"{SEED} {call.name}")
        turns = [
            _record(call, recording, contexts, call.choose(catalogue, chance, number))
            for number in range(rounds + WARM_UP_ROUNDS)
        ]
        order = [replaying, *backends]
        samples = {backend.name: Samples() for backend in order}
        rome = next((backend for backend in backends if backend.rome_counters()), None)
        before = rome.rome_counters() if rome else None
        gc.collect()
        gc.disable()
        try:
            for number, turn in enumerate(turns):
                for backend in order:
                    cpu_ns, wall_ns = _take(call, backend, contexts, turn)
                    if number >= WARM_UP_ROUNDS:
                        samples[backend.name].cpu_ns.append(cpu_ns)
                        samples[backend.name].wall_ns.append(wall_ns)
                order.append(order.pop(0))
                gc.collect(0)
        finally:
            gc.enable()
        after = rome.rome_counters() if rome else None
        work = Work(len(turns), before, after) if before and after else None
        measured.append(Measured(call, _statements(turns[-1].tape), samples, work))
    return measured


def _statements(tape: Tape) -> int:
    """How many statements Glance sent, oslo.db's ping and BEGIN not counted."""
    return sum(answer.sql not in ("SELECT 1", "BEGIN") for answer in tape.answers)


def _record(call: Call, recording: Backend, contexts: Contexts, arguments: Any) -> Turn:
    tape = Tape()
    with recording.selected() as api, tape_in_hand(tape):
        return Turn(arguments, call.run(api, contexts, arguments), tape)


def _take(call: Call, backend: Backend, contexts: Contexts, turn: Turn) -> tuple[int, int]:
    """Make the call once; (processor time of client and server, time on the wall), in ns."""
    turn.tape.position = 0
    with backend.selected() as api, tape_in_hand(turn.tape if backend.name == FLOOR else Tape()):
        server_before, cpu_before, wall_before = backend.server_cpu_ns(), time.process_time_ns(), time.perf_counter_ns()
        answer = call.run(api, contexts, turn.arguments)
        wall_after, cpu_after, server_after = time.perf_counter_ns(), time.process_time_ns(), backend.server_cpu_ns()
    if answer != turn.answer:
        raise WrongAnswer(
            f"{call.name} with {turn.arguments} on {backend.name}:\n{answer}\n"
            f"but SQLite in the recording:\n{turn.answer}"
        )
    return cpu_after - cpu_before + server_after - server_before, wall_after - wall_before
