"""Locks: one key for each session that has a lock or waits for it, leased to the session by etcd itself.

The oldest key of a lock is that of its holder, the others are its queue, oldest first; a key's create revision is the
token. A key says whether its session knows that it has the lock: who has come up in a queue asks first. When a
session's time runs out by the cluster's clock, etcd removes its keys, and with them its locks and its places.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from rome.driver.api import Expectation, ExpectLock, Holding, Locking, Patience, Standing
from rome.driver.etcd import layout
from rome.driver.etcd.client import TIME_TO_LIVE, TXN, Client
from rome.driver.etcd.failures import LeaseGone
from rome.driver.etcd.layout import Layout
from rome.driver.etcd.messages import LeaseTimeToLiveRequest, Message, PutRequest, RequestOp, TxnRequest
from rome.driver.etcd.sessions import SESSION_BYTES, Session, Sessions, check_session, keep_alive
from rome.errors import Deadlock, LeaseLost

NAMES_AT_ONCE: Final = 40  # locks in one transaction
NAME_BYTES_AT_ONCE: Final = 100_000
MOST_COMPARED: Final = 40  # locks that a commit compares one by one
HELD: Final = b"held"
WAITING: Final = b"waiting"
LOST: Final = "the lease that this commit was made under is lost: nothing was written; take it again"
_TAIL: Final = len(b"\0\x01") + SESSION_BYTES  # of a key, after the name


class Entry(NamedTuple):
    """A session's key of one lock."""

    session: bytes
    token: int  # its create revision
    held: bool


Queue = list[Entry]  # of one lock, oldest first


