"""The scripts of locks: what they take and answer, what they leave behind, and that they keep the common rules."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest

from rome.config import parse
from rome.driver.api import Driver, ExpectLock, Patience
from rome.driver.lock_table import Session
from rome.driver.memory import MemoryDriver
from rome.driver.open import open_store
from rome.driver.redis import locks
from rome.errors import Deadlock, LeaseLost
from tests.driver.redis.test_scripts import NO_EXPECTATIONS, Store, stamp
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

ONE, TWO, THREE, FOUR = (bytes([number]) * 16 for number in (1, 2, 3, 4))
_numbers = itertools.count(1)


class Locks(Store):
    """A store's locks, and the scripts run on them; names are given as text and escaped here."""

    def take(self, session: bytes, names: Sequence[str], patience: str = "wait", label: str = "") -> Any:
        keys = (self.sessions, self.places, self.locks, self.labels, self.tokens, self.commits)
        escaped = [locks.escaped(name.encode()) for name in names]
        answer = self.run("lock", keys, session, 60_000, 15_000, patience, label, *escaped)
        return answer if isinstance(answer, int) else [[token, holder] for token, holder, _ in answer[1:]]

    def tokens_of(self, session: bytes, names: Sequence[str], patience: str = "wait") -> list[int]:
        return [token for token, _ in self.take(session, names, patience)]

    def give_up(self, session: bytes, *names: str) -> None:
        keys = (self.sessions, self.places, self.locks, self.labels)
        assert self.run("unlock", keys, session, *(locks.escaped(name.encode()) for name in names)) == 0

    def renew(self, session: bytes) -> int:
        answer: int = self.run("renew", (self.sessions,), session, 60_000)
        return answer

    def expire(self, session: bytes) -> None:
        assert self.client.zadd(self.sessions, {session: 1}, xx=True, ch=True) == 1

    def left(self) -> int:
        """How many keys of locks there are."""
        return int(self.client.exists(self.sessions, self.places, self.locks, self.labels))


@pytest.fixture
def store(server: RedisServer) -> Locks:
    return Locks(server)


