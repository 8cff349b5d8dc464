"""Rows in and out: INSERT, UPDATE and DELETE of whole rows, with their index entries and every constraint.

A row is a tuple of values in column order, converted to the columns' types already (see `convert`). A row of a table
without a primary key carries its row number as one more value behind its columns: `reader` puts it there, and UPDATE
and DELETE find the row by it.

Each function is a step: one wave asks for all that must be checked for all rows together (and one more for each level
of a cascade), then everything is written. When a constraint refuses, nothing has been written.
"""

from __future__ import annotations

from collections.abc import Sequence

from rome.errors import InternalError
from rome.table.constraints import Change, DefaultOf, apply, no_default
from rome.table.inserting import bring
from rome.table.keys import Keys
from rome.table.rowcode import Row
from rome.table.schema import Catalog, Table
from rome.txn.transaction import Transaction
from rome.txn.wave import Step


def row_key_of(keys: Keys, table: Table, row: Row) -> bytes:
    """The key of a stored row, as `reader` gave it."""
    if not table.primary_key and len(row) == len(table.columns):
        raise InternalError(f"a row of table {table.name}, which has no primary key, came without its row number")
    return keys.row_key(table, keys.primary_values(table, row))


def insert(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    table: Table,
    rows: Sequence[Row],
    vacant: frozenset[bytes] = frozenset(),
) -> Step[None]:
    """Insert `rows`. Keys of theirs in `vacant` no one else can have: they need no round trip of their own.

    Raises NotNullViolation, UniqueViolation, ForeignKeyViolation, or DataError for a row or a key that is too large.
    """
    rows, vacant = with_row_numbers(tx, keys, table, rows, vacant)
    return bring(tx, keys, catalog, table, rows, vacant)


def with_row_numbers(
    tx: Transaction, keys: Keys, table: Table, rows: Sequence[Row], vacant: frozenset[bytes]
) -> tuple[list[Row], frozenset[bytes]]:
    """New rows as they will be stored, and which of their keys no one else can have: without a primary key, all."""
    if table.primary_key or not rows:
        return list(rows), vacant
    last = tx.increment(keys.row_number_key(table), len(rows))
    stored = [(*row[: len(table.columns)], last - len(rows) + 1 + at) for at, row in enumerate(rows)]
    return stored, frozenset(row_key_of(keys, table, row) for row in stored)


def put(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    table: Table,
    rows: Sequence[Row],
    changes: Sequence[tuple[Row, Row]],
    default_of: DefaultOf,
    vacant: frozenset[bytes],
) -> Step[None]:
    """Insert `rows`, which have their row numbers, and replace rows as `update` does, all as one statement."""
    inserted = [Change(table, None, row) for row in rows]
    updated = [Change(table, old, new) for old, new in changes]
    yield from apply(tx, keys, catalog, inserted + updated, default_of, vacant)


def update(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    table: Table,
    changes: Sequence[tuple[Row, Row]],
    default_of: DefaultOf = no_default,
) -> Step[int]:
    """Replace each old row by its new one, all at once; how many rows matched, changed or not.

    Uniqueness and references are judged on the state after the statement, so `SET id = id + 1` works. `default_of`
    gives the value of a column's default, for ON UPDATE SET DEFAULT. Errors as for `insert`.
    """
    paired: list[Change] = []
    for old, new in changes:
        if not table.primary_key:
            new = (*new[: len(table.columns)], old[len(table.columns)])
        paired.append(Change(table, old, new))
    yield from apply(tx, keys, catalog, paired, default_of)
    return len(paired)


def delete(
    tx: Transaction,
    keys: Keys,
    catalog: Catalog,
    table: Table,
    rows: Sequence[Row],
    default_of: DefaultOf = no_default,
) -> Step[int]:
    """Delete stored rows and what their foreign keys' actions take with them; how many of `rows` there were.

    Raises ForeignKeyViolation while a row is referenced, and what SET NULL or SET DEFAULT of a cascade may raise.
    """
    changes = [Change(table, row, None) for row in rows]
    yield from apply(tx, keys, catalog, changes, default_of)
    return len(changes)
