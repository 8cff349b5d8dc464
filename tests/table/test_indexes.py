"""Indexes and constraints that come to tables with rows, and go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rome.errors import (
    CheckViolation,
    DuplicateObject,
    ForeignKeyViolation,
    NotNullViolation,
    ProgrammingError,
    UndefinedObject,
    UniqueViolation,
)
from rome.table.indexes import (
    add_check,
    add_foreign_key,
    add_primary_key,
    create_index,
    drop_constraint,
    drop_index,
    drop_primary_key,
    find_index,
)
from rome.table.keycode import encode
from rome.table.schema import Action, Check, ForeignKey, Index
from tests.table.workbench import Workbench, draft

REFERENCE = ForeignKey("fk_p", (2,), "p", ("id",), Action.CASCADE)


@pytest.fixture
def filled(bench: Workbench) -> Workbench:
    bench.create(draft("p", "id int!, code str", "id"), draft("c", "id int!, p int, x str", "id"))
    bench.insert("p", (1, "a"), (2, "b"), (3, None))
    bench.insert("c", (1, 1, "m"), (2, 1, "l"), (3, 2, "k"), (4, None, None), (5, 2, "j"))
    return bench


def entries(bench: Workbench, table: str, index_id: int) -> int:
    prefix = bench.keys.table_prefix(bench[table]) + encode((index_id,))
    return sum(key.startswith(prefix) for key in bench.cells())


def test_a_new_index_has_an_entry_for_every_row(filled: Workbench) -> None:
    filled.define(create_index, filled["c"], Index(0, "ix_x", (3,)))
    assert [row[2] for row in filled.behind("c", "ix_x")] == [None, "j", "k", "l", "m"]
    filled.insert("c", (6, None, "a"))
    assert [row[2] for row in filled.behind("c", "ix_x")][:2] == [None, "a"]


def test_a_new_unique_index_refuses_rows_that_are_alike(filled: Workbench) -> None:
    before = filled.cells()
    with pytest.raises(UniqueViolation, match=r"c\.p \(key uq_p, value 1\)"):
        filled.define(create_index, filled["c"], Index(0, "uq_p", (2,), unique=True, constraint=True))
    assert filled.cells() == before
    filled.define(create_index, filled["c"], Index(0, "uq_x", (3,), unique=True))
    with pytest.raises(UniqueViolation, match="uq_x"):
        filled.insert("c", (6, None, "j"))


def test_names_of_indexes_are_distinct_within_a_table_only(filled: Workbench) -> None:
    filled.define(create_index, filled["c"], Index(0, "ix", (3,)))
    with pytest.raises(DuplicateObject, match=r'^\[42710\] index "IX" of table "c" already exists'):
        filled.define(create_index, filled["c"], Index(0, "IX", (2,)))
    filled.define(create_index, filled["p"], Index(0, "ix", (2,)))


def test_a_dropped_index_leaves_no_entry(filled: Workbench) -> None:
    filled.define(create_index, filled["c"], Index(0, "ix", (3,)))
    index = find_index(filled["c"], "IX")
    filled.define(drop_index, filled["c"], "Ix")
    assert filled["c"].indexes == ()
    assert entries(filled, "c", index.id) == 0
    with pytest.raises(UndefinedObject, match=r'^\[42704\] index "ix" of table "c"'):
        filled.define(drop_index, filled["c"], "ix")


def test_an_index_id_is_not_used_again(filled: Workbench) -> None:
    filled.define(create_index, filled["c"], Index(0, "ix", (3,)))
    first = find_index(filled["c"], "ix").id
    filled.define(drop_index, filled["c"], "ix")
    filled.define(create_index, filled["c"], Index(0, "ix", (3,)))
    assert find_index(filled["c"], "ix").id > first


def test_the_index_of_a_unique_constraint_goes_with_the_constraint(filled: Workbench) -> None:
    filled.define(create_index, filled["p"], Index(0, "uq", (2,), unique=True, constraint=True))
    with pytest.raises(ProgrammingError, match=r"^\[2BP01\] .*drop that constraint instead"):
        filled.define(drop_index, filled["p"], "uq")
    filled.define(drop_constraint, filled["p"], "UQ")
    filled.insert("p", (4, "a"))


def test_a_new_foreign_key_looks_at_every_row(filled: Workbench) -> None:
    filled.insert("c", (9, 77, None))
    with pytest.raises(ForeignKeyViolation, match=r'table "c" key "fk_p" .*value 77\): no such row'):
        filled.define(add_foreign_key, filled["c"], REFERENCE)
    filled.delete("c", lambda row: row[0] == 9)
    filled.define(add_foreign_key, filled["c"], REFERENCE)
    assert [index.hidden for index in filled["c"].indexes] == [True]
    filled.delete("p", lambda row: row[0] == 1)
    assert [row[0] for row in filled.stored("c")] == [3, 4, 5]


def test_a_visible_index_takes_the_place_of_the_hidden_one_and_gives_it_back(filled: Workbench) -> None:
    filled.define(add_foreign_key, filled["c"], REFERENCE)
    hidden = filled["c"].indexes[0].id
    filled.define(create_index, filled["c"], Index(0, "ix", (2, 3)))
    assert [index.name for index in filled["c"].indexes] == ["ix"]
    assert entries(filled, "c", hidden) == 0
    filled.define(drop_index, filled["c"], "ix")
    assert [(index.hidden, index.columns) for index in filled["c"].indexes] == [(True, (2,))]
    filled.delete("p", lambda row: row[0] == 1)
    assert [row[0] for row in filled.stored("c")] == [3, 4, 5]


def test_a_dropped_foreign_key_takes_its_hidden_index(filled: Workbench) -> None:
    filled.define(add_foreign_key, filled["c"], REFERENCE)
    filled.define(drop_constraint, filled["c"], "fk_p")
    assert (filled["c"].indexes, filled["c"].foreign_keys) == ((), ())
    filled.insert("c", (9, 77, None))


def test_a_key_that_is_referenced_stays(filled: Workbench) -> None:
    filled.define(create_index, filled["p"], Index(0, "uq", (2,), unique=True, constraint=True))
    filled.create(draft("d", "code str", references=[ForeignKey("fk_d", (1,), "p", ("code",))]))
    with pytest.raises(ProgrammingError, match=r'the key \(code\) of table "p" .* fk_d of "d"'):
        filled.define(drop_constraint, filled["p"], "uq")
    filled.define(create_index, filled["p"], Index(0, "uq2", (2,), unique=True))
    filled.define(drop_constraint, filled["p"], "uq")
    with pytest.raises(ProgrammingError, match="drop that first"):
        filled.define(drop_index, filled["p"], "uq2")
    filled.define(add_foreign_key, filled["c"], REFERENCE)
    with pytest.raises(ProgrammingError, match="fk_p"):
        filled.define(drop_primary_key, filled["p"])


def test_a_new_check_looks_at_every_row(filled: Workbench) -> None:
    check = Check("ck", "id < 5")
    with pytest.raises(CheckViolation) as caught:
        filled.define(add_check, filled["c"], check, lambda row: row[0] < 5)
    assert str(caught.value) == '[23514] CHECK constraint failed: c (check ck, condition id < 5)'
    assert (caught.value.table, caught.value.constraint) == ("c", "ck")
    filled.define(add_check, filled["c"], check, lambda row: row[0] < 6)
    with pytest.raises(DuplicateObject, match='constraint "ck"'):
        filled.define(add_check, filled["c"], check, lambda row: True)
    filled.define(drop_constraint, filled["c"], "ck")
    assert filled["c"].checks == ()


def test_a_constraint_that_is_not_there_cannot_be_dropped(filled: Workbench) -> None:
    filled.define(create_index, filled["p"], Index(0, "plain", (2,), unique=True))
    for name in ("nothing", "plain"):
        with pytest.raises(UndefinedObject, match=f'constraint "{name}" of table "p"'):
            filled.define(drop_constraint, filled["p"], name)


def test_a_primary_key_comes_to_a_table_without(bench: Workbench) -> None:
    bench.create(draft("t", "id int, x str", unique=["x"], indexes=["id"]))
    bench.insert("t", (3, "c"), (1, "a"), (2, None))
    bench.define(add_primary_key, bench["t"], (1,), "pk_t")
    assert bench.stored("t") == [(1, "a"), (2, None), (3, "c")]
    assert not bench["t"].by_name["id"].nullable
    with pytest.raises(UniqueViolation, match=r"t\.id \(key pk_t, value 1\)"):
        bench.insert("t", (1, None))
    with pytest.raises(ProgrammingError, match="already"):
        bench.define(add_primary_key, bench["t"], (2,))


def test_a_primary_key_needs_distinct_values_and_no_null(bench: Workbench) -> None:
    bench.create(draft("t", "id int, x str"))
    bench.insert("t", (1, "a"), (1, None))
    with pytest.raises(UniqueViolation, match=r"t\.id \(key PRIMARY, value 1\)"):
        bench.define(add_primary_key, bench["t"], (1,))
    with pytest.raises(NotNullViolation, match=r"t\.x$"):
        bench.define(add_primary_key, bench["t"], (2,))


def test_a_dropped_primary_key_leaves_rows_that_are_numbered(bench: Workbench) -> None:
    key = ForeignKey("fk", (1,), "p", ("id",), Action.CASCADE)
    bench.create(draft("p", "id int!", "id"))
    bench.create(replace(draft("t", "a int!, b int!", "a b", references=[key]), primary_key_name="pk_t"))
    bench.insert("p", (1,), (2,))
    bench.insert("t", (2, 1), (1, 2), (1, 1))
    bench.define(drop_constraint, bench["t"], "pk_t")
    assert bench.stored("t") == [(1, 1, 1), (1, 2, 2), (2, 1, 3)]
    assert [index.hidden for index in bench["t"].indexes] == [True]
    bench.insert("t", (1, 1))
    assert bench.stored("t")[-1] == (1, 1, 4)
    bench.delete("p", lambda row: row[0] == 1)
    assert bench.stored("t") == [(2, 1, 3)]
    with pytest.raises(UndefinedObject, match="no primary key"):
        bench.define(drop_primary_key, bench["t"])
