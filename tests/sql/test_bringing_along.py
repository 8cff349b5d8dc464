"""What belongs to a page of rows comes with them: the same rows in fewer waves, whatever the query and the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rome import dbapi
from rome.config import parse
from rome.database import open_database
from rome.sql.execute.following import FEW_ROWS, Following
from rome.sql.execute.scan import MAX_FOLLOWED_ROWS
from rome.txn.transaction import Transaction

IMAGES = 100

SETUP = """
CREATE TABLE images (id VARCHAR(36) NOT NULL PRIMARY KEY, owner VARCHAR(36), size BIGINT, hidden BOOLEAN NOT NULL);
CREATE INDEX owner_idx ON images (owner);
CREATE INDEX size_idx ON images (size);
CREATE TABLE props (image_id VARCHAR(36) NOT NULL, name VARCHAR(9) NOT NULL, value TEXT, PRIMARY KEY (image_id, name));
CREATE TABLE places (id INTEGER NOT NULL PRIMARY KEY, image_id VARCHAR(36) NOT NULL REFERENCES images (id), url TEXT);
CREATE TABLE pairs (a INTEGER NOT NULL, b VARCHAR(9) NOT NULL, PRIMARY KEY (a, b));
CREATE TABLE parts (a INTEGER NOT NULL, b VARCHAR(9) NOT NULL, c INTEGER NOT NULL, PRIMARY KEY (a, b, c));
"""

def page(limit: str, where: str = "") -> str:
    """A page of images, the largest first, and what belongs to them."""
    return (
        "SELECT i.id, i.size, props.name, places.url "
        f"FROM (SELECT id, size, owner FROM images {where} ORDER BY size DESC, id DESC LIMIT {limit}) AS i "
        "LEFT JOIN props ON props.image_id = i.id LEFT JOIN places ON places.image_id = i.id ORDER BY 2, 1, 3, 4"
    )


class Query(NamedTuple):
    sql: str
    waves: int  # on what SETUP and `connection` put there
    far: int | None = None  # if the store is far away; None: as many


QUERIES = {
    "a page": Query(page("7"), 1),
    "a page of none": Query(page("0"), 1),
    "a page of most rows": Query(page("7", "WHERE size <> 5"), 1),
    "a page of few rows": Query(page("2", "WHERE hidden"), 2),
    "a page of few rows that have a text": Query(page("5", "WHERE owner = 'owner one' AND size <> 7"), 2, 1),
    "a page of rows that have one of two texts": Query(page("5", "WHERE owner IN ('owner one', 'nobody')"), 2, 1),
    "a sorted page": Query(
        "SELECT i.id, props.name FROM (SELECT id FROM images WHERE owner = 'owner one' AND size < 60 "
        "ORDER BY hidden, id LIMIT 4) AS i LEFT JOIN props ON props.image_id = i.id ORDER BY 1, 2", 2, 1,
    ),
    "a page of a union": Query(
        "SELECT i.id, props.name, places.url FROM (SELECT u.id, u.size FROM ("
        "SELECT id, size FROM images WHERE owner = 'owner one' AND size < 97 UNION "
        "SELECT id, size FROM images WHERE owner = 'owner two' AND size > 30) AS u ORDER BY size DESC, id DESC "
        "LIMIT 6) AS i LEFT JOIN props ON props.image_id = i.id LEFT JOIN places ON places.image_id = i.id "
        "ORDER BY 2, 1, 3", 2, 1,
    ),
    "a page of what a lookup leaves": Query(
        "SELECT i.id, props.name FROM (SELECT images.id, images.size FROM images JOIN props AS p "
        "ON p.image_id = images.id AND p.name = 'n1' ORDER BY images.size DESC, images.id DESC LIMIT 5) AS i "
        "LEFT JOIN props ON props.image_id = i.id ORDER BY 1, 2", 1,
    ),
    "distinct rows": Query(
        "SELECT i.id, places.url FROM (SELECT DISTINCT id, hidden FROM images WHERE owner = 'owner two' AND size < 20 "
        "LIMIT 3) AS i LEFT JOIN places ON places.image_id = i.id ORDER BY 1, 2", 2, 1,
    ),
    "a lookup by a key and a constant": Query(
        "SELECT images.id, props.value FROM images LEFT JOIN props ON props.image_id = images.id AND props.name = 'n0' "
        "WHERE owner = 'owner one' AND size < 30 ORDER BY 1", 2, 1,
    ),
    "more rows than are followed": Query(
        "SELECT i.id, props.name FROM (SELECT id FROM images WHERE size >= 0 "
        f"ORDER BY hidden, id LIMIT {FEW_ROWS + 40}) AS i LEFT JOIN props ON props.image_id = i.id ORDER BY 1, 2", 2, 2,
    ),
    "a later page": Query(page("7 OFFSET 20"), 2),
    "a large page": Query(page(str(MAX_FOLLOWED_ROWS + 1)), 2),
    "a page by a column that has another name": Query(
        "SELECT i.key, props.name FROM (SELECT id AS key FROM images ORDER BY size LIMIT 9) AS i "
        "LEFT JOIN props ON props.image_id = i.key ORDER BY 1, 2", 1,
    ),
    "a limited join in the order of the primary key": Query(
        "SELECT images.id, props.name FROM images LEFT JOIN props ON props.image_id = images.id "
        "WHERE images.id > '010' ORDER BY images.id LIMIT 9", 1,
    ),
    "rows by an index": Query(
        "SELECT images.id, props.name, places.url FROM images LEFT JOIN props ON props.image_id = images.id "
        "LEFT JOIN places ON places.image_id = images.id WHERE owner = 'owner one' ORDER BY 1, 2, 3", 1,
    ),
    "some rows by an index": Query(
        "SELECT images.id, props.name FROM images LEFT JOIN props ON props.image_id = images.id "
        "WHERE owner = 'owner one' AND size > 20 ORDER BY 1, 2", 2, 1,
    ),
    "rows by an index, inner": Query(
        "SELECT images.id, places.url FROM images JOIN places ON places.image_id = images.id "
        "WHERE owner = 'owner two' ORDER BY 1, 2", 1,
    ),
    "a key of two columns": Query(
        "SELECT x.a, x.b, parts.c FROM (SELECT a, b FROM pairs ORDER BY a, b LIMIT 5) AS x "
        "LEFT JOIN parts ON parts.a = x.a AND parts.b = x.b ORDER BY 1, 2, 3", 1,
    ),
    "a lookup from what was looked up": Query(
        "SELECT i.id, places.url, props.name FROM (SELECT id FROM images ORDER BY size LIMIT 5) AS i "
        "LEFT JOIN places ON places.image_id = i.id LEFT JOIN props ON props.image_id = places.url ORDER BY 1, 2, 3", 2,
    ),
    "half a key of two columns": Query(
        "SELECT x.a, x.b, parts.c FROM (SELECT a, b FROM pairs ORDER BY a, b LIMIT 5) AS x "
        "LEFT JOIN parts ON parts.a = x.a ORDER BY 1, 2, 3", 2,
    ),
}  # fmt: skip

WRITES = [
    "INSERT INTO images (id, owner, size, hidden) VALUES ('own', 'owner one', 99, false)",
    "INSERT INTO props (image_id, name, value) VALUES ('own', 'mine', 'x'), ('098', 'mine', 'x'), ('011', 'mine', 'x')",
    "DELETE FROM props WHERE image_id = '097'",
    "UPDATE places SET url = 'moved', image_id = '096' WHERE image_id = '095'",
    "DELETE FROM places WHERE image_id = '093'",
    "DELETE FROM props WHERE image_id = '093'",
    "DELETE FROM images WHERE id = '093'",
    "INSERT INTO parts (a, b, c) VALUES (1, 'x', 100)",
]


@pytest.fixture(params=["memory", "lmdb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "rome+memory://" if request.param == "memory" else f"rome+lmdb:///{tmp_path}/store?sync=none"


class Session(NamedTuple):
    """One connection, and the figures of its database."""

    connection: dbapi.Connection
    waves: Callable[[], int]

    def rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        cursor = self.connection.cursor()
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


@pytest.fixture
def session(url: str) -> Iterator[Session]:
    """100 images; every third has no property, the others up to 3; every second has a place; every tenth is hidden."""
    store = parse(url)
    database = open_database(store)
    connection = dbapi.connect(store)
    cursor = connection.cursor()
    for sql in SETUP.strip().split(";\n"):
        cursor.execute(sql)
    for number in range(IMAGES):
        image = f"{number:03}"
        values = (image, ("owner one", "owner two")[number % 2], number, number % 10 == 0)
        cursor.execute("INSERT INTO images (id, owner, size, hidden) VALUES (?, ?, ?, ?)", values)
        for name in range(number % 3 + number % 2 if number % 3 else 0):
            cursor.execute("INSERT INTO props (image_id, name, value) VALUES (?, ?, ?)", (image, f"n{name}", "v"))
        if number % 2:
            cursor.execute("INSERT INTO places (image_id, url) VALUES (?, ?)", (image, f"file:///{number}"))
    for a in range(4):
        for b in ("x", "y", ""):
            cursor.execute("INSERT INTO pairs (a, b) VALUES (?, ?)", (a, b))
            for c in range(a):
                cursor.execute("INSERT INTO parts (a, b, c) VALUES (?, ?, ?)", (a, b, c))
    connection.commit()
    yield Session(connection, lambda: database.counters.waves)
    connection.close()
    database.release()


@pytest.mark.parametrize("far", [False, True])
def test_the_rows_are_the_same_and_the_waves_never_more(
    session: Session, far: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each query in a transaction of its own, with nothing brought along, and over own writes both ways."""

    def run(sql: str, writes: list[str], brought: bool) -> tuple[list[tuple[object, ...]], int]:
        with monkeypatch.context() as patch:
            patch.setattr(Transaction, "is_far", far)
            patch.setattr(Transaction, "is_remote", True)  # within the process waves are not what is spared
            if not brought:
                patch.setattr(Following, "asked", False)
                patch.setattr(Following, "from_afar", False)
            for write in writes:
                session.connection.cursor().execute(write)
            session.connection.cursor().execute("SELECT 1")
            before = session.waves()
            found = session.rows(sql)
            session.connection.rollback()
            return found, session.waves() - before

    for title, query in QUERIES.items():
        for writes in ([], WRITES):
            with_it, waves = run(query.sql, writes, brought=True)
            without, more_waves = run(query.sql, writes, brought=False)
            assert with_it == without, title
            assert waves <= more_waves, title
            assert with_it or title == "a page of none"