class Locks:
    """The locks of one store."""

    def __init__(self, client: Client, keys: Layout) -> None:
        self._client = client
        self._keys = keys
        self._sessions = Sessions(client, keys)

    # The interface

    def lock(self, session: bytes, names: Sequence[bytes], ttl_ms: int, patience: Patience, label: bytes) -> Locking:
        """As `Driver.lock`."""
        check_session(session)
        distinct = list(dict.fromkeys(names))
        queues: dict[bytes, Queue] = {}
        while True:
            known = self._sessions.begin(session, ttl_ms)
            try:
                version = self._ask(session, known, distinct, patience, label, queues)
                break
            except LeaseGone:
                self._sessions.forget(session)
        return Locking([_standing(queues[name], session) for name in names], version)

    def renew(self, session: bytes, ttl_ms: int) -> bool:
        """As `Driver.renew`."""
        check_session(session)
        return self._sessions.renew(session, ttl_ms)

    def unlock(self, session: bytes, names: Sequence[bytes] | None) -> None:
        """As `Driver.unlock`."""
        check_session(session)
        if names is None:
            self._sessions.end(session)
            return
        known = self._sessions.known(session)
        for name in names if known is not None else ():
            known.waiting.pop(name, None)  # type: ignore[union-attr]
        self._give_up(session, list(dict.fromkeys(names)))

    def locks(self, prefix: bytes) -> list[Holding]:
        """As `Driver.locks`."""
        answer = self._client.transact(TxnRequest(success=[layout.every(self._keys.locks + layout.escaped(prefix))]))
        held = [(name, queue) for name, queue in self._queues(answer.responses[0]).items() if queue[0].held]
        holders = list(dict.fromkeys(queue[0].session for _, queue in held))
        looks = [(TXN, TxnRequest(success=[layout.get(self._keys.session(each))])) for each in holders]
        answers = self._client.repeat(looks) if looks else []
        found = [answer.responses[0].response_range.kvs for answer in answers]
        alive = [(each, kvs[0]) for each, kvs in zip(holders, found, strict=True) if kvs]
        times = [(TIME_TO_LIVE, LeaseTimeToLiveRequest(id=kv.lease)) for _, kv in alive]
        lived = zip(alive, self._client.repeat(times) if times else [], strict=True)
        said = {each: (kv.value, time.ttl * 1000) for (each, kv), time in lived if time.ttl > 0}
        return [
            Holding(name, queue[0].session, *_told(said[queue[0].session], queue))
            for name, queue in held
            if queue[0].session in said
        ]

    def comparisons(self, expect: Iterable[Expectation]) -> list[Message]:
        """What must hold for the locks of `expect` to be held.

        Of many locks one comparison for each session: they are looked at now, and `unlock` writes the session's key.
        """
        locks = [each for each in expect if isinstance(each, ExpectLock)]
        if len(locks) <= MOST_COMPARED:
            return [self._compared(each) for each in locks]
        sessions = list(dict.fromkeys(each.session for each in locks))
        states = self._read([self._keys.session(each) for each in sessions])
        try:
            self.check(locks)
        except LeaseLost:
            return [NEVER]
        return [
            layout.unchanged(self._keys.session(each), kv.mod_revision) if kv is not None else NEVER
            for each, kv in zip(sessions, states, strict=True)
        ]

    def check(self, expect: Iterable[Expectation]) -> None:
        """Raise LeaseLost if a lock of `expect` is not held now."""
        locks = [each for each in expect if isinstance(each, ExpectLock)]
        found = self._read([self._keys.lock(each.name) + each.session for each in locks])
        for each, kv in zip(locks, found, strict=True):
            if kv is None or kv.create_revision != each.token:
                raise LeaseLost(LOST)

    # Steps

    def _ask(
        self,
        session: bytes,
        known: Session,
        names: list[bytes],
        patience: Patience,
        label: bytes,
        queues: dict[bytes, Queue],
    ) -> int:
        """Ask for `names`; the commit counter. `queues` says how it stands afterwards."""
        version = 0
        if patience is Patience.NOWAIT:
            return self._take_all(session, known, names, label, queues)
        waits = patience is Patience.WAIT and bool(names) and all(name in known.waiting for name in names)
        for part in _parts(names):
            steps = [] if waits else self._announce(session, known, label)
            for name in part:
                mine = self._keys.lock(name) + session
                queue = layout.when([layout.absent(mine)], [layout.put(mine, WAITING, known.lease)])
                if not waits:
                    steps.append(
                        layout.when(
                            [layout.nobody(self._keys.lock(name))],
                            [layout.put(mine, HELD, known.lease)],
                            [queue] if patience is Patience.WAIT else [],
                        )
                    )
            version = self._send(session, known, TxnRequest(success=[*steps, *self._looks(part)]), part, queues)
        self._notice(session, known, label, names, queues)
        self._promote(session, known, names, queues)
        return version

    def _notice(
        self, session: bytes, known: Session, label: bytes, names: Sequence[bytes], queues: dict[bytes, Queue]
    ) -> None:
        """Keep in mind for what the session waits; raises Deadlock if it came last into a circle."""
        known.label = label or known.label or b""
        new = 0
        for name in names:
            place = _place(queues[name], session)
            entry = queues[name][place] if place >= 0 else None
            if entry is None or entry.held:
                if name in known.waiting and entry is None:
                    raise LeaseGone(f"{self._client.place}: a session ran out while it waited")
                known.waiting.pop(name, None)
            elif known.waiting.get(name) != entry.token:
                known.waiting[name] = entry.token
                new = max(new, entry.token) if place else new
        if new and self._is_in_a_circle(session, new):
            self._give_up(session, list(known.waiting))
            known.waiting.clear()
            raise Deadlock("transactions wait for each other's locks in a circle, and this one came last: run it again")

    def _promote(self, session: bytes, known: Session, names: Sequence[bytes], queues: dict[bytes, Queue]) -> None:
        """Take the locks in whose queues the session has come up."""
        up = [name for name in names if queues[name] and _is_up(queues[name][0], session)]
        for part in _parts(up):
            keys = [self._keys.lock(name) + session for name in part]
            request = TxnRequest(
                compare=[layout.made_at(key, queues[name][0].token) for name, key in zip(part, keys, strict=True)],
                success=[layout.put(key, HELD, known.lease) for key in keys],
            )
            if not self._client.transact(request).succeeded:
                raise LeaseGone(f"{self._client.place}: a session ran out while it took a lock")
            for name in part:
                queues[name][0] = queues[name][0]._replace(held=True)
                known.waiting.pop(name, None)

    def _take_all(
        self, session: bytes, known: Session, names: list[bytes], label: bytes, queues: dict[bytes, Queue]
    ) -> int:
        """Take every one of `names` or none; the commit counter."""
        version, taken = 0, list[bytes]()
        for part in _parts(names):
            before: set[int] = set()  # what it had, or waited for
            conditions = [layout.nobody(self._keys.lock(name)) for name in part]
            while True:
                puts = [layout.put(self._keys.lock(name) + session, HELD, known.lease) for name in part]
                request = TxnRequest(
                    compare=conditions,
                    success=[*self._announce(session, known, label), *puts, *self._looks(part)],
                    failure=self._looks(part),
                )
                version = self._send(session, known, request, part, queues)
                if all(queues[name] and _place(queues[name], session) == 0 and queues[name][0].held for name in part):
                    break
                if any(queues[name] and queues[name][0].session != session for name in part):
                    self._give_up(session, taken)
                    queues.update((name, []) for name in (*taken, *names[names.index(part[-1]) + 1 :]))
                    return version
                before = {queues[name][0].token for name in part if queues[name]}
                conditions = [
                    layout.made_at(self._keys.lock(name) + session, queues[name][0].token)
                    if queues[name]
                    else layout.nobody(self._keys.lock(name))
                    for name in part
                ]
            known.label = label or known.label or b""
            taken += (name for name in part if queues[name][0].token not in before)
        return version

    def _announce(self, session: bytes, known: Session, label: bytes) -> list[Message]:
        """What makes the session's key say `label`, and be there at all."""
        key = self._keys.session(session)
        if known.label is not None and (not label or known.label == label):
            return []
        put = layout.put(key, label, known.lease)
        return [put] if label else [layout.when([layout.absent(key)], [put])]

    def _looks(self, names: Sequence[bytes]) -> list[Message]:
        return [self._keys.look(), *(layout.every(self._keys.lock(name)) for name in names)]

    def _send(
        self, session: bytes, known: Session, request: Message, names: Sequence[bytes], queues: dict[bytes, Queue]
    ) -> int:
        """Make a request that ends with the looks at `names`, take in what they see; the commit counter."""
        answer, alive = self._client.repeat([(TXN, request), keep_alive(known)])
        if alive.ttl <= 0:
            raise LeaseGone(f"{self._client.place}: the session ran out")
        looked, *found = answer.responses[-len(names) - 1 :]
        for name, each in zip(names, found, strict=True):
            queues[name] = next(iter(self._queues(each).values()), [])
        return self._keys.seen(looked.response_range).version

    def _queues(self, response: Message) -> dict[bytes, Queue]:
        """The queues of the locks whose keys a `response` has, by name."""
        cut = len(self._keys.locks)
        found: dict[bytes, Queue] = {}
        for kv in response.response_range.kvs:
            entry = Entry(kv.key[-SESSION_BYTES:], kv.create_revision, kv.value == HELD)
            found.setdefault(kv.key[cut:-_TAIL], []).append(entry)
        return {
            layout.unescaped(name): sorted(queue, key=lambda entry: entry.token) for name, queue in found.items()
        }

    def _is_in_a_circle(self, session: bytes, last: int) -> bool:
        """Whether `session` waits for itself by way of others, if no one had come into a queue after `last`.

        Who comes later looks for itself: of a circle, one and only one finds that it closed it.
        """
        answer = self._client.transact(TxnRequest(success=[layout.every(self._keys.locks)]))
        ahead: dict[bytes, set[bytes]] = {}
        for queue in self._queues(answer.responses[0]).values():
            for place, entry in enumerate(queue):
                if place and entry.token <= last:
                    ahead.setdefault(entry.session, set()).update(other.session for other in queue[:place])
        reached: set[bytes] = set()
        open_: list[bytes] = [session]
        while open_:
            for other in ahead.get(open_.pop(), ()):
                if other == session:
                    return True
                if other not in reached:
                    reached.add(other)
                    open_.append(other)
        return False

    def _give_up(self, session: bytes, names: Sequence[bytes]) -> None:
        key = self._keys.session(session)
        touch = RequestOp(request_put=PutRequest(key=key, ignore_value=True, ignore_lease=True))
        for part in _parts(names):
            deletes = [layout.delete(self._keys.lock(name) + session) for name in part]
            self._client.transact(TxnRequest(success=[*deletes, layout.when([layout.exists(key)], [touch])]))

    def _compared(self, expect: ExpectLock) -> Message:
        if expect.token < 1:
            return NEVER
        return layout.made_at(self._keys.lock(expect.name) + expect.session, expect.token)

    def _read(self, keys: Sequence[bytes]) -> list[Message | None]:
        """What is at `keys`, whatever they are for; None where nothing is."""
        found: list[Message | None] = []
        for part in _parts(keys):
            answer = self._client.transact(TxnRequest(success=[layout.get(key) for key in part]))
            found += (each.response_range.kvs[0] if each.response_range.kvs else None for each in answer.responses)
        return found


