"""A store with tables for the tests of this floor: drafts, transactions, and a soundness check after every commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rome import values
from rome.driver.memory import MemoryDriver, MemoryStore
from rome.table import catalog as catalogs
from rome.table import rows
from rome.table.keys import Keys
from rome.table.paths import reader
from rome.table.rebuild import each_row
from rome.table.rowcode import Row
from rome.table.schema import Catalog, Column, ForeignKey, Index, Table
from rome.testing import integrity
from rome.txn.transaction import Transaction
from rome.txn.wave import Step
from rome.values import Kind, SqlType

VARCHAR = SqlType(Kind.STRING, "VARCHAR", 36)

_TYPES = {"int": values.INTEGER, "str": VARCHAR, "text": values.TEXT}


def draft(
    name: str,
    columns: str,
    key: str = "",
    unique: Sequence[str] = (),
    indexes: Sequence[str] = (),
    references: Sequence[ForeignKey] = (),
) -> Table:
    """A table as CREATE TABLE describes it; `columns` such as "id int!, name str", ! for NOT NULL, lists by spaces."""
    made = []
    for at, text in enumerate(columns.split(", "), 1):
        column, kind = text.split()
        made.append(Column(at, column, _TYPES[kind.rstrip("!+")], nullable="!" not in kind, autoincrement="+" in kind))
    ids = {column.name: column.id for column in made}

    def of(names: str) -> tuple[int, ...]:
        return tuple(ids[each] for each in names.split())

    return Table(
        id=0,
        name=name,
        columns=tuple(made),
        primary_key=of(key),
        indexes=(
            *(Index(0, "uq_" + each.replace(" ", "_"), of(each), unique=True, constraint=True) for each in unique),
            *(Index(0, "ix_" + each.replace(" ", "_"), of(each)) for each in indexes),
        ),
        foreign_keys=tuple(references),
    )


class Workbench:
    """One memory store with one namespace. `latest` is the committed catalogue."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.driver = MemoryDriver(self.store)
        self.keys = Keys("bench")
        self.cache = catalogs.CatalogCache(self.keys)

    @property
    def latest(self) -> Catalog:
        return self.cache.latest

    def __getitem__(self, name: str) -> Table:
        return self.latest.tables[name]

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that plans on the latest catalogue; committed and the store checked, unless it fails."""
        tx = self.begin()
        try:
            yield tx
            tx.commit()
        finally:
            tx.rollback()
        if tx.committed_at is not None and tx.context is not self.latest:
            assert isinstance(tx.context, Catalog)
            self.cache.adopt(tx.context, tx.committed_at)
        assert integrity.check(self.driver, "bench") == []

    def begin(self) -> Transaction:
        known, guard = self.cache.planning
        tx = Transaction(self.driver, guard=guard)
        tx.context = known
        return tx

    def define(self, change: Callable[..., Step[Catalog]], *arguments: Any, **named: Any) -> Catalog:
        """Run one change of the catalogue in a transaction of its own."""
        with self.transaction() as tx:
            return tx.run(change(tx, self.keys, tx.context, *arguments, **named))

    def create(self, *drafts: Table) -> None:
        for each in drafts:
            self.define(catalogs.create_table, each)

    def insert(self, name: str, *new: Row) -> None:
        with self.transaction() as tx:
            tx.run(rows.insert(tx, self.keys, self.latest, self[name], new))

    def update(self, name: str, change: Callable[[Row], Row], **more: Any) -> int:
        """Put every row through `change`, in one statement."""
        with self.transaction() as tx:
            pairs = [(row, change(row)) for row in self.stored(name, tx)]
            return tx.run(rows.update(tx, self.keys, self.latest, self[name], pairs, **more))

    def delete(self, name: str, where: Callable[[Row], bool] = lambda row: True, **more: Any) -> int:
        with self.transaction() as tx:
            doomed = [row for row in self.stored(name, tx) if where(row)]
            return tx.run(rows.delete(tx, self.keys, self.latest, self[name], doomed, **more))

    def stored(self, name: str, tx: Transaction | None = None) -> list[Row]:
        """Every row, in key order, with the row number behind the columns where there is no primary key."""
        tx = tx or self.begin()
        found: list[Row] = []
        assert isinstance(tx.context, Catalog)
        tx.run(each_row(self.keys, tx.context.tables[name], found.append))
        return found

    def behind(self, name: str, index: str) -> list[Row]:
        """Every row, in the order of an index."""
        table = self[name]
        entry = next(each for each in table.indexes if each.name == index)
        read = reader(self.keys, table)
        start, stop = self.keys.index_range(table, entry)
        return [read(self.store.cells[self.store.cells[key].value]) for key in self.store.cells.irange(start, stop)]

    def cells(self) -> dict[bytes, bytes]:
        return {key: cell.value for key, cell in self.store.cells.items()}
