"""Reading and rewriting all of a table, in batches, inside one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rome.driver.api import Cell, Scan
from rome.table import rowcode
from rome.table.constraints import check_not_null, duplicate
from rome.table.keys import Bounds, Keys
from rome.table.paths import KeyPath, TablePaths, index_path, reader, row_path
from rome.table.rowcode import Row
from rome.table.schema import Index, Table
from rome.txn.transaction import Transaction
from rome.txn.wave import Step, Wave

BATCH_CELLS = 1000
"""How many cells one scan asks for."""


def batches(bounds: Bounds, visit: Callable[[list[Cell]], Step[None] | None]) -> Step[None]:
    """Hand every cell of a range to `visit`, a batch at a time; `visit` may be a step and read on.

    What `visit` writes ahead of the scan is seen by it later.
    """
    start, stop = bounds
    while True:
        answer = yield Wave((), (Scan(start, stop, BATCH_CELLS),))
        cells = answer.scans[0]
        if cells:
            reading = visit(cells)
            if reading is not None:
                yield from reading
        if len(cells) < BATCH_CELLS:
            return
        start = cells[-1].key + b"\x00"


def erase(tx: Transaction, bounds: Bounds) -> Step[None]:
    """Delete every cell of a range."""

    def visit(cells: list[Cell]) -> None:
        for cell in cells:
            tx.write(cell.key, None)

    yield from batches(bounds, visit)


def is_empty(keys: Keys, table: Table) -> Step[bool]:
    """Whether the table has no row."""
    answer = yield Wave((), (Scan(*keys.row_range(table), 1),))
    return not answer.scans[0]


def each_row(keys: Keys, table: Table, visit: Callable[[Row], None]) -> Step[None]:
    """Hand every row to `visit`, in key order."""
    read = reader(keys, table)

    def visit_cells(cells: list[Cell]) -> None:
        for cell in cells:
            visit(read(cell))

    yield from batches(keys.row_range(table), visit_cells)


def reindex(tx: Transaction, keys: Keys, before: Table, after: Table) -> Step[None]:
    """Bring the index entries from one set of indexes to another: the rows, and the columns, stay as they are.

    Raises UniqueViolation when a new UNIQUE index finds two rows alike. Nothing has been written then.
    """
    kept = {index.id for index in before.indexes} & {index.id for index in after.indexes}
    new = [index for index in after.indexes if index.id not in kept]
    if new:
        yield from _fill(tx, keys, after, new)
    for index in before.indexes:
        if index.id not in kept:
            yield from erase(tx, keys.index_range(before, index))


def _fill(tx: Transaction, keys: Keys, table: Table, indexes: Iterable[Index]) -> Step[None]:
    paths = [index_path(keys, table, index) for index in indexes]
    entries: dict[bytes, bytes] = {}

    def visit(cells: list[Cell]) -> None:
        read = reader(keys, table)  # made when there is a row: most indexes are made with their table
        for cell in cells:
            row = read(cell)
            for path in paths:
                key, _ = path.key(row)
                if key in entries:
                    raise duplicate(table, path, row)
                entries[key] = cell.key

    yield from batches(keys.row_range(table), visit)
    for key, row_key in entries.items():
        tx.write(key, row_key)


def rewrite(
    tx: Transaction, keys: Keys, before: Table, after: Table, change: Callable[[Row], Row] | None = None
) -> Step[None]:
    """Write every row and index entry of `before` as `after` has them, only where they differ.

    `change` turns a row in the column order of `before` (without a row number) into one of `after`. Raises
    NotNullViolation and UniqueViolation, before anything is written.
    """
    old_paths = _all_paths(keys, before)
    new_paths = _all_paths(keys, after)
    rules = TablePaths(
        after, new_paths[0], tuple(at for at, c in enumerate(after.columns) if not c.nullable), (), (), ()
    )
    read, encode = reader(keys, before), rowcode.encoder(after)
    width = len(before.columns)
    old_cells: dict[bytes, bytes] = {}
    new_cells: dict[bytes, bytes] = {}
    numbered = 0

    def visit(cells: list[Cell]) -> None:
        nonlocal numbered
        for cell in cells:
            row = read(cell)
            old_cells[cell.key] = cell.value
            for path in old_paths[1:]:
                old_cells[path.key(row)[0]] = cell.key
            new = row[:width] if change is None else change(row[:width])
            check_not_null(rules, new)
            value = encode(new)
            if not after.primary_key:
                numbered += 1
                new = (*new, numbered if before.primary_key else row[width])
            row_key = new_paths[0].key(new)[0]
            for path in new_paths:
                key, _ = path.key(new)
                if key in new_cells:
                    raise duplicate(after, path, new)
                new_cells[key] = row_key
            new_cells[row_key] = value

    yield from batches(keys.row_range(before), visit)
    if numbered and before.primary_key:
        tx.increment(keys.row_number_key(after), 0, at_least=numbered)
    for key in old_cells.keys() - new_cells.keys():
        tx.write(key, None)
    for key, value in new_cells.items():
        if old_cells.get(key) != value:
            tx.write(key, value)


def _all_paths(keys: Keys, table: Table) -> list[KeyPath]:
    return [row_path(keys, table), *(index_path(keys, table, index) for index in table.indexes)]
