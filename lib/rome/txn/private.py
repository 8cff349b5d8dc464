"""What one connection keeps to itself: cells that its transactions read and write like any other, and never send.

A transaction begins with these cells as if it had written them, and leaves behind what they are when it commits. So
they are read without a round trip, rolled back and replayed with everything else, and gone with the connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import repeat


class Private:
    """The cells and counters below `prefix`, as the last commit left them; for one thread at a time.

    `context` is the `Transaction.context` of that commit.
    """

    __slots__ = ("cells", "context", "counters", "prefix")

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self.cells: dict[bytes, bytes] = {}
        self.counters: dict[bytes, int] = {}
        self.context: object = None

    def owns(self, key: bytes) -> bool:
        return key.startswith(self.prefix)

    def owns_any(self, keys: Iterable[bytes]) -> bool:
        return any(map(bytes.startswith, keys, repeat(self.prefix)))

    def keep(self, written: Mapping[bytes, bytes | None], context: object) -> None:
        """Take over, from all that a transaction wrote before its commit, what is private."""
        self.cells = {key: value for key, value in written.items() if value is not None and self.owns(key)}
        self.context = context

    def increment(self, key: bytes, by: int, at_least: int) -> int:
        """As `Driver.increment`."""
        self.counters[key] = max(self.counters.get(key, 0), at_least) + by
        return self.counters[key]
