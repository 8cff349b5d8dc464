"""JSON: what SQLAlchemy's `column["key"]` and `column[("path", 1)]` become.

An index is written as a path, `$."key"` or `$[0]`, so that a key is never taken for anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import types
from sqlalchemy.engine.interfaces import Dialect

from rome.sql.json_functions import path_of


class JSONIndexType(types.JSON.JSONIndexType):
    """column["key"] and column[0]; a negative place counts from the end."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return _path

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _literal


class JSONPathType(types.JSON.JSONPathType):
    """column[("key", 0, …)]."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return _path

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        return _literal


def _path(value: Any) -> str:
    return path_of((value,) if isinstance(value, (str, int)) else value)


def _literal(value: Any) -> str:
    return "'" + _path(value).replace("'", "''") + "'"
