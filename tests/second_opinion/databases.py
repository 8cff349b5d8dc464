"""SQLite and ROME side by side, and what each answers."""

from __future__ import annotations

import re
import resource
import signal
import sqlite3
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import rome.dbapi
from rome.config import parse
from rome.database import open_database
from rome.testing import integrity
from tests.second_opinion.differences import recognised
from tests.second_opinion.expressions import words_for
from tests.second_opinion.queries import Statement
from tests.second_opinion.schema import Table, literal

MOST_SECONDS = 60  # a join of five million rows of constants was one that took ten
MOST_BYTES = 3 << 30  # who needs more is a join of joins of everything, maybe one that SQLite sees no one looks at
MOST_STEPS = 40  # millions of instructions of SQLite's machine: whoever needs more is a join of joins of everything
MOST_ROWS = 200_000  # of an answer: a cross join of cross joins says nothing more than a smaller one, and takes minutes
OUT_OF_MEMORY = "53200"
Row = tuple[object, ...]


@dataclass(frozen=True)
class Answer:
    """Rows or a row count; or the error, "" for none."""

    rows: list[Row] | None
    count: int
    error: str = ""


TOO_LARGE = Answer([], 0)


@dataclass
class Pair:
    """The same schema in SQLite and in ROME, and everything that was run on both."""

    url: str
    tables: list[Table]
    sqlite: sqlite3.Connection = field(init=False)
    steps: int = field(init=False, default=0)  # of the last statement on SQLite, in millions
    rome: rome.dbapi.Connection = field(init=False)

    def __post_init__(self) -> None:
        self.sqlite = sqlite3.connect(":memory:", isolation_level=None)
        self.sqlite.execute("PRAGMA case_sensitive_like = on")
        self.sqlite.execute("PRAGMA foreign_keys = on")
        self.sqlite.set_progress_handler(self._step, 1_000_000)
        self.store = parse(self.url)
        self.rome = rome.dbapi.connect(self.store, isolation_level="AUTOCOMMIT")
        for table in self.tables:
            for definition in table.definitions():
                self.sqlite.execute(definition)
                self.rome.cursor().execute(definition)

    def close(self) -> None:
        self.sqlite.close()
        self.rome.close()

    def fill(self, rows: dict[str, list[Row]]) -> None:
        """Put the same rows into both, past those that break a constraint."""
        for name, found in rows.items():
            for row in found:
                self.disagreement(
                    Statement(f"INSERT INTO {name} VALUES ({', '.join(map(literal, row))})", {}, changes=True)
                )

    def contents(self) -> dict[str, list[Row]]:
        """What is in SQLite, with truth values as such."""
        found = {}
        for table in self.tables:
            rows = self.sqlite.execute(f"SELECT * FROM {table.name}").fetchall()
            truths = [column.type == "BOOLEAN" for column in table.columns]
            found[table.name] = [
                tuple(
                    bool(value) if truth and value is not None else value
                    for value, truth in zip(row, truths, strict=True)
                )
                for row in rows
            ]
        return found

    def disagreement(self, statement: Statement) -> str:
        """Run a statement on both; how the answers differ, or ""."""
        expected, found = self.answers(statement)
        if expected.error or found.error:
            if bool(expected.error) == bool(found.error):
                return _different_errors(expected.error, found.error)
            if recognised(statement.sql, expected.error, found.error):
                self._level()
                return ""
            return f"SQLite: {expected.error or _shown(expected)}\nROME:   {found.error or _shown(found)}"
        if statement.changes:
            same = expected.count == found.count
        else:
            same = _same(expected.rows or [], found.rows or [], statement.ordered)
        return "" if same else f"SQLite: {_shown(expected)}\nROME:   {_shown(found)}"

    def answers(self, statement: Statement) -> tuple[Answer, Answer]:
        """What SQLite answers, and what ROME does, truth values and decimals in SQLite's way."""
        given = {name: value for name, value in statement.parameters.items() if re.search(rf":{name}\b", statement.sql)}
        expected = self._on_sqlite(statement, given)
        if expected is TOO_LARGE:
            return TOO_LARGE, TOO_LARGE
        found = self._on_rome(statement, given)
        return (TOO_LARGE if found is TOO_LARGE else expected), found

    def different_rows(self) -> str:
        """How the rows of a table differ, or ""."""
        for table in self.tables:
            what = self.disagreement(Statement(f"SELECT * FROM {table.name}", {}))
            if what:
                return f"table {table.name}\n{what}"
        return ""

    def problems(self) -> list[str]:
        """What rome.testing.integrity finds wrong."""
        database = open_database(self.store)
        try:
            return integrity.check(database.driver, self.store.namespace)
        finally:
            database.release()

    def _level(self) -> None:
        """Give SQLite the rows that ROME has."""
        self.sqlite.execute("PRAGMA foreign_keys = off")
        for table in self.tables:
            self.sqlite.execute(f"DELETE FROM {table.name}")
            cursor = self.rome.cursor()
            cursor.execute(f"SELECT * FROM {table.name}")
            marks = ", ".join("?" * len(table.columns))
            self.sqlite.executemany(f"INSERT INTO {table.name} VALUES ({marks})", cursor.fetchall())
        self.sqlite.execute("PRAGMA foreign_keys = on")

    def _step(self) -> int:
        self.steps += 1
        return self.steps > MOST_STEPS  # SQLite takes it for "interrupt"

    def _on_sqlite(self, statement: Statement, given: dict[str, object]) -> Answer:
        self.steps = 0
        try:
            cursor = self.sqlite.execute(words_for(statement.sql, rome=False), given)
            rows = None if statement.changes else list(map(_plain, cursor.fetchmany(MOST_ROWS + 1)))
            if rows is not None and len(rows) > MOST_ROWS:
                return TOO_LARGE
            return Answer(rows, cursor.rowcount if statement.changes else 0)
        except sqlite3.Error as error:
            if self.steps > MOST_STEPS:
                return TOO_LARGE
            return Answer(None, 0, f"{type(error).__name__}: {error}")

    def _on_rome(self, statement: Statement, given: dict[str, object]) -> Answer:
        cursor = self.rome.cursor()
        try:
            with _limited():
                cursor.execute(words_for(statement.sql, rome=True), given)
                rows = None if statement.changes else list(map(_plain, cursor.fetchall()))
                return Answer(rows, cursor.rowcount if statement.changes else 0)
        except Exception as error:  # whatever it is, it is shown beside the statement that raised it
            if getattr(error, "sqlstate", "") == OUT_OF_MEMORY and not statement.changes:
                return TOO_LARGE
            defect = "" if isinstance(error, rome.dbapi.Error) else f"a defect: {traceback.format_exc(limit=-2)}"
            return Answer(None, 0, f"{defect}{type(error).__name__}: {error}")


