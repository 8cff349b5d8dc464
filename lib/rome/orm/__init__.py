"""SQLAlchemy's Session and Query on ROME's stores, with what the first version of ROME had beyond them.

    session          Session, Query
    engines          one engine for each URL of a process
    configuration    the store of a Session without a bind
    first_use        tables that appear when they are first used
    adoption         objects taken over from another Session
    soft_delete      rows that are marked as deleted
    matching         what Query.update_on_match compares
    deadlock         DBDeadlock, and the decorator that tries again
    entity           a mixin for mapped classes that save themselves
    lazy             a relationship whose query runs when somebody first looks
    secondary_index  a decorator that puts an index on an attribute
    json_values      dates and networks as JSON
    conversions      times as numbers
    objects          tables as dictionaries by key

docs/upstream.md has the first version's modules, and where each went.
"""

from __future__ import annotations

from sqlalchemy import and_, or_
from sqlalchemy.exc import InvalidRequestError, MultipleResultsFound, NoResultFound

from rome.orm.configuration import Configuration, get_config
from rome.orm.conversions import current_milli_time, datetime_to_int, merge_dicts
from rome.orm.deadlock import DBDeadlock, SessionDeadlock, retry_on_db_deadlock
from rome.orm.engines import create_engine, engine_of
from rome.orm.entity import Entity, global_scope
from rome.orm.json_values import Decoder, Encoder
from rome.orm.lazy import LazyRelationship
from rome.orm.secondary_index import secondary_index_decorator
from rome.orm.session import Query, Session

__all__ = [
    "Configuration",
    "DBDeadlock",
    "Decoder",
    "Encoder",
    "Entity",
    "InvalidRequestError",
    "LazyRelationship",
    "MultipleResultsFound",
    "NoResultFound",
    "Query",
    "Session",
    "SessionDeadlock",
    "and_",
    "create_engine",
    "current_milli_time",
    "datetime_to_int",
    "engine_of",
    "get_config",
    "global_scope",
    "merge_dicts",
    "or_",
    "retry_on_db_deadlock",
    "secondary_index_decorator",
]
