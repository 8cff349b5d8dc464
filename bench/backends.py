"""The databases that are compared, each behind Glance's DB API."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import sqlalchemy
from glance.db.sqlalchemy import api
from oslo_db.sqlalchemy import enginefacade

from bench import replay
from bench.catalogue import TABLES, Catalogue, load
from bench.results import Loaded
from bench.servers import STARTERS, Server, ServerMissing
from glance_compat import tuning
from rome.database import Counters
from tests.servers.proxy import Proxy

Say = Callable[[str], None]


@dataclass(frozen=True)
class Kind:
    """A database and how it is set up. `server` is a key of STARTERS; without one, `url` takes the directory {place}.

    `tuned` ones have the indexes that `glance-on-rome tune` adds; `like` names the one whose files are copied, if it is
    there, in place of loading.
    """

    title: str
    url: str = ""
    server: str = ""
    is_rome: bool = False
    tuned: bool = False
    like: str = ""


FLOOR = "floor"
ROME, TUNED, UNSYNCED = "rome", "rome-tuned", "rome-unsynced"
REDIS, REDIS_TUNED = "rome-redis", "rome-redis-tuned"
SQLITE, MARIADB, POSTGRESQL = "sqlite", "mariadb", "postgresql"
_LMDB_URL = "rome+lmdb:///{place}/store"
KINDS = {
    ROME: Kind("ROME on LMDB", _LMDB_URL, is_rome=True),
    TUNED: Kind("ROME on LMDB, tuned", _LMDB_URL, is_rome=True, tuned=True, like=ROME),
    UNSYNCED: Kind(
        "ROME on LMDB, tuned, unsynced", _LMDB_URL + "?sync=none", is_rome=True, tuned=True, like=ROME
    ),
    REDIS: Kind("ROME on Redis", server="redis", is_rome=True),
    REDIS_TUNED: Kind("ROME on Redis, tuned", server="redis", is_rome=True, tuned=True),
    SQLITE: Kind("SQLite", "sqlite:///{place}/file"),
    MARIADB: Kind("MariaDB", server="mariadb"),
    POSTGRESQL: Kind("PostgreSQL", server="postgresql"),
}  # fmt: skip
TITLES = {FLOOR: "replay floor", **{name: kind.title for name, kind in KINDS.items()}}
_READ_BYTES = 1 << 20
REFRESH_STATISTICS = {
    SQLITE: ("ANALYZE",),
    POSTGRESQL: ("VACUUM ANALYZE",),
    MARIADB: (f"ANALYZE TABLE {', '.join(TABLES)}",),
}


@dataclass(frozen=True)
class Line:
    """The way to a server that leads through a proxy."""

    manager: enginefacade._TransactionContextManager
    proxy: Proxy


@dataclass
class Backend:
    """One database. Its files are in `place`; `line` is there if it is a server's."""

    name: str
    url: str
    manager: enginefacade._TransactionContextManager
    place: Path
    server: Server | None = None
    line: Line | None = None
    loaded: Loaded | None = None

    @contextmanager
    def selected(self, *, through_proxy: bool = False) -> Iterator[ModuleType]:
        """Glance's DB API on this database.

        Glance keeps one enginefacade manager for the process and makes it on first use; taking turns between
        databases means putting ours in its place.
        """
        api._main_context_manager = self.line.manager if through_proxy and self.line else self.manager
        api._context = threading.local()
        yield api

    def rome_counters(self, *, through_proxy: bool = False) -> Counters | None:
        """A copy of what ROME has done for this process so far; None on another database."""
        if self.name not in KINDS or not KINDS[self.name].is_rome:
            return None
        manager = self.line.manager if through_proxy and self.line else self.manager
        connection = manager.writer.get_engine().raw_connection()
        try:
            return dataclasses.replace(connection.driver_connection.counters)
        finally:
            connection.close()

    def server_cpu_ns(self) -> int:
        return self.server.cpu_ns() if self.server else 0

    def read_files(self) -> None:
        """Have the whole of its files in the page cache: some machines take from there what lies idle for seconds.

        A database that keeps pages in memory of its own, as MariaDB does, would lose nothing by that; one that maps a
        file, as LMDB does, or leaves much to the page cache, as PostgreSQL does, would be measured with the disk.

        A sequential read would leave them there in large folios, of which a write to one page has the kernel look
        through every page: that is no cost of a database that reads its own pages one by one.
        """
        for path in _files_below(self.place):
            with suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
                while file.read(_READ_BYTES):
                    pass


