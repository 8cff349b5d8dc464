"""One URL for every kind of store, for tests that hold on all of them alike.

    STORES                                        their names
    with a_store("redis", directory) as url: …    an empty store of that kind

A server is started when the first store of its kind is asked for in a process, and killed when the process ends.
"""

from __future__ import annotations

import atexit
import itertools
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests.servers.etcd import EtcdServer
from tests.servers.redis import DURABLE, RedisServer

STORES = ("memory", "lmdb", "redis", "etcd")
SHARED_STORES = tuple(name for name in STORES if name != "memory")
"""Those that processes can share."""
LOCAL_STORES = ("memory", "lmdb")


def marked(names: Iterable[str] = STORES) -> list[ParameterSet]:
    """The parameters of a test on each of the stores `names`; those that need a server are marked so."""
    return [pytest.param(name, marks=() if name in LOCAL_STORES else pytest.mark.servers) for name in names]


_numbers = itertools.count(1)


@contextmanager
def a_store(name: str, directory: Path) -> Iterator[str]:
    """The URL of an empty store of the kind `name`; its files, if it has any here, lie below `directory`."""
    store = f"store{next(_numbers)}"
    match name:
        case "memory":
            yield f"rome+memory:///{store}-{directory.name}"
        case "lmdb":
            yield f"rome+lmdb:///{directory}/{store}?sync=none"
        case "redis":
            yield _redis().url(store)
        case "etcd":
            yield _etcd().url(store)
        case _:
            raise AssertionError(f"there is no store called {name!r}: {', '.join(STORES)}")


@cache
def _redis() -> RedisServer:
    directory = tempfile.TemporaryDirectory(prefix="rome-redis-")
    server = RedisServer(Path(directory.name), *DURABLE)
    server.start()
    atexit.register(directory.cleanup)
    atexit.register(server.kill)  # runs before the cleanup
    return server


@cache
def _etcd() -> EtcdServer:
    directory = tempfile.TemporaryDirectory(prefix="rome-etcd-")
    server = EtcdServer(Path(directory.name))
    server.start()
    atexit.register(directory.cleanup)
    atexit.register(server.kill)  # runs before the cleanup
    return server
