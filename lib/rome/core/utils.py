"""Conversions and LazyRelationship, by the first version's path."""

from __future__ import annotations

from rome.orm.conversions import current_milli_time, datetime_to_int, merge_dicts
from rome.orm.lazy import LazyRelationship

__all__ = ["LazyRelationship", "current_milli_time", "datetime_to_int", "merge_dicts"]