class TestLock:
    def test_it_answers_the_commit_counter_and_of_each_name_the_token_and_the_holder(self, store: Locks) -> None:
        version = store.put(a="1")
        keys = (store.sessions, store.places, store.locks, store.labels, store.tokens, store.commits)
        counter, first, second = store.run("lock", keys, ONE, 1000, 0, "wait", "", "a\0", "b\0")
        assert counter == version
        assert [first[1], second[1]] == [ONE, ONE]
        assert 0 < first[0] < second[0]
        assert store.run("lock", keys, TWO, 1000, 0, "skip", "", "a\0")[1] == [0, ONE, 1]

    def test_it_counts_the_sessions_ahead(self, store: Locks) -> None:
        keys = (store.sessions, store.places, store.locks, store.labels, store.tokens, store.commits)

        def ahead(session: bytes, patience: str = "wait") -> int:
            count: int = store.run("lock", keys, session, 1000, 0, patience, "", "a\0")[1][2]
            return count

        assert [ahead(session) for session in (ONE, TWO, THREE)] == [0, 1, 2]
        assert [ahead(FOUR, patience) for patience in ("skip", "nowait", "wait", "wait")] == [3, 3, 3, 3]
        store.give_up(ONE)
        assert [ahead(session) for session in (THREE, FOUR, TWO)] == [1, 2, 0]

    def test_sent_again_it_changes_nothing(self, store: Locks) -> None:
        store.take(ONE, ["a"])
        answer = store.take(TWO, ["a", "b"])
        before = store.client.zrange(store.locks, 0, -1), store.client.zrange(store.places, 0, -1)
        for _ in range(3):
            assert store.take(TWO, ["a", "b"]) == answer
        assert (store.client.zrange(store.locks, 0, -1), store.client.zrange(store.places, 0, -1)) == before

    def test_a_queue_is_served_by_arrival_and_nobody_jumps_it(self, store: Locks) -> None:
        store.take(ONE, ["a"])
        for session in (THREE, TWO, FOUR):
            assert store.take(session, ["a"]) == [[0, ONE]]
        store.give_up(ONE)
        for patience in ("wait", "nowait", "skip"):
            assert store.take(TWO, ["a"], patience) == [[0, THREE]]
        for session in (THREE, TWO, FOUR):
            assert store.take(session, ["a"])[0][1] == session
            store.give_up(session)
        assert store.left() == 0

    def test_nowait_takes_all_or_none_and_skip_what_is_free(self, store: Locks) -> None:
        store.take(ONE, ["a"])
        assert store.take(TWO, ["b", "a", "c"], "nowait") == [[0, b""], [0, ONE], [0, b""]]
        assert store.client.zcard(store.sessions) == 1
        b, a, c = store.take(TWO, ["b", "a", "c"], "skip")
        assert (b[1], a, c[1]) == (TWO, [0, ONE], TWO)
        assert store.take(TWO, ["b", "c"], "nowait") == [b, c]
        assert store.client.zcount(store.places, 0, 0) == 3

    def test_what_it_waited_for_passes_to_it_by_whatever_patience_it_asks_with(self, store: Locks) -> None:
        for patience in ("wait", "nowait", "skip"):
            store.take(ONE, ["a"])
            store.take(TWO, ["a"])
            store.give_up(ONE)
            assert store.take(TWO, ["a"], patience)[0][1] == TWO
            assert store.client.zcard(store.places) == store.client.zcard(store.locks) == 1
            store.give_up(TWO)

    def test_tokens_are_the_servers_clock_and_only_grow(self, store: Locks) -> None:
        seconds, microseconds = store.client.time()
        first = store.tokens_of(ONE, ["a"])[0]
        assert 0 <= first - (seconds * 1_000_000 + microseconds) < 60_000_000
        ahead = 8_000_000_000_000_001
        store.client.set(store.tokens, ahead)
        store.give_up(ONE)
        assert store.tokens_of(TWO, ["a", "b"]) == [ahead + 1, ahead + 2]

    def test_tokens_outlive_the_locks(self, store: Locks) -> None:
        last = 0
        for _ in range(5):
            token = store.tokens_of(ONE, ["a"])[0]
            assert token > last
            last = token
            store.give_up(ONE)
            assert store.left() == 0

    @pytest.mark.parametrize("count", [999, 1000, 1001, 2500])
    def test_as_many_locks_as_one_likes(self, store: Locks, count: int) -> None:
        names = [f"n{number:05}" for number in range(count)]
        assert all(store.tokens_of(ONE, names))
        assert store.take(TWO, names) == [[0, ONE]] * count
        store.give_up(ONE)
        assert all(store.tokens_of(TWO, names))
        store.give_up(TWO)
        assert store.left() == 0


class TestCircles:
    def test_who_closes_a_circle_leaves_all_queues_and_keeps_what_it_has(self, store: Locks) -> None:
        store.take(ONE, ["a"])
        store.take(TWO, ["b"])
        store.take(THREE, ["c", "d"])
        store.take(ONE, ["b"])
        store.take(THREE, ["e"])
        store.take(TWO, ["c"])
        store.take(FOUR, ["e"])
        assert store.take(THREE, ["x", "a"]) == 1
        assert store.take(FOUR, ["x"])[0][1] == FOUR
        assert store.take(TWO, ["c"]) == [[0, THREE]]
        store.give_up(THREE)
        assert store.take(TWO, ["c"])[0][1] == TWO

    def test_a_queue_counts_as_well_as_a_holder(self, store: Locks) -> None:
        """TWO is to have `a` before THREE has it, and waits for THREE's `b`."""
        store.take(ONE, ["a"])
        store.take(THREE, ["b"])
        store.take(TWO, ["a", "b"])
        assert store.take(THREE, ["a"]) == 1
        store.give_up(TWO)
        assert store.take(THREE, ["a"]) == [[0, ONE]]

    def test_the_dead_are_in_no_circle(self, store: Locks) -> None:
        store.take(ONE, ["a"])
        store.take(TWO, ["b"])
        store.take(ONE, ["b"])
        store.expire(ONE)
        assert store.take(TWO, ["a"])[0][1] == TWO

    def test_who_does_not_wait_closes_no_circle(self, store: Locks) -> None:
        store.take(ONE, ["a"])
        store.take(TWO, ["b"])
        store.take(ONE, ["b"])
        assert store.take(TWO, ["a"], "nowait") == [[0, ONE]]
        assert store.take(TWO, ["a"], "skip") == [[0, ONE]]


