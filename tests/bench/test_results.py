"""Results are kept as they were measured, judged as the goals say, and rendered alike each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import page
from bench.backends import FLOOR, MARIADB, POSTGRESQL, REDIS_TUNED, ROME, TUNED, UNSYNCED
from bench.goals import GOALS, Goal, goals_grid
from bench.report import brief_grid, growth_grids, loading_grid
from bench.results import (
    CallResult,
    CallsResult,
    HotRun,
    Loaded,
    LoadResult,
    MixedRun,
    Results,
    SchemaResult,
    Setting,
    Spread,
    Wire,
    Work,
    collect,
    keep,
    read_kept,
)  # fmt: skip

SETTING = Setting("make bench ARGS='--write'", ["machine: some", "revision some"])
CPU_MS = {FLOOR: 1.0, TUNED: 1.2, UNSYNCED: 1.1, REDIS_TUNED: 1.4, MARIADB: 2.0, POSTGRESQL: 1.9}


def calls(images: int, *, rtt_ms: float = 0, **changed: float) -> CallsResult:
    """Three calls that take CPU_MS on each database, but where `changed` says otherwise (with _ for -)."""
    times = {name: changed.get(name.replace("-", "_"), each) for name, each in CPU_MS.items()}
    spreads = {name: Spread(each * 0.9, each, each * 1.1) for name, each in times.items()}
    work = {name: Work(1.0, 1.0, 10.0, 1000.0) for name in (TUNED, UNSYNCED, REDIS_TUNED)}
    wire = {REDIS_TUNED: Wire(100, 900, 1.0), MARIADB: Wire(1000, 4000, 4.0)}
    loaded = [Loaded(name, "1.2.3", images / 6000, 1.0, 1 << 20) for name in times if name != FLOOR]
    return CallsResult(
        SETTING, images, rtt_ms, loaded,
        [
            CallResult("image_get", "point", False, 1, 30, spreads, spreads, work, wire),
            CallResult("list 25, admin", "list", False, 1, 30, spreads, spreads, work, wire),
            CallResult("tag_set_all", "change", True, 7, 30, spreads, spreads, work, wire),
        ],
    )  # fmt: skip


def load_result() -> LoadResult:
    mixed = [MixedRun(TUNED, 8, 1000, 0, 2.0, 2.0), MixedRun(MARIADB, 8, 1000, 0, 3.0, 2.0)]
    return LoadResult(SETTING, 1000, mixed, [HotRun(TUNED, 8, 1, 300, 2, 5.0), HotRun(MARIADB, 8, 1, 200, 0, 5.0)])


def goal(title: str) -> Goal:
    return next(each for each in GOALS if each.title.startswith(title))


def test_results_are_read_as_they_were_kept_each_kind_and_size_in_a_file_of_its_own(tmp_path: Path) -> None:
    schema = SchemaResult(SETTING, 30, 10, {"rome": 90.0, "sqlite": 20.0}, {"rome": 30.0, "sqlite": 20.0})
    kept = [calls(20000), calls(1000), calls(1000, rtt_ms=50), load_result(), schema]
    for each in kept:
        keep(tmp_path, each)
    keep(tmp_path, calls(1000))  # in place of the first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "calls-1000-rtt-50ms.json", "calls-1000.json", "calls-20000.json", "load-1000.json", "nova-schema.json",
    ]  # fmt: skip
    found = read_kept(tmp_path)
    assert [each.images for each in found.calls] == [1000, 20000]
    assert [each.rtt_ms for each in found.far] == [50]
    assert found.load == [load_result()] and found.schema == schema
    assert found.calls[0].calls[0].cpu_ms(TUNED) == 1.2


@pytest.mark.parametrize(
    ("title", "database", "changed", "verdict"),
    [
        ("point calls", TUNED, {}, "holds: 1.20 (image_get, 1,000)"),
        ("point calls", TUNED, {"rome_tuned": 1.31}, "falls short: 1.31 (image_get, 1,000); 0 of 1 hold"),
        ("point calls", REDIS_TUNED, {}, "holds: 1.40 (image_get, 1,000)"),
        ("point calls", ROME, {}, "not measured"),
        ("changes", TUNED, {"rome_tuned": 9.0}, "holds: 1.10 (tag_set_all, 1,000)"),  # the unsynced one is judged
        ("lists", REDIS_TUNED, {"rome_redis_tuned": 1.7}, "falls short: 1.70 (list 25, admin, 1,000); 0 of 1 hold"),
        ("image_get", TUNED, {}, "falls short: 200 (at 1,000); 0 of 1 hold"),
        ("CPU ÷", TUNED, {}, "holds: 0.63 (tag_set_all, 1,000, PostgreSQL)"),
        ("CPU ÷", TUNED, {"mariadb": 1.1}, "falls short: 1.09 (tag_set_all, 1,000, MariaDB); 3 of 6 hold"),
        ("bulk load", REDIS_TUNED, {}, "holds: 6,000 (1,000)"),
        ("bytes", REDIS_TUNED, {}, "holds: 0.20 (tag_set_all, 1,000)"),
        ("bytes", TUNED, {}, "–"),
        ("growth", TUNED, {}, "not measured"),
    ],
)
def test_a_goal_is_judged_by_its_worst_figure(
    title: str, database: str, changed: dict[str, float], verdict: str
) -> None:
    assert goal(title).verdict(collect([calls(1000, **changed)]), database) == verdict


def test_growth_is_beside_that_of_the_floor_from_the_smallest_size_to_the_largest() -> None:
    results = collect([calls(1000), calls(20000, rome_tuned=99.0), calls(200000, floor=2.0, rome_tuned=3.6)])
    assert goal("growth").verdict(results, TUNED) == (
        "falls short: 1.50 (list 25, admin, 1,000 to 200,000); 0 of 2 hold"
    )
    last = growth_grids(results.calls)[-1]
    assert last.rows[0][:3] == ("image_get", "2.00", "1.50")


def test_many_clients_and_far_servers_are_judged_beside_the_peers() -> None:
    results = collect([load_result(), calls(1000, rtt_ms=50, rome_redis_tuned=0.4)])
    assert goal("mixed").verdict(results, TUNED) == "falls short: 1.50 (8 processes, 1,000 images); 0 of 1 hold"
    assert goal("hot").verdict(results, TUNED) == "holds: 1.50 (1 hot)"
    assert goal("far away: reads").verdict(results, REDIS_TUNED) == (
        "holds: 4.75 (all together, PostgreSQL, 50 ms)"
    )
    assert goal("far away: writes").verdict(Results(), REDIS_TUNED) == "not measured"


def test_the_goals_stand_in_one_table_a_column_for_each_store() -> None:
    grid = goals_grid(collect([calls(1000)]))
    assert len(grid.rows) == len(GOALS) and {len(row) for row in grid.rows} == {len(grid.head)}


def test_a_copied_database_has_no_speed_of_loading() -> None:
    result = calls(1000)
    copied = replace(result, databases=[replace(result.databases[0], load_s=None), *result.databases[1:]])
    assert [row[1] for row in loading_grid([copied]).rows[:2]] == ["–", "6,000"]


def test_the_brief_table_has_ratios_waves_and_keys() -> None:
    grid = brief_grid(calls(1000))
    assert grid.head == (
        "call", "floor ms", "LMDB ÷ floor", "LMDB ÷ Maria", "LMDB ÷ PG", "Redis ÷ floor", "Redis ÷ Maria", "Redis ÷ PG",
        "waves LMDB", "waves Redis", "keys LMDB", "keys Redis",
    )  # fmt: skip
    assert grid.rows[0][:8] == ("image_get", "1.00", "1.20", "0.60", "0.63", "1.40", "0.70", "0.74")
    assert grid.rows[0][8:] == ("1.0", "1.0", "10", "10")


def test_the_page_and_its_plots_are_the_same_each_time(tmp_path: Path) -> None:
    results = collect([calls(1000), calls(20000), load_result()])
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        page.write_page(tmp_path / name / "RESULTS.md", results)
        written.append({each.name: each.read_bytes() for each in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
    assert written[0].keys() == {"RESULTS.md", "growth.svg", "round-trips.svg"}
    text = written[0]["RESULTS.md"].decode()
    assert all(f"({name})" in text for name in ("growth.svg", "round-trips.svg"))
