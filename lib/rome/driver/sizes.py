"""The size checks that every driver makes before it sends anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rome.driver.api import Traits, Write
from rome.errors import DataError

_COUNTER_LIMIT = 1 << 63


def check_keys(traits: Traits, keys: Iterable[bytes]) -> None:
    """DataError if one of `keys` is longer than the store takes."""
    for key in keys:
        if len(key) > traits.max_key_bytes:
            raise DataError(
                f"a key of {len(key)} bytes is over the store's {traits.max_key_bytes}", sqlstate="54000"
            )


def check_writes(traits: Traits, writes: Sequence[Write]) -> None:
    """DataError if a key, a value or all of `writes` together (keys and values) are more than the store takes."""
    if not writes:
        return
    # In lists of numbers alone: of other objects so many at once would each time set off the collector of garbage.
    key_sizes = [len(key) for key, _ in writes]
    value_sizes = [len(value) for _, value in writes if value]
    if max(key_sizes) > traits.max_key_bytes:
        check_keys(traits, [key for key, _ in writes])
    if max(value_sizes, default=0) > traits.max_value_bytes:
        raise DataError(
            f"a value of {max(value_sizes)} bytes is over the store's {traits.max_value_bytes}", sqlstate="54000"
        )
    total = sum(key_sizes) + sum(value_sizes)
    if total > traits.max_commit_bytes:
        raise DataError(
            f"a commit of {total} bytes is over the store's {traits.max_commit_bytes}: change fewer rows at once",
            sqlstate="54000",
        )


def check_counter(number: int) -> int:
    """`number`, or DataError if a counter, a signed number of 64 bits, cannot hold it."""
    if not -_COUNTER_LIMIT <= number < _COUNTER_LIMIT:
        raise DataError("the counter would leave the range of 64 bits", sqlstate="22003")
    return number
