"""INSERT, UPDATE and DELETE: what is stored, what is refused, and at what price."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rome import values
from rome.driver.api import Cell
from rome.errors import DataError, IntegrityError, InternalError, NotNullViolation, UniqueViolation
from rome.table import rowcode, rows
from rome.table.catalog import create_table
from rome.table.paths import reader
from rome.table.schema import Column, Table
from tests.table.workbench import Workbench, draft

IMAGES = draft("images", "id str!, name str, size int", "id", unique=["name"], indexes=["size"])
LOG = draft("log", "line str, size int", indexes=["size"])


@pytest.fixture
def images(bench: Workbench) -> Workbench:
    bench.create(IMAGES)
    bench.insert("images", ("b", "bee", 2), ("a", "ant", 1), ("c", None, 3))
    return bench


def test_rows_come_back_in_primary_key_order(images: Workbench) -> None:
    assert images.stored("images") == [("a", "ant", 1), ("b", "bee", 2), ("c", None, 3)]


def test_an_index_gives_rows_in_its_own_order_null_first(images: Workbench) -> None:
    assert [row[0] for row in images.behind("images", "uq_name")] == ["c", "a", "b"]


@pytest.mark.parametrize("count", [1, 100])
def test_an_insert_costs_one_wave_however_many_rows(images: Workbench, count: int) -> None:
    with images.transaction() as tx:
        new = [(f"new{at}", f"name{at}", at) for at in range(count)]
        tx.run(rows.insert(tx, images.keys, images.latest, images["images"], new))
        assert tx.stats.waves == 1


def test_an_update_that_moves_no_unique_key_costs_no_wave(images: Workbench) -> None:
    with images.transaction() as tx:
        change = [(("a", "ant", 1), ("a", "ant", 9))]
        assert tx.run(rows.update(tx, images.keys, images.latest, images["images"], change)) == 1
        assert tx.stats.waves == 0
    assert images.stored("images")[0] == ("a", "ant", 9)


def test_a_row_that_is_there_is_a_unique_violation(images: Workbench) -> None:
    with pytest.raises(UniqueViolation) as caught:
        images.insert("images", ("z", None, 0), ("a", "other", 0))
    error = caught.value
    assert str(error) == "[23505] UNIQUE constraint failed: images.id (key PRIMARY, value 'a')"
    assert (error.table, error.columns, error.constraint, error.values) == ("images", ("id",), "PRIMARY", ("a",))
    assert len(images.stored("images")) == 3


def test_a_unique_value_that_is_there_is_a_unique_violation(images: Workbench) -> None:
    with pytest.raises(UniqueViolation) as caught:
        images.insert("images", ("z", "bee", 0))
    assert str(caught.value) == "[23505] UNIQUE constraint failed: images.name (key uq_name, value 'bee')"


def test_a_key_of_several_columns_names_them_all(bench: Workbench) -> None:
    bench.create(draft("t", "a int!, b str!", "a b"))
    bench.insert("t", (1, "x"), (1, "y"))
    with pytest.raises(UniqueViolation, match=r"failed: t\.a, t\.b \(key PRIMARY, value 1, 'it''s'\)$"):
        bench.insert("t", (1, "it's"), (1, "it's"))


def test_two_rows_of_one_insert_must_differ(images: Workbench) -> None:
    with pytest.raises(UniqueViolation, match=r"images\.id .*'z'"):
        images.insert("images", ("z", None, 0), ("z", None, 1))
    with pytest.raises(UniqueViolation, match=r"images\.name .*'zoe'"):
        images.insert("images", ("y", "zoe", 0), ("z", "zoe", 1))


def test_nulls_are_distinct_under_unique(images: Workbench) -> None:
    images.insert("images", ("d", None, 0), ("e", None, 0))
    assert [row[1] for row in images.stored("images")].count(None) == 3


def test_null_where_none_may_be_is_refused(images: Workbench) -> None:
    with pytest.raises(NotNullViolation) as caught:
        images.insert("images", (None, "x", 0))
    assert str(caught.value) == "[23502] NOT NULL constraint failed: images.id"
    assert (caught.value.table, caught.value.columns) == ("images", ("id",))
    with pytest.raises(NotNullViolation):
        images.update("images", lambda row: (None, *row[1:]))


def test_a_refused_statement_writes_nothing(images: Workbench) -> None:
    before = images.cells()
    tx = images.begin()
    with pytest.raises(UniqueViolation):
        tx.run(rows.insert(tx, images.keys, images.latest, images["images"], [("y", None, 0), ("a", None, 0)]))
    assert not tx.has_writes
    tx.commit()
    assert images.cells() == before


def test_uniqueness_is_judged_after_the_statement(bench: Workbench) -> None:
    bench.create(draft("t", "id int!, rank int", "id", unique=["rank"]))
    bench.insert("t", *((at, at) for at in range(5)))
    assert bench.update("t", lambda row: (row[0] + 1, row[1])) == 5
    assert bench.stored("t") == [(at + 1, at) for at in range(5)]
    assert bench.update("t", lambda row: (row[0], 4 - row[1])) == 5
    assert bench.stored("t") == [(at + 1, 4 - at) for at in range(5)]
    with pytest.raises(UniqueViolation, match="value 2"):
        bench.update("t", lambda row: (row[0], 2) if row[0] == 1 else row)
    with pytest.raises(UniqueViolation, match="value 7"):
        bench.update("t", lambda row: (row[0], 7))


def test_a_row_may_take_the_unique_value_that_another_row_of_the_statement_only_keeps(bench: Workbench) -> None:
    bench.create(draft("t", "id int!, rank int, note str", "id", unique=["rank"]))
    bench.insert("t", (1, 1, "a"), (2, 2, "b"))
    with pytest.raises(UniqueViolation, match="value 2"):
        bench.update("t", lambda row: (1, 2, "c") if row[0] == 1 else (2, 2, "c"))


def test_an_update_that_changes_nothing_matches_but_writes_nothing(images: Workbench) -> None:
    before = dict(images.store.cells)
    with images.transaction() as tx:
        same = [(row, row) for row in images.stored("images", tx)]
        assert tx.run(rows.update(tx, images.keys, images.latest, images["images"], same)) == 3
        assert not tx.has_writes
    assert dict(images.store.cells) == before


def test_only_index_entries_that_move_are_written(images: Workbench) -> None:
    before = images.store.version
    images.update("images", lambda row: (row[0], row[1], row[2] + 10))
    written = {cell.key for cell in images.store.cells.values() if cell.version > before}
    name = next(index for index in images["images"].indexes if index.name == "uq_name")
    assert len(written) == 6  # three rows and three entries of ix_size
    assert not any(key.startswith(images.keys.index_prefix(images["images"], name)) for key in written)


def test_a_primary_key_that_moves_takes_every_entry_with_it(images: Workbench) -> None:
    images.update("images", lambda row: ("z" + row[0], *row[1:]))
    assert [row[0] for row in images.behind("images", "ix_size")] == ["za", "zb", "zc"]
    assert [row[0] for row in images.behind("images", "uq_name")] == ["zc", "za", "zb"]


def test_values_that_are_equal_but_not_the_same_are_stored_as_given(bench: Workbench) -> None:
    columns = (Column(1, "id", values.INTEGER, False), Column(2, "x", values.FLOAT), Column(3, "d", values.DECIMAL))
    bench.define(create_table, Table(0, "t", columns, (1,)))
    bench.insert("t", (1, 0.0, Decimal("1.0")))
    bench.update("t", lambda row: (1, -0.0, Decimal("1.00")))
    assert repr(bench.stored("t")) == "[(1, -0.0, Decimal('1.00'))]"


def test_deleted_rows_leave_nothing(images: Workbench) -> None:
    assert images.delete("images", lambda row: row[0] != "b") == 2
    assert images.stored("images") == [("b", "bee", 2)]
    images.delete("images")
    prefix = images.keys.table_prefix(images["images"])
    assert not any(key.startswith(prefix) for key in images.cells())


def test_a_key_deleted_by_the_transaction_can_be_used_again(images: Workbench) -> None:
    with images.transaction() as tx:
        table, known = images["images"], images.latest
        tx.run(rows.delete(tx, images.keys, known, table, [("a", "ant", 1)]))
        tx.run(rows.insert(tx, images.keys, known, table, [("a", "ant", 5)]))
        with pytest.raises(UniqueViolation):
            tx.run(rows.insert(tx, images.keys, known, table, [("a", None, 6)]))
    assert images.stored("images")[0] == ("a", "ant", 5)


def test_a_table_without_primary_key_holds_equal_rows_in_the_order_they_came(bench: Workbench) -> None:
    bench.create(LOG)
    bench.insert("log", ("x", 1), ("x", 1))
    bench.insert("log", ("a", 2))
    assert bench.stored("log") == [("x", 1, 1), ("x", 1, 2), ("a", 2, 3)]
    assert bench.update("log", lambda row: (row[0] + "!", row[1])) == 3
    assert bench.delete("log", lambda row: row[2] == 2) == 1
    assert bench.stored("log") == [("x!", 1, 1), ("a!", 2, 3)]


def test_row_key_of_finds_a_stored_row(bench: Workbench) -> None:
    bench.create(LOG, IMAGES)
    bench.insert("log", ("x", 1))
    key = bench.keys.row_key(bench["log"], (1,))
    (row,) = bench.stored("log")
    assert rows.row_key_of(bench.keys, bench["log"], row) == key
    assert reader(bench.keys, bench["log"])(Cell(key, bench.cells()[key], 1)) == row
    with pytest.raises(InternalError, match="row number"):
        rows.row_key_of(bench.keys, bench["log"], row[:2])
    assert rows.row_key_of(bench.keys, bench["images"], ("a", "b", 1)) == bench.keys.row_key(bench["images"], ("a",))


def test_a_key_over_the_limit_names_its_index(bench: Workbench) -> None:
    bench.create(draft("t", "id text!, a text, b text", "id", indexes=["a b"]))
    bench.insert("t", ("k", "a" * 1500, "b" * 1572))
    with pytest.raises(DataError, match=r'^\[22001\] .* the index ix_a_b of table "t" hold 3073 bytes'):
        bench.insert("t", ("l", "a" * 1500, "b" * 1573))
    with pytest.raises(DataError, match=r'the primary key of table "t" hold 4000 bytes'):
        bench.insert("t", ("l" * 4000, "a", "b"))


def test_a_row_over_the_limit_is_refused(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowcode, "MAX_ROW_BYTES", 1000)
    bench.create(draft("t", "id int!, a text", "id"))
    bench.insert("t", (1, "x" * 990))
    with pytest.raises(DataError, match=r'^\[54000\] a row of table "t" takes 1007 bytes; the limit is 1000'):
        bench.insert("t", (2, "x" * 1000))


def test_a_row_that_comes_twice_in_one_statement_is_a_defect(images: Workbench) -> None:
    with images.transaction() as tx, pytest.raises(InternalError, match="twice"):
        twice = [("a", "ant", 1)] * 2
        tx.run(rows.delete(tx, images.keys, images.latest, images["images"], twice))


def test_every_integrity_error_carries_its_table(images: Workbench) -> None:
    for wrong in (("a", None, 0), (None, None, 0), ("z", "ant", 0)):
        with pytest.raises(IntegrityError) as caught:
            images.insert("images", wrong)
        assert caught.value.table == "images"
