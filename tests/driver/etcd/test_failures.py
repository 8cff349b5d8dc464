"""Every way in which the client fails has one error of ours, and every refusal of a server the right class."""

from __future__ import annotations

import inspect
import os
import socket
import ssl
from pathlib import Path

import h2.exceptions
import pytest

from rome.config import parse
from rome.driver.api import Scan
from rome.driver.etcd.channel import Broken, Refused
from rome.driver.etcd.driver import EtcdView
from rome.driver.etcd.failures import CODES, FOREIGN, PHRASES, failure, meaning
from rome.driver.open import open_store
from rome.errors import Conflict, InternalError, NotSupportedError, OperationalError, StoreFull, Unavailable
from rome.testing.driver_life import scanned, value_at
from tests.servers.etcd import EtcdServer

servers = pytest.mark.servers


def test_every_exception_class_of_the_client_is_caught_and_means_something() -> None:
    kinds = [kind for _, kind in inspect.getmembers(h2.exceptions, inspect.isclass) if issubclass(kind, Exception)]
    assert len(kinds) > 10
    for kind in (*kinds, Broken, socket.gaierror, ConnectionResetError, BrokenPipeError, TimeoutError, ssl.SSLError):
        assert issubclass(kind, FOREIGN) or not issubclass(kind, h2.exceptions.H2Error), kind
    for error in (h2.exceptions.ProtocolError("x"), Broken("x"), socket.gaierror(-2, "x"), ConnectionResetError()):
        assert isinstance(failure(error, "here"), Unavailable)


def test_every_status_of_grpc_means_something() -> None:
    for code in range(1, 17):
        assert str(failure(Refused(code, "why"), "the place")).split(" ", 2)[1:2] == ["the"]
    assert isinstance(failure(Refused(12, "unknown method"), "here"), NotSupportedError)
    assert isinstance(failure(Refused(13, "something new"), "here"), InternalError)


def test_what_etcd_says_is_looked_at_before_its_status() -> None:
    for phrase, means in PHRASES.items():
        assert meaning(Refused(2, f"{phrase}, and more")) is means
    assert CODES.keys() <= set(range(1, 17))


def test_only_what_the_server_cannot_have_begun_is_sent_again_as_a_commit() -> None:
    certain = [
        Broken("going away", sent=False), ConnectionRefusedError(), Refused(14, "etcdserver: no leader"),
        Refused(16, "etcdserver: invalid auth token"), Refused(14, "etcdserver: too many requests"),
    ]  # fmt: skip
    doubtful = [
        Broken("closed"), ConnectionResetError(), BrokenPipeError(), TimeoutError(), Refused(14, "etcdserver: stopped"),
        Refused(14, "etcdserver: request timed out, possibly due to connection lost"), Refused(4, "deadline"),
    ]  # fmt: skip
    assert [meaning(error).lost for error in certain] == [False] * len(certain)
    assert [meaning(error).lost for error in doubtful] == [True] * len(doubtful)


@servers
def test_a_state_that_was_compacted_away_is_a_conflict_and_never_other_rows(server: EtcdServer) -> None:
    driver = open_store(parse(server.url("compacted")))
    driver.commit((), [(b"a", b"1")])
    reading = driver.read([b"a"])
    version = driver.commit((), [(b"a", b"2")])
    server.control("compact", str(version))
    with pytest.raises(Conflict, match="compacted"):
        driver.read([b"a"], view=reading.view)
    with pytest.raises(Conflict, match="compacted"):
        driver.read((), [Scan(b"a", b"b")], (), reading.view)
    assert value_at(driver, b"a") == b"2"
    driver.close()


@servers
def test_a_full_server_refuses_commits_and_goes_on_reading(tmp_path: Path) -> None:
    with EtcdServer(tmp_path / "etcd", "--quota-backend-bytes", str(1 << 20)) as server:
        driver = open_store(parse(server.url("full")))
        driver.commit((), [(b"a", b"1")], os.urandom(16))
        with pytest.raises(StoreFull, match="NOSPACE"):
            for number in range(200):
                driver.commit((), [(b"%03d" % number, b"x" * 50_000)], os.urandom(16))
        whole = scanned(driver, Scan(b"0", b"1"))
        for pairs in ([(b"b", b"1")], [(b"%d" % number, b"y" * 1000) for number in range(5000)]):
            with pytest.raises(StoreFull):
                driver.commit((), pairs, os.urandom(16))
        assert scanned(driver, Scan(b"0", b"1")) == whole and value_at(driver, b"a") == b"1"
        driver.close()


@servers
@pytest.mark.parametrize(
    ("arguments", "words"), [(("--max-txn-ops", "16"), "--max-txn-ops"), (("--max-request-bytes", "9000"), "--max-req")]
)
def test_limits_below_etcds_own_are_named(tmp_path: Path, arguments: tuple[str, str], words: str) -> None:
    with EtcdServer(tmp_path / "etcd", *arguments) as server:
        driver = open_store(parse(server.url("limits")))
        driver.commit((), [(b"a", b"1")])
        with pytest.raises(OperationalError, match=words):
            driver.commit((), [(b"%d" % number, b"x" * 500) for number in range(100)])
        assert value_at(driver, b"0") is None and value_at(driver, b"a") == b"1"
        driver.close()


@servers
def test_a_member_that_has_not_come_to_the_views_revision_is_asked_to_catch_up(server: EtcdServer) -> None:
    driver = open_store(parse(server.url("behind", retry_ms=60_000)))
    version = driver.commit((), [(b"a", b"1")])
    view = EtcdView(version + 1_000_000, version)
    for gets, scans in (([b"a"], []), ([], [Scan(b"a", b"b")])):
        with pytest.raises(Unavailable, match="lags behind"):
            driver.read(gets, scans, (), view)
    assert value_at(driver, b"a") == b"1"
    driver.close()
