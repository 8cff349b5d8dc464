"""Only commands that Redis 7.0 and Valkey 7.2 both have are used, and none that holds up or empties a server."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest
import redis

from rome.config import parse
from rome.driver.api import Driver, ExpectLock, Patience
from rome.driver.open import open_store
from rome.testing.driver_life import counted, value_at
from tests.servers.redis import RedisServer

VALKEY = {
    name: frozenset(categories.split())
    for name, categories in re.findall(
        r"^([a-z_|]+): (.*)$", (Path(__file__).parent / "valkey_commands.txt").read_text(), re.MULTILINE
    )
}
CALLED = re.compile(r"redis\.(?:p?call|acl_check_cmd)\('([A-Z]+)'")
CONNECTING = {"hello", "auth", "client", "sentinel", "info", "wait", "eval", "evalsha", "get"}
"""What is sent outside of scripts; INFO is among the dangerous ones because it tells much."""
UNWANTED = {"admin", "dangerous", "blocking", "pubsub", "transaction"}


def commands_of_scripts() -> set[str]:
    folder = files("rome.driver") / "lua"
    return {name.lower() for path in folder.iterdir() for name in CALLED.findall(path.read_text("utf-8"))}


def use_everything(driver: Driver) -> None:
    """Everything that a driver does, on an empty store."""
    driver.commit((), [(b"a", b"1"), (b"b", b"1")], b"mark" * 4)
    driver.commit((), [(b"a", None)])
    assert driver.outcome(b"mark" * 4)
    assert driver.outcome(b"none" * 4) is None
    assert driver.increment(b"c", 1, 5) == 6
    assert counted(driver, (b"a", b"z")) == [1]
    assert value_at(driver, b"b") == b"1"
    one, other = b"1" * 16, b"2" * 16
    token = driver.lock(one, [b"x"], 60_000, Patience.WAIT, b"me").standings[0].token
    driver.lock(other, [b"x"], 60_000, Patience.WAIT)
    assert [held.label for held in driver.locks()] == [b"me"]
    driver.commit([ExpectLock(b"x", one, token)], [(b"b", b"2")])
    assert driver.renew(one, 60_000)
    driver.unlock(one)
    driver.unlock(other)
    driver.clear(b"b")
    driver.clear(b"")


def test_every_call_in_a_script_names_its_command_in_capitals_where_it_stands() -> None:
    for path in (files("rome.driver") / "lua").iterdir():
        text = path.read_text("utf-8")
        assert len(re.findall(r"redis\.(?:p?call|acl_check_cmd)\(", text)) == len(CALLED.findall(text)), path.name


def test_valkey_has_every_command_and_none_holds_up_or_empties_a_server() -> None:
    used = commands_of_scripts()
    assert {"hmget", "zrange", "zscore", "unlink"} <= used
    for name in used:
        assert not VALKEY[name] & UNWANTED, name
    assert set(VALKEY) >= CONNECTING - {"sentinel"}


@pytest.mark.servers
class TestServer:
    def test_a_server_is_made_to_run_these_commands_and_no_others(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path / "redis") as server:
            client = server.client()
            client.ping()
            client.config_resetstat()
            driver = open_store(parse(server.url("glance")))
            use_everything(driver)
            driver.close()
            stats = client.info("commandstats")
        ran = {name.removeprefix("cmdstat_").partition("|")[0] for name in stats} - {"config"}
        assert ran <= commands_of_scripts() | CONNECTING
        assert ran >= commands_of_scripts()

    def test_the_installed_server_sorts_them_as_the_list_does(self, server: RedisServer) -> None:
        client = redis.Redis(port=server.port, protocol=2, decode_responses=True)
        connection = client.connection_pool.get_connection()
        connection.send_command("COMMAND", "INFO", *sorted(commands_of_scripts()))
        for description in connection.read_response():
            assert {name.removeprefix("@") for name in description[6]} == VALKEY[description[0]], description[0]
        connection.disconnect()
