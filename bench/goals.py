"""What ROME is meant to reach, judged from what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from bench.backends import FLOOR, MARIADB, REDIS_TUNED, ROME, TITLES, TUNED, UNSYNCED
from bench.report import PEERS, Grid, growth
from bench.results import CallResult, CallsResult, Group, Results

JUDGED = (TUNED, REDIS_TUNED, ROME)  # a column each
ON_REDIS = (REDIS_TUNED,)


class Figure(NamedTuple):
    value: float
    of: str


@dataclass(frozen=True)
class Goal:
    """`limits` by database: at most so much, or with `at_least` at least. `figures` finds what it is judged by."""

    title: str
    limits: dict[str, float]
    figures: Callable[[Results, str], Iterator[Figure]]
    at_least: bool = False
    digits: int = 2

    def verdict(self, results: Results, database: str) -> str:
        """In words: whether every figure keeps the limit, the worst of them, and how many do."""
        if database not in self.limits:
            return "–"
        limit = self.limits[database]
        figures = list(self.figures(results, database))
        if not figures:
            return "not measured"
        worst = (min if self.at_least else max)(figures)
        kept = sum(each.value >= limit if self.at_least else each.value <= limit for each in figures)
        value = f"{worst.value:,.{self.digits}f} ({worst.of})"
        if kept == len(figures):
            return f"holds: {value}"
        return f"falls short: {value}; {kept} of {len(figures)} hold"


def goals_grid(results: Results) -> Grid:
    """Every goal, with the worst figure of all sizes measured."""
    rows = [
        (goal.title, _limits(goal), *(goal.verdict(results, database) for database in JUDGED)) for goal in GOALS
    ]
    return Grid("Goals", ("goal", "limit: LMDB; Redis", *(TITLES[database] for database in JUDGED)), rows)


def _limits(goal: Goal) -> str:
    sign = "≥" if goal.at_least else "≤"
    lmdb, redis = (goal.limits.get(database) for database in (TUNED, REDIS_TUNED))
    return "; ".join(f"{sign} {limit:,g}" if limit is not None else "–" for limit in (lmdb, redis))


def _calls(results: Results, *databases: str) -> Iterator[tuple[CallsResult, CallResult]]:
    """Every call at every size where all of `databases` were measured."""
    for result in results.calls:
        if set(databases) <= {FLOOR, *result.names()}:
            for call in result.calls:
                yield result, call


def _over_floor(group: Group) -> Callable[[Results, str], Iterator[Figure]]:
    def figures(results: Results, database: str) -> Iterator[Figure]:
        for result, call in _calls(results, database):
            if call.group == group:
                yield Figure(call.cpu_ms(database) / call.cpu_ms(FLOOR), _where(call, result))

    return figures


def _changes_over_floor(results: Results, database: str) -> Iterator[Figure]:
    """On LMDB unsynced, where that was measured."""
    unsynced = any(UNSYNCED in result.names() for result in results.calls)
    return _over_floor("change")(results, UNSYNCED if database == TUNED and unsynced else database)


def _own_time(results: Results, database: str) -> Iterator[Figure]:
    for result, call in _calls(results, database):
        if call.name == "image_get":
            yield Figure(1000 * (call.cpu_ms(database) - call.cpu_ms(FLOOR)), f"at {result.images:,}")


def _growth(results: Results, database: str) -> Iterator[Figure]:
    there = [result for result in results.calls if database in result.names()]
    if len(there) < 2:
        return
    small = {call.name: call for call in there[0].calls}
    for call in there[-1].calls:
        if call.group in ("point", "list") and call.name in small:
            of = f"{call.name}, {there[0].images:,} to {there[-1].images:,}"
            yield Figure(growth(small[call.name], call, database), of)


def _beside_peers(elapsed: bool) -> Callable[[Results, str], Iterator[Figure]]:
    def figures(results: Results, database: str) -> Iterator[Figure]:
        for peer in PEERS:
            for result, call in _calls(results, database, peer):
                of = call.wall_ms if elapsed else call.cpu_ms
                yield Figure(of(database) / of(peer), f"{_where(call, result)}, {TITLES[peer]}")

    return figures


def _mixed(results: Results, database: str) -> Iterator[Figure]:
    for load in results.load:
        speed = {(run.database, run.processes): run.per_core_second for run in load.mixed}
        for name, processes in speed:
            peers = [speed[peer, processes] for peer in PEERS if (peer, processes) in speed]
            if name == database and peers:
                yield Figure(speed[name, processes] / max(peers), f"{processes} processes, {load.images:,} images")


def _hot(results: Results, database: str) -> Iterator[Figure]:
    for load in results.load:
        speed = {(run.database, run.images): run.per_second for run in load.hot}
        for name, images in speed:
            if name == database and (MARIADB, images) in speed:
                yield Figure(speed[name, images] / speed[MARIADB, images], f"{images} hot")


def _loading(results: Results, database: str) -> Iterator[Figure]:
    """At the largest size. A tuned LMDB may be a copy of the one without the indexes, which it gets afterwards."""
    sources = (database, ROME) if database == TUNED else (database,)
    speeds = [
        Figure(result.images / each.load_s, f"{result.images:,}")
        for result in results.calls
        for each in result.databases
        if each.name in sources and each.load_s
    ]
    yield from speeds[-1:]


def _bytes(results: Results, database: str) -> Iterator[Figure]:
    for result, call in _calls(results, database, MARIADB):
        if database in call.wire and MARIADB in call.wire:
            yield Figure(call.wire[database].total_bytes / call.wire[MARIADB].total_bytes, _where(call, result))


def _far(writes: bool) -> Callable[[Results, str], Iterator[Figure]]:
    def figures(results: Results, database: str) -> Iterator[Figure]:
        for result in results.far:
            chosen = [call for call in result.calls if call.writes is writes]
            for peer in PEERS:
                if {database, peer} <= set(result.names()) and chosen:
                    mine, other = (sum(call.wall_ms(name) for call in chosen) for name in (database, peer))
                    yield Figure(other / mine, f"all together, {TITLES[peer]}, {result.rtt_ms:g} ms")

    return figures


def _where(call: CallResult, result: CallsResult) -> str:
    return f"{call.name}, {result.images:,}"


def _both(lmdb: float, redis: float) -> dict[str, float]:
    return {TUNED: lmdb, ROME: lmdb, REDIS_TUNED: redis}


GOALS = (
    Goal("point calls: CPU ÷ floor", _both(1.3, 1.5), _over_floor("point")),
    Goal("changes: CPU ÷ floor, LMDB unsynced", _both(1.4, 1.6), _changes_over_floor),
    Goal("lists of 25: CPU ÷ floor", _both(1.4, 1.6), _over_floor("list")),
    Goal("image_get: CPU above the floor, µs", _both(60, 150), _own_time, digits=0),
    Goal("growth of points and lists, beside the floor's", _both(1.2, 1.2), _growth),
    Goal("CPU ÷ each peer's, every call", _both(1, 1), _beside_peers(elapsed=False)),
    Goal("elapsed ÷ each peer's, every call, synced", _both(1, 1), _beside_peers(elapsed=True)),
    Goal("mixed load: operations per core-second ÷ the better peer's", _both(2, 1.5), _mixed, at_least=True),
    Goal("hot images: updates per second ÷ MariaDB's", _both(1, 1), _hot, at_least=True),
    Goal("bulk load: images per second, at the largest size", _both(5000, 5000), _loading, at_least=True, digits=0),
    Goal("bytes on the wire ÷ MariaDB's", dict.fromkeys(ON_REDIS, 1.0), _bytes),
    Goal("far away: reads, how many times faster", dict.fromkeys(ON_REDIS, 3.5), _far(writes=False), at_least=True),
    Goal("far away: writes, how many times faster", dict.fromkeys(ON_REDIS, 2.4), _far(writes=True), at_least=True),
)
