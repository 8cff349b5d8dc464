"""oslo.db: ROME's errors as the exceptions that OpenStack services wait for.

oslo.db keeps a registry of filters by dialect name, exception class and message. A message of ROME begins with its
SQLSTATE, so one pattern a class is enough; columns, values and names come from the error's own attributes. Without
oslo.db nothing is registered.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from sqlalchemy import exc as sqlalchemy_exc

from rome import errors

try:  # oslo.db is optional: it is there exactly when an OpenStack service is
    from oslo_db import exception as oslo_exception
    from oslo_db.sqlalchemy import exc_filters
except ImportError:
    exc_filters = None

NAME = "rome"


def _sqlstate(*states: str) -> str:
    """A pattern for the message of a SQLAlchemy exception that wraps a ROME error with one of `states`."""
    return rf"^\([^)]*\) \[(?:{'|'.join(states)})\] (?P<message>.*)"


def _duplicate(error: Any, match: re.Match[str], engine_name: str, is_disconnect: bool) -> NoReturn:
    original = error.orig
    value = "-".join(str(value) for value in original.values) or None
    raise oslo_exception.DBDuplicateEntry(list(original.columns), error, value)


def _reference(error: Any, match: re.Match[str], engine_name: str, is_disconnect: bool) -> NoReturn:
    original = error.orig
    key_table = re.search(r'references "([^"]+)"', match["message"])
    raise oslo_exception.DBReferenceError(
        original.table,
        original.constraint,
        ", ".join(original.columns) or None,
        key_table[1] if key_table else None,
        error,
    )


def _check(error: Any, match: re.Match[str], engine_name: str, is_disconnect: bool) -> NoReturn:
    raise oslo_exception.DBConstraintError(error.orig.table, error.orig.constraint, error)


def _deadlock(error: Any, match: re.Match[str], engine_name: str, is_disconnect: bool) -> NoReturn:
    raise oslo_exception.DBDeadlock(error)


def _lease_lost(error: Any, match: re.Match[str], engine_name: str, is_disconnect: bool) -> NoReturn:
    """No deadlock: who runs the transaction again without the lease does what the lease was there to prevent."""
    raise oslo_exception.DBError(error)


def _connection(error: Any, match: re.Match[str], engine_name: str, is_disconnect: bool) -> NoReturn:
    raise oslo_exception.DBConnectionError(error)


def _data(error: Any, match: re.Match[str], engine_name: str, is_disconnect: bool) -> NoReturn:
    raise oslo_exception.DBDataError(error)


def _no_table(error: Any, match: re.Match[str], engine_name: str, is_disconnect: bool) -> NoReturn:
    raise oslo_exception.DBNonExistentTable(_quoted(match["message"]), error)


def _no_object(error: Any, match: re.Match[str], engine_name: str, is_disconnect: bool) -> None:
    """Only constraints have an exception of their own; an index is left to the general one."""
    named = re.match(r'constraint "(?P<constraint>[^"]*)" of table "(?P<table>[^"]*)"', match["message"])
    if named:
        raise oslo_exception.DBNonExistentConstraint(named["table"], named["constraint"], error)


def _quoted(message: str) -> str:
    """The first name in double quotes."""
    named = re.search(r'"([^"]*)"', message)
    return named[1] if named else ""


FILTERS = (
    (sqlalchemy_exc.IntegrityError, (errors.UniqueViolation,), _duplicate),
    (sqlalchemy_exc.IntegrityError, (errors.ForeignKeyViolation,), _reference),
    (sqlalchemy_exc.IntegrityError, (errors.CheckViolation,), _check),
    # A wait that took too long counts as a deadlock, as oslo.db has it for MySQL's lock wait timeout.
    (sqlalchemy_exc.OperationalError, (errors.Conflict, errors.Deadlock, errors.LockNotAvailable), _deadlock),
    (sqlalchemy_exc.OperationalError, (errors.LeaseLost,), _lease_lost),
    (sqlalchemy_exc.OperationalError, (errors.Unavailable, errors.OutcomeUnknown), _connection),
    (sqlalchemy_exc.ProgrammingError, (errors.UndefinedTable,), _no_table),
    (sqlalchemy_exc.ProgrammingError, (errors.UndefinedObject,), _no_object),
)


def register() -> bool:
    """Register the filters with oslo.db; False when it is not installed."""
    if exc_filters is None:
        return False
    for kind, classes, receive in FILTERS:
        exc_filters.filters(NAME, kind, _sqlstate(*(each.sqlstate for each in classes)))(receive)
    exc_filters.filters(NAME, sqlalchemy_exc.DataError, _sqlstate(r"22\w{3}"))(_data)
    return True


REGISTERED = register()
