"""Every call, on every database, in turns."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.backends import FLOOR, Backend, Say, tape_in_hand
from bench.catalogue import SEED, Catalogue
from bench.glance_calls import Call, Contexts
from bench.replay import Tape
from bench.results import CallResult, Spread, Wire, Work
from rome.database import Counters

WARM_UP_ROUNDS = 3
LEAST_ROUNDS = 5
# Through the proxies, after as many to warm up: a remote ROME learns what a transaction reads next. The second number
# is that of calls whose time is over.
WIRE_ROUNDS, FEW_WIRE_ROUNDS = 3, 1


class WrongAnswer(Exception):
    """Two databases answered the same call differently."""


@dataclass
class Samples:
    """What the rounds of one call took on one database, in ns; `cpu` is client and server together."""

    cpu_ns: list[int] = field(default_factory=list)
    wall_ns: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Turn:
    """One call with its arguments, what it must answer and its recording."""

    arguments: Any
    answer: Any
    tape: Tape


class Bench:
    """The databases, filled alike: each call is made on all of them, so that they stay alike.

    `floor` is (the recording database, the replaying one). With `far` every call goes through the proxies.
    """

    def __init__(
        self,
        backends: list[Backend],
        floor: tuple[Backend, Backend],
        catalogue: Catalogue,
        *,
        far: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._backends = backends
        self._recording, self._replaying = floor
        self._catalogue = catalogue
        self._far = far
        self._clock = clock
        self._contexts = Contexts()

    def measure(self, calls: list[Call], rounds: int, call_s: float, say: Say) -> list[CallResult]:
        """`rounds` rounds of each of `calls`, after a few to warm up, each round on every database before the next.

        Rounds of one call end after `call_s` seconds, though not before the fifth. Which database goes first changes
        every round. Raises WrongAnswer when one answers otherwise than SQLite did in the recording.
        """
        results = []
        for call in calls:
            say(f"measuring {call.name}")
            for backend in self._backends:
                backend.read_files()
            gc.collect()
            gc.disable()
            try:
                results.append(self._measure(call, rounds, call_s))
            finally:
                gc.enable()
        return results

    def _measure(self, call: Call, rounds: int, call_s: float) -> CallResult:
        chance = random.Random(f"{SEED} {call.name}")
        order = [self._replaying, *self._backends]
        samples = {backend.name: Samples() for backend in order}
        before = {each.name: each.rome_counters(through_proxy=self._far) for each in self._backends}
        ends = self._clock() + call_s
        number = 0
        while number < WARM_UP_ROUNDS + rounds:
            if number >= WARM_UP_ROUNDS + LEAST_ROUNDS and self._clock() > ends:
                break
            turn = self._record(call, chance, number)
            for backend in order:
                cpu_ns, wall_ns = self._take(call, backend, turn, through_proxy=self._far)
                if number >= WARM_UP_ROUNDS:
                    samples[backend.name].cpu_ns.append(cpu_ns)
                    samples[backend.name].wall_ns.append(wall_ns)
            order.append(order.pop(0))
            number += 1
            gc.collect(0)
        work = {
            each.name: _work(then, now, number)
            for each in self._backends
            if (then := before[each.name]) and (now := each.rome_counters(through_proxy=self._far))
        }
        wire_rounds = FEW_WIRE_ROUNDS if self._clock() > ends else WIRE_ROUNDS
        wire = {} if self._far else self._measure_wire(call, chance, number, wire_rounds)
        return CallResult(
            call.name, call.group, call.writes, _statements(turn.tape), number - WARM_UP_ROUNDS,
            {name: _spread(each.cpu_ns) for name, each in samples.items()},
            {name: _spread(each.wall_ns) for name, each in samples.items()},
            work, wire,
        )  # fmt: skip

    def _measure_wire(self, call: Call, chance: random.Random, first: int, rounds: int) -> dict[str, Wire]:
        """A few more rounds, the servers reached through their proxies, which count what passes."""
        before: dict[str, tuple[int, int, int]] = {}
        lines = {each.name: each.line.proxy for each in self._backends if each.line}
        if not lines:
            return {}
        taking = [each for each in self._backends if call.writes or each.line]
        for number in range(2 * rounds):
            if number == rounds:
                before = {name: (it.request_bytes, it.reply_bytes, it.round_trips) for name, it in lines.items()}
            turn = self._record(call, chance, first + number)
            for backend in taking:
                self._take(call, backend, turn, through_proxy=True)
        return {
            name: Wire(
                (it.request_bytes - before[name][0]) / rounds,
                (it.reply_bytes - before[name][1]) / rounds,
                (it.round_trips - before[name][2]) / rounds,
            )
            for name, it in lines.items()
        }

    def _record(self, call: Call, chance: random.Random, number: int) -> Turn:
        arguments = call.choose(self._catalogue, chance, number)
        tape = Tape()
        with self._recording.selected() as api, tape_in_hand(tape):
            return Turn(arguments, call.run(api, self._contexts, arguments), tape)

    def _take(self, call: Call, backend: Backend, turn: Turn, *, through_proxy: bool) -> tuple[int, int]:
        """Make the call once; (processor time of client and server, time on the wall), in ns."""
        turn.tape.position = 0
        replayed = tape_in_hand(turn.tape if backend.name == FLOOR else Tape())
        with backend.selected(through_proxy=through_proxy) as api, replayed:
            server_before, cpu_before = backend.server_cpu_ns(), time.process_time_ns()
            wall_before = time.perf_counter_ns()
            answer = call.run(api, self._contexts, turn.arguments)
            wall_after = time.perf_counter_ns()
            cpu_after, server_after = time.process_time_ns(), backend.server_cpu_ns()
        if answer != turn.answer:
            raise WrongAnswer(
                f"{call.name} with {turn.arguments} on {backend.name}:\n{answer}\n"
                f"but SQLite in the recording:\n{turn.answer}"
            )
        return cpu_after - cpu_before + server_after - server_before, wall_after - wall_before


def _statements(tape: Tape) -> int:
    """How many statements Glance sent, oslo.db's ping and BEGIN not counted."""
    return sum(answer.sql not in ("SELECT 1", "BEGIN") for answer in tape.answers)


def _spread(samples_ns: list[int]) -> Spread:
    low, median, high = statistics.quantiles(samples_ns, n=4, method="inclusive")
    return Spread(low / 1e6, median / 1e6, high / 1e6)


def _work(before: Counters, after: Counters, rounds: int) -> Work:
    return Work(
        (after.waves - before.waves) / rounds,
        (after.round_trips - before.round_trips) / rounds,
        (after.keys - before.keys) / rounds,
        (after.bytes_read - before.bytes_read) / rounds,
    )
