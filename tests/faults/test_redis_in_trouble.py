"""Every way in which a Redis server is no good: what a service with oslo.db is told, and that nothing is half-written.

What the driver says to each exception of its client stands in tests/driver/redis/test_failures.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from oslo_db import exception as oslo

from rome.driver.redis.server import FORMAT
from tests.faults.bank import open_bank
from tests.faults.trouble import (
    CONNECTION,
    PASSWORD,
    REFUSED,
    UNUSABLE,
    Case,
    Trouble,
    check_opening,
    check_work,
    name_of,
)
from tests.servers.certificates import make_certificates
from tests.servers.redis import DURABLE, FORGETFUL, RedisServer, Sentinel, free_port

pytestmark = pytest.mark.servers

IMPATIENT = "connect_timeout_ms=2000&read_timeout_ms=2000&retries=1"


def url_of(server: RedisServer, login: str = f":{PASSWORD}@", options: str = "", scheme: str = "redis") -> str:
    return f"rome+{scheme}://{login}127.0.0.1:{server.port}/bank?{IMPATIENT}{options}"


def admin(server: RedisServer, password: str = PASSWORD) -> redis.Redis:
    return redis.Redis(port=server.port, password=password, socket_timeout=10)


@contextmanager
def a_redis(directory: Path, *arguments: str, durable: tuple[str, ...] = DURABLE) -> Iterator[RedisServer]:
    """A server with a password, and a bank on it."""
    with RedisServer(directory / "redis", *durable, "--requirepass", PASSWORD, *arguments) as server:
        open_bank(url_of(server))
        yield server


def set_and_disconnect(server: RedisServer, name: str, value: str) -> None:
    """Change the configuration; who uses the server must connect anew."""
    client = admin(server)
    client.config_set(name, value)
    client.client_kill_filter(_type="normal", skipme=True)


@contextmanager
def a_wrong_password(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:

        def back() -> None:
            admin(server, "another").config_set("requirepass", PASSWORD)

        yield Trouble(url_of(server), lambda: set_and_disconnect(server, "requirepass", "another"), back)


@contextmanager
def an_unknown_user(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        yield Trouble(url_of(server, f"nobody:{PASSWORD}@"))


@contextmanager
def no_password(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        yield Trouble(url_of(server, ""))


@contextmanager
def a_right_taken_away(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        client = admin(server)
        client.execute_command("ACL", "SETUSER", "glance", "on", f">{PASSWORD}", "~rome:*", "+@all")
        url = url_of(server, f"glance:{PASSWORD}@")
        yield Trouble(
            url,
            lambda: client.execute_command("ACL", "SETUSER", "glance", "-hset"),
            lambda: client.execute_command("ACL", "SETUSER", "glance", "+hset"),
        )


@contextmanager
def tls(directory: Path, pair: str = "server", clients: str = "no") -> Iterator[tuple[RedisServer, Path]]:
    """A server that speaks TLS alone, with the certificate `pair`, and the directory of certificates."""
    files = directory / "tls"
    files.mkdir()
    make_certificates(files)
    server = RedisServer(
        directory / "redis", "--tls-cert-file", f"{files}/{pair}.pem", "--tls-key-file", f"{files}/{pair}.key",
        "--tls-ca-cert-file", f"{files}/ca.pem", "--tls-auth-clients", clients, "--requirepass", PASSWORD,
    )  # fmt: skip
    server._arguments += ("--tls-port", str(server.port), "--port", "0")
    with server:
        yield server, files


@contextmanager
def a_client_without_tls(directory: Path) -> Iterator[Trouble]:
    with tls(directory) as (server, _):
        yield Trouble(url_of(server))


@contextmanager
def a_server_without_tls(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        yield Trouble(url_of(server, scheme="rediss"))


@contextmanager
def an_authority_that_is_not_trusted(directory: Path) -> Iterator[Trouble]:
    with tls(directory) as (server, files):
        yield Trouble(url_of(server, options=f"&ca_file={files}/stranger.pem", scheme="rediss"))


@contextmanager
def a_certificate_for_another_name(directory: Path) -> Iterator[Trouble]:
    with tls(directory, "elsewhere") as (server, files):
        yield Trouble(url_of(server, options=f"&ca_file={files}/ca.pem", scheme="rediss"))


@contextmanager
def no_certificate_of_the_client(directory: Path) -> Iterator[Trouble]:
    with tls(directory, clients="yes") as (server, files):
        yield Trouble(url_of(server, options=f"&ca_file={files}/ca.pem", scheme="rediss"))


@contextmanager
def a_replica(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        client = admin(server)
        yield Trouble(
            url_of(server),
            lambda: client.execute_command("REPLICAOF", "127.0.0.1", "1"),
            lambda: client.execute_command("REPLICAOF", "NO", "ONE"),
        )


@contextmanager
def a_server_without_its_disk(directory: Path) -> Iterator[Trouble]:
    disk = directory / "disk"
    disk.mkdir()
    arguments = ("--dir", str(disk), "--save", "3600 1")
    with a_redis(directory, *arguments, durable=FORGETFUL) as server:
        client = admin(server)

        def begin() -> None:
            (disk / "dump.rdb").unlink(missing_ok=True)
            disk.rmdir()
            client.bgsave()
            while client.info("persistence")["rdb_bgsave_in_progress"]:
                time.sleep(0.005)

        yield Trouble(url_of(server), begin, lambda: client.config_set("save", ""))  # it saves no more, so all is well


@contextmanager
def a_server_that_misses_replicas(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        client = admin(server)
        yield Trouble(
            url_of(server),
            lambda: client.config_set("min-replicas-to-write", 1),
            lambda: client.config_set("min-replicas-to-write", 0),
        )


@contextmanager
def a_server_that_is_loading(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        # A loading server looks up from its work every 1024 keys.
        admin(server).eval("for number = 1, 150000 do redis.call('SET', 'other ' .. number, '') end", 0)
        arguments = server._arguments

        def begin() -> None:
            server.kill()
            server._arguments = (*arguments, "--key-load-delay", "15")
            server.start(loaded=False)

        def end() -> None:
            server.kill()
            server._arguments = arguments
            server.start()
            while admin(server).info("persistence")["loading"]:
                time.sleep(0.005)

        yield Trouble(url_of(server), begin, end)


@contextmanager
def a_server_that_is_full(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        client = admin(server)
        yield Trouble(
            url_of(server), lambda: client.config_set("maxmemory", 1), lambda: client.config_set("maxmemory", 0)
        )


@contextmanager
def a_full_server_without_the_store(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        client = admin(server)
        client.flushall()
        yield Trouble(url_of(server), lambda: client.config_set("maxmemory", 1))


@contextmanager
def a_server_that_evicts(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        yield Trouble(
            url_of(server),
            lambda: set_and_disconnect(server, "maxmemory-policy", "allkeys-lru"),
            lambda: set_and_disconnect(server, "maxmemory-policy", "noeviction"),
        )


@contextmanager
def a_node_of_a_cluster(directory: Path) -> Iterator[Trouble]:
    arguments = ("--requirepass", PASSWORD, "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with RedisServer(directory / "redis", *arguments) as server:
        yield Trouble(url_of(server))


@contextmanager
def a_sentinel(directory: Path) -> Iterator[Trouble]:
    with RedisServer(directory / "redis") as server, Sentinel(directory / "sentinel", server) as sentinel:
        yield Trouble(url_of(sentinel, ""))


@contextmanager
def a_store_of_a_newer_format(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        client = admin(server)

        def write(written: bytes) -> None:
            client.set("rome:{bank}:format", written)
            client.client_kill_filter(_type="normal", skipme=True)

        yield Trouble(url_of(server), lambda: write(b"rome redis 2"), lambda: write(FORMAT))


@contextmanager
def a_server_that_is_gone(directory: Path) -> Iterator[Trouble]:
    with a_redis(directory) as server:
        yield Trouble(url_of(server), server.kill, server.start)


CASES = (
    Case(a_wrong_password, REFUSED, "28P01", ("refuses the user or the password", "mend the URL")),
    Case(an_unknown_user, REFUSED, "28P01", ("refuses the user or the password", "mend the URL"), at_work=False),
    Case(no_password, REFUSED, "28000", ("wants a password", "give one in the URL"), at_work=False),
    Case(a_right_taken_away, REFUSED, "42501", ("does not let this user", "docs/drivers.md"), when_opening=False),
    Case(a_client_without_tls, CONNECTION, "08006", ("closed the connection", "rome+rediss"), at_work=False),
    Case(a_server_without_tls, CONNECTION, "08006", ("does it speak TLS?", "rome+redis"), at_work=False),
    Case(an_authority_that_is_not_trusted, REFUSED, "08001", ("not trusted", "give ca_file"), at_work=False),
    Case(a_certificate_for_another_name, REFUSED, "08001", ("for another name", "write the name"), at_work=False),
    Case(no_certificate_of_the_client, REFUSED, "08001", ("wants a certificate", "needs cert_file"), at_work=False),
    Case(a_replica, REFUSED, "25006", ("is a replica", "name the primary")),
    Case(a_server_without_its_disk, CONNECTION, "08006", ("cannot write to its disk", "look at its log"), False),
    Case(a_server_that_misses_replicas, CONNECTION, "08006", ("fewer replicas than it needs",), False),
    Case(a_server_that_is_loading, CONNECTION, "08006", ("still reading its data",)),
    Case(a_server_that_is_full, REFUSED, "53100", ("maxmemory", "raise it or make room"), False),
    Case(a_full_server_without_the_store, REFUSED, "53100", ("maxmemory", "raise it or make room"), at_work=False),
    Case(a_server_that_evicts, UNUSABLE, "", ("maxmemory-policy is allkeys-lru", "set it to noeviction")),
    Case(a_node_of_a_cluster, oslo.DBNotSupportedError, "0A000", ("Redis Cluster", "name a server"), at_work=False),
    Case(a_sentinel, UNUSABLE, "", ("this is a Sentinel", "sentinel=name&hosts="), at_work=False),
    Case(a_store_of_a_newer_format, UNUSABLE, "", ("'rome redis 2'", "use the ROME that wrote it, or another name")),
    Case(a_server_that_is_gone, CONNECTION, "08006", ("cannot be reached",)),
)


@pytest.mark.parametrize("case", [case for case in CASES if case.when_opening], ids=name_of)
def test_a_service_that_starts_is_told_what_is_wrong_with_redis(case: Case, tmp_path: Path) -> None:
    check_opening(case, tmp_path)


@pytest.mark.parametrize("case", [case for case in CASES if case.at_work], ids=name_of)
def test_a_service_at_work_is_told_what_went_wrong_with_redis_and_nothing_is_half_written(
    case: Case, tmp_path: Path
) -> None:
    check_work(case, tmp_path)
