"""The index decorator, by the first version's path."""

from __future__ import annotations

from rome.orm.secondary_index import secondary_index_decorator

__all__ = ["secondary_index_decorator"]
