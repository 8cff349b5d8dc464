"""New rows, many at once: the cells that they make, column by column, and what must be so for them to be taken.

`bring` judges all rows together, by sets of keys, and so tells only whether all of them are taken. When one is not,
`constraints.apply` goes through them one by one, finds which and says why: it is the judge, and what was read is not
read again. So it does from the beginning where the rows are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, repeat
from typing import NamedTuple

from rome.table import rowcode
from rome.table.constraints import Change, apply, no_default, note_childless
from rome.table.keycode import encode_each
from rome.table.keys import MAX_INDEXED_BYTES, Keys, shortened
from rome.table.paths import KeyPath, TablePaths, paths_of
from rome.table.rowcode import Row
from rome.table.schema import Catalog, Table
from rome.txn.transaction import Transaction
from rome.txn.wave import Step, Wave, WaveResult

MANY_ROWS = 4  # from so many on it is less work to look at them together


class Arrival(NamedTuple):
    """What new rows of a table write, the keys that no other row may have, and those that must be there for them."""

    writes: dict[bytes, bytes]
    claims: list[bytes]
    parents: set[bytes]


def bring(
    tx: Transaction, keys: Keys, catalog: Catalog, table: Table, rows: Sequence[Row], vacant: frozenset[bytes]
) -> Step[None]:
    """Insert `rows`, which have their row numbers; errors and `vacant` as for `rows.insert`."""
    paths = paths_of(keys, catalog, table)
    arrival = _arrival(paths, rows) if len(rows) >= MANY_ROWS else None
    if arrival is None or not (yield from _may_come(tx, arrival, vacant)):
        yield from apply(tx, keys, catalog, [Change(table, None, row) for row in rows], no_default, vacant)
        return
    tx.write_all(arrival.writes)
    if paths.children:
        note_childless(tx, [(paths, row) for row in rows])


def _may_come(tx: Transaction, arrival: Arrival, vacant: frozenset[bytes]) -> Step[bool]:
    """Whether no other row has what the new rows claim, and the rows that they reference are there; one wave."""
    unclaimed = [key for key in arrival.claims if key in vacant] if vacant else []
    claims = [key for key in arrival.claims if key not in vacant] if vacant else arrival.claims
    hopes = dict.fromkeys(claims, False) | dict.fromkeys(arrival.parents, True)
    if not hopes and not unclaimed:
        return True
    recalled = tx.recall(hopes, unclaimed)
    if recalled is None:
        answer = yield Wave(list(hopes), (), unclaimed)
    else:
        answer = WaveResult([*recalled.values(), *repeat(None, len(unclaimed))], [], [])
    first, last = len(claims), len(hopes)
    there = answer.cells[first:last]
    return None not in there and answer.cells.count(None) == len(answer.cells) - len(there)


def _arrival(paths: TablePaths, rows: Sequence[Row]) -> Arrival | None:
    """What `rows` make; None if one of them, or two of them together, may have to be refused."""
    columns = list(zip(*rows, strict=True))
    if any(None in columns[place] for place in paths.not_null):
        return None
    encoded = {place: encode_each(columns[place]) for place in paths.encoded}
    width = len(paths.table.columns)
    stored = rows if paths.table.primary_key else [row[:width] for row in rows]
    values = list(map(rowcode.encoder(paths.table), stored))
    row_keys = _joined(paths.row.prefix, [encoded[place] for place in paths.row.places])
    if max(map(len, values)) > rowcode.MAX_ROW_BYTES or not _fit(paths.row, row_keys):
        return None
    writes = dict(zip(row_keys, values, strict=True))
    claims = [*row_keys]
    for path in paths.indexes:
        parts = [encoded[place] for place in path.places]
        for at, length in enumerate(path.lengths):
            if length:
                parts[at] = encode_each([shortened(value, length) for value in columns[path.places[at]]])
        made = _joined(path.prefix, parts)
        if path.unique:
            alone = _without_null(columns, path.places)
            claims += compress(made, alone)
        else:
            alone = [False] * len(rows)
        if not all(alone):
            identities = _joined(b"", [encoded[place] for place in path.identity])
            made = [key if only else key + each for key, only, each in zip(made, alone, identities, strict=True)]
        if not _fit(path, made):
            return None
        writes |= zip(made, row_keys, strict=True)
    if len(set(claims)) != len(claims):
        return None
    parents = set[bytes]()
    for parent in paths.parents:
        targets = _joined(parent.prefix, [encoded[place] for place in parent.places])
        parents.update(compress(targets, _without_null(columns, parent.places)))
    return Arrival(writes, claims, parents.difference(claims))


def _joined(prefix: bytes, parts: Sequence[list[bytes]]) -> list[bytes]:
    """For each row `prefix` and its encoded values."""
    return list(map(b"".join, zip(repeat(prefix), *parts)))  # noqa: B905 - `repeat` has no end


def _without_null(columns: Sequence[tuple[object, ...]], places: Sequence[int]) -> list[bool]:
    """Which rows have a value in each of the columns at `places`."""
    chosen = [columns[place] for place in places]
    if not any(None in column for column in chosen):
        return [True] * len(columns[0])
    return [None not in values for values in zip(*chosen, strict=True)]


def _fit(path: KeyPath, made: list[bytes]) -> bool:
    """Whether no key is so long that its values have to be looked at."""
    return len(max(made, key=len)) <= len(path.prefix) + MAX_INDEXED_BYTES
