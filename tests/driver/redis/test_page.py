"""docs/drivers.md and docs/keys.md say of Redis what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import redis

from rome.config import SCHEMES, parse
from rome.driver.api import Patience
from rome.driver.open import open_store
from rome.driver.redis.driver import FENCE_KEPT_MS, MARK_KEPT_MS, TRAITS
from rome.driver.redis.server import FORMAT
from rome.errors import OperationalError
from tests.driver.redis.test_commands import use_everything
from tests.servers.redis import RedisServer

DOCS = Path(__file__).resolve().parents[3] / "docs"
DRIVERS = (DOCS / "drivers.md").read_text()
KEYS = (DOCS / "keys.md").read_text()

servers = pytest.mark.servers


def rows_after(page: str, mark: str) -> list[list[str]]:
    """The cells of the table that follows `mark`, its two heading lines left out."""
    table = page.split(mark, 1)[1].lstrip().split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_the_options_in_the_page_are_those_of_the_urls(scheme: str) -> None:
    rows = rows_after(DRIVERS, "a password is never repeated.")
    defaults = {row[0].strip("`"): row[2] for row in rows if scheme in row[1].split(", ")}
    options = SCHEMES[scheme] if scheme == "redis" else {**SCHEMES[scheme]}
    assert set(defaults) == set(options) - ({"unix_socket"} if scheme == "rediss" else set())
    for name, default in defaults.items():
        assert (options[name].default or "none" if default == "none" else options[name].read(default)) == (
            "none" if default == "none" else options[name].default
        )


def test_the_traits_in_the_page_are_those_of_the_driver() -> None:
    shown = [row[3] for row in rows_after(DRIVERS, "no one asks a driver for its name.")]
    assert shown == [
        "store", "no", "yes, if the server keeps an append-only file", "yes", "yes",
        "8,192 bytes", "16 MiB", "64 MiB", "1 ms",
    ]  # fmt: skip
    assert (TRAITS.scope.value, TRAITS.snapshots, TRAITS.shared, TRAITS.remote) == ("store", False, True, True)
    assert (TRAITS.max_key_bytes, TRAITS.max_value_bytes, TRAITS.max_commit_bytes) == (8192, 16 << 20, 64 << 20)
    assert TRAITS.min_ttl_ms == 1


def test_figures_that_the_page_repeats_are_those_of_the_code() -> None:
    assert f"for {MARK_KEPT_MS // 60_000} minutes; ask `outcome`" in DRIVERS
    assert f"fenced off for {FENCE_KEPT_MS // 3_600_000} hours" in DRIVERS
    assert f"`{FORMAT.decode()}`; another text is refused" in KEYS


def shown(cell: str, given: dict[str, bytes], texts: dict[str, bytes]) -> bytes:
    """The bytes of a cell such as *v* `31`, 16 × `73`, or *v* as text."""
    if cell.endswith(" as text"):
        word = cell.removesuffix(" as text").strip("`")
        return texts.get(word, word.encode())
    found = b""
    for name, times, digits in re.findall(r"(\*\w\*)|(?:(\d+) × )?`([0-9a-f]*)`", cell):
        found += given[name] if name else bytes.fromhex(digits) * int(times or 1)
    return found


def key_of(cell: str, given: dict[str, bytes]) -> bytes:
    """What stands before the colon: a single letter is text."""
    return cell.strip("`").encode() if re.fullmatch(r"`[a-z]`", cell) else shown(cell, given, {})


@servers
def test_the_vectors_are_what_a_server_holds(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        driver = open_store(parse(server.url("glance")))
        version = driver.commit((), [(b"a", b"1"), (b"b", b"")], b"m")
        driver.increment(b"c", 5)
        token = driver.lock(b"s" * 16, [b"l\0"], 60_000, Patience.WAIT, b"me").standings[0].token
        driver.close()
        client = server.client()
        ends = client.zscore("rome:{glance}:sessions", b"s" * 16)
        given = {"*v*": version.to_bytes(8, "big"), "*t*": token.to_bytes(8, "big")}
        texts = {"*v*": b"%d" % version, "*t*": b"%d" % token}
        rows = rows_after(KEYS, "<!-- vectors: redis -->")
        assert [row[0].strip("`").encode() for row in rows] == sorted(client.keys("*"))
        for key, holds in ((row[0].strip("`"), row[1]) for row in rows):
            kind = client.type(key)
            parts = [part.split(": ", 1) for part in holds.split(", ")] if ": " in holds else []
            if kind == b"hash":
                assert client.hgetall(key) == {key_of(name, given): shown(part, given, texts) for name, part in parts}
            elif kind == b"zset":
                found = client.zrange(key, 0, -1, withscores=True)
                assert [(key_of(name, given), ends if part == "*e*" else float(part)) for name, part in parts] == found
            else:
                assert client.get(key) == shown(holds, given, texts)


@servers
class TestRights:
    COMMAND = re.search(r"^    ACL SETUSER glance.*\n(?:        .*\n)*", DRIVERS, re.MULTILINE)

    @pytest.fixture
    def words(self) -> list[str]:
        assert self.COMMAND is not None
        return self.COMMAND[0].split()

    def use(self, url: str, client: redis.Redis) -> None:
        """Everything that a driver does, from scripts that the server does not know."""
        client.flushall()
        client.script_flush()
        driver = open_store(parse(url))
        try:
            use_everything(driver)
        finally:
            driver.close()

    def test_the_rights_that_the_page_lists_are_enough_and_none_is_too_many(
        self, words: list[str], tmp_path: Path
    ) -> None:
        with RedisServer(tmp_path / "redis") as server:
            client = server.client()
            url = f"rome+redis://glance:secret@127.0.0.1:{server.port}/glance?wait_ms=1"
            client.execute_command(*words)
            self.use(url, client)
            always = {"+hello", "+auth", "+wait"}  # before a login, on request
            for word in words:
                if word.startswith("+") and word not in always:
                    client.execute_command("ACL", "SETUSER", "glance", word.replace("+", "-"))
                    with pytest.raises(OperationalError) as caught:
                        self.use(url, client)
                    assert caught.value.sqlstate == "42501", word
                    assert client.zcard("rome:{glance}:order") == client.hlen("rome:{glance}:cells"), word
                    client.execute_command(*words)
