"""The profile: a moment counts for the innermost room that it was spent in, and every room is in the table."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

from bench.backends import REDIS, ROME
from bench.profile import ELSEWHERE, ROOMS, Profile, looking, page, room_of


def within(module: str, inner: Callable[[], str]) -> Callable[[], str]:
    """A function of `module` that calls `inner`."""
    namespace = {"__name__": module, "inner": inner}
    exec("def run():\n    return inner()", namespace)
    run: Callable[[], str] = namespace["run"]  # type: ignore[assignment]
    return run


def test_a_moment_counts_for_the_innermost_room() -> None:
    def here() -> str:
        return room_of(sys._getframe())

    assert here() == ELSEWHERE
    assert within("sqlalchemy.orm.loading", here)() == "SQLAlchemy"
    driver = within("rome.driver.redis.driver", within("redis.connection", here))
    assert within("sqlalchemy.engine.base", driver)() == "ROME: driver, with its client library"
    assert within("rome.txn.wave", here)() == within("rome.sql.execute.joins", here)() == "ROME: operators"
    assert within("rome.txn.view", here)() == "ROME: what was read, expected, known"


def test_processor_time_is_looked_at_until_the_end() -> None:
    found: Counter[str] = Counter()
    with looking(found):
        while not found:
            sum(range(1000))
    assert set(found) == {ELSEWHERE}


def test_the_table_has_every_room_and_what_is_romes_own() -> None:
    profiles = [
        Profile("a call", ROME, 100.0, 0.0, {"SQLAlchemy": 60.0, "ROME: operators": 30.0, ELSEWHERE: 10.0}),
        Profile("a call", REDIS, 200.0, 50.0, {"SQLAlchemy": 120.0, "ROME: dialect": 80.0}),
    ]
    text = page(profiles, 1000, ["a machine"])
    assert all(f"\n| {room} |" in text for room in ROOMS.values())
    assert "| **all** | **100** | **250** |" in text
    assert "| **ROME's own** | **30** | **80** |" in text
