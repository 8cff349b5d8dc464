"""What INSERT … ON CONFLICT looks at: the stored rows that have a key of a row to insert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rome.driver.api import Scan
from rome.errors import InternalError
from rome.table.constraints import reads_of_insert
from rome.table.keys import Keys
from rome.table.paths import KeyPath, paths_of, reader
from rome.table.rowcode import Row
from rome.table.schema import Catalog, Index, Table
from rome.txn.wave import Step, Wave


class Proposed(NamedTuple):
    """A row to insert: its keys that no other row may have, and the stored rows that have one of them."""

    row: Row
    claims: tuple[bytes, ...]
    stored: tuple[Row, ...]


def key_paths(keys: Keys, catalog: Catalog, table: Table, wanted: Sequence[Index | None]) -> list[KeyPath]:
    """The paths of unique indexes of `table`; None is the primary key."""
    paths = paths_of(keys, catalog, table)
    by_index = dict(zip(table.indexes, paths.indexes, strict=True))
    return [paths.row if index is None else by_index[index] for index in wanted]


def claims_of(paths: Sequence[KeyPath], row: Row) -> tuple[bytes, ...]:
    """The keys of `row` along `paths`, without those in which a NULL lets other rows have the same."""
    return tuple(key for key, alone in [path.key(row) for path in paths] if alone)


def look_up(
    keys: Keys, catalog: Catalog, table: Table, paths: Sequence[KeyPath], rows: Sequence[Row], vacant: frozenset[bytes]
) -> Step[list[Proposed]]:
    """Which of `rows` meet a stored row along `paths`; one wave reads that and all that inserting them must check.

    `vacant` are keys of theirs that no one else can have. Raises NotNullViolation.
    """
    claims = [claims_of(paths, row) for row in rows]
    own = paths_of(keys, catalog, table).row
    in_indexes = {key for path in paths if path is not own for row in rows for key in claims_of([path], row)}
    entries = {key: Scan(key, key + b"\0", dereference=True) for claim in claims for key in claim if key in in_indexes}
    gets, unknown = reads_of_insert(keys, catalog, table, rows, vacant)
    gets = [key for key in gets if key not in entries]
    answer = yield Wave(gets, tuple(entries.values()), unknown)
    decode = reader(keys, table)
    claimed = {key for claim in claims for key in claim}
    stored = {
        key: decode(cell)
        for key, cell in zip((*gets, *unknown), answer.cells, strict=True)
        if cell is not None and key in claimed
    }
    for key, behind in zip(entries, answer.rows, strict=True):
        for cell in behind or ():
            if cell is None:
                raise InternalError(f"an entry of an index of table {table.name} has no row")
            stored[key] = decode(cell)
    return [
        Proposed(row, claim, tuple(stored[key] for key in claim if key in stored))
        for row, claim in zip(rows, claims, strict=True)
    ]
