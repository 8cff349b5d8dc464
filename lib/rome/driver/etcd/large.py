"""Commits that are more than one transaction of etcd takes, atomic all the same. docs/decisions/0009 has the reasons.

The *gate* is one key that every commit expects to be absent. A large commit
    takes it            leased, so that it opens by itself when its taker dies; nobody else can commit now
    checks              what it expects, by reads of the state in which it took the gate
    writes              everything and gives the gate back in one transaction, if that is large enough; else it
    stages              its writes in redo keys, each as large as a transaction may be
    decides             the gate says `applying` and is leased no more: from here on the commit will be made
    applies             each redo key's writes in one transaction that removes the key; the last removes the gate
A reader who finds the gate `applying` reads the state in which that was decided, which has none of the writes. Whoever
finds that the applying has stopped goes on with it: a redo key is there as long as its writes are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from rome.driver.api import Expectation, Write, after
from rome.driver.etcd import layout
from rome.driver.etcd.client import KEEP_ALIVE, Client
from rome.driver.etcd.layout import Layout, transaction
from rome.driver.etcd.marks import Marks
from rome.driver.etcd.messages import LeaseKeepAliveRequest, Message, RangeRequest, RequestOp, TxnRequest
from rome.errors import OperationalError, OutcomeUnknown, Unavailable

GATE_TTL_S: Final = 5  # of who took the gate and has not decided yet
CHUNK_BYTES: Final = 1_200_000
CHUNK_OPERATIONS: Final = 3_900
CHECKED_AT_ONCE: Final = 4_096  # expectations between two renewals of the gate's lease
TAKEN: Final = b"taken "  # and the lease
APPLYING: Final = b"applying "  # and the mark, in hexadecimal digits
POLL_S: Final = 0.02  # at first; doubled up to
LONGEST_POLL_S: Final = 0.2
STANDSTILL_S: Final = 1.0  # an applying that makes no progress for so long is taken over
PATIENCE_S: Final = 60.0  # how long the commits of others wait for one gate

Check = Callable[[Sequence[Expectation], int], object]


class Plan(NamedTuple):
    """A large commit: what it expects and writes, and what else must hold when it is decided.

    `failure` is read when `compare` did not hold; its first is `Layout.look`.
    """

    expect: Sequence[Expectation]
    writes: Sequence[Write]
    mark: bytes
    compare: Sequence[Message]
    failure: Sequence[Message]


class Gate:
    """The gate of one store. `check` raises Conflict if expectations do not hold at a revision."""

    def __init__(self, client: Client, keys: Layout, marks: Marks, check: Check) -> None:
        self._client = client
        self._keys = keys
        self._marks = marks
        self._check = check

    def commit(self, plan: Plan) -> int | Message:
        """Make a large commit: the commit counter when it was visible, or the answer that says why it was not made.

        Raises Conflict, Unavailable and OutcomeUnknown.
        """
        lease = self._client.grant(GATE_TTL_S)
        keys, client = self._keys, self._client
        name = TAKEN + b"%d" % lease
        take = [layout.put(keys.gate, name, lease), layout.delete_below(keys.redo)]
        answer = client.transact(transaction([layout.absent(keys.gate), *plan.compare], take, plan.failure))
        taken = int(answer.header.revision)
        if not answer.succeeded:
            gate = keys.seen(answer.responses[0].response_range).gate
            if gate is None or gate.value != name:
                return answer
            taken = gate.mod_revision  # it had been taken, and the answer was lost
        mine = layout.unchanged(keys.gate, taken)
        try:
            for at in range(0, len(plan.expect), CHECKED_AT_ONCE):
                self._check(plan.expect[at : at + CHECKED_AT_ONCE], taken)
                client.repeat([(KEEP_ALIVE, LeaseKeepAliveRequest(id=lease))])
            # The smallest keys last: the cell that says which catalogue is valid is written as the commit is seen.
            operations = [keys.write(key, value) for key, value in sorted(plan.writes, reverse=True)]
            done = [layout.delete(keys.gate), keys.counted(), *self._marks.put(plan.mark)]
            whole = transaction([mine, *plan.compare], [*operations, *done], plan.failure)
            if whole is not None:
                answer = client.once(whole, plan.mark)
                if answer.succeeded:
                    return int(answer.header.revision)
            else:
                self._stage(operations, mine, lease)
                applying = layout.put(keys.gate, APPLYING + plan.mark.hex().encode())
                decide = transaction([mine, *plan.compare], [applying, *self._marks.put(plan.mark)], plan.failure)
                answer = client.once(decide, plan.mark)
                if answer.succeeded:
                    return self.see_through(int(answer.header.revision), plan.mark)
        except OperationalError:
            self._give_back(mine)
            raise
        self._give_back(mine)
        return answer

    def see_through(self, decided: int, mark: bytes) -> int:
        """The commit counter at which the commit that was decided at the revision `decided` is seen, after it is.

        Raises OutcomeUnknown: no failure makes it undone.
        """
        try:
            return self.finish(decided, mark) or self._version_of(mark)
        except OperationalError as error:
            raise OutcomeUnknown(f"{error}; but the commit is decided, and will be made", mark=mark) from error

    def _version_of(self, mark: bytes) -> int:
        """The commit counter of the commit marked `mark`, which others have finished."""
        look = [self._keys.look(), *([layout.get(self._marks.key(mark))] if mark else [])]
        looked, *marked = (each.response_range for each in self._client.transact(TxnRequest(success=look)).responses)
        return int(marked[0].kvs[0].mod_revision) if mark else self._keys.seen(looked).version

    def finish(self, decided: int, mark: bytes) -> int:
        """Apply what is left of the commit that was decided at the revision `decided`.

        The commit counter at which all of it is seen, 0 if another came to its end first: any number of clients may
        do this at once.
        """
        keys, client = self._keys, self._client
        mine = layout.unchanged(keys.gate, decided)
        everything = RangeRequest(key=keys.redo, range_end=after(keys.redo), keys_only=True)
        listing = client.transact(TxnRequest(compare=[mine], success=[RequestOp(request_range=everything)]))
        left = [kv.key for kv in listing.responses[0].response_range.kvs] if listing.succeeded else []
        for key in left:
            stored = client.transact(TxnRequest(compare=[mine, layout.exists(key)], success=[layout.get(key)]))
            if not stored.succeeded:
                continue  # another was faster
            operations = list(TxnRequest.FromString(stored.responses[0].response_range.kvs[0].value).success)
            operations.append(layout.delete(key))
            if key == left[-1]:
                operations += (layout.delete(keys.gate), keys.counted(), *self._marks.put(mark))
            applied = client.transact(transaction([mine, layout.exists(key)], operations))
            if applied.succeeded and key == left[-1]:
                return int(applied.header.revision)
        return 0

    def wait(self, gate: Message) -> None:
        """Wait until the large commit whose gate was seen as `gate` is over; finish it if no one else does.

        Raises Unavailable after PATIENCE_S.
        """
        clock, sleep = self._client.clock, self._client.sleep
        began = moved = clock()
        poll_s = POLL_S
        left = -1
        count = RangeRequest(key=self._keys.redo, range_end=after(self._keys.redo), count_only=True)
        look = TxnRequest(success=[self._keys.look(), RequestOp(request_range=count)])
        while clock() < began + PATIENCE_S:
            sleep(poll_s)
            poll_s = min(2 * poll_s, LONGEST_POLL_S)
            looked, redo = (response.response_range for response in self._client.transact(look).responses)
            found = self._keys.seen(looked).gate
            if found is None or found.create_revision != gate.create_revision:
                return
            if redo.count != left:
                left, moved = redo.count, clock()
            if decided_at(found) and clock() > moved + STANDSTILL_S:
                self.complete(found)
                return
        raise Unavailable(f"{self._client.place}: another client's large commit takes too long; nothing was written")

    def complete(self, gate: Message) -> None:
        """Finish the commit whose gate was seen as `gate`, which says `applying`."""
        self.finish(gate.mod_revision, mark_of(gate))

    def _stage(self, operations: Sequence[Message], mine: Message, lease: int) -> None:
        """Put `operations` into redo keys. Raises Unavailable if the gate was lost meanwhile."""
        for number, chunk in enumerate(_chunks(operations)):
            stored = TxnRequest(success=chunk).SerializeToString()
            put = layout.put(self._keys.redo + b"%08d" % number, stored)
            answer = self._client.transact(TxnRequest(compare=[mine], success=[put]))
            if not answer.succeeded:
                raise Unavailable(
                    f"{self._client.place}: a large commit took over {GATE_TTL_S} s to send a part; nothing was written"
                )
            self._client.repeat([(KEEP_ALIVE, LeaseKeepAliveRequest(id=lease))])

    def _give_back(self, mine: Message) -> None:
        with suppress(OperationalError):  # then its lease opens it
            undo = [layout.delete(self._keys.gate), layout.delete_below(self._keys.redo)]
            self._client.transact(TxnRequest(compare=[mine], success=undo))


def decided_at(gate: Message) -> int:
    """The revision in which the commit whose gate is `gate` was decided, 0 if it was not yet."""
    return int(gate.mod_revision) if gate.value.startswith(APPLYING) else 0


def mark_of(gate: Message) -> bytes:
    """The mark of the commit whose gate, that says `applying`, is `gate`."""
    return bytes.fromhex(gate.value[len(APPLYING) :].decode())


def _chunks(operations: Sequence[Message]) -> list[list[Message]]:
    """`operations` in parts that each fit into a transaction, with room for what else stands there."""
    chunks: list[list[Message]] = [[]]
    size = 0
    for operation in operations:
        more = operation.ByteSize() + 8
        if chunks[-1] and (size + more > CHUNK_BYTES or len(chunks[-1]) == CHUNK_OPERATIONS):
            chunks.append([])
            size = 0
        chunks[-1].append(operation)
        size += more
    return chunks
