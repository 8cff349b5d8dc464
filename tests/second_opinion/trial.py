"""One trial: a schema, rows, and a run of changes and queries on SQLite and on ROME, all from one seed.

Some queries are run once more with rules of the optimizer left out, and what is read by chunks in small ones: the rows
hang on neither.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random

import pytest

from rome.sql import optimize, plan
from rome.sql.execute import first_rows, race, scan_stream
from tests.second_opinion.changes import ChangeMaker
from tests.second_opinion.databases import Pair, Row
from tests.second_opinion.expressions import words_for
from tests.second_opinion.queries import QueryMaker, Statement
from tests.second_opinion.schema import Table, literal, some_rows, some_schema

QUERIES = 60  # in a trial
QUERIES_BETWEEN_CHANGES = 12
QUERIES_BETWEEN_LESS_OPTIMIZED = 4
CHANGES_AT_ONCE = 5
SMALL_STEPS = {
    "FIRST_ENTRIES": (first_rows, 2), "SPARE_ENTRIES": (first_rows, 0), "ENTRIES_THAT_TELL": (first_rows, 8),
    "MOST_ENTRIES": (first_rows, 60), "FEW_ENTRIES": (race, 3), "ALONE_ENTRIES": (race, 4),
    "SPARED_ROWS": (scan_stream, 0),
}  # fmt: skip
Rule = Callable[[plan.Plan], plan.Plan]
MOST_ROWS = 25  # of a table: joins of four tables are then small enough for a test


@dataclass(frozen=True)
class Failure:
    """Where the answers differ; `script` runs it again."""

    seed: int
    url: str
    what: str
    script: str

    def __str__(self) -> str:
        return f"seed {self.seed} on {self.url}\n{self.script}\n{self.what}"


def run(seed: int, url: str, queries: int = QUERIES) -> Failure | None:
    """Run the trial of `seed`; the first disagreement, or None."""
    random = Random(seed)
    tables = some_schema(random)
    pair = Pair(url, tables)
    try:
        pair.fill({table.name: some_rows(random, table) for table in tables})
        wrong = pair.different_rows()
        if wrong:
            return Failure(seed, url, wrong, _script(tables, {}, Statement("-- the first rows", {})))
        for number in range(queries):
            if number % QUERIES_BETWEEN_CHANGES == 0:
                failure = _change(random, pair, seed, url)
                if failure:
                    return failure
            statement = QueryMaker(random, tables).query()
            what = pair.disagreement(statement)
            if what:
                return _smaller(seed, url, tables, pair.contents(), statement, what)
            if number % QUERIES_BETWEEN_LESS_OPTIMIZED == 0:
                failure = _less_optimized(Random(f"{seed} {number}"), pair, seed, url, statement)
                if failure:
                    return failure
        return None
    finally:
        pair.close()


def _less_optimized(random: Random, pair: Pair, seed: int, url: str, statement: Statement) -> Failure | None:
    """The same query planned anew with some of the rules.

    Conditions always go down: else a join of four tables is made of all their rows first.
    """
    others = [rule for rule in optimize.RULES if rule is not optimize.push_conditions_down]
    left_out = set(random.sample(others, random.randint(1, len(others))))
    with otherwise(left_out):
        what = pair.disagreement(replace(statement, sql=statement.sql + " "))
    if not what or "MemoryError" in what or "TimeoutError" in what:  # what it costs is the rules' business
        return None
    names = ", ".join(sorted(rule.__name__ for rule in left_out))
    script = _script(pair.tables, pair.contents(), statement)
    return Failure(seed, url, f"without these rules of the optimizer: {names}\n{what}", script)


@contextmanager
def otherwise(rules: Collection[Rule]) -> Iterator[None]:
    """Plan without these rules of the optimizer, and run in small steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimize, "RULES", tuple(rule for rule in optimize.RULES if rule not in rules))
        for name, (module, value) in SMALL_STEPS.items():
            patch.setattr(module, name, value)
        yield


def _change(random: Random, pair: Pair, seed: int, url: str) -> Failure | None:
    for _ in range(CHANGES_AT_ONCE):
        before = pair.contents()
        large = [table for table in pair.tables if len(before[table.name]) > MOST_ROWS]
        statement = _pruning(large[0]) if large else ChangeMaker(random, pair.tables).change()
        what = pair.disagreement(statement) or pair.different_rows()
        if what:
            return _smaller(seed, url, pair.tables, before, statement, what)
    problems = pair.problems()
    if problems:
        return Failure(seed, url, "\n".join(problems), _script(pair.tables, before, statement))
    return None


def _pruning(table: Table) -> Statement:
    """A DELETE of most of the rows of `table`, unless others refer to them."""
    key = table.columns[0].name
    some = f"SELECT {key} FROM {table.name} ORDER BY 1 LIMIT 20"
    return Statement(f"DELETE FROM {table.name} WHERE {key} IN ({some})", {}, changes=True)


# ---- making a failure smaller --------------------------------------------------------------------------------------


def _smaller(
    seed: int, url: str, tables: list[Table], rows: dict[str, list[Row]], statement: Statement, what: str
) -> Failure:
    """The failure with as few rows as still show it, on a fresh store in memory."""
    takes_long = "TimeoutError" in what or "MemoryError" in what
    found = "" if takes_long else _shows(tables, rows, statement)
    if not found:
        return Failure(seed, url, f"{what}\n(not on a fresh store with these rows)", _script(tables, rows, statement))
    for name in rows:
        size = max(1, len(rows[name]) // 2)
        while size:
            start = 0
            while start < len(rows[name]):
                fewer = {**rows, name: rows[name][:start] + rows[name][start + size :]}
                shown = _shows(tables, fewer, statement)
                if shown:
                    rows, found = fewer, shown
                else:
                    start += size
            size //= 2
    return Failure(seed, url, found, _script(tables, rows, statement))


def _shows(tables: list[Table], rows: dict[str, list[Row]], statement: Statement) -> str:
    pair = Pair("rome+memory://", tables)
    try:
        pair.fill(rows)
        return pair.disagreement(statement) or pair.different_rows()
    finally:
        pair.close()


def _script(tables: list[Table], rows: dict[str, list[Row]], statement: Statement) -> str:
    lines = [f"{definition};" for table in tables for definition in table.definitions()]
    for name, found in rows.items():
        lines += [f"INSERT INTO {name} VALUES ({', '.join(map(literal, row))});" for row in found]
    ours, theirs = (words_for(statement.sql, rome=rome) for rome in (True, False))
    lines.append(f"{ours};")
    lines += [f"-- for SQLite: {theirs};"] if theirs != ours else []
    if statement.parameters:
        lines.append(f"-- parameters {statement.parameters}")
    return "\n".join(lines)