class TestSessions:
    def test_a_session_that_has_and_waits_for_nothing_is_none(self, store: Locks) -> None:
        store.take(ONE, ["a"], label="one")
        store.take(TWO, ["a"], "skip", label="two")
        assert store.client.zrange(store.sessions, 0, -1) == store.client.hkeys(store.labels) == [ONE]
        assert [store.renew(ONE), store.renew(TWO)] == [1, 0]
        store.give_up(ONE, "a", "b")
        assert store.renew(ONE) == 0
        assert store.left() == 0

    def test_who_waits_writes_only_when_a_part_of_its_time_has_gone_by(self, store: Locks) -> None:
        keys = (store.sessions, store.places, store.locks, store.labels, store.tokens, store.commits)

        def writes(slack_ms: int, ttl_ms: int = 60_000) -> int:
            """How many changes asking again makes."""
            before = store.client.info("persistence")["rdb_changes_since_last_save"]
            store.run("lock", keys, TWO, ttl_ms, slack_ms, "wait", "two", "a\0")
            return int(store.client.info("persistence")["rdb_changes_since_last_save"] - before)

        store.take(ONE, ["a"])
        assert writes(15_000) > 0
        assert [writes(15_000) for _ in range(3)] == [0, 0, 0]
        assert writes(0) > 0
        store.client.zincrby(store.sessions, -20e6, TWO)
        assert writes(15_000) > 0
        assert writes(15_000) == 0
        assert writes(15_000, ttl_ms=10_000) > 0
        store.give_up(ONE)
        assert writes(15_000) > 0

    def test_a_dead_session_has_nothing_and_begins_anew(self, store: Locks) -> None:
        old = store.tokens_of(ONE, ["a", "b"])
        store.take(TWO, ["a"])
        store.expire(ONE)
        assert store.renew(ONE) == 0
        assert store.take(ONE, ["a"]) == [[0, TWO]]
        assert store.take(TWO, ["a"])[0][1] == TWO
        assert store.take(THREE, ["b"])[0][0] > max(old)

    def test_a_dead_session_that_is_first_in_a_queue_holds_nobody_up(self, store: Locks) -> None:
        store.take(ONE, ["a"])
        for session in (TWO, THREE):
            store.take(session, ["a"])
        store.expire(TWO)
        store.give_up(ONE)
        assert store.take(THREE, ["a"])[0][1] == THREE

    def test_what_the_dead_leave_is_cleared_away_bit_by_bit_by_other_calls(self, store: Locks) -> None:
        for number in range(30):
            session = b"dead%012d" % number
            store.take(session, [f"{number}/{each}" for each in range(150 if number < 2 else 5)], label="x")
        for session in store.client.zrange(store.sessions, 0, -1):
            store.expire(session)
        left = []
        for _ in range(8):
            store.take(ONE, ["a"])
            left.append(store.client.zcard(store.sessions))
        assert left == sorted(left, reverse=True)
        assert left[1] > 1 == left[-1]
        store.give_up(ONE)
        assert store.left() == 0


