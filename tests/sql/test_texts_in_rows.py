"""Rows without the text that a column must equal are left out before they are decoded: the same rows, for less work."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from random import Random

import pytest

from rome import dbapi
from rome.sql.execute.following import Following
from rome.table import rowcode
from rome.table.schema import Table

TEXTS = ("first text", "second text", "first", "text", "first text and more", "", "\0first text", None)
TERMS = (
    "a = 'first text'", "b = :text", "'second text' = c", "a IN ('first text', 'nowhere at all')",
    "(a = 'first text' OR a = 'second text')", "(a = 'first text' OR b = 'first text')", "NOT (a = 'first text')",
    "a IN ('first text')", "c IN UNNEST(:texts)", "a = b", "a IS NOT DISTINCT FROM 'first text'", "n % 2 = 0",
    "length(a) > 5",
)  # fmt: skip


@pytest.fixture
def cursor() -> dbapi.Cursor:
    """Rows of three layouts: with `a` and `b`; with a `c`, which the older ones have by default; without `gone`."""
    random = Random(3)
    cursor = dbapi.connect("rome+memory://").cursor()

    def fill(columns: str) -> None:
        names = columns.split()
        rows = [tuple(random.choice(TEXTS) for _ in names[1:]) for _ in range(60)]
        sql = f"INSERT INTO t ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        cursor.executemany(sql, [(next(numbers), *row) for row in rows])

    numbers = itertools.count()
    cursor.execute("CREATE TABLE t (n INTEGER NOT NULL PRIMARY KEY, gone TEXT, a TEXT, b TEXT)")
    cursor.execute("CREATE INDEX t_b ON t (b)")
    fill("n gone a b")
    cursor.execute("ALTER TABLE t ADD COLUMN c VARCHAR(40) DEFAULT 'second text'")
    fill("n gone a b c")
    cursor.execute("ALTER TABLE t DROP COLUMN gone")
    fill("n a b c")
    cursor.connection.commit()
    return cursor


def test_decoded_or_not_the_rows_are_the_same(cursor: dbapi.Cursor, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(4)
    found_any = 0
    for number in range(150):
        where = " AND ".join(random.sample(TERMS, random.randint(1, 3)))
        order = random.choice(["ORDER BY n", "ORDER BY b, n LIMIT 7", "ORDER BY n DESC LIMIT 5"])
        parameters = {"text": random.choice(TEXTS), "texts": random.sample(TEXTS, 2)}
        sql = f"SELECT n, a, b, c FROM t WHERE {where} {order}"
        given = {name: value for name, value in parameters.items() if f":{name}" in sql}
        cursor.execute(sql, given)
        found = cursor.fetchall()
        with monkeypatch.context() as patch:
            patch.setattr(Following, "holding", lambda following, bindings: ())
            cursor.execute(sql, given)
            assert found == cursor.fetchall(), (number, sql, given)
        found_any += bool(found)
    assert found_any > 40


def test_only_rows_that_hold_the_text_are_decoded(cursor: dbapi.Cursor, monkeypatch: pytest.MonkeyPatch) -> None:
    cursor.execute("DELETE FROM t")
    rows = [(number, "rare text" if number == 77 else "common text") for number in range(200)]
    cursor.executemany("INSERT INTO t (n, a) VALUES (?, ?)", rows)
    cursor.connection.commit()
    decoded: list[bytes] = []
    make = rowcode._make_batch_decoder

    def counting(table: Table) -> Callable[[Iterable[bytes]], list[rowcode.Row]]:
        decode = make(table)

        def decode_all(rows: Iterable[bytes]) -> list[rowcode.Row]:
            listed = list(rows)
            decoded.extend(listed)
            return decode(listed)

        return decode_all

    monkeypatch.setattr(rowcode, "_make_batch_decoder", counting)
    cursor.execute("ALTER TABLE t ADD COLUMN more TEXT")  # a new description of the table, with a decoder of its own
    cursor.execute("UPDATE t SET more = 'x'")
    cursor.connection.commit()
    decoded.clear()
    cursor.execute("SELECT n FROM t WHERE a = 'rare text'")
    assert cursor.fetchall() == [(77,)]
    assert len(decoded) == 1