def open_backends(
    names: list[str], directory: Path, catalogue: Catalogue, say: Say, stack: ExitStack, rtt_ms: float = 0
) -> list[Backend]:
    """Start, create and fill every installed database of `names`; `stack` closes them and stops the servers.

    A server is also reached through a proxy, which with `rtt_ms` makes a round trip take so long.
    """
    backends: list[Backend] = []
    for name in names:
        kind = KINDS[name]
        place = directory / name
        server = None
        model = next((each for each in backends if each.name == kind.like), None)
        if model:
            say(f"copying {TITLES[model.name]}")
            shutil.copytree(model.place, place)
        else:
            place.mkdir()
        if kind.server:
            say(f"starting {kind.title}")
            try:
                server = STARTERS[kind.server](place)
            except ServerMissing as missing:
                say(f"leaving {kind.title} out: {missing}")
                continue
            stack.callback(server.stop)
        url = server.url if server else kind.url.format(place=place)
        loaded = _fill(name, url, place, catalogue, say, copied=model is not None)
        line = None
        if server:
            proxy = stack.enter_context(Proxy(server.port, delay_ms=rtt_ms / 2))
            line = Line(open_manager(server.tcp_url.format(port=proxy.port), stack), proxy)
        backend = Backend(name, url, open_manager(url, stack), place, server, line, loaded)
        for manager in (backend.manager, line.manager if line else backend.manager):
            with manager.writer.get_engine().connect() as connection:
                connection.exec_driver_sql("SELECT id FROM images WHERE id = 'none'")  # ROME reads its catalogue
        backends.append(backend)
    return backends


def open_floor(
    directory: Path, catalogue: Catalogue, backends: list[Backend], say: Say, stack: ExitStack
) -> tuple[Backend, Backend]:
    """(the recording database, the replaying one); the first is a SQLite file of its own. `stack` closes both.

    The recording one has the indexes of the tuned ones, that it be quick: what it answers is the same.
    """
    place = directory / FLOOR
    model = next((each for each in backends if each.name == SQLITE), None)
    if model:
        shutil.copytree(model.place, place)
    else:
        place.mkdir()
    url = KINDS[SQLITE].url.format(place=place)
    _fill(FLOOR, url, place, catalogue, say, copied=model is not None)
    recording, replaying = (url.replace("sqlite:", f"sqlite+{driver}:") for driver in ("record", "replay"))
    return (
        Backend(FLOOR, recording, open_manager(recording, stack), place),
        Backend(FLOOR, replaying, open_manager(replaying, stack), place),
    )


@contextmanager
def tape_in_hand(tape: replay.Tape) -> Iterator[None]:
    replay.Deck.tape = tape
    try:
        yield
    finally:
        replay.Deck.tape = None


def _disk_bytes(directory: Path) -> int:
    """What the files below `directory` take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in _files_below(directory))


def _files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def open_manager(url: str, stack: ExitStack) -> enginefacade._TransactionContextManager:
    """As Glance's own: oslo.db's defaults, foreign keys on for SQLite. It has connected when this returns."""
    manager = enginefacade.transaction_context()
    manager.configure(connection=url, sqlite_fk=True)
    engine = manager.writer.get_engine()
    stack.callback(engine.dispose)
    engine.connect().close()
    return manager


def _fill(name: str, url: str, place: Path, catalogue: Catalogue, say: Say, *, copied: bool) -> Loaded:
    """Load `catalogue`, unless it was copied, and add the indexes where they belong."""
    title = TITLES[name]
    engine = sqlalchemy.create_engine(url)
    if name == FLOOR:  # it is never measured, and gone afterwards
        sqlalchemy.event.listen(engine, "connect", lambda raw, record: raw.execute("PRAGMA synchronous = OFF"))
    load_s = tune_s = None
    if not copied:
        say(f"loading {catalogue.images:,} images into {title}")
        load_s = load(engine, catalogue, say)
    if name == FLOOR or KINDS[name].tuned:
        say(f"adding indexes to {title}")
        tune_s = sum(done.seconds for done in tuning.tune(engine))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in REFRESH_STATISTICS.get(name, ()):
            connection.exec_driver_sql(statement)
        version = ".".join(map(str, (connection.dialect.server_version_info or ())[:3]))
    engine.dispose()
    return Loaded(name, version, load_s, tune_s, _disk_bytes(place))
