"""The conformance suite of drivers: every promise of `rome.driver.api`, one test each, none skipped.

Derive a class whose name starts with `Test` and give it an `open_driver` fixture:

    class TestMyStore(DriverSuite):
        @pytest.fixture
        def open_driver(self, tmp_path):
            return lambda: MyDriver(tmp_path / "store")

Every call of what the fixture returns must open one more driver on the same store, empty at the start of the test,
also in a child process that calls it. What a store cannot do its traits declare, and the suite asserts that too.
"""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rome.driver.api import Cell, Driver, Expectation, ExpectCell, ExpectCount, ExpectRange, Follow, Scan, Scope, Traits
from rome.errors import Conflict, DataError
from rome.testing.driver_life import EVERYTHING, DriverLifeSuite, counted, scanned, value_at, version_of

PREFIX_BYTES = (1, 499, 500, 501, 511, 512, 999, 1000, 1001, 3072)  # around what stores split or limit keys at

_keys = st.one_of(
    st.binary(max_size=3),
    st.builds(
        lambda byte, size, tail: bytes([byte]) * size + tail,
        st.sampled_from([0, 97, 255]),
        st.sampled_from(PREFIX_BYTES),
        st.binary(max_size=2),
    ),
)


class DriverSuite(DriverLifeSuite):
    """Derive, give an `open_driver` fixture, and pytest collects the contract."""

    capability = "driver: cells, scans, commits, counters"

    # Cells

    def test_an_empty_store_holds_nothing_and_its_counter_is_no_version_of_a_cell(self, driver: Driver) -> None:
        reading = driver.read([b"", b"a"], [Scan(*EVERYTHING)])
        assert reading.cells == [None, None]
        assert reading.scans == [[]]
        assert reading.rows == [None]
        assert reading.version >= 0

    def test_a_committed_value_is_read_back_with_its_key_and_version(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a", b"1"), (b"b", b"")])
        reading = driver.read([b"b", b"missing", b"a"])
        assert reading.cells == [Cell(b"b", b"", version), None, Cell(b"a", b"1", version)]
        assert reading.version == version
        assert all(isinstance(cell, Cell) for cell in reading.cells if cell is not None)
        first = reading.cells[0]
        assert first is not None
        assert [type(part) for part in (first.key, first.value, first.version)] == [bytes, bytes, int]

    def test_the_empty_key_is_a_key_and_sorts_first(self, driver: Driver) -> None:
        driver.commit((), [(b"\0", b"after"), (b"", b"first")])
        assert [cell.key for cell in scanned(driver, Scan(b"", b"\xff"))] == [b"", b"\0"]
        assert value_at(driver, b"") == b"first"

    def test_any_bytes_are_a_value(self, driver: Driver) -> None:
        value = bytes(range(256)) * 300
        driver.commit((), [(b"a", value)])
        assert value_at(driver, b"a") == value

    def test_a_later_write_replaces_the_value_and_moves_the_version(self, driver: Driver) -> None:
        first = driver.commit((), [(b"a", b"1"), (b"b", b"1")])
        second = driver.commit((), [(b"a", b"2")])
        assert second > first >= 1
        reading = driver.read([b"a", b"b"])
        assert reading.cells == [Cell(b"a", b"2", second), Cell(b"b", b"1", first)]

    def test_a_deleted_cell_is_gone_and_deleting_nothing_is_no_error(self, driver: Driver) -> None:
        driver.commit((), [(b"a", b"1"), (b"b", b"1")])
        driver.commit((), [(b"a", None), (b"never", None)])
        assert value_at(driver, b"a") is None
        assert [cell.key for cell in scanned(driver, Scan(*EVERYTHING))] == [b"b"]

    def test_a_cell_made_again_has_a_version_that_it_never_had(self, driver: Driver) -> None:
        versions = [driver.commit((), [(b"a", value)]) for value in (b"1", None, b"1")]
        assert all(before < after for before, after in pairwise(versions))
        assert driver.read([b"a"]).cells == [Cell(b"a", b"1", versions[2])]

    def test_a_commit_without_writes_checks_and_leaves_the_counter_alone(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a", b"1")])
        assert driver.commit([ExpectCell(b"a", version)], ()) == version
        with pytest.raises(Conflict):
            driver.commit([ExpectCell(b"b", version)], ())
        assert version_of(driver) == version

    def test_the_same_key_may_be_asked_for_twice_in_one_read(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a", b"1")])
        assert driver.read([b"a", b"a"]).cells == [Cell(b"a", b"1", version)] * 2

    # Order and scans

    def test_scans_are_in_bytewise_key_order_whatever_the_order_of_writing(self, driver: Driver) -> None:
        keys = [b"\xff", b"a\0", b"b", b"a", b"", b"\x80", b"a\xff", b"ab", b"\0", b"A"]
        driver.commit((), [(key, b"") for key in keys])
        found = [cell.key for cell in scanned(driver, Scan(*EVERYTHING))]
        assert found == sorted(keys)
        assert [cell.key for cell in scanned(driver, Scan(*EVERYTHING, reverse=True))] == found[::-1]

    def test_a_scan_includes_its_start_and_excludes_its_stop(self, driver: Driver) -> None:
        driver.commit((), [(key, b"") for key in (b"a", b"b", b"b\0", b"c")])
        for reverse in (False, True):
            found = [cell.key for cell in scanned(driver, Scan(b"b", b"c", reverse=reverse))]
            assert sorted(found) == [b"b", b"b\0"]
        assert [cell.key for cell in scanned(driver, Scan(b"b", b"b\0"))] == [b"b"]

    def test_a_limit_keeps_the_first_cells_in_the_direction_of_the_scan(self, driver: Driver) -> None:
        driver.commit((), [(b"%02d" % number, b"") for number in range(20)])
        assert [cell.key for cell in scanned(driver, Scan(b"05", b"15", 3))] == [b"05", b"06", b"07"]
        assert [cell.key for cell in scanned(driver, Scan(b"05", b"15", 3, True))] == [b"14", b"13", b"12"]
        assert len(scanned(driver, Scan(b"05", b"15", 100))) == 10
        assert scanned(driver, Scan(b"05", b"15", 0)) == []

    def test_an_empty_or_inverted_range_holds_nothing(self, driver: Driver) -> None:
        driver.commit((), [(b"a", b""), (b"b", b""), (b"c", b"")])
        for reverse in (False, True):
            assert scanned(driver, Scan(b"b", b"b", reverse=reverse)) == []
            assert scanned(driver, Scan(b"c", b"a", reverse=reverse)) == []
            assert scanned(driver, Scan(b"x", b"z", reverse=reverse)) == []
        assert counted(driver, (b"b", b"b"), (b"c", b"a"), (b"a", b"z")) == [0, 0, 3]

    def test_one_read_answers_many_scans_and_gets_in_the_order_asked(self, driver: Driver) -> None:
        driver.commit((), [(b"a%d" % number, b"%d" % number) for number in range(5)])
        reading = driver.read([b"a4", b"a0"], [Scan(b"a3", b"b"), Scan(b"x", b"y"), Scan(b"a", b"a2", reverse=True)])
        assert [cell and cell.value for cell in reading.cells] == [b"4", b"0"]
        assert [[cell.value for cell in cells] for cells in reading.scans] == [[b"3", b"4"], [], [b"1", b"0"]]
        assert reading.rows == [None, None, None]

    def test_a_dereferencing_scan_brings_the_cells_its_values_name(self, driver: Driver) -> None:
        version = driver.commit(
            (), [(b"i1", b"r2"), (b"i2", b"r1"), (b"i3", b"gone"), (b"r1", b"one"), (b"r2", b"two")]
        )
        reading = driver.read((), [Scan(b"i", b"j", dereference=True), Scan(b"i", b"j", 1, True, True)])
        one, two = Cell(b"r1", b"one", version), Cell(b"r2", b"two", version)
        assert [[cell.key for cell in cells] for cells in reading.scans] == [[b"i1", b"i2", b"i3"], [b"i3"]]
        assert reading.rows == [[two, one, None], [None]]

    def test_an_empty_dereferencing_scan_has_an_empty_list_of_rows(self, driver: Driver) -> None:
        reading = driver.read((), [Scan(b"i", b"j", dereference=True), Scan(b"i", b"j")])
        assert reading.rows == [[], None]

    # Following

    def test_a_scan_follows_its_rows_into_what_belongs_to_them(self, driver: Driver) -> None:
        version = driver.commit((), [(key, key[::-1]) for key in (b"r/1", b"r/2", b"r/3", b"c/1", b"c/11", b"c/3/x")])
        one, two = Follow(2, b"c/", False, 9), Follow(0, b"c/", False, 9)
        reading = driver.read((), [Scan(b"r/", b"r0", follow=(one, two)), Scan(b"c/1", b"c/2")])
        cells = [Cell(key, key[::-1], version) for key in (b"c/1", b"c/11", b"c/3/x")]
        assert [cell.key for cell in reading.scans[0]] == [b"r/1", b"r/2", b"r/3"]
        [[first, second], plain] = reading.followed
        assert [each.cells for each in first] == [cells[:2], [], cells[2:]]
        assert [each.scan for each in first] == [Scan(b"c/1", b"c/2"), Scan(b"c/2", b"c/3"), Scan(b"c/3", b"c/4")]
        assert [each.cells for each in second] == [[], [], []]
        assert [each.rows for each in (*first, *second)] == [None] * 6
        assert (plain, reading.scans[1], reading.rows) == ([], cells[:2], [None, None])

    def test_the_first_rows_are_followed_in_the_direction_of_the_scan(self, driver: Driver) -> None:
        driver.commit((), [(b"%s/%d" % (kind, number), b"") for kind in (b"r", b"c") for number in range(6)])
        for reverse in (False, True):
            for limit, rows in ((None, 2), (2, 4), (3, 3), (0, 2), (4, 0)):
                scan = Scan(b"r/", b"r0", limit, reverse, False, (Follow(2, b"c/", False, rows),))
                [[found]] = driver.read((), [scan]).followed
                expected = [b"c/%d" % number for number in range(6)][:: -1 if reverse else 1][:limit][:rows]
                assert [[cell.key for cell in each.cells] for each in found] == [[key] for key in expected]

    def test_a_dereferencing_scan_follows_the_keys_that_its_values_name(self, driver: Driver) -> None:
        written = [(b"i1", b"r/2"), (b"i2", b"r/gone"), (b"r/2", b"row"), (b"c/2/a", b"r/2"), (b"c/2/b", b"nothing")]
        version = driver.commit((), [*written, (b"c/gone", b"c/2/a")])
        cell = {key: Cell(key, value, version) for key, value in [*written, (b"c/gone", b"c/2/a")]}
        plain, dereferencing = Follow(2, b"c/", False, 9), Follow(2, b"c/", True, 9)
        reading = driver.read((), [Scan(b"i", b"j", None, False, True, (plain, dereferencing))])
        assert reading.rows == [[cell[b"r/2"], None]]
        [[first, second]] = reading.followed
        assert [each.cells for each in first] == [[cell[b"c/2/a"], cell[b"c/2/b"]], [cell[b"c/gone"]]]
        assert [each.cells for each in second] == [each.cells for each in first]
        assert [each.rows for each in first] == [None, None]
        assert [each.rows for each in second] == [[cell[b"r/2"], None], [cell[b"c/2/a"]]]

    def test_what_follows_no_row_is_empty(self, driver: Driver) -> None:
        driver.commit((), [(b"c/1", b"")])
        follow = (Follow(2, b"c/", False, 9), Follow(2, b"c/", True, 9))
        scans = [Scan(b"r/", b"r0", None, False, False, follow), Scan(b"z", b"a", None, True, True, follow)]
        assert driver.read((), scans).followed == [[[], []], [[], []]]

    def test_following_finds_what_scans_find(self, driver: Driver) -> None:
        ends = [b"", b"\0", b"a", b"\xfe", b"\xff", b"\xff\xff", b"\xffa", b"b" * 2000, b"b" * 2000 + b"\xff"]
        rows = [(b"i%d" % place, b"r" + end) for place, end in enumerate(ends)] + [(b"r" + end, b"") for end in ends]
        belonging = [(b"c" + end + more, b"r" + end) for end in ends for more in (b"", b"\0", b"x", b"\xff")]
        driver.commit((), list(dict([*rows, *belonging, (b"d", b"")]).items()))
        for prefix, dereference, limit, reverse in product((b"c", b"c\xff"), (False, True), (None, 4), (False, True)):
            bounds = (b"i", b"j") if dereference else (b"r", b"s")
            follow = (Follow(1, prefix, False, 9), Follow(1, prefix, True, 3))
            reading = driver.read((), [Scan(*bounds, limit, reverse, dereference, follow)])
            for scans, followed in zip(
                Scan(*bounds, limit, reverse, dereference, follow).followed(reading.scans[0], reading.rows[0]),
                reading.followed[0],
                strict=True,
            ):
                one_by_one = driver.read((), scans)
                assert [each.scan for each in followed] == scans
                assert [each.cells for each in followed] == one_by_one.scans
                assert [each.rows for each in followed] == one_by_one.rows

    def test_a_scan_follows_the_rows_that_hold_what_it_says(self, driver: Driver) -> None:
        values = [b"one", b"a two", b"none", b"", b"\xfftwo\0", b"%d+.*", b"two"]
        rows = [(b"r/%d" % place, value) for place, value in enumerate(values)]
        entries = [(b"i/%d" % place, b"r/%d" % place) for place in range(len(values) + 1)]  # the last names no row
        belonging = [(b"c/%d/x" % place, b"r/0") for place in range(len(values) + 1)]
        driver.commit((), [*rows, *entries, *belonging])
        for holding, places in (
            ((), range(8)), ((b"one",), (0, 2)), ((b"two",), (1, 4, 6)), ((b"one", b"two"), (0, 1, 2, 4, 6)),
            ((b"%d+.*",), (5,)), ((b"\xff", b"\0"), (4,)), ((b"nowhere",), ()), ((b"o" * 300, b"a"), (1,)),
            ((b"",), range(7)),
        ):  # fmt: skip
            for bounds, dereference in (((b"r/", b"r0"), False), ((b"i/", b"i0"), True)):
                for most, reverse in ((9, False), (2, False), (2, True)):
                    follow = (Follow(2, b"c/", True, most, holding), Follow(2, b"c/", False, most))
                    scan = Scan(*bounds, None, reverse, dereference, follow)
                    reading = driver.read((), [scan, Scan(b"c/", b"c0")])
                    expected = [place for place in places if dereference or place < 7][:: -1 if reverse else 1][:most]
                    [[found, unconditional], _] = reading.followed
                    assert [[cell.key for cell in each.cells] for each in found] == [
                        [b"c/%d/x" % place] for place in expected
                    ], (holding, dereference)
                    assert [[row and row.key for row in each.rows or ()] for each in found] == [[b"r/0"]] * len(found)
                    assert [each.scan for each in found] == scan.followed(reading.scans[0], reading.rows[0])[0]
                    assert len(unconditional) == min(most, 7 + dereference)

    def test_rows_that_a_follow_does_not_sift_out_are_left_to_the_later_ones(self, driver: Driver) -> None:
        values = [b"one", b"a two", b"none", b"", b"two"]
        numbered = [(place, value) for place, value in enumerate(values)]
        driver.commit((), [(b"r/%d" % place, b"") for place, _ in numbered])
        driver.commit((), [(b"c/%d/x" % place, b"v/%d" % place) for place, _ in numbered])
        driver.commit((), [(kind + b"%d" % place, value) for kind in (b"d/", b"v/") for place, value in numbered])
        plain = Follow(2, b"d/", False, 9)
        for prefix, dereference in ((b"c/", True), (b"d/", False)):
            for sifting, places in (((b"one",), (0, 2)), ((b"two", b"none"), (1, 2, 4)), ((b"nowhere",), ())):
                follow = (plain, Follow(2, prefix, dereference, 9, (), sifting), Follow(2, b"c/", False, 9))
                [[before, sieve, later]] = driver.read((), [Scan(b"r/", b"r0", follow=follow)]).followed
                assert len(before) == len(sieve) == len(values)
                kept = [b"c/%d/x" % place for place in places]
                assert [cell.key for each in later for cell in each.cells if cell.key in kept] == kept

    def test_many_rows_and_a_row_with_much_are_followed(self, driver: Driver) -> None:
        rows = [b"r/%03d" % number for number in range(300)]
        many = [b"c/007/%04d" % number for number in range(2500)]
        driver.commit((), [(key, b"r/007") for key in (*rows, *many, b"c/299/x")])
        follow = (Follow(2, b"c/", True, 300), Follow(2, b"c/", False, 300))
        [followed] = driver.read((), [Scan(b"r/", b"r0", follow=follow)]).followed
        for found in followed:
            assert [len(each.cells) for each in found] == [2500 * (place == 7) + (place == 299) for place in range(300)]
            assert [cell.key for cell in found[7].cells] == many
        assert {cell and cell.key for cell in followed[0][7].rows or ()} == {b"r/007"}

    # Long keys

    def test_long_keys_are_kept_whole_and_sort_bytewise(self, driver: Driver) -> None:
        stems = [bytes([byte]) * size for byte in (0, 97, 98, 255) for size in PREFIX_BYTES]
        keys = sorted({stem + tail for stem in stems for tail in (b"", b"\0", b"a", b"\xff")})
        driver.commit((), [(key, b"%d" % place) for place, key in reversed(list(enumerate(keys)))])
        beyond = b"\xff" * 4000
        assert [cell.key for cell in scanned(driver, Scan(b"", beyond))] == keys
        assert [cell.key for cell in scanned(driver, Scan(b"", beyond, reverse=True))] == keys[::-1]
        assert [int(cell.value) for cell in driver.read(keys).cells if cell is not None] == list(range(len(keys)))

    def test_scans_begin_and_end_inside_long_keys(self, driver: Driver) -> None:
        stem = b"k" * 1500
        keys = [stem[:size] for size in (499, 500, 501, 1000, 1001)]
        keys += [stem + b"a", stem + b"b", stem + b"c", b"l", b"l" * 500 + b"\0", b"l" * 600, b"l" * 1000 + b"a"]
        driver.commit((), [(key, b"") for key in keys])
        for low in range(len(keys)):
            for high in range(low, len(keys)):
                start, stop = keys[low], keys[high]
                assert [cell.key for cell in scanned(driver, Scan(start, stop))] == keys[low:high]
                assert [cell.key for cell in scanned(driver, Scan(start, stop, reverse=True))] == keys[low:high][::-1]
                assert [cell.key for cell in scanned(driver, Scan(start, stop, 2, True))] == keys[low:high][::-1][:2]
                assert counted(driver, (start, stop)) == [high - low]

    def test_a_deleted_long_key_leaves_its_neighbours(self, driver: Driver) -> None:
        stem = b"k" * 1200
        driver.commit((), [(stem + tail, b"") for tail in (b"a", b"b", b"c")])
        driver.commit((), [(stem + b"b", None), (stem + b"x", None), (stem * 2, None)])
        assert [cell.key for cell in scanned(driver, Scan(b"k", b"l"))] == [stem + b"a", stem + b"c"]
        driver.commit((), [(stem + b"a", None), (stem + b"c", None)])
        assert scanned(driver, Scan(b"k", b"l")) == []
        driver.commit((), [(stem + b"d", b"")])
        assert [cell.key for cell in scanned(driver, Scan(b"k", b"l"))] == [stem + b"d"]

    def test_a_dereferencing_scan_follows_long_keys(self, driver: Driver) -> None:
        long = b"r" * 3072
        version = driver.commit((), [(b"i" * 2000, long), (long, b"row")])
        reading = driver.read((), [Scan(b"i", b"j", dereference=True)])
        assert reading.rows == [[Cell(long, b"row", version)]]

    def test_the_store_agrees_with_a_sorted_map(self, driver: Driver) -> None:
        values = st.one_of(st.none(), st.binary(max_size=2))
        commits = st.lists(st.tuples(_keys, values), max_size=6).map(dict)

        @given(
            steps=st.lists(st.tuples(commits, _keys, _keys), min_size=1, max_size=6),
            limit=st.one_of(st.none(), st.integers(0, 4)),
            doomed=_keys,
        )
        @settings(deadline=None)
        def agrees(
            steps: list[tuple[dict[bytes, bytes | None], bytes, bytes]], limit: int | None, doomed: bytes
        ) -> None:
            driver.clear(b"")
            model: dict[bytes, bytes] = {}
            for changes, start, stop in steps:
                driver.commit((), list(changes.items()))
                model.update({key: value for key, value in changes.items() if value is not None})
                for key in [key for key, value in changes.items() if value is None]:
                    model.pop(key, None)
                expected = [(key, model[key]) for key in sorted(model) if start <= key < stop]
                for reverse in (False, True):
                    found = [(cell.key, cell.value) for cell in scanned(driver, Scan(start, stop, limit, reverse))]
                    assert found == expected[:: -1 if reverse else 1][:limit]
                assert counted(driver, (start, stop)) == [len(expected)]
            driver.clear(doomed)
            left = [(key, value) for key, value in sorted(model.items()) if not key.startswith(doomed)]
            assert [(cell.key, cell.value) for cell in scanned(driver, Scan(b"", b"\xff" * 4000))] == left

        agrees()

    # Expectations

    def test_an_expected_cell_that_changed_is_a_conflict_and_nothing_is_written(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a", b"1")])
        newer = driver.commit([ExpectCell(b"a", version)], [(b"a", b"2")])
        for stale in (version, 0, newer + 1):
            with pytest.raises(Conflict):
                driver.commit([ExpectCell(b"b", 0), ExpectCell(b"a", stale)], [(b"a", b"3"), (b"b", b"3")])
        assert value_at(driver, b"a") == b"2"
        assert value_at(driver, b"b") is None
        assert version_of(driver) == newer

    def test_an_expected_absence_fails_once_the_cell_exists_and_holds_when_it_is_gone(self, driver: Driver) -> None:
        driver.commit([ExpectCell(b"a", 0)], [(b"a", b"1")])
        with pytest.raises(Conflict):
            driver.commit([ExpectCell(b"a", 0)], [(b"b", b"1")])
        driver.commit((), [(b"a", None)])
        driver.commit([ExpectCell(b"a", 0)], [(b"b", b"1")])
        assert value_at(driver, b"b") == b"1"

    def test_an_expected_cell_that_was_deleted_is_a_conflict(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a", b"1")])
        driver.commit((), [(b"a", None)])
        with pytest.raises(Conflict):
            driver.commit([ExpectCell(b"a", version)], [(b"b", b"1")])

    def test_an_expected_range_holds_while_others_write_elsewhere(self, driver: Driver) -> None:
        version = driver.commit((), [(b"b1", b""), (b"b2", b"")])
        driver.commit((), [(b"a", b""), (b"c", b"")])
        driver.commit([ExpectRange(b"b", b"c", version, (b"b1", b"b2"))], [(b"done", b"")])
        driver.commit([ExpectRange(b"x", b"y", version, ())], [(b"done", b"")])

    @pytest.mark.parametrize(
        "change",
        [
            [(b"b15", b"phantom")],
            [(b"b1", None)],
            [(b"b2", b"other")],
            [(b"b1", None), (b"b3", b"in its place")],
            [(b"b", b"at the start")],
        ],
    )
    def test_an_expected_range_in_which_something_changed_is_a_conflict(
        self, driver: Driver, change: list[tuple[bytes, bytes | None]]
    ) -> None:
        version = driver.commit((), [(b"b1", b""), (b"b2", b"")])
        expect = [ExpectRange(b"b", b"c", version, (b"b1", b"b2"))]
        driver.commit(expect, [(b"first", b"")])
        driver.commit((), change)
        with pytest.raises(Conflict):
            driver.commit(expect, [(b"second", b"")])
        assert value_at(driver, b"second") is None

    def test_an_expected_empty_range_conflicts_with_the_first_cell_in_it(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a", b"")])
        driver.commit((), [(b"b1", b"")])
        with pytest.raises(Conflict):
            driver.commit([ExpectRange(b"b", b"c", version, ())], [(b"x", b"")])

    def test_an_expected_range_of_long_keys_is_checked(self, driver: Driver) -> None:
        stem = b"k" * 1500
        key = stem + b"a"
        version = driver.commit((), [(key, b"")])
        driver.commit((), [(b"elsewhere", b"")])
        expect: list[Expectation] = [ExpectRange(stem, stem + b"\xff", version, (key,)), ExpectCell(key, version)]
        driver.commit(expect, [(stem + b"b", b"")])
        with pytest.raises(Conflict):
            driver.commit(expect, [(b"x", b"")])

    def test_a_read_with_expectations_raises_conflict_when_one_does_not_hold(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a", b"1"), (b"b1", b"1")])
        expect: list[Expectation] = [ExpectCell(b"a", version), ExpectRange(b"b", b"c", version, (b"b1",))]
        assert driver.read([b"a"], (), expect).cells == [Cell(b"a", b"1", version)]
        driver.commit((), [(b"elsewhere", b"1")])
        assert driver.read([b"a"], (), expect).cells == [Cell(b"a", b"1", version)]
        driver.commit((), [(b"b2", b"1")])
        with pytest.raises(Conflict):
            driver.read([b"a"], (), expect)

    def test_a_conflict_leaves_the_driver_usable(self, driver: Driver) -> None:
        for _ in range(50):
            with pytest.raises(Conflict):
                driver.read((), (), [ExpectCell(b"a", 7)])
            with pytest.raises(Conflict):
                driver.commit([ExpectCell(b"a", 7)], [(b"a", b"")])
        driver.commit([ExpectCell(b"a", 0)], [(b"a", b"")])

    # Counts, counters, clear

    @pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1025, 5000])
    def test_a_count_is_exact_however_many_there_are(self, driver: Driver, size: int) -> None:
        driver.commit((), [(b"k%05d" % number, b"") for number in range(size)])
        driver.commit((), [(b"l", b"")])
        assert counted(driver, (b"k", b"l"), (b"k", b"z"), (b"j", b"k")) == [size, size + 1, 0]

    def test_one_read_answers_counts_beside_gets_and_scans_in_the_order_asked(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a%d" % number, b"b") for number in range(5)] + [(b"b", b"")])
        scan = Scan(b"a", b"b", 2, False, True, (Follow(0, b"", False, 1),))
        reading = driver.read([b"b"], [scan], (), None, [(b"a1", b"a4"), (b"b", b"c"), (b"a", b"c")])
        driver.release(reading.view)
        assert reading.cells == [Cell(b"b", b"", version)]
        assert [cell.key for cell in reading.scans[0]] == [b"a0", b"a1"]
        assert list(reading.counts) == [3, 1, 6]
        reading = driver.read([b"b"])
        driver.release(reading.view)
        assert list(reading.counts) == []

    def test_a_count_at_a_view_is_of_its_state(self, driver: Driver) -> None:
        if not driver.traits.snapshots:
            assert driver.read().view is None
            return
        driver.commit((), [(b"a1", b""), (b"a2", b"")])
        view = driver.read().view
        driver.commit((), [(b"a1", None), (b"a3", b""), (b"a4", b"")])
        assert list(driver.read((), (), (), view, [(b"a", b"b")]).counts) == [2]
        driver.release(view)
        assert counted(driver, (b"a", b"b")) == [3]

    @pytest.mark.parametrize(
        "change",
        [
            [(b"b15", b"phantom")],
            [(b"b1", None)],
            [(b"b2", b"other")],
            [(b"b1", None), (b"b3", b"in its place")],
            [(b"b1", None), (b"b2", None)],
        ],
    )
    def test_an_expected_count_holds_until_something_in_the_range_changes(
        self, driver: Driver, change: list[tuple[bytes, bytes | None]]
    ) -> None:
        version = driver.commit((), [(b"b1", b""), (b"b2", b"")])
        expect = [ExpectCount(b"b", b"c", version, 2), ExpectCount(b"x", b"y", version, 0)]
        expect += [ExpectCount(b"c", b"c", version, 0)]
        driver.commit(expect, [(b"first", b"")])
        driver.release(driver.read((), (), expect).view)
        driver.commit(expect, ())
        driver.commit((), change)
        with pytest.raises(Conflict):
            driver.commit(expect, [(b"second", b"")])
        with pytest.raises(Conflict):
            driver.read((), (), expect)
        with pytest.raises(Conflict):
            driver.commit(expect, ())
        assert value_at(driver, b"second") is None

    def test_an_expected_count_of_many_cells_is_checked(self, driver: Driver) -> None:
        version = driver.commit((), [(b"b%04d" % number, b"") for number in range(1500)])
        expect = [ExpectCount(b"b", b"c", version, 1500)]
        driver.commit((), [(b"elsewhere", b"")])
        driver.commit(expect, [(b"first", b"")])
        driver.commit((), [(b"b1400", b"changed")])
        with pytest.raises(Conflict):
            driver.commit(expect, [(b"second", b"")])

    def test_a_counter_starts_at_zero_and_every_increment_gives_the_next_number(self, driver: Driver) -> None:
        assert [driver.increment(b"c", 1) for _ in range(3)] == [1, 2, 3]
        assert driver.increment(b"c", 10) == 13
        assert driver.increment(b"c", -3) == 10
        assert driver.increment(b"c", 0) == 10
        assert driver.increment(b"other", 1) == 1

    def test_a_counter_is_raised_to_at_least_what_is_asked_before_it_is_added_to(self, driver: Driver) -> None:
        assert driver.increment(b"c", 1, at_least=100) == 101
        assert driver.increment(b"c", 1, at_least=50) == 102
        assert driver.increment(b"c", 0, at_least=-5) == 102

    def test_a_counter_holds_64_bits_and_refuses_more(self, driver: Driver) -> None:
        assert driver.increment(b"c", (1 << 63) - 1) == (1 << 63) - 1
        with pytest.raises(DataError):
            driver.increment(b"c", 1)
        assert driver.increment(b"c", 0) == (1 << 63) - 1

    def test_counters_and_cells_do_not_see_each_other(self, driver: Driver) -> None:
        driver.commit((), [(b"c", b"cell")])
        version = version_of(driver)
        assert driver.increment(b"c", 5) == 5
        assert driver.increment(b"d" * 600, 5) == 5
        assert [cell.value for cell in scanned(driver, Scan(*EVERYTHING))] == [b"cell"]
        assert counted(driver, EVERYTHING) == [1]
        driver.commit([ExpectRange(*EVERYTHING, version, (b"c",))], [(b"c", None)])
        assert driver.increment(b"c", 1) == 6
        assert driver.increment(b"d" * 600, 1) == 6

    def test_clear_removes_the_cells_and_counters_of_a_prefix_and_no_others(self, driver: Driver) -> None:
        long = b"p" * 1300
        keys = [b"o\xff", b"p", b"p\0", b"pa", b"p\xff\xff", long, long + b"x", b"q"]
        driver.commit((), [(key, b"") for key in keys])
        for key in keys:
            driver.increment(key, 5)
        driver.clear(b"p" * 1250)
        assert [cell.key for cell in scanned(driver, Scan(*EVERYTHING))] == [k for k in keys if len(k) < 9]
        assert [driver.increment(key, 0) for key in (long, b"pa")] == [0, 5]
        driver.clear(b"p")
        assert [cell.key for cell in scanned(driver, Scan(*EVERYTHING))] == [b"o\xff", b"q"]
        assert [driver.increment(key, 0) for key in keys] == [5, 0, 0, 0, 0, 0, 0, 5]

    def test_clearing_everything_leaves_an_empty_store_whose_versions_go_on(self, driver: Driver) -> None:
        before = driver.commit((), [(b"a", b"1"), (b"k" * 700, b"1")])
        driver.increment(b"c", 5)
        driver.clear(b"")
        assert scanned(driver, Scan(*EVERYTHING)) == []
        assert driver.increment(b"c", 1) == 1
        assert version_of(driver) > before
        with pytest.raises(Conflict):
            driver.commit([ExpectCell(b"a", before)], [(b"a", b"2")])
        assert driver.commit([ExpectCell(b"a", 0)], [(b"k" * 700, b"2")]) > before + 1

    def test_clearing_is_a_change_to_every_range_it_emptied(self, driver: Driver) -> None:
        version = driver.commit((), [(b"a1", b""), (b"b1", b"")])
        driver.clear(b"a")
        driver.commit([ExpectRange(b"b", b"c", version, (b"b1",))], [(b"b2", b"")])
        with pytest.raises(Conflict):
            driver.commit([ExpectRange(b"a", b"b", version, (b"a1",))], [(b"b3", b"")])

    # Sizes

    def test_keys_up_to_the_limit_are_taken_and_longer_ones_refused(self, driver: Driver) -> None:
        longest = b"k" * driver.traits.max_key_bytes
        driver.commit((), [(longest, b"1")])
        driver.increment(longest, 1)
        assert value_at(driver, longest) == b"1"
        with pytest.raises(DataError):
            driver.commit((), [(b"a", b""), (longest + b"k", b"")])
        with pytest.raises(DataError):
            driver.commit((), [(longest + b"k", None)])
        with pytest.raises(DataError):
            driver.read([longest + b"k"])
        with pytest.raises(DataError):
            driver.increment(longest + b"k", 1)
        assert value_at(driver, b"a") is None

    def test_values_up_to_the_limit_are_taken_and_longer_ones_refused(self, driver: Driver) -> None:
        largest = b"v" * driver.traits.max_value_bytes
        driver.commit((), [(b"a", largest)])
        assert value_at(driver, b"a") == largest
        with pytest.raises(DataError):
            driver.commit((), [(b"b", b""), (b"a", largest + b"v")])
        assert value_at(driver, b"b") is None

    def test_a_commit_over_the_limit_is_refused_whole(self, driver: Driver) -> None:
        value = b"v" * min(driver.traits.max_value_bytes, driver.traits.max_commit_bytes)
        writes = [(b"%d" % number, value) for number in range(driver.traits.max_commit_bytes // len(value) + 1)]
        with pytest.raises(DataError):
            driver.commit((), writes)
        assert value_at(driver, b"0") is None

    def test_traits_are_sound(self, driver: Driver) -> None:
        traits = driver.traits
        assert [type(getattr(traits, field.name)) for field in fields(Traits)] == [Scope, *[bool] * 4, *[int] * 4]
        assert traits.max_key_bytes >= 3072 + 64
        assert traits.max_value_bytes <= traits.max_commit_bytes
        assert traits.min_ttl_ms >= 1
