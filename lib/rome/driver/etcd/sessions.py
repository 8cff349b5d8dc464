"""Sessions of locks: each lives as long as a lease of etcd, by the cluster's clock, and has a key that names it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from rome.driver.etcd import layout
from rome.driver.etcd.channel import Method
from rome.driver.etcd.client import GRANT, KEEP_ALIVE, REVOKE, TIME_TO_LIVE, Client
from rome.driver.etcd.failures import LeaseGone
from rome.driver.etcd.layout import Layout
from rome.driver.etcd.messages import (
    LeaseGrantRequest,
    LeaseKeepAliveRequest,
    LeaseRevokeRequest,
    LeaseTimeToLiveRequest,
    Message,
    PutRequest,
    RequestOp,
    TxnRequest,
)
from rome.errors import InterfaceError

SESSION_BYTES: Final = 16
MIN_TTL_MS: Final = 2000  # etcd's: one and a half of its --election-timeout, 1 s unless it was told otherwise
MOST_KNOWN: Final = 4096


@dataclass(slots=True)
class Session:
    """What this process knows of a session. `ttl_s` is what was asked for when its lease was granted."""

    lease: int
    ttl_s: int
    label: bytes | None = None  # what its key says; None: there may be no key yet
    waiting: dict[bytes, int] = field(default_factory=dict)  # names in whose queues it stands, with its tokens there


class Sessions:
    """The sessions of one store."""

    def __init__(self, client: Client, keys: Layout) -> None:
        self._client = client
        self._keys = keys
        self._known: dict[bytes, Session] = {}
        self._spare: dict[int, tuple[int, float]] = {}  # by time: a lease that no session has yet, and since when

    def begin(self, session: bytes, ttl_ms: int) -> Session:
        """The session, which lives for `ttl_ms` from now on or is on the way to it: `keep_alive` goes with a call."""
        ttl_s = seconds(ttl_ms)
        known = self._find(session)
        if known is not None and known.ttl_s != ttl_s and not self._change_time(session, known, ttl_s):
            known = None
        if known is None:
            known = Session(self._spared(ttl_s) or self._client.grant(ttl_s), ttl_s)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()  # what is forgotten is asked for again
            self._known[session] = known
        return known

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        """As `Driver.renew`."""
        ttl_s = seconds(ttl_ms)
        known = self._find(session)
        if known is None:
            return False
        if known.ttl_s != ttl_s:
            return self._change_time(session, known, ttl_s)
        (answer,) = self._client.repeat([keep_alive(known)])
        if answer.ttl <= 0:
            self.forget(session)
        return bool(answer.ttl > 0)

    def end(self, session: bytes) -> None:
        """End it, and with it every key that is leased to it."""
        known = self._find(session)
        self.forget(session)
        if known is not None:
            # The next session of this process gets the lease that comes with the same answer.
            grant = (GRANT, LeaseGrantRequest(ttl=known.ttl_s))
            with suppress(LeaseGone):
                _, granted = self._client.repeat([(REVOKE, LeaseRevokeRequest(id=known.lease)), grant])
                self._spare[known.ttl_s] = (int(granted.id), self._client.clock())

    def _spared(self, ttl_s: int) -> int:
        """A lease that is kept for this, and has most of its time before it; 0 if there is none."""
        lease, since = self._spare.pop(ttl_s, (0, 0.0))
        return lease if self._client.clock() - since < ttl_s / 2 else 0

    def forget(self, session: bytes) -> None:
        """It ran out, or may have: look again before anything is said of it."""
        self._known.pop(session, None)

    def known(self, session: bytes) -> Session | None:
        """What this process knows of it without asking."""
        return self._known.get(session)

    def _find(self, session: bytes) -> Session | None:
        """The session, None if there is none; the store is asked if this process has not met it."""
        known = self._known.get(session)
        if known is not None:
            return known
        look = TxnRequest(success=[layout.get(self._keys.session(session))])
        kvs = self._client.transact(look).responses[0].response_range.kvs
        if not kvs or not kvs[0].lease:
            return None
        (answer,) = self._client.repeat([(TIME_TO_LIVE, LeaseTimeToLiveRequest(id=kvs[0].lease))])
        if answer.ttl <= 0:
            return None
        known = self._known[session] = Session(kvs[0].lease, int(answer.granted_ttl), kvs[0].value)
        return known

    def _change_time(self, session: bytes, known: Session, ttl_s: int) -> bool:
        """Give the session, and all keys leased to it, a lease of another length; False if it ran out.

        The length of a lease of etcd cannot be changed.
        """
        (old,) = self._client.repeat([(TIME_TO_LIVE, LeaseTimeToLiveRequest(id=known.lease, keys=True))])
        if old.ttl <= 0:
            self.forget(session)
            return False
        lease = self._client.grant(ttl_s)
        moves = [
            layout.when(
                [layout.exists(key)],
                [RequestOp(request_put=PutRequest(key=key, ignore_value=True, lease=lease))],
            )
            for key in old.keys
        ]
        for at in range(0, len(moves), layout.MAX_OPERATIONS // 2):
            self._client.transact(TxnRequest(success=moves[at : at + layout.MAX_OPERATIONS // 2]))
        self._revoke(known.lease)
        known.lease, known.ttl_s = lease, ttl_s
        return True

    def _revoke(self, lease: int) -> None:
        with suppress(LeaseGone):
            self._client.repeat([(REVOKE, LeaseRevokeRequest(id=lease))])


def keep_alive(known: Session) -> tuple[Method, Message]:
    """The call after which the session's time begins anew; its answer has the time left, 0 if it had run out."""
    return KEEP_ALIVE, LeaseKeepAliveRequest(id=known.lease)


def seconds(ttl_ms: int) -> int:
    """The whole seconds in which etcd counts, not less than it takes."""
    return -(-max(ttl_ms, MIN_TTL_MS) // 1000)


def check_session(session: bytes) -> None:
    """InterfaceError unless `session` can be one."""
    if len(session) != SESSION_BYTES:
        raise InterfaceError(f"a session is {SESSION_BYTES} random bytes, not {len(session)}")
