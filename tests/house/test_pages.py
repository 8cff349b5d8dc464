"""What README.md and docs/limits.md say of the SQL that ROME takes and refuses, run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rome
from rome.errors import NotSupportedError

ROOT = Path(__file__).resolve().parents[2]


def examples(page: str) -> list[str]:
    """The statements in the last column of the page's tables of SQL."""
    rows = re.findall(r"^\|.*\| `([A-Z].*)` \|$", (ROOT / page).read_text(), re.M)
    return [statement for row in rows for statement in row.split("`, `")]


@pytest.fixture
def connection() -> Iterator[rome.dbapi.Connection]:
    connection = rome.connect("rome+memory://")
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    cursor.execute("CREATE TABLE u (id INTEGER PRIMARY KEY, t_id INTEGER REFERENCES t (id), amount NUMERIC(10, 2))")
    cursor.execute("INSERT INTO t (id, n) VALUES (1, 10), (2, 20), (3, NULL)")
    cursor.execute("INSERT INTO u (id, t_id, amount) VALUES (1, 1, 1.5), (2, 1, 2.5)")
    connection.commit()
    yield connection
    connection.close()


@pytest.mark.parametrize("statement", examples("docs/limits.md"))
def test_what_the_limits_name_is_refused(connection: rome.dbapi.Connection, statement: str) -> None:
    with pytest.raises(NotSupportedError, match=r"^\[0A000\] .*\(line 1, column \d+\)"):
        connection.cursor().execute(statement)


@pytest.mark.parametrize("statement", examples("README.md"))
def test_what_the_readme_shows_runs(connection: rome.dbapi.Connection, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    assert cursor.description is None or cursor.fetchall()


def test_both_pages_have_examples() -> None:
    assert len(examples("README.md")) >= 10
    assert len(examples("docs/limits.md")) >= 10
