"""How a server is found, connected to and logged in to."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from redis.connection import AbstractConnection
from redis.credentials import CredentialProvider
from redis.sentinel import MasterNotFoundError

from rome.config import StoreURL
from rome.driver.redis.failures import FOREIGN, failure, meaning
from rome.errors import DatabaseError, InterfaceError, Unavailable

CLIENT_NAME = "rome"

OpenOne = Callable[[], AbstractConnection]


def unbroken(connection: AbstractConnection) -> bool:
    """Whether the server has not closed it; a reply that no one waits for is as bad."""
    try:
        return not connection.can_read(0)
    except redis.RedisError:
        return False


class PasswordFile(CredentialProvider):
    """The user and the password in a file, read anew for every connection: passwords are changed."""

    def __init__(self, user: str, path: str) -> None:
        self._user = user
        self._path = path

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """What AUTH takes."""
        try:
            with open(self._path, encoding="utf-8") as file:
                password = file.read().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InterfaceError(f"the password file {self._path} cannot be read: {error}") from None
        return (self._user, password) if self._user else (password,)


def opener(url: StoreURL, place: str) -> OpenOne:
    """What opens a connection to the server of `url`; raises our errors. `place` names it in messages."""
    assert url.server is not None
    settings = _settings(url)
    kind: Callable[..., AbstractConnection] = _class_of(url)
    if path := str(url.option("unix_socket")):
        make: OpenOne = partial(redis.UnixDomainSocketConnection, path=path, **settings)  # type: ignore[abstract]
    elif name := str(url.option("sentinel")):
        make = _through_sentinel(url, name, partial(kind, **settings))
    else:
        make = partial(kind, host=url.server.host, port=url.server.port, **settings)

    def open_one() -> AbstractConnection:
        try:
            connection = make()
            connection.connect()
        except redis.TimeoutError as error:  # a Redis server without TLS waits for more of what it does not understand
            hint = ": does it speak TLS? A port without it needs rome+redis" if url.scheme == "rediss" else ""
            raise Unavailable(f"{place}: the server did not answer in time{hint} ({error})") from error
        except FOREIGN as error:
            found = failure(error, place)
            if url.scheme == "redis" and isinstance(found, Unavailable) and _hung_up(error):
                raise Unavailable(f"{found}: if it speaks TLS, write rome+rediss") from error
            raise found from error
        return connection

    return open_one


def _hung_up(error: Exception) -> bool:
    """Whether the server took the connection and closed it, as one that speaks TLS alone does to who begins without."""
    cause = error.__cause__ or error.__context__
    return isinstance(cause, ConnectionResetError | BrokenPipeError) or "closed by server" in str(error)


def _class_of(url: StoreURL) -> type[AbstractConnection]:
    return redis.SSLConnection if url.scheme == "rediss" else redis.Connection


def _settings(url: StoreURL) -> dict[str, Any]:
    """What the client's connections take, but for the address."""
    assert url.server is not None
    settings: dict[str, Any] = {"protocol": 3, "client_name": CLIENT_NAME, **_timeouts(url), **_tls(url)}
    return settings | _credentials(url, "password", url.server.user, url.server.password)


def _credentials(url: StoreURL, option: str, user: str = "", password: str = "") -> dict[str, Any]:
    """What the client takes to log in, from the options that begin with `option` if they are given."""
    if file := str(url.option(f"{option}_file")):
        return {"credential_provider": PasswordFile(user, file)}
    if variable := str(url.option(f"{option}_env")):
        if variable not in os.environ:
            raise InterfaceError(f"the environment has no variable {variable}, which {option}_env names")
        password = os.environ[variable]
    return {"username": user or None, "password": password} if user or password else {}


def _timeouts(url: StoreURL) -> dict[str, Any]:
    wait_ms = int(url.option("wait_ms")) if url.option("wait_replicas") else 0
    return {
        "socket_connect_timeout": int(url.option("connect_timeout_ms")) / 1000,
        "socket_timeout": (int(url.option("read_timeout_ms")) + wait_ms) / 1000,
    }


def _tls(url: StoreURL) -> dict[str, Any]:
    if url.scheme != "rediss":
        return {}
    options = {"ssl_ca_certs": "ca_file", "ssl_certfile": "cert_file", "ssl_keyfile": "key_file"}
    tls = {name: str(url.option(option)) or None for name, option in options.items()}
    for path in tls.values():
        if path is not None and not os.access(path, os.R_OK):
            raise InterfaceError(f"{path} cannot be read, and TLS needs it")
    return {**tls, "ssl_cert_reqs": "required", "ssl_check_hostname": True}


def _through_sentinel(url: StoreURL, name: str, kind: Callable[..., AbstractConnection]) -> OpenOne:
    hosts = str(url.option("hosts")).split(",")
    settings = {"protocol": 3, "client_name": CLIENT_NAME, **_timeouts(url), **_tls(url)}
    open_sentinel = partial(_class_of(url), **settings, **_credentials(url, "sentinel_password"))

    def make() -> AbstractConnection:
        host, port = _primary(name, hosts, open_sentinel)
        return kind(host=host, port=port)

    return make


def _primary(name: str, hosts: list[str], kind: Callable[..., AbstractConnection]) -> tuple[str, int]:
    """Where the first of the Sentinels at `hosts` that knows a living primary `name` has it.

    If none does, what one of them took amiss is told rather than that others are away.
    """
    said: list[str] = []
    refused: list[DatabaseError] = []
    for place in hosts:
        host, port = _host_and_port(place)
        connection = kind(host=host, port=port)
        try:
            connection.connect()
            connection.send_command("SENTINEL", "MASTER", name)
            state = connection.read_response()
        except FOREIGN as error:
            said.append(f"{place}: {error}")
            if not (meaning(error).lost or str(error).startswith("No such master")):
                refused.append(failure(error, f"the Sentinel at {place}"))
            continue
        finally:
            connection.disconnect()
        if b"down" not in state[b"flags"]:
            return state[b"ip"].decode(), int(state[b"port"])
        said.append(f"{place}: {name} is down")
    if refused:
        raise refused[0]
    raise MasterNotFoundError("; ".join(said))


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
