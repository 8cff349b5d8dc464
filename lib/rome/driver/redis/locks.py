"""Locks as the scripts take and answer them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from rome.driver.api import ExpectLock, Holding, Locking, Standing, after

_TOKEN = struct.Struct(">Q")


def escaped(name: bytes) -> bytes:
    """`name` so that it ends where its first zero byte is, and sorts as it did."""
    return _inner(name) + b"\0"


def _inner(name: bytes) -> bytes:
    return name.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")


def _name(escaped: bytes) -> bytes:
    return escaped[:-1].replace(b"\1\1", b"\0").replace(b"\1\2", b"\1")


def beginning_with(prefix: bytes) -> list[bytes]:
    """The bounds of the escaped names that begin with `prefix`."""
    first = _inner(prefix)
    return [b"[" + first, above(first)]


def above(prefix: bytes) -> bytes:
    """The bound of a range, for who asks by order: what is above all that begins with `prefix`."""
    return b"(" + after(prefix) if prefix.strip(b"\xff") else b"+"


def held(expectation: ExpectLock) -> bytes:
    """What says on the server that the session has the lock under the token."""
    return escaped(expectation.name) + b"0" + _TOKEN.pack(expectation.token) + expectation.session


def locking(names: Sequence[bytes], asked: Sequence[bytes], reply: list[Any]) -> Locking:
    """What lock.lua answered about the names `asked`, each once, for every one of `names`."""
    version, *standings = reply
    by_name = {name: Standing(*standing) for name, standing in zip(asked, standings, strict=True)}
    return Locking([by_name[name] for name in names], version)


def holdings(reply: list[Any]) -> list[Holding]:
    """What locks.lua answered."""
    return [Holding(_name(name), *rest) for name, *rest in reply]
