"""FOREIGN KEY: what may be stored, and what follows when the row that is referenced goes or changes."""

from __future__ import annotations

import pytest

from rome.errors import DataError, ForeignKeyViolation, NotNullViolation, NotSupportedError, UniqueViolation
from rome.table import rows
from rome.table.schema import Action, ForeignKey
from tests.table.workbench import Workbench, draft

PARENT = draft("parent", "id int!, code str, note str", "id", unique=["code"])


def child(on_delete: str = Action.NO_ACTION, on_update: str = Action.NO_ACTION) -> ForeignKey:
    return ForeignKey("fk_parent", (2,), "parent", ("id",), on_delete, on_update)


def family(bench: Workbench, on_delete: str = Action.NO_ACTION, on_update: str = Action.NO_ACTION) -> Workbench:
    """Parents 1, 2 and 3; children 10, 11 and 12 of parent 1, 20 of parent 2, 90 of none."""
    bench.create(PARENT, draft("child", "id int!, parent int", "id", references=[child(on_delete, on_update)]))
    bench.insert("parent", (1, "one", None), (2, "two", None), (3, "three", None))
    bench.insert("child", (10, 1), (11, 1), (12, 1), (20, 2), (90, None))
    return bench


def test_a_child_without_its_parent_is_refused(bench: Workbench) -> None:
    family(bench)
    with pytest.raises(ForeignKeyViolation) as caught:
        bench.insert("child", (30, 3), (99, 9))
    error = caught.value
    assert str(error) == (
        '[23503] FOREIGN KEY constraint failed: table "child" key "fk_parent" references "parent" '
        "(columns parent, value 9): no such row"
    )
    assert (error.table, error.columns, error.constraint, error.values) == ("child", ("parent",), "fk_parent", (9,))
    with pytest.raises(ForeignKeyViolation, match="no such row"):
        bench.update("child", lambda row: (row[0], 9))


def test_a_reference_with_a_null_is_satisfied(bench: Workbench) -> None:
    key = ForeignKey(None, (2, 3), "pair", ("a", "b"))
    bench.create(draft("pair", "a int!, b int!", "b a"), draft("t", "id int!, a int, b int", "id", references=[key]))
    bench.insert("pair", (1, 2))
    bench.insert("t", (1, None, 7), (2, 7, None), (3, 1, 2))
    with pytest.raises(ForeignKeyViolation, match=r'key "-" references "pair" \(columns a, b, value 2, 1\)'):
        bench.insert("t", (4, 2, 1))
    with pytest.raises(ForeignKeyViolation, match=r"value 1, 2\): the row is still referenced"):
        bench.delete("pair")


def test_a_unique_key_can_be_referenced(bench: Workbench) -> None:
    key = ForeignKey("fk", (2,), "parent", ("code",), Action.CASCADE, Action.CASCADE)
    bench.create(PARENT, draft("t", "id int!, code str", "id", references=[key]))
    bench.insert("parent", (1, "one", None), (2, None, None))
    bench.insert("t", (1, "one"))
    with pytest.raises(ForeignKeyViolation):
        bench.insert("t", (2, "two"))
    bench.update("parent", lambda row: (row[0], "uno" if row[0] == 1 else None, None))
    assert bench.stored("t") == [(1, "uno")]
    bench.update("parent", lambda row: (row[0], None, None))
    assert bench.stored("t") == [(1, None)]


def test_parent_and_child_may_come_in_one_transaction(bench: Workbench) -> None:
    family(bench)
    with bench.transaction() as tx:
        tx.run(rows.insert(tx, bench.keys, bench.latest, bench["parent"], [(4, None, None)]))
        tx.run(rows.insert(tx, bench.keys, bench.latest, bench["child"], [(40, 4)]))
        with pytest.raises(ForeignKeyViolation, match="still referenced"):
            tx.run(rows.delete(tx, bench.keys, bench.latest, bench["parent"], [(4, None, None)]))


