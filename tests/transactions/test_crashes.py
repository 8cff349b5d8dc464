"""Processes killed with SIGKILL while they commit SQL: nothing acknowledged is lost, nothing is half there."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import pytest

from rome import dbapi
from rome.errors import Conflict, DuplicateColumn, UndefinedColumn
from tests.transactions.speaker import Connect, ask, problems, say, say_all

FORK = multiprocessing.get_context("fork")
WRITERS = 2
COMMITS = 200
KILLS = 24

SCHEMA = (
    "CREATE TABLE orders (id VARCHAR(40) PRIMARY KEY, writer INTEGER, generation INTEGER, state VARCHAR(10), "
    "note VARCHAR(1000), UNIQUE (writer, generation))",
    "CREATE INDEX orders_state ON orders (state, writer)",
    "CREATE TABLE lines (id INTEGER PRIMARY KEY AUTOINCREMENT, order_id VARCHAR(40) NOT NULL "
    "REFERENCES orders (id) ON DELETE CASCADE, place INTEGER, amount INTEGER, UNIQUE (order_id, place))",
    "CREATE INDEX lines_amount ON lines (amount)",
    "CREATE TABLE tags (order_id VARCHAR(40) REFERENCES orders (id), tag VARCHAR(600), PRIMARY KEY (order_id, tag))",
    "CREATE TABLE sums (writer INTEGER PRIMARY KEY, generation INTEGER, lines INTEGER, amount INTEGER)",
)


def one_transaction(connection: dbapi.Connection, writer: int, generation: int, draw: random.Random) -> None:
    """A new order with its lines and tags, changes to the last one, the end of an older one, and the sums of it all."""
    name = f"order {writer} {generation}"
    values = {"id": name, "writer": writer, "generation": generation, "note": "n" * draw.randrange(1000)}
    say(connection, "INSERT INTO orders VALUES (:id, :writer, :generation, 'new', :note)", values)
    for place in range(draw.randrange(1, 5)):
        amount = {"id": name, "place": place, "amount": draw.randrange(100)}
        say(connection, "INSERT INTO lines (order_id, place, amount) VALUES (:id, :place, :amount)", amount)
    for tag in ("a", "long " + "t" * 590):
        say(connection, "INSERT INTO tags VALUES (?, ?)", (name, tag))
    previous = {"id": f"order {writer} {generation - 1}"}
    say(connection, "UPDATE orders SET state = 'old', note = 'n' WHERE id = :id", previous)
    say(connection, "UPDATE lines SET amount = amount + 1 WHERE order_id = :id", previous)
    gone = {"id": f"order {writer} {generation - 3}"}
    say(connection, "DELETE FROM tags WHERE order_id = :id", gone)
    say(connection, "DELETE FROM orders WHERE id = :id", gone)
    ((lines, amount_),) = say(
        connection,
        "SELECT count(*), coalesce(sum(amount), 0) FROM lines JOIN orders ON orders.id = order_id WHERE writer = :w",
        {"w": writer},
    )
    new = {"w": writer, "g": generation, "l": lines, "a": amount_}
    say(connection, "UPDATE sums SET generation = :g, lines = :l, amount = :a WHERE writer = :w", new)


def write_until_killed(url: str, writer: int, acknowledged: Pipe) -> None:
    """Write generation after generation.

    The last commit of a process that was killed may come to light only when the next one writes, as a conflict.
    """
    connection = dbapi.connect(url)
    draw = random.Random(writer)
    while True:
        try:
            ((generation,),) = say(connection, "SELECT generation FROM sums WHERE writer = ?", (writer,))
            one_transaction(connection, writer, generation + 1, draw)
            connection.commit()
            acknowledged.send(generation + 1)
        except Conflict:
            connection.rollback()


def alter_until_killed(url: str, writer: int, acknowledged: Pipe) -> None:
    """Make and drop an index and a column, again and again; each is one transaction."""
    connection = dbapi.connect(url)
    done = 0
    while True:
        for sql in (
            "CREATE INDEX IF NOT EXISTS orders_note ON orders (note)",
            "ALTER TABLE orders ADD COLUMN more INTEGER DEFAULT 7",
            "DROP INDEX IF EXISTS orders_note ON orders",
            "ALTER TABLE orders DROP COLUMN more",
        ):
            try:
                say(connection, sql)
                connection.commit()
            except (Conflict, DuplicateColumn, UndefinedColumn):  # what the last process did
                connection.rollback()
            done += 1
            acknowledged.send(done)


def lives(
    url: str, work: Callable[[str, int, Pipe], None], chance: random.Random, writers: int, longest_s: float
) -> list[int]:
    """Let processes work for a random time from their first commit on, then kill them; what each acknowledged last."""
    started = []
    for writer in range(writers):
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=work, args=(url, writer, sender), daemon=True)
        process.start()
        sender.close()
        started.append((process, receiver))
    for process, receiver in started:
        assert receiver.poll(20), "a new process is held up by one that was killed"
        time.sleep(chance.random() * longest_s)
        os.kill(process.pid or 0, signal.SIGKILL)
    last = []
    for process, receiver in started:
        process.join(20)
        assert process.exitcode == -signal.SIGKILL
        heard = 0
        try:
            while True:
                heard = receiver.recv()
        except EOFError:
            receiver.close()
        last.append(heard)
    return last


def assert_whole(connection: dbapi.Connection, writer: int, acknowledged: int) -> int:
    """The newest generation, which is the acknowledged one or the next, is there with all that belongs to it."""
    ((generation, lines, amount),) = ask(
        connection, "SELECT generation, lines, amount FROM sums WHERE writer = ?", (writer,)
    )
    assert generation in (acknowledged, acknowledged + 1)
    expected = [n for n in range(max(1, generation - 2), generation + 1)]
    orders = ask(connection, "SELECT generation, state FROM orders WHERE writer = ? ORDER BY generation", (writer,))
    assert orders == [(n, "new" if n == generation else "old") for n in expected]
    by_index = "SELECT generation FROM orders WHERE state = 'new' AND writer = ?"
    assert ask(connection, by_index, (writer,)) == [(generation,)]
    found = ask(
        connection,
        "SELECT count(*), sum(amount) FROM lines WHERE order_id IN (SELECT id FROM orders WHERE writer = ?)",
        (writer,),
    )
    assert found == [(lines, amount)]
    tags = "SELECT count(*) FROM tags JOIN orders ON orders.id = order_id WHERE writer = ?"
    assert ask(connection, tags, (writer,)) == [(2 * len(expected),)]
    return int(generation)


@pytest.mark.parametrize("sync", ["none", "full"])
def test_killed_writers_lose_nothing_acknowledged(tmp_path: Path, connect: Connect, sync: str) -> None:
    url = f"rome+lmdb:///{tmp_path}/store?sync={sync}"
    connection = connect(url)
    say_all(connection, *SCHEMA)
    for writer in range(WRITERS):
        say(connection, "INSERT INTO sums VALUES (?, 0, 0, 0)", (writer,))
    connection.commit()
    chance = random.Random(sync)
    generations = [0] * WRITERS
    kills = 0
    while sum(generations) < COMMITS or kills < KILLS:
        last = lives(url, write_until_killed, chance, WRITERS, 0.1)
        kills += WRITERS
        for writer in range(WRITERS):
            generations[writer] = assert_whole(connection, writer, max(generations[writer], last[writer]))
        assert problems(connection) == []


def test_killed_changes_of_the_schema_are_whole_or_absent(lmdb_url: str, connect: Connect) -> None:
    connection = connect(lmdb_url)
    say_all(connection, *SCHEMA)
    for number in range(150):
        say(connection, "INSERT INTO orders VALUES (?, 0, ?, 'new', ?)", (f"o{number}", number, f"note {number}"))
    connection.commit()
    chance = random.Random(7)
    for _ in range(8):
        lives(lmdb_url, alter_until_killed, chance, 1, 0.1)
        assert problems(connection) == []
        assert ask(connection, "SELECT id FROM orders WHERE note = 'note 77'") == [("o77",)]
        (row,) = ask(connection, "SELECT * FROM orders WHERE id = 'o1'")
        assert row in (("o1", 0, 1, "new", "note 1"), ("o1", 0, 1, "new", "note 1", 7))
