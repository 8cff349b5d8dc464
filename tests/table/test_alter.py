"""ALTER TABLE on columns: what it does to rows, indexes and references."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

import pytest

from rome import values
from rome.errors import (
    DataError,
    DuplicateColumn,
    NotNullViolation,
    NotSupportedError,
    ProgrammingError,
    UndefinedColumn,
    UniqueViolation,
)
from rome.table import rowcode
from rome.table.alter import add_column, alter_column, drop_column, find_column, rename_column
from rome.table.catalog import CatalogCache
from rome.table.schema import Check, Column, ForeignKey
from rome.txn.transaction import Transaction
from rome.values import Kind, SqlType
from tests.table.workbench import VARCHAR, Workbench, draft


@pytest.fixture
def people(bench: Workbench) -> Workbench:
    bench.create(draft("people", "id int!, name str, age int", "id", unique=["name"], indexes=["age", "name age"]))
    bench.insert("people", (1, "ann", 30), (2, "bob", None), (3, "cid", 50))
    return bench


def no_columns(check: Check) -> Collection[str]:
    raise AssertionError("asked without a CHECK")


def same(check: Check) -> Check:
    return check


def test_an_added_column_is_in_every_row_and_no_row_is_written(people: Workbench) -> None:
    before = {cell.key: cell.version for cell in people.store.cells.values()}
    column = Column(0, "score", SqlType(Kind.DECIMAL, "NUMERIC", None, 4, 1), False, "1.5", Decimal("1.5"))
    people.define(add_column, people["people"], column)
    assert repr(people.stored("people")[0]) == "(1, 'ann', 30, Decimal('1.5'))"
    changed = {cell.key for cell in people.store.cells.values() if before.get(cell.key) != cell.version}
    assert changed == {people.keys.catalog_version, people.keys.table_cell(people["people"].id)}
    people.insert("people", (4, "dan", 1, Decimal("9.5")))
    assert [row[3] for row in people.stored("people")] == [Decimal("1.5")] * 3 + [Decimal("9.5")]
    other = CatalogCache(people.keys)
    tx = Transaction(people.driver)
    assert tx.run(other.load(tx)) == people.latest


def test_a_not_null_column_without_a_value_is_only_added_to_an_empty_table(people: Workbench) -> None:
    with pytest.raises(NotNullViolation, match=r"failed: people\.x$"):
        people.define(add_column, people["people"], Column(0, "x", values.INTEGER, False))
    with pytest.raises(NotSupportedError, match="AUTOINCREMENT"):
        people.define(add_column, people["people"], Column(0, "x", values.INTEGER, autoincrement=True))
    people.delete("people")
    people.define(add_column, people["people"], Column(0, "x", values.INTEGER, False))
    assert not people["people"].by_name["x"].nullable


def test_a_column_name_is_used_once(people: Workbench) -> None:
    with pytest.raises(DuplicateColumn):
        people.define(add_column, people["people"], Column(0, "NAME", values.INTEGER))
    with pytest.raises(DuplicateColumn):
        people.define(rename_column, people["people"], "age", "Name", same)


def test_a_dropped_column_leaves_rows_and_takes_its_own_indexes(people: Workbench) -> None:
    people.define(add_column, people["people"], Column(0, "x", values.INTEGER, missing=7))
    people.define(drop_column, people["people"], "x", no_columns)
    assert people.stored("people") == [(1, "ann", 30), (2, "bob", None), (3, "cid", 50)]
    alone = Workbench()
    alone.create(draft("t", "id int!, a int, b int", "id", unique=["a"], indexes=["a", "b"]))
    alone.insert("t", (1, 2, 3), (2, 3, 4), (3, 4, 5))
    alone.define(drop_column, alone["t"], "a", no_columns)
    assert [index.name for index in alone["t"].indexes] == ["ix_b"]
    assert alone.stored("t") == [(1, 3), (2, 4), (3, 5)]
    alone.define(add_column, alone["t"], Column(0, "a", VARCHAR, missing="new"))
    assert alone.stored("t")[0] == (1, 3, "new")


def test_a_column_that_others_need_is_not_dropped(people: Workbench) -> None:
    people.create(draft("pet", "id int!, owner int", "id", references=[ForeignKey("fk_o", (2,), "people", ("id",))]))
    with pytest.raises(ProgrammingError, match=r"^\[2BP01\] .*the index ix_name_age uses it"):
        people.define(drop_column, people["people"], "age", no_columns)
    with pytest.raises(ProgrammingError, match='the primary key, the foreign key fk_o of "pet" uses it'):
        people.define(drop_column, people["people"], "id", no_columns)
    with pytest.raises(ProgrammingError, match="the foreign key fk_o uses it"):
        people.define(drop_column, people["pet"], "owner", no_columns)
    with pytest.raises(UndefinedColumn, match=r'^\[42703\] column "nothing" of table "people"'):
        people.define(drop_column, people["people"], "nothing", no_columns)
    people.create(draft("single", "a int"))
    with pytest.raises(ProgrammingError, match="last column"):
        people.define(drop_column, people["single"], "a", no_columns)


def test_a_check_on_the_dropped_column_alone_goes_with_it(bench: Workbench) -> None:
    checks = (Check("one", "a > 0"), Check("two", "a > b"))
    bench.create(replace(draft("t", "a int, b int, c int"), checks=checks))
    names = {"a > 0": ["A"], "a > b": ["a", "b"]}
    with pytest.raises(ProgrammingError, match="the CHECK two uses it"):
        bench.define(drop_column, bench["t"], "a", lambda sql: names[sql])
    names["a > b"] = ["b", "c"]
    bench.define(drop_column, bench["t"], "a", lambda sql: names[sql])
    assert bench["t"].checks == checks[1:]


def test_rename_changes_no_row_and_references_follow(bench: Workbench) -> None:
    tree = ForeignKey("fk", (2,), "tree", ("ID",))
    bench.create(replace(draft("tree", "id int!, up int", "id", references=[tree]), checks=(Check(None, "id > 0"),)))
    bench.create(draft("leaf", "tree int", references=[ForeignKey(None, (1,), "tree", ("id",))]))
    bench.insert("tree", (1, None), (2, 1))
    bench.define(rename_column, bench["tree"], "id", "number", lambda sql: "number > 0")
    assert bench["tree"].foreign_keys[0].target_columns == ("number",)
    assert bench["leaf"].foreign_keys[0].target_columns == ("number",)
    assert bench["tree"].checks[0].sql == "number > 0"
    assert bench.stored("tree") == [(1, None), (2, 1)]
    assert find_column(bench["tree"], "NUMBER").id == 1


def test_another_kind_converts_rows_and_index_entries(people: Workbench) -> None:
    column = replace(find_column(people["people"], "age"), type=VARCHAR)
    people.define(alter_column, people["people"], column)
    assert people.stored("people") == [(1, "ann", "30"), (2, "bob", None), (3, "cid", "50")]
    assert [row[2] for row in people.behind("people", "ix_age")] == [None, "30", "50"]
    back = replace(column, type=values.BIGINT)
    people.define(alter_column, people["people"], back, lambda value: int(str(value)) * 2)
    assert people.stored("people") == [(1, "ann", 60), (2, "bob", None), (3, "cid", 100)]


def test_the_type_of_the_primary_key_can_change(people: Workbench) -> None:
    column = replace(find_column(people["people"], "id"), type=VARCHAR)
    people.define(alter_column, people["people"], column)
    assert people.stored("people") == [("1", "ann", 30), ("2", "bob", None), ("3", "cid", 50)]


def test_a_wider_type_writes_no_row(people: Workbench) -> None:
    version = people.store.version
    table = people["people"]
    people.define(alter_column, table, replace(find_column(table, "age"), type=values.BIGINT))
    people.define(alter_column, people["people"], replace(find_column(table, "name"), type=values.TEXT))
    changed = {cell.key for cell in people.store.cells.values() if cell.version > version}
    assert changed == {people.keys.catalog_version, people.keys.table_cell(table.id)}


def test_a_value_that_does_not_fit_the_new_type_is_named(people: Workbench) -> None:
    before = people.cells()
    name = find_column(people["people"], "name")
    with pytest.raises(DataError, match=r'^\[22001\] .* too long \(column "people\.name", type VARCHAR\(2\)\)$'):
        people.define(alter_column, people["people"], replace(name, type=replace(VARCHAR, length=2)))
    assert people.cells() == before
    people.define(alter_column, people["people"], replace(name, type=replace(VARCHAR, length=3)))
    assert people["people"].by_name["name"].type.length == 3


def test_rows_that_become_alike_under_unique_are_refused(people: Workbench) -> None:
    name = replace(find_column(people["people"], "name"), type=replace(VARCHAR, length=1))
    with pytest.raises(UniqueViolation, match=r"people\.name .*value 'x'"):
        people.define(alter_column, people["people"], name, lambda value: "x")


def test_not_null_is_checked_and_can_be_lifted(people: Workbench) -> None:
    age = find_column(people["people"], "age")
    with pytest.raises(NotNullViolation, match=r"people\.age$"):
        people.define(alter_column, people["people"], replace(age, nullable=False))
    people.update("people", lambda row: (*row[:2], row[2] or 0))
    people.define(alter_column, people["people"], replace(age, nullable=False))
    with pytest.raises(NotNullViolation):
        people.insert("people", (9, None, None))
    people.define(alter_column, people["people"], age)
    people.insert("people", (9, None, None))
    with pytest.raises(ProgrammingError, match="primary key"):
        people.define(alter_column, people["people"], replace(find_column(people["people"], "id"), nullable=True))


def test_default_comment_and_autoincrement_only_change_the_description(people: Workbench) -> None:
    age = find_column(people["people"], "age")
    people.define(alter_column, people["people"], replace(age, default="5", comment="years"))
    assert people["people"].by_name["age"] == replace(age, default="5", comment="years")
    with pytest.raises(ProgrammingError, match="rename_column"):
        people.define(alter_column, people["people"], replace(age, name="years"))


def test_rows_from_before_a_column_was_added_keep_its_value_when_its_type_changes(people: Workbench) -> None:
    people.define(add_column, people["people"], Column(0, "level", values.INTEGER, missing=3))
    people.insert("people", (4, "dan", 1, 8))
    people.define(alter_column, people["people"], replace(find_column(people["people"], "level"), type=VARCHAR))
    assert [row[3] for row in people.stored("people")] == ["3", "3", "3", "8"]
    assert len(people["people"].layouts) == 1
    shorter = replace(find_column(people["people"], "level"), type=replace(VARCHAR, length=1))
    people.define(alter_column, people["people"], shorter)
    assert [row[3] for row in people.stored("people")] == ["3", "3", "3", "8"]


def test_a_missing_value_is_converted_with_the_rows(bench: Workbench) -> None:
    bench.create(draft("t", "id int!", "id"))
    bench.insert("t", (1,))
    money = SqlType(Kind.DECIMAL, "NUMERIC", None, 6, 3)
    bench.define(add_column, bench["t"], Column(0, "price", money, missing=Decimal("1.250")))
    price = find_column(bench["t"], "price")
    bench.define(alter_column, bench["t"], replace(price, type=replace(money, scale=1)))
    assert repr(bench.stored("t")) == "[(1, Decimal('1.3'))]"
    assert repr(bench["t"].by_name["price"].missing) == "Decimal('1.3')"


def test_a_foreign_key_keeps_its_two_sides_comparable(bench: Workbench) -> None:
    bench.create(draft("p", "id int!, s str", "id", unique=["s"]))
    bench.create(draft("c", "id int!, p int", "id", references=[ForeignKey("fk", (2,), "p", ("id",))]))
    bench.insert("p", (1, None))
    bench.insert("c", (1, 1))
    for table, name in (("c", "p"), ("p", "id")):
        with pytest.raises(ProgrammingError, match="which it references, is"):
            bench.define(alter_column, bench[table], replace(find_column(bench[table], name), type=VARCHAR))
    small = replace(find_column(bench["c"], "p"), type=SqlType(Kind.INTEGER, "SMALLINT"))
    bench.define(alter_column, bench["c"], small)
    with pytest.raises(ProgrammingError, match="part of a foreign key and its value 1 would become 2"):
        bench.define(
            alter_column, bench["c"], replace(small, type=SqlType(Kind.INTEGER, "TINYINT")), lambda value: 2
        )


def test_a_table_without_primary_key_keeps_its_row_numbers(bench: Workbench) -> None:
    bench.create(draft("log", "line int, x int", indexes=["line"]))
    bench.insert("log", (5, 1), (5, 2), (4, 3))
    bench.delete("log", lambda row: row[1] == 1)
    bench.define(alter_column, bench["log"], replace(find_column(bench["log"], "line"), type=VARCHAR))
    assert bench.stored("log") == [("5", 2, 2), ("4", 3, 3)]
    bench.insert("log", ("6", 4))
    assert bench.stored("log")[-1] == ("6", 4, 4)


def test_a_table_can_be_altered_only_so_often(people: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rowcode, "MAX_LAYOUT", 1)
    with pytest.raises(NotSupportedError, match="altered 2 times"):
        people.define(add_column, people["people"], Column(0, "x", values.INTEGER))
