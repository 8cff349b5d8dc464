"""What `Query.update_on_match` compares, and what it says when no row, or more than one, is alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, inspect

try:
    from oslo_db.sqlalchemy.update_match import MultiRowsMatched, NoRowsMatched
except ImportError:

    class NoRowsMatched(Exception):  # type: ignore[no-redef]
        """No row has what the specimen has."""

    class MultiRowsMatched(Exception):  # type: ignore[no-redef]
        """More than one row has what the specimen has."""


def specimen_criteria(specimen: Any) -> list[ColumnElement[bool]]:
    """One condition for each column attribute that is set on `specimen`; a list or tuple is a choice of values."""
    state = inspect(specimen)
    mapper = state.mapper
    criteria = []
    for attribute in mapper.column_attrs:
        if attribute.key in state.dict:
            column, value = getattr(mapper.class_, attribute.key), state.dict[attribute.key]
            criteria.append(column.in_(value) if isinstance(value, list | tuple | set) else column == value)
    return criteria


__all__ = ["MultiRowsMatched", "NoRowsMatched", "specimen_criteria"]
