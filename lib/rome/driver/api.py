"""The driver interface: what one store must do, promise by promise.

A store is one ordered map from keys (bytes) to cells. Keys sort bytewise. Every commit moves the store's *commit
counter* by at least one; a cell's *version* is the counter at its last write. Versions start at 1; 0 means "no cell".

What a driver promises
    order       a scan yields cells in ascending (or, reversed, descending) bytewise key order
    snapshot    one `read` sees one state of the store, whatever commits meanwhile
    atomicity   one `commit` writes everything or nothing, and only if every expectation holds at that instant
    versions    never repeat and never go back, across restarts too (for a durable store)
    threads     every method may be called from any thread at any time
    fork        a driver opened before a fork works in the child (it opens its own resources there)

What it does not promise
    fairness between concurrent commits; the order of two commits that do not touch each other's cells.

Locks
A store also keeps locks, apart from its cells: no read, scan or count sees them, and `clear` leaves them alone. A lock
has a name (bytes) and at most one holder, a *session*: 16 random bytes that a client makes up. A session lives from its
first `lock` until it gives everything up, or `ttl_ms` pass, by the store's clock, after its last `lock` or `renew`;
with it go all its locks and its places in queues. A `lock` that changes nothing may leave the session's time as it is
while three quarters of it remain, so that waiting need not write; of a session that has nothing and waits for nothing,
`renew` may say either. Each time a lock passes to a session that session gets a *token*, greater than every token given
for that lock before, across restarts too (for a durable store).

Errors (rome.errors): Conflict, Unavailable, OutcomeUnknown, StoreFull, ReadOnlyStore, LeaseLost, Deadlock; DataError
for a key, value or commit over the sizes in `traits`, raised before anything is sent. Nothing else leaves a driver.

No one asks a driver for its name: what differs is declared in `Traits`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple, Protocol

import msgspec

from rome.errors import InternalError


class Cell(msgspec.Struct, frozen=True, gc=False):
    """One key with its value and the commit counter at its last write.

    A page reads hundreds. They hold bytes and a number, so the collector of garbage need not look at them, nor begin so
    often because of them: its share of a mixed load is half of what it was with tuples.
    """

    key: bytes
    value: bytes
    version: int


_NEXT_BYTE = [bytes((byte + 1,)) for byte in range(255)]


def after(prefix: bytes) -> bytes:
    """The first key that sorts behind all that begin with `prefix`, which must not be all 0xFF."""
    head = prefix.rstrip(b"\xff")
    if not head:
        raise InternalError("no key lies after a prefix of 0xFF alone")
    return head[:-1] + _NEXT_BYTE[head[-1]]


class Follow(NamedTuple):
    """For each of the first `rows` rows of a scan, all cells whose keys begin with `prefix` and the row's key without
    its first `cut` bytes, in ascending order.

    A row's key is the scanned value with the scan's `dereference`, whether there is a row behind it or not, else the
    scanned key. `prefix` begins with no byte 255. With `dereference` each value that is found is a key as well. With
    `holding` only rows count whose value, which is there, has one of these byte strings in it. With `sifting` the
    scan's later follows may leave out a row for which nothing was found that has one of these in it.
    """

    cut: int
    prefix: bytes
    dereference: bool
    rows: int
    holding: tuple[bytes, ...] = ()
    sifting: tuple[bytes, ...] = ()

    def counts(self, row: Cell | None) -> bool:
        """Whether a row counts."""
        return not self.holding or (row is not None and any(each in row.value for each in self.holding))

    def keeps(self, found: Followed) -> bool:
        """Whether a row for which this was found is left to later follows."""
        rows = found.cells if found.rows is None else found.rows
        return any(text in row.value for row in rows if row is not None for text in self.sifting)

    def scan(self, key: bytes) -> Scan:
        """The scan that finds what belongs to the row at `key`."""
        start = self.prefix + key[self.cut :]
        return Scan(start, after(start), None, False, self.dereference)


class Scan(msgspec.Struct, frozen=True, gc=False):
    """The cells of start <= key < stop, in key order, at most `limit` of them.

    With `dereference`, each scanned value is a key, and the cells behind those keys come in the same round trip; so
    does what belongs to the scanned rows, as `follow` says. A store that cannot do this asks once more for the rows and
    what belongs to them (once more again, if it must see the rows first), and once more for what that names.
    """

    start: bytes
    stop: bytes
    limit: int | None = None
    reverse: bool = False
    dereference: bool = False
    follow: tuple[Follow, ...] = ()

    def followed(self, cells: Sequence[Cell], rows: Sequence[Cell | None] | None) -> list[list[Scan]]:
        """For each follow, the scan that it stands for at each row that it follows of the `cells` that were found.

        `rows` are those behind the values of the cells, with `dereference`. No row is sifted out.
        """
        counting = self._counting(cells, rows)
        return [[follow.scan(key) for _, key in counting[follow.holding][: follow.rows]] for follow in self.follow]

    def sifted(
        self,
        cells: Sequence[Cell],
        rows: Sequence[Cell | None] | None,
        find: Callable[[Sequence[Scan]], list[Followed]],
    ) -> list[list[Followed]]:
        """For each follow, what was found for each row that no earlier one has sifted out: `find` is asked in turn."""
        counting = self._counting(cells, rows)
        kept = [True] * len(cells)
        found: list[list[Followed]] = []
        for follow in self.follow:
            rows_left = [each for each in counting[follow.holding] if kept[each[0]]][: follow.rows]
            found.append(find([follow.scan(key) for _, key in rows_left]))
            if follow.sifting:
                kept = [False] * len(cells)
                for (place, _), each in zip(rows_left, found[-1], strict=True):
                    kept[place] = follow.keeps(each)
        return found

    def _counting(
        self, cells: Sequence[Cell], rows: Sequence[Cell | None] | None
    ) -> dict[tuple[bytes, ...], list[tuple[int, bytes]]]:
        """The rows that count, their places and keys, by what they must hold."""
        keys = list(enumerate([cell.value if self.dereference else cell.key for cell in cells]))
        behind: Sequence[Cell | None] = cells if rows is None else rows
        counting: dict[tuple[bytes, ...], list[tuple[int, bytes]]] = {(): keys}
        for follow in self.follow:
            if follow.holding not in counting:
                counting[follow.holding] = list(compress(keys, map(follow.counts, behind)))
        return counting


class ExpectCell(msgspec.Struct, frozen=True, gc=False):
    """The cell at `key` still has `version` (0: there is still none)."""

    key: bytes
    version: int


class ExpectRange(NamedTuple):
    """start <= key < stop still holds exactly `keys` (ascending), none of them written after `version`.

    A store may check it by count: as many cells as `keys`, none later than `version`.
    """

    start: bytes
    stop: bytes
    version: int
    keys: tuple[bytes, ...]

    @property
    def cells(self) -> int:
        return len(self.keys)


class ExpectCount(NamedTuple):
    """start <= key < stop still holds exactly `cells` cells, none of them written after `version`.

    What ExpectRange says of a range whose keys were counted only.
    """

    start: bytes
    stop: bytes
    version: int
    cells: int


class ExpectLock(NamedTuple):
    """`session` still has the lock `name` under `token`, and its time has not run out by the store's clock.

    Only for `commit`, which raises LeaseLost, with nothing written, when it does not hold, whatever else does not.
    """

    name: bytes
    session: bytes
    token: int


Expectation = ExpectCell | ExpectRange | ExpectCount | ExpectLock
Range = tuple[bytes, bytes]  # start <= key < stop
Write = tuple[bytes, bytes | None]  # a key and its new value, or None to delete it
View = object  # opaque: a driver's handle on one state of its store


class Followed(NamedTuple):
    """What a follow found for one row: the scan that it stands for, and shapes as of one scan in a `Reading`."""

    scan: Scan
    cells: list[Cell]
    rows: list[Cell | None] | None


class Reading(NamedTuple):
    """What one `read` saw.

    version   the store's commit counter in the state that was read
    view      on a store with snapshots, a handle on that state for later reads; None elsewhere
    cells     one per get, in order; None where there is no cell
    scans     one list of cells per scan, in order
    rows      one list per scan: None without `dereference`, else the cell (or None) behind each scanned value
    followed  one list per scan, of one list per follow: what was found for each row that it follows, in their order;
              rows that an earlier follow may sift out are there or not
    counts    how many cells each counted range holds, in order
    """

    version: int
    view: View | None
    cells: list[Cell | None]
    scans: list[list[Cell]]
    rows: list[list[Cell | None] | None]
    followed: list[list[list[Followed]]]
    counts: Sequence[int] = ()


class Patience(enum.Enum):
    """What `lock` does about a lock that another session has."""

    WAIT = "wait"  # take those that are free and stand in the queue for the others
    NOWAIT = "nowait"  # take all of them, or none
    SKIP = "skip"  # take those that are free


class Standing(NamedTuple):
    """How one lock stands for who asked: `token` is above 0 if the session has it, and then `holder` is that session.

    Else `holder` is the session in its way: the lock's, or the first in its queue; b"" if the lock was free, but NOWAIT
    left it because another was not. `ahead` is how many sessions are in its way, as far as the store counts them; it
    only tells a waiter how soon to ask again.
    """

    token: int
    holder: bytes
    ahead: int = 0


class Locking(NamedTuple):
    """What `lock` did: one standing per name, in order, and the store's commit counter at that instant."""

    standings: list[Standing]
    version: int


