"""Every way in which etcd is no good: what a service with oslo.db is told, and that nothing is half-written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from oslo_db import exception as oslo
from sqlalchemy import text

from rome.config import parse
from rome.driver.etcd.layout import Layout
from rome.driver.open import open_store
from rome.errors import StoreFull
from tests.faults.bank import open_bank
from tests.faults.lines import an_engine
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
from tests.servers.etcd import EtcdCluster, EtcdServer
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

IMPATIENT = "connect_timeout_ms=2000&read_timeout_ms=2000&retry_ms=200"
ROOT = f"root:{PASSWORD}"


def url_of(server: EtcdServer, login: str = "", options: str = "", scheme: str = "etcd") -> str:
    return f"rome+{scheme}://{login}127.0.0.1:{server.port}/bank?{IMPATIENT}{options}"


def compact(server: EtcdServer) -> None:
    """Forget every state but the newest."""
    revision = server.control("get", "none", "--write-out=json").split('"revision":')[1].split(",")[0]
    server.control("compact", revision)


@contextmanager
def an_etcd(directory: Path, *arguments: str) -> Iterator[EtcdServer]:
    """A server with a bank on it."""
    with EtcdServer(directory / "etcd", *arguments) as server:
        open_bank(url_of(server))
        yield server


@contextmanager
def an_etcd_with_users(directory: Path) -> Iterator[EtcdServer]:
    """A server that wants a password, and a bank on it."""
    with an_etcd(directory) as server:
        server.control("user", "add", ROOT)
        server.control("user", "grant-role", "root", "root")
        server.control("auth", "enable")
        yield server


@contextmanager
def a_wrong_password(directory: Path) -> Iterator[Trouble]:
    with an_etcd_with_users(directory) as server:
        yield Trouble(url_of(server, f"root:{PASSWORD}-mistyped@"))


@contextmanager
def no_password(directory: Path) -> Iterator[Trouble]:
    with an_etcd_with_users(directory) as server:
        yield Trouble(url_of(server))


@contextmanager
def a_password_where_none_is_wanted(directory: Path) -> Iterator[Trouble]:
    with an_etcd(directory) as server:
        yield Trouble(url_of(server, f"{ROOT}@"))


@contextmanager
def a_right_that_is_missing(directory: Path) -> Iterator[Trouble]:
    with an_etcd_with_users(directory) as server:
        server.control("user", "add", f"glance:{PASSWORD}", flags=("--user", ROOT))
        yield Trouble(url_of(server, f"glance:{PASSWORD}@"))


@contextmanager
def tls(directory: Path, pair: str = "server", *arguments: str) -> Iterator[tuple[EtcdServer, Path]]:
    """A server that speaks TLS alone, with the certificate `pair`, and the directory of certificates."""
    files = directory / "tls"
    files.mkdir()
    make_certificates(files)
    server = EtcdServer(
        directory / "etcd", "--cert-file", f"{files}/{pair}.pem", "--key-file", f"{files}/{pair}.key", *arguments
    )
    server.scheme = "https"
    with server:
        yield server, files


@contextmanager
def a_client_without_tls(directory: Path) -> Iterator[Trouble]:
    with tls(directory) as (server, _):
        yield Trouble(url_of(server))


@contextmanager
def a_server_without_tls(directory: Path) -> Iterator[Trouble]:
    with an_etcd(directory) as server:
        yield Trouble(url_of(server, scheme="etcds"))


@contextmanager
def an_authority_that_is_not_trusted(directory: Path) -> Iterator[Trouble]:
    with tls(directory) as (server, files):
        yield Trouble(url_of(server, options=f"&ca_file={files}/stranger.pem", scheme="etcds"))


@contextmanager
def a_certificate_for_another_name(directory: Path) -> Iterator[Trouble]:
    with tls(directory, "elsewhere") as (server, files):
        yield Trouble(url_of(server, options=f"&ca_file={files}/ca.pem", scheme="etcds"))


@contextmanager
def no_certificate_of_the_client(directory: Path) -> Iterator[Trouble]:
    arguments = ("--client-cert-auth", "--trusted-ca-file", f"{directory}/tls/ca.pem")
    with tls(directory, "server", *arguments) as (server, files):
        yield Trouble(url_of(server, options=f"&ca_file={files}/ca.pem", scheme="etcds"))


@contextmanager
def no_majority(directory: Path) -> Iterator[Trouble]:
    with EtcdCluster(directory) as cluster:
        url = f"{cluster.url('bank')}&{IMPATIENT}"
        open_bank(cluster.url("bank"))
        one, two, _ = cluster.members

        def begin() -> None:
            one.kill()
            two.kill()

        def end() -> None:
            one.start(wait=False)
            two.start(wait=False)
            for member in cluster.members:
                member.wait_until(lambda member=member: member.healthy)  # type: ignore[misc]

        yield Trouble(url, begin, end)


@contextmanager
def no_space_left(directory: Path) -> Iterator[Trouble]:
    with an_etcd(directory, "--quota-backend-bytes", str(4 << 20)) as server:

        def begin() -> None:
            filler = open_store(parse(url_of(server).replace("/bank?", "/filler?")))
            with pytest.raises(StoreFull):
                while True:
                    filler.commit((), [(b"filler", b"x" * 500_000)])
            filler.close()

        def end() -> None:
            compact(server)
            server.control("defrag")
            server.control("alarm", "disarm")

        yield Trouble(url_of(server), begin, end)


@contextmanager
def a_store_of_a_newer_format(directory: Path) -> Iterator[Trouble]:
    with an_etcd(directory) as server:
        key = Layout("bank").format.decode()
        yield Trouble(url_of(server), lambda: server.control("put", key, "rome etcd 2"))


@contextmanager
def a_server_of_another_kind(directory: Path) -> Iterator[Trouble]:
    with RedisServer(directory / "redis") as server:
        yield Trouble(f"rome+etcd://127.0.0.1:{server.port}/bank?{IMPATIENT}")


@contextmanager
def a_server_that_is_gone(directory: Path) -> Iterator[Trouble]:
    with an_etcd(directory) as server:
        yield Trouble(url_of(server), server.kill, server.start)


CASES = (
    Case(a_wrong_password, REFUSED, "28P01", ("refuses the user or the password", "mend the URL"), at_work=False),
    Case(no_password, REFUSED, "28000", ("wants a user and a password", "give them in the URL"), at_work=False),
    Case(a_password_where_none_is_wanted, REFUSED, "28000", ("knows no users", "take user and"), at_work=False),
    Case(a_right_that_is_missing, REFUSED, "42501", ("may not do that", "docs/drivers.md"), at_work=False),
    Case(a_client_without_tls, CONNECTION, "08006", ("rome+etcds",), at_work=False),
    Case(a_server_without_tls, REFUSED, "08001", ("rome+etcd, not rome+etcds",), at_work=False),
    Case(an_authority_that_is_not_trusted, REFUSED, "08001", ("not trusted", "give ca_file"), at_work=False),
    Case(a_certificate_for_another_name, REFUSED, "08001", ("for another name", "write the name"), at_work=False),
    Case(no_certificate_of_the_client, REFUSED, "08001", ("wants a certificate", "give cert_file"), at_work=False),
    Case(no_majority, CONNECTION, "08006", ("more than half of its members",)),
    Case(no_space_left, REFUSED, "53100", ("NOSPACE", "compact and defragment"), when_opening=False),
    Case(a_store_of_a_newer_format, UNUSABLE, "", ("'rome etcd 2'", "use the ROME that wrote it"), at_work=False),
    Case(a_server_of_another_kind, CONNECTION, "08006", ("did not answer in time",), at_work=False),
    Case(a_server_that_is_gone, CONNECTION, "08006", ("cannot be reached",)),
)


@pytest.mark.parametrize("case", [case for case in CASES if case.when_opening], ids=name_of)
def test_a_service_that_starts_is_told_what_is_wrong_with_etcd(case: Case, tmp_path: Path) -> None:
    check_opening(case, tmp_path)


@pytest.mark.parametrize("case", [case for case in CASES if case.at_work], ids=name_of)
def test_a_service_at_work_is_told_what_went_wrong_with_etcd_and_nothing_is_half_written(
    case: Case, tmp_path: Path
) -> None:
    check_work(case, tmp_path)


@pytest.mark.parametrize("changed", [True, False])
def test_a_compaction_in_the_middle_of_a_transaction_is_a_deadlock_or_is_not_noticed_and_never_a_wrong_row(
    tmp_path: Path, changed: bool
) -> None:
    look = text("SELECT balance FROM accounts WHERE id = 0")
    spend = text("UPDATE accounts SET balance = 7 WHERE id = :id")
    with an_etcd(tmp_path) as server, an_engine(url_of(server)) as engine, engine.connect() as connection:
        assert connection.scalar(look) == 100
        with engine.begin() as other:
            other.execute(spend, {"id": 0 if changed else 1})
        compact(server)
        rest = text("SELECT sum(balance) FROM accounts WHERE id <> 1")
        if changed:
            with pytest.raises(oslo.DBDeadlock, match="40001"):
                connection.scalar(rest)
        else:
            assert connection.scalar(rest) == 500
        connection.rollback()
        assert connection.scalar(look) == (7 if changed else 100)
