"""CREATE and DROP of views and sequences. Steps as in `catalog`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rome.errors import DuplicateObject, DuplicateTable
from rome.table.catalog import check_vacant, next_version, save
from rome.table.keys import Keys
from rome.table.schema import Catalog, Sequence, View
from rome.txn.transaction import Transaction
from rome.txn.wave import Step


def create_view(tx: Transaction, keys: Keys, catalog: Catalog, draft: View, replacing: bool = False) -> Step[Catalog]:
    """Create the view that `draft` describes, its id given here; `replacing` a view of that name, if there is one."""
    if draft.name.lower() in catalog.tables:
        raise DuplicateTable(f'table "{draft.name}" already exists')
    before = catalog.views.get(draft.name.lower())
    if before is None or not replacing:
        check_vacant(catalog, draft.name)
    version = yield from next_version(tx, keys, catalog)
    view = replace(draft, id=version if before is None else before.id)
    return save(tx, keys, catalog, version, [view])


def create_sequence(tx: Transaction, keys: Keys, catalog: Catalog, draft: Sequence) -> Step[Catalog]:
    """Create the sequence that `draft` describes, its id given here."""
    if draft.name.lower() in catalog.sequences:
        raise DuplicateObject(f'sequence "{draft.name}" already exists')
    version = yield from next_version(tx, keys, catalog)
    return save(tx, keys, catalog, version, [replace(draft, id=version)])


def drop(tx: Transaction, keys: Keys, catalog: Catalog, dropped: Iterable[View | Sequence]) -> Step[Catalog]:
    """Drop views or sequences, whoever still uses them."""
    version = yield from next_version(tx, keys, catalog)
    return save(tx, keys, catalog, version, (), dropped)
