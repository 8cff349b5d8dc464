"""Tallies of an LMDB store: counts of long ranges, right whatever is written, and not walked again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rome.driver.api import Driver, ExpectCount, ExpectRange, Scan
from rome.driver.lmdb import LmdbDriver, Settings, tallies
from rome.errors import Conflict, StoreFull
from rome.testing.driver_life import counted, in_child, version_of

LONG = 3 * tallies.LONG_CELLS
ALL = b"k", b"l"


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[LmdbDriver]:
    driver = LmdbDriver(str(tmp_path / "store"), Settings(sync="none"))
    yield driver
    driver.close()


def fill(driver: Driver, numbers: Sequence[int], value: bytes | None = b"") -> int:
    return driver.commit((), [(b"k%06d" % number, value) for number in numbers])


def walks_far(driver: LmdbDriver, start: bytes, stop: bytes) -> bool:
    """Whether this range, were it counted now, would be found worth tallies."""
    return driver._look(lambda txn: tallies.count_cells(txn, start, stop))[1]


def test_a_long_range_is_walked_once(driver: LmdbDriver) -> None:
    fill(driver, range(LONG))
    assert walks_far(driver, *ALL)
    assert counted(driver, ALL) == [LONG]
    assert not walks_far(driver, *ALL)
    assert counted(driver, ALL, (b"k000010", b"k%06d" % (LONG - 10)), (b"", b"k000005")) == [LONG, LONG - 20, 5]


def test_short_ranges_leave_nothing_behind(driver: LmdbDriver) -> None:
    fill(driver, range(LONG))
    assert counted(driver, (b"k000000", b"k%06d" % tallies.LONG_CELLS)) == [tallies.LONG_CELLS]
    assert walks_far(driver, *ALL)


def test_writes_keep_tallies_right_and_blocks_small(driver: LmdbDriver) -> None:
    fill(driver, range(0, 2 * LONG, 2))
    assert counted(driver, ALL) == [LONG]
    fill(driver, range(2 * LONG))
    assert counted(driver, ALL) == [2 * LONG]
    assert not walks_far(driver, b"k000001", b"k%06d" % (2 * LONG - 1))
    fill(driver, range(0, 2 * LONG, 2), None)
    fill(driver, range(0, 2 * LONG, 4), None)
    assert counted(driver, ALL) == [LONG]


def test_blocks_that_have_lost_most_of_their_cells_are_laid_anew(driver: LmdbDriver) -> None:
    many = 30 * tallies.BLOCK_CELLS
    fill(driver, range(many))
    assert counted(driver, ALL) == [many]
    fill(driver, range(5, many), None)
    assert walks_far(driver, *ALL)
    assert counted(driver, ALL) == [5]
    assert not walks_far(driver, *ALL)


def test_a_range_that_joins_others_is_laid_with_them(driver: LmdbDriver) -> None:
    fill(driver, range(3 * LONG))
    first, second = b"k%06d" % LONG, b"k%06d" % (2 * LONG)
    assert counted(driver, (b"k", first), (second, b"l")) == [LONG, LONG]
    assert walks_far(driver, *ALL)
    assert counted(driver, (b"k000010", b"k%06d" % (3 * LONG - 10))) == [3 * LONG - 20]
    assert not walks_far(driver, *ALL)
    assert counted(driver, ALL) == [3 * LONG]


def test_what_is_cleared_is_no_longer_counted(driver: LmdbDriver) -> None:
    fill(driver, range(LONG))
    assert counted(driver, ALL) == [LONG]
    driver.clear(b"k0001")
    assert counted(driver, ALL) == [LONG - 100]
    driver.clear(b"k")
    assert counted(driver, ALL) == [0]
    fill(driver, range(10))
    assert counted(driver, ALL) == [10]


def test_a_key_longer_than_lmdb_takes_leaves_a_gap(driver: LmdbDriver) -> None:
    fill(driver, range(LONG))
    assert counted(driver, ALL) == [LONG]
    driver.commit((), [(b"k002000" + b"x" * number, b"") for number in (493, 494, 600, 2000)])
    assert counted(driver, ALL) == [LONG + 4]
    driver.commit((), [(b"k002000" + b"x" * 600, None)])
    assert counted(driver, ALL) == [LONG + 3]


def test_a_view_counts_its_own_state_and_another_process_the_newest(driver: LmdbDriver) -> None:
    fill(driver, range(LONG))
    view = driver.read().view
    fill(driver, range(LONG, LONG + 7))
    assert counted(driver, ALL) == [LONG + 7]
    assert list(driver.read((), (), (), view, [ALL]).counts) == [LONG]
    driver.release(view)

    def in_the_child() -> bytes:
        fill(driver, [0, 1, 2], None)
        return b"%d" % counted(driver, ALL)[0]

    assert int(in_child(in_the_child)) == LONG + 4
    assert counted(driver, ALL) == [LONG + 4]


@pytest.mark.parametrize("kind", [ExpectCount, ExpectRange])
def test_an_expected_range_with_tallies_is_looked_at_where_it_has_changed(
    driver: LmdbDriver, kind: type[ExpectCount] | type[ExpectRange]
) -> None:
    version = fill(driver, range(LONG))
    assert counted(driver, ALL) == [LONG]
    reading = driver.read(scans=[Scan(*ALL)])
    driver.release(reading.view)
    expected: ExpectCount | ExpectRange = ExpectCount(*ALL, version, LONG)
    if kind is ExpectRange:
        expected = ExpectRange(*ALL, version, tuple(cell.key for cell in reading.scans[0]))
    driver.commit((), [(b"elsewhere", b"")])
    driver.commit([expected], [(b"first", b"")])
    fill(driver, [LONG // 2], b"as many, one of them other")
    with pytest.raises(Conflict):
        driver.commit([expected], [(b"second", b"")])


def test_a_read_only_store_is_counted_without_tallies(tmp_path: Path) -> None:
    driver = LmdbDriver(str(tmp_path / "store"), Settings(sync="none"))
    fill(driver, range(LONG))
    driver.close()
    driver = LmdbDriver(str(tmp_path / "store"), Settings(sync="none", readonly=True))
    assert counted(driver, ALL) == [LONG]
    assert walks_far(driver, *ALL)
    driver.close()


def test_a_count_does_not_fail_where_there_is_no_room_for_tallies(tmp_path: Path) -> None:
    driver = LmdbDriver(str(tmp_path / "store"), Settings(sync="none", map_size_bytes=1 << 20))
    fill(driver, range(LONG))
    number = 0
    with pytest.raises(StoreFull):
        while True:
            driver.commit((), [(b"fill%d" % number, bytes(3000))])
            number += 1
    assert counted(driver, ALL) == [LONG]
    driver.close()


@pytest.mark.parametrize("seed", range(40))
def test_counts_are_right_after_random_writes(driver: LmdbDriver, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    chance = random.Random(seed)
    for name, sizes in (("BLOCK_CELLS", (1, 2, 8)), ("LONG_CELLS", (2, 5, 20)), ("WALKED_AT_ONCE", (1, 3))):
        monkeypatch.setattr(tallies, name, chance.choice(sizes))
    monkeypatch.setattr(tallies, "WALKED_FIRST", 1)
    cells: dict[bytes, int] = {}  # the keys that are there, and which commit wrote them
    counts: list[ExpectCount] = []

    def a_key() -> bytes:
        key = b"".join(chance.choice([b"a", b"b", b"\0", b"\xff"]) for _ in range(chance.randrange(6)))
        return key if chance.random() < 0.98 else key.ljust(chance.choice([499, 500, 501, 505, 1100]), b"k")

    for step in range(150):
        what = chance.random()
        if what < 0.5:
            kept = 0.7 if step // 50 != 1 else 0.2
            writes = {a_key(): b"" if chance.random() < kept else None for _ in range(chance.choice([1, 5, 30]))}
            version = driver.commit((), list(writes.items()))
            cells.update(dict.fromkeys((key for key, value in writes.items() if value is not None), version))
            for key in [key for key, value in writes.items() if value is None]:
                cells.pop(key, None)
        elif what < 0.53:
            prefix = a_key() or b"a"
            driver.clear(prefix)
            cells = {key: version for key, version in cells.items() if not key.startswith(prefix)}
        else:
            start, stop = sorted([a_key(), a_key()], reverse=chance.random() < 0.1)
            number = sum(start <= key < stop for key in cells)
            assert counted(driver, (start, stop)) == [number]
            counts.append(ExpectCount(start, stop, version_of(driver), number))
            expected = chance.choice(counts)
            found = [version for key, version in cells.items() if expected.start <= key < expected.stop]
            if len(found) == expected.cells and max(found, default=0) <= expected.version:
                driver.commit([expected], ())
            else:
                with pytest.raises(Conflict):
                    driver.commit([expected], ())
