"""The named locks of the store that a Session without a bind is on."""

from __future__ import annotations

from functools import cache

from rome.lock import UnattendedLocks
from rome.orm.configuration import default_url


def get_driver() -> UnattendedLocks:
    """`lock(name, ttl_ms)` and `unlock(name)`; one object for each store in a process."""
    return _locks(default_url())


@cache
def _locks(url: str) -> UnattendedLocks:
    return UnattendedLocks(url)