NEVER: Final = layout.made_at(b"rome/", -1)
"""What does not hold."""


def _parts(names: Sequence[bytes]) -> Iterator[list[bytes]]:
    """`names` in parts that one transaction takes."""
    part: list[bytes] = []
    for name in names:
        if part and (len(part) == NAMES_AT_ONCE or sum(map(len, part)) + len(name) > NAME_BYTES_AT_ONCE):
            yield part
            part = []
        part.append(name)
    if part:
        yield part


def _place(queue: Queue, session: bytes) -> int:
    """Where `session` stands in `queue`, -1 for nowhere."""
    return next((place for place, entry in enumerate(queue) if entry.session == session), -1)


def _is_up(entry: Entry, session: bytes) -> bool:
    return entry.session == session and not entry.held


def _standing(queue: Queue, session: bytes) -> Standing:
    place = _place(queue, session)
    if place == 0:
        return Standing(queue[0].token, session, 0) if queue[0].held else Standing(0, b"", 0)
    if not queue:
        return Standing(0, b"", 0)
    return Standing(0, queue[0].session, len(queue) if place < 0 else place)


def _told(said: tuple[bytes, int], queue: Queue) -> tuple[bytes, int, int, int]:
    """The rest of a Holding: label, token, remaining_ms, waiting."""
    label, remaining_ms = said
    return label, queue[0].token, remaining_ms, len(queue) - 1
