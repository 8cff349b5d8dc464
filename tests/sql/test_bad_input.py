"""Bad input gets one clear error with its SQLSTATE, or the right answer: no traceback from inside, no hang."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator

import pytest

from rome import dbapi

TABLE = """CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, s VARCHAR(10), f FLOAT, b BLOB, d DATETIME,
           x NUMERIC(10, 2), o BOOLEAN, txt TEXT)"""
AWARE = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

REFUSED: list[tuple[str, object, str, str]] = [
    # values
    ("SELECT 1 / 0", {}, "22012", "division by zero"),
    ("SELECT n % :z FROM t", {"z": 0}, "22012", "division by zero"),
    ("INSERT INTO t (n) VALUES (:p)", {"p": 2**31}, "22003", "t.n"),
    ("INSERT INTO t (n) VALUES (:p)", {"p": 2**70}, "22003", "out of range"),
    ("SELECT * FROM t WHERE id = :p", {"p": 2**70}, "22003", "64-bit"),
    ("SELECT 9223372036854775807 + 1", {}, "22003", "64-bit"),
    ("SELECT sum(m) FROM (SELECT 9223372036854775807 AS m FROM t) AS q", {}, "22003", "64-bit"),
    ("INSERT INTO t (n) VALUES (:p)", {"p": "abc"}, "22018", "t.n"),
    ("SELECT * FROM t WHERE n = :p", {"p": "abc"}, "22018", "'abc' is not an integer"),
    ("SELECT * FROM t WHERE n = :p", {"p": [1]}, "42000", "list"),
    ("SELECT * FROM t WHERE n = :p", {"p": object()}, "42000", "object"),
    ("INSERT INTO t (s) VALUES (:p)", {"p": "x" * 11}, "22001", "11 characters"),
    ("INSERT INTO t (x) VALUES (:p)", {"p": decimal.Decimal("123456789.5")}, "22003", "t.x"),
    ("INSERT INTO t (txt) VALUES (:p)", {"p": "x" * (17 << 20)}, "54000", "limit"),
    ("INSERT INTO t (b) VALUES (:p)", {"p": "text"}, "22018", "t.b"),
    ("INSERT INTO t (s) VALUES (:p)", {"p": "\ud800"}, "22021", "surrogate"),
    ("SELECT * FROM t WHERE s = :p", {"p": "\ud800"}, "22021", "surrogate"),
    ("INSERT INTO t (f) VALUES (:p)", {"p": float("nan")}, "22003", "finite"),
    ("SELECT :p", {"p": float("inf")}, "22003", "finite"),
    ("SELECT * FROM t WHERE d > :p", {"p": "yesterday"}, "22007", "YYYY-MM-DD"),
    ("INSERT INTO t (d) VALUES (:p)", {"p": AWARE.isoformat()}, "22007", "UTC"),
    ("SELECT * FROM t LIMIT :p", {"p": "x"}, "22018", "integer"),
    ("SELECT * FROM t LIMIT 1.5", {}, "22023", "whole number"),
    ("SELECT * FROM t WHERE s LIKE 'a' ESCAPE 'xx'", {}, "22019", "one character"),
    # parameters
    ("SELECT * FROM t WHERE n = :p", {}, "07002", ":p"),
    ("SELECT * FROM t WHERE n = ?", (), "07002", "parameter 1"),
    ("SELECT * FROM t WHERE n = ?", (1, 2), "07001", "1 ?"),
    ("SELECT * FROM t WHERE n IN UNNEST(:p)", {"p": 5}, "07006", "list"),
    ("SELECT :p < :q", {"p": "x", "q": 1}, "42804", "CAST"),
    ("SELECT abs(:p)", {"p": "x"}, "42804", "CAST"),
    ("SELECT :p || 'x'", {"p": b"x"}, "42804", "BLOB"),
    ("SELECT coalesce(:p, n) FROM t", {"p": "x"}, "22018", "integer"),
    # names and types
    ("UPDATE t SET u.n = 1", {}, "42P01", 'no table "u"'),
    ("UPDATE t AS a SET n = 1 RETURNING t.*", {}, "42P01", 'no table "t"'),
    ("SELECT * FROM tt", {}, "42P01", 'did you mean "t"?'),
    ("SELECT t.nn FROM t", {}, "42703", 'did you mean "n"?'),
    ("SELECT lowe('a')", {}, "42883", "lower()"),
    ("SELECT now(1)", {}, "42883", "0 arguments, not 1"),
    ("SELECT n FROM t, t AS u", {}, "42702", "t.n, u.n"),
    ("INSERT INTO t (zz) VALUES (1)", {}, "42703", "zz"),
    ("INSERT INTO t (n, n) VALUES (1, 2)", {}, "42701", "twice"),
    ("SELECT * FROM t WHERE s = 1", {}, "42804", "CAST"),
    ("SELECT * FROM t WHERE s", {}, "42804", "boolean"),
    ("SELECT sum(s) FROM t", {}, "42804", "sum()"),
    ("SELECT CAST(s AS FOO) FROM t", {}, "42704", "FOO"),
    ("SELECT n FROM t UNION SELECT s FROM t", {}, "42804", "UNION"),
    ("SELECT n FROM t UNION SELECT n, s FROM t", {}, "42601", "1 and 2"),
    ("SELECT s FROM t GROUP BY n", {}, "42803", "GROUP BY"),
    ("SELECT n FROM t WHERE count(*) > 1", {}, "42803", "aggregates"),
    ("SELECT * FROM t WHERE n = (SELECT n, s FROM t)", {}, "42601", "one column"),
    ("SELECT (SELECT n FROM t)", {}, "21000", "more than one row"),
    ("SELECT n FROM t ORDER BY 2", {}, "42P10", "no column 2"),
    # texts
    ("", {}, "42601", "empty"),
    (";", {}, "42601", "empty"),
    ("SELEC 1", {}, "42601", "a statement begins with"),
    ("SELECT * FROM", {}, "42601", "incomplete"),
    ("SELECT 'abc", {}, "42601", "closing"),
    ("SELECT 1; SELECT 2", {}, "0A000", "more than one statement"),
    ("SELECT " + "abs(" * 2000 + "1" + ")" * 2000, {}, "54001", "nested"),
    ("SELECT row_number() FROM t", {}, "42809", "OVER"),
    ("WITH RECURSIVE a AS (SELECT n FROM a) SELECT * FROM a", {}, "42P19", "uses itself"),
    ("WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n FROM a) SELECT * FROM a", {}, "54000", "not ended"),
    ("SELECT * FROM t NATURAL JOIN t AS u", {}, "0A000", "NATURAL"),
    ("SELECT s COLLATE nocase FROM t", {}, "0A000", "COLLATE"),
    ("INSERT INTO t (n) VALUES (1) ON CONFLICT (n) DO NOTHING", {}, "42P10", "no unique constraint on just (n)"),
    ("INSERT INTO t (n) VALUES (1) ON CONFLICT (zz) DO NOTHING", {}, "42703", "zz"),
    ("INSERT INTO t (n) VALUES (1) ON CONFLICT ON CONSTRAINT zz DO NOTHING", {}, "42704", "zz"),
    ("INSERT INTO t (n) VALUES (1) ON CONFLICT DO UPDATE SET n = 1", {}, "42601", "DO UPDATE needs"),
    ("UPDATE t SET n = 1 FROM nowhere", {}, "42P01", "nowhere"),
    ("DELETE FROM t USING t", {}, "42712", "used twice"),
    ("SELECT '{}' -> 1.5", {}, "42804", "argument 2 of ->() must be"),
    ("PRAGMA foo", {}, "0A000", "PRAGMA"),
    # definitions
    ("CREATE TABLE u (id INTEGER, id INTEGER)", {}, "42701", "id"),
    ("CREATE TABLE t (id INTEGER)", {}, "42P07", "exists"),
    ("CREATE TABLE u (a INTEGER REFERENCES nope (id))", {}, "42P01", "nope"),
    ("CREATE TABLE u (a INTEGER DEFAULT 'x')", {}, "22018", "u.a"),
    ("CREATE TABLE u (a INTEGER CHECK (zz > 1))", {}, "42703", "zz"),
    ("CREATE INDEX i ON t (zz)", {}, "42703", "zz"),
    ("DROP TABLE zz", {}, "42P01", "zz"),
]  # fmt: skip

ANSWERED: list[tuple[str, object, list[tuple[object, ...]]]] = [
    ("SELECT n FROM t WHERE n IN UNNEST(:l) ORDER BY n", {"l": list(range(10_000))}, [(1,), (2,)]),
    (f"SELECT n FROM t WHERE id IN ({','.join(map(str, range(10_000)))}) ORDER BY n", {}, [(1,), (2,)]),
    ("SELECT n FROM t WHERE " + " OR ".join(f"n = {i}" for i in range(1000)) + " ORDER BY n", {}, [(1,), (2,)]),
    ("SELECT " + "(" * 200 + "1" + ")" * 200, {}, [(1,)]),
    ("SELECT " + "abs(" * 200 + "1" + ")" * 200, {}, [(1,)]),
    ("SELECT n FROM t WHERE " + "NOT (" * 200 + "n = 1" + ")" * 200, {}, [(1,)]),
    ("SELECT n FROM t WHERE s = :p", {"p": "a\x00b"}, []),
    ("SELECT n FROM t WHERE n = :p", {"p": "1"}, [(1,)]),
    ("SELECT n FROM t ORDER BY n LIMIT :p", {"p": -1}, [(1,), (2,)]),
    ("SELECT 99999999999999999999", {}, [(decimal.Decimal("99999999999999999999"),)]),
]


@pytest.fixture(scope="module")
def cursor() -> Iterator[dbapi.Cursor]:
    connection = dbapi.connect("rome+memory://", isolation_level="AUTOCOMMIT")
    cursor = connection.cursor()
    cursor.execute(TABLE)
    cursor.execute("INSERT INTO t (n, s) VALUES (1, 'a'), (2, 'b')")
    yield cursor
    connection.close()


@pytest.mark.parametrize(("sql", "parameters", "sqlstate", "says"), REFUSED, ids=range(len(REFUSED)))
def test_bad_input_is_refused_with_one_clear_error(
    cursor: dbapi.Cursor, sql: str, parameters: dict[str, object], sqlstate: str, says: str
) -> None:
    with pytest.raises(dbapi.DatabaseError) as caught:
        cursor.execute(sql, parameters)
    assert str(caught.value).startswith(f"[{sqlstate}] ")
    assert says in str(caught.value)
    cursor.execute("SELECT count(*) FROM t")
    assert cursor.fetchall() == [(2,)]


@pytest.mark.parametrize(("sql", "parameters", "rows"), ANSWERED, ids=range(len(ANSWERED)))
def test_large_and_deep_input_is_answered(
    cursor: dbapi.Cursor, sql: str, parameters: dict[str, object], rows: list[tuple[object, ...]]
) -> None:
    cursor.execute(sql, parameters)
    assert cursor.fetchall() == rows


def test_200_derived_tables_are_answered_or_refused_clearly(cursor: dbapi.Cursor) -> None:
    sql = "SELECT n FROM t"
    for level in range(200):
        sql = f"SELECT n FROM ({sql}) AS a{level}"
    cursor.execute(f"{sql} ORDER BY n")
    assert cursor.fetchall() == [(1,), (2,)]
