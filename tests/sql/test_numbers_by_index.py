"""A number finds in an index, and by a primary key, the rows that it finds without them, whatever kind it is of."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from rome import dbapi

BIG = 2**53  # above it not every integer is a float
COLUMNS = {
    "BIGINT": [4, 0, BIG + 1, -1, BIG],
    "FLOAT": [4.0, 0.1, 2.5, float(BIG), -1.0],
    "NUMERIC(20, 4)": [Decimal("4"), Decimal("0.1"), Decimal("2.5"), Decimal(BIG), Decimal(BIG + 1)],
    "BOOLEAN": [True, False],
}
NUMBERS = [4, 4.0, Decimal(4), 0.1, Decimal("0.1"), 2.5, True, False, 0, 1, BIG, BIG + 1, float(BIG), -1]
TERMS = ["v = :p", "v IN (:p, 77)", "v >= :p", "v > :p", "v < :p", "v BETWEEN :p AND 10"]


@pytest.fixture(scope="module")
def cursor() -> Iterator[dbapi.Cursor]:
    connection = dbapi.connect("rome+memory://")
    cursor = connection.cursor()
    for number, (type_, values) in enumerate(COLUMNS.items()):
        cursor.execute(f"CREATE TABLE plain_{number} (v {type_})")
        cursor.execute(f"CREATE TABLE indexed_{number} (v {type_})")
        cursor.execute(f"CREATE INDEX i_{number} ON indexed_{number} (v)")
        cursor.execute(f"CREATE TABLE keyed_{number} (v {type_} PRIMARY KEY)")
        for table in ("plain", "indexed", "keyed"):
            cursor.executemany(f"INSERT INTO {table}_{number} VALUES (:v)", [{"v": value} for value in values])
    connection.commit()
    yield cursor
    connection.close()


def found(cursor: dbapi.Cursor, table: str, term: str, number: object) -> object:
    try:
        cursor.execute(f"SELECT v FROM {table} WHERE {term} ORDER BY v", {"p": number})
    except dbapi.Error as error:
        return str(error).split("\n")[0]
    return cursor.fetchall()


@pytest.mark.parametrize("column", range(len(COLUMNS)), ids=COLUMNS)
def test_a_number_of_any_kind_finds_the_same_rows_with_an_index_as_without(cursor: dbapi.Cursor, column: int) -> None:
    for term in TERMS:
        for number in NUMBERS:
            expected = found(cursor, f"plain_{column}", term, number)
            for table in (f"indexed_{column}", f"keyed_{column}"):
                assert found(cursor, table, term, number) == expected, (table, term, number)


def test_an_integer_finds_the_float_that_is_equal_to_it(cursor: dbapi.Cursor) -> None:
    assert found(cursor, "indexed_1", "v = :p", 4) == found(cursor, "keyed_1", "v = :p", 4) == [(4.0,)]
