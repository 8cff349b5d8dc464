"""Redis replicas that take over: what is lost, what is not, and what a client was told of it.

Done by hand, in the order that shows it: Sentinel comes to the same now and then, on a busy machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rome import dbapi
from rome.errors import OutcomeUnknown
from tests.servers.redis import DURABLE, RedisServer
from tests.transactions.speaker import ask, say

pytestmark = pytest.mark.servers
TABLE = "CREATE TABLE tickets (name VARCHAR(10) PRIMARY KEY)"
ALL = "SELECT name FROM tickets ORDER BY name"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def servers(stack: ExitStack, directory: Path, replicas: int) -> list[RedisServer]:
    """A primary and its replicas, which have all that it has."""
    primary = stack.enter_context(RedisServer(directory / "primary", *DURABLE))
    following = ("--replicaof", f"127.0.0.1 {primary.port}")
    all_ = [primary]
    for number in range(replicas):
        all_.append(stack.enter_context(RedisServer(directory / f"replica {number}", *DURABLE, *following)))
    connection = connect(stack, primary, replicas, wait_ms=20_000)
    say(connection, TABLE)
    say(connection, "INSERT INTO tickets VALUES ('old')")
    connection.commit()
    return all_


def connect(stack: ExitStack, server: RedisServer, wait_replicas: int, wait_ms: int = 50) -> dbapi.Connection:
    connection = dbapi.connect(server.url("bank", wait_replicas=wait_replicas, wait_ms=wait_ms))
    stack.callback(connection.close)
    return connection


def part(replica: RedisServer) -> None:
    """It follows no one any more: what the others do does not reach it, and it would take commits."""
    replica.client().replicaof("NO", "ONE")


def follow(server: RedisServer, primary: RedisServer) -> None:
    server.client().replicaof("127.0.0.1", primary.port)


@pytest.mark.parametrize("wait_replicas", [1, 2])
def test_a_replica_that_did_not_confirm_takes_over_without_what_another_one_confirmed(
    stack: ExitStack, tmp_path: Path, wait_replicas: int
) -> None:
    """So `wait_replicas` is to be the number of all that can take over: then there is no such commit."""
    primary, _, behind = servers(stack, tmp_path, 2)
    part(behind)
    connection = connect(stack, primary, wait_replicas)
    say(connection, "INSERT INTO tickets VALUES ('new')")
    if wait_replicas == 1:
        connection.commit()
    else:
        with pytest.raises(OutcomeUnknown):
            connection.commit()
    primary.kill()
    assert ask(connect(stack, behind, 0), ALL) == [("old",)]


def test_what_was_only_read_between_two_failovers_may_be_undone_and_what_was_written_was_not_acknowledged(
    stack: ExitStack, tmp_path: Path
) -> None:
    """A commit of unknown outcome is found missing on the second primary, and is there when the first one is back."""
    first, second = servers(stack, tmp_path, 1)
    part(second)  # the first failover, of a primary that was only slow
    teller = connect(stack, first, 1)
    say(teller, "INSERT INTO tickets VALUES ('new')")
    with pytest.raises(OutcomeUnknown):
        teller.commit()

    teller = connect(stack, second, 1)
    assert ask(teller, ALL) == [("old",)]
    say(teller, "DELETE FROM tickets WHERE name = 'new'")
    teller.commit()  # it found nothing to write, so there was nothing to confirm
    say(teller, "DELETE FROM tickets WHERE name = 'old'")
    with pytest.raises(OutcomeUnknown):
        teller.commit()  # what is written is acknowledged only when the other server has it, too

    follow(second, first)  # the second failover, back to the server that never heard of the first
    assert ask(connect(stack, first, 1, wait_ms=20_000), ALL) == [("new",), ("old",)]
