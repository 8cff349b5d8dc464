"""Session and Query: SQLAlchemy's, with what the first version of ROME had beyond them.

    session = Session()                                              # the store of ROME_URL or rome.conf
    session = Session("rome+lmdb:////var/lib/glance/rome")           # or of a URL, or with an Engine as `bind`

Sessions and queries are SQLAlchemy's own in every respect but those that the two classes name.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy
from sqlalchemy import Engine, MetaData, event, inspect
from sqlalchemy import exc as sqlalchemy_exc
from sqlalchemy import orm as sqlalchemy_orm
from sqlalchemy.orm import InstanceState, Mapper

from rome.lock import Lease
from rome.orm import soft_delete
from rome.orm.adoption import check_adopted, take_from_others
from rome.orm.configuration import default_url
from rome.orm.engines import engine_of
from rome.orm.first_use import make_tables, make_tables_within, missing
from rome.orm.lazy import LazyRelationship
from rome.orm.matching import MultiRowsMatched, NoRowsMatched, specimen_criteria
from rome.orm.reach import READ_DELETED, reach

_SESSIONS = (sqlalchemy_orm.Session, sqlalchemy_orm.scoped_session)
_LOCK_MODES: dict[str, dict[str, Any]] = {
    "read": {"read": True},
    "update": {},
    "update_nowait": {"nowait": True},
}
_kept: weakref.WeakKeyDictionary[InstanceState[Any], Session] = weakref.WeakKeyDictionary()


class Query(sqlalchemy_orm.Query[Any]):
    """SQLAlchemy's Query, also by itself: `Query(Dog, Dog.name, session)`, the session in any place or none.

    Without one each statement is a transaction of its own on the store of `Session()`. A query sees no rows that are
    marked as deleted (`rome.orm.soft_delete`), in joins and relationships neither, unless `read_deleted` is "yes", or
    "only", which sees nothing else.
    """

    def __init__(self, *entities: Any, session: Any = None) -> None:
        if entities and isinstance(entities[0], list | tuple):  # as Session.query makes it
            entities = (*entities[0], *entities[1:])
        sessions = [each for each in entities if isinstance(each, _SESSIONS)]
        if session is None:
            session = sessions[0] if sessions else lasting_session()
        super().__init__([each for each in entities if each is not None and not isinstance(each, _SESSIONS)], session)
        self.read_deleted = "no"

    def all(self, filter_deleted: bool = False) -> list[Any]:
        """All results; `filter_deleted` is `read_deleted="no"` for this one time."""
        return super(Query, self._read("no") if filter_deleted else self).all()

    def first(self, filter_deleted: bool = False) -> Any:
        """The first result or None; `filter_deleted` is `read_deleted="no"` for this one time."""
        return super(Query, self._read("no") if filter_deleted else self).first()

    def _read(self, read_deleted: str) -> Query:
        query = self.enable_assertions(True)  # a copy
        query.read_deleted = read_deleted
        return query

    def with_lockmode(self, mode: str | None) -> Query:
        """FOR UPDATE: "update", "update_nowait" or "read"; None is no lock."""
        if mode is None:
            return self
        if mode not in _LOCK_MODES:
            raise sqlalchemy_exc.ArgumentError(f"a lock mode is one of {', '.join(_LOCK_MODES)}, not {mode!r}")
        return self.with_for_update(**_LOCK_MODES[mode])

    def soft_delete(
        self, synchronize_session: Any = "auto", *, now: Callable[[], datetime] = soft_delete.utc_now
    ) -> int:
        """Mark the rows of the query as deleted, `updated_at` as it was; how many they were."""
        entity = self._entity()
        if not soft_delete.takes_part(entity):
            raise sqlalchemy_exc.InvalidRequestError(
                f"{entity.class_.__name__} has no columns `id` and `deleted` by which its rows are marked as deleted"
            )
        values: dict[Any, Any] = {"deleted": entity.class_.id}
        if "deleted_at" in entity.columns:
            values["deleted_at"] = now()
        if "updated_at" in entity.columns:
            values["updated_at"] = entity.class_.updated_at
        return self.update(values, synchronize_session=synchronize_session)

    def update_on_match(self, specimen: Any, surrogate_key: str, values: Mapping[str, Any]) -> Any:
        """Set `values` on the one row that has all that is set on `specimen`, in one UPDATE; its object.

        A list on the specimen is a choice of values. `surrogate_key` is the attribute of the specimen that tells the
        row from all others. Raises NoRowsMatched, and MultiRowsMatched with nothing changed.
        """
        entity = self._entity()
        key = getattr(specimen, surrogate_key, None)
        if key is None:
            raise sqlalchemy_exc.InvalidRequestError(f"the specimen needs a value of {surrogate_key!r}")
        matching = self.filter(*specimen_criteria(specimen))
        found = matching.count()
        if found > 1:
            raise MultiRowsMatched(f"{found} rows of {entity.class_.__name__} match the specimen")
        if not matching.update({key: each for key, each in values.items()}, synchronize_session="fetch"):
            raise NoRowsMatched(f"no row of {entity.class_.__name__} matches the specimen")
        changed = Query(entity.class_, self.session)._read("yes")
        return changed.filter(getattr(entity.class_, surrogate_key) == key).populate_existing().one()

    def _entity(self) -> Mapper[Any]:
        described = self.column_descriptions
        entity = described[0]["entity"] if described else None
        if entity is None:
            raise sqlalchemy_exc.InvalidRequestError("the query must be of a mapped class: Query(Dog), for example")
        return inspect(entity).mapper  # type: ignore[no-any-return]


class Session(sqlalchemy_orm.Session):
    """SQLAlchemy's Session; its first argument may be a store URL, or nothing: then `rome.orm.configuration` has it.

    On an engine that the Session opened so, and not on one it was given, missing tables are made when a statement
    first touches them, and a transaction that met another is SessionDeadlock, which is a DBDeadlock. Objects of another
    living Session can be added and deleted; they then belong to this one, and if their rows have changed since they
    were read, that too is a SessionDeadlock.
    """

    def __init__(
        self,
        bind: str | Engine | sqlalchemy.Connection | None = None,
        *,
        check_version_numbers: bool = True,
        **options: Any,
    ) -> None:
        """Without `check_version_numbers` transactions are READ COMMITTED: the later of two changes of a row stays."""
        self.opened: Engine | None = None  # the engine of a URL
        if bind is None and not options.get("binds"):
            bind = default_url()
        if isinstance(bind, str):
            bind = self.opened = engine_of(bind)
        if not check_version_numbers and isinstance(bind, Engine):
            bind = bind.execution_options(isolation_level="READ COMMITTED")
        self._connection: sqlalchemy.Connection | None = None  # once the transaction has looked at the store
        self._made: set[MetaData] = set()
        self._adopted: weakref.WeakSet[InstanceState[Any]] = weakref.WeakSet()
        super().__init__(bind, **{"query_cls": Query, **options})

    def begin(self, nested: bool = False, *, under: Lease | None = None) -> sqlalchemy_orm.SessionTransaction:
        """SQLAlchemy's `begin`. `under` is a lease of `rome.lock` for this one transaction.

        Its commit is LeaseLost, and nothing is written, if the lease is held no more when it reaches the store. With
        other Session classes say `session.connection(execution_options={"rome_lease": lease})` first of all.
        """
        if nested and under is not None:
            raise sqlalchemy_exc.InvalidRequestError("a whole transaction runs under a lease, not a savepoint of one")
        transaction = super().begin(nested)
        if under is not None:
            try:
                self.connection(execution_options={"rome_lease": under})
            except BaseException:
                transaction.close()
                raise
        return transaction

    def get_bind(self, mapper: Any = None, *, clause: Any = None, **options: Any) -> Engine | sqlalchemy.Connection:
        """SQLAlchemy's `get_bind`, which every flush passes: it makes the tables that are used first."""
        bind = super().get_bind(mapper, clause=clause, **options)
        if mapper is not None:
            self.make_tables({each.metadata for each in inspect(mapper).mapper.tables})
        return bind

    def add(self, *instances: Any, _warn: bool = True) -> None:
        """SQLAlchemy's `add`, of one object or several, of another living Session too."""
        for instance in self._own(instances):
            super().add(instance, _warn=_warn)

    def update(self, *instances: Any) -> None:
        """The first version's name for `add`."""
        self.add(*instances)

    def delete(self, *instances: Any) -> None:
        """SQLAlchemy's `delete`, of one object or several, of another living Session too."""
        for instance in self._own(instances):
            super().delete(instance)

    def delete_all(self, instances: Iterable[Any]) -> None:
        """SQLAlchemy's `delete_all`."""
        self.delete(*instances)

    def make_tables(self, used: set[MetaData]) -> None:
        """Make the tables of `used` that the store has not, if this Session opened its engine."""
        if self.opened is None or not missing(self.opened, used - self._made):
            return
        if self._connection is None:
            make_tables(self.opened, used)
        else:
            made = used - self._made
            self._made |= made  # until the transaction ends, for it may be rolled back
            make_tables_within(self._connection, made)

    def _own(self, instances: Iterable[Any]) -> list[Any]:
        """The objects of `instances`, taken from the Sessions that they belong to."""
        loaded = [each for instance in instances for each in LazyRelationship.objects_of(instance)]
        for each in loaded:
            self._adopted.update(take_from_others(self, each))
        return loaded


