"""What was measured, as it is kept: one JSON file a run and size in bench/results, from which the page is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

Group = Literal["point", "list", "change"]  # what a call is judged with


@dataclass(frozen=True)
class Spread:
    """The quartiles of a call's rounds, in ms."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Work:
    """What a call asked of ROME's store, on average over all rounds."""

    waves: float
    round_trips: float
    keys: float
    bytes_read: float


@dataclass(frozen=True)
class Wire:
    """What passed between client and server a call, on average, counted by a proxy between them."""

    sent_bytes: float
    received_bytes: float
    round_trips: float

    @property
    def total_bytes(self) -> float:
        return self.sent_bytes + self.received_bytes


@dataclass(frozen=True)
class CallResult:
    """One call: how many SQL statements it was in its last round, and what it took, by database.

    `cpu` is client and server together. `work` has ROME's databases, `wire` those on a server.
    """

    name: str
    group: Group
    writes: bool
    statements: int
    rounds: int
    cpu: dict[str, Spread]
    wall: dict[str, Spread]
    work: dict[str, Work] = field(default_factory=dict)
    wire: dict[str, Wire] = field(default_factory=dict)

    def cpu_ms(self, database: str) -> float:
        return self.cpu[database].median

    def wall_ms(self, database: str) -> float:
        return self.wall[database].median


@dataclass(frozen=True)
class Loaded:
    """How long a database took to load the catalogue (None: it was copied), and to add the indexes (None: none)."""

    name: str
    version: str
    load_s: float | None
    tune_s: float | None
    disk_bytes: int


@dataclass(frozen=True)
class Setting:
    """What a result was measured on: `lines` are the machine, versions and settings, `command` repeats it."""

    command: str
    lines: list[str]


@dataclass(frozen=True)
class CallsResult:
    """All calls at one size of the catalogue; with `rtt_ms` at round trips of so long."""

    setting: Setting
    images: int
    rtt_ms: float
    databases: list[Loaded]
    calls: list[CallResult]

    @property
    def file_name(self) -> str:
        return f"calls-{self.images}" + (f"-rtt-{self.rtt_ms:g}ms" if self.rtt_ms else "") + ".json"

    def names(self) -> list[str]:
        return [each.name for each in self.databases]


@dataclass(frozen=True)
class MixedRun:
    """So many processes with 80 % reads: processor time of all of them and of the server."""

    database: str
    processes: int
    operations: int
    refused: int
    cpu_s: float
    wall_s: float

    @property
    def per_core_second(self) -> float:
        return self.operations / self.cpu_s

    @property
    def per_second(self) -> float:
        return self.operations / self.wall_s


@dataclass(frozen=True)
class HotRun:
    """So many processes that update the same few images; `refused` is what ended in an error."""

    database: str
    processes: int
    images: int
    updates: int
    refused: int
    wall_s: float

    @property
    def per_second(self) -> float:
        return self.updates / self.wall_s


@dataclass(frozen=True)
class LoadResult:
    """Many processes at once, on a catalogue of one size."""

    setting: Setting
    images: int
    mixed: list[MixedRun]
    hot: list[HotRun]

    @property
    def file_name(self) -> str:
        return f"load-{self.images}.json"


@dataclass(frozen=True)
class SchemaResult:
    """create_all and drop_all of Nova's tables together, CPU ms: a process's first, and the median of the others.

    By database, "rome" and "sqlite".
    """

    setting: Setting
    tables: int
    rounds: int
    first_ms: dict[str, float]
    later_ms: dict[str, float]
    file_name = "nova-schema.json"

    @property
    def ratio(self) -> float:
        return self.later_ms["rome"] / self.later_ms["sqlite"]


@dataclass
class Results:
    """Everything there is to render; `calls` and `load` by size, smallest first."""

    calls: list[CallsResult] = field(default_factory=list)
    far: list[CallsResult] = field(default_factory=list)  # at round trips that take time
    load: list[LoadResult] = field(default_factory=list)
    schema: SchemaResult | None = None

    def at(self, images: int) -> CallsResult | None:
        return next((each for each in self.calls if each.images == images), None)


Result = CallsResult | LoadResult | SchemaResult


def collect(found: Sequence[Result]) -> Results:
    calls = [each for each in found if isinstance(each, CallsResult)]
    return Results(
        sorted((each for each in calls if not each.rtt_ms), key=lambda each: each.images),
        sorted((each for each in calls if each.rtt_ms), key=lambda each: (each.rtt_ms, each.images)),
        sorted((each for each in found if isinstance(each, LoadResult)), key=lambda each: each.images),
        next((each for each in found if isinstance(each, SchemaResult)), None),
    )


def keep(directory: Path, result: Result) -> None:
    """Write `result` in place of an earlier one of the same kind and size."""
    directory.mkdir(exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(_rounded(msgspec.to_builtins(result))), indent=1)
    (directory / result.file_name).write_bytes(encoded + b"\n")


def read_kept(directory: Path) -> Results:
    kinds = {"calls-*.json": CallsResult, "load-*.json": LoadResult, "nova-*.json": SchemaResult}
    return collect([
        msgspec.json.decode(path.read_bytes(), type=kind)
        for pattern, kind in kinds.items()
        for path in sorted(directory.glob(pattern))
    ])  # fmt: skip


def _rounded(value: object) -> object:
    """Figures to a thousandth: more digits than anything measured here has."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value
