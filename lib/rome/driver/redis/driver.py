"""One handle on a Redis store: each call of the interface is one script, sent in one round trip."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import redis
from redis.connection import AbstractConnection

from rome.config import StoreURL
from rome.driver.api import (
    Cell,
    Expectation,
    ExpectCell,
    ExpectLock,
    Followed,
    Holding,
    Locking,
    Patience,
    Range,
    Reading,
    Scan,
    Scope,
    Traits,
    View,
    Write,
)
from rome.driver.lock_table import check_session
from rome.driver.pool import Pool
from rome.driver.redis import locks
from rome.driver.redis.connections import opener, unbroken
from rome.driver.redis.failures import FOREIGN, failure, meaning
from rome.driver.redis.scripts import Script, load
from rome.driver.redis.server import FORMAT, check_format, check_policy, check_replicas, check_role, read_policy
from rome.driver.sizes import check_counter, check_keys, check_writes
from rome.errors import (
    Conflict,
    DatabaseError,
    DataError,
    Deadlock,
    LeaseLost,
    OperationalError,
    OutcomeUnknown,
    ReadOnlyStore,
    Unavailable,
)

TRAITS = Traits(
    scope=Scope.STORE,
    snapshots=False,
    durable=True,  # as far as the server is: `RedisDriver` looks
    shared=True,
    remote=True,
    max_key_bytes=8192,
    max_value_bytes=16 << 20,
    max_commit_bytes=64 << 20,
)
MARK_KEPT_MS = 5 * 60 * 1000  # for so long `outcome` knows a commit that was applied
FENCE_KEPT_MS = 24 * 60 * 60 * 1000  # no network delivers a commit that is older than that
FIRST_WAIT_S = 0.02  # before a second try; doubled each time

_READ, _COMMIT, _OUTCOME, _INCREMENT, _CLEAR, _CLAIM = map(
    load, ("read", "commit", "outcome", "increment", "clear", "claim")
)
_LOCK, _RENEW, _UNLOCK, _LOCKS = map(load, ("lock", "renew", "unlock", "locks"))
_DELETE = _COMMIT.when_full()  # a commit that only deletes is how one makes room
_VERSION = struct.Struct(">Q")
_INFO = [b"INFO", b"memory", b"persistence", b"replication"]
_CONFLICTS = {
    1: "a row that this transaction read has changed: run it again",
    2: "a range that this transaction read has changed: run it again",
    3: "this commit was given up before it arrived: run it again",
}
_LOCK_LOST = 4

Arguments = list[bytes]
T = TypeVar("T")
Reply = Any  # what the client makes of the server's reply


class Answer(NamedTuple):
    """A script's reply, and whether as many replicas have it as were asked to."""

    reply: Reply
    confirmed: bool


