"""One trial: a schema, rows, and a run of changes and queries on SQLite and on ROME, all from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.second_opinion.changes import ChangeMaker
from tests.second_opinion.databases import Pair, Row
from tests.second_opinion.expressions import words_for
from tests.second_opinion.queries import QueryMaker, Statement
from tests.second_opinion.schema import Table, literal, some_rows, some_schema

QUERIES = 60  # in a trial
QUERIES_BETWEEN_CHANGES = 12
CHANGES_AT_ONCE = 5
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
        return None
    finally:
        pair.close()


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
