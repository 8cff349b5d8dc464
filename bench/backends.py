"""The databases that are compared, each behind Glance's DB API."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import sqlalchemy
from glance.db.sqlalchemy import api
from oslo_db.sqlalchemy import enginefacade

from bench import replay
from bench.catalogue import Catalogue, load
from bench.servers import STARTERS, Server, ServerMissing
from rome.database import Counters
from tests.servers.proxy import Proxy

FLOOR, ROME, REDIS, SQLITE, MARIADB, POSTGRESQL = "floor", "rome", "rome-redis", "sqlite", "mariadb", "postgresql"
TITLES = {
    FLOOR: "replay floor", ROME: "ROME on LMDB", REDIS: "ROME on Redis", SQLITE: "SQLite", MARIADB: "MariaDB",
    POSTGRESQL: "PostgreSQL",
}  # fmt: skip
REFRESH_STATISTICS = {
    SQLITE: ("ANALYZE",),
    POSTGRESQL: ("VACUUM ANALYZE",),
    MARIADB: ("ANALYZE TABLE images, image_properties, image_locations, image_tags, image_members",),
}


@dataclass
class Backend:
    """One database. `load_s` is how long its catalogue took to load, `version` what it calls itself."""

    name: str
    url: str
    manager: enginefacade._TransactionContextManager
    server: Server | None = None
    load_s: float = 0.0
    version: str = ""

    @contextmanager
    def selected(self) -> Iterator[ModuleType]:
        """Glance's DB API on this database.

        Glance keeps one enginefacade manager for the process and makes it on first use; taking turns between
        databases means putting ours in its place.
        """
        api._main_context_manager = self.manager
        api._context = threading.local()
        yield api

    def rome_counters(self) -> Counters | None:
        """What ROME has done for this process so far; None on another database."""
        if self.name not in (ROME, REDIS):
            return None
        connection = self.manager.writer.get_engine().raw_connection()
        try:
            return connection.driver_connection.counters
        finally:
            connection.close()

    def server_cpu_ns(self) -> int:
        return self.server.cpu_ns() if self.server else 0


def open_backends(
    names: list[str],
    directory: Path,
    catalogue: Catalogue,
    say: Callable[[str], None],
    stack: ExitStack,
    rtt_ms: float = 0,
) -> list[Backend]:
    """Start, create and fill every installed database of `names`; `stack` closes them and stops the servers.

    With `rtt_ms` the calls that are measured reach each server through a proxy that makes a round trip take so long.
    """
    backends = []
    for name in names:
        place = directory / name
        place.mkdir()
        server = None
        if name in STARTERS:
            say(f"starting {TITLES[name]}")
            try:
                server = STARTERS[name](place)
            except ServerMissing as missing:
                say(f"leaving {TITLES[name]} out: {missing}")
                continue
            stack.callback(server.stop)
        url = server.url if server else {ROME: f"rome+lmdb:///{place}/store", SQLITE: f"sqlite:///{place}/file"}[name]
        say(f"loading {catalogue.images:,} images into {TITLES[name]}")
        load_s, told = _fill(name, url, catalogue)
        if rtt_ms and server:
            proxy = stack.enter_context(Proxy(server.port, delay_ms=rtt_ms / 2))
            url = server.tcp_url.format(port=proxy.port)
        backend = Backend(name, url, _manager(url, stack), server, load_s, told)
        with backend.manager.writer.get_engine().connect() as connection:
            connection.exec_driver_sql("SELECT id FROM images WHERE id = 'none'")  # ROME reads its catalogue
        backends.append(backend)
    return backends


def open_floor(directory: Path, catalogue: Catalogue, stack: ExitStack) -> tuple[Backend, Backend]:
    """(the recording database, the replaying one); the first is a SQLite file of its own. `stack` closes both."""
    place = directory / FLOOR
    place.mkdir()
    _fill(SQLITE, f"sqlite:///{place}/file", catalogue)
    recording, replaying = f"sqlite+record:///{place}/file", f"sqlite+replay:///{place}/file"
    return (
        Backend(FLOOR, recording, _manager(recording, stack)),
        Backend(FLOOR, replaying, _manager(replaying, stack), version="recorded from SQLite"),
    )


@contextmanager
def tape_in_hand(tape: replay.Tape) -> Iterator[None]:
    replay.Deck.tape = tape
    try:
        yield
    finally:
        replay.Deck.tape = None


def disk_bytes(directory: Path) -> int:
    """What the files below `directory` take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


def _manager(url: str, stack: ExitStack) -> enginefacade._TransactionContextManager:
    """As Glance's own: oslo.db's defaults, foreign keys on for SQLite. It has connected when this returns."""
    manager = enginefacade.transaction_context()
    manager.configure(connection=url, sqlite_fk=True)
    engine = manager.writer.get_engine()
    stack.callback(engine.dispose)
    engine.connect().close()
    return manager


def _fill(name: str, url: str, catalogue: Catalogue) -> tuple[float, str]:
    """Load `catalogue`; (seconds, the database's version)."""
    engine = sqlalchemy.create_engine(url)
    begun = time.perf_counter()
    load(engine, catalogue)
    seconds = time.perf_counter() - begun
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in REFRESH_STATISTICS.get(name, ()):
            connection.exec_driver_sql(statement)
        version = ".".join(map(str, (connection.dialect.server_version_info or ())[:3]))
    engine.dispose()
    return seconds, version