class TestUnlock:
    def test_it_gives_up_only_what_is_the_sessions(self, store: Locks) -> None:
        store.take(ONE, ["a", "b"])
        store.take(TWO, ["a", "c"])
        store.give_up(TWO, "a", "b", "x")
        store.give_up(ONE, "c")
        assert [name for name, *_ in self.listed(store)] == [b"a\0", b"b\0", b"c\0"]
        assert [waiting for *_, waiting in self.listed(store)] == [0, 0, 0]
        store.give_up(ONE, "a")
        store.give_up(ONE, "a")
        assert [(name, session) for name, session, *_ in self.listed(store)] == [(b"b\0", ONE), (b"c\0", TWO)]
        store.give_up(TWO)
        store.give_up(TWO)
        assert [(name, session) for name, session, *_ in self.listed(store)] == [(b"b\0", ONE)]

    def listed(self, store: Locks, first: bytes = b"[", above: bytes = b"+") -> Any:
        return store.run("locks", (store.sessions, store.places, store.locks, store.labels), first, above)

    def test_the_list_shows_living_holders_and_how_many_wait(self, store: Locks) -> None:
        token = store.take(ONE, ["a"], label="one")[0][0]
        for session in (TWO, THREE, FOUR):
            store.take(session, ["a"])
        store.take(FOUR, ["ab"])
        store.expire(THREE)
        (name, session, label, shown, left_ms, waiting), other = self.listed(store)
        assert (name, session, label, shown, waiting) == (b"a\0", ONE, b"one", token, 2)
        assert 0 < left_ms <= 60_000
        assert other[:3] == [b"ab\0", FOUR, b""]
        assert [name for name, *_ in self.listed(store, b"[ab", b"(ac")] == [b"ab\0"]
        store.expire(ONE)
        assert [name for name, *_ in self.listed(store)] == [b"ab\0"]

    @pytest.mark.parametrize("count", [999, 1000, 1001, 2001])
    def test_the_list_is_as_long_as_there_are_locks(self, store: Locks, count: int) -> None:
        names = [f"{number:05}" for number in range(count)]
        store.take(ONE, names)
        store.take(TWO, names[-1:])
        listed = self.listed(store)
        assert [name for name, *_ in listed] == [name.encode() + b"\0" for name in names]
        assert [waiting for *_, waiting in listed] == [0] * (count - 1) + [1]


class TestCommit:
    def test_an_expected_lock_must_be_held_by_a_living_session_under_its_token(self, store: Locks) -> None:
        token = store.tokens_of(ONE, ["a"])[0]
        held = b"a\x000" + stamp(token) + ONE
        write = (0, "", 0, 1000, 1, "k", "v", 0)
        version = store.commit(1, held, *write)
        assert version > 4
        for wrong in (b"b\x000" + stamp(token) + ONE, b"a\x000" + stamp(token - 1) + ONE, held[:-16] + TWO):
            assert store.commit(2, held, wrong, *write) == 4
            assert store.read(2, held, wrong, 0, "", 0, 0, 0) == 4
        assert store.read(1, held, 0, "", 0, 0, 0) == [version, []]
        store.expire(ONE)
        assert store.commit(1, held, *write, mark=True) == 4
        assert int(store.client.get(store.commits) or 0) == version
        assert not store.client.exists(store.mark)

    def test_a_lost_lock_is_told_before_a_changed_cell(self, store: Locks) -> None:
        assert store.commit(1, b"a\x000" + stamp(1) + ONE, 1, "k", stamp(9), 0, 1000, 0, 0) == 4

    def test_a_place_in_the_queue_is_no_lock(self, store: Locks) -> None:
        store.take(ONE, ["a"])
        store.take(TWO, ["a"])
        number = store.client.zrange(store.locks, 1, 1)[0][-24:-16]
        assert store.commit(1, b"a\x000" + number + TWO, 0, "", 0, 1000, 0, 0) == 4

    def test_a_marked_commit_that_was_applied_stays_so_when_the_lock_is_gone(self, store: Locks) -> None:
        held = b"a\x000" + stamp(store.tokens_of(ONE, ["a"])[0]) + ONE
        version = store.commit(1, held, 0, "", 0, 60_000, 1, "k", "v", 0, mark=True)
        store.give_up(ONE)
        assert store.commit(1, held, 0, "", 0, 60_000, 1, "k", "v", 0, mark=True) == version

    def test_clearing_a_store_leaves_its_locks(self, store: Locks) -> None:
        token = store.tokens_of(ONE, ["a"])[0]
        store.run("clear", (store.cells, store.order, store.commits, store.counters), "", "[", "+")
        assert store.tokens_of(ONE, ["a"]) == [token]
        assert store.commit(*NO_EXPECTATIONS, 0, 1, "a", "1", 0) > 4