@contextmanager
def _limited() -> Iterator[None]:
    """A statement that takes MOST_SECONDS is a defect: none here has much to do. It is refused MOST_BYTES."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {MOST_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    room = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, room[1]))
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_DATA, room)
        signal.signal(signal.SIGALRM, before)


def _different_errors(expected: str, found: str) -> str:
    """Both raised an error: a constraint on one side must be a constraint on the other."""
    constraints = ["IntegrityError" in expected, "Violation" in found or "IntegrityError" in found]
    return "" if all(constraints) and "defect" not in found else f"SQLite: {expected}\nROME:   {found}"


def _plain(row: Sequence[object]) -> Row:
    """A row in one form: truth values as numbers, and of the digits of a number those that no order of adding moves."""
    return tuple(map(_plain_value, row))


def _plain_value(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    return float(f"{value:.12g}") if isinstance(value, (float, Decimal)) else value


def _same(expected: list[Row], found: list[Row], ordered: int) -> bool:
    if ordered < 0:
        return expected == found
    if Counter(expected) != Counter(found):
        return False
    return [row[:ordered] for row in expected] == [row[:ordered] for row in found]


def _shown(answer: Answer) -> str:
    if answer.rows is None:
        return f"{answer.count} rows changed"
    rows = sorted(answer.rows, key=repr)
    return f"{len(rows)} rows {rows[:12]}{' …' if len(rows) > 12 else ''}"


def lmdb_url(directory: Path) -> str:
    return f"rome+lmdb:///{directory}?sync=none"
