"""The replay floor: Glance, oslo.db and SQLAlchemy over a driver that answers at once.

A recording driver passes every statement of a call to SQLite and keeps what came back: columns, rows, row count and
last row id. The replaying one hands the same answers out again, in the same order, without a database. What a call
costs over it is what no engine can undercut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import Pool, StaticPool


@dataclass(frozen=True, slots=True)
class Answer:
    """What one execution of `sql` gave."""

    sql: str
    description: Any
    rows: list[Any]
    rowcount: int
    lastrowid: int | None


@dataclass
class Tape:
    """The answers of one call, in order; `position` is the next to be handed out."""

    answers: list[Answer] = field(default_factory=list)
    position: int = 0


class Deck:
    """Where the drivers find the tape in hand; None means the statement is no part of a call (connecting, say)."""

    tape: Tape | None = None


class RecordingCursor(sqlite3.Cursor):
    """A cursor that reads all rows at once and notes them on the tape in hand."""

    _rows: Iterator[Any] = iter(())

    def execute(self, sql: str, parameters: Any = ()) -> RecordingCursor:
        super().execute(sql, parameters)
        return self._note(sql)

    def executemany(self, sql: str, parameters: Iterable[Any]) -> RecordingCursor:
        super().executemany(sql, parameters)
        return self._note(sql)

    def _note(self, sql: str) -> RecordingCursor:
        rows = super().fetchall()
        self._rows = iter(rows)
        if Deck.tape is not None:
            Deck.tape.answers.append(Answer(sql, self.description, rows, self.rowcount, self.lastrowid))
        return self

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        return [row for row, _ in zip(self._rows, range(size or 1), strict=False)]

    def fetchall(self) -> list[Any]:
        return list(self._rows)


class RecordingConnection(sqlite3.Connection):
    def cursor(self, factory: type[sqlite3.Cursor] | None = None) -> Any:
        return super().cursor(RecordingCursor)


class ReplayCursor:
    """A cursor that hands out the answers of the tape in hand."""

    arraysize = 1
    description: Any = None
    rowcount = -1
    lastrowid: int | None = None

    def __init__(self) -> None:
        self._rows: list[Any] = []

    def execute(self, sql: str, parameters: Any = ()) -> ReplayCursor:
        tape = Deck.tape
        if tape is None:
            self._rows, self.description = [], None
            return self
        answer = tape.answers[tape.position]
        if answer.sql != sql:
            raise sqlite3.InternalError(f"the recording has another statement here:\n{answer.sql}\nand not\n{sql}")
        tape.position += 1
        self._rows, self.description = list(answer.rows), answer.description
        self.rowcount, self.lastrowid = answer.rowcount, answer.lastrowid
        return self

    def executemany(self, sql: str, parameters: Sequence[Any]) -> ReplayCursor:
        return self.execute(sql)

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int = 1) -> list[Any]:
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken

    def fetchall(self) -> list[Any]:
        taken, self._rows = self._rows, []
        return taken

    def close(self) -> None:
        self._rows = []


class ReplayConnection:
    """A connection to nothing; what SQLAlchemy and oslo.db set up on SQLite is accepted and forgotten."""

    isolation_level: str | None = ""

    def cursor(self) -> ReplayCursor:
        return ReplayCursor()

    def execute(self, sql: str, parameters: Any = ()) -> ReplayCursor:
        return ReplayCursor().execute(sql, parameters)

    def create_function(self, *arguments: Any, **options: Any) -> None:
        """Accepted: no SQL is ever evaluated here."""

    def commit(self) -> None:
        """Accepted."""

    def rollback(self) -> None:
        """Accepted."""

    def close(self) -> None:
        """Accepted."""


def _module(connect: Any) -> SimpleNamespace:
    """The module sqlite3 with another `connect`."""
    names = {name: getattr(sqlite3, name) for name in dir(sqlite3) if not name.startswith("_")}
    return SimpleNamespace(**{**names, "connect": connect})


class _OneConnection(SQLiteDialect_pysqlite):
    """One connection for good: oslo.db would open SQLite's file anew for every call."""

    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: Any) -> type[Pool]:
        return StaticPool


class RecordDialect(_OneConnection):
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        return _module(lambda *given, **named: sqlite3.connect(*given, **named, factory=RecordingConnection))


class ReplayDialect(_OneConnection):
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        return _module(lambda *given, **named: ReplayConnection())


registry.register("sqlite.record", "bench.replay", "RecordDialect")
registry.register("sqlite.replay", "bench.replay", "ReplayDialect")
