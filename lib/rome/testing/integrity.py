"""Whether what a store holds is a database: a check for tests, and after every crash."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from rome.driver.api import Cell, Driver
from rome.errors import DatabaseError, InterfaceError
from rome.table import keycode
from rome.table.catalog import CatalogCache
from rome.table.keys import Keys
from rome.table.paths import TablePaths, paths_of, reader
from rome.table.rebuild import batches
from rome.txn.transaction import Transaction


def check(driver: Driver, namespace: str) -> list[str]:
    """Everything wrong with `namespace`, one sentence each; [] for a sound database.

    Looks at every cell in one transaction: the catalogue decodes; every row decodes, lies at its own key and has no
    NULL where none may be; every row has exactly its index entries and every entry its row; every reference finds
    its row; no cell belongs to nothing.
    """
    keys = Keys(namespace)
    tx = Transaction(driver)
    try:
        return list(_problems(tx, keys))
    except (DatabaseError, InterfaceError) as error:
        return [f"the catalogue cannot be read: {error}"]
    finally:
        tx.rollback()


def _problems(tx: Transaction, keys: Keys) -> Iterator[str]:
    catalog = tx.run(CatalogCache(keys).load(tx))
    cells: dict[bytes, Cell] = {}
    prefix = keys.namespace_prefix

    def visit(batch: list[Cell]) -> None:
        cells.update((cell.key, cell) for cell in batch)

    tx.run(batches((prefix, keycode.after(prefix)), visit))
    unexplained = set(cells)
    unexplained.discard(keys.catalog_version)
    for entries in (catalog.shared, catalog.views, catalog.sequences):
        unexplained.difference_update(keys.table_cell(entry.id) for entry in entries.values())
    ordered = sorted(cells)
    for table in catalog.tables.values():
        start, stop = (bisect_left(ordered, bound) for bound in keys.row_range(table))
        rows = ordered[start:stop]
        yield from _table_problems(keys, paths_of(keys, catalog, table), rows, cells, unexplained)
        for index in table.dropped:  # its entries may be there or not
            start, stop = (bisect_left(ordered, bound) for bound in keys.index_range(table, index))
            unexplained.difference_update(ordered[start:stop])
    for key in sorted(unexplained):
        yield f"the cell {key!r} belongs to no table, row or index"


def _table_problems(
    keys: Keys, paths: TablePaths, rows: list[bytes], cells: dict[bytes, Cell], unexplained: set[bytes]
) -> Iterator[str]:
    table = paths.table
    read = reader(keys, table)
    for key in rows:
        unexplained.discard(key)
        where = f'the row {key!r} of table "{table.name}"'
        try:
            row = read(cells[key])
            expected = paths.row.key(row)[0]
            entries = [
                (index, path, path.key(row)[0]) for index, path in zip(table.indexes, paths.indexes, strict=True)
            ]
        except DatabaseError as error:
            yield f"{where} cannot be read: {error}"
            continue
        if expected != key:
            yield f"{where} has the values of another key, {expected!r}"
        for place in paths.not_null:
            if row[place] is None:
                yield f"{where} has NULL in {table.columns[place].name}"
        for index, path, entry in entries:
            found = cells.get(entry)
            if found is None:
                if index.building:
                    continue
                yield f"{where} has no entry in {path.name}"
            elif found.value != key:
                yield f"{where} has an entry in {path.name} that leads to {found.value!r}"
            else:
                unexplained.discard(entry)
        for parent in paths.parents:
            values = [row[place] for place in parent.places]
            if None not in values and parent.prefix + keycode.encode(values) not in cells:
                yield f"{where} references a row of {parent.key.target!r} that does not exist: {values!r}"
