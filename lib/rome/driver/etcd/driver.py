"""One handle on an etcd store: reads at one revision, commits of comparisons and writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from rome.config import StoreURL
from rome.driver.api import Expectation, Reading, Scan, Scope, Traits, View, Write
from rome.driver.etcd import layout
from rome.driver.etcd.client import Client
from rome.driver.etcd.large import Gate, Plan, decided_at, mark_of
from rome.driver.etcd.layout import FORMAT, MAX_OPERATIONS, Layout, transaction
from rome.driver.etcd.marks import FENCED, Marks
from rome.driver.etcd.messages import Message, TxnRequest
from rome.driver.etcd.reader import ROW_CHANGED, Reader
from rome.driver.sizes import check_counter, check_keys, check_writes
from rome.errors import Conflict, InterfaceError

TRAITS = Traits(
    scope=Scope.STORE,
    snapshots=True,
    durable=True,
    shared=True,
    remote=True,
    max_key_bytes=8192,
    max_value_bytes=1 << 20,  # etcd takes requests of 1.5 MiB
    max_commit_bytes=64 << 20,
)
LIMIT: Final = 1 << 63  # of counters
NEVER: Final = -1  # no key was last written at this revision
GUESSES: Final = 1024  # counters whose last number is remembered


class EtcdView:
    """The state of the store at one revision. It costs the server nothing until it compacts that revision."""

    __slots__ = ("released", "revision")

    def __init__(self, revision: int) -> None:
        self.revision = revision
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
        self._gate = Gate(self._client, self._keys, self._marks, self._reader.check)
        self._guesses: dict[bytes, tuple[int, int]] = {}  # a counter's number, and the revision it is of
        self._claim()

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
    ) -> Reading:
        check_keys(TRAITS, gets)
        if isinstance(view, EtcdView):
            self._client.check_open()
            if view.released:
                raise InterfaceError("this view was released: read again for another")
            return Reading(view.revision, view, *self._reader.at(view.revision, gets, scans))
        return self._read_newest(gets, scans, expect)

    def _read_newest(self, gets: Sequence[bytes], scans: Sequence[Scan], expect: Sequence[Expectation]) -> Reading:
        """One transaction decides which revision is read, and reads as much of it as it holds."""
        look = layout.get(self._keys.gate)
        compare = self._keys.comparisons(expect)
        operations = self._reader.operations(gets, scans)
        first = operations[: MAX_OPERATIONS - 1]
        request = transaction(compare, [look, *first], [look])
        if request is None:  # more than one takes
            first, compare = [], []
            request = TxnRequest(success=[look])
        answer = self._client.transact(request)
        found = [response.response_range for response in answer.responses]
        revision = int(answer.header.revision)
        if found[0].kvs and (decided := decided_at(found[0].kvs[0])):
            return self._read_before(found[0].kvs[0], decided, gets, scans, expect)
        if not answer.succeeded:
            raise Conflict(ROW_CHANGED)
        if expect and not compare:
            self._reader.check(expect, revision)
        if len(first) < len(operations):
            rest = self._reader.operations(gets, scans, revision)[len(first) :]
            found += self._reader.ranges(rest)
        return Reading(revision, EtcdView(revision), *self._reader.gather(gets, scans, found[1:], revision))

    def _read_before(
        self,
        gate: Message,
        decided: int,
        gets: Sequence[bytes],
        scans: Sequence[Scan],
        expect: Sequence[Expectation],
    ) -> Reading:
        """The state before the large commit that is being applied under `gate`."""
        try:
            self._reader.check(expect, decided)
            found = self._reader.at(decided, gets, scans)
        except Conflict:
            self._gate.complete(gate)  # should that state be compacted away, no one could read until it is done
            raise
        return Reading(decided, EtcdView(decided), *found)

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        if not writes:
            return self.read((), (), expect).version
        self._client.check_open()
        check_writes(TRAITS, writes)
        keys = self._keys
        plan = Plan(expect, writes, mark, self._marks.absent(mark), [
            layout.get(keys.gate), *([layout.get(self._marks.key(mark))] if mark else []),
        ])  # fmt: skip
        compare = [layout.absent(keys.gate), *plan.compare, *keys.comparisons(expect)]
        while True:
            operations = [keys.write(key, value) for key, value in writes] + self._marks.put(mark)
            request = transaction(compare, operations, plan.failure)
            answer = self._gate.commit(plan) if request is None else self._client.once(request, mark)
            if isinstance(answer, int):
                return answer
            if answer.succeeded:
                return int(answer.header.revision)
            version = self._settled(answer, mark)
            if version is not None:
                return version

    def _settled(self, answer: Message, mark: bytes) -> int | None:
        """The version of a commit that was made before; None if it should be tried again. Raises Conflict."""
        gate, *marked = (response.response_range.kvs for response in answer.responses)
        if marked and marked[0]:
            if marked[0][0].value == FENCED:
                raise Conflict("this commit was given up before it arrived: run it again")
            return self.outcome(mark)
        if not gate:
            raise Conflict(ROW_CHANGED)
        self._gate.wait(gate[0])
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
            self._gate.complete(gates[0])
            return self.outcome(mark)
        return int(marks[0].mod_revision)

    def count(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[int]:
        self._client.check_open()
        return self._reader.count(ranges)

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
                    compare=[layout.unchanged(place, revision if abs(after) < LIMIT else NEVER)],
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
            success=[layout.delete_below(keys.cells + prefix), layout.delete_below(keys.counters + prefix)],
            failure=[layout.get(keys.gate)],
        )
        while not (answer := self._client.once(request)).succeeded:
            self._gate.wait(answer.responses[0].response_range.kvs[0])

    def release(self, view: View) -> None:
        if isinstance(view, EtcdView):
            view.released = True

    def close(self) -> None:
        self._client.close()


def _address(url: StoreURL) -> str:
    """Where the server of `url` is, without the user and the password."""
    assert url.server is not None
    return str(url.option("hosts")) or f"{url.server.host}:{url.server.port}"
