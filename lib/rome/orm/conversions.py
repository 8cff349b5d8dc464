"""Small conversions that the first version's users import: times as numbers, two dictionaries as one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def merge_dicts(dict1: Mapping[K, V], dict2: Mapping[K, V]) -> dict[K, V]:
    """A new dictionary with what is in both; for a key of both, the value of `dict2`."""
    return {**dict1, **dict2}


def datetime_to_int(date_object: datetime) -> int:
    """Whole seconds since the epoch; a datetime without a zone is local time."""
    return int(date_object.timestamp())


def current_milli_time(clock: Callable[[], float] = time.time) -> int:
    """Milliseconds since the epoch; `clock` gives seconds."""
    return round(clock() * 1000)
