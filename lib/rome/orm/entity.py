"""Entity: a mixin for mapped classes that save themselves and act as dictionaries.

    @global_scope
    class Dog(Base, Entity):
        __tablename__ = "dogs"
        id = Column(Integer, primary_key=True)
        name = Column(String(255))

    Dog(name="Bobby").save()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self, TypeVar

from sqlalchemy import Column, DateTime, Integer, inspect
from sqlalchemy import orm as sqlalchemy_orm

from rome.orm.session import Session, keep_session, lasting_session
from rome.orm.soft_delete import utc_now

C = TypeVar("C", bound=type)

classes: dict[str, type] = {}
"""The classes of `global_scope`, by the names of their tables."""


def global_scope(cls: C) -> C:
    """Make the mapped class known by the name of its table, for `rome.driver.database_driver`."""
    classes[inspect(cls).local_table.name] = cls
    return cls


class Entity:
    """Columns of its own: created_at, updated_at, deleted_at, and `deleted`, which is the id of a deleted row.

    `save`, `delete` and `soft_delete` with a session leave the commit to it; without one they are a transaction of
    their own on the store of `Session()`.
    """

    created_at = Column(DateTime, default=utc_now)
    updated_at = Column(DateTime, onupdate=utc_now)
    deleted_at = Column(DateTime)
    deleted = Column(Integer, default=0)

    def save(self, session: sqlalchemy_orm.Session | None = None) -> Self:
        """Insert the row, or write what was changed."""
        if session is not None:
            session.add(self)
            session.flush()
            return self
        with Session(expire_on_commit=False) as own:
            own.add(self)
            own.commit()
        lasting = lasting_session()
        lasting.add(self)
        keep_session(lasting, self)
        return self

    def delete(self, session: sqlalchemy_orm.Session | None = None) -> None:
        """Delete the row."""
        if session is not None:
            session.delete(self)
            return
        with Session(expire_on_commit=False) as own:
            own.delete(self)
            own.commit()

    def soft_delete(
        self, session: sqlalchemy_orm.Session | None = None, *, now: Callable[[], datetime] = utc_now
    ) -> Self:
        """Mark the row as deleted, so that queries see it no more unless they ask for it."""
        self["deleted"] = self["id"]
        self["deleted_at"] = now()
        return self.save(session)

    def update(self, values: Mapping[str, Any]) -> Self:
        """Set several attributes; `save` or a session writes them."""
        for key, value in values.items():
            self[key] = value
        return self

    # ---- as a dictionary of its columns, and of relationships that are loaded

    def __getitem__(self, key: str) -> Any:
        self._known(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._known(key)
        setattr(self, key, value)

    def __contains__(self, key: str) -> bool:
        return hasattr(type(self), key)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.items())

    def get(self, key: str, default: Any = None) -> Any:
        """The attribute `key`, or `default` if there is none of that name."""
        return getattr(self, key, default)

    def keys(self) -> list[str]:
        """The names of the columns' attributes, and of the relationships that are loaded."""
        state = inspect(self)
        columns = [each.key for each in state.mapper.column_attrs]
        return columns + [each.key for each in state.mapper.relationships if each.key not in state.unloaded]

    def values(self) -> list[Any]:
        """The values of `keys`."""
        return [getattr(self, key) for key in self.keys()]

    def items(self) -> list[tuple[str, Any]]:
        """The pairs of `keys` and `values`."""
        return [(key, getattr(self, key)) for key in self.keys()]

    def to_dict(self) -> dict[str, Any]:
        """A new dictionary of `items`."""
        return dict(self.items())

    def _known(self, key: str) -> None:
        if not hasattr(type(self), key):
            raise KeyError(f"{type(self).__name__} has no attribute {key!r}")
