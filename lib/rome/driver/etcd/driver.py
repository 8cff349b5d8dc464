"""One handle on an etcd store: reads at one revision, commits of comparisons and writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from rome.config import StoreURL
from rome.driver.api import Expectation, Holding, Locking, Patience, Range, Reading, Scan, Scope, Traits, View, Write
from rome.driver.etcd import layout
from rome.driver.etcd.channel import Broken
from rome.driver.etcd.client import Client
from rome.driver.etcd.failures import LeaseGone
from rome.driver.etcd.large import Gate, Plan, decided_at, mark_of
from rome.driver.etcd.layout import FORMAT, MAX_OPERATIONS, Layout, transaction
from rome.driver.etcd.locks import Locks
from rome.driver.etcd.marks import FENCED, Marks
from rome.driver.etcd.messages import Message, TxnRequest
from rome.driver.etcd.reader import ROW_CHANGED, Reader
from rome.driver.etcd.sessions import MIN_TTL_MS
from rome.driver.sizes import check_counter, check_keys, check_writes
from rome.errors import Conflict, InterfaceError, OperationalError, Unavailable

TRAITS = Traits(
    scope=Scope.STORE,
    snapshots=True,
    durable=True,
    shared=True,
    remote=True,
    max_key_bytes=8192,
    max_value_bytes=1 << 20,  # etcd takes requests of 1.5 MiB
    max_commit_bytes=64 << 20,
    min_ttl_ms=MIN_TTL_MS,
)
LIMIT: Final = 1 << 63  # of counters
NEVER: Final = -1  # no key was last written at this revision
LOOKS: Final = 3  # of a commit that expects much, before it makes the others wait
GUESSES: Final = 1024  # counters whose last number is remembered


class EtcdView:
    """The state of the store at one revision, whose commit counter is `version`.

    It costs the server nothing, and lasts until the server compacts that revision.
    """

    __slots__ = ("released", "revision", "version")

    def __init__(self, revision: int, version: int) -> None:
        self.revision = revision
        self.version = version
        self.released = False


class EtcdDriver:
    """One handle on an etcd store; see `rome.driver.api.Driver` for what each method promises."""

    traits = TRAITS

    def __init__(
        self,
        url: StoreURL,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the store of `url`, and refuse one of another format."""
        self._place = f"{url.scheme} store {url.path} at {_address(url)}"
        self._client = Client(url, self._place, sleep=sleep, clock=clock)
        self._keys = Layout(url.path)
        self._marks = Marks(self._client, self._keys)
        self._reader = Reader(self._client, self._keys)
        self._locks = Locks(self._client, self._keys)
        self._gate = Gate(self._client, self._keys, self._marks, self._reader.check)
        self._guesses: dict[bytes, tuple[int, int]] = {}  # a counter's number, and the revision it is of
        try:
            self._claim()
        except Unavailable as error:
            self._client.close()
            if url.scheme == "etcd" and isinstance(error.__cause__, Broken | ConnectionResetError):
                raise Unavailable(f"{error}: if it speaks TLS, write rome+etcds") from error
            raise
        except BaseException:
            self._client.close()
            raise

    def _claim(self) -> None:
        """Say whose format the store is of, if no one has. Raises InterfaceError if it is of another."""
        key = self._keys.format
        answer = self._client.transact(
            TxnRequest(compare=[layout.absent(key)], success=[layout.put(key, FORMAT)], failure=[layout.get(key)])
        )
        if not answer.succeeded:
            found = answer.responses[0].response_range.kvs[0].value
            if found != FORMAT:
                raise InterfaceError(
                    f"{self._place}: the store is of the format {found.decode('ascii', 'replace')!r}, and this ROME "
                    f"reads and writes {FORMAT.decode()!r}: use the ROME that wrote it, or another name"
                )

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
        if isinstance(view, EtcdView):
            self._client.check_open()
            if view.released:
                raise InterfaceError("this view was released: read again for another")
            return Reading(view.version, view, *self._reader.at(view.revision, gets, scans, counts))
        return self._read_newest(gets, scans, counts, self._reader.spelled_out(expect))

    def _read_newest(
        self,
        gets: Sequence[bytes],
        scans: Sequence[Scan],
        counts: Sequence[Range],
        expect: Sequence[Expectation],
        must: Sequence[Message] = (),
    ) -> Reading:
        """One transaction decides which revision is read, and reads as much of it as it holds.

        Raises Conflict when `expect` does not hold in that state, or `must` at that instant.
        """
        look = self._keys.look()
        compare = [*must, *self._keys.comparisons(expect)]
        operations = self._reader.operations(gets, scans, counts)
        first = operations[: MAX_OPERATIONS - 1]
        request = transaction(compare, [look, *first], [look])
        if request is None:  # more than one takes
            first, compare = [], []
            request = TxnRequest(compare=must, success=[look], failure=[look])
        answer = self._client.transact(request)
        found = [response.response_range for response in answer.responses]
        revision = int(answer.header.revision)
        gate, version = self._keys.seen(found[0])
        if gate is not None and decided_at(gate) and not must:
            return self._read_before(gate, version, gets, scans, counts, expect)
        if not answer.succeeded:
            raise Conflict(ROW_CHANGED)
        if expect and not compare:
            self._reader.check(expect, revision)
        if len(first) < len(operations):
            rest = self._reader.operations(gets, scans, counts, revision)[len(first) :]
            found += self._reader.ranges(rest)
        gathered = self._reader.gather(gets, scans, counts, found[1:], revision)
        return Reading(version, EtcdView(revision, version), *gathered)

    def _read_before(
        self,
        gate: Message,
        version: int,
        gets: Sequence[bytes],
        scans: Sequence[Scan],
        counts: Sequence[Range],
        expect: Sequence[Expectation],
    ) -> Reading:
        """The state before the large commit that is being applied under `gate`."""
        decided = decided_at(gate)
        try:
            self._reader.check(expect, decided)
            found = self._reader.at(decided, gets, scans, counts)
        except Conflict:
            with suppress(OperationalError):  # should that state be compacted away, no one could read until it is done
                self._gate.complete(gate)
            raise
        return Reading(version, EtcdView(decided, version), *found)

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        self._client.check_open()
        if not writes:
            return self._expect_only(expect)
        check_writes(TRAITS, writes)
        try:
            expect = self._reader.spelled_out(expect)
        except Conflict:
            self._locks.check(expect)
            raise
        keys = self._keys
        failure = [keys.look(), *([layout.get(self._marks.key(mark))] if mark else [])]
        compared = keys.comparisons(expect)
        while True:
            must = [*self._marks.absent(mark), *self._locks.comparisons(expect)]
            try:
                operations = [keys.write(key, value) for key, value in writes]
                operations += (keys.counted(), *self._marks.put(mark))
                request = transaction([layout.absent(keys.gate), *must, *compared], operations, failure)
                if request is not None:
                    answer = self._client.once(request, mark)
                else:
                    plan = Plan(expect, writes, mark, must, failure)
                    answer = self._commit_looked(plan, operations) or self._gate.commit(plan)
            except LeaseGone:
                self._marks.forget_lease()
                continue
            if isinstance(answer, int):
                return answer
            if answer.succeeded:
                return int(answer.header.revision)
            version = self._settled(answer, expect, mark)
            if version is not None:
                return version

    def _commit_looked(self, plan: Plan, operations: Sequence[Message]) -> Message | None:
        """A commit that expects more than is compared at once: looked at first, then made if no one committed since.

        None if what it writes is too much, too, or if others were faster each time.
        """
        for _ in range(LOOKS):
            looked = self._client.transact(TxnRequest(success=plan.failure))
            gate, version = self._keys.seen(looked.responses[0].response_range)
            marked = any(response.response_range.kvs for response in looked.responses[1:])
            if gate is not None or marked:
                looked.succeeded = False
                return looked
            unmoved = [layout.absent(self._keys.gate), layout.unchanged(self._keys.head, version), *plan.compare]
            request = transaction(unmoved, operations, plan.failure)
            if request is None:
                return None
            try:
                self._reader.check(plan.expect, int(looked.header.revision))
            except Conflict:
                self._locks.check(plan.expect)
                raise
            answer = self._client.once(request, plan.mark)
            if answer.succeeded or self._keys.seen(answer.responses[0].response_range).version == version:
                return answer
            if any(response.response_range.kvs for response in answer.responses[1:]):
                return answer
        return None

    def _expect_only(self, expect: Sequence[Expectation]) -> int:
        """The commit counter of a state in which everything is as expected."""
        try:
            expect = self._reader.spelled_out(expect)
            return self._read_newest((), (), (), expect, self._locks.comparisons(expect)).version
        except Conflict:
            self._locks.check(expect)
            raise

    def _settled(self, answer: Message, expect: Sequence[Expectation], mark: bytes) -> int | None:
        """The version of a commit that was made before; None if it should be tried again.

        Raises LeaseLost and Conflict.
        """
        looked, *marked = (response.response_range for response in answer.responses)
        if marked and marked[0].kvs:
            if marked[0].kvs[0].value == FENCED:
                raise Conflict("this commit was given up before it arrived: run it again")
            return self.outcome(mark)
        self._locks.check(expect)
        gate = self._keys.seen(looked).gate
        if gate is None:
            raise Conflict(ROW_CHANGED)
        self._gate.wait(gate)
        return None

    def outcome(self, mark: bytes) -> int | None:
        key = self._marks.key(mark)
        look = [layout.get(key), layout.get(self._keys.gate)]
        answer = self._client.transact(TxnRequest(success=look))
        if not answer.responses[0].response_range.kvs:
            fence = [self._marks.fence(mark)]
            answer = self._client.transact(TxnRequest(compare=[layout.absent(key)], success=fence, failure=look))
            if answer.succeeded:
                return None
        marks, gates = (response.response_range.kvs for response in answer.responses)
        if marks[0].value == FENCED:
            return None
        if gates and decided_at(gates[0]) and mark_of(gates[0]) == mark:
            return self._gate.see_through(decided_at(gates[0]), mark)
        return int(marks[0].mod_revision)

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        check_keys(TRAITS, (key,))
        check_counter(by)
        check_counter(at_least)
        place = self._keys.counters + key
        number, revision = self._guesses.pop(key, (0, 0))
        looked = False
        while True:
            after = max(number, at_least) + by
            if looked:
                check_counter(after)
            # Sent again when a reply was lost: the number drawn in vain stays unused, which no one is promised
            # otherwise.
            answer = self._client.transact(
                TxnRequest(
                    compare=[layout.unchanged(place, revision if -LIMIT <= after < LIMIT else NEVER)],
                    success=[layout.put(place, b"%d" % after)],
                    failure=[layout.get(place)],
                )
            )
            looked = True
            if answer.succeeded:
                if len(self._guesses) >= GUESSES:
                    self._guesses.clear()
                self._guesses[key] = (after, int(answer.header.revision))
                return after
            kvs = answer.responses[0].response_range.kvs
            number, revision = (int(kvs[0].value), kvs[0].mod_revision) if kvs else (0, 0)

    def clear(self, prefix: bytes) -> None:
        keys = self._keys
        request = TxnRequest(
            compare=[layout.absent(keys.gate)],
            success=[
                layout.delete_below(keys.cells + prefix), layout.delete_below(keys.counters + prefix), keys.counted(),
            ],
            failure=[layout.get(keys.gate)],
        )  # fmt: skip
        while not (answer := self._client.once(request)).succeeded:
            self._gate.wait(answer.responses[0].response_range.kvs[0])

    def lock(
        self, session: bytes, names: Sequence[bytes], ttl_ms: int, patience: Patience, label: bytes = b""
    ) -> Locking:
        check_keys(TRAITS, names)
        self._client.check_open()
        if not names:
            return Locking([], self.read().version)
        return self._locks.lock(session, names, ttl_ms, patience, label)

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        self._client.check_open()
        return self._locks.renew(session, ttl_ms)

    def unlock(self, session: bytes, names: Sequence[bytes] | None = None) -> None:
        self._client.check_open()
        self._locks.unlock(session, names)

    def locks(self, prefix: bytes = b"") -> list[Holding]:
        self._client.check_open()
        return self._locks.locks(prefix)

    def release(self, view: View) -> None:
        if isinstance(view, EtcdView):
            view.released = True

    def close(self) -> None:
        self._client.close()


def _address(url: StoreURL) -> str:
    """Where the server of `url` is, without the user and the password."""
    assert url.server is not None
    return str(url.option("hosts")) or f"{url.server.host}:{url.server.port}"
