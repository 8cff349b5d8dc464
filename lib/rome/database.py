"""One opened store.

`open_database` gives the process's one `Database` for a URL (catalogue cache, plan cache, counters are shared by its
connections). What one of them says to it is a `rome.conversation.Conversation`.

Fork: a child goes on with the drivers it inherited (they promise it) but with caches and locks of its own.
"""

from __future__ import annotations

import copy
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rome.config import StoreURL
from rome.driver.api import Driver
from rome.driver.open import open_store
from rome.errors import Error
from rome.lock import Lease
from rome.lock.keeper import Keeper
from rome.sql.declared import Manners
from rome.sql.foresight import Foresight
from rome.sql.statement import Environment
from rome.table.catalog import CatalogCache
from rome.table.keys import Keys
from rome.table.schema import Catalog
from rome.table.sequences import Sequences
from rome.txn.distance import Distance
from rome.txn.leases import RowLeases
from rome.txn.private import Private
from rome.txn.recent import Recent
from rome.txn.retry import Replay
from rome.txn.transaction import Isolation, Transaction

_EPOCH = datetime(1970, 1, 1)


@dataclass(slots=True)
class Counters:
    """What a Database has done since it was opened; `replays` and the two below it count conflicts.

    `read_ahead` counts the gets and scans that were made before they were asked for, `from_ahead` those of them that
    then were.
    """

    statements: int = 0
    commits: int = 0
    rollbacks: int = 0
    waves: int = 0
    round_trips: int = 0
    keys: int = 0
    bytes_read: int = 0
    replays: int = 0
    replayed_commits: int = 0
    refused_conflicts: int = 0
    read_ahead: int = 0
    from_ahead: int = 0


class Database:
    """One opened store: `open_database` makes it, `release` gives it back."""

    def __init__(
        self,
        url: StoreURL,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
        open_driver: Callable[[StoreURL], Driver] | None = None,
    ) -> None:
        """`clock_ns` counts nanoseconds from 1970 in UTC, which is what CURRENT_TIMESTAMP shows.

        `open_driver` takes the place of `open_store`, to put an instrument around the driver.
        """
        self.url = url
        self.lock_timeout_ms = int(url.option("lock_timeout_ms"))  # of connections that say nothing else
        self.driver = (open_driver or open_store)(url)
        self.forks = 0  # how many forks lie between the process that opened the store and this one
        self.references = 0
        self._clock_ns = clock_ns
        self._keeper = Keeper(self.driver)
        self._keys = Keys(url.namespace)
        self.start()

    def start(self) -> None:
        """Make what one process must not share with another: caches, locks, counters."""
        self._totals = Counters()
        self._counting = threading.Lock()
        self.written = 0  # transactions of this process that wrote
        self.replay = Replay()
        self.distance = Distance(time.perf_counter) if self.driver.traits.remote else None
        prefetch = bool(self.url.option("prefetch"))
        self.environment = Environment(
            self._keys,
            CatalogCache(self._keys),
            Sequences(self._keys),
            self._utc_now,
            random.random,
            time.perf_counter,
            prefetch=prefetch,
            foresight=Foresight() if prefetch and self.driver.traits.remote else None,
            manners=Manners(
                enforced=self.url.option("foreign_keys") == "enforced",
                flexible=self.url.option("integers") == "flexible",
            ),
        )

    def _utc_now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self._clock_ns() // 1000)

    def begin(
        self,
        isolation: Isolation = Isolation.SERIALIZABLE,
        leases: RowLeases | None = None,
        under: Lease | None = None,
        recent: Recent | None = None,
        private: Private | None = None,
    ) -> Transaction:
        """A transaction that is planned on the newest catalogue seen; costs no round trip."""
        catalog, guard = self.environment.catalogs.planning
        expectation = None if under is None else under.expectation
        transaction = Transaction(
            self.driver,
            isolation=isolation,
            guard=guard,
            leases=leases,
            under=expectation,
            recent=recent,
            private=private,
            distance=self.distance,
        )
        mine = None if private is None else private.context
        temporary = mine.temporary if isinstance(mine, Catalog) else {}
        transaction.context = replace(catalog, temporary=temporary) if temporary else catalog
        return transaction

    def row_leases(self, timeout_ms: int) -> RowLeases:
        """Those of one transaction, none taken yet."""
        return RowLeases(self.driver, self._keeper, timeout_ms=timeout_ms)

    def adopt(self, committed: Transaction) -> None:
        """Plan on the catalogue of a transaction that has just committed a change of it.

        A catalogue taken for changed by mistake costs the next transaction a look: the guard names its version.
        """
        catalogs, catalog = self.environment.catalogs, committed.context
        if committed.committed_at is None or not isinstance(catalog, Catalog):
            return
        if catalog.version != catalogs.latest.version:
            catalogs.adopt(catalog, committed.committed_at)

    @property
    def counters(self) -> Counters:
        """A copy of the counters as they are now."""
        with self._counting:
            totals = replace(self._totals)
        totals.replays = self.replay.replays
        totals.replayed_commits = self.replay.replayed_commits
        totals.refused_conflicts = self.replay.refused
        return totals

    def count(self, transactions: Sequence[Transaction], statements: int, committed: bool, unlocks: int) -> None:
        """Add what ended transactions have cost: one that the application saw, with the tries it took.

        `unlocks` are the round trips that its row leases cost in the end.
        """
        with self._counting:
            totals = self._totals
            totals.statements += statements
            totals.commits += committed
            totals.rollbacks += not committed
            totals.round_trips += unlocks
            for transaction in transactions:
                stats = transaction.stats
                totals.waves += stats.waves
                totals.round_trips += stats.round_trips
                totals.keys += stats.keys
                totals.bytes_read += stats.bytes_read
                totals.read_ahead += stats.read_ahead
                totals.from_ahead += stats.from_ahead
                self.written += transaction.committed_at is not None

    def release(self) -> None:
        """Give back one reference; the last one closes the store."""
        with _registry.lock:
            self.references -= 1
            if self.references:
                return
            _registry.opened.pop(self.url, None)
        self._keeper.close()
        self.driver.close()


