"""CREATE and DROP of what is not a table: views, sequences and indexes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rome.errors import DatabaseError, NotSupportedError, ProgrammingError, UndefinedObject, UndefinedTable
from rome.sql import syntax
from rome.sql.definition.creation import numbering_of
from rome.sql.definition.work import Work, ids_of, is_taken
from rome.sql.scope import did_you_mean
from rome.table import indexes, objects
from rome.table.schema import Catalog, Index, Sequence, Table, View
from rome.txn.wave import Step
from rome.values import Kind

AT_ONCE = 5000
"""How many rows CREATE INDEX CONCURRENTLY reads in one transaction, which a change of one of them lets begin again, and
how many entries DROP INDEX CONCURRENTLY erases.
"""


def create_view(work: Work, node: syntax.CreateView) -> Step[Catalog]:
    """Keep the text of a query. It must make sense now; whether it still does is seen when the view is used."""
    if node.if_not_exists and is_taken(work.catalog, node.name):
        return work.catalog
    draft = View(0, node.name, node.sql, node.columns)
    catalog = yield from objects.create_view(work.tx, work.keys, work.catalog, draft, node.replacing)
    work.hooks.view(catalog, catalog.views[node.name.lower()])
    return catalog


def drop_views(work: Work, node: syntax.DropView) -> Step[Catalog]:
    tables = work.catalog.tables
    if not node.if_exists:
        for name in node.names:
            if name.lower() in tables:
                raise ProgrammingError(f'"{name}" is a table, not a view', sqlstate="42809")
    seen = {name: view for name, view in work.catalog.views.items() if name not in tables}  # a temporary table hides
    return (yield from _drop(work, node, "view", seen, UndefinedTable))


def _drop(
    work: Work,
    node: syntax.DropView | syntax.DropSequence,
    kind: str,
    known: Mapping[str, View] | Mapping[str, Sequence],
    missing: type[DatabaseError],
) -> Step[Catalog]:
    dropped: dict[str, View | Sequence] = {}
    for name in node.names:
        found = known.get(name.lower())
        if found is not None:
            dropped[name.lower()] = found
        elif not node.if_exists:
            hint = did_you_mean(name, [each.name for each in known.values()])
            raise missing(f'{kind} "{name}" does not exist{hint}')
    if not dropped:
        return work.catalog
    return (yield from objects.drop(work.tx, work.keys, work.catalog, dropped.values()))


def create_sequence(work: Work, node: syntax.CreateSequence) -> Step[Catalog]:
    if node.if_not_exists and node.name.lower() in work.catalog.sequences:
        return work.catalog
    draft = Sequence(0, node.name, numbering_of(node.options, 1 << 63))
    return (yield from objects.create_sequence(work.tx, work.keys, work.catalog, draft))


def drop_sequences(work: Work, node: syntax.DropSequence) -> Step[Catalog]:
    return (yield from _drop(work, node, "sequence", work.catalog.sequences, UndefinedObject))


def create_index(work: Work, node: syntax.CreateIndex) -> Step[Catalog]:
    table = work.table(node.table)
    if node.if_not_exists and indexes.named(table.indexes, node.name) is not None:
        return work.catalog
    return (yield from indexes.create_index(work.tx, work.keys, work.catalog, table, _meant(table, node)))


def _meant(table: Table, node: syntax.CreateIndex) -> Index:
    ids, descending = ids_of(table, node.columns), ids_of(table, node.descending)
    _check_lengths(table, node, ids)
    return Index(0, node.name, ids, node.unique, descending=descending, lengths=node.lengths)


def change_concurrently(
    work: Work, node: syntax.CreateIndex | syntax.DropIndex, place: bytes | None
) -> Step[tuple[Catalog, bytes | None]]:
    """One transaction of what is written with CONCURRENTLY: the catalogue, and the place for the next one; None: done.

    `place` is None for the first one. What an earlier statement began is gone on with.
    """
    if isinstance(node, syntax.CreateIndex):
        return (yield from _build(work, node, place))
    return (yield from _erase(work, node, place))


def _build(work: Work, node: syntax.CreateIndex, place: bytes | None) -> Step[tuple[Catalog, bytes | None]]:
    """The place is the key of the row to go on with."""
    if node.unique:
        raise NotSupportedError("a UNIQUE index is made in one transaction: leave CONCURRENTLY out")
    table = work.table(node.table)
    index = indexes.named(table.indexes, node.name)
    if place is not None:
        if index is None:
            raise UndefinedObject(f'the index "{node.name}" was dropped while it was built')
        if not index.building:
            return work.catalog, None  # another statement has ended what both were building
        place = yield from indexes.fill_index(work.tx, work.keys, table, index, place, AT_ONCE)
        if place is not None:
            return work.catalog, place
        return (yield from indexes.end_index(work.tx, work.keys, work.catalog, table, index)), None
    meant = _meant(table, node)
    if index is None or not (index.building and replace(index, id=0, building=False) == meant):
        if index is not None and not index.building and node.if_not_exists:
            return work.catalog, None
        if table.temporary:
            return (yield from indexes.create_index(work.tx, work.keys, work.catalog, table, meant)), None
        return (yield from indexes.begin_index(work.tx, work.keys, work.catalog, table, meant)), b""
    return work.catalog, b""


def _check_lengths(table: Table, node: syntax.CreateIndex, ids: tuple[int, ...]) -> None:
    if node.unique and node.lengths:
        raise NotSupportedError(f"a UNIQUE index holds all of its columns: leave out the length in {node.name}")
    for place, length in zip(ids, node.lengths, strict=False):
        column = table.columns[table.position[place]]
        if length and column.type.kind not in (Kind.STRING, Kind.BYTES):
            raise ProgrammingError(f'column "{column.name}" is no string: an index holds all of it', sqlstate="42P17")


def drop_index(work: Work, node: syntax.DropIndex) -> Step[Catalog]:
    table = _owner(work, node)
    if table is None:
        return work.catalog
    return (yield from indexes.drop_index(work.tx, work.keys, work.catalog, table, node.name))


def _erase(work: Work, node: syntax.DropIndex, place: bytes | None) -> Step[tuple[Catalog, bytes | None]]:
    """The place is the id of the table that had the index."""
    if place is None:
        for table in _among(work, node):
            if indexes.named(table.dropped, node.name) and not indexes.named(table.indexes, node.name):
                return work.catalog, b"%d" % table.id
        owner = _owner(work, node)
        if owner is None:
            return work.catalog, None
        if owner.temporary:
            return (yield from indexes.drop_index(work.tx, work.keys, work.catalog, owner, node.name)), None
        catalog = yield from indexes.begin_drop(work.tx, work.keys, work.catalog, owner, node.name)
        return catalog, b"%d" % owner.id
    found = next((table for table in work.catalog.tables.values() if table.id == int(place)), None)
    if found is None or not found.dropped:
        return work.catalog, None  # another statement has ended what both were erasing, or dropped the table
    catalog, more = yield from indexes.erase_dropped(work.tx, work.keys, work.catalog, found, AT_ONCE)
    return catalog, place if more else None


def _owner(work: Work, node: syntax.DropIndex) -> Table | None:
    """The table whose index `node` names; None where it need not exist.

    Index names are unique within a table, so without ON the name must be that of one alone.
    """
    among = _among(work, node)
    owners = [table for table in among if indexes.named(table.indexes, node.name) is not None]
    if not owners:
        if node.if_exists:
            return None
        known = [index.name for table in among for index in table.indexes if index.name is not None]
        where = f' of table "{node.table}"' if node.table else ""
        raise UndefinedObject(f'index "{node.name}"{where} does not exist{did_you_mean(node.name, known)}')
    if len(owners) > 1:
        names = ", ".join(sorted(table.name for table in owners))
        raise ProgrammingError(f'several tables have an index "{node.name}": write DROP INDEX … ON one of {names}')
    return owners[0]


def _among(work: Work, node: syntax.DropIndex) -> list[Table]:
    """The tables that the index may belong to."""
    return list(work.catalog.tables.values()) if node.table is None else [work.table(node.table)]
