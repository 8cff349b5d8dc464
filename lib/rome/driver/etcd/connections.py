"""How a member of a cluster is found, connected to and logged in to."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from typing import Final

from rome.config import StoreURL
from rome.driver.etcd.channel import Channel, Method, Refused
from rome.driver.etcd.failures import FOREIGN, failure, meaning
from rome.driver.etcd.messages import AuthenticateRequest, AuthenticateResponse, StatusRequest, StatusResponse
from rome.errors import DatabaseError, InterfaceError

AUTHENTICATE: Final = Method(b"/etcdserverpb.Auth/Authenticate", AuthenticateResponse)
ELECTION_S: Final = 3.0  # within which etcd, unless told otherwise, has noticed that a leader is dead, and another
UNAVAILABLE: Final = 14  # gRPC's status
STATUS: Final = Method(b"/etcdserverpb.Maintenance/Status", StatusResponse)


class Endpoints:
    """The members of a cluster, asked in turn from the one that answered last.

    The leader is preferred: it need ask no one what to answer, and when it dies its connections break at once, while
    what another member had passed on to it is lost without a word, until that member gives up 7 s later.
    """

    def __init__(self, url: StoreURL, place: str, clock: Callable[[], float]) -> None:
        """`place` names the store in messages, `clock` counts seconds."""
        assert url.server is not None
        hosts = str(url.option("hosts"))
        self._members = (
            [_host_and_port(host) for host in hosts.split(",")] if hosts else [(url.server.host, url.server.port)]
        )
        self._first = 0
        self._place = place
        self._url = url
        self._clock = clock
        self._leaderless: float | None = None  # since when the leader is none of those that can be reached
        self._connect_s = int(url.option("connect_timeout_ms")) / 1000
        self._tls = _tls_context(url)

    def open_one(self) -> Channel:
        """A connection to the leader, else to a member that knows one. Raises our errors: of the last one that is up.

        A leader that cannot be reached may be dead without the others' knowing it yet: they are given time.
        """
        second: tuple[int, Channel] | None = None  # not the leader
        problem: DatabaseError | None = None
        for turn in range(len(self._members)):
            at = (self._first + turn) % len(self._members)
            try:
                channel, leads = self._open(*self._members[at])
            except FOREIGN as error:
                if problem is None or not isinstance(error, ConnectionRefusedError):  # who is up knows more
                    problem = failure(error, self._place)
                    problem.__cause__ = error
                if not meaning(error).elsewhere:
                    break
                continue
            if leads or second is None:
                if second is not None:
                    second[1].close()
                second = (at, channel)
            else:
                channel.close()
            if leads:
                self._leaderless, problem = None, None
                break
        if problem is not None and second is not None:
            now = self._clock()
            self._leaderless = now if self._leaderless is None else self._leaderless
            if now < self._leaderless + ELECTION_S:
                second[1].close()
                no_leader = Refused(UNAVAILABLE, "etcdserver: no leader")
                raise failure(no_leader, self._place) from no_leader
        if second is None:
            assert problem is not None
            raise problem
        self._first = second[0]
        return second[1]

    def _open(self, host: str, port: int) -> tuple[Channel, bool]:
        """A connection to this member, and whether it is the leader; Unavailable is raised if it knows of none."""
        channel = self._connect(host, port)
        if len(self._members) == 1:
            return channel, True
        try:
            status = channel.call(STATUS, StatusRequest(), self._connect_s)
            if not status.leader:
                raise Refused(UNAVAILABLE, "etcdserver: no leader")
        except BaseException:
            channel.close()
            raise
        return channel, status.leader == status.header.member_id

    def pass_on(self) -> None:
        """Begin with the next member: the present one does not serve."""
        self._first = (self._first + 1) % len(self._members)

    def _connect(self, host: str, port: int) -> Channel:
        plain = socket.create_connection((host, port), self._connect_s)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=host)
            channel = Channel(sock, f"{host}:{port}", tls=self._tls is not None)
            if login := self._login():
                name, password = login
                request = AuthenticateRequest(name=name, password=password)
                channel.token = channel.call(AUTHENTICATE, request, self._connect_s).token.encode()
            return channel
        except BaseException:
            plain.close()
            raise

    def _login(self) -> tuple[str, str] | None:
        """The user and the password, read anew for every connection: passwords are changed."""
        assert self._url.server is not None
        user, password = self._url.server.user, self._url.server.password
        if path := str(self._url.option("password_file")):
            try:
                with open(path, encoding="utf-8") as file:
                    password = file.read().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise InterfaceError(f"the password_file {path} cannot be read: {error}") from None
        if variable := str(self._url.option("password_env")):
            if variable not in os.environ:
                raise InterfaceError(f"the environment has no variable {variable}, which password_env names")
            password = os.environ[variable]
        if password and not user:
            raise InterfaceError("etcd knows no password without a user: write user:password@ before the host")
        return (user, password) if user else None


def _tls_context(url: StoreURL) -> ssl.SSLContext | None:
    if url.scheme != "etcds":
        return None
    ca_file, cert_file, key_file = (str(url.option(name)) or None for name in ("ca_file", "cert_file", "key_file"))
    for path in (ca_file, cert_file, key_file):
        if path is not None and not os.access(path, os.R_OK):
            raise InterfaceError(f"{path} cannot be read, and TLS needs it")
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
    except (ssl.SSLError, OSError) as error:
        raise InterfaceError(f"a file that TLS needs is no certificate or key: {error}") from None
    context.set_alpn_protocols(["h2"])
    return context


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
