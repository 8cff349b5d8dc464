"""The decorator that runs a function again, by the first version's path."""

from __future__ import annotations

from rome.orm.deadlock import DBDeadlock, retry_on_db_deadlock

__all__ = ["DBDeadlock", "retry_on_db_deadlock"]
