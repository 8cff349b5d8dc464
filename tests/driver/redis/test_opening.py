"""What a driver looks at before it uses a server, and what it says about it."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rome.config import parse
from rome.driver.api import ExpectCell
from rome.driver.open import open_store
from rome.driver.redis import server as looks
from rome.errors import Conflict, InterfaceError
from rome.testing.driver_life import value_at
from tests.servers.redis import DURABLE, FORGETFUL, RedisServer

servers = pytest.mark.servers


@servers
class TestFormat:
    def test_a_new_store_gets_the_format_and_an_opened_one_keeps_it(self, server: RedisServer) -> None:
        client = server.client()
        for _ in range(2):
            open_store(parse(server.url("format-new"))).close()
            assert client.get("rome:{format-new}:format") == looks.FORMAT

    def test_a_store_of_another_format_is_refused_with_both_formats(self, server: RedisServer) -> None:
        client = server.client()
        client.set("rome:{format-other}:format", b"rome redis 2")
        with pytest.raises(InterfaceError, match=r"'rome redis 2', and this ROME reads and writes 'rome redis 1'"):
            open_store(parse(server.url("format-other")))
        assert client.keys("rome:{format-other}:*") == [b"rome:{format-other}:format"]

    @pytest.mark.parametrize("part", ["cells", "order", "commits", "counters"])
    def test_keys_without_a_format_are_not_taken_over(self, server: RedisServer, part: str) -> None:
        server.client().set(f"rome:{{taken-{part}}}:{part}", "x")
        with pytest.raises(InterfaceError, match="the name is taken by something else"):
            open_store(parse(server.url(f"taken-{part}")))

    def test_a_format_of_another_type_is_refused(self, server: RedisServer) -> None:
        server.client().rpush("rome:{format-list}:format", "x")
        with pytest.raises(Exception, match="something else") as caught:
            open_store(parse(server.url("format-list")))
        assert type(caught.value).__module__ == "rome.errors"

    def test_stores_of_different_names_on_one_server_are_apart(self, server: RedisServer) -> None:
        one, other = (open_store(parse(server.url(name))) for name in ("apart", "apart2"))
        one.commit((), [(b"a", b"1")])
        assert value_at(other, b"a") is None
        other.clear(b"")
        assert value_at(one, b"a") == b"1"
        one.close()
        other.close()


@servers
class TestPolicy:
    @pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
    def test_a_server_that_evicts_keys_is_refused(self, tmp_path: Path, policy: str) -> None:
        with (
            RedisServer(tmp_path / "redis", "--maxmemory-policy", policy) as server,
            pytest.raises(InterfaceError, match=rf"maxmemory-policy is {policy}.*set it to noeviction"),
        ):
            open_store(parse(server.url("glance")))

    def test_a_server_without_an_append_only_file_is_warned_of_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with RedisServer(tmp_path / "redis", *FORGETFUL) as server, caplog.at_level(logging.WARNING):
            for _ in range(2):
                open_store(parse(server.url("glance"))).close()
        assert [record.name for record in caplog.records] == ["rome.driver.redis"]
        assert "set appendonly yes" in caplog.text

    def test_a_server_with_an_append_only_file_is_not(
        self, server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        open_store(parse(server.url("quiet"))).close()
        assert caplog.text == ""


@servers
class TestDurability:
    def test_a_durable_server_that_is_killed_has_every_commit_when_it_comes_back(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", *DURABLE) as server:
            driver = open_store(parse(server.url("glance")))
            assert driver.traits.durable
            version = driver.commit((), [(b"a", b"1")])
            driver.increment(b"c", 5)
            server.kill()
            server.start()
            assert value_at(driver, b"a") == b"1"
            assert driver.increment(b"c", 1) == 6
            assert driver.commit([ExpectCell(b"a", version)], [(b"a", b"2")]) > version
            driver.close()

    def test_a_forgetful_server_says_so_and_gives_no_version_twice_after_it_forgot(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis", *FORGETFUL) as server:
            driver = open_store(parse(server.url("glance")))
            assert not driver.traits.durable
            version = driver.commit((), [(b"a", b"1")])
            server.kill()
            server.start()
            assert value_at(driver, b"a") is None
            assert driver.commit((), [(b"a", b"another")]) > version
            with pytest.raises(Conflict):
                driver.commit([ExpectCell(b"a", version)], [(b"a", b"2")])
            driver.close()


def greeted(**greeting: str) -> Any:
    """A connection that a server has greeted so; servers of these kinds are not at hand."""
    parts = {"version": "7.0.15", "mode": "standalone", "role": "master", **greeting}
    return SimpleNamespace(handshake_metadata={key.encode(): value.encode() for key, value in parts.items()})


@pytest.mark.parametrize("version", ["6.2.14", "5.0.7", ""])
def test_a_server_too_old_for_the_scripts_is_refused(version: str) -> None:
    with pytest.raises(InterfaceError, match="needs Redis or Valkey 7 or newer"):
        looks.check_role(greeted(version=version), "here", False)


@pytest.mark.parametrize("version", ["7.0.15", "7.2.4", "8.1.0", "255.255.255"])
def test_newer_servers_are_taken(version: str) -> None:
    looks.check_role(greeted(version=version), "here", False)
