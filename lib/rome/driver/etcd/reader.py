"""Reads of a store at one revision: waves, checks of expectations, counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rome.driver.api import Cell, Expectation, ExpectCell, ExpectCount, ExpectRange, Followed, Range, Scan
from rome.driver.etcd.client import TXN, Client
from rome.driver.etcd.failures import Behind
from rome.driver.etcd.layout import MAX_OPERATIONS, MAX_TXN_BYTES, Layout
from rome.driver.etcd.messages import Message, RangeRequest, RequestOp, TxnRequest
from rome.errors import Conflict

AT_ONCE: Final = 64  # transactions on the way at a time


class Found(NamedTuple):
    """The parts of a `Reading` that were asked for."""

    cells: list[Cell | None]
    scans: list[list[Cell]]
    rows: list[list[Cell | None] | None]
    followed: list[list[list[Followed]]]
    counts: list[int]


def _sees_rows_first(scan: Scan) -> bool:
    """Whether which rows are followed hangs on what is in them, and they are fetched after their entries."""
    return scan.dereference and any(follow.holding for follow in scan.follow)


class Reader:
    """What is read of one store: as many transactions at once as it takes, all at one revision."""

    def __init__(self, client: Client, keys: Layout) -> None:
        self._client = client
        self._keys = keys

    def operations(
        self, gets: Sequence[bytes], scans: Sequence[Scan], counts: Sequence[Range], revision: int = 0
    ) -> list[Message]:
        """What `gets` and those of `scans` and `counts` that can hold anything ask for."""
        return [
            *[self._keys.get(key, revision) for key in gets],
            *[self._keys.scan(scan, revision) for scan in scans if _holds_any(scan)],
            *[self._keys.count(start, stop, revision) for start, stop in counts if start < stop],
        ]

    def at(self, revision: int, gets: Sequence[bytes], scans: Sequence[Scan], counts: Sequence[Range] = ()) -> Found:
        """The state at `revision`."""
        found = self.ranges(self.operations(gets, scans, counts, revision))
        return self.gather(gets, scans, counts, found, revision)

    def gather(
        self,
        gets: Sequence[bytes],
        scans: Sequence[Scan],
        counts: Sequence[Range],
        ranges: list[Message],
        revision: int,
    ) -> Found:
        """What the answers `ranges` to the operations of `gets`, `scans` and `counts` mean.

        Rows, and what belongs to them, are fetched at `revision`, side by side.
        """
        cut = len(self._keys.cells)
        answers = iter(ranges)
        cells: list[Cell | None] = []
        for key in gets:
            kvs = next(answers).kvs
            cells.append(Cell(key, kvs[0].value, kvs[0].mod_revision) if kvs else None)
        found = [
            [Cell(kv.key[cut:], kv.value, kv.mod_revision) for kv in next(answers).kvs]
            if _holds_any(scan)
            else []
            for scan in scans
        ]
        counted = [int(next(answers).count) if start < stop else 0 for start, stop in counts]
        known = dict(zip(gets, cells, strict=True))
        wanted = dict.fromkeys(
            entry.value for scan, entries in zip(scans, found, strict=True) if scan.dereference for entry in entries
        )
        missing = [key for key in wanted if key not in known]
        at_once = any(scan.follow and not _sees_rows_first(scan) for scan in scans)
        empty: list[list[list[Scan]]] = [[[] for _ in scan.follow] for scan in scans]
        belonging = [
            none if _sees_rows_first(scan) else scan.followed(entries, None)
            for scan, entries, none in zip(scans, found, empty, strict=True)
        ]
        told: dict[Scan, Followed] = {}
        if missing or at_once:
            known.update(self._gathered(revision, missing, belonging, told))
        rows = [
            [known[entry.value] for entry in entries] if scan.dereference else None
            for scan, entries in zip(scans, found, strict=True)
        ]
        if any(map(_sees_rows_first, scans)):
            belonging = [
                scan.followed(entries, behind) if _sees_rows_first(scan) else already
                for scan, entries, behind, already in zip(scans, found, rows, belonging, strict=True)
            ]
            self._gathered(revision, [], belonging, told)
        followed = [[[told[each] for each in every] for every in follows] for follows in belonging]
        return Found(cells, found, rows, followed, counted)

    def _gathered(
        self, revision: int, gets: Sequence[bytes], belonging: Sequence[list[list[Scan]]], told: dict[Scan, Followed]
    ) -> dict[bytes, Cell | None]:
        """The cells at `gets`; what those scans of `belonging` find that are not in `told` yet is put there."""
        flat = dict.fromkeys(each for follows in belonging for every in follows for each in every)
        new = [each for each in flat if each not in told]
        if not gets and not new:
            return {}
        more = self.at(revision, gets, new)
        told.update(zip(new, map(Followed, new, more.scans, more.rows), strict=True))
        return dict(zip(gets, more.cells, strict=True))

    def ranges(self, operations: Sequence[Message]) -> list[Message]:
        """The answers to operations that read, each at a revision of its own or the newest."""
        try:
            return self._ranges(operations)
        except Behind:
            for operation in operations:
                operation.request_range.serializable = False
            return self._ranges(operations)

    def _ranges(self, operations: Sequence[Message]) -> list[Message]:
        found: list[Message] = []
        requests = [(TXN, TxnRequest(success=part)) for part in _parts(operations)]
        for at in range(0, len(requests), AT_ONCE):
            for answer in self._client.repeat(requests[at : at + AT_ONCE]):
                found += (response.response_range for response in answer.responses)
        return found

    def check(self, expect: Sequence[Expectation], revision: int) -> None:
        """Raise Conflict unless the cells and ranges of `expect` are at `revision` as expected."""
        cells = [each for each in expect if isinstance(each, ExpectCell)]
        spans = [each for each in expect if isinstance(each, (ExpectRange, ExpectCount)) and each.start < each.stop]
        root = self._keys.cells
        requests = [RangeRequest(key=root + each.key, revision=revision, keys_only=True) for each in cells]
        requests += (
            RangeRequest(
                key=root + each.start,
                range_end=root + each.stop,
                revision=revision,
                keys_only=True,
                min_mod_revision=each.version + 1,
            )
            for each in spans
        )
        answers = self.ranges([RequestOp(request_range=request) for request in requests])
        for cell, answer in zip(cells, answers[: len(cells)], strict=True):
            if (answer.kvs[0].mod_revision if answer.kvs else 0) != cell.version:
                raise Conflict(ROW_CHANGED)
        for span, answer in zip(spans, answers[len(cells) :], strict=True):
            if answer.kvs or answer.count != span.cells:
                raise Conflict(RANGE_CHANGED)

    def spelled_out(self, expect: Sequence[Expectation]) -> Sequence[Expectation]:
        """`expect` with the keys of ranges that were only counted, which costs a round trip if there are any.

        A transaction can compare that every key of a range is old, and that a key is still there, but no number.
        Keys that are there now, as many as were counted, are the same ones while none of them is younger; that they
        are not is compared with the rest. Raises Conflict when they are more or fewer.
        """
        counted = [each for each in expect if isinstance(each, ExpectCount)]
        if not counted:
            return expect
        spans = [each for each in counted if each.start < each.stop]
        root = self._keys.cells
        asked = [RangeRequest(key=root + each.start, range_end=root + each.stop, keys_only=True) for each in spans]
        found = self.ranges([RequestOp(request_range=request) for request in asked])
        spelled: list[Expectation] = [each for each in expect if not isinstance(each, ExpectCount)]
        for each, answer in zip(spans, found, strict=True):
            keys = tuple([kv.key[len(root) :] for kv in answer.kvs])
            if len(keys) != each.cells:
                raise Conflict(RANGE_CHANGED)
            spelled.append(ExpectRange(each.start, each.stop, each.version, keys))
        return spelled


ROW_CHANGED: Final = "a row that this transaction read has changed: run it again"
RANGE_CHANGED: Final = "a range that this transaction read has changed: run it again"


def _holds_any(scan: Scan) -> bool:
    return scan.start < scan.stop and scan.limit != 0


def _parts(operations: Sequence[Message]) -> Iterator[list[Message]]:
    """`operations` in parts that each are a transaction."""
    part: list[Message] = []
    size = 0
    for operation in operations:
        more = operation.ByteSize() + 8
        if part and (len(part) == MAX_OPERATIONS or size + more > MAX_TXN_BYTES):
            yield part
            part, size = [], 0
        part.append(operation)
        size += more
    if part:
        yield part