def lasting_session() -> Session:
    """A Session without a bind whose statements are transactions of their own; it lasts as long as what it loaded."""
    session = Session(default_url(), expire_on_commit=False)
    session.bind = engine_of(default_url()).execution_options(isolation_level="AUTOCOMMIT")
    event.listen(session, "loaded_as_persistent", keep_session)
    event.listen(session, "persistent_to_detached", _let_go)
    return session


def keep_session(session: Session, instance: Any) -> None:
    """Keep `session` while `instance` lives, so that its relationships can be loaded."""
    _kept[inspect(instance)] = session


def _let_go(session: Session, instance: Any) -> None:
    _kept.pop(inspect(instance), None)


@event.listens_for(Session, "after_begin", propagate=True)
def _connected(session: Session, transaction: Any, connection: sqlalchemy.Connection) -> None:
    session._connection = connection


@event.listens_for(Session, "after_transaction_end", propagate=True)
def _ended(session: Session, transaction: sqlalchemy_orm.SessionTransaction) -> None:
    session._made.clear()  # what a savepoint made may be gone: look again
    if transaction.parent is None:
        session._connection = None


@event.listens_for(Session, "before_flush", propagate=True)
def _check_adopted(session: Session, flush_context: Any, instances: Any) -> None:
    check_adopted(session, session._adopted)


