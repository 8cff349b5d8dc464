"""What a transaction knows of the store: never anything else than what the store would have answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rome.config import parse
from rome.driver.api import Cell, ExpectCell, ExpectRange, Reading, Scan
from rome.driver.memory import MemoryDriver, MemoryStore
from rome.driver.open import open_store
from rome.errors import Conflict
from rome.testing.instruments import Recorder
from rome.txn import known
from rome.txn.known import UNKNOWN, Known, size_of
from rome.txn.transaction import Isolation, Transaction
from rome.txn.wave import Step, Wave, WaveResult

KEYS = [bytes([65 + at]) for at in range(8)]
Contents = dict[bytes, bytes]

contents = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(KEYS))  # values are keys, as in an index
ends = st.sampled_from([*KEYS, b"", b"B\0", b"~"])
scans = st.builds(
    Scan, ends, ends, st.sampled_from([None, 0, 1, 2, 3]), st.booleans(), st.booleans(), st.just(())
)  # fmt: skip
waves = st.tuples(st.lists(st.sampled_from(KEYS), max_size=2), st.lists(scans, max_size=2))


def filled(cells: Contents) -> MemoryDriver:
    driver = MemoryDriver(MemoryStore())
    driver.commit((), list(cells.items()))
    return driver


def learn(knowledge: Known, driver: MemoryDriver, gets: list[bytes], ranges: list[Scan]) -> Reading:
    reading = driver.read(gets, ranges)
    knowledge.learn(gets, ranges, reading, size_of(reading)[1])
    return reading


@given(contents, st.lists(waves, max_size=4), st.lists(waves, min_size=1, max_size=6))
def test_what_is_known_is_what_the_store_answers(
    cells: Contents, read: list[tuple[list[bytes], list[Scan]]], asked: list[tuple[list[bytes], list[Scan]]]
) -> None:
    driver, knowledge = filled(cells), Known()
    for gets, ranges in read:
        reading = learn(knowledge, driver, gets, ranges)
        for key, cell in zip(gets, reading.cells, strict=True):
            assert knowledge.cell(key) == cell
        for scan, found in zip(ranges, reading.scans, strict=True):
            assert knowledge.scan(scan) == found
            assert [knowledge.cell(entry.value) for entry in found if scan.dereference] == (
                [cell for cell in driver.read([entry.value for entry in found]).cells if scan.dereference]
            )
    for gets, ranges in asked:
        reading = driver.read(gets, ranges)
        assert all(knowledge.cell(key) in (cell, UNKNOWN) for key, cell in zip(gets, reading.cells, strict=True))
        assert all(knowledge.scan(scan) in (found, None) for scan, found in zip(ranges, reading.scans, strict=True))


def test_parts_of_a_range_that_was_read_are_known() -> None:
    driver, knowledge = filled({key: b"" for key in KEYS}), Known()
    whole = [Scan(b"B", b"G")]
    learn(knowledge, driver, [], whole)
    for scan in (Scan(b"C", b"E"), Scan(b"C", b"E", 1), Scan(b"B", b"G", reverse=True), Scan(b"A\0", b"C", 1, True)):
        assert knowledge.scan(scan) == driver.read((), [scan]).scans[0], scan
    for scan in (Scan(b"B", b"Z", 5), Scan(b"A", b"G", 5, True)):
        assert knowledge.scan(scan) == driver.read((), [scan]).scans[0], scan
    for scan in (Scan(b"A", b"C"), Scan(b"C", b"H"), Scan(b"B", b"Z", 6), Scan(b"A", b"H", 1, True)):
        assert knowledge.scan(scan) is None, scan
    for scan in (Scan(b"A", b"G", None, True), Scan(b"A", b"G", 6, True), Scan(b"A\0", b"B", None, True)):
        assert knowledge.scan(scan) is None, scan
    assert knowledge.cell(b"BB") is None
    assert knowledge.cell(b"G") is UNKNOWN


def test_a_limited_scan_makes_known_what_it_looked_at_and_no_more() -> None:
    driver, knowledge = filled({key: b"" for key in KEYS}), Known()
    first = [Scan(b"A", b"Z", 2), Scan(b"", b"F", 2, True)]
    learn(knowledge, driver, [], first)
    assert knowledge.scan(Scan(b"A", b"B\0")) is not None
    assert knowledge.scan(Scan(b"D", b"F")) is not None
    assert knowledge.cell(b"B\0") is UNKNOWN
    assert knowledge.cell(b"C\0") is UNKNOWN
    assert knowledge.cell(b"D\0") is None


def test_too_much_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MAX_CELLS", "MAX_BYTES"):
        monkeypatch.setattr(known, limit, 4)
        driver, knowledge = filled({key: b"" for key in KEYS}), Known()
        learn(knowledge, driver, [b"A"], [])
        assert knowledge.cell(b"A") is not UNKNOWN
        whole = [Scan(b"", b"Z")]
        learn(knowledge, driver, [], whole)
        assert knowledge.cell(b"A") is UNKNOWN
        assert knowledge.scan(whole[0]) is None
        monkeypatch.undo()


# ---- in a transaction


@pytest.fixture(params=["memory", "lmdb"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Recorder]:
    url = "rome+memory://" if request.param == "memory" else f"rome+lmdb:///{tmp_path}/store?sync=none"
    driver = open_store(parse(url))
    driver.commit((), [(key, key) for key in KEYS])
    yield Recorder(driver)
    driver.close()


def asked(*gets: bytes, scans: tuple[Scan, ...] = (), vacant: tuple[bytes, ...] = ()) -> Step[WaveResult]:
    return (yield Wave(gets, scans, vacant))


def test_only_what_is_not_known_is_asked_for(driver: Recorder) -> None:
    transaction = Transaction(driver)
    transaction.run(asked(b"A", scans=(Scan(b"C", b"F", dereference=True),)))
    driver.reset()
    answer = transaction.run(asked(b"A", b"D", b"H", b"E\0", scans=(Scan(b"C", b"D"), Scan(b"F", b"Z"))))
    assert [cell and cell.key for cell in answer.cells] == [b"A", b"D", b"H", None]
    assert [[cell.key for cell in found] for found in answer.scans] == [[b"C"], [b"F", b"G", b"H"]]
    [call] = driver.reset()
    assert call.cells == 4  # H by itself, and F, G, H
    transaction.run(asked(b"G", scans=(Scan(b"C", b"F"), Scan(b"G", b"H\0", 1, True, True))))
    assert driver.round_trips == 0
    assert transaction.stats.waves == 2


def test_rows_behind_known_entries_are_asked_for_when_they_are_not_known(driver: Recorder) -> None:
    driver.inner.commit((), [(b"index/1", b"A"), (b"index/2", b"B")])
    transaction = Transaction(driver)
    transaction.run(asked(b"A", scans=(Scan(b"index/", b"index0"),)))
    driver.reset()
    answer = transaction.run(asked(scans=(Scan(b"index/", b"index0", dereference=True),)))
    assert [cell and cell.key for cell in answer.rows[0] or ()] == [b"A", b"B"]
    assert [call.cells for call in driver.reset()] == [1]


def test_an_answer_that_cost_nothing_is_held_to_at_the_commit(driver: Recorder) -> None:
    transaction = Transaction(driver)
    transaction.run(asked(scans=(Scan(b"A", b"D"),)))
    assert transaction.run(asked(b"C\0")).cells == [None]
    transaction.write(b"X", b"")
    driver.inner.commit((), [(b"C\0", b"new")])
    with pytest.raises(Conflict):
        transaction.commit()


def test_read_committed_knows_nothing_of_earlier_statements(driver: Recorder) -> None:
    transaction = Transaction(driver, isolation=Isolation.READ_COMMITTED)
    transaction.begin_statement()
    transaction.run(asked(b"A", scans=(Scan(b"B", b"D"),)))
    transaction.run(asked(b"A", b"C"))
    assert transaction.stats.waves == 1
    driver.inner.commit((), [(b"A", b"new")])
    transaction.begin_statement()
    [cell] = transaction.run(asked(b"A")).cells
    assert cell is not None
    assert cell.value == b"new"


def test_a_vacant_key_is_read_only_when_something_else_is(driver: Recorder) -> None:
    transaction = Transaction(driver)
    first = transaction.run(asked(vacant=(b"A", b"V")))  # nothing was read yet
    assert [cell and cell.key for cell in first.cells] == [b"A", None]
    assert transaction.run(asked(b"A", vacant=(b"V", b"W"))).cells[1:] == [None, None]
    assert transaction.stats.waves == 1
    assert [cell and cell.key for cell in transaction.run(asked(b"B", vacant=(b"C",))).cells] == [b"B", b"C"]
    assert transaction.stats.waves == 2
    assert {ExpectCell(b"W", 0), ExpectCell(b"V", 0)} <= set(transaction._view.expectations())


def test_a_vacant_key_that_was_taken_is_a_conflict_at_the_commit(driver: Recorder) -> None:
    transaction = Transaction(driver)
    transaction.run(asked(b"A"))
    assert transaction.run(asked(vacant=(b"H",))).cells == [None]
    transaction.write(b"H", b"mine")
    with pytest.raises(Conflict):
        transaction.commit()
    assert driver.inner.read([b"H"]).cells[0] == Cell(b"H", b"H", 1)


def test_what_is_noted_to_be_empty_is_neither_read_nor_expected(driver: Recorder) -> None:
    transaction = Transaction(driver)
    transaction.run(asked(b"I"))
    assert transaction.is_absent(b"I")
    assert not transaction.is_absent(b"J")
    transaction.note_empty(b"I/", b"I0")
    transaction.write(b"I/1", b"mine")
    answer = transaction.run(asked(b"I/2", scans=(Scan(b"I/", b"I0"),)))
    assert answer.cells == [None]
    assert [cell.key for cell in answer.scans[0]] == [b"I/1"]
    assert transaction.stats.waves == 1
    assert not any(isinstance(each, ExpectRange) for each in transaction._view.expectations())


def test_knowledge_survives_the_folding_of_readings_and_ends_with_a_return_to_a_place(driver: Recorder) -> None:
    transaction = Transaction(driver)
    transaction.run(asked(b"A"))
    mark = transaction.mark()
    transaction.run(asked(b"A", b"B"))
    assert transaction.stats.waves == 2
    transaction.back_to(mark)
    driver.inner.commit((), [(b"B", b"new")])
    [cell] = transaction.run(asked(b"B")).cells
    assert cell is not None
    assert cell.value == b"new"


@given(
    contents,
    st.lists(st.tuples(waves, st.none() | st.tuples(st.sampled_from(KEYS), st.sampled_from(KEYS))), max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(KEYS), st.sampled_from(KEYS)), max_size=3),
)
def test_a_transaction_that_knows_does_as_one_that_forgets(
    cells: Contents,
    moves: list[tuple[tuple[list[bytes], list[Scan]], tuple[bytes, bytes] | None]],
    others: list[tuple[int, bytes, bytes]],
) -> None:
    """Same answers and the same fate, whatever others commit meanwhile; who forgets may only hear of it earlier."""

    def run() -> tuple[list[WaveResult], bool, Contents]:
        driver = filled(cells)
        transaction = Transaction(driver)
        answers: list[WaveResult] = []
        fate = True
        for at, ((gets, ranges), write) in enumerate(moves):
            if fate:
                try:
                    answers.append(transaction.run(asked(*gets, scans=tuple(ranges))))
                    if write is not None:
                        transaction.write(*write)
                except Conflict:
                    fate = False
            for when, key, value in others:
                if when == at:
                    driver.commit((), [(key, value)])
        try:
            transaction.commit()
        except Conflict:
            fate = False
        found = driver.read((), [Scan(b"", b"~")]).scans[0]
        return answers, fate, {cell.key: cell.value for cell in found}

    knowing = run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "MAX_CELLS", 0)
        forgetful = run()
    assert knowing[0][: len(forgetful[0])] == forgetful[0]
    if any(write for _, write in moves) or forgetful[1]:
        assert knowing[1:] == forgetful[1:]
