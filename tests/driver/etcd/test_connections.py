"""Connections to etcd: TLS, logins, members that come and go, replies that do not come."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.api import Driver, ExpectCell, Patience
from rome.driver.open import open_store
from rome.errors import Conflict, InterfaceError, OperationalError, OutcomeUnknown, Unavailable
from rome.testing.driver_life import counted, in_threads, value_at
from rome.txn.commit import OneRoundTrip
from tests.servers.certificates import make_certificates
from tests.servers.etcd import EtcdServer
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.servers

_numbers = itertools.count(1)


def through(proxy: Proxy, **options: int) -> Driver:
    """A driver whose next commit is one round trip."""
    query = "&".join(f"{name}={value}" for name, value in options.items())
    driver = open_store(parse(f"rome+etcd://127.0.0.1:{proxy.port}/lost{next(_numbers)}?{query}"))
    driver.commit((), [(b"first", b"1")], os.urandom(16))
    return driver


class TestLostReplies:
    def test_a_lost_reply_leaves_the_outcome_unknown_and_the_mark_tells_it(self, server: EtcdServer) -> None:
        with Proxy(server.port) as proxy:
            driver = through(proxy)
            mark = os.urandom(16)
            proxy.lose_replies = 1
            with pytest.raises(OutcomeUnknown) as caught:
                driver.commit((), [(b"a", b"1")], mark)
            assert caught.value.mark == mark
            version = driver.outcome(mark)
            assert driver.read([b"a"]).version == version == driver.commit((), [(b"a", b"1")], mark)
            driver.close()

    def test_a_lost_request_is_fenced_off_by_the_question(self, server: EtcdServer) -> None:
        with Proxy(server.port) as proxy:
            driver = through(proxy)
            mark = os.urandom(16)
            proxy.lose_requests = 1
            with pytest.raises(OutcomeUnknown):
                driver.commit((), [(b"a", b"1")], mark)
            assert driver.outcome(mark) is None
            with pytest.raises(Conflict):
                driver.commit((), [(b"a", b"1")], mark)
            assert value_at(driver, b"a") is None
            driver.close()

    def test_what_may_be_done_twice_is_asked_again(self, server: EtcdServer) -> None:
        with Proxy(server.port) as proxy:
            driver = through(proxy)
            view = driver.read().view
            session = os.urandom(16)
            assert driver.lock(session, [b"x"], 60_000, Patience.NOWAIT).standings[0].token
            for lose in ("lose_requests", "lose_replies"):
                setattr(proxy, lose, 1)
                assert value_at(driver, b"first") == b"1"
                setattr(proxy, lose, 1)
                assert driver.read([b"first"], view=view).cells[0]
                setattr(proxy, lose, 1)
                assert counted(driver, (b"", b"z")) == [1]
                setattr(proxy, lose, 1)
                assert driver.increment(b"c", 1) > 0
                setattr(proxy, lose, 1)
                assert driver.renew(session, 60_000)
                setattr(proxy, lose, 1)
                assert driver.lock(session, [b"x", b"y"], 60_000, Patience.NOWAIT).standings[1].token
            proxy.lose_replies = 1
            driver.unlock(session)
            assert driver.locks() == []
            driver.close()

    def test_commits_through_a_bad_network_are_made_once(self, server: EtcdServer) -> None:
        with Proxy(server.port) as proxy:
            driver = through(proxy)
            protocol = OneRoundTrip()
            for number in range(40):
                setattr(proxy, ("lose_requests", "lose_replies")[number % 2], 1)
                cell = driver.read([b"sum"]).cells[0]
                total, version = (0, 0) if cell is None else (int(cell.value), cell.version)
                proxy.lose_replies = number % 2
                protocol.publish(driver, [ExpectCell(b"sum", version)], [(b"sum", b"%d" % (total + 1))])
            assert value_at(driver, b"sum") == b"40"
            driver.close()

    def test_a_reply_that_is_cut_in_its_middle_is_no_reply(self, server: EtcdServer) -> None:
        with Proxy(server.port) as proxy:
            driver = through(proxy)
            driver.commit((), [(b"large", b"x" * 500_000)])
            proxy.cut_replies_after = 200_000
            assert value_at(driver, b"large") == b"x" * 500_000
            driver.close()


class TestServersThatComeAndGo:
    def test_a_restarted_server_is_found_again_and_a_commit_makes_no_riddle(self, tmp_path: Path) -> None:
        with EtcdServer(tmp_path / "etcd") as server:
            driver = open_store(parse(server.url("again")))
            version = driver.commit((), [(b"a", b"1")], os.urandom(16))
            server.kill()
            server.start()
            assert driver.commit((), [(b"a", b"2")], os.urandom(16)) > version
            driver.close()

    def test_a_server_that_is_gone_is_unavailable_and_what_waits_finds_it_when_it_is_back(self, tmp_path: Path) -> None:
        with EtcdServer(tmp_path / "etcd") as server:
            driver = open_store(parse(server.url("back")))
            hasty = open_store(parse(server.url("back", retry_ms=0)))
            server.kill()
            with pytest.raises(Unavailable, match="cannot be reached"):
                hasty.commit((), [(b"a", b"1")])
            back = threading.Thread(target=lambda: (time.sleep(0.5), server.start()))
            back.start()
            assert driver.commit((), [(b"a", b"2")])
            back.join()
            for each in (driver, hasty):
                each.close()

    def test_a_server_that_stands_still_is_late_and_a_commit_unknown(self, tmp_path: Path) -> None:
        with EtcdServer(tmp_path / "etcd") as server:
            driver = open_store(parse(server.url("late", read_timeout_ms=1000, retry_ms=100)))
            driver.commit((), [(b"a", b"1")], os.urandom(16))
            server.stop()
            mark = os.urandom(16)
            with pytest.raises(OutcomeUnknown, match="did not answer in time"):
                driver.commit((), [(b"a", b"2")], mark)
            with pytest.raises(Unavailable, match="did not answer in time"):
                driver.read([b"a"])
            server.go_on()
            time.sleep(1)
            applied = driver.outcome(mark) is not None
            assert value_at(driver, b"a") == (b"2" if applied else b"1")
            driver.close()

    def test_more_threads_than_connections_take_turns(self, server: EtcdServer) -> None:
        driver = open_store(parse(server.url(f"turns{next(_numbers)}", max_connections=2)))

        def work() -> None:
            for _ in range(20):
                assert driver.read([b"a"]).cells == [None]

        in_threads([work] * 8)
        driver.close()

    @pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR what?\r\n", b"\0" * 9])
    def test_what_is_no_etcd_is_unavailable(self, greeting: bytes) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer() -> None:
                while True:
                    try:
                        taken, _ = listener.accept()
                    except OSError:
                        return
                    with taken:
                        taken.sendall(greeting)

            thread = threading.Thread(target=answer, daemon=True)
            thread.start()
            with pytest.raises(Unavailable):
                open_store(parse(f"rome+etcd://127.0.0.1:{listener.getsockname()[1]}/no?retry_ms=0"))
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


class TestTls:
    @pytest.fixture(scope="class")
    def files(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return make_certificates(tmp_path_factory.mktemp("tls"))

    @pytest.fixture(scope="class")
    def strict(self, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
        """A server that asks for certificates, too."""
        pair = ("--cert-file", f"{files}/server.pem", "--key-file", f"{files}/server.key")
        asking = ("--client-cert-auth", "--trusted-ca-file", f"{files}/ca.pem")
        server = EtcdServer(tmp_path_factory.mktemp("strict"), *pair, *asking)
        server.scheme = "https"
        with server:
            yield server

    def test_a_client_with_its_certificate_is_served(self, strict: EtcdServer, files: Path) -> None:
        options = {"ca_file": f"{files}/ca.pem", "cert_file": f"{files}/client.pem", "key_file": f"{files}/client.key"}
        driver = open_store(parse(strict.url("tls", **options)))
        assert driver.commit((), [(b"%d" % number, b"x" * 1000) for number in range(5000)])
        assert len(driver.read([b"%d" % number for number in range(1000)]).cells) == 1000
        driver.close()

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"ca_file": "ca.pem"}, "wants a certificate"),
            ({"ca_file": "stranger.pem"}, "not trusted"),
            ({}, "not trusted"),
        ],
    )
    def test_what_tls_refuses_is_one_clear_error(
        self, strict: EtcdServer, files: Path, options: dict[str, str], words: str
    ) -> None:
        given = {name: f"{files}/{file}" for name, file in options.items()}
        with pytest.raises(OperationalError, match=words) as caught:
            open_store(parse(strict.url("tls", retry_ms=0, **given)))
        assert caught.value.sqlstate == "08001"

    def test_files_that_are_no_certificates_are_refused_before_anything_is_sent(self, files: Path) -> None:
        (files / "nonsense").write_text("nonsense")
        for options in (f"ca_file={files}/none", f"ca_file={files}/nonsense", f"cert_file={files}/nonsense"):
            with pytest.raises(InterfaceError):
                open_store(parse(f"rome+etcds://127.0.0.1:1/tls?{options}"))


class TestLogins:
    @pytest.fixture(scope="class")
    def guarded(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
        """A server with a user whose login is forgotten after a second."""
        with EtcdServer(tmp_path_factory.mktemp("guarded"), "--auth-token-ttl", "1") as server:
            server.control("user", "add", "root:first")
            server.control("user", "grant-role", "root", "root")
            server.control("auth", "enable")
            yield server

    def test_a_login_that_was_forgotten_is_made_anew_and_loses_no_commit(self, guarded: EtcdServer) -> None:
        driver = open_store(parse(guarded.url("logins", "root:first@")))
        for number in range(3):
            assert driver.commit([], [(b"a", b"%d" % number)])
            assert value_at(driver, b"a") == b"%d" % number
            time.sleep(2.5)
        driver.close()

    def test_the_password_may_come_from_a_file_or_the_environment(
        self, guarded: EtcdServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "password"
        file.write_text("first\n")
        open_store(parse(guarded.url("file", "root@", password_file=str(file)))).close()
        monkeypatch.setenv("ETCD_SECRET", "first")
        open_store(parse(guarded.url("variable", "root@", password_env="ETCD_SECRET"))).close()
        for options in ({"password_file": f"{file}.none"}, {"password_env": "NO_SUCH_VARIABLE"}):
            with pytest.raises(InterfaceError):
                open_store(parse(guarded.url("none", "root@", **options)))

    @pytest.mark.parametrize(
        ("login", "sqlstate"), [("root:wrong@", "28P01"), ("nobody:first@", "28P01"), ("", "28000")]
    )
    def test_a_login_that_is_refused_is_said_to_be(self, guarded: EtcdServer, login: str, sqlstate: str) -> None:
        with pytest.raises(OperationalError) as caught:
            open_store(parse(guarded.url("refused", login)))
        assert caught.value.sqlstate == sqlstate
        assert "wrong" not in str(caught.value)