@pytest.mark.parametrize("action", [Action.NO_ACTION, Action.RESTRICT])
def test_a_parent_with_children_stays(bench: Workbench, action: str) -> None:
    family(bench, action, action)
    bench.delete("parent", lambda row: row[0] == 3)
    with pytest.raises(ForeignKeyViolation) as caught:
        bench.delete("parent", lambda row: row[0] == 2)
    assert str(caught.value) == (
        '[23503] FOREIGN KEY constraint failed: table "child" key "fk_parent" references "parent" '
        "(columns parent, value 2): the row is still referenced"
    )
    with pytest.raises(ForeignKeyViolation, match="value 1"):
        bench.update("parent", lambda row: (row[0] + 10, *row[1:]))
    bench.update("parent", lambda row: (*row[:2], "a change that no child sees"))


def test_no_action_looks_at_the_state_after_the_statement_and_restrict_does_not(bench: Workbench) -> None:
    family(bench)
    assert bench.update("parent", lambda row: (3 - row[0] if row[0] < 3 else 3, *row[1:])) == 3
    other = family(Workbench(), on_update=Action.RESTRICT)
    with pytest.raises(ForeignKeyViolation, match="still referenced"):
        other.update("parent", lambda row: (3 - row[0] if row[0] < 3 else 3, *row[1:]))


def test_delete_cascades(bench: Workbench) -> None:
    family(bench, on_delete=Action.CASCADE)
    assert bench.delete("parent", lambda row: row[0] != 2) == 2
    assert bench.stored("child") == [(20, 2), (90, None)]


def test_update_cascades(bench: Workbench) -> None:
    family(bench, on_update=Action.CASCADE)
    bench.update("parent", lambda row: (row[0] + 1, *row[1:]))
    assert bench.stored("child") == [(10, 2), (11, 2), (12, 2), (20, 3), (90, None)]


def test_a_cascaded_value_must_fit_the_column_of_the_child(bench: Workbench) -> None:
    key = ForeignKey("fk", (1,), "long", ("id",), on_update=Action.CASCADE)
    bench.create(draft("long", "id text!", "id"), draft("short", "id str", references=[key]))
    bench.insert("long", ("a",))
    bench.insert("short", ("a",))
    with pytest.raises(DataError, match=r"37 characters is too long \(column \"short\.id\""):
        bench.update("long", lambda row: ("x" * 37,))
    bench.update("long", lambda row: ("x" * 36,))
    assert bench.stored("short") == [("x" * 36, 1)]


def test_set_null(bench: Workbench) -> None:
    family(bench, Action.SET_NULL, Action.SET_NULL)
    bench.delete("parent", lambda row: row[0] == 1)
    bench.update("parent", lambda row: (row[0] + 5, *row[1:]))
    assert bench.stored("child") == [(10, None), (11, None), (12, None), (20, None), (90, None)]


def test_set_null_on_a_column_that_is_not_null_is_refused(bench: Workbench) -> None:
    key = ForeignKey("fk", (2,), "parent", ("id",), Action.SET_NULL)
    bench.create(PARENT, draft("t", "id int!, parent int!", "id", references=[key]))
    bench.insert("parent", (1, None, None))
    bench.insert("t", (1, 1))
    with pytest.raises(NotNullViolation, match=r"t\.parent$"):
        bench.delete("parent")


def test_set_default_asks_for_the_default_and_the_default_must_exist(bench: Workbench) -> None:
    family(bench, Action.SET_DEFAULT, Action.SET_DEFAULT)
    bench.delete("parent", lambda row: row[0] == 1, default_of=lambda table, column: 3)
    assert bench.stored("child")[:3] == [(10, 3), (11, 3), (12, 3)]
    with pytest.raises(ForeignKeyViolation, match=r"value 77\): no such row"):
        bench.update("parent", lambda row: (row[0] + 5, *row[1:]), default_of=lambda table, column: 77)
    with pytest.raises(NotSupportedError, match="default_of"):
        bench.delete("parent")


