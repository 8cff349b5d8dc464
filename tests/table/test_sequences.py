"""AUTOINCREMENT: numbers in blocks, explicit values, threads, processes, replay."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

import pytest

from rome.errors import Conflict, DataError, UniqueViolation
from rome.table.catalog import drop_table
from rome.table.rowcode import Row
from rome.table.sequences import BLOCK_NUMBERS, MOST_BLOCK_NUMBERS, Sequences, insert_numbered
from rome.testing.anomalies import cells
from rome.txn.retry import Journal, Replay
from rome.txn.transaction import Transaction
from rome.values import Kind, SqlType
from tests.table.workbench import Workbench, draft

TABLE = draft("t", "id int!+, name str", "id", unique=["name"])


@pytest.fixture
def numbered(bench: Workbench) -> Workbench:
    bench.create(TABLE)
    return bench


def add(bench: Workbench, sequences: Sequences, *rows: Row) -> list[int]:
    with bench.transaction() as tx:
        stored = tx.run(insert_numbered(tx, bench.keys, bench.latest, sequences, bench["t"], rows))
    return [row[0] for row in stored]


def test_numbers_count_from_one(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    assert add(numbered, sequences, (None, "a"), (None, "b")) == [1, 2]
    assert add(numbered, sequences, (None, "c")) == [3]
    assert numbered.stored("t") == [(1, "a"), (2, "b"), (3, "c")]


def test_only_the_first_number_of_a_block_costs_a_round_trip(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    with numbered.transaction() as tx:
        taken = [sequences.take(tx, numbered["t"], 1) for _ in range(BLOCK_NUMBERS)]
        assert taken == [[number] for number in range(1, BLOCK_NUMBERS + 1)]
        assert tx.stats.increments == 1
        assert sequences.take(tx, numbered["t"], 3) == [65, 66, 67]
        assert tx.stats.increments == 2


def test_blocks_grow_with_their_use_up_to_a_limit(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    with numbered.transaction() as tx:
        for at in range(1, 4 * MOST_BLOCK_NUMBERS + 1):
            assert sequences.take(tx, numbered["t"], 1) == [at]
    assert tx.stats.increments == len([64, 128, 256, 512, 1024, 1024, 1024, 1024])


def test_more_numbers_than_a_block_come_in_one_round_trip(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    with numbered.transaction() as tx:
        sequences.take(tx, numbered["t"], 60)
        assert sequences.take(tx, numbered["t"], 1000) == list(range(61, 1061))
        assert tx.stats.increments == 2
        assert sequences.take(tx, numbered["t"], 1) == [1061]


def test_an_explicit_value_raises_the_numbers(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    assert add(numbered, sequences, (None, "a"), (10, "b"), (None, "c")) == [11, 10, 12]
    assert add(numbered, sequences, (500, "d")) == [500]
    assert add(numbered, sequences, (-3, "e"), (None, "f")) == [-3, 501]


def test_an_explicit_value_within_the_block_costs_no_round_trip(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    with numbered.transaction() as tx:
        sequences.take(tx, numbered["t"], 1)
        sequences.note(tx, numbered["t"], 30)
        assert tx.stats.increments == 1
        assert sequences.take(tx, numbered["t"], 1) == [31]
        sequences.note(tx, numbered["t"], BLOCK_NUMBERS)
        assert tx.stats.increments == 1
        sequences.note(tx, numbered["t"], BLOCK_NUMBERS + 1)
        assert tx.stats.increments == 2
        assert sequences.take(tx, numbered["t"], 1) == [66]


def test_two_stores_share_the_counter_and_never_a_number(numbered: Workbench) -> None:
    one, two = Sequences(numbered.keys), Sequences(numbered.keys)
    assert add(numbered, one, (None, "a")) == [1]
    assert add(numbered, two, (None, "b")) == [BLOCK_NUMBERS + 1]
    assert add(numbered, one, (None, "c")) == [2]


def test_a_number_that_another_store_gave_explicitly_is_passed_over(numbered: Workbench) -> None:
    one, two = Sequences(numbered.keys), Sequences(numbered.keys)
    assert add(numbered, one, (None, "a")) == [1]
    assert add(numbered, two, (2, "b"), (3, "c")) == [2, 3]
    assert add(numbered, one, (None, "d"), (None, "e")) == [BLOCK_NUMBERS + 1, BLOCK_NUMBERS + 2]


def test_a_number_that_was_given_explicitly_is_noticed_by_an_insert_that_reads_nothing(numbered: Workbench) -> None:
    numbered.create(draft("plain", "id int!+, n int", "id"))
    one, two = Sequences(numbered.keys), Sequences(numbered.keys)
    table = numbered["plain"]

    def insert(sequences: Sequences, tx: Transaction, value: int | None) -> list[Row]:
        return tx.run(insert_numbered(tx, numbered.keys, numbered.latest, sequences, table, [(value, 0)]))

    with numbered.transaction() as tx:
        assert insert(one, tx, None) == [(1, 0)]
    with numbered.transaction() as tx:
        assert insert(two, tx, 2) == [(2, 0)]
    journal, tx = Journal(), numbered.begin()
    journal.perform(tx, lambda tx: tx.run(cells(b"elsewhere")))
    assert journal.perform(tx, lambda tx: insert(one, tx, None)) == [(2, 0)]
    assert tx.stats.waves == 1
    with pytest.raises(Conflict):
        Replay().commit(journal, tx, numbered.begin)
    with numbered.transaction() as tx:
        assert insert(one, tx, None) == [(BLOCK_NUMBERS + 2, 0)]  # one was given up with the replay
    assert numbered.stored("plain") == [(1, 0), (2, 0), (BLOCK_NUMBERS + 2, 0)]


def test_another_unique_violation_is_not_passed_over(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    add(numbered, sequences, (None, "a"))
    with pytest.raises(UniqueViolation, match=r"t\.name"):
        add(numbered, sequences, (None, "a"))
    with pytest.raises(UniqueViolation, match=r"t\.id"):
        add(numbered, sequences, (1, "z"), (None, "y"))


def test_a_table_created_anew_counts_from_one(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    assert add(numbered, sequences, (None, "a")) == [1]
    numbered.define(drop_table, [numbered["t"]])
    numbered.create(TABLE)
    assert add(numbered, sequences, (None, "a")) == [1]


def test_a_replayed_transaction_gets_the_same_numbers_and_wastes_none(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    first = numbered.begin()
    rows: list[Row] = [(None, "a"), (70, "b"), (None, "c")]

    def run(tx: Transaction) -> list[Row]:
        return tx.run(insert_numbered(tx, numbered.keys, numbered.latest, sequences, numbered["t"], rows))

    stored = run(first)
    more = sequences.take(first, numbered["t"], 2)
    first.rollback()
    first.tape.rewind()
    again = Transaction(numbered.driver, tape=first.tape)
    assert run(again) == stored == [(71, "a"), (70, "b"), (72, "c")]
    assert sequences.take(again, numbered["t"], 2) == more == [73, 74]
    assert again.stats.increments == 0
    again.commit()
    assert add(numbered, sequences, (None, "d")) == [75]


def test_threads_never_share_a_number(numbered: Workbench) -> None:
    sequences = Sequences(numbered.keys)
    taken: list[int] = []

    def work() -> None:
        for count in range(1, 40):
            taken.extend(sequences.take(numbered.begin(), numbered["t"], count % 7 + 1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken))


def test_a_forked_child_takes_its_own_block(numbered: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = Sequences(numbered.keys)
    assert sequences.take(numbered.begin(), numbered["t"], 1) == [1]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert sequences.take(numbered.begin(), numbered["t"], 1) == [BLOCK_NUMBERS + 1]


def test_numbers_end_with_the_type_of_their_column(bench: Workbench) -> None:
    narrow = TABLE.columns[0]
    small = replace(narrow, type=SqlType(Kind.INTEGER, "SMALLINT"))
    bench.create(replace(TABLE, columns=(small, *TABLE.columns[1:])))
    sequences = Sequences(bench.keys)
    assert add(bench, sequences, (32766, "a"), (None, "b")) == [32766, 32767]
    with pytest.raises(DataError, match=r'^\[22003\] the AUTOINCREMENT numbers of table "t" are used up'):
        add(bench, sequences, (None, "c"))
