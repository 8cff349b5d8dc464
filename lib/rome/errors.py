"""Every error ROME raises: PEP 249's tree, with a leaf for each next action.

The message of a database error begins with its SQLSTATE in brackets (ISO/IEC 9075, class tables as
PostgreSQL Appendix A lists them), because callers such as oslo.db map errors by message.

    Error
    ├── InterfaceError            the caller misused the DBAPI                   → mend the call
    └── DatabaseError
        ├── DataError             22xxx  a value does not fit                    → mend the value
        ├── IntegrityError        23xxx
        │   ├── NotNullViolation      23502                                      → give a value
        │   ├── ForeignKeyViolation   23503                                      → mend the reference
        │   ├── UniqueViolation       23505                                      → the row exists
        │   └── CheckViolation        23514                                      → mend the value
        ├── OperationalError
        │   ├── Conflict          40001  nothing was written                     → run the transaction again
        │   ├── Unavailable       08006  nothing was written, store out of reach → later
        │   ├── OutcomeUnknown    08007  a reply was lost                        → ask with the mark
        │   ├── StoreFull         53100  nothing was written, no room            → make room
        │   ├── ReadOnlyStore     25006  nothing was written                     → open it writable
        │   ├── Deadlock          40P01  nothing was written, transactions wait for each other → run it again
        │   ├── LockNotAvailable  55P03  another holds it, or it came too late   → later, or wait longer
        │   └── LeaseLost         55000  nothing was written, the lease had run out → take the lease again
        ├── ProgrammingError      42xxx  the SQL is wrong                        → mend the SQL
        │   ├── SyntaxError_          42601
        │   ├── UndefinedTable        42P01
        │   ├── UndefinedColumn       42703
        │   ├── UndefinedFunction     42883
        │   ├── UndefinedObject       42704  an index or a constraint
        │   ├── AmbiguousColumn       42702
        │   ├── DuplicateTable        42P07
        │   ├── DuplicateColumn       42701
        │   ├── DuplicateObject       42710
        │   ├── TypeMismatch          42804
        │   ├── GroupingError         42803
        │   └── InactiveTransaction   25P02  it failed before                    → roll back
        ├── NotSupportedError     0A000  ROME does not do this                   → write it otherwise
        └── InternalError         XX000  a defect of ROME                        → report it
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PREFIXED = re.compile(r"\[[0-9A-Z]{5}\] ")


class Warning(Exception):  # noqa: A001 - PEP 249 gives the name
    """Exception raised for important warnings (PEP 249)."""


class Error(Exception):
    """Base of every error that ROME raises."""


class InterfaceError(Error):
    """The DBAPI was used wrongly: a closed cursor, a bad URL, an unknown option."""


class DatabaseError(Error):
    """Base of the errors about the database; `str()` begins with `[SQLSTATE]`."""

    sqlstate = "58000"

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        if sqlstate is not None:
            self.sqlstate = sqlstate
        # An error that comes back from another process has its SQLSTATE in front already.
        super().__init__(message if _PREFIXED.match(message) else f"[{self.sqlstate}] {message}")


class DataError(DatabaseError):
    """A value does not fit its type, length or range, or a computation has no value."""

    sqlstate = "22000"


class OperationalError(DatabaseError):
    """The store, not the statement, is in the way."""

    sqlstate = "58030"


class IntegrityError(DatabaseError):
    """A constraint refuses the change.

    `table` and `columns` name where, `constraint` the constraint (None for an unnamed one) and `values` what
    was refused, in the order of `columns`.
    """

    sqlstate = "23000"

    def __init__(
        self,
        message: str,
        *,
        table: str = "",
        columns: tuple[str, ...] = (),
        constraint: str | None = None,
        values: tuple[object, ...] = (),
    ) -> None:
        super().__init__(message)
        self.table = table
        self.columns = columns
        self.constraint = constraint
        self.values = values


class InternalError(DatabaseError):
    """A promise between two parts of ROME is broken."""

    sqlstate = "XX000"


class ProgrammingError(DatabaseError):
    """The SQL text or its parameters are wrong."""

    sqlstate = "42000"


class NotSupportedError(DatabaseError):
    """Known SQL or an operation that ROME refuses rather than guess."""

    sqlstate = "0A000"


class NotNullViolation(IntegrityError):
    sqlstate = "23502"


class ForeignKeyViolation(IntegrityError):
    sqlstate = "23503"


class UniqueViolation(IntegrityError):
    sqlstate = "23505"


class CheckViolation(IntegrityError):
    sqlstate = "23514"


class Conflict(OperationalError):
    """What the transaction read has changed; nothing was written."""

    sqlstate = "40001"


class Unavailable(OperationalError):
    """The store is out of reach; nothing was written."""

    sqlstate = "08006"


class OutcomeUnknown(OperationalError):
    """The reply to a commit was lost; `mark` asks the store what became of it."""

    sqlstate = "08007"

    def __init__(self, message: str, *, mark: bytes = b"") -> None:
        super().__init__(message)
        self.mark = mark


class StoreFull(OperationalError):
    """No room is left; nothing was written."""

    sqlstate = "53100"


class ReadOnlyStore(OperationalError):
    """The store was opened, or lies on a file system, that cannot be written."""

    sqlstate = "25006"


class Deadlock(OperationalError):
    """Transactions waited for each other's locks in a circle, and this one gives way; nothing was written."""

    sqlstate = "40P01"


class LockNotAvailable(OperationalError):
    """Another holds the lock, and this request would not wait for it, or waited as long as it was allowed to."""

    sqlstate = "55P03"


class LeaseLost(OperationalError):
    """The lease that a transaction ran under was no longer held when its commit arrived; nothing was written."""

    sqlstate = "55000"


class SyntaxError_(ProgrammingError):
    sqlstate = "42601"


class UndefinedTable(ProgrammingError):
    sqlstate = "42P01"


class UndefinedColumn(ProgrammingError):
    sqlstate = "42703"


class UndefinedFunction(ProgrammingError):
    sqlstate = "42883"


class UndefinedObject(ProgrammingError):
    """No such index or constraint."""

    sqlstate = "42704"


class AmbiguousColumn(ProgrammingError):
    sqlstate = "42702"


class DuplicateTable(ProgrammingError):
    sqlstate = "42P07"


class DuplicateColumn(ProgrammingError):
    sqlstate = "42701"


class DuplicateObject(ProgrammingError):
    sqlstate = "42710"


class TypeMismatch(ProgrammingError):
    sqlstate = "42804"


class GroupingError(ProgrammingError):
    sqlstate = "42803"


class InactiveTransaction(ProgrammingError):
    """The transaction met a conflict earlier; only ROLLBACK is taken."""

    sqlstate = "25P02"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in an SQL text: `line` and `column` count from 1."""

    sql: str
    line: int
    column: int

    @classmethod
    def at(cls, sql: str, offset: int) -> Place:
        """The place `offset` characters (from 0) into `sql`."""
        before = sql[:offset]
        return cls(sql, before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)

    def describe(self, message: str) -> str:
        """`message`, the line it concerns (cut to 100 characters) and a caret below the column."""
        lines = self.sql.split("\n")
        text = lines[self.line - 1] if self.line <= len(lines) else ""
        start = max(0, self.column - 61)
        window = text[start : start + 100]
        caret = " " * (self.column - 1 - start) + "^"
        return f"{message} (line {self.line}, column {self.column})\n  {window}\n  {caret}"