class RedisDriver:
    """One handle on a Redis store; see `rome.driver.api.Driver` for what each method promises."""

    def __init__(self, url: StoreURL, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Open the store of `url`, and refuse a server on which it would not be safe."""
        assert url.server is not None
        self._place = f"{url.scheme} store {url.path} at {_address(url)}"
        self._sleep = sleep
        self._tries = 1 + int(url.option("retries"))
        self._replicas = int(url.option("wait_replicas"))
        self._wait = [b"WAIT", b"%d" % self._replicas, b"%d" % int(url.option("wait_ms"))]
        self._sentinel = bool(url.option("sentinel"))
        name = f"rome:{{{url.path}}}:".encode()
        self._mark = name + b"mark:"
        self._format, self._cells, self._order, self._commits, self._counters = (
            name + part for part in (b"format", b"cells", b"order", b"commits", b"counters")
        )
        self._sessions, self._places, self._locks, self._labels, self._tokens = (
            name + part for part in (b"sessions", b"places", b"locks", b"labels", b"tokens")
        )
        self._open_one = opener(url, self._place)
        patience_s = int(url.option("read_timeout_ms")) / 1000
        most = int(url.option("max_connections"))
        self._connections = Pool(self._connect, AbstractConnection.disconnect, most, patience_s)
        self.traits = TRAITS
        self._repeat(lambda connection: None)

    # The interface

    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: View | None = None,
        counts: Sequence[Range] = (),
    ) -> Reading:
        check_keys(TRAITS, gets)
        arguments = _expectations(expect)
        arguments += (b"%d" % len(gets), *gets, b"%d" % len(scans))
        for scan in scans:
            arguments += (
                (b"-[" if scan.reverse else b"[") + scan.start,
                b"(" + scan.stop,
                b"-1" if scan.limit is None else b"%d" % scan.limit,
                b"1" if scan.dereference else b"0",
                b"%d" % len(scan.follow),
            )
            for follow in scan.follow:
                arguments += (
                    b"%d" % follow.cut, follow.prefix, b"1" if follow.dereference else b"0", b"%d" % follow.rows,
                    b"%d" % len(follow.holding), *follow.holding, b"%d" % len(follow.sifting), *follow.sifting,
                )  # fmt: skip
        for start, stop in counts:
            arguments += (b"[" + start, b"(" + stop)
        keys = (self._cells, self._order, self._commits, self._locks, self._sessions)
        reply = self._repeat(lambda connection: _run(connection, _READ, keys, arguments))
        if type(reply) is int:
            raise _refusal(reply)
        version, values, *ranges = reply
        counted = ranges.pop() if counts else ()
        found = self._finder(*ranges[:1])(scans)
        belonging = self._finder(*ranges[1:])
        return Reading(
            version,
            None,
            _cells(gets, values),
            [each.cells for each in found],
            [each.rows for each in found],
            [
                scan.sifted(each.cells, each.rows, belonging) if scan.follow else []
                for scan, each in zip(scans, found, strict=True)
            ],
            counted,
        )

    def _finder(self, reply: Reply = ((), (), (), ())) -> Callable[[Sequence[Scan]], list[Followed]]:
        """What tells of the next scans what they found, from the cells of all of them one after another."""
        all_counts, names, values, all_stored = reply
        counts, entries, stored = iter(all_counts), iter(self._whole(_cells(names, values))), iter(all_stored)

        def find(scans: Sequence[Scan]) -> list[Followed]:
            cells = [list(islice(entries, count)) for count in islice(counts, len(scans))]
            named = [
                entry.value for scan, own in zip(scans, cells, strict=True) if scan.dereference for entry in own
            ]
            rows = iter(_cells(named, list(islice(stored, len(named)))))
            return [
                Followed(scan, own, list(islice(rows, len(own))) if scan.dereference else None)
                for scan, own in zip(scans, cells, strict=True)
            ]

        return find

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        if not writes:
            return self.read((), (), expect).version
        check_writes(TRAITS, writes)
        arguments = _expectations(expect)
        puts = [part for key, value in writes if value is not None for part in (key, value)]
        deletes = [key for key, value in writes if value is None]
        arguments += (b"%d" % MARK_KEPT_MS, b"%d" % (len(puts) // 2), *puts, b"%d" % len(deletes), *deletes)
        keys: tuple[bytes, ...] = (self._cells, self._order, self._commits, self._locks, self._sessions)
        if mark:
            keys += (self._mark + mark,)
        version, confirmed = self._once(_COMMIT if puts else _DELETE, keys, arguments, mark)
        if version <= _LOCK_LOST:
            raise _refusal(version)
        if not confirmed:
            raise self._unconfirmed("the commit", mark)
        return int(version)

    def outcome(self, mark: bytes) -> int | None:
        arguments = [b"%d" % MARK_KEPT_MS, b"%d" % FENCE_KEPT_MS]
        keys = (self._mark + mark,)
        version, confirmed = self._repeat(lambda connection: self._run_and_wait(connection, _OUTCOME, keys, arguments))
        if not confirmed:
            raise self._unconfirmed("the commit's fate", mark)
        return version or None

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        # Sent again when a reply was lost: the number drawn in vain stays unused, which no one is promised otherwise.
        check_keys(TRAITS, (key,))
        arguments = [key, b"%d" % check_counter(at_least), b"%d" % check_counter(by)]
        keys = (self._counters,)
        number, confirmed = self._repeat(
            lambda connection: self._run_and_wait(connection, _INCREMENT, keys, arguments)
        )
        if number is None:
            raise DataError("the counter would leave the range of 64 bits", sqlstate="22003")
        if not confirmed:
            raise Unavailable(f"{self._place}: too few replicas have the number drawn; it stays unused")
        return int(number)

    def clear(self, prefix: bytes) -> None:
        keys = (self._cells, self._order, self._commits, self._counters)
        _, confirmed = self._once(_CLEAR, keys, [prefix, b"[" + prefix, locks.above(prefix)], b"")
        if not confirmed:
            raise self._unconfirmed("the clearing", b"")

    def lock(
        self, session: bytes, names: Sequence[bytes], ttl_ms: int, patience: Patience, label: bytes = b""
    ) -> Locking:
        check_session(session)
        check_keys(TRAITS, names)
        asked = list(dict.fromkeys(names))
        slack_ms = 0 if self._replicas else max(ttl_ms, 0) // 4
        arguments = [session, _time(ttl_ms), b"%d" % slack_ms, patience.value.encode(), label]
        arguments += map(locks.escaped, asked)
        keys = (self._sessions, self._places, self._locks, self._labels, self._tokens, self._commits)
        reply, confirmed = self._repeat(lambda connection: self._run_and_wait(connection, _LOCK, keys, arguments))
        if type(reply) is int:
            raise Deadlock("sessions wait for each other's locks in a circle, and this one came last: begin anew")
        if not confirmed:
            raise self._unconfirmed_session()
        return locks.locking(names, asked, reply)

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        arguments = [session, _time(ttl_ms)]
        keys = (self._sessions,)
        lives, confirmed = self._repeat(lambda connection: self._run_and_wait(connection, _RENEW, keys, arguments))
        if lives and not confirmed:
            raise self._unconfirmed_session()
        return bool(lives)

    def unlock(self, session: bytes, names: Sequence[bytes] | None = None) -> None:
        # Replicas are not waited for: what they do not have of it, time brings about.
        if names is None or names:
            arguments = [session, *map(locks.escaped, names or ())]
            keys = (self._sessions, self._places, self._locks, self._labels)
            self._repeat(lambda connection: _run(connection, _UNLOCK, keys, arguments))

    def locks(self, prefix: bytes = b"") -> list[Holding]:
        keys = (self._sessions, self._places, self._locks, self._labels)
        arguments = locks.beginning_with(prefix)
        return locks.holdings(self._repeat(lambda connection: _run(connection, _LOCKS, keys, arguments)))

    def release(self, view: View) -> None:
        """There are no views here; any is taken and nothing is done."""

    def close(self) -> None:
        self._connections.close()

    # Round trips

    def _connect(self) -> AbstractConnection:
        """A connection to a server that was looked at."""
        connection = self._open_one()
        try:
            check_role(connection, self._place, self._sentinel)
            found, info = _exchange(connection, [[b"GET", self._format], _INFO])
            policy = read_policy(info)
            check_policy(policy, self._place)
            if self._sentinel:
                check_replicas(policy, self._replicas, self._place)
            self.traits = replace(TRAITS, durable=policy.persists)
            if found is None:
                keys = (self._format, self._cells, self._order, self._commits, self._counters)
                found = _run(connection, _CLAIM, keys, [FORMAT])
            check_format(found, self._place)
        except FOREIGN as error:
            connection.disconnect()
            raise self._failure(error) from error
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _tried(self, attempt: Callable[[], T]) -> T:
        """What `attempt` returns, tried again while it finds the store out of reach."""
        for tried in range(self._tries):
            if tried > 1:
                self._sleep(FIRST_WAIT_S * 2 ** (tried - 2))
            try:
                return attempt()
            except Unavailable as error:
                if tried == self._tries - 1 or not isinstance(error.__cause__, FOREIGN):
                    raise
        raise AssertionError("there is at least one try")

    def _repeat(self, work: Callable[[AbstractConnection], T]) -> T:
        """What `work` makes of a connection; on another one if that was lost, so it must bear to be done again."""
        return self._tried(lambda: self._use(self._connections.take(), work))

    def _once(self, script: Script, keys: tuple[bytes, ...], arguments: Arguments, mark: bytes) -> Answer:
        """The answer of a script that must not run twice; OutcomeUnknown if it was sent and no reply came."""
        connection = self._tried(lambda: self._connections.take(unbroken))
        try:
            return self._use(connection, lambda connection: self._run_and_wait(connection, script, keys, arguments))
        except Unavailable as error:
            if isinstance(error.__cause__, FOREIGN) and meaning(error.__cause__).lost:
                raise OutcomeUnknown(f"{error}; it may have been done all the same", mark=mark) from error
            raise

    def _use(self, connection: AbstractConnection, work: Callable[[AbstractConnection], T]) -> T:
        """What `work` makes of `connection`, which is given back."""
        try:
            result = work(connection)
        except FOREIGN as error:
            found = self._failure(error)
            if isinstance(error, redis.ResponseError) and not isinstance(found, ReadOnlyStore | Unavailable):
                self._connections.keep(connection)
            else:
                self._connections.drop(connection)
            raise found from error
        except BaseException:
            self._connections.drop(connection)
            raise
        self._connections.keep(connection)
        return result

    def _run_and_wait(
        self, connection: AbstractConnection, script: Script, keys: tuple[bytes, ...], arguments: Arguments
    ) -> Answer:
        """The answer of a script that writes."""
        if not self._replicas:
            return Answer(_run(connection, script, keys, arguments), True)
        reply, confirmations = _run_all(connection, script, keys, arguments, [self._wait])
        return Answer(reply, confirmations >= self._replicas)

    def _failure(self, error: Exception) -> DatabaseError:
        if self._sentinel and isinstance(error, redis.exceptions.ReadOnlyError):
            return Unavailable(f"{self._place}: the server has become a replica: a failover is under way ({error})")
        return failure(error, self._place)

    def _unconfirmed(self, what: str, mark: bytes) -> OutcomeUnknown:
        return OutcomeUnknown(f"{self._place}: {what} is on the primary, but not on enough replicas yet", mark=mark)

    def _unconfirmed_session(self) -> Unavailable:
        return Unavailable(f"{self._place}: the primary has it, but too few replicas yet: ask again")

    def _whole(self, cells: list[Cell | None]) -> list[Cell]:
        """`cells`, which the order of keys names; OperationalError if one is missing."""
        if None in cells:
            raise OperationalError(f"{self._place}: a key has no value: something else changed the store")
        return cells  # type: ignore[return-value]


def _run(connection: AbstractConnection, script: Script, keys: tuple[bytes, ...], arguments: Arguments) -> Reply:
    """The reply of `script`; the server is given its text if it does not know it yet."""
    return _run_all(connection, script, keys, arguments, [])[0]


def _run_all(
    connection: AbstractConnection,
    script: Script,
    keys: tuple[bytes, ...],
    arguments: Arguments,
    commands: list[Arguments],
) -> list[Reply]:
    """The replies of `script` and of `commands` after it, all sent at once."""
    rest = [b"%d" % len(keys), *keys, *arguments]
    try:
        return _exchange(connection, [[b"EVALSHA", script.digest, *rest], *commands])
    except redis.exceptions.NoScriptError:
        return _exchange(connection, [[b"EVAL", script.text, *rest], *commands])


def _exchange(connection: AbstractConnection, commands: list[Arguments]) -> list[Reply]:
    """The replies to `commands`, sent at once; an error among them is raised when all have come."""
    connection.send_packed_command(
        [part for command in commands for part in connection.pack_command(*command)], check_health=False
    )
    replies: list[Reply] = []
    refusal: redis.ResponseError | None = None
    for _ in commands:
        try:
            replies.append(connection.read_response())
        except redis.ResponseError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal
    return replies


def _expectations(expect: Sequence[Expectation]) -> Arguments:
    """`expect` as the scripts read it."""
    keys: Arguments = []
    versions: list[int] = []
    ranges: Arguments = []
    held: Arguments = []
    for expectation in expect:
        if isinstance(expectation, ExpectCell):
            keys.append(expectation.key)
            versions.append(expectation.version)
        elif isinstance(expectation, ExpectLock):
            held.append(locks.held(expectation))
        else:
            start, stop, count = expectation.start, expectation.stop, expectation.cells
            ranges += (b"[" + start, b"(" + stop, b"%d" % expectation.version, b"%d" % count)
    stamps = struct.pack(f">{len(versions)}Q", *versions)
    return [b"%d" % len(held), *held, b"%d" % len(keys), *keys, stamps, b"%d" % (len(ranges) // 4), *ranges]


def _refusal(code: int) -> Conflict | LeaseLost:
    """The error for what expect.lua and commit.lua found."""
    if code == _LOCK_LOST:
        return LeaseLost("the lease that this commit was made under is lost: nothing was written; take it again")
    return Conflict(_CONFLICTS[code])


def _time(ttl_ms: int) -> bytes:
    return b"%d" % max(ttl_ms, TRAITS.min_ttl_ms)


def _cells(keys: Sequence[bytes], values: Sequence[bytes | None]) -> list[Cell | None]:
    """The cells at `keys` from what is stored there."""
    version_of = _VERSION.unpack_from
    return [
        None if stored is None else Cell(key, stored[8:], version_of(stored)[0])
        for key, stored in zip(keys, values, strict=True)
    ]


def _address(url: StoreURL) -> str:
    """Where the server of `url` is, without the user and the password."""
    if path := url.option("unix_socket"):
        return str(path)
    if name := url.option("sentinel"):
        return f"{name} of {url.option('hosts')}"
    assert url.server is not None
    return f"{url.server.host}:{url.server.port}"
