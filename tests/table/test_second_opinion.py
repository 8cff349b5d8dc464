"""Random statements on tables that reference each other: the same rows, and the same refusals, as in SQLite.

Known differences, kept out of the statements: SQLite judges uniqueness row by row (here: after the statement), so an
UPDATE of a primary key is made for one row; its RESTRICT looks before the children of the same statement are gone; and
of two references by one column with different actions it takes the later one first (here, as in PostgreSQL, the earlier
one), after which the other may find no row, so the references by one column have the same actions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rome.errors import IntegrityError
from rome.table.rowcode import Row
from rome.table.schema import Action, ForeignKey
from tests.table.workbench import Workbench, draft

ACTIONS = st.sampled_from([Action.NO_ACTION, Action.CASCADE, Action.SET_NULL])
NUMBERS = st.integers(1, 4)
MAYBE = st.none() | NUMBERS
TABLES = st.sampled_from("abc")
STATEMENTS = st.one_of(
    st.tuples(st.just("insert"), TABLES, st.lists(st.tuples(NUMBERS, MAYBE, MAYBE), min_size=1, max_size=3)),
    st.tuples(st.just("rekey"), TABLES, st.tuples(NUMBERS, NUMBERS)),
    st.tuples(st.just("point"), TABLES, st.tuples(st.sampled_from([1, 2]), MAYBE, NUMBERS)),
    st.tuples(st.just("delete"), TABLES, st.tuples(st.sampled_from([0, 1, 2]), NUMBERS)),
)
COLUMNS = ("id", "x", "y")


def open_both(references: list[tuple[str, int, str, str, str]]) -> tuple[Workbench, sqlite3.Connection]:
    """Tables a, b, c with columns id, x, y; each reference is (table, column, target, ON DELETE, ON UPDATE)."""
    bench, lite = Workbench(), sqlite3.connect(":memory:", isolation_level=None)
    lite.execute("PRAGMA foreign_keys = ON")
    for name in "abc":
        mine = [each for each in references if each[0] == name]
        clauses = "".join(
            f", FOREIGN KEY ({COLUMNS[column]}) REFERENCES {target} (id) ON DELETE {delete} ON UPDATE {update}"
            for _, column, target, delete, update in mine
        )
        lite.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, x INTEGER, y INTEGER{clauses})")
        keys = [ForeignKey(None, (at + 1,), target, ("id",), delete, update) for _, at, target, delete, update in mine]
        bench.create(draft(name, "id int!, x int, y int", "id", references=keys))
    return bench, lite


def run(bench: Workbench, lite: sqlite3.Connection, verb: str, table: str, what: Any) -> tuple[bool, bool]:
    """Whether the statement was taken, here and by SQLite."""
    here: Callable[[], object]
    if verb == "insert":
        here = lambda: bench.insert(table, *what)  # noqa: E731
        text = f"INSERT INTO {table} VALUES " + ", ".join(str(row).replace("None", "NULL") for row in what)
    elif verb == "rekey":
        old, new = what
        here = lambda: bench.update(table, lambda row: (new, *row[1:]) if row[0] == old else row)  # noqa: E731
        text = f"UPDATE {table} SET id = {new} WHERE id = {old}"
    elif verb == "point":
        column, value, above = what

        def point(row: Row) -> Row:
            return (*row[:column], value, *row[column + 1 :]) if row[0] >= above else row

        here = lambda: bench.update(table, point)  # noqa: E731
        text = f"UPDATE {table} SET {COLUMNS[column]} = {'NULL' if value is None else value} WHERE id >= {above}"
    else:
        column, value = what
        here = lambda: bench.delete(table, lambda row: row[column] == value)  # noqa: E731
        text = f"DELETE FROM {table} WHERE {COLUMNS[column]} = {value}"
    return taken(here, IntegrityError), taken(lambda: lite.execute(text), sqlite3.IntegrityError)


def taken(statement: Callable[[], object], refusal: type[Exception]) -> bool:
    try:
        statement()
    except refusal:
        return False
    return True


@settings(max_examples=150)
@given(
    st.lists(st.tuples(TABLES, st.sampled_from([1, 2]), TABLES, ACTIONS, ACTIONS), min_size=1, max_size=5),
    st.lists(STATEMENTS, min_size=3, max_size=14),
)
def test_random_statements_have_the_outcome_they_have_in_sqlite(references: Any, statements: Any) -> None:
    references = [each if each[2] <= each[0] else (each[2], each[1], each[0], *each[3:]) for each in references]
    actions: dict[tuple[str, int], tuple[str, str]] = {}
    references = [(*each[:3], *actions.setdefault(each[:2], each[3:])) for each in references]
    bench, lite = open_both(references)
    for name in "abc":
        assert run(bench, lite, "insert", name, [(1, 1, None), (2, 1, 2), (3, None, 2)]) == (True, True)
    for verb, table, what in statements:
        here, there = run(bench, lite, verb, table, what)
        assert here == there, (verb, table, what)
        for name in "abc":
            expected = lite.execute(f"SELECT * FROM {name} ORDER BY id").fetchall()
            assert bench.stored(name) == expected, (verb, table, what)
    lite.close()
