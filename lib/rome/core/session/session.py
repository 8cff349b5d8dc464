"""Session and its deadlocks, by the first version's path."""

from __future__ import annotations

from rome.orm.deadlock import DBDeadlock, SessionDeadlock
from rome.orm.session import Session

__all__ = ["DBDeadlock", "Session", "SessionDeadlock"]
