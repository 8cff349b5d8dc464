"""Ways to a server, and what becomes of connections: pools, forks, passwords, TLS, sockets, Sentinel."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from rome.config import parse
from rome.driver.open import open_store
from rome.driver.redis import RedisDriver
from rome.errors import Error, InterfaceError, OperationalError, OutcomeUnknown, Unavailable
from rome.testing.driver_life import counted, in_child, in_threads, value_at
from tests.servers.certificates import make_certificates
from tests.servers.proxy import Proxy
from tests.servers.redis import DURABLE, RedisServer, Sentinel

pytestmark = pytest.mark.servers

SWITCH_S = 30.0


def opened(url: str) -> RedisDriver:
    driver = open_store(parse(url))
    assert isinstance(driver, RedisDriver)
    return driver


def check(url: str) -> None:
    """The store at `url` can be written and read."""
    driver = opened(url)
    driver.commit((), [(b"a", b"1")])
    assert value_at(driver, b"a") == b"1"
    driver.close()


class TestPool:
    def test_threads_have_connections_of_their_own_up_to_the_limit_and_then_wait(self, server: RedisServer) -> None:
        driver = opened(server.url("pool", max_connections=3))
        driver.commit((), [(b"a", b"1")])
        others = {each["id"] for each in server.client().client_list()}
        most = 0

        def look() -> None:
            for _ in range(100):
                assert value_at(driver, b"a") == b"1"

        def watch() -> None:
            nonlocal most
            client = server.client()
            for _ in range(20):
                named = [each for each in client.client_list() if each["name"] == "rome" and each["id"] not in others]
                most = max(most, len(named))

        in_threads([look] * 8 + [watch])
        assert most <= 3
        driver.close()

    def test_who_waits_too_long_for_a_connection_is_told_to_raise_the_limit(self, server: RedisServer) -> None:
        driver = opened(server.url("pool", max_connections=1, read_timeout_ms=1000))
        blocked = threading.Event()
        go_on = threading.Event()

        def hold() -> None:
            connection = driver._connections.take()
            blocked.set()
            go_on.wait(20)
            driver._connections.keep(connection)

        holder = threading.Thread(target=hold)
        holder.start()
        blocked.wait(20)
        with pytest.raises(Unavailable, match="raise max_connections"):
            driver.read([b"a"])
        go_on.set()
        holder.join()
        driver.read([b"a"])
        driver.close()

    def test_closing_closes_every_connection(self, server: RedisServer) -> None:
        client = server.client()
        before = {each["id"] for each in client.client_list()}
        driver = opened(server.url("pool"))
        in_threads([lambda: None if value_at(driver, b"a") else None] * 5)
        driver.close()
        end = time.monotonic() + 10
        while left := [each for each in client.client_list() if each["name"] == "rome" and each["id"] not in before]:
            assert time.monotonic() < end, left

    def test_a_child_uses_no_connection_of_its_parent(self, server: RedisServer) -> None:
        driver = opened(server.url("fork"))
        driver.commit((), [(b"a", b"1")])
        client = server.client()
        parent = {each["id"] for each in client.client_list()}

        def child() -> bytes:
            for number in range(50):
                driver.commit((), [(b"child", b"%d" % number)])
            mine = {each["id"] for each in client.client_list() if each["name"] == "rome"}
            return b"%d" % len(mine - parent)

        for _ in range(3):
            assert int(in_child(child)) >= 1
            assert value_at(driver, b"child") == b"49"
        assert parent <= {each["id"] for each in client.client_list()}
        driver.close()

    def test_connections_that_the_server_closed_meanwhile_are_not_noticed(self, server: RedisServer) -> None:
        driver = opened(server.url("closed", retries=1))
        driver.commit((), [(b"a", b"1")])
        client = server.client()
        for _ in range(3):
            client.client_kill_filter(_type="normal", skipme=True)
            driver.commit((), [(b"a", b"2")], os.urandom(16))
            client.client_kill_filter(_type="normal", skipme=True)
            assert value_at(driver, b"a") == b"2"
        driver.close()

    def test_scripts_that_the_server_forgot_are_sent_again(self, server: RedisServer) -> None:
        driver = opened(server.url("forgot"))
        for number in range(3):
            server.client().script_flush()
            driver.commit((), [(b"a", b"%d" % number)], os.urandom(16))
            server.client().script_flush()
            assert value_at(driver, b"a") == b"%d" % number
        driver.close()


class TestPasswords:
    @pytest.fixture
    def locked(self, tmp_path: Path) -> RedisServer:
        return RedisServer(tmp_path / "redis", "--requirepass", "p@ss wörd")

    def test_a_password_comes_from_the_url_a_file_or_the_environment(
        self, locked: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "password").write_text("p@ss wörd\n", encoding="utf-8")
        monkeypatch.setenv("ROME_REDIS_PASSWORD", "p@ss wörd")
        with locked:
            place = f"127.0.0.1:{locked.port}/glance"
            check(f"rome+redis://:{quote('p@ss wörd')}@{place}")
            check(f"rome+redis://default:{quote('p@ss wörd')}@{place}")
            check(f"rome+redis://{place}?password_file={tmp_path}/password")
            check(f"rome+redis://default@{place}?password_file={tmp_path}/password")
            check(f"rome+redis://{place}?password_env=ROME_REDIS_PASSWORD")

    def test_a_password_file_is_read_for_every_new_connection(self, locked: RedisServer, tmp_path: Path) -> None:
        file = tmp_path / "password"
        file.write_text("p@ss wörd", encoding="utf-8")
        with locked:
            driver = opened(f"rome+redis://127.0.0.1:{locked.port}/glance?password_file={file}")
            redis.Redis(port=locked.port, password="p@ss wörd").config_set("requirepass", "another")
            file.write_text("another")
            driver._connections._drop_idle()
            assert value_at(driver, b"a") is None
            driver.close()

    def test_a_password_that_is_not_there_is_an_error_of_one_line(self, tmp_path: Path) -> None:
        with pytest.raises(InterfaceError, match="no variable ROME_NOT_SET"):
            opened("rome+redis://127.0.0.1:1/glance?password_env=ROME_NOT_SET")
        with RedisServer(tmp_path / "redis") as server, pytest.raises(InterfaceError, match="none cannot be read"):
            opened(server.url("glance", password_file=f"{tmp_path}/none"))


def test_a_unix_socket_leads_to_the_same_store(server: RedisServer) -> None:
    check(f"rome+redis:///unix?unix_socket={server.unix_socket}")
    driver = opened(server.url("unix"))
    assert value_at(driver, b"a") == b"1"
    driver.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def secured(server: RedisServer, certificates: Path) -> RedisServer:
    """`server`, not started yet, made to speak TLS only, to clients and to other servers."""
    server._arguments += (
        "--tls-cert-file", str(certificates / "server.pem"), "--tls-key-file", str(certificates / "server.key"),
        "--tls-ca-cert-file", str(certificates / "ca.pem"), "--tls-auth-clients", "yes",
        "--tls-replication", "yes", "--tls-port", str(server.port), "--port", "0",
    )  # fmt: skip
    return server


class TestTls:
    @pytest.fixture
    def secure(self, tmp_path: Path, certificates: Path) -> RedisServer:
        return secured(RedisServer(tmp_path / "redis"), certificates)

    def test_a_verified_connection_with_a_client_certificate(self, secure: RedisServer, certificates: Path) -> None:
        with secure:
            files = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
            given = "&".join(f"{option}={certificates}/{name}" for option, name in files.items())
            for host in ("127.0.0.1", "localhost"):
                check(f"rome+rediss://{host}:{secure.port}/glance?{given}")

    def test_what_can_be_wrong_with_tls_has_one_clear_error_each(
        self, secure: RedisServer, certificates: Path, server: RedisServer
    ) -> None:
        client = f"cert_file={certificates}/client.pem&key_file={certificates}/client.key"
        with secure:
            place = f"127.0.0.1:{secure.port}/glance?retries=0"
            with pytest.raises(OperationalError, match=r"\[08001\].*not trusted: give ca_file"):
                opened(f"rome+rediss://{place}&{client}&ca_file={certificates}/stranger.pem")
            with pytest.raises(OperationalError, match=r"\[08001\].*not trusted: give ca_file"):
                opened(f"rome+rediss://{place}&{client}")
            with pytest.raises(Error, match=r"TLS failed|closed the connection"):
                opened(f"rome+rediss://{place}&ca_file={certificates}/ca.pem")
            with pytest.raises(Unavailable, match="closed the connection"):
                opened(f"rome+redis://{place}")
            with pytest.raises(InterfaceError, match="none cannot be read"):
                opened(f"rome+rediss://{place}&ca_file={certificates}/none")
            with pytest.raises(Unavailable, match=r"did not answer in time: does it speak TLS\?"):
                opened(f"rome+rediss://127.0.0.1:{server.port}/glance?retries=0&read_timeout_ms=300")


def in_step(primary: redis.Redis, replicas: int = 1) -> None:
    """Wait until so many replicas have what `primary` has."""
    end = time.monotonic() + SWITCH_S
    while primary.info("replication").get(f"slave{replicas - 1}", {}).get("state") != "online":
        assert time.monotonic() < end, "no replica came"
        time.sleep(0.01)


def commit_until_it_succeeds(driver: RedisDriver, key: bytes) -> None:
    """Write `key` as soon as a failover is over."""
    end = time.monotonic() + SWITCH_S
    while True:
        try:
            driver.commit((), [(key, b"2")], os.urandom(16))
            return
        except (Unavailable, OutcomeUnknown):
            assert time.monotonic() < end, "no failover happened"
            time.sleep(0.1)


def until_it_knows_a_replica(sentinel: redis.Redis) -> None:
    end = time.monotonic() + SWITCH_S
    while not sentinel.execute_command("SENTINEL", "REPLICAS", "main"):
        assert time.monotonic() < end, "the Sentinel found no replica"
        time.sleep(0.05)


class TestSentinel:
    def test_it_names_the_primary_and_the_next_one_when_that_dies(self, tmp_path: Path) -> None:
        with (
            RedisServer(tmp_path / "one") as one,
            RedisServer(tmp_path / "two", "--replicaof", f"127.0.0.1 {one.port}") as two,
        ):
            in_step(one.client())
            with Sentinel(tmp_path / "sentinel", one) as sentinel:
                hosts = f"127.0.0.1:1,127.0.0.1:{sentinel.port}"
                url = f"rome+redis:///glance?sentinel=main&hosts={hosts}&connect_timeout_ms=500"
                driver = opened(url)
                driver.commit((), [(b"a", b"1")])
                until_it_knows_a_replica(sentinel.client())
                while not two.client().exists("rome:{glance}:commits"):
                    time.sleep(0.01)
                one.kill()
                commit_until_it_succeeds(driver, b"b")
                assert value_at(driver, b"a") == b"1"
                assert two.client().hlen("rome:{glance}:cells") == 2
                driver.close()
                with pytest.raises(Unavailable, match=r"no Sentinel names a primary.*:1: .*No such master"):
                    opened(url.replace("sentinel=main", "sentinel=other"))

    def test_a_replica_that_can_take_over_and_that_no_commit_waits_for_is_warned_of_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with (
            RedisServer(tmp_path / "one", *DURABLE) as one,
            RedisServer(tmp_path / "two", *DURABLE, "--replicaof", f"127.0.0.1 {one.port}"),
            Sentinel(tmp_path / "sentinel", one) as sentinel,
        ):
            in_step(one.client())
            url = f"rome+redis:///glance?sentinel=main&hosts=127.0.0.1:{sentinel.port}"
            opened(f"{url}&wait_replicas=1").close()
            assert caplog.text == ""
            for _ in range(2):
                opened(url).close()
        assert [record.name for record in caplog.records] == ["rome.driver.redis"]
        assert "1 replica(s) follow the server and a commit waits for 0" in caplog.text
        assert "set wait_replicas=1" in caplog.text

    def test_with_tls_and_passwords_of_its_own_it_does_the_same(
        self, tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ROME_SENTINEL_PASSWORD", "of the sentinels")
        (tmp_path / "password").write_text("of the servers\n")
        (tmp_path / "sentinels").write_text("of the sentinels\n")
        login = ("--requirepass", "of the servers", "--masterauth", "of the servers")
        one = secured(RedisServer(tmp_path / "one", *login), certificates)
        two = secured(RedisServer(tmp_path / "two", *login, "--replicaof", f"127.0.0.1 {one.port}"), certificates)
        settings = ('sentinel auth-pass main "of the servers"', 'requirepass "of the sentinels"')
        sentinel = secured(Sentinel(tmp_path / "sentinel", one, settings=settings), certificates)

        def look(server: RedisServer, password: str) -> redis.Redis:
            return redis.Redis(unix_socket_path=str(server.unix_socket), password=password)

        with one, two:
            in_step(look(one, "of the servers"))
            with sentinel:
                files = {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key"}
                given = "&".join(f"{option}={certificates}/{name}" for option, name in files.items())
                place = f"rome+rediss:///glance?sentinel=main&hosts=127.0.0.1:{sentinel.port}&{given}"
                url = f"{place}&connect_timeout_ms=500&password_file={tmp_path}/password"
                check(f"{url}&sentinel_password_file={tmp_path}/sentinels")
                driver = opened(f"{url}&sentinel_password_env=ROME_SENTINEL_PASSWORD")
                until_it_knows_a_replica(look(sentinel, "of the sentinels"))
                while not look(two, "of the servers").exists("rome:{glance}:commits"):
                    time.sleep(0.01)
                one.kill()
                commit_until_it_succeeds(driver, b"b")
                assert value_at(driver, b"b") == b"2"
                driver.close()

    def test_what_can_be_wrong_with_a_sentinel_has_one_clear_error_each(
        self, tmp_path: Path, certificates: Path, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WRONG", "wrong")
        settings = ("requirepass secret",)
        with (
            Sentinel(tmp_path / "plain", server, settings=settings) as plain,
            secured(Sentinel(tmp_path / "secure", server), certificates) as secure,
        ):
            place = f"sentinel=main&retries=0&hosts=127.0.0.1:1,127.0.0.1:{plain.port}"
            with pytest.raises(OperationalError, match=rf"\[28000\] the Sentinel at 127.0.0.1:{plain.port}.*password"):
                opened(f"rome+redis:///glance?{place}")
            with pytest.raises(OperationalError, match=rf"\[28P01\] the Sentinel at 127.0.0.1:{plain.port}.*password"):
                opened(f"rome+redis:///glance?{place}&sentinel_password_env=WRONG")
            with pytest.raises(InterfaceError, match="no variable MISSING, which sentinel_password_env names"):
                opened(f"rome+redis:///glance?{place}&sentinel_password_env=MISSING")
            with pytest.raises(InterfaceError, match="none cannot be read"):
                opened(f"rome+redis:///glance?{place}&sentinel_password_file={tmp_path}/none")
            with pytest.raises(OperationalError, match=r"\[08001\] the Sentinel at .*not trusted: give ca_file"):
                opened(f"rome+rediss:///glance?sentinel=main&retries=0&hosts=127.0.0.1:{secure.port}")
            with pytest.raises(Unavailable, match="no Sentinel names a primary"):
                opened(f"rome+redis:///glance?sentinel=main&retries=0&hosts=127.0.0.1:{secure.port}")


def test_reads_survive_a_connection_that_breaks_and_say_so_when_too_many_do(server: RedisServer) -> None:
    with Proxy(server.port) as proxy:
        driver = opened(f"rome+redis://127.0.0.1:{proxy.port}/proxied?retries=2")
        driver.commit((), [(b"a", b"1")])
        proxy.cut()
        assert value_at(driver, b"a") == b"1"
        proxy.lose_replies = 1
        assert value_at(driver, b"a") == b"1"
        proxy.lose_requests = 1
        assert counted(driver, (b"a", b"b")) == [1]
        proxy.lose_replies = 100
        with pytest.raises(Unavailable, match=r"\[08006\].*cannot be reached, or closed the connection"):
            driver.read([b"a"])
        proxy.lose_replies = 0
        assert value_at(driver, b"a") == b"1"
        driver.close()
