"""The proxy does what the tests that use it believe it does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.servers.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that answers each message with it in capitals, and forgets nothing: see `heard`."""
    heard.clear()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(client: socket.socket) -> None:
        with client:
            while data := client.recv(1000):
                heard.append(data)
                client.sendall(data.upper())

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


heard: list[bytes] = []


def dial(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3)


def ask(line: socket.socket, message: bytes) -> bytes:
    line.sendall(message)
    return line.recv(1000)


def silent(line: socket.socket) -> bool:
    """Whether nothing comes, and the connection stays open."""
    try:
        return line.recv(1000) == b"never"
    except TimeoutError:
        return True


def wait_for(message: bytes) -> None:
    end = time.monotonic() + 10
    while message not in heard:
        assert time.monotonic() < end, heard
        time.sleep(0.005)


def test_messages_pass_both_ways_and_are_delayed_each_way(echo: int) -> None:
    with Proxy(echo) as proxy, dial(proxy) as line:
        assert ask(line, b"one") == b"ONE"
        proxy.delay_ms = 60
        started = time.monotonic()
        assert ask(line, b"two") == b"TWO"
        assert time.monotonic() - started >= 0.12


def test_a_reply_is_cut_after_so_many_bytes_and_its_connection_closed_once(echo: int) -> None:
    with Proxy(echo) as proxy:
        for size in range(5):
            with dial(proxy) as line:
                proxy.cut_replies_after = size
                assert ask(line, b"full") == b"FULL"[:size]
                if size:
                    assert line.recv(1000) == b""
        with dial(proxy) as line:
            assert ask(line, b"full") == b"FULL"


def test_a_reply_stops_after_so_many_bytes_and_its_connection_stays_open(echo: int) -> None:
    with Proxy(echo) as proxy:
        with dial(proxy) as line:
            proxy.stop_replies_after = 2
            assert ask(line, b"full") == b"FU"
            assert silent(line)
        with dial(proxy) as line:
            assert ask(line, b"full") == b"FULL"


@pytest.mark.parametrize(("way", "arrived"), [("drop_requests", False), ("drop_replies", True)])
def test_one_way_can_be_dead_while_the_other_lives(echo: int, way: str, arrived: bool) -> None:
    with Proxy(echo) as proxy, dial(proxy) as line:
        setattr(proxy, way, True)
        line.sendall(b"one")
        assert silent(line)
        assert (b"one" in heard) == arrived
        setattr(proxy, way, False)
        assert ask(line, b"two") == b"TWO"


def test_what_was_sent_into_a_partition_arrives_when_it_heals_even_if_no_one_waits_any_more(echo: int) -> None:
    with Proxy(echo) as proxy, dial(proxy) as waits:
        with dial(proxy) as gone:
            assert ask(waits, b"a") + ask(gone, b"b") == b"AB"
            proxy.partition()
            gone.sendall(b"gone")
        waits.sendall(b"waits")
        assert silent(waits)
        with dial(proxy) as newcomer:
            newcomer.sendall(b"new")
            assert silent(newcomer)
            assert heard == [b"a", b"b"]
            proxy.heal()
            assert waits.recv(1000) == b"WAITS"
            assert newcomer.recv(1000) == b"NEW"
        wait_for(b"gone")


def test_a_partition_that_heals_too_late_leaves_broken_connections_and_takes_new_ones(echo: int) -> None:
    with Proxy(echo) as proxy:
        with dial(proxy) as line:
            assert ask(line, b"old") == b"OLD"
            proxy.partition()
            line.sendall(b"lost")
            proxy.heal(lost=True)
            assert line.recv(1000) == b""
        with dial(proxy) as line:
            assert ask(line, b"new") == b"NEW"
