"""Objects that one Session takes over from another.

The other Session lets them go, with what is reachable from them. Its transaction read their rows, this one's did not,
so before changes of them are written their rows are read again: had somebody changed them meanwhile, his change would
be lost without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from sqlalchemy import Column, inspect, select
from sqlalchemy.orm import InstanceState, Mapper, Session, object_session

from rome.orm.deadlock import SessionDeadlock


def take_from_others(session: Session, instance: Any) -> list[InstanceState[Any]]:
    """Take `instance` and what would be saved with it from other Sessions; the states of what was taken."""
    taken = []
    state = inspect(instance)
    reachable = [each[0] for each in state.mapper.cascade_iterator("save-update", state)]
    for each in (instance, *reachable):
        other = object_session(each)
        if other is not None and other is not session:
            other.expunge(each)
            taken.append(inspect(each))
    return taken


def check_adopted(session: Session, adopted: WeakSet[InstanceState[Any]]) -> None:
    """Read again the rows of those of `adopted` that are about to be changed; SessionDeadlock if one is another now."""
    for state in list(adopted):
        instance = state.obj()
        if instance is None or state.session is not session:
            adopted.discard(state)
        elif state.has_identity and (instance in session.deleted or session.is_modified(instance)):
            adopted.discard(state)
            _compare(session, state)


def _compare(session: Session, state: InstanceState[Any]) -> None:
    loaded = dict(_loaded(state))
    if not loaded:
        return
    mapper: Mapper[Any] = state.mapper
    columns = [getattr(mapper.class_, key) for key in loaded]
    keys = zip(mapper.primary_key, state.identity or (), strict=True)
    with session.no_autoflush:
        row = session.execute(select(*columns).where(*(column == value for column, value in keys))).first()
    if row is None:
        raise SessionDeadlock(f"{mapper.class_.__name__} {state.identity} was deleted since it was read")
    for key, now in zip(loaded, row, strict=True):
        if not mapper.attrs[key].columns[0].type.compare_values(loaded[key], now):
            raise SessionDeadlock(f"{key} of {mapper.class_.__name__} {state.identity} was changed since it was read")


def _loaded(state: InstanceState[Any]) -> Iterator[tuple[str, Any]]:
    """The column attributes of an object that were read, as they were."""
    for attribute in state.mapper.column_attrs:
        if isinstance(attribute.columns[0], Column):
            history = state.attrs[attribute.key].history
            before = history.deleted or history.unchanged
            if before:
                yield attribute.key, before[0]
