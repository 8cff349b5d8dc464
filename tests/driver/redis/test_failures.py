"""Every way in which the client fails has one error of ours, and every refusal of a server the right class."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from rome.config import parse
from rome.driver.api import Scan
from rome.driver.open import open_store
from rome.driver.redis.failures import CLASSES, CODES, failure
from rome.errors import (
    DatabaseError,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ReadOnlyStore,
    StoreFull,
    Unavailable,
)
from rome.testing.driver_life import value_at
from tests.servers.redis import FORGETFUL, RedisServer, Sentinel, free_port

servers = pytest.mark.servers


def client_exceptions() -> set[type[Exception]]:
    """Every exception class that the client library defines for its users."""
    for module in pkgutil.iter_modules(redis.__path__, "redis."):
        with contextlib.suppress(ImportError):  # a part with an optional dependency
            importlib.import_module(module.name)
    pending: list[type[Exception]] = [redis.RedisError]
    pending += [
        each for each in vars(redis.exceptions).values() if isinstance(each, type) and issubclass(each, Exception)
    ]
    found: set[type[Exception]] = set()
    while pending:
        kind = pending.pop()
        if kind not in found:
            found.add(kind)
            pending += kind.__subclasses__()
    return {kind for kind in found if kind.__module__.split(".")[0] == "redis"}


def test_every_exception_class_of_the_client_is_in_the_table() -> None:
    known = {kind.__name__ for kind in client_exceptions()}
    assert len(known) > 30
    assert sorted(known - CLASSES.keys()) == []


def test_a_class_that_a_newer_client_adds_means_what_its_base_does() -> None:
    class Newer(redis.exceptions.ReadOnlyError):
        pass

    assert isinstance(failure(Newer("x"), "here"), ReadOnlyStore)


def test_every_error_begins_with_its_sqlstate_and_names_the_place() -> None:
    for kind in (redis.ConnectionError, redis.TimeoutError, redis.exceptions.OutOfMemoryError):
        assert str(failure(kind("why"), "the place")).startswith(f"[{failure(kind('why'), '').sqlstate}] the place: ")
    assert isinstance(failure(redis.ResponseError("MISCONF Errors writing"), "here"), CODES["MISCONF"].kind)


@contextlib.contextmanager
def refused(kind: type[Exception], words: str, sqlstate: str = "") -> Iterator[None]:
    """What stands in it must raise exactly `kind`, in one line that holds `words`."""
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    if sqlstate:
        assert isinstance(caught.value, DatabaseError)
        assert caught.value.sqlstate == sqlstate


def opened(url: str) -> None:
    open_store(parse(url)).close()


@servers
class TestLogin:
    def test_a_wrong_password_a_missing_one_and_missing_rights_are_told_apart(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", "--requirepass", "right") as server:
            open_as = f"rome+redis://{{}}127.0.0.1:{server.port}/glance".format
            opened(open_as(":right@"))
            with refused(OperationalError, "refuses the user or the password", "28P01"):
                opened(open_as(":wrong@"))
            with refused(OperationalError, "refuses the user or the password", "28P01"):
                opened(open_as("nobody:right@"))
            with refused(OperationalError, "wants a password", "28000"):
                opened(open_as(""))
            client = redis.Redis(port=server.port, password="right")
            client.execute_command("ACL SETUSER reader on >secret ~rome:* +@read +info +hello +client")
            with refused(OperationalError, "does not let this user", "42501"):
                driver = open_store(parse(open_as("reader:secret@")))
                driver.commit((), [(b"a", b"1")])


@servers
class TestState:
    """What a server can be, beside ready."""

    def test_a_full_server_can_be_read_and_cleared_and_takes_deletions_only(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis") as server:
            driver = open_store(parse(server.url("glance")))
            driver.commit((), [(b"a", b"1"), (b"b", b"1")])
            server.client().config_set("maxmemory", 1)
            with refused(StoreFull, "maxmemory", "53100"):
                driver.commit((), [(b"a", b"2")])
            with refused(StoreFull, "maxmemory", "53100"):
                driver.increment(b"c", 1)
            assert value_at(driver, b"a") == b"1"
            driver.commit((), [(b"a", None)], b"mark" * 4)
            assert driver.outcome(b"mark" * 4) is not None
            assert driver.outcome(b"none" * 4) is None
            driver.clear(b"")
            assert value_at(driver, b"b") is None
            driver.close()

    def test_a_server_that_cannot_write_to_its_disk_takes_no_commit(self, tmp_path: Path) -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        with RedisServer(tmp_path / "redis", *FORGETFUL, "--dir", str(gone), "--save", "3600 1") as server:
            driver = open_store(parse(server.url("glance", retries=0)))
            gone.rmdir()
            client = server.client()
            client.bgsave()
            while client.info("persistence")["rdb_bgsave_in_progress"]:
                pass
            with refused(Unavailable, "cannot write to its disk", "08006"):
                driver.commit((), [(b"a", b"2")])
            assert value_at(driver, b"a") is None
            driver.close()

    def test_a_server_that_wants_more_replicas_takes_no_commit(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis") as server:
            driver = open_store(parse(server.url("glance", retries=0)))
            server.client().config_set("min-replicas-to-write", 1)
            with refused(Unavailable, "fewer replicas", "08006"):
                driver.commit((), [(b"a", b"2")])
            assert value_at(driver, b"a") is None
            driver.close()

    def test_a_server_busy_with_a_script_is_unavailable_and_then_goes_on(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", "--busy-reply-threshold", "20") as server:
            driver = open_store(parse(server.url("glance", retries=0)))
            client = server.client()

            def keep_busy() -> None:
                with contextlib.suppress(redis.ResponseError):
                    client.eval("while true do end", 0)

            busy = threading.Thread(target=keep_busy)
            busy.start()
            with refused(Unavailable, "busy", "08006"):
                while True:
                    driver.read([b"a"])
            with refused(Unavailable, "busy", "08006"):
                driver.commit((), [(b"a", b"1")])
            server.client().script_kill()
            busy.join()
            assert value_at(driver, b"a") is None
            driver.close()

    def test_a_server_that_still_reads_its_data_is_unavailable(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", "--appendonly", "yes") as server:
            driver = open_store(parse(server.url("glance", retries=0)))
            for _ in range(2000):  # 5 commands each; the loading server looks up from its work every 1024
                driver.commit((), [(b"a", b"")])
            driver.close()
        slow = RedisServer(tmp_path / "redis", "--appendonly", "yes", "--key-load-delay", "300")
        slow.start(loaded=False)
        try:
            with refused(Unavailable, "still reading its data", "08006"):
                opened(slow.url("glance", retries=0))
        finally:
            slow.kill()

    def test_a_key_of_another_type_is_named_as_a_change_by_something_else(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis") as server:
            driver = open_store(parse(server.url("glance")))
            driver.commit((), [(b"a", b"1")])
            client = server.client()
            client.hdel("rome:{glance}:cells", b"a")
            with refused(OperationalError, "something else"):
                driver.read((), [Scan(b"", b"z", dereference=True)])
            client.delete("rome:{glance}:cells")
            client.set("rome:{glance}:cells", "x")
            with refused(OperationalError, "something else"):
                driver.read([b"a"])
            driver.close()


@servers
class TestKind:
    """Servers that are no place for a store."""

    def test_a_replica_is_refused_when_it_is_opened_and_when_it_became_one(self, tmp_path: Path) -> None:
        with (
            RedisServer(tmp_path / "primary") as primary,
            RedisServer(tmp_path / "replica", "--replicaof", f"127.0.0.1 {primary.port}") as replica,
        ):
            with refused(ReadOnlyStore, "is a replica", "25006"):
                opened(replica.url("glance"))
            replica.client().execute_command("REPLICAOF NO ONE")
            driver = open_store(parse(replica.url("glance")))
            driver.commit((), [(b"a", b"1")])
            replica.client().execute_command("REPLICAOF", "127.0.0.1", str(primary.port))
            with refused(ReadOnlyStore, "is a replica", "25006"):
                driver.commit((), [(b"a", b"2")])
            with refused(ReadOnlyStore, "is a replica", "25006"):
                driver.read([b"a"])
            driver.close()

    def test_a_node_of_a_cluster_is_refused(self, tmp_path: Path) -> None:
        with (
            RedisServer(tmp_path / "redis", "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server,
            refused(NotSupportedError, "Redis Cluster", "0A000"),
        ):
            opened(server.url("glance"))

    def test_a_sentinel_is_refused_with_the_url_that_asks_it(self, tmp_path: Path) -> None:
        with (
            RedisServer(tmp_path / "redis") as server,
            Sentinel(tmp_path / "sentinel", server) as sentinel,
            refused(InterfaceError, "sentinel=name&hosts="),
        ):
            opened(sentinel.url("glance"))

    def test_no_server_and_one_of_another_kind_are_unavailable(self, tmp_path: Path) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        place = f"rome+redis://127.0.0.1:{port}/glance?retries=1&connect_timeout_ms=500&read_timeout_ms=500"

        def answer() -> None:
            for _ in range(2):
                client, _ = listener.accept()
                client.recv(100)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                client.close()

        web = threading.Thread(target=answer)
        web.start()
        with refused(Unavailable, "protocol", "08006"):
            opened(place)
        web.join()
        with refused(Unavailable, "did not answer in time", "08006"):
            opened(place)
        listener.close()
        with refused(Unavailable, "cannot be reached", "08006"):
            opened(place)
        with refused(Unavailable, "cannot be reached", "08006"):
            opened(f"rome+redis:///glance?unix_socket={tmp_path}/none")