@event.listens_for(Session, "do_orm_execute", propagate=True)
def _before_statement(state: sqlalchemy_orm.ORMExecuteState) -> None:
    """Make the tables that are used first, and leave out the rows that its queries do not want."""
    session, found = state.session, reach(state.statement)
    if isinstance(session, Session):
        session.make_tables(found.metadata)
    said = found.read_deleted | {state.execution_options.get(READ_DELETED, "")} - {""}
    if len(said) > 1:
        raise sqlalchemy_exc.InvalidRequestError(
            "a statement reads deleted rows in one way: set the same read_deleted on all of its queries"
        )
    for read_deleted in said:
        state.statement = state.statement.options(*soft_delete.criteria(found.registries, read_deleted))


@event.listens_for(Query, "before_compile", retval=True, propagate=True, bake_ok=True)
def _say_read_deleted(query: Query) -> Query:
    return query.execution_options(**{READ_DELETED: query.read_deleted})


@event.listens_for(Query, "before_compile_update", retval=True, propagate=True)
@event.listens_for(Query, "before_compile_delete", retval=True, propagate=True)
def _say_read_deleted_of_changes(query: Query, context: Any) -> Query:
    return query.execution_options(**{READ_DELETED: query.read_deleted})


__all__ = ["Query", "Session", "keep_session", "lasting_session"]
