"""Where a store keeps what, and what its calls ask etcd for: keys, operations, comparisons.

Every key of the store NAME begins with `rome/NAME/`; docs/keys.md has the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rome.driver.api import Expectation, ExpectCell, ExpectRange, Scan, after
from rome.driver.etcd.messages import (
    COMPARE_CREATE,
    COMPARE_MOD,
    DESCEND,
    EQUAL,
    GREATER,
    LESS,
    Compare,
    DeleteRangeRequest,
    Message,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)

FORMAT: Final = b"rome etcd 1"
MAX_OPERATIONS: Final = 128  # of one kind in a transaction: etcd's --max-txn-ops
MAX_TXN_BYTES: Final = 1_400_000  # below etcd's --max-request-bytes of 1.5 MiB, with room for what it adds


class Seen(NamedTuple):
    """The gate, None if there is none, and the commit counter."""

    gate: Message | None
    version: int


class Layout:
    """The keys of one store."""

    def __init__(self, name: str) -> None:
        root = f"rome/{name}/".encode()
        self.format = root + b"format"
        self.gate = root + b"gate"
        self.head = root + b"head"  # every commit writes it: the commit counter is its revision
        self.cells = root + b"cell/"
        self.counters = root + b"counter/"
        self.marks = root + b"mark/"
        self.redo = root + b"redo/"
        self.locks = root + b"lock/"
        self.sessions = root + b"session/"

    def get(self, key: bytes, revision: int = 0) -> Message:
        """The operation that reads the cell at `key`, of the newest state with `revision` 0.

        At a revision that is known the member that is asked need not ask the others whether there is a newer one.
        """
        return RequestOp(
            request_range=RangeRequest(key=self.cells + key, revision=revision, serializable=revision > 0)
        )

    def scan(self, scan: Scan, revision: int = 0) -> Message:
        """The operation that reads the cells of `scan`, which is not empty."""
        return RequestOp(
            request_range=RangeRequest(
                key=self.cells + scan.start,
                range_end=self.cells + scan.stop,
                limit=scan.limit or 0,
                revision=revision,
                serializable=revision > 0,
                sort_order=DESCEND if scan.reverse else 0,
            )
        )

    def count(self, start: bytes, stop: bytes, revision: int = 0) -> Message:
        """The operation that counts the cells of start <= key < stop, which is not empty."""
        return RequestOp(
            request_range=RangeRequest(
                key=self.cells + start,
                range_end=self.cells + stop,
                revision=revision,
                serializable=revision > 0,
                count_only=True,
            )
        )

    def write(self, key: bytes, value: bytes | None) -> Message:
        """The operation that writes the cell at `key`, or deletes it."""
        if value is None:
            return RequestOp(request_delete_range=DeleteRangeRequest(key=self.cells + key))
        return RequestOp(request_put=PutRequest(key=self.cells + key, value=value))

    def lock(self, name: bytes) -> bytes:
        """What the keys of all who have the lock `name` or wait for it begin with; the session follows."""
        return self.locks + escaped(name) + b"\0\x01"

    def session(self, session: bytes) -> bytes:
        return self.sessions + session

    def look(self) -> Message:
        """The operation that reads the gate and the head; see `seen`."""
        return RequestOp(request_range=RangeRequest(key=self.gate, range_end=self.head + b"\0"))

    def seen(self, answer: Message) -> Seen:
        """What the `answer` to `look` says."""
        gate, version = None, 0
        for kv in answer.kvs:
            if kv.key == self.gate:
                gate = kv
            else:
                version = kv.mod_revision
        return Seen(gate, version)

    def counted(self) -> Message:
        """The operation that moves the commit counter to the revision of its transaction."""
        return put(self.head, b"")

    def comparisons(self, expect: Iterable[Expectation]) -> list[Message]:
        """What must hold for the cells and ranges of `expect` to be as expected.

        A range holds if nothing in it is younger than its version, which finds new and changed cells, and every cell
        that was in it is still there.
        """
        versions: dict[bytes, int] = {}
        ranges: list[ExpectRange] = []
        found: list[Message] = []
        for expectation in expect:
            if isinstance(expectation, ExpectCell):
                if versions.setdefault(expectation.key, expectation.version) != expectation.version:
                    found.append(self._has_version(expectation.key, expectation.version))
            elif isinstance(expectation, ExpectRange):
                ranges.append(expectation)
        found += (self._has_version(key, version) for key, version in versions.items())
        held = {key for key, version in versions.items() if version}
        for each in ranges:
            if each.start < each.stop:
                found.append(
                    Compare(
                        result=LESS,
                        target=COMPARE_MOD,
                        key=self.cells + each.start,
                        range_end=self.cells + each.stop,
                        mod_revision=each.version + 1 if each.keys else 1,
                    )
                )
            for key in each.keys:
                if key not in held:
                    held.add(key)
                    found.append(exists(self.cells + key))
        return found

    def _has_version(self, key: bytes, version: int) -> Message:
        return Compare(result=EQUAL, target=COMPARE_MOD, key=self.cells + key, mod_revision=version)


def escaped(name: bytes) -> bytes:
    """`name` such that a zero byte and a one may follow and end it; sorts as `name` does."""
    return name.replace(b"\0", b"\0\xff")


def unescaped(name: bytes) -> bytes:
    """The name that is `name` when escaped."""
    return name.replace(b"\0\xff", b"\0")


def exists(key: bytes) -> Message:
    """There is the key `key`."""
    return Compare(result=GREATER, target=COMPARE_CREATE, key=key, create_revision=0)


def absent(key: bytes) -> Message:
    """There is no key `key`."""
    return Compare(result=EQUAL, target=COMPARE_CREATE, key=key, create_revision=0)


def unchanged(key: bytes, revision: int) -> Message:
    """The key `key` was last written at `revision`."""
    return Compare(result=EQUAL, target=COMPARE_MOD, key=key, mod_revision=revision)


def nobody(prefix: bytes) -> Message:
    """There is no key that begins with `prefix`."""
    return Compare(
        result=EQUAL, target=COMPARE_CREATE, key=prefix, range_end=after(prefix), create_revision=0
    )


def made_at(key: bytes, revision: int) -> Message:
    """The key `key` has been there since `revision`."""
    return Compare(result=EQUAL, target=COMPARE_CREATE, key=key, create_revision=revision)


def when(compare: Sequence[Message], success: Sequence[Message], failure: Sequence[Message] = ()) -> Message:
    """The operation that does `success` if `compare` holds, else `failure`."""
    return RequestOp(request_txn=TxnRequest(compare=compare, success=success, failure=failure))


def every(prefix: bytes) -> Message:
    """The operation that reads all keys that begin with `prefix`."""
    return RequestOp(request_range=RangeRequest(key=prefix, range_end=after(prefix)))


def get(key: bytes) -> Message:
    """The operation that reads one key, whatever it is for."""
    return RequestOp(request_range=RangeRequest(key=key))


def put(key: bytes, value: bytes, lease: int = 0) -> Message:
    """The operation that writes one key, gone when `lease` runs out."""
    return RequestOp(request_put=PutRequest(key=key, value=value, lease=lease))


def delete(key: bytes) -> Message:
    """The operation that deletes one key."""
    return RequestOp(request_delete_range=DeleteRangeRequest(key=key))


def delete_below(prefix: bytes) -> Message:
    """The operation that deletes every key that begins with `prefix`."""
    return RequestOp(request_delete_range=DeleteRangeRequest(key=prefix, range_end=after(prefix)))


def transaction(
    compare: Sequence[Message], success: Sequence[Message], failure: Sequence[Message] = ()
) -> Message | None:
    """One transaction, or None if etcd takes no such one.

    etcd counts comparisons and operations of a transaction apart and takes as many as MAX_OPERATIONS of each; a
    transaction inside another has what the other left. So `success` goes in groups when it is longer.
    """
    if len(success) > MAX_OPERATIONS:
        groups = max(len(compare), len(failure), MAX_OPERATIONS // 2)
        size = MAX_OPERATIONS - groups
        if size < 1 or len(success) > groups * size:
            return None
        success = [
            RequestOp(request_txn=TxnRequest(success=success[at : at + size]))
            for at in range(0, len(success), size)
        ]
    if len(compare) > MAX_OPERATIONS:
        return None
    request = TxnRequest(compare=compare, success=success, failure=failure)
    return request if request.ByteSize() <= MAX_TXN_BYTES else None
