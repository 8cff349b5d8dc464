"""A relationship whose query runs when somebody first looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Query

_OWN = ("query", "many", "data", "is_loaded", "_class", "info")


class LazyRelationship:
    """The results of `query`: a list with `many`, else its first result or None. It acts as what it stands for.

    `data` holds that once `is_loaded`; `info` is the caller's own.
    """

    def __init__(self, query: Query[Any], _class: type, many: bool = True, info: Any = None) -> None:
        self.query = query
        self.many = many
        self.data: Any = None
        self.is_loaded = False
        self._class = _class
        self.info = info

    @staticmethod
    def objects_of(candidate: Any) -> list[Any]:
        """What a Session has to do with: the objects of a loaded relationship, none of another, or `candidate`."""
        if not isinstance(candidate, LazyRelationship):
            return [candidate]
        if not candidate.is_loaded or candidate.data is None:
            return []
        return list(candidate.data) if candidate.many else [candidate.data]

    def load(self) -> Any:
        """Run the query, unless that was done; what this stands for."""
        if not self.is_loaded:
            self.data = self.query.all() if self.many else self.query.first()
            self.is_loaded = True
        return self.data

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in _OWN:  # copying and the like look for these before there is anything
            raise AttributeError(name)
        return getattr(self.load(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            super().__setattr__(name, value)
        else:
            setattr(self.load(), name, value)

    def __getitem__(self, key: Any) -> Any:
        return self.load()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.load())

    def __len__(self) -> int:
        return len(self.load())

    def __contains__(self, value: object) -> bool:
        return value in self.load()

    def __bool__(self) -> bool:
        return bool(self.load())

    def __eq__(self, other: object) -> bool:
        return bool(self.load() == (other.load() if isinstance(other, LazyRelationship) else other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.data) if self.is_loaded else f"<relationship to {self._class.__name__}, not loaded>"
