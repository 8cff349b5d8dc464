"""docs/drivers.md and docs/keys.md say of etcd what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rome.config import COMMON, SCHEMES, parse
from rome.driver.api import ExpectLock, Patience, Scan
from rome.driver.etcd.connections import ELECTION_S
from rome.driver.etcd.driver import TRAITS
from rome.driver.etcd.large import GATE_TTL_S
from rome.driver.etcd.layout import FORMAT, after
from rome.driver.etcd.locks import MOST_COMPARED
from rome.driver.etcd.marks import FENCE_KEPT_S, MARK_KEPT_S
from rome.driver.etcd.messages import RangeRequest, RequestOp, TxnRequest
from rome.driver.open import open_store
from rome.errors import OperationalError
from rome.testing.driver_life import counted, value_at
from tests.servers.etcd import EtcdServer

DOCS = Path(__file__).resolve().parents[3] / "docs"
DRIVERS = (DOCS / "drivers.md").read_text()
KEYS = (DOCS / "keys.md").read_text()
LARGE = (DOCS / "decisions" / "0009-large-commits-on-etcd.md").read_text()

servers = pytest.mark.servers


def rows_after(page: str, mark: str) -> list[list[str]]:
    """The cells of the table that follows `mark`, its two heading lines left out."""
    table = page.split(mark, 1)[1].lstrip().split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("scheme", ["etcd", "etcds"])
def test_the_options_in_the_page_are_those_of_the_urls(scheme: str) -> None:
    rows = rows_after(DRIVERS, "a password is never repeated.")
    defaults = {row[0].strip("`"): row[2] for row in rows if scheme in row[1].split(", ")}
    options = {name: option for name, option in SCHEMES[scheme].items() if name not in COMMON}
    assert set(defaults) == set(options)
    for name, default in defaults.items():
        assert options[name].default == ("" if default == "none" else options[name].read(default)), name


def test_the_traits_in_the_page_are_those_of_the_driver() -> None:
    assert [row[4] for row in rows_after(DRIVERS, "no one asks a driver for its name.")] == [
        "store", "yes, until the server compacts them", "yes", "yes", "yes", "8,192 bytes", "1 MiB", "64 MiB",
        "2,000 ms",
    ]  # fmt: skip
    assert (TRAITS.scope.value, TRAITS.snapshots, TRAITS.durable, TRAITS.shared) == ("store", True, True, True)
    assert (TRAITS.max_key_bytes, TRAITS.max_value_bytes, TRAITS.max_commit_bytes) == (8192, 1 << 20, 64 << 20)
    assert (TRAITS.remote, TRAITS.min_ttl_ms) == (True, 2000)


def test_figures_that_the_pages_repeat_are_those_of_the_code() -> None:
    assert f"at least {MARK_KEPT_S // 60} minutes, or fenced off for {FENCE_KEPT_S // 3600}\nhours" in DRIVERS
    assert f"cannot be reached for\n{ELECTION_S:g} s" in DRIVERS
    assert f"More than {MOST_COMPARED} locks" in DRIVERS and f"More than {MOST_COMPARED} locks" in LARGE
    assert f"a lease of etcd of {GATE_TTL_S} s" in LARGE
    assert f"`{FORMAT.decode()}`; another text is refused" in KEYS


def bytes_of(cell: str) -> bytes:
    """The bytes that a cell such as `rome/x` `00 ff` shows: digits and spaces are hexadecimal."""
    parts = re.findall(r"`([^`]*)`", cell)
    return b"".join(
        bytes.fromhex(part) if re.fullmatch(r"[0-9a-f]{2}( [0-9a-f]{2})+", part) else part.encode() for part in parts
    )


@servers
def test_the_vectors_are_what_a_server_holds(server: EtcdServer) -> None:
    driver = open_store(parse(server.url("glance")))
    driver.commit((), [(b"a", b"1"), (b"b", b"")], b"m")
    driver.increment(b"c", 5)
    driver.lock(b"s" * 16, [b"l\0"], 60_000, Patience.WAIT, b"me")
    everything = RangeRequest(key=b"rome/glance/", range_end=after(b"rome/glance/"))
    answer = driver._client.transact(TxnRequest(success=[RequestOp(request_range=everything)]))  # type: ignore[attr-defined]
    found = [(kv.key, kv.value, kv.lease > 0) for kv in answer.responses[0].response_range.kvs]
    shown = [(bytes_of(row[0]), bytes_of(row[1])) for row in rows_after(KEYS, "<!-- vectors: etcd -->")]
    assert shown == [(key, value) for key, value, _ in found]
    leased = {key.split(b"/")[2] for key, _, leased in found if leased}
    assert leased == {b"lock", b"mark", b"session"}
    driver.close()


@servers
def test_the_rights_that_the_page_lists_are_enough_and_another_store_is_out_of_them(tmp_path: Path) -> None:
    commands = re.search(r"### Rights on etcd\n\n((?:    etcdctl .*\n)+)", DRIVERS)
    assert commands is not None
    with EtcdServer(tmp_path / "etcd") as server:
        for line in commands[1].splitlines():
            server.control(*line.split()[1:])
        server.control("user", "add", "root:root")
        server.control("user", "grant-role", "root", "root")
        server.control("auth", "enable")
        driver = open_store(parse(server.url("glance", "glance:secret@")))
        mark, session = b"mark" * 4, b"s" * 16
        driver.commit((), [(b"a", b"1"), (b"b", b"1")], mark)
        assert driver.outcome(mark) and driver.outcome(b"none" * 4) is None
        driver.commit((), [(b"%05d" % number, b"") for number in range(9000)], b"large")
        assert driver.increment(b"c", 1, 5) == 6
        assert counted(driver, (b"a", b"z")) == [2]
        token = driver.lock(session, [b"x", b"y"], 60_000, Patience.WAIT).standings[0].token
        driver.commit([ExpectLock(b"x", session, token)], [(b"a", b"2")])
        assert driver.renew(session, 60_000) and driver.renew(session, 30_000)
        assert [holding.name for holding in driver.locks()] == [b"x", b"y"]
        driver.unlock(session, [b"x"])
        driver.unlock(session)
        assert driver.read((), [Scan(b"", b"z", 1)]).scans[0] and value_at(driver, b"a") == b"2"
        driver.clear(b"")
        driver.close()
        with pytest.raises(OperationalError) as caught:
            open_store(parse(server.url("other", "glance:secret@")))
        assert caught.value.sqlstate == "42501"
