"""The catalogue: what is loaded at what price, what stays the same object, and changes of whole tables."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rome.errors import (
    Conflict,
    DuplicateColumn,
    DuplicateObject,
    DuplicateTable,
    InternalError,
    ProgrammingError,
    UndefinedColumn,
    UndefinedTable,
)
from rome.table import catalog as catalogs
from rome.table.catalog import CatalogCache, create_table, drop_table, find_table, rename_table
from rome.table.schema import Action, Check, Column, ForeignKey, Index, Table
from rome.txn.transaction import GuardChanged, Transaction
from rome.values import Kind, SqlType
from tests.table.workbench import Workbench, draft

PARENT = draft("Parent", "id int!, code str", "id", unique=["code"])
CHILD = draft("child", "id int!, parent int", "id", references=[ForeignKey("fk", (2,), "parent", ("ID",))])


def load(bench: Workbench, cache: CatalogCache) -> tuple[object, int]:
    tx = Transaction(bench.driver)
    known = tx.run(cache.load(tx))
    assert tx.context is known
    return known, tx.stats.waves


def test_an_empty_store_has_an_empty_catalogue(bench: Workbench) -> None:
    known, waves = load(bench, bench.cache)
    assert known == catalogs.EMPTY
    assert waves == 1


def test_what_was_created_is_what_another_store_loads_in_one_wave(bench: Workbench) -> None:
    bench.create(PARENT, CHILD)
    other = CatalogCache(bench.keys)
    known, waves = load(bench, other)
    assert (known, waves) == (bench.latest, 1)
    again, waves = load(bench, other)
    assert (again is known, waves) == (True, 1)


def test_tables_that_did_not_change_stay_the_same_objects(bench: Workbench) -> None:
    other = CatalogCache(bench.keys)
    bench.create(PARENT, CHILD)
    load(bench, other)
    before = dict(other.latest.tables)
    mine = dict(bench.latest.tables)
    bench.create(draft("third", "id int!", "id"))
    load(bench, other)
    for name in ("parent", "child"):
        assert other.latest.tables[name] is before[name]
        assert bench.latest.tables[name] is mine[name]


def test_an_uncommitted_catalogue_is_not_the_latest(bench: Workbench) -> None:
    bench.create(PARENT)
    tx = bench.begin()
    changed = tx.run(create_table(tx, bench.keys, bench.latest, draft("more", "id int!", "id")))
    assert tx.run(bench.cache.load(tx)).tables["more"] is changed.tables["more"]
    assert "more" not in bench.latest.tables
    tx.rollback()
    assert load(bench, bench.cache)[0] is bench.latest


def test_a_version_is_never_used_twice_not_even_after_a_rollback(bench: Workbench) -> None:
    tx = bench.begin()
    lost = tx.run(create_table(tx, bench.keys, bench.latest, PARENT))
    tx.rollback()
    bench.create(PARENT)
    assert bench.latest.version != lost.version
    assert bench["parent"].id != lost.tables["parent"].id


def test_a_plan_on_an_old_catalogue_is_found_out_at_its_first_read(bench: Workbench) -> None:
    stale = bench.begin()
    bench.create(PARENT)
    with pytest.raises(GuardChanged):
        stale.run(create_table(stale, bench.keys, catalogs.EMPTY, CHILD))
    with pytest.raises(Conflict, match="catalogue has changed"):
        stale.run(create_table(stale, bench.keys, catalogs.EMPTY, CHILD))


def test_two_changes_at_once_conflict(bench: Workbench) -> None:
    one = bench.begin()
    one.run(create_table(one, bench.keys, bench.latest, PARENT))
    bench.create(draft("other", "id int!", "id"))
    with pytest.raises(Conflict):
        one.commit()


def test_a_savepoint_takes_a_change_back(bench: Workbench) -> None:
    bench.create(PARENT)
    with bench.transaction() as tx:
        savepoint = tx.savepoint()
        tx.run(create_table(tx, bench.keys, bench.latest, CHILD))
        tx.rollback_to(savepoint)
        assert tx.context is bench.latest
    assert list(bench.latest.tables) == ["parent"]


def test_every_field_of_a_table_survives_the_store(bench: Workbench) -> None:
    kinds = [SqlType(kind, kind.upper()) for kind in Kind if kind is not Kind.NULL]
    columns = [Column(at, f"c{at}", kind, comment="said") for at, kind in enumerate(kinds, 1)]
    money = SqlType(Kind.DECIMAL, "NUMERIC", None, 5, 2)
    columns.append(Column(20, "price", money, False, "1.50", Decimal("1.50"), comment="a default"))
    columns.append(Column(21, "data", SqlType(Kind.BYTES, "BLOB"), missing=b"\x00\xff"))
    table = Table(
        id=0,
        name="All",
        columns=tuple(columns),
        primary_key=(20, 1),
        primary_key_name="pk_all",
        indexes=(Index(0, "ix", (2, 3)), Index(0, None, (5,), unique=True, constraint=True)),
        foreign_keys=(ForeignKey("self", (20, 1), "all", ("price", "c1"), Action.SET_NULL, Action.CASCADE),),
        checks=(Check("ck", "price > 0"), Check(None, "c1")),
        comment="everything",
    )
    bench.create(table)
    other = CatalogCache(bench.keys)
    load(bench, other)
    assert other.latest == bench.latest
    assert repr(other.latest.tables["all"].columns[-2].missing) == "Decimal('1.50')"
    assert other.latest.tables["all"].columns[-1].missing == b"\x00\xff"


def test_primary_key_columns_are_not_null(bench: Workbench) -> None:
    bench.create(draft("t", "a int, b int", "b"))
    assert [column.nullable for column in bench["t"].columns] == [True, False]


def test_a_name_is_taken_whatever_its_case(bench: Workbench) -> None:
    bench.create(PARENT)
    with pytest.raises(DuplicateTable, match=r'^\[42P07\] table "PARENT" already exists'):
        bench.create(draft("PARENT", "id int!", "id"))
    assert find_table(bench.latest, "pArEnT") is bench["parent"]
    with pytest.raises(UndefinedTable, match=r'^\[42P01\] table "nowhere" does not exist'):
        find_table(bench.latest, "nowhere")


def test_names_within_a_table_are_distinct(bench: Workbench) -> None:
    with pytest.raises(DuplicateColumn, match='column "A"'):
        bench.create(draft("t", "a int, A int"))
    with pytest.raises(DuplicateObject, match='index "ix_a"'):
        bench.create(draft("t", "a int", indexes=["a", "a"]))
    with pytest.raises(DuplicateObject, match='constraint "uq_a"'):
        key = ForeignKey("UQ_a", (1,), "t", ("a",))
        bench.create(draft("t", "a int", unique=["a"], references=[key]))
    unnamed = ForeignKey(None, (1,), "t", ("a",))
    bench.create(draft("t", "a int", unique=["a"], references=[unnamed, unnamed]))


def test_a_foreign_key_gets_a_hidden_index_unless_there_is_one(bench: Workbench) -> None:
    bench.create(PARENT, CHILD)
    (hidden,) = bench["child"].indexes
    assert (hidden.hidden, hidden.columns, hidden.name) == (True, (2,), None)
    key = ForeignKey(None, (2,), "parent", ("id",))
    bench.create(draft("other", "id int!, parent int, x int", "id", indexes=["parent x"], references=[key]))
    assert [index.hidden for index in bench["other"].indexes] == [False]


@pytest.mark.parametrize(
    ("columns", "target", "targets", "error", "message"),
    [
        ((2,), "nowhere", ("id",), UndefinedTable, "nowhere"),
        ((2,), "parent", ("nothing",), UndefinedColumn, "nothing"),
        ((1, 2), "parent", ("id",), ProgrammingError, "has 2 columns and references 1"),
        ((2,), "parent", ("id", "code"), ProgrammingError, "has 1 columns and references 2"),
        ((2,), "parent", ("code",), ProgrammingError, 'column "parent" .* is INTEGER, but "code" .* is VARCHAR'),
        ((2, 1), "parent", ("id", "code"), ProgrammingError, "neither its primary key nor UNIQUE"),
    ],
)
def test_a_reference_that_cannot_be_followed_is_refused(
    bench: Workbench,
    columns: tuple[int, ...],
    target: str,
    targets: tuple[str, ...],
    error: type[Exception],
    message: str,
) -> None:
    bench.create(PARENT)
    with pytest.raises(error, match=message):
        key = ForeignKey("fk", columns, target, targets)
        bench.create(draft("child", "id int!, parent int", "id", references=[key]))
    assert "child" not in bench.latest.tables


def test_dropping_a_table_removes_everything_it_held(bench: Workbench) -> None:
    bench.create(PARENT, CHILD)
    bench.insert("parent", (1, "a"), (2, "b"), (3, None))
    bench.define(drop_table, [bench["child"]])
    bench.define(drop_table, [bench["parent"]])
    assert set(bench.cells()) == {bench.keys.catalog_version}


def test_a_table_that_another_references_is_not_dropped(bench: Workbench) -> None:
    bench.create(PARENT, CHILD)
    with pytest.raises(ProgrammingError, match=r'^\[2BP01\] cannot drop table "Parent": "child" references it'):
        bench.define(drop_table, [bench["parent"]])
    bench.define(drop_table, [bench["parent"], bench["child"]])
    assert bench.latest.tables == {}


def test_a_table_that_references_itself_is_dropped(bench: Workbench) -> None:
    bench.create(draft("tree", "id int!, up int", "id", references=[ForeignKey(None, (2,), "tree", ("id",))]))
    bench.define(drop_table, [bench["tree"]])
    assert bench.latest.tables == {}


def test_a_table_created_anew_has_another_id(bench: Workbench) -> None:
    bench.create(PARENT)
    first = bench["parent"].id
    bench.define(drop_table, [bench["parent"]])
    bench.create(PARENT)
    assert bench["parent"].id > first


def test_rename_moves_no_row_and_references_follow(bench: Workbench) -> None:
    tree = ForeignKey("fk_up", (2,), "tree", ("id",))
    bench.create(draft("tree", "id int!, up int", "id", references=[tree]))
    bench.create(draft("leaf", "id int!, tree int", "id", references=[ForeignKey(None, (2,), "tree", ("id",))]))
    bench.insert("tree", (1, None), (2, 1))
    bench.define(rename_table, bench["tree"], "Wood")
    assert "tree" not in bench.latest.tables
    assert bench.stored("wood") == [(1, None), (2, 1)]
    assert bench["wood"].foreign_keys[0].target == bench["leaf"].foreign_keys[0].target == "Wood"
    with pytest.raises(DuplicateTable):
        bench.define(rename_table, bench["wood"], "leaf")
    bench.define(rename_table, bench["wood"], "WOOD")
    assert bench["wood"].name == "WOOD"


def test_a_comment_comes_and_goes(bench: Workbench) -> None:
    bench.create(PARENT)
    bench.define(catalogs.comment_on_table, bench["parent"], "what it is")
    assert bench["parent"].comment == "what it is"
    bench.define(catalogs.comment_on_table, bench["parent"], None)
    assert bench["parent"].comment is None


def test_a_damaged_catalogue_is_a_defect(bench: Workbench) -> None:
    bench.create(PARENT)
    bench.driver.commit((), [(bench.keys.table_cell(bench["parent"].id), b"\x93broken")])
    with pytest.raises(InternalError, match="does not describe a table"):
        load(bench, CatalogCache(bench.keys))


def test_a_wiped_store_is_seen_as_empty_and_filled_anew(bench: Workbench) -> None:
    bench.create(PARENT)
    bench.driver.clear(bench.keys.namespace_prefix)
    assert load(bench, bench.cache)[0] == catalogs.EMPTY
    bench.create(draft("parent", "other str!", "other"))
    assert [column.name for column in bench["parent"].columns] == ["other"]