def test_what_is_too_much_to_be_known_is_asked_for_again(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = session.rows(QUERIES["a page"].sql)
    session.connection.commit()
    before = session.waves()
    monkeypatch.setattr("rome.txn.known.MAX_CELLS", 10)
    assert session.rows(QUERIES["a page"].sql) == expected
    session.connection.commit()
    assert session.waves() - before == 2


@pytest.mark.parametrize("title", QUERIES)
@pytest.mark.parametrize("far", [False, True])
def test_a_query_takes_as_many_waves_as_it_says(
    session: Session, title: str, far: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transaction, "is_far", far)
    query = QUERIES[title]
    session.rows(query.sql)  # makes the plan
    session.connection.commit()
    before = session.waves()
    session.rows(query.sql)
    session.connection.commit()
    assert session.waves() - before == (query.waves if not far or query.far is None else query.far)


def test_after_a_page_that_was_hard_to_fill_nothing_is_brought_along_for_a_while(session: Session) -> None:
    sql = page("12", "WHERE hidden = ?")
    waves = []
    for hidden in (False, False, True, True, False):
        before = session.waves()
        assert session.rows(sql, (hidden,))
        session.connection.commit()
        waves.append(session.waves() - before)
    assert waves == [1, 1, 3, 3, 2]


def test_explain_shows_what_is_brought_along_and_that_it_cost_no_wave(session: Session) -> None:
    lines = [str(line) for (line,) in session.rows("EXPLAIN ANALYZE " + QUERIES["a page"].sql)]
    assert [line.split("  [")[0].strip() for line in lines if "LEFT" in line] == [
        "LEFT Scan props by primary key (image_id = id), brought along",
        "LEFT Scan places by index image_id (image_id = id), brought along",
    ]
    [join] = [line for line in lines if "Lookup join" in line]
    assert " waves=1 " in join
    assert "waves=1 " in lines[-1]
