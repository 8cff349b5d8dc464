"""Rows that are marked as deleted, and queries that see the others.

A class takes part when it has a column `deleted` that holds the row's `id` once the row is deleted, as oslo.db's
SoftDeleteMixin and `rome.orm.Entity` have it. A boolean `deleted` is the application's own affair.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, ColumnElement, exc, or_
from sqlalchemy.orm import Mapper, registry, with_loader_criteria

READ_DELETED = ("no", "yes", "only")

_known: weakref.WeakKeyDictionary[registry, tuple[int, dict[str, list[Any]]]] = weakref.WeakKeyDictionary()


def utc_now(clock: Callable[[], float] = time.time) -> datetime:
    """The time in UTC, without a zone, as the columns of soft-deleted rows have it; `clock` gives seconds."""
    return datetime.fromtimestamp(clock(), UTC).replace(tzinfo=None)


def takes_part(mapper: Mapper[Any]) -> bool:
    """Whether rows of `mapper` can be marked as deleted."""
    columns = mapper.columns
    return "deleted" in columns and "id" in columns and not isinstance(columns["deleted"].type, Boolean)


def criteria(registries: Iterable[registry], read_deleted: str) -> list[Any]:
    """The options by which a statement over the classes of `registries` sees what `read_deleted` says."""
    if read_deleted not in READ_DELETED:
        raise exc.InvalidRequestError(f"read_deleted is 'no', 'yes' or 'only', not {read_deleted!r}")
    if read_deleted == "yes":
        return []
    options: list[Any] = []
    for each in registries:
        mappers = list(each.mappers)
        count, made = _known.get(each, (0, {}))
        if count != len(mappers):
            made = {"no": [], "only": []}
            for target in _targets(mappers):
                made["no"].append(with_loader_criteria(target, _live, include_aliases=True))
                made["only"].append(with_loader_criteria(target, _deleted, include_aliases=True))
            _known[each] = (len(mappers), made)
        options += made[read_deleted]
    return options


def _live(cls: Any) -> ColumnElement[bool]:
    return or_(cls.deleted.is_(None), cls.deleted != cls.id)


def _deleted(cls: Any) -> ColumnElement[bool]:
    return cls.deleted == cls.id  # type: ignore[no-any-return]


def _targets(mappers: list[Mapper[Any]]) -> Iterator[type]:
    """The fewest classes that stand for all of `mappers` that take part: a mixin, where all of its classes do."""
    taking_part = {mapper.class_: mapper for mapper in mappers if takes_part(mapper)}
    mapped = {mapper.class_ for mapper in mappers}
    found = set()
    for cls in taking_part:
        home = next((each for each in cls.__mro__ if "deleted" in vars(each)), cls)
        of_home = {each for each in mapped if issubclass(each, home)}
        found.add(home if of_home <= taking_part.keys() else cls)
    yield from found

