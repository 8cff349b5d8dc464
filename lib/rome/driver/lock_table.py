"""Who holds which lock and who waits for it: the rules of `rome.driver.api`, "Locks", over a state kept elsewhere.

For drivers whose store takes no rules of its own: they keep a `State` and call these functions with it, under whatever
makes one of their calls atomic. Nothing here reads a clock: `now_ns` is the store's, in nanoseconds from any start.

A request is first planned, which reads only, and then carried out, so that a driver need not enter a write transaction
for a plan that changes nothing: who waits in a queue asks over and over.

A session is in the state while it holds a lock or waits for one. One that ran out stays there, taken for nobody, until
someone meets it or the next sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from rome.driver.api import Holding, Patience, Standing
from rome.errors import InterfaceError, LeaseLost

SESSION_BYTES = 16
SWEEP_EVERY = 256  # tokens between two searches for sessions that ran out and whose locks nobody asked for since


class Session(NamedTuple):
    """A session that holds a lock or waits for one."""

    expires_ns: int
    label: bytes


class Lock(NamedTuple):
    """A lock that is held or waited for: `holder` b"" is nobody, `queue` is in the order of arrival."""

    holder: bytes = b""
    token: int = 0
    queue: tuple[bytes, ...] = ()


class State(Protocol):
    """What a driver keeps. A session's *places* are the locks that it holds or waits for."""

    def session(self, session: bytes) -> Session | None: ...

    def sessions(self) -> Iterable[bytes]: ...

    def save_session(self, session: bytes, record: Session | None) -> None:
        """None removes it; its places are gone by then."""

    def lock(self, name: bytes) -> Lock:
        """Of a lock that is not in the state, an empty one."""

    def locks(self, prefix: bytes) -> Iterable[tuple[bytes, Lock]]:
        """Those whose names start with `prefix`, by name."""

    def save_lock(self, name: bytes, lock: Lock) -> None:
        """One without a holder and without a queue is removed."""

    def places(self, session: bytes) -> Sequence[tuple[bytes, bool]]:
        """The names of a session's places, each with whether it waits there."""

    def save_place(self, session: bytes, name: bytes, waits: bool | None) -> None:
        """None removes it."""

    def next_token(self) -> int:
        """A number greater than every one that this gave before."""


class Plan(NamedTuple):
    """What a request to take locks comes to.

    standings   as they are; those of `granted` are made when the plan is carried out
    granted     names that pass to the session
    queued      names in whose queues it takes a new place
    deadlock    whether it must give up its places in queues instead
    refreshed   whether its time must be written
    dead        sessions met that ran out
    """

    standings: list[Standing]
    granted: list[bytes]
    queued: list[bytes]
    deadlock: bool
    refreshed: bool
    dead: set[bytes]

    @property
    def changes(self) -> bool:
        """Whether carrying it out writes anything."""
        return bool(self.granted or self.queued or self.deadlock or self.refreshed)


class _Living:
    """Which sessions live at `now_ns`; remembers those that do not."""

    def __init__(self, state: State, now_ns: int) -> None:
        self._state = state
        self._now_ns = now_ns
        self._known: dict[bytes, bool] = {b"": False}

    def __contains__(self, session: bytes) -> bool:
        lives = self._known.get(session)
        if lives is None:
            record = self._state.session(session)
            lives = self._known[session] = record is not None and record.expires_ns > self._now_ns
        return lives

    @property
    def dead(self) -> set[bytes]:
        return {session for session, lives in self._known.items() if session and not lives}

    def before(self, session: bytes, lock: Lock) -> Iterator[bytes]:
        """The living sessions that have `lock`, or will have it, before `session`: first its holder, then the queue."""
        if lock.holder != session and lock.holder in self:
            yield lock.holder
        for waiter in lock.queue:
            if waiter == session and session in self:
                return
            if waiter in self:
                yield waiter


def check_session(session: bytes) -> None:
    """InterfaceError unless `session` can be one."""
    if len(session) != SESSION_BYTES:
        raise InterfaceError(f"a session is {SESSION_BYTES} random bytes, not {len(session)}")


def plan_of(
    state: State, now_ns: int, session: bytes, names: Sequence[bytes], ttl_ns: int, patience: Patience
) -> Plan:
    """What `Driver.lock` asks for comes to, at `now_ns`.

    The session's time is left as it is while three quarters of it remain and nothing else is to be written.
    """
    living = _Living(state, now_ns)
    lives = session in living
    standings: list[Standing] = []
    free: list[bytes] = []
    queued: list[bytes] = []
    refused = False
    for name in names:
        lock = state.lock(name)
        if lives and lock.holder == session:
            standings.append(Standing(lock.token, session))
            continue
        ahead = list(living.before(session, lock))
        standings.append(Standing(0, ahead[0] if ahead else b"", len(ahead)))
        if not ahead:
            free.append(name)
        else:
            refused = True
            if not (lives and session in lock.queue):
                queued.append(name)
    if patience is not Patience.WAIT:
        queued = []
    if patience is Patience.NOWAIT and refused:
        free = []
    record = state.session(session) if lives else None
    refreshed = record is not None and not now_ns + ttl_ns * 3 // 4 <= record.expires_ns <= now_ns + ttl_ns
    # Nobody waits for a session that had nothing yet, so it closes no circle.
    deadlock = lives and bool(queued) and _in_a_circle(state, living, session, queued)
    return Plan(standings, free, queued, deadlock, refreshed, living.dead)


