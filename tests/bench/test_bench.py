"""The benchmark measures what it says: the same calls, the same answers, nothing left out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy

from bench import nova_schema, report
from bench.backends import FLOOR, ROME, SQLITE, Backend, open_backends, open_floor, tape_in_hand
from bench.catalogue import RARE_PROPERTY, Catalogue, make_catalogue
from bench.glance_calls import CALLS
from bench.measure import WrongAnswer, measure
from bench.replay import Answer, ReplayCursor, Tape
from glance_compat.db import connect

IMAGES = 1000
ROUNDS = 2

# The product: how many times a call of Glance's waits for the store to answer a read. Fewer is better. A fraction: the
# first page of a query is read in chunks of a size that later runs know, so one of the five may take a wave more.
MOST_WAVES = {
    "image_get": 1,
    "list 25, middling tenant": 2.2,
    "list 25, biggest tenant": 2,
    "list 25, admin": 1,
    "page 10, biggest tenant": 3.2,
    "property filter, middling tenant": 3,
    "rare property, admin": 2,
    "tag filter, middling tenant": 3,
    "name filter, biggest tenant": 2.4,
    "member find, by image": 1,
    "user_get_storage_usage, 20 images": 3,
    "image_create, 3 properties": 2,
    "image_update, 2 properties": 2,
    "tag_set_all": 2,
    "location_add": 1,
    "image_destroy": 3,
}


def silent(line: str) -> None:
    """Progress is for people."""


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    connect("sqlite://")
    return make_catalogue(IMAGES)


@pytest.fixture
def databases(
    catalogue: Catalogue, tmp_path: Path
) -> Iterator[tuple[list[Backend], tuple[Backend, Backend]]]:
    with ExitStack() as stack:
        yield open_backends([ROME, SQLITE], tmp_path, catalogue, silent, stack), open_floor(tmp_path, catalogue, stack)


def test_the_catalogue_is_the_same_every_time(catalogue: Catalogue) -> None:
    assert make_catalogue(IMAGES).rows == catalogue.rows


def test_the_catalogue_has_what_the_calls_look_for(catalogue: Catalogue) -> None:
    counts = {table: len(rows) for table, rows in catalogue.rows.items()}
    assert (counts["images"], counts["image_properties"], counts["image_tags"]) == (IMAGES, 3 * IMAGES, 2 * IMAGES)
    assert {tenant: len(catalogue.of_tenant[tenant]) for tenant in ("biggest", "middling", "small")} == {
        "biggest": 300, "middling": 30, "small": 20,
    }
    rare = [row for row in catalogue.rows["image_properties"] if (row["name"], row["value"]) == RARE_PROPERTY]
    assert len(rare) == 1
    moments = [row["created_at"] for row in catalogue.rows["images"]]
    assert len(set(moments)) == len(moments)


def test_every_call_has_the_same_answer_on_rome_on_sqlite_and_in_the_replay(
    databases: tuple[list[Backend], tuple[Backend, Backend]], catalogue: Catalogue
) -> None:
    backends, floor = databases
    measured = measure(list(CALLS), backends, floor, catalogue, ROUNDS, silent)
    assert [each.call for each in measured] == list(CALLS)
    for each in measured:
        assert each.samples.keys() == {FLOOR, ROME, SQLITE}
        assert all(len(samples.cpu_ns) == len(samples.wall_ns) == ROUNDS for samples in each.samples.values())
        assert all(min(samples.cpu_ns) > 0 for samples in each.samples.values())
        assert each.statements > 0
        assert each.work and 0 < each.work.per_call("waves") <= MOST_WAVES[each.call.name], each.call.name
    times, ratios, _, work = report.grids(measured, backends)
    assert [row[0] for row in times.rows] == [row[0] for row in work.rows] == [call.name for call in CALLS]
    assert ratios.head == ("call", "replay floor", "SQLite")


def test_a_wrong_answer_stops_the_run(
    databases: tuple[list[Backend], tuple[Backend, Backend]], catalogue: Catalogue
) -> None:
    backends, floor = databases
    sqlite = next(backend for backend in backends if backend.name == SQLITE)
    engine = sqlalchemy.create_engine(sqlite.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE image_properties SET value = 'wrong' WHERE name = 'hw_disk_bus'")
    engine.dispose()
    get = next(call for call in CALLS if call.name == "image_get")
    with pytest.raises(WrongAnswer, match="image_get .* on sqlite"):
        measure([get], [sqlite], floor, catalogue, ROUNDS, silent)


def test_making_and_dropping_novas_schema_is_measured_and_takes_about_twice_as_long_as_on_sqlite_at_most() -> None:
    times = nova_schema.measure_schema(rounds=10)
    assert times.tables == 30 and times.later_ms.keys() == times.first_ms.keys() == {"rome", "sqlite"}
    assert times.ratio < 2.5, times  # 1.7 where nothing else runs; what is quadratic in the tables shows
    assert nova_schema.grid(times).rows[1][3] == f"{times.ratio:.2f}"


def test_the_replay_refuses_a_statement_that_was_not_recorded() -> None:
    tape = Tape([Answer("SELECT 1", None, [], -1, None)])
    with tape_in_hand(tape), pytest.raises(sqlite3.InternalError, match="the recording has another statement here"):
        ReplayCursor().execute("SELECT 2")
