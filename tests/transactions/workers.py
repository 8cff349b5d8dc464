"""What the processes of these tests do. Each function takes a store's URL, its own number and how many there are.

A refused transaction is run again from its beginning, as an application does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from typing import TypeVar

from rome import dbapi
from rome.errors import Conflict, ProgrammingError, UniqueViolation
from tests.transactions.speaker import say

T = TypeVar("T")

ACCOUNTS = 3
OPENING = 100
TRANSFERS = 50
INCREMENTS = 100
NAMES = 60
SHIFTS = 60
TIES = 60
WRITES = 60
DEFINITIONS = (
    "CREATE INDEX written_a ON written (a)",
    "CREATE UNIQUE INDEX written_ab ON written (a, b)",
    "ALTER TABLE written ADD COLUMN c INTEGER DEFAULT 3",
    "DROP INDEX written_a ON written",
    "ALTER TABLE written RENAME COLUMN c TO d",
    "ALTER TABLE written ALTER COLUMN a TYPE BIGINT",
    "DROP INDEX written_ab ON written",
    "ALTER TABLE written DROP COLUMN d",
)


_meeting: list[Barrier] = []


def prepare(barrier: Barrier) -> None:
    """Called once in each process: where they meet before they begin."""
    _meeting.append(barrier)


def together(work: Callable[[str, int, int], T], url: str, number: int, of: int) -> T:
    """`work`, begun when every process is there."""
    meet()
    return work(url, number, of)


def meet() -> None:
    """Go on when every process is here."""
    _meeting[0].wait(60)


def until_done(connection: dbapi.Connection, work: Callable[[], T]) -> T:
    """`work` and a commit, run again as often as they meet a conflict."""
    while True:
        try:
            done = work()
            connection.commit()
            return done
        except Conflict:
            connection.rollback()


def transfer(url: str, number: int, of: int) -> int:
    """Move money at random between few accounts, never below zero; how much this process moved to account 0.

    The sum is asked for in between: it must be what it always was.
    """
    draw = random.Random(number)
    moved = 0
    with dbapi.connect(url) as connection:
        for _ in range(TRANSFERS):
            source, target = draw.sample(range(ACCOUNTS), 2)
            amount = draw.randrange(1, 20)

            def move(source: int = source, target: int = target, amount: int = amount) -> int:
                ((total,),) = say(connection, "SELECT sum(balance) FROM accounts")
                assert total == ACCOUNTS * OPENING
                sql = "UPDATE accounts SET balance = balance - :amount WHERE id = :id AND balance >= :amount"
                if not say(connection, sql, {"amount": amount, "id": source}):
                    return 0
                if amount % 2:
                    values = {"a": amount, "id": target}
                    say(connection, "UPDATE accounts SET balance = balance + :a WHERE id = :id", values)
                else:  # read, reckon, write: what an ORM does
                    ((balance,),) = say(connection, "SELECT balance FROM accounts WHERE id = :id", {"id": target})
                    new = {"b": balance + amount, "id": target}
                    say(connection, "UPDATE accounts SET balance = :b WHERE id = :id", new)
                return amount * ((target == 0) - (source == 0))

            moved += until_done(connection, move)
    connection.close()
    return moved


def increment(url: str, number: int, of: int) -> int:
    """`SET n = n + 1`, again and again; how often."""
    connection = dbapi.connect(url)
    for _ in range(INCREMENTS):
        until_done(connection, lambda: say(connection, "UPDATE counters SET n = n + 1 WHERE id = 1"))
    connection.close()
    return INCREMENTS


def register(url: str, number: int, of: int) -> list[str]:
    """Claim every name of a list that all processes want, in some order; those that were got.

    One table keeps names unique by an index, the other only by what this function looks up first.
    """
    draw = random.Random(number)
    got: list[str] = []
    connection = dbapi.connect(url)
    for name in draw.sample([f"name {n}" for n in range(NAMES)], NAMES):

        def claim(name: str = name) -> bool:
            values = {"name": name, "owner": number}
            if say(connection, "SELECT 1 FROM looked_up WHERE name = :name", {"name": name}):
                return False
            say(connection, "INSERT INTO looked_up (name, owner) VALUES (:name, :owner)", values)
            try:
                say(connection, "INSERT INTO constrained (name, owner) VALUES (:name, :owner)", values)
            except UniqueViolation:
                return False
            return True

        if until_done(connection, claim):
            got.append(name)
    connection.close()
    return got


def leave_duty(url: str, number: int, of: int) -> int:
    """Of the two on call in each shift, each leaves if the other one stays; how many shifts this one left."""
    left = 0
    connection = dbapi.connect(url)
    for shift in range(SHIFTS):

        def leave(shift: int = shift) -> int:
            sql = "SELECT count(*) FROM on_call WHERE shift = :shift AND present"
            ((present,),) = say(connection, sql, {"shift": shift})
            if present < 2:
                return 0
            sql = "UPDATE on_call SET present = FALSE WHERE shift = :shift AND doctor = :doctor AND present"
            return int(say(connection, sql, {"shift": shift, "doctor": number % 2}))

        left += until_done(connection, leave)
    connection.close()
    return left


def tie_and_cut(url: str, number: int, of: int) -> None:
    """Children are tied to parents that others delete: a parent goes only without children, or takes them along."""
    draw = random.Random(number)
    connection = dbapi.connect(url)
    for _ in range(TIES):
        parent = {"id": draw.randrange(4)}
        sql = draw.choice(
            (
                "INSERT INTO children (parent) SELECT id FROM parents WHERE id = :id",
                "DELETE FROM children WHERE parent = :id",
                "DELETE FROM parents WHERE id = :id AND NOT EXISTS (SELECT 1 FROM children WHERE parent = :id)",
                "DELETE FROM followed WHERE id = :id",
                "INSERT INTO followers (parent) SELECT id FROM followed WHERE id = :id",
                "INSERT INTO parents (id) SELECT 0 + :id WHERE NOT EXISTS (SELECT 1 FROM parents WHERE id = :id)",
                "INSERT INTO followed (id) SELECT 0 + :id WHERE NOT EXISTS (SELECT 1 FROM followed WHERE id = :id)",
            )
        )
        until_done(connection, lambda sql=sql, parent=parent: say(connection, sql, parent))  # type: ignore[misc]
    connection.close()


def write_while_altered(url: str, number: int, of: int) -> int:
    """The first process changes the schema again and again while the others write; how many changes were made.

    The others look through whatever index there is, and name no column that may be gone.
    """
    draw = random.Random(number)
    connection = dbapi.connect(url)
    done = 0
    if number == 0:
        for sql in DEFINITIONS * 2:
            try:
                until_done(connection, lambda sql=sql: say(connection, sql))  # type: ignore[misc]
                done += 1
            except (UniqueViolation, ProgrammingError):  # no UNIQUE index on rows that are alike, none to drop then
                connection.rollback()
        connection.close()
        return done
    for _ in range(WRITES):
        values = {"a": draw.randrange(40), "b": draw.randrange(10), "id": draw.randrange(200)}
        sql = draw.choice(
            (
                "INSERT INTO written (a, b) VALUES (:a, :b)",
                "INSERT INTO written (a, b) VALUES (:a, :b)",
                "UPDATE written SET a = :a WHERE id = :id",
                "UPDATE written SET b = b + 1 WHERE a = :a",
                "DELETE FROM written WHERE id = :id",
            )
        )
        named = {name: value for name, value in values.items() if f":{name}" in sql}

        def write(sql: str = sql, named: dict[str, int] = named, a: int = values["a"]) -> None:
            found = say(connection, "SELECT id FROM written WHERE a = :a ORDER BY id", {"a": a})
            walked = say(connection, "SELECT id FROM written WHERE a + 0 = :a ORDER BY id", {"a": a})
            assert found == walked, (found, walked)  # by an index, if there is one, and by the rows
            say(connection, sql, named)

        try:
            until_done(connection, write)
        except UniqueViolation:
            connection.rollback()
    connection.close()
    return done
