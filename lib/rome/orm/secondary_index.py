"""`secondary_index_decorator`: an index on one attribute of a mapped class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Column, Index, inspect
from sqlalchemy.exc import ArgumentError

from rome.orm.first_use import SECONDARY, forget

C = TypeVar("C", bound=type)


def secondary_index_decorator(attribute: str) -> Callable[[C], C]:
    """Put an index on `attribute` of the decorated class, if its column has none.

    It is made with the table, and by a Session that opened its own engine, on a table that is there already too.
    """

    def decorate(cls: C) -> C:
        columns: Any = inspect(cls).column_attrs
        if attribute not in columns:
            raise ArgumentError(f"{cls.__name__} has no column {attribute!r} to put an index on")
        column: Any = columns[attribute].columns[0]
        table = column.table
        if not any(list(index.columns) == [column] for index in table.indexes) and not _leads_the_key(column):
            Index(f"ix_{table.name}_{column.name}", column, info={SECONDARY: True})
            forget(table.metadata)
        cls._secondary_indexes = [*getattr(cls, "_secondary_indexes", ()), attribute]  # type: ignore[attr-defined]
        return cls

    return decorate


def _leads_the_key(column: Column[Any]) -> bool:
    return list(column.table.primary_key.columns)[:1] == [column]
