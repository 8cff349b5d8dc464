"""SQL in few words: what the tests of this folder say to a connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from rome import dbapi
from rome.errors import Conflict, Error, InactiveTransaction
from rome.testing.integrity import check

Parameters = Mapping[str, object] | Sequence[object]


Step = tuple[str, str, Parameters]
"""Who says it, "one" or "two", what, and with which parameters."""


class Connect(Protocol):
    def __call__(self, url: str, isolation_level: str = "SERIALIZABLE") -> dbapi.Connection: ...


def say(connection: dbapi.Connection, sql: str, parameters: Parameters = ()) -> Any:
    """The rows of a statement that gives rows, else its row count."""
    cursor = connection.cursor()
    cursor.execute(sql, parameters)
    return cursor.rowcount if cursor.description is None else cursor.fetchall()


def say_all(connection: dbapi.Connection, *statements: str) -> None:
    """Each statement in turn, then COMMIT."""
    for sql in statements:
        say(connection, sql)
    connection.commit()


def ask(connection: dbapi.Connection, sql: str, parameters: Parameters = ()) -> Any:
    """As `say`, in a transaction of its own."""
    try:
        return say(connection, sql, parameters)
    finally:
        connection.rollback()


def problems(connection: dbapi.Connection) -> list[str]:
    """What is wrong with the store behind `connection`; [] for a sound database."""
    conversation = connection._opened()
    return check(conversation.database.driver, connection.url.namespace)


def off(url: str) -> str:
    """`url` without reading ahead."""
    return url + ("&" if "?" in url else "?") + "prefetch=0"


def told(connection: dbapi.Connection, sql: str, parameters: Parameters) -> object:
    """As `say`; of a refusal the error's name."""
    try:
        return say(connection, sql, parameters)
    except Error as error:
        return type(error).__name__


def ended(connection: dbapi.Connection) -> str:
    """COMMIT, "done" or "conflict"."""
    try:
        connection.commit()
        return "done"
    except (Conflict, InactiveTransaction):
        connection.rollback()
        return "conflict"


def played(
    one: dbapi.Connection, two: dbapi.Connection, steps: Sequence[Step], committed: Callable[[], None] = lambda: None
) -> list[object]:
    """What `one` was told in one transaction, `two` committing each of its steps meanwhile, and how that ended.

    `committed` is called after each commit of `two`.
    """
    answers: list[object] = []
    for who, sql, parameters in steps:
        if who == "one":
            answers.append(told(one, sql, parameters))
        else:
            told(two, sql, parameters)
            two.commit()
            committed()
    return [*answers, ended(one)]
