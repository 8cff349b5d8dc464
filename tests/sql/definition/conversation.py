"""Statements on a memory store, for tests of definitions."""

from __future__ import annotations

import random
import time
from datetime import datetime

from rome.driver.memory import MemoryDriver, MemoryStore
from rome.sql.statement import Environment, execute
from rome.table.catalog import CatalogCache
from rome.table.keys import Keys
from rome.table.schema import Catalog, Table
from rome.table.sequences import Sequences
from rome.txn.transaction import Transaction

NOW = datetime(2024, 2, 29, 12, 30, 15, 123456)


class Conversation:
    """One transaction at a time on a store of its own."""

    def __init__(self) -> None:
        self.driver = MemoryDriver(MemoryStore())
        keys = Keys("test")
        self.environment = Environment(
            keys, CatalogCache(keys), Sequences(keys), lambda: NOW, random.Random(1).random, time.perf_counter
        )
        self.transaction = Transaction(self.driver)

    def run(self, *texts: str) -> list[tuple[object, ...]]:
        """The rows of the last of `texts`."""
        rows: list[tuple[object, ...]] = []
        for sql in texts:
            rows = list(execute(self.environment, self.transaction, sql, [{}]).rows)
        return rows

    def commit(self) -> None:
        self.transaction.commit()
        self.transaction = Transaction(self.driver)

    def rollback(self) -> None:
        self.transaction.rollback()
        self.transaction = Transaction(self.driver)

    def table(self, name: str) -> Table:
        catalog = self.transaction.context
        assert isinstance(catalog, Catalog)
        return catalog.tables[name.lower()]