def _in_a_circle(state: State, living: _Living, session: bytes, queued: Sequence[bytes]) -> bool:
    """Whether the living `session`, once it waits for the locks `queued` too, waits for itself by way of others.

    Of those before it in a queue each waits for the one before, so it is enough to look at the nearest.
    """
    locks: dict[bytes, Lock] = {}

    def nearest(waiter: bytes, name: bytes) -> bytes:
        lock = locks.get(name)
        if lock is None:
            lock = locks[name] = state.lock(name)
        place = lock.queue.index(waiter) if waiter in lock.queue else len(lock.queue)
        for other in (*reversed(lock.queue[:place]), lock.holder):
            if other != waiter and other in living:
                return other
        return b""

    seen = {b""}
    ahead = [nearest(session, name) for name in queued]
    ahead += [nearest(session, name) for name, waits in state.places(session) if waits]
    while ahead:
        other = ahead.pop()
        if other == session:
            return True
        if other not in seen:
            seen.add(other)
            ahead += [nearest(other, name) for name, waits in state.places(other) if waits]
    return False


def carry_out(
    state: State, now_ns: int, session: bytes, names: Sequence[bytes], ttl_ns: int, label: bytes, plan: Plan
) -> list[Standing]:
    """Do what `plan`, made of the same request in the same state, says; the standings that result.

    After a plan with `deadlock` the caller raises Deadlock, once what this wrote is safe.
    """
    if not plan.changes:
        return plan.standings
    for each in plan.dead:
        _drop(state, each)
    if plan.deadlock:
        unlock(state, session, [name for name, waits in state.places(session) if waits])
        return plan.standings
    record = state.session(session)
    state.save_session(session, Session(now_ns + ttl_ns, label or (record.label if record else b"")))
    tokens: dict[bytes, int] = {}
    for name in dict.fromkeys(plan.granted):
        token = tokens[name] = state.next_token()
        if token % SWEEP_EVERY == 0:
            sweep(state, now_ns)
        queue = tuple(each for each in state.lock(name).queue if each != session)
        state.save_lock(name, Lock(session, token, queue))
        state.save_place(session, name, False)
    for name in dict.fromkeys(plan.queued):
        lock = state.lock(name)
        state.save_lock(name, lock._replace(queue=(*lock.queue, session)))
        state.save_place(session, name, True)
    return [
        Standing(tokens[name], session) if name in tokens else standing
        for name, standing in zip(names, plan.standings, strict=True)
    ]


def renew(state: State, now_ns: int, session: bytes, ttl_ns: int) -> bool:
    """As `Driver.renew`."""
    record = state.session(session)
    if record is None or record.expires_ns <= now_ns:
        return False
    state.save_session(session, record._replace(expires_ns=now_ns + ttl_ns))
    return True


def unlock(state: State, session: bytes, names: Sequence[bytes] | None) -> None:
    """As `Driver.unlock`; a session that is left with nothing is gone."""
    if state.session(session) is None:
        return
    if names is None:
        _drop(state, session)
        return
    for name in names:
        _leave(state, session, name)
    if not state.places(session):
        state.save_session(session, None)


def _drop(state: State, session: bytes) -> None:
    for name, _ in state.places(session):
        _leave(state, session, name)
    state.save_session(session, None)


def _leave(state: State, session: bytes, name: bytes) -> None:
    lock = state.lock(name)
    if lock.holder == session:
        state.save_lock(name, lock._replace(holder=b"", token=0))
    elif session in lock.queue:
        state.save_lock(name, lock._replace(queue=tuple(each for each in lock.queue if each != session)))
    state.save_place(session, name, None)


def sweep(state: State, now_ns: int) -> None:
    """Remove every session that ran out."""
    for session in list(state.sessions()):
        record = state.session(session)
        if record is not None and record.expires_ns <= now_ns:
            _drop(state, session)


def check_lock(state: State, now_ns: int, name: bytes, session: bytes, token: int) -> None:
    """LeaseLost unless `session` has the lock `name` under `token` and lives."""
    record, lock = state.session(session), state.lock(name)
    if record is None or record.expires_ns <= now_ns or (lock.holder, lock.token) != (session, token):
        raise LeaseLost("the lease that this commit was made under is lost: nothing was written; take it again")


def holdings(state: State, now_ns: int, prefix: bytes) -> list[Holding]:
    """As `Driver.locks`."""
    living = _Living(state, now_ns)
    found = []
    for name, lock in state.locks(prefix):
        record = state.session(lock.holder)
        if record is not None and lock.holder in living:
            remaining_ms = -(-(record.expires_ns - now_ns) // 1_000_000)
            waiting = sum(waiter in living for waiter in lock.queue)
            found.append(Holding(name, lock.holder, record.label, lock.token, remaining_ms, waiting))
    return found
