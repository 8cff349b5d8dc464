"""No plan depends on luck: with several indexes at hand a page reads about as few keys as with the best of them alone.

There are no statistics (docs/decisions/0022-races.md): which index finds few is seen while reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from rome import dbapi
from rome.sql.execute.first_rows import FIRST_ENTRIES
from rome.sql.execute.race import ALONE_ENTRIES, BEHIND, FEW_ENTRIES, GROWTH

ROWS = 3000
WORSE = 10  # times the keys that the best index alone costs
# Of an index and of the rows behind it, to find out: two chunks of a stream and what races it, or the first steps.
LOOKED_AT = 2 * max(FIRST_ENTRIES + 4 * FEW_ENTRIES, ALONE_ENTRIES * GROWTH * (1 + BEHIND) // BEHIND)
RUNS = 4  # until a page has learned how far to read
INDEXES = {
    "colour": "t (colour)", "colour_at": "t (colour, at)", "shape": "t (shape)", "shape_at": "t (shape, at)",
    "size": "t (size)", "at": "t (at)",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Rows, the indexes on them, and a page."""

    seed: int
    rows: list[dict[str, object]]
    indexes: list[str]
    sql: str


def some_case(seed: int) -> Case:
    random = Random(seed)
    shares = {name: random.choice([0.001, 0.01, 0.1, 0.5, 0.95]) for name in ("colour", "shape")}
    late = random.random() < 0.5  # what is asked for lies at the far end of the order
    rows: list[dict[str, object]] = []
    for number in range(ROWS):
        row: dict[str, object] = {"id": number * 7919 % ROWS, "at": number, "size": random.randrange(1000)}
        for name, share in shares.items():
            asked = random.random() < share if not late else number > ROWS * (1 - share)
            row[name] = "asked" if asked else random.choice(["b", "c", "d"])
        rows.append(row)
    indexes = random.sample(sorted(INDEXES), random.randint(2, 5))
    terms = random.sample(["colour = 'asked'", "shape = 'asked'", f"size < {random.choice([2, 50, 900])}"], 2)
    order = random.choice(["at", "at DESC"])
    sql = f"SELECT id FROM t WHERE {' AND '.join(terms)} ORDER BY {order}, id LIMIT {random.choice([1, 10, 25])}"
    return Case(seed, rows, indexes, sql)


def make(cursor: dbapi.Cursor, rows: list[dict[str, object]], indexes: list[str]) -> None:
    cursor.execute(
        "CREATE TABLE t "
        "(id INTEGER NOT NULL PRIMARY KEY, at INTEGER, size INTEGER, colour VARCHAR(9), shape VARCHAR(9))"
    )
    for name in indexes:
        cursor.execute(f"CREATE INDEX {name}_idx ON {INDEXES[name]}")
    cursor.executemany("INSERT INTO t VALUES (:id, :at, :size, :colour, :shape)", rows)
    cursor.connection.commit()


def keys_of(case: Case, indexes: list[str]) -> tuple[int, list[tuple[object, ...]]]:
    """What the page reads with these indexes alone, once it has been asked for some times, and its rows."""
    connection = dbapi.connect("rome+memory://")
    try:
        cursor = connection.cursor()
        make(cursor, case.rows, indexes)
        for _ in range(RUNS):
            before = connection.counters.keys
            cursor.execute(case.sql)
            rows = cursor.fetchall()
            connection.commit()
        return connection.counters.keys - before, rows
    finally:
        connection.close()


@pytest.mark.parametrize("seed", range(25))
def test_several_indexes_cost_little_more_than_the_best_of_them(seed: int) -> None:
    case = some_case(seed)
    alone = {name: keys_of(case, [name]) for name in case.indexes}
    found, rows = keys_of(case, case.indexes)
    best = min(keys for keys, _ in alone.values())
    assert all(rows == other for _, other in alone.values()), case.sql
    assert found <= WORSE * best + LOOKED_AT, f"{case.sql} with {case.indexes}: {found}, alone {alone}"


def test_which_index_is_best_may_change_with_each_value() -> None:
    """Also where the last value led far through an index that is short for this one, and the other way round."""
    shares = {"rare": 3, "some": 150, "many": 1500}
    rows: list[dict[str, object]] = [
        {"id": number, "at": number, "size": 0, "colour": "none", "shape": "none"} for number in range(ROWS)
    ]
    for column, step in (("colour", 1), ("shape", 7)):
        place = 0
        for value, count in shares.items():
            for _ in range(count):
                rows[place * step % ROWS][column] = value
                place += 1
    connection = dbapi.connect("rome+memory://")
    cursor = connection.cursor()
    make(cursor, rows, ["colour", "shape"])
    random = Random(7)
    for number in range(60):
        asked = {"colour": random.choice([*shares]), "shape": random.choice([*shares])}
        before = connection.counters.keys
        cursor.execute("SELECT count(at), min(at) FROM t WHERE colour = :colour AND shape = :shape", asked)
        connection.commit()
        found, best = connection.counters.keys - before, 2 * min(shares[value] for value in asked.values())
        assert found <= WORSE * best + LOOKED_AT, f"{number}: {asked} took {found}, best {best}"
    connection.close()
