"""The ten anomalies of the Hermitage collection (github.com/ept/hermitage) in SQL, and a judge of what became of them.

A script gives two or three transactions. Whatever the order in which their statements come, what the committed ones
were told and what they left must be what some serial order of them gives. A transaction that was refused with [40001]
must have been told nothing that it could not have been told alone, either.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any, NamedTuple

from rome import dbapi
from rome.errors import Conflict, DatabaseError
from tests.transactions.speaker import ask, say, say_all

ORDERS = 120  # of one script, at most: all orders of two transactions of four statements are 70

GET_1 = "SELECT value FROM test WHERE id = 1"
GET_2 = "SELECT value FROM test WHERE id = 2"
ALL = "SELECT id, value FROM test ORDER BY id"
THIRDS = "SELECT id, value FROM test WHERE value % 3 = 0"
FIFTHS = "SELECT id FROM test WHERE value % 5 = 0"
THIRTIES = "SELECT id FROM test WHERE value = 30"

SCRIPTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "G0": (
        ("UPDATE test SET value = 11 WHERE id = 1", "UPDATE test SET value = 21 WHERE id = 2", "COMMIT"),
        ("UPDATE test SET value = 12 WHERE id = 1", "UPDATE test SET value = 22 WHERE id = 2", "COMMIT"),
    ),
    "G1a": (
        ("UPDATE test SET value = 101 WHERE id = 1", "ROLLBACK"),
        (ALL, ALL, "COMMIT"),
    ),
    "G1b": (
        ("UPDATE test SET value = 101 WHERE id = 1", "UPDATE test SET value = 11 WHERE id = 1", "COMMIT"),
        (ALL, ALL, "COMMIT"),
    ),
    "G1c": (
        ("UPDATE test SET value = 11 WHERE id = 1", GET_2, "COMMIT"),
        ("UPDATE test SET value = 22 WHERE id = 2", GET_1, "COMMIT"),
    ),
    "OTV": (
        ("UPDATE test SET value = 11 WHERE id = 1", "UPDATE test SET value = 19 WHERE id = 2", "COMMIT"),
        ("UPDATE test SET value = 12 WHERE id = 1", "UPDATE test SET value = 18 WHERE id = 2", "COMMIT"),
        (GET_1, GET_2, GET_2, GET_1, "COMMIT"),
    ),
    "PMP": (
        (THIRTIES, THIRDS, "COMMIT"),
        ("INSERT INTO test (id, value) VALUES (3, 30)", "COMMIT"),
    ),
    "PMP for a write": (
        ("UPDATE test SET value = value + 10", "COMMIT"),
        (ALL, "DELETE FROM test WHERE value = 20", ALL, "COMMIT"),
    ),
    "P4": (
        (GET_1, "UPDATE test SET value = 11 WHERE id = 1", "COMMIT"),
        (GET_1, "UPDATE test SET value = 12 WHERE id = 1", "COMMIT"),
    ),
    "G-single": (
        (GET_1, GET_2, "COMMIT"),
        (GET_1, GET_2, "UPDATE test SET value = 12 WHERE id = 1", "UPDATE test SET value = 18 WHERE id = 2", "COMMIT"),
    ),
    "G-single on predicates": (
        (FIFTHS, THIRDS, "COMMIT"),
        ("UPDATE test SET value = 12 WHERE value = 10", "COMMIT"),
    ),
    "G-single with a write": (
        (GET_1, "DELETE FROM test WHERE value = 20", "COMMIT"),
        (ALL, "UPDATE test SET value = 12 WHERE id = 1", "UPDATE test SET value = 18 WHERE id = 2", "COMMIT"),
    ),
    "G2-item": (
        (GET_1, GET_2, "UPDATE test SET value = 11 WHERE id = 1", "COMMIT"),
        (GET_1, GET_2, "UPDATE test SET value = 21 WHERE id = 2", "COMMIT"),
    ),
    "G2": (
        (THIRDS, "INSERT INTO test (id, value) VALUES (3, 30)", "COMMIT"),
        (THIRDS, "INSERT INTO test (id, value) VALUES (4, 42)", "COMMIT"),
    ),
    "G2 through an index": (
        (THIRTIES, "INSERT INTO test (id, value) VALUES (3, 30)", "COMMIT"),
        (THIRTIES, "INSERT INTO test (id, value) VALUES (4, 30)", "COMMIT"),
    ),
    "G2 with two edges": (
        (ALL, "UPDATE test SET value = 0 WHERE id = 1", "COMMIT"),
        ("UPDATE test SET value = value + 5 WHERE id = 2", "COMMIT"),
        (ALL, "COMMIT"),
    ),
}


Script = Sequence[Sequence[str]]
RESET = ("DELETE FROM test", "INSERT INTO test (id, value) VALUES (1, 10), (2, 20)")


class Played(NamedTuple):
    """What each transaction was told, which committed, and the rows afterwards; `order` is of transactions."""

    order: tuple[int, ...]
    told: list[list[Any]]
    committed: frozenset[int]
    rows: list[Any]


def orders(script: Script, chance: random.Random, most: int = ORDERS) -> Iterator[tuple[int, ...]]:
    """Orders of the statements, as numbers of transactions: the serial ones, then at most `most` others, none twice."""
    statements = [number for number, transaction in enumerate(script) for _ in transaction]
    known = {tuple(n for n in order for _ in script[n]) for order in permutations(range(len(script)))}
    yield from known
    for _ in range(most):
        order = tuple(chance.sample(statements, len(statements)))
        if order not in known:
            known.add(order)
            yield order


def play(
    connections: list[dbapi.Connection],
    script: Script,
    order: Sequence[int],
    reset: Sequence[str] = RESET,
    look: Sequence[str] = (ALL,),
) -> Played:
    """Say the script in the given order of transactions; the statements of one that was refused are left out.

    `reset` prepares the tables, `look` shows what is there in the end. An error is an answer: its SQLSTATE.
    """
    say_all(connections[0], *reset)
    ahead = [iter(transaction) for transaction in script]
    told: list[list[Any]] = [[] for _ in script]
    refused, committed = set(), set()
    for number in order:
        sql = next(ahead[number])
        if number in refused:
            continue
        try:
            answer = say(connections[number], sql)
        except Conflict as conflict:
            assert str(conflict).startswith("[40001] ")
            connections[number].rollback()
            refused.add(number)
        except DatabaseError as error:
            told[number].append(error.sqlstate)
        else:
            if sql == "COMMIT":
                committed.add(number)
            elif sql != "ROLLBACK":
                told[number].append(answer)
    return Played(tuple(order), told, frozenset(committed), [_seen(connections[0], sql) for sql in look])


def _seen(connection: dbapi.Connection, sql: str) -> Any:
    """The rows there are, or the SQLSTATE that says there can be none."""
    try:
        return ask(connection, sql)
    except DatabaseError as error:
        return error.sqlstate


def anomalies(
    connections: list[dbapi.Connection],
    script: Script,
    chance: random.Random,
    most: int = ORDERS,
    reset: Sequence[str] = RESET,
    look: Sequence[str] = (ALL,),
) -> list[Played]:
    """The orders of a script, of those that were tried, that ended as no serial order can."""
    serial = {
        serially: play(connections, script, [number for number in serially for _ in script[number]], reset, look)
        for count in range(len(script) + 1)
        for serially in permutations(range(len(script)), count)
    }
    tried = [play(connections, script, order, reset, look) for order in orders(script, chance, most)]
    return [played for played in tried if not _is_serial(played, serial)]


def play_all(connections: list[dbapi.Connection], name: str, most: int = ORDERS) -> Iterator[Played]:
    """Every order (or about `most` of them) of the script called `name`."""
    script = SCRIPTS[name]
    for order in orders(script, random.Random(name), most):
        yield play(connections, script, order)


def _is_serial(played: Played, serial: dict[tuple[int, ...], Played]) -> bool:
    """Whether some order of the committed ones alone explains them, and one before each other what that was told."""
    explained = any(
        set(before) == played.committed
        and alone.rows == played.rows
        and all(alone.told[number] == played.told[number] for number in before)
        for before, alone in serial.items()
    )
    return explained and all(
        any(
            before[-1:] == (number,)
            and set(before) <= {*played.committed, number}
            and told == alone.told[number][: len(told)]
            for before, alone in serial.items()
        )
        for number, told in enumerate(played.told)
        if number not in played.committed
    )


def make_table(connection: dbapi.Connection, indexed: bool) -> None:
    """The table of the scripts, with an index on its values or without."""
    say_all(connection, "CREATE TABLE test (id INTEGER PRIMARY KEY, value INTEGER)")
    if indexed:
        say_all(connection, "CREATE INDEX test_value ON test (value)")
