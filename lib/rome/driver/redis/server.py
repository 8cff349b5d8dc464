"""What a server must be before a store on it is used: a primary of the right version, format and policy."""

from __future__ import annotations

import logging
from typing import NamedTuple

from redis.connection import AbstractConnection

from rome.errors import InterfaceError, NotSupportedError, ReadOnlyStore, Unavailable

FORMAT = b"rome redis 1"
OLDEST = 7  # the major version that has what the scripts need

_log = logging.getLogger("rome.driver.redis")
_warned: set[str] = set()


def check_role(connection: AbstractConnection, place: str, through_sentinel: bool) -> None:
    """Refuse a server that greets as anything but a primary, outside of a cluster, of a version that will do."""
    greeting = {_text(key): value for key, value in connection.handshake_metadata.items()}
    version, mode, role = (_text(greeting.get(name, b"")) for name in ("version", "mode", "role"))
    if int(version.split(".")[0] or 0) < OLDEST:
        raise InterfaceError(f"{place}: the server has version {version}; ROME needs Redis or Valkey {OLDEST} or newer")
    if mode == "cluster":
        raise NotSupportedError(
            f"{place}: this is a node of a Redis Cluster, in which ROME cannot commit: name a server outside of one"
        )
    if mode == "sentinel":
        raise InterfaceError(f"{place}: this is a Sentinel: write rome+redis:///store?sentinel=name&hosts=host:port")
    if role != "master":
        if through_sentinel:
            raise Unavailable(f"{place}: Sentinel named a replica: a failover is under way")
        raise ReadOnlyStore(f"{place}: the server is a replica: name the primary, or let Sentinel name it")


def _text(value: object) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def check_format(found: object, place: str) -> None:
    """Refuse a store whose format, `found` there, is not ours."""
    if found != FORMAT:
        what = f"of the format {_text(found)!r}" if found else "by something else"
        raise InterfaceError(
            f"{place}: the name is taken {what}, and this ROME reads and writes {_text(FORMAT)!r}: "
            "use the ROME that wrote it, or another name"
        )


class Policy(NamedTuple):
    """What the server does with what was acknowledged to it."""

    persists: bool  # it keeps an append-only file
    evicts: str  # its maxmemory-policy, unless that is noeviction
    replicas: int  # that follow it


def read_policy(info: bytes) -> Policy:
    """The policy in the answer of INFO."""
    fields = dict(line.split(":", 1) for line in info.decode("utf-8", "replace").splitlines() if ":" in line)
    evicts = fields.get("maxmemory_policy", "unknown")
    replicas = int(fields.get("connected_slaves", "0"))
    return Policy(fields.get("aof_enabled") == "1", "" if evicts == "noeviction" else evicts, replicas)


def check_policy(policy: Policy, place: str) -> None:
    """Refuse a server that throws rows away; warn, once in a process, of one that a restart makes forget them."""
    if policy.evicts:
        raise InterfaceError(
            f"{place}: the server's maxmemory-policy is {policy.evicts}, under which it throws rows away when its "
            "memory is full: set it to noeviction"
        )
    if not policy.persists and place not in _warned:
        _warned.add(place)
        _log.warning(
            "%s: the server keeps no append-only file, so a restart of it loses acknowledged commits: "
            "set appendonly yes (and appendfsync always, or everysec if a second may be lost)",
            place,
        )


def check_replicas(policy: Policy, waited_for: int, place: str) -> None:
    """Warn, once in a process, of replicas that Sentinel can promote though no commit has waited for them."""
    warning = f"{place}: {policy.replicas} replicas"
    if policy.replicas > waited_for and warning not in _warned:
        _warned.add(warning)
        _log.warning(
            "%s: %d replica(s) follow the server and a commit waits for %d: when another one takes over, acknowledged "
            "commits that it does not have are lost: set wait_replicas=%d",
            place,
            policy.replicas,
            waited_for,
            policy.replicas,
        )
