"""Deadlocks: what a Session raises when its transaction met another, and the decorator that runs a function again.

The exception is oslo.db's where oslo.db is installed, so that code which waits for one gets it from every database.
"""

from __future__ import annotations

import functools
import logging
import random
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

try:
    from oslo_db.exception import DBDeadlock
except ImportError:

    class DBDeadlock(Exception):  # type: ignore[no-redef]
        """A transaction met another and nothing of it was written: run it again. `inner_exception` says more."""

        def __init__(self, inner_exception: BaseException | None = None) -> None:
            super().__init__(str(inner_exception) if inner_exception is not None else "")
            self.inner_exception = inner_exception


class SessionDeadlock(DBDeadlock):
    """The DBDeadlock that a Session of ROME raises."""


ATTEMPTS = 100  # by then something holds the rows that will not let go: the caller must hear of it
FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.5

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger(__name__)


def retry_on_db_deadlock(
    function: Callable[P, R],
    *,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
) -> Callable[P, R]:
    """`function`, called again after every DBDeadlock, up to 100 times; the last one is the caller's.

    The pauses double from 10 ms to half a second, and each is drawn from half to one and a half of that. The function
    runs as a whole again, so it opens its Session itself.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, ATTEMPTS):
            try:
                return function(*args, **kwargs)
            except DBDeadlock as deadlock:
                _log.info("%s met a deadlock, attempt %d: %s", _name(function), attempt, deadlock)
            sleep(pause_s * (0.5 + jitter()))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        return function(*args, **kwargs)

    return wrapped


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


__all__ = ["DBDeadlock", "SessionDeadlock", "retry_on_db_deadlock"]
