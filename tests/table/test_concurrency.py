"""Constraints between transactions that run at the same time: whatever the order, no two of them break one together."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from rome.errors import Conflict
from rome.table import rows
from rome.table.indexes import create_index
from rome.table.schema import Action, ForeignKey, Index
from rome.testing import integrity
from rome.txn.transaction import Transaction
from tests.table.workbench import Workbench, draft

Work = Callable[[Workbench, Transaction], object]


def insert(name: str, *new: tuple[object, ...]) -> Work:
    return lambda bench, tx: tx.run(rows.insert(tx, bench.keys, bench.latest, bench[name], new))


def update(name: str, old: tuple[object, ...], new: tuple[object, ...]) -> Work:
    return lambda bench, tx: tx.run(rows.update(tx, bench.keys, bench.latest, bench[name], [(old, new)]))


def delete(name: str, row: tuple[object, ...]) -> Work:
    def work(bench: Workbench, tx: Transaction) -> None:
        bench.stored(name, tx)
        tx.run(rows.delete(tx, bench.keys, bench.latest, bench[name], [row]))

    return work


def index(bench: Workbench, tx: Transaction) -> None:
    tx.run(create_index(tx, bench.keys, bench.latest, bench["c"], Index(0, "uq_p", (2,), unique=True)))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (insert("p", (9, "new")), insert("p", (9, "other"))),
        (insert("p", (8, "same")), insert("p", (9, "same"))),
        (insert("p", (8, "same")), update("p", (1, "one"), (1, "same"))),
        (insert("p", (8, "same")), update("p", (2, "two"), (8, "two"))),
        (insert("c", (20, 2)), delete("p", (2, "two"))),
        (insert("c", (20, 2)), update("p", (2, "two"), (3, "two"))),
        (update("c", (10, 1), (10, 2)), delete("p", (2, "two"))),
        (insert("c", (20, 5)), index),
    ],
)
@pytest.mark.parametrize("action", [Action.NO_ACTION, Action.CASCADE])
def test_of_two_changes_that_break_a_constraint_together_one_conflicts(
    one: Work, two: Work, action: str
) -> None:
    key = ForeignKey("fk", (2,), "p", ("id",), action, action)
    for first, second in permutations((one, two)):
        bench = Workbench()
        bench.create(draft("p", "id int!, name str", "id", unique=["name"]))
        bench.create(draft("c", "id int!, p int", "id", references=[key]))
        bench.insert("p", (1, "one"), (2, "two"), (5, "five"))
        bench.insert("c", (10, 1), (15, 5))
        begun = [bench.begin(), bench.begin()]
        first(bench, begun[0])
        second(bench, begun[1])
        begun[0].commit()
        with pytest.raises(Conflict):
            begun[1].commit()
        assert integrity.check(bench.driver, "bench") == []


def test_changes_of_different_rows_do_not_conflict(bench: Workbench) -> None:
    bench.create(draft("p", "id int!, name str", "id", unique=["name"], indexes=["name id"]))
    bench.insert("p", (1, "one"), (2, "two"))
    works = [
        insert("p", (3, "three")),
        insert("p", (4, "four")),
        update("p", (1, "one"), (1, "uno")),
        update("p", (2, "two"), (2, "due")),
    ]
    begun = [bench.begin() for _ in works]
    for work, tx in zip(works, begun, strict=True):
        work(bench, tx)
    for tx in begun:
        tx.commit()
    assert bench.stored("p") == [(1, "uno"), (2, "due"), (3, "three"), (4, "four")]


def test_children_of_one_parent_do_not_conflict(bench: Workbench) -> None:
    bench.create(draft("p", "id int!", "id"))
    bench.create(draft("c", "id int!, p int", "id", references=[ForeignKey("fk", (2,), "p", ("id",))]))
    bench.insert("p", (1,))
    begun = [bench.begin() for _ in range(3)]
    for at, tx in enumerate(begun):
        insert("c", (at, 1))(bench, tx)
    for tx in begun:
        tx.commit()
    assert len(bench.stored("c")) == 3
