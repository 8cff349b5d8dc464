"""What a statement reaches: tables, mapped classes, and queries that say which rows they want."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Column, Executable, MetaData, Table, inspect
from sqlalchemy.orm import Mapper, registry
from sqlalchemy.orm.util import AliasedClass
from sqlalchemy.sql import visitors

READ_DELETED = "rome_read_deleted"  # the execution option by which a Query says so


class Reach(NamedTuple):
    """What `reach` finds in a statement, its subqueries included.

    metadata      of the tables
    registries    of the mapped classes
    read_deleted  what the queries in it say of rows that are marked as deleted
    """

    metadata: set[MetaData]
    registries: set[registry]
    read_deleted: set[str]


def reach(statement: Executable) -> Reach:
    """One walk through `statement`; a text of SQL reaches nothing."""
    found = Reach(set(), set(), set())
    entities: set[Any] = set()
    for part in visitors.iterate(statement):  # type: ignore[arg-type]
        table: Any = part.table if isinstance(part, Column) else part
        if isinstance(table, Table):
            found.metadata.add(table.metadata)
        entity = getattr(part, "entity_namespace", None)
        if isinstance(entity, type | AliasedClass):
            entities.add(entity)
        if isinstance(part, Executable):
            said = part.get_execution_options().get(READ_DELETED)
            if said is not None:
                found.read_deleted.add(said)
    for entity in entities:
        mapper = getattr(inspect(entity, raiseerr=False), "mapper", None)
        if isinstance(mapper, Mapper):
            found.registries.add(mapper.registry)
    return found
