"""SQL made at random means in ROME what it means in SQLite: rows, row counts, refusals, on every store.

A failure shows its seed, the schema, as few rows as show it, the statement and both answers.
`make test` runs TRIALS trials of sixty queries; `make nightly` NIGHTLY_TRIALS more, from seeds that it draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom

import pytest

from rome.sql import codegen
from tests.second_opinion import differences, trial
from tests.second_opinion.changes import ChangeMaker
from tests.second_opinion.databases import Pair, lmdb_url
from tests.second_opinion.expressions import either, words_for
from tests.second_opinion.queries import QueryMaker, Statement
from tests.second_opinion.schema import INTEGER, TEXT, Column, Table, some_schema

AT_ONCE = 5
TRIALS = 50
NIGHTLY_TRIALS = 1700  # of sixty queries, in memory and on LMDB: more than 200,000
MEMORY = "rome+memory://"
DEMONSTRATION = Table(
    "d", (Column("id", INTEGER, False), Column("n", INTEGER), Column("s", TEXT)), ("id",), (), (), None
)


@pytest.mark.parametrize("first", range(0, TRIALS, AT_ONCE))
def test_rome_in_memory_agrees_with_sqlite(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        failure = trial.run(seed, MEMORY)
        assert failure is None, str(failure)


@pytest.mark.parametrize("first", range(1000, 1000 + TRIALS, AT_ONCE))
def test_rome_on_lmdb_agrees_with_sqlite(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + AT_ONCE):
        failure = trial.run(seed, lmdb_url(tmp_path / str(seed)), queries=trial.QUERIES // 3)
        assert failure is None, str(failure)


@pytest.mark.nightly
class TestAllNight:
    """Seeds drawn anew each time; printed, so that a failure can be run again."""

    @staticmethod
    def url(directory: Path) -> str:
        return MEMORY

    @pytest.mark.parametrize("part", range(10))
    def test_rome_agrees_with_sqlite(self, part: int, tmp_path: Path) -> None:
        first = SystemRandom().randrange(10**9)
        print(f"part {part}: seeds from {first}")
        for seed in range(first, first + NIGHTLY_TRIALS // 10):
            failure = trial.run(seed, self.url(tmp_path / str(seed)))
            assert failure is None, str(failure)


@pytest.mark.nightly
class TestAllNightOnLmdb(TestAllNight):
    """The same on LMDB; a class of its own, so that another worker takes it."""

    @staticmethod
    def url(directory: Path) -> str:
        return lmdb_url(directory)


# ---- the second opinion itself -------------------------------------------------------------------------------------


def test_a_seed_makes_the_same_statements_again() -> None:
    def statements(seed: int) -> list[Statement]:
        random = Random(seed)
        tables = some_schema(random)
        return [ChangeMaker(random, tables).change() for _ in range(5)] + [
            QueryMaker(random, tables).query() for _ in range(20)
        ]

    assert statements(5) == statements(5)
    assert statements(5) != statements(6)


def test_the_statements_use_the_whole_language_that_is_promised() -> None:
    random = Random(1)
    tables = some_schema(random)
    texts = [QueryMaker(random, tables).query().sql for _ in range(3000)]
    texts += [ChangeMaker(random, tables).change().sql for _ in range(300)]
    for words in (
        " JOIN ", " LEFT JOIN (", " RIGHT JOIN ", " FULL JOIN ", " CROSS JOIN ", "EXISTS (", "NOT EXISTS (",
        " IN (SELECT",
        "NOT IN (", " UNION ", " UNION ALL ", " INTERSECT ", " EXCEPT ", "CASE ", "SELECT DISTINCT", "count(DISTINCT",
        " GROUP BY ", " HAVING ", " ORDER BY ", " LIMIT ", " OFFSET ", " LIKE ", " ESCAPE ", "coalesce(", "CAST(",
        "nullif(", " IS NULL", " BETWEEN ", " IS DISTINCT FROM ", "NULLS LAST", "FILTER (WHERE", "WITH q", ":p0",
        "json_object(", "json_array_length(", " -> '$", " ->> '$", "json_type(",
        "ON CONFLICT DO NOTHING", "ON CONFLICT (id) DO UPDATE SET", "excluded.", ") AS q WHERE q.k = ",
        "INSERT INTO", "UPDATE ", "DELETE FROM", "VALUES (",
    ):  # fmt: skip
        assert any(words in text for text in texts), words


def test_words_differ_where_the_databases_do() -> None:
    text = f"SELECT {either('a', 'b')} FROM {either(either('c', 'd') + '!', 'e' + either('f', 'g'))}"
    assert words_for(text, rome=True) == "SELECT a FROM c!"
    assert words_for(text, rome=False) == "SELECT b FROM eg"


def test_a_planted_defect_is_found_and_its_case_made_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(codegen._PYTHON_OPERATORS, "<=", "<")
    failures = [failure for seed in range(6) if (failure := trial.run(seed, MEMORY))]
    assert failures
    for failure in failures:
        assert f"seed {failure.seed}" in str(failure)
        assert "SQLite: " in failure.what and "ROME: " in failure.what
    assert min(failure.script.count("INSERT INTO") for failure in failures) <= 5


@pytest.fixture
def demonstration() -> Iterator[Pair]:
    pair = Pair(MEMORY, [DEMONSTRATION])
    pair.fill({"d": [(1, 1, "abc"), (2, 2, "b"), (3, 3, "c")]})
    yield pair
    pair.close()


@pytest.mark.parametrize("name", differences.DIFFERENCES)
def test_a_known_difference_is_one(name: str, demonstration: Pair) -> None:
    sql = differences.DIFFERENCES[name].shown_by
    changes = sql.startswith(("INSERT", "UPDATE"))
    given: dict[str, object] = {}
    answers = demonstration.answers(Statement(sql, given, changes=changes))
    if changes:
        answers = demonstration.answers(Statement("SELECT * FROM d ORDER BY 1", given))
    assert answers[0] != answers[1]


def test_the_table_of_known_differences_does_not_grow() -> None:
    assert len(differences.DIFFERENCES) == differences.MOST <= 13