def test_a_cascade_costs_one_wave_for_each_level(bench: Workbench) -> None:
    levels = ["a", "b", "c", "d"]
    bench.create(draft("a", "id int!, up int", "id"))
    for above, name in zip(levels, levels[1:], strict=False):
        key = ForeignKey(None, (2,), above, ("id",), Action.CASCADE)
        bench.create(draft(name, "id int!, up int", "id", references=[key]))
    bench.insert("a", (1, None), (2, None))
    for name in levels[1:]:
        bench.insert(name, *((at, 1 + at % 2) for at in range(1, 9)))
    with bench.transaction() as tx:
        tx.run(rows.delete(tx, bench.keys, bench.latest, bench["a"], [(1, None), (2, None)]))
        assert tx.stats.waves == 3
    assert [bench.stored(name) for name in levels] == [[], [], [], []]


def test_a_cycle_of_cascades_ends(bench: Workbench) -> None:
    key = ForeignKey("fk_next", (2,), "ring", ("id",), Action.CASCADE, Action.CASCADE)
    bench.create(draft("ring", "id int!, next int", "id", references=[key]))
    bench.insert("ring", (1, 2), (2, 3), (3, 1), (9, 9))
    bench.update("ring", lambda row: (row[0] + 100, row[1]) if row[0] == 1 else row)
    assert bench.stored("ring") == [(2, 3), (3, 101), (9, 9), (101, 2)]
    bench.delete("ring", lambda row: row[0] == 2)
    assert bench.stored("ring") == [(9, 9)]
    bench.delete("ring")
    assert bench.stored("ring") == []


def test_rows_that_reference_each_other_may_come_and_go_together(bench: Workbench) -> None:
    key = ForeignKey("fk_up", (2,), "tree", ("id",))
    bench.create(draft("tree", "id int!, up int", "id", references=[key]))
    bench.insert("tree", (2, 1), (1, None), (3, 3))
    with pytest.raises(ForeignKeyViolation, match="still referenced"):
        bench.delete("tree", lambda row: row[0] == 1)
    bench.delete("tree")
    assert bench.stored("tree") == []


def test_more_children_than_are_probed_at_first_are_all_looked_at(bench: Workbench) -> None:
    key = ForeignKey("fk_up", (2,), "tree", ("id",))
    bench.create(draft("tree", "id int!, up int", "id", references=[key]))
    bench.insert("tree", (0, None), *((at, 0) for at in range(1, 9)))
    with pytest.raises(ForeignKeyViolation, match="still referenced"):
        bench.delete("tree", lambda row: row[0] < 8)
    bench.delete("tree", lambda row: row[0] < 9)
    assert bench.stored("tree") == []


def test_a_whole_tree_can_be_renumbered_at_once(bench: Workbench) -> None:
    key = ForeignKey("fk_up", (2,), "tree", ("id",))
    bench.create(draft("tree", "id int!, up int", "id", references=[key]))
    bench.insert("tree", (1, None), (2, 1), (3, 1), (4, 2))
    bench.update("tree", lambda row: (row[0] + 10, row[1] and row[1] + 10))
    assert bench.stored("tree") == [(11, None), (12, 11), (13, 11), (14, 12)]


def test_a_reference_to_a_row_that_the_same_statement_takes_away_is_refused(bench: Workbench) -> None:
    key = ForeignKey("fk_up", (2,), "tree", ("id",))
    bench.create(draft("tree", "id int!, up int", "id", references=[key]))
    bench.insert("tree", (1, None), (2, None))
    with pytest.raises(ForeignKeyViolation, match=r"value 1\): no such row"):
        bench.update("tree", lambda row: (5, None) if row[0] == 1 else (2, 1))
    bench.update("tree", lambda row: (5, None) if row[0] == 1 else (2, 5))