@pytest.mark.parametrize("name", [b"", b"a", b"\0", b"\1", b"\1\1", b"\1\2\1\1\2\0\2", b"a\0\1b\xff", b"\xff"])
def test_a_name_of_any_bytes_comes_back_from_the_list(server: RedisServer, name: bytes) -> None:
    driver = open_store(parse(server.url(f"names{next(_numbers)}")))
    driver.lock(ONE, [name, name + b"\0", name + b"x"], 60_000, Patience.WAIT, b"me")
    assert [held.name for held in driver.locks()] == sorted([name, name + b"\0", name + b"x"])
    assert [held.name for held in driver.locks(name + b"\0")] == [name + b"\0"]
    assert driver.locks(name + b"xx") == []
    driver.close()


@pytest.mark.parametrize("seed", range(8))
def test_any_run_of_calls_answers_as_the_common_rules_do(server: RedisServer, seed: int) -> None:
    """Side by side with a memory store; sessions are killed by hand in both."""
    chance = random.Random(seed)
    store = f"rules{next(_numbers)}"
    redis, memory = open_store(parse(server.url(store))), open_store(parse(f"rome+memory:///{store}"))
    assert isinstance(memory, MemoryDriver)
    sessions = [bytes([number]) * 16 for number in range(6)]
    names = [bytes([97 + number]) for number in range(7)]
    seen: set[str] = set()

    def kill(session: bytes) -> None:
        server.client().zadd(f"rome:{{{store}}}:sessions", {session: 1}, xx=True)
        state = memory._opened().locks
        record = state.session(session)
        if record is not None:
            state.save_session(session, Session(0, record.label))

    def answer(driver: Driver, tokens: dict[int, int], what: str, session: bytes, some: list[bytes]) -> object:
        """What a call answers, with tokens by the order in which they came up."""
        match what:
            case "renew":
                return driver.renew(session, 600_000)
            case "unlock":
                return driver.unlock(session, some or None)
            case "list":
                return [each._replace(token=tokens[each.token], remaining_ms=0) for each in driver.locks()]
        try:
            standings = driver.lock(session, some, 600_000, Patience(what), b"of " + session).standings
        except Deadlock:
            return "deadlock"
        for token in sorted({token for token, _, _ in standings} - set(tokens)):
            tokens[token] = len(tokens)
        return [(tokens[token], holder, ahead > 0) for token, holder, ahead in standings]

    both: list[tuple[Driver, dict[int, int]]] = [(redis, {0: 0}), (memory, {0: 0})]
    for step in range(400):
        what = chance.choice(["wait"] * 6 + ["nowait", "skip", "renew", "unlock", "unlock", "list", "kill"])
        session, some = chance.choice(sessions), chance.sample(names, chance.choice([0, 1, 1, 1, 2, 3]))
        if what == "kill":
            kill(session)
            continue
        first, second = (answer(driver, tokens, what, session, some) for driver, tokens in both)
        assert first == second, (step, what, session, some)
        seen.add(str(first) if isinstance(first, str) else what)
    assert seen == {"wait", "nowait", "skip", "renew", "unlock", "list", "deadlock"}
    for driver, _ in both:
        driver.close()


def test_a_commit_without_writes_checks_the_lock_and_leaves_the_counter(server: RedisServer) -> None:
    driver = open_store(parse(server.url(f"empty{next(_numbers)}")))
    version = driver.commit((), [(b"a", b"1")])
    locking = driver.lock(ONE, [b"l"], 60_000, Patience.WAIT)
    assert locking.version == version
    held = ExpectLock(b"l", ONE, locking.standings[0].token)
    assert driver.commit([held], []) == version
    driver.unlock(ONE)
    for writes in ([], [(b"a", b"2")]):
        with pytest.raises(LeaseLost, match=r"\[55000\].*nothing was written"):
            driver.commit([held], writes, b"mark")
    driver.close()
