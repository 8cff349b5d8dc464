"""Marks of commits: one key each, that a lease of etcd removes when no one can ask any more."""

from __future__ import annotations

from typing import Final

from rome.driver.etcd import layout
from rome.driver.etcd.client import Client
from rome.driver.etcd.layout import Layout
from rome.driver.etcd.messages import Message

MARK_KEPT_S: Final = 5 * 60  # for so long `outcome` knows a commit that was applied
FENCE_KEPT_S: Final = 24 * 60 * 60  # no network delivers a commit that is older than that
LEASE_USED_S: Final = 60  # one lease serves all marks of a process for so long
APPLIED: Final = b"1"
FENCED: Final = b"0"


class Marks:
    """The marks of one store, as this process puts them."""

    def __init__(self, client: Client, keys: Layout) -> None:
        self._client = client
        self._keys = keys
        self._lease = (0, 0.0)  # its id, and when it was granted; two threads may each have one granted, no harm

    def key(self, mark: bytes) -> bytes:
        return self._keys.marks + mark

    def put(self, mark: bytes) -> list[Message]:
        """The operations that keep `mark` as that of an applied commit; none for no mark."""
        return [layout.put(self.key(mark), APPLIED, self._leased())] if mark else []

    def absent(self, mark: bytes) -> list[Message]:
        """What must hold for a commit marked `mark` to be made."""
        return [layout.absent(self.key(mark))] if mark else []

    def fence(self, mark: bytes) -> Message:
        """The operation that keeps `mark` from ever being applied."""
        return layout.put(self.key(mark), FENCED, self._client.grant(FENCE_KEPT_S))

    def forget_lease(self) -> None:
        """The lease of marks ran out: put the next one under another."""
        self._lease = (0, 0.0)

    def _leased(self) -> int:
        lease, granted = self._lease
        now = self._client.clock()
        if not lease or now - granted > LEASE_USED_S:
            lease = self._client.grant(LEASE_USED_S + MARK_KEPT_S)
            self._lease = (lease, now)
        return lease
