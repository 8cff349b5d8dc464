"""count(*) that is answered by counting keys: the same numbers, no keys read, and conflicts where rows came or went."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import sqlalchemy

from rome import dbapi, errors
from rome.sql import optimize
from rome.sql.counting import count_keys
from tests.servers.stores import a_store, marked

SCHEMA = (
    "CREATE TABLE t (a INTEGER NOT NULL, b VARCHAR(9) NOT NULL, c INTEGER, d VARCHAR(40), e FLOAT, PRIMARY KEY (a, b))",
    "CREATE INDEX by_c_d ON t (c, d)",
    "CREATE INDEX by_d ON t (d(3))",
    "CREATE UNIQUE INDEX by_e ON t (e, c)",
    "CREATE TABLE keyless (c INTEGER, d VARCHAR(9))",
    "CREATE INDEX keyless_by_c ON keyless (c)",
)
COUNTS = ("count(*)", "count(a)", "count(b), count(*)", "count(c)", "count(DISTINCT a)", "max(a), count(*)")
TERMS = (
    "a = {0}", "a = {0} AND b = '{1}'", "c = {0}", "c IS NULL", "c IN ({0}, {1}, {0})", "c IN ({0}, NULL)", "c = NULL",
    "c NOT IN ({0}, {1})", "c NOT IN ({0}, NULL)", "c <> {0}", "c <> NULL", "c <> {0}.5", "{0} <> c", "c < {0}",
    "c = {0} AND d = '{1}'", "c = {0} AND d NOT IN ('{1}', '{0}')", "c = {0} AND d <> '{1}'", "c = {0} AND d IS NULL",
    "c = {0} AND NOT d = '{1}'", "c IN ({0}, {1}) AND d <> 'abcd{1}'", "d = 'abcd{0}'", "d <> 'abcd{0}'", "e = {0}",
    "e = {0} AND c <> {1}", "e <> {0}", "c = {0} AND c = {1}", "c = {0} AND c <> {0}", "(c = {0} OR c = {1})",
    "a <> {0}", "c = :n", "c <> :n", "c = :n AND d NOT IN ('{0}', :s)", "a = :n AND b <> :s", "c = {0} AND e > 1",
    "c = a",
)  # fmt: skip


@pytest.fixture
def cursor() -> Iterator[dbapi.Cursor]:
    connection = dbapi.connect("rome+memory://")
    cursor = connection.cursor()
    for sql in SCHEMA:
        cursor.execute(sql)
    yield cursor
    connection.close()


def fill(cursor: dbapi.Cursor, random: Random, first: int, rows: int) -> None:
    numbers = [None, *range(5)]
    for at in range(first, first + rows):
        row = {
            "a": at % 7, "b": str(at), "c": random.choice(numbers), "e": random.choice([None, at + 0.5, float(at)]),
            "d": random.choice([None, "", *[f"{start}{n}" for start in ("", "abcd") for n in range(4)]]),
        }  # fmt: skip
        cursor.execute("INSERT INTO t VALUES (:a, :b, :c, :d, :e)", row)
        cursor.execute("INSERT INTO keyless VALUES (:c, :d)", row)


@pytest.mark.parametrize("seed", range(4))
def test_counted_keys_are_as_many_as_rows(cursor: dbapi.Cursor, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(seed)
    fill(cursor, random, 0, 60)
    cursor.connection.commit()
    counted = 0
    rules = optimize.RULES
    for number in range(150):
        if number % 10 == 3:  # the transaction's own writes count
            fill(cursor, random, 100 + number, 3)
            cursor.execute("UPDATE t SET c = :c WHERE a = :a", {"c": random.randrange(5), "a": random.randrange(7)})
            cursor.execute("DELETE FROM t WHERE a = :a AND c = :c", {"c": number % 5, "a": random.randrange(7)})
            cursor.execute("DELETE FROM keyless WHERE c = :c", {"c": random.randrange(5)})
        if number % 40 == 17:
            cursor.connection.commit()
        table = random.choice(["t", "t", "keyless", "(SELECT a, b, c, d, e FROM t)"])
        chosen = random.sample(TERMS, random.choice([0, 1, 1, 2]))
        terms = [term.format(random.randrange(5), random.randrange(5)) for term in chosen]
        names = COUNTS
        if table == "keyless":
            terms = [term for term in terms if not {"a", "b", "e"} & set(term.replace("'", " ").split())]
            names = ("count(*)", "count(c)")
        where = f" WHERE {' AND '.join(terms)}" if terms else ""
        sql = f"SELECT {random.choice(names)} FROM {table} AS x{where}"
        parameters = {"n": random.choice([None, *range(5)]), "s": random.choice([None, "1", "abcd2"])}
        parameters = {name: value for name, value in parameters.items() if f":{name}" in sql}
        cursor.execute("EXPLAIN " + sql, parameters)
        counted += any("Count keys" in line for (line,) in cursor.fetchall())
        cursor.execute(sql, parameters)
        found = cursor.fetchall()
        monkeypatch.setattr(optimize, "RULES", tuple(rule for rule in rules if rule is not count_keys))
        cursor.execute(sql + " ", parameters)  # another text, so planned anew
        monkeypatch.setattr(optimize, "RULES", rules)
        assert found == cursor.fetchall(), (sql, parameters)
    assert counted > 30


def cost(connection: dbapi.Connection, *queries: str) -> tuple[list[object], int, int]:
    """The answers, and how many waves and keys they took in one transaction."""
    before = connection.counters
    cursor, found = connection.cursor(), []
    for sql in queries:
        cursor.execute(sql)
        found += cursor.fetchall()
    connection.commit()
    after = connection.counters
    return [number for (number,) in found], after.waves - before.waves, after.keys - before.keys


WHERE = "SELECT count(*) FROM t WHERE c = 1 AND d <> '2'"


@pytest.mark.parametrize("store", marked())
def test_a_count_costs_one_round_trip_and_no_keys_and_conflicts_with_what_came_or_went(
    store: str, tmp_path: Path
) -> None:
    with a_store(store, tmp_path) as url:
        one, other = dbapi.connect(url), dbapi.connect(url)
        cursor = one.cursor()
        for sql in SCHEMA[:2]:
            cursor.execute(sql)
        rows = [{"a": at, "b": "", "c": at % 3, "d": str(at % 4), "e": None} for at in range(1500)]
        cursor.executemany("INSERT INTO t VALUES (:a, :b, :c, :d, :e)", rows)
        one.commit()
        assert cost(one, WHERE, "SELECT 5", WHERE) == ([375, 5, 375], 1, 1), "the key is the catalogue's version"
        assert cost(one, WHERE, "SELECT count(*) FROM t") == ([375, 1500], 2, 1)
        for c, conflict in ((1, True), (2, False)):
            cursor.execute(WHERE)
            assert cursor.fetchall() == [(375,)]
            cursor.execute("INSERT INTO t VALUES (5000, '', 1, '0', 5)")
            cursor.execute(WHERE)
            assert cursor.fetchall() == [(376,)]
            other.cursor().execute(f"INSERT INTO t VALUES ({7000 + c}, '', {c}, '1', {c})")
            other.commit()
            if conflict:
                with pytest.raises(errors.OperationalError, match=r"\[40001\]"):
                    one.commit()
                one.rollback()
                cursor.execute("DELETE FROM t WHERE a > 4000")
            one.commit()
        assert cost(one, WHERE)[:2] == ([376], 1)
        one.close()
        other.close()


def test_a_count_for_each_row_is_one_wave(cursor: dbapi.Cursor) -> None:
    fill(cursor, Random(5), 0, 40)
    cursor.execute("CREATE TABLE owners (n INTEGER NOT NULL PRIMARY KEY)")
    cursor.execute("INSERT INTO owners VALUES (0), (1), (2), (3)")
    cursor.connection.commit()
    before = cursor.connection.counters.waves
    cursor.execute("SELECT n, (SELECT count(*) FROM t WHERE t.c = owners.n) FROM owners ORDER BY n")
    found = cursor.fetchall()
    cursor.connection.commit()
    assert cursor.connection.counters.waves - before == 2
    cursor.execute("SELECT c, count(*) FROM t WHERE c BETWEEN 0 AND 3 GROUP BY c ORDER BY c")
    assert found == cursor.fetchall()


@pytest.mark.parametrize("values", [[], [1], [1, 1, 3], [None, 1], [None], [9]])
def test_lists_of_any_length_are_left_out(values: list[int | None]) -> None:
    engine = sqlalchemy.create_engine("rome+memory://")
    column = sqlalchemy.Column("c", sqlalchemy.Integer, index=True)
    number = sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True)
    table = sqlalchemy.Table("t", sqlalchemy.MetaData(), number, column)
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), [{"c": value} for value in (None, None, 1, 1, 2, 3)])
        for condition in (column.in_(values), column.not_in(values)):
            query = sqlalchemy.select(table).where(condition)
            counting = sqlalchemy.select(sqlalchemy.func.count()).select_from(query.subquery())
            assert connection.scalar(counting) == len(connection.execute(query).all())
    engine.dispose()
