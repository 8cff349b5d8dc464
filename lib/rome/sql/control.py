"""Statements that steer a transaction: BEGIN, COMMIT, ROLLBACK and savepoints. They never reach the parser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from rome.errors import Place, SyntaxError_


class Act(StrEnum):
    BEGIN = "BEGIN"
    COMMIT = "COMMIT"
    ROLLBACK = "ROLLBACK"
    SAVEPOINT = "SAVEPOINT"
    RELEASE = "RELEASE SAVEPOINT"
    ROLLBACK_TO = "ROLLBACK TO SAVEPOINT"
    ISOLATION = "SET TRANSACTION"
    LOCK_TIMEOUT = "SET lock_timeout"
    LOCAL_LOCK_TIMEOUT = "SET LOCAL lock_timeout"


@dataclass(frozen=True, slots=True)
class Control:
    """One such statement. `name` is the savepoint, or the isolation level in upper case for ISOLATION.

    `milliseconds` are those of a timeout; None for DEFAULT.
    """

    act: Act
    name: str | None = None
    milliseconds: int | None = None


# The first three letters of every such statement: all that is looked at of most others.
_BEGINNINGS = frozenset({"BEG", "STA", "COM", "END", "ROL", "SAV", "REL", "SET"})

_NAME = r"""(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^\W\d]\w*))"""
_LEVEL = r"ISOLATION\s+LEVEL\s+(?P<level>SERIALIZABLE|REPEATABLE\s+READ|READ\s+COMMITTED|READ\s+UNCOMMITTED)"
_UNITS_MS = {"": 1, "ms": 1, "s": 1000, "min": 60_000}
_AMOUNT = r"(?P<quote>'?)(?P<amount>\d{1,9})\s*(?P<unit>ms|s|min)?(?P=quote)"
_TIMEOUT = rf"LOCK_TIMEOUT\s*(?:=|\bTO\b)\s*(?:DEFAULT|{_AMOUNT})"
_FORMS = (
    (Act.BEGIN, r"BEGIN(?:\s+(?:TRANSACTION|WORK))?|START\s+TRANSACTION"),
    (Act.COMMIT, r"(?:COMMIT|END)(?:\s+(?:TRANSACTION|WORK))?"),
    (Act.ROLLBACK, r"ROLLBACK(?:\s+(?:TRANSACTION|WORK))?"),
    (Act.SAVEPOINT, rf"SAVEPOINT\s+{_NAME}"),
    (Act.RELEASE, rf"RELEASE\s+(?:SAVEPOINT\s+)?{_NAME}"),
    (Act.ROLLBACK_TO, rf"ROLLBACK(?:\s+(?:TRANSACTION|WORK))?\s+TO\s+(?:SAVEPOINT\s+)?{_NAME}"),
    (Act.ISOLATION, rf"SET\s+TRANSACTION\s+{_LEVEL}"),
    (Act.LOCK_TIMEOUT, rf"SET\s+(?:SESSION\s+)?{_TIMEOUT}"),
    (Act.LOCAL_LOCK_TIMEOUT, rf"SET\s+LOCAL\s+{_TIMEOUT}"),
)
_CONCURRENTLY = re.compile(r"\s*(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX\s+CONCURRENTLY\b", re.IGNORECASE)
_PATTERNS = tuple((act, re.compile(rf"\s*(?:{form})\s*;?\s*", re.IGNORECASE)) for act, form in _FORMS)
_WORDS = re.compile(
    r"\s*(?:BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|"
    r"SET\s+(?:TRANSACTION|(?:(?:SESSION|LOCAL)\s+)?LOCK_TIMEOUT))\b",
    re.IGNORECASE,
)


def control(sql: str) -> Control | None:
    """What `sql` does to the transaction; None for a statement that does nothing to it.

    SyntaxError_ for a text that begins as one of these statements and goes on as none of them. Comments are not looked
    for: SQLAlchemy and DBAPI users write none here.
    """
    beginning = sql[:3]
    if not beginning.isalpha():
        beginning = sql.lstrip()[:3]
    if beginning.upper() not in _BEGINNINGS or _WORDS.match(sql) is None:
        return None
    for act, pattern in _PATTERNS:
        found = pattern.fullmatch(sql)
        if found is not None:
            return Control(act, _name(found), _milliseconds(found))
    message = "after this word stands TRANSACTION, WORK, TO, a savepoint's name or ISOLATION LEVEL, or nothing"
    if "LOCK_TIMEOUT" in sql.upper():
        message = "write SET [SESSION | LOCAL] lock_timeout = 5000, '5s', '1min' or DEFAULT"
    raise SyntaxError_(Place.at(sql, len(sql) - len(sql.lstrip())).describe(message))


def is_several_transactions(sql: str) -> bool:
    """Whether `sql` is CREATE INDEX CONCURRENTLY or DROP INDEX CONCURRENTLY."""
    return _CONCURRENTLY.match(sql) is not None


def _milliseconds(found: re.Match[str]) -> int | None:
    groups = found.groupdict()
    if groups.get("amount") is None:
        return None
    return int(groups["amount"]) * _UNITS_MS[(groups["unit"] or "").lower()]


def _name(found: re.Match[str]) -> str | None:
    groups = found.groupdict()
    if groups.get("quoted") is not None:
        return groups["quoted"].replace('""', '"')
    if groups.get("level") is not None:
        return " ".join(groups["level"].upper().split())
    return groups.get("plain")
