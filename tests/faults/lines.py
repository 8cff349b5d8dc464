"""A store on a server, and a line to it that a test can cut, part, delay and heal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from oslo_db.sqlalchemy import engines
from sqlalchemy import Engine

from tests.faults.bank import open_bank
from tests.servers.proxy import Proxy
from tests.servers.stores import LOCAL_STORES, STORES, a_store

REMOTE_STORES = tuple(name for name in STORES if name not in LOCAL_STORES)
SOON_MS = 1_000  # after which a service takes an answer for lost; a busy disk may keep a server waiting for half of it
PATIENT_MS = 10_000  # longer than a busy disk keeps a server waiting
AGAIN = {"redis": "retries=1", "etcd": "retry_ms=300"}  # how a driver is told to ask again, once, and never
NEVER = {"redis": "retries=0", "etcd": "retry_ms=0"}


@dataclass(frozen=True)
class Line:
    """`url` leads to a store through `proxies`, one for each of its servers; `direct_url` leads there without them."""

    url: str
    direct_url: str
    proxies: tuple[Proxy, ...]

    def partition(self) -> None:
        for proxy in self.proxies:
            proxy.partition()

    def heal(self, *, lost: bool = False) -> None:
        for proxy in self.proxies:
            proxy.heal(lost=lost)

    def set(self, **faults: object) -> None:
        """Set attributes of every proxy."""
        for proxy in self.proxies:
            for name, value in faults.items():
                assert hasattr(proxy, name), name
                setattr(proxy, name, value)


@contextmanager
def a_line(
    store: str, directory: Path, again: dict[str, str] = AGAIN, *, timeout_ms: int = SOON_MS
) -> Iterator[Line]:
    """A line to a bank in an empty store of the kind `store`; who uses it waits `timeout_ms` for each answer."""
    with a_store(store, directory) as direct, ExitStack() as stack:
        open_bank(direct)
        ports = re.findall(r"127\.0\.0\.1:(\d+)", direct)
        proxies = {port: stack.enter_context(Proxy(int(port))) for port in ports}
        through = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{proxies[found[1]].port}", direct)
        options = f"connect_timeout_ms={timeout_ms}&read_timeout_ms={timeout_ms}&{again[store]}"
        yield Line(f"{through}{'&' if '?' in direct else '?'}{options}", direct, tuple(proxies.values()))


@contextmanager
def an_engine(url: str, **arguments: object) -> Iterator[Engine]:
    """What an OpenStack service works with: an engine with a pool and oslo.db's filters, which does not retry."""
    engine = engines.create_engine(url, **{"max_retries": 0, "pool_timeout": 20, **arguments})
    try:
        yield engine
    finally:
        engine.dispose()
