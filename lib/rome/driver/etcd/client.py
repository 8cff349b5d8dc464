"""Calls of etcd's API from one process: which member, how often, and what a lost answer means."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from rome.config import StoreURL
from rome.driver.etcd.channel import Channel, Method
from rome.driver.etcd.connections import Endpoints
from rome.driver.etcd.failures import FINAL, FOREIGN, failure, meaning
from rome.driver.etcd.messages import (
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveResponse,
    LeaseRevokeResponse,
    LeaseTimeToLiveResponse,
    Message,
    TxnResponse,
)
from rome.driver.pool import Pool
from rome.errors import OutcomeUnknown, Unavailable

TXN: Final = Method(b"/etcdserverpb.KV/Txn", TxnResponse)
GRANT: Final = Method(b"/etcdserverpb.Lease/LeaseGrant", LeaseGrantResponse)
REVOKE: Final = Method(b"/etcdserverpb.Lease/LeaseRevoke", LeaseRevokeResponse)
KEEP_ALIVE: Final = Method(b"/etcdserverpb.Lease/LeaseKeepAlive", LeaseKeepAliveResponse)
TIME_TO_LIVE: Final = Method(b"/etcdserverpb.Lease/LeaseTimeToLive", LeaseTimeToLiveResponse)

FIRST_WAIT_S: Final = 0.02  # before a second try; doubled each time
LONGEST_WAIT_S: Final = 0.1

T = TypeVar("T")


class Client:
    """The members of one cluster, and the connections of this process to them."""

    def __init__(
        self,
        url: StoreURL,
        place: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` in seconds, `sleep` takes seconds; `place` names the store in messages."""
        self.place = place
        self.sleep = sleep
        self.clock = clock
        self._read_s = int(url.option("read_timeout_ms")) / 1000
        self._retry_s = int(url.option("retry_ms")) / 1000
        self._endpoints = Endpoints(url, place, clock)
        most = int(url.option("max_connections"))
        self._connections = Pool(self._endpoints.open_one, Channel.close, most, self._read_s)

    def transact(self, request: Message) -> Message:
        """The answer to a transaction that may be sent again."""
        return self.repeat([(TXN, request)])[0]

    def repeat(self, calls: Sequence[tuple[Method, Message]]) -> list[Message]:
        """The answers to `calls`, sent at once; sent again when they are lost, so they must bear it."""
        return self._tried(lambda: self._use(self._take(), calls), lambda error: True)

    def once(self, request: Message, mark: bytes = b"") -> Message:
        """The answer to a transaction that must not run twice; OutcomeUnknown if it was sent and no verdict came."""

        def attempt() -> Message:
            channel = self._tried(self._take, lambda error: True)
            try:
                return self._use(channel, [(TXN, request)])[0]
            except Unavailable as error:
                if _is_lost(error):
                    raise OutcomeUnknown(f"{error}; it may have been done all the same", mark=mark) from error
                raise

        return self._tried(attempt, lambda error: not _is_lost(error))

    def grant(self, ttl_s: int, lease: int = 0) -> int:
        """A new lease, of the id `lease` if that is not 0."""
        answer = self.repeat([(GRANT, LeaseGrantRequest(ttl=ttl_s, id=lease))])[0]
        return int(answer.id)

    def close(self) -> None:
        """Close every connection; any call then raises InterfaceError."""
        self._connections.close()

    def check_open(self) -> None:
        """Raise InterfaceError if this is closed."""
        self._connections.check_open()

    def _tried(self, attempt: Callable[[], T], again: Callable[[Unavailable], bool]) -> T:
        """What `attempt` returns, tried again for a while when `again` says that it may be."""
        end = self.clock() + self._retry_s
        wait_s = 0.0
        while True:
            try:
                return attempt()
            except FINAL:
                raise
            except Unavailable as error:
                if not isinstance(error.__cause__, FOREIGN) or not again(error) or self.clock() + wait_s >= end:
                    raise
            self.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S) if wait_s else FIRST_WAIT_S

    def _use(self, channel: Channel, calls: Sequence[tuple[Method, Message]]) -> list[Message]:
        """The answers to `calls` over `channel`, which is given back."""
        try:
            answers = channel.exchange(calls, self._read_s)
        except FOREIGN as error:
            found = failure(error, self.place)
            if isinstance(found, Unavailable) and not isinstance(found, FINAL):
                self._connections.drop(channel)
                if meaning(error).elsewhere:
                    self._endpoints.pass_on()
            else:
                self._give_back(channel)
            raise found from error
        except BaseException:
            self._connections.drop(channel)
            raise
        self._give_back(channel)
        return answers

    def _take(self) -> Channel:
        return self._connections.take(Channel.idle_and_open)

    def _give_back(self, channel: Channel) -> None:
        if channel.usable:
            self._connections.keep(channel)
        else:
            self._connections.retire(channel)


def _is_lost(error: Unavailable) -> bool:
    """Whether the calls that ended so may have been done."""
    cause = error.__cause__
    return isinstance(cause, FOREIGN) and meaning(cause).lost