class Holding(NamedTuple):
    """A lock that is held, for who looks from outside. `label` is what its holder said of itself."""

    name: bytes
    session: bytes
    label: bytes
    token: int
    remaining_ms: int  # of its session's time
    waiting: int  # sessions in its queue


class Scope(enum.Enum):
    """How much one commit can change atomically."""

    KEY = "key"
    SLOT = "slot"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a store can and cannot do; `rome.testing.driver_suite` asserts each both ways."""

    scope: Scope
    snapshots: bool  # later reads can be made at an earlier read's view
    durable: bool  # an acknowledged commit survives the end of the process
    shared: bool  # other processes see the same store
    remote: bool  # a round trip crosses a network, so a reply can be lost and `outcome` is answered
    max_key_bytes: int
    max_value_bytes: int
    max_commit_bytes: int
    min_ttl_ms: int = 1  # a session lives at least so long; a shorter time is taken as this one


class Driver(Protocol):
    """One opened store."""

    traits: Traits

    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: View | None = None,
        counts: Sequence[Range] = (),
    ) -> Reading:
        """One round trip, one state of the store: the newest, or that of `view`.

        Raises Conflict, with nothing read, when an expectation does not hold in that state. With a view the
        expectations are not looked at: a view does not change. Dereferenced cells are of the same state.
        """

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        """Check every expectation and apply every write, atomically, in one round trip; the new commit counter.

        A key stands in `writes` at most once. Raises LeaseLost when an expectation of a lock does not hold, Conflict
        when another does not. `mark` makes the commit idempotent on a remote store: sent twice it is applied once, and
        `outcome(mark)` tells its fate.
        """

    def outcome(self, mark: bytes) -> int | None:
        """The commit counter of the commit marked `mark`, or None if it was not applied and now never will be.

        Only stores whose traits say `remote` can lose a reply; others raise NotSupportedError.
        """

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        """Atomically set the counter at `key` to max(counter, at_least) + by and return it; it starts at 0.

        Outside every transaction: it is not undone, and no expectation looks at it. Counters are kept apart from
        cells: no read, scan or count sees them, `commit` cannot write them.
        """

    def clear(self, prefix: bytes) -> None:
        """Remove every cell and counter whose key starts with `prefix` (b"": the whole store), atomically."""

    def lock(
        self, session: bytes, names: Sequence[bytes], ttl_ms: int, patience: Patience, label: bytes = b""
    ) -> Locking:
        """Take the locks `names` for `session`, atomically and in one round trip, as `patience` says.

        A free lock goes to who asks only if no living session stands in its queue; each queue is served in the order
        of arrival. Who waits asks again, before its time runs out, and keeps its places by it; a lock that the session
        has already keeps its token. An expired session begins anew, with nothing.

        Raises Deadlock when the session would wait in a circle of sessions that wait for each other and came into it
        last; its places in queues are given up, what it has it keeps.
        """

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        """Whether the session lives; then its time begins anew. One round trip."""

    def unlock(self, session: bytes, names: Sequence[bytes] | None = None) -> None:
        """Give up the session's locks `names` and its places in their queues; with None, everything and the session.

        What it does not have is no error, so it may be sent again.
        """

    def locks(self, prefix: bytes = b"") -> list[Holding]:
        """The locks held by living sessions whose names start with `prefix`, by name."""

    def release(self, view: View) -> None:
        """Give back a view. Calling it twice, or after `close`, does nothing."""

    def close(self) -> None:
        """Give back everything. Calling it twice does nothing; any other call then raises InterfaceError."""
