"""The integrity check finds every kind of damage."""

from __future__ import annotations

import pytest

from rome.table.keycode import encode
from rome.table.schema import ForeignKey
from rome.testing.integrity import check
from tests.table.workbench import Workbench, draft


@pytest.fixture
def sound(bench: Workbench) -> Workbench:
    bench.create(
        draft("p", "id int!, name str", "id", unique=["name"], indexes=["name id"]),
        draft("c", "p int!, line str", references=[ForeignKey("fk", (1,), "p", ("id",))]),
    )
    bench.insert("p", (1, "a"), (2, None))
    bench.insert("c", (1, "x"), (1, "x"))
    return bench


def damage(bench: Workbench, key: bytes, value: bytes | None) -> list[str]:
    bench.driver.commit((), [(key, value)])
    return check(bench.driver, "bench")


def test_a_sound_store_has_no_problems(sound: Workbench) -> None:
    assert check(sound.driver, "bench") == []
    assert check(sound.driver, "nothing here") == []


def test_a_row_without_an_entry_is_found(sound: Workbench) -> None:
    index = sound["p"].indexes[0]
    (problem,) = damage(sound, sound.keys.unique_key(sound["p"], index, ["a"]), None)
    assert 'of table "p" has no entry in the index uq_name of table "p"' in problem


def test_an_entry_without_a_row_is_found(sound: Workbench) -> None:
    problems = damage(sound, sound.keys.row_key(sound["p"], (2,)), None)
    assert len(problems) == 2
    assert all("belongs to no table, row or index" in problem for problem in problems)


def test_an_entry_that_leads_elsewhere_is_found(sound: Workbench) -> None:
    index = sound["p"].indexes[0]
    key = sound.keys.unique_key(sound["p"], index, ["a"])
    problems = damage(sound, key, sound.keys.row_key(sound["p"], (2,)))
    assert any("has an entry in the index uq_name" in problem and "leads to" in problem for problem in problems)


def test_a_row_at_the_key_of_another_is_found(sound: Workbench) -> None:
    row = sound.cells()[sound.keys.row_key(sound["p"], (1,))]
    problems = damage(sound, sound.keys.row_key(sound["p"], (9,)), row)
    assert any("has the values of another key" in problem for problem in problems)


def test_a_row_that_does_not_decode_is_found(sound: Workbench) -> None:
    problems = damage(sound, sound.keys.row_key(sound["p"], (1,)), b"\x00\x01\x92\xa1x\xa1y")
    assert any("cannot be read: [XX000]" in problem for problem in problems)


def test_null_where_none_may_be_is_found(sound: Workbench) -> None:
    problems = damage(sound, sound.keys.row_key(sound["c"], (1,)), b"\x00\x01\x92\xc0\xa1x")
    assert any("has NULL in p" in problem for problem in problems)


def test_a_reference_to_nothing_is_found(sound: Workbench) -> None:
    for key in [key for key in sound.cells() if key.startswith(sound.keys.table_prefix(sound["p"]))]:
        sound.driver.commit((), [(key, None)])
    assert sum("references a row of 'p' that does not exist: [1]" in each for each in check(sound.driver, "bench")) == 2


@pytest.mark.parametrize("suffix", [b"d" + encode((99, 0, 1)), b"x", b"t"])
def test_a_cell_that_belongs_to_nothing_is_found(sound: Workbench, suffix: bytes) -> None:
    problems = damage(sound, sound.keys.namespace_prefix + suffix, b"")
    assert problems != []


def test_a_damaged_catalogue_is_found(sound: Workbench) -> None:
    (problem,) = damage(sound, sound.keys.table_cell(sound["p"].id), b"\xff")
    assert problem.startswith("the catalogue cannot be read: [XX000]")