def test_a_row_that_two_actions_reach_is_deleted_once(bench: Workbench) -> None:
    one = ForeignKey("fk_one", (2,), "one", ("id",), Action.SET_NULL)
    two = ForeignKey("fk_two", (3,), "two", ("id",), Action.CASCADE)
    top = ForeignKey("fk_top", (2,), "top", ("id",), Action.CASCADE)
    bench.create(draft("top", "id int!", "id"))
    bench.create(draft("one", "id int!, top int", "id", references=[top]))
    bench.create(draft("two", "id int!, top int", "id", references=[top]))
    bench.create(draft("leaf", "id int!, one int, two int", "id", references=[one, two]))
    bench.insert("top", (1,), (2,))
    bench.insert("one", (1, 1))
    bench.insert("two", (1, 1), (2, 2))
    bench.insert("leaf", (1, 1, 1), (2, 1, 2), (3, 1, None))
    bench.delete("top", lambda row: row[0] == 1)
    assert bench.stored("leaf") == [(2, None, 2), (3, None, None)]


def test_no_action_is_satisfied_by_children_that_another_cascade_takes(bench: Workbench) -> None:
    bench.create(draft("top", "id int!", "id"))
    cascade = ForeignKey("fk_c", (2,), "top", ("id",), Action.CASCADE)
    bench.create(draft("middle", "id int!, top int", "id", references=[cascade]))
    keep = ForeignKey("fk_keep", (2,), "top", ("id",))
    down = ForeignKey("fk_down", (3,), "middle", ("id",), Action.CASCADE)
    bench.create(draft("leaf", "id int!, top int, middle int", "id", references=[keep, down]))
    bench.insert("top", (1,))
    bench.insert("middle", (1, 1))
    bench.insert("leaf", (1, 1, 1), (2, 1, 1), (3, 1, 1))
    bench.delete("top")
    assert bench.stored("leaf") == []


def test_children_without_primary_key_follow_too(bench: Workbench) -> None:
    key = ForeignKey("fk", (1,), "parent", ("id",), Action.SET_NULL, Action.CASCADE)
    bench.create(PARENT, draft("notes", "parent int, line str", references=[key]))
    bench.insert("parent", (1, None, None))
    bench.insert("notes", (1, "x"), (1, "x"))
    bench.update("parent", lambda row: (5, *row[1:]))
    assert bench.stored("notes") == [(5, "x", 1), (5, "x", 2)]
    bench.delete("parent")
    assert bench.stored("notes") == [(None, "x", 1), (None, "x", 2)]


def test_a_child_whose_primary_key_begins_with_the_reference_needs_no_index(bench: Workbench) -> None:
    key = ForeignKey("fk", (1,), "parent", ("id",), Action.CASCADE, Action.CASCADE)
    bench.create(PARENT, draft("part", "parent int!, at int!", "parent at", references=[key]))
    assert bench["part"].indexes == ()
    bench.insert("parent", (1, None, None), (2, None, None))
    bench.insert("part", (1, 1), (1, 2), (2, 1))
    bench.update("parent", lambda row: (row[0] + 10, *row[1:]))
    assert bench.stored("part") == [(11, 1), (11, 2), (12, 1)]
    bench.delete("parent", lambda row: row[0] == 11)
    assert bench.stored("part") == [(12, 1)]


def test_a_cascade_may_break_a_unique_key_of_the_child(bench: Workbench) -> None:
    key = ForeignKey("fk", (2,), "parent", ("id",), on_delete=Action.SET_DEFAULT)
    bench.create(PARENT, draft("t", "id int!, parent int", "id", unique=["parent"], references=[key]))
    bench.insert("parent", (1, None, None), (2, None, None), (3, None, None))
    bench.insert("t", (1, 1), (2, 2))
    with pytest.raises(UniqueViolation, match=r"t\.parent .*value 2"):
        bench.delete("parent", lambda row: row[0] == 1, default_of=lambda table, column: 2)
    bench.delete("parent", lambda row: row[0] == 1, default_of=lambda table, column: 3)
    assert bench.stored("t") == [(1, 3), (2, 2)]
