"""Keys of up to 3,072 bytes, the size of MySQL's: ordered, found and unique like any other, refused beyond it.

The values share their first 2,900 bytes or more, so that all that tells them apart lies far behind what a store may
keep in one key of its own.
"""

from __future__ import annotations

import random

import pytest

from rome import dbapi
from rome.errors import DataError, UniqueViolation
from tests.transactions.speaker import Connect, ask, problems, say, say_all

LIMIT = 3072
ALPHABETS = {"ascii": "a", "two bytes": "é", "three bytes": "€", "four bytes": "𝄞"}
ENDINGS = ["", "a", "b", "ba", "z", "é", "\U0001f600", "a" * 40, "zz", " ", "%", "_", "a\0b", "\uffff"]


def values(letter: str) -> list[str]:
    """Strings that begin alike for 2,900 bytes, and a few short ones that are their beginnings."""
    width = len(letter.encode())
    whole = letter * (2900 // width)
    nearly = whole[:-1]
    full = letter * (LIMIT // width)
    found = {whole + ending for ending in ENDINGS} | {nearly + ending for ending in ENDINGS}
    found |= {full, full[:-1], letter, letter * (500 // width), letter * (500 // width) + "b", ""}
    return sorted(found)


@pytest.fixture(params=list(ALPHABETS.values()), ids=list(ALPHABETS))
def letters(request: pytest.FixtureRequest) -> list[str]:
    return values(request.param)


@pytest.fixture(params=[False, True], ids=["plain", "unique"])
def unique(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def connection(url: str, connect: Connect, letters: list[str], unique: bool) -> dbapi.Connection:
    """A connection to a table with one row for each of the values, inserted in any order; `id` is the value's place."""
    connection = connect(url)
    kind = "UNIQUE INDEX" if unique else "INDEX"
    say_all(
        connection,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, s VARCHAR({LIMIT}), n INTEGER)",
        f"CREATE {kind} t_s ON t (s)",
    )
    rows = list(enumerate(letters))
    random.Random(1).shuffle(rows)
    connection.cursor().executemany("INSERT INTO t (id, s, n) VALUES (?, ?, 0)", rows)
    connection.commit()
    return connection


def ids(connection: dbapi.Connection, rest: str, **parameters: object) -> list[int]:
    return [id_ for (id_,) in ask(connection, f"SELECT id FROM t {rest}", parameters)]


def test_order_is_by_code_point_in_both_directions(connection: dbapi.Connection, letters: list[str]) -> None:
    assert "t_s" in "".join(line for (line,) in ask(connection, "EXPLAIN SELECT id FROM t ORDER BY s LIMIT 3"))
    count = len(letters)
    assert ids(connection, "ORDER BY s") == list(range(count))
    assert ids(connection, "ORDER BY s DESC") == list(range(count))[::-1]
    for limit, offset in ((1, 0), (3, 0), (5, count - 7), (4, count - 2)):
        page = "ORDER BY s LIMIT :limit OFFSET :offset"
        assert ids(connection, page, limit=limit, offset=offset) == list(range(count))[offset : offset + limit]
        page = "ORDER BY s DESC LIMIT :limit OFFSET :offset"
        assert ids(connection, page, limit=limit, offset=offset) == list(range(count))[::-1][offset : offset + limit]


def test_equality_and_ranges_find_what_python_finds(connection: dbapi.Connection, letters: list[str]) -> None:
    draw = random.Random(2)
    probes = letters + [letters[-1] + "b", letters[len(letters) // 2][:-1], letters[3] + "\0"]
    for probe in draw.sample(probes, 12):
        assert ids(connection, "WHERE s = :p", p=probe) == [i for i, s in enumerate(letters) if s == probe]
        for operator, holds in (
            ("<", lambda s, p: s < p), ("<=", lambda s, p: s <= p),
            (">", lambda s, p: s > p), (">=", lambda s, p: s >= p),
        ):  # fmt: skip
            expected = [i for i, s in enumerate(letters) if holds(s, probe)]
            assert ids(connection, f"WHERE s {operator} :p ORDER BY s", p=probe) == expected
            assert ids(connection, f"WHERE s {operator} :p ORDER BY s DESC LIMIT 3", p=probe) == expected[::-1][:3]
    for _ in range(6):
        low, high = draw.choice(probes), draw.choice(probes)
        expected = [i for i, s in enumerate(letters) if low <= s <= high]
        assert ids(connection, "WHERE s BETWEEN :low AND :high ORDER BY s", low=low, high=high) == expected
        both = ids(connection, "WHERE s IN (:low, :high) ORDER BY s", low=low, high=high)
        assert both == [i for i, s in enumerate(letters) if s in (low, high)]


def test_like_finds_by_long_beginnings(connection: dbapi.Connection, letters: list[str]) -> None:
    whole = letters[1] * (2900 // len(letters[1].encode()))
    for start in (whole, whole[:-1], whole + "b", whole[: len(whole) // 2]):
        expected = [i for i, s in enumerate(letters) if s.startswith(start)]
        assert ids(connection, "WHERE s LIKE :p ORDER BY s", p=start + "%") == expected
        expected = [i for i, s in enumerate(letters) if s.startswith(start) and len(s) == len(start) + 1]
        assert ids(connection, "WHERE s LIKE :p ORDER BY s", p=start + "_") == expected
        expected = [i for i, s in enumerate(letters) if s.startswith(start) and s[len(start) :].endswith("b")]
        assert ids(connection, "WHERE s LIKE :p ORDER BY s", p=start + "%b") == expected


def test_uniqueness_is_of_the_whole_value(connection: dbapi.Connection, letters: list[str], unique: bool) -> None:
    for at in (0, len(letters) // 2, len(letters) - 1):
        new = {"id": 1000 + at, "s": letters[at]}
        if unique:
            with pytest.raises(UniqueViolation) as refused:
                say(connection, "INSERT INTO t (id, s) VALUES (:id, :s)", new)
            assert refused.value.values == (letters[at],)
        else:
            say(connection, "INSERT INTO t (id, s) VALUES (:id, :s)", new)
            found = say(connection, "SELECT id FROM t WHERE s = :s ORDER BY id", {"s": letters[at]})
            assert found == [(at,), (1000 + at,)]
    connection.rollback()
    last = letters[len(letters) // 2]
    near = last[:-1] + chr(ord(last[-1]) + 1)
    if near not in letters:
        say(connection, "INSERT INTO t (id, s) VALUES (1000, :s)", {"s": near})
        connection.commit()
        assert ids(connection, "WHERE s = :s", s=near) == [1000]
    assert problems(connection) == []


def test_updates_and_deletes_leave_no_entry_behind(connection: dbapi.Connection, letters: list[str]) -> None:
    most = 2960 // len(letters[1].encode())
    say(connection, "UPDATE t SET s = s || '!' WHERE length(s) < :most", {"most": most})
    say(connection, "DELETE FROM t WHERE id % 3 = 0")
    inside = [id_ for (id_,) in say(connection, "SELECT id FROM t ORDER BY s")]
    connection.commit()
    expected = sorted(
        (s + "!" if len(s) < most else s, i) for i, s in enumerate(letters) if i % 3
    )
    assert inside == ids(connection, "ORDER BY s") == [i for _, i in expected]
    assert problems(connection) == []
    say_all(connection, "DROP INDEX t_s", "CREATE INDEX t_s2 ON t (n, s)")
    assert ids(connection, "WHERE n = 0 ORDER BY s") == [i for _, i in expected]
    assert problems(connection) == []
    say_all(connection, "DROP TABLE t")
    assert problems(connection) == []


@pytest.mark.parametrize("letter", ALPHABETS.values(), ids=ALPHABETS.keys())
def test_one_byte_more_is_refused_and_said(url: str, connect: Connect, letter: str) -> None:
    connection = connect(url)
    say_all(
        connection,
        "CREATE TABLE keyed (s VARCHAR(4000) PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, s VARCHAR(4000), u VARCHAR(4000))",
        "CREATE INDEX t_s ON t (s)",
        "CREATE UNIQUE INDEX t_u ON t (u)",
    )
    width = len(letter.encode())
    full = letter * (LIMIT // width)
    full += "x" * (LIMIT - len(full.encode()))
    over = full + "x"
    for sql, column in (
        ("INSERT INTO keyed VALUES (:v)", "primary key"),
        ("INSERT INTO t (id, s) VALUES (1, :v)", "t_s"),
        ("INSERT INTO t (id, u) VALUES (2, :v)", "t_u"),
    ):
        with pytest.raises(DataError) as refused:
            say(connection, sql, {"v": over})
        message = str(refused.value)
        assert message.startswith("[22001] ") and column in message, message
        assert f"{LIMIT + 1} bytes" in message and str(LIMIT) in message
        assert len(message) < 200
        say(connection, sql, {"v": full})
    with pytest.raises(DataError):
        say(connection, "UPDATE t SET s = :v", {"v": over})
    with pytest.raises(DataError):
        say(connection, "UPDATE t SET u = u || 'x' WHERE id = 2")
    connection.commit()
    assert ask(connection, "SELECT id FROM t WHERE s = :v", {"v": full}) == [(1,)]
    assert ask(connection, "SELECT id FROM t WHERE u = :v", {"v": full}) == [(2,)]
    assert ask(connection, "SELECT count(*) FROM keyed WHERE s = :v", {"v": full}) == [(1,)]
    for sql in ("SELECT id FROM t WHERE s = :v", "SELECT s FROM keyed WHERE s = :v"):
        assert ask(connection, sql, {"v": over}) == []  # nothing can be that long: nothing is found
        assert ask(connection, sql, {"v": over * 5}) == []
    assert ask(connection, "SELECT id FROM t WHERE s > :v OR u > :v", {"v": over * 5}) == []
    assert ask(connection, "SELECT id FROM t WHERE s < :v", {"v": over * 5}) == [(1,)]
    assert ask(connection, "SELECT id FROM t WHERE s LIKE :v", {"v": over * 5 + "%"}) == []
    assert ask(connection, "SELECT id FROM t WHERE s IN (:v, :f)", {"v": over * 5, "f": full}) == [(1,)]
    joined = "SELECT t.id FROM (SELECT :v AS v UNION SELECT :f) AS given JOIN t ON t.s = given.v"
    assert ask(connection, joined, {"v": over * 5, "f": full}) == [(1,)]
    assert say(connection, "DELETE FROM keyed WHERE s = :v", {"v": over * 5}) == 0
    assert problems(connection) == []


def test_a_long_row_gets_no_index_that_cannot_hold_it(url: str, connect: Connect) -> None:
    connection = connect(url)
    say_all(connection, "CREATE TABLE t (id INTEGER PRIMARY KEY, s TEXT)")
    say(connection, "INSERT INTO t VALUES (1, :s)", {"s": "a" * (LIMIT + 1)})
    connection.commit()
    with pytest.raises(DataError, match="t_s"):
        say(connection, "CREATE INDEX t_s ON t (s)")
    connection.rollback()
    assert ask(connection, "SELECT id FROM t WHERE s LIKE 'aaa%'") == [(1,)]
    assert problems(connection) == []


def test_several_columns_share_the_size_of_a_key(url: str, connect: Connect) -> None:
    connection = connect(url)
    say_all(
        connection, "CREATE TABLE t (a VARCHAR(2000), b VARCHAR(2000), n INTEGER, PRIMARY KEY (a, b))",
        "CREATE INDEX t_n ON t (n)",
    )  # fmt: skip
    long_a, long_b = "a" * 1500, "b" * 1572
    say(connection, "INSERT INTO t VALUES (:a, :b, 1), (:a, 'b', 1), ('a', :b, 1)", {"a": long_a, "b": long_b})
    connection.commit()
    with pytest.raises(DataError, match="primary key"):
        say(connection, "INSERT INTO t VALUES (:a, :b, 1)", {"a": long_a, "b": long_b + "b"})
    connection.rollback()
    assert [len(a) + len(b) for a, b in ask(connection, "SELECT a, b FROM t WHERE n = 1 ORDER BY a, b")] == [
        1573, 1501, 3072,
    ]  # fmt: skip
    assert ask(connection, "SELECT n FROM t WHERE a = :a AND b = :b", {"a": long_a, "b": long_b}) == [(1,)]
    assert problems(connection) == []