class _Opening:
    """One thread opens a store; `over` is set when it is open or has failed."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.failure: Error | None = None


class _Registry:
    """The open databases of this process, those that are being opened, and all that a fork must put right.

    `lock` is never held while a store is asked anything: one that is out of reach would hold up all others.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.opened: dict[StoreURL, Database] = {}
        self.opening: dict[StoreURL, _Opening] = {}
        self.living: weakref.WeakSet[Database] = weakref.WeakSet()

    def after_fork_in_child(self) -> None:
        self.lock = threading.Lock()
        self.opening = {}  # by threads that the child does not have
        for database in list(self.living):
            database.forks += 1
            database.start()


_registry = _Registry()
os.register_at_fork(after_in_child=_registry.after_fork_in_child)


def open_database(url: StoreURL) -> Database:
    """The Database of `url`, opened if no other connection of this process has it open; one reference more.

    Raises what `rome.driver.open.open_store` raises. Who comes while another thread opens the store waits for it and
    shares its failure: when the store is out of reach, all threads hear of it together and not one after the other.
    """
    while True:
        with _registry.lock:
            database = _registry.opened.get(url)
            if database is not None:
                database.references += 1
                return database
            opening = _registry.opening.get(url)
            if opening is None:
                mine = _registry.opening[url] = _Opening()
                break
        opening.over.wait()
        if opening.failure is not None:
            raise copy.copy(opening.failure) from opening.failure
    return _open(url, mine)


def _open(url: StoreURL, opening: _Opening) -> Database:
    database = None
    try:
        database = Database(url)
        database.references = 1
        return database
    except Error as error:
        opening.failure = error
        raise
    finally:
        with _registry.lock:
            if _registry.opening.get(url) is opening:
                del _registry.opening[url]
            if database is not None:
                _registry.opened[url] = database
                _registry.living.add(database)
        opening.over.set()
