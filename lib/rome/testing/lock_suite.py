"""The conformance suite of locks: every promise of `rome.driver.api`, "Locks", one test each, none skipped.

Derive a class whose name starts with `Test` and give it an `open_driver` fixture, as for
`rome.testing.driver_suite.DriverSuite`. What leases make of these promises is in `rome.testing.lease_suite`, which this
suite includes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rome.driver.api import (
    Driver,
    Expectation,
    ExpectCell,
    ExpectLock,
    ExpectRange,
    Patience,
    Scan,
    Standing,
)
from rome.errors import Conflict, DataError, Deadlock, InterfaceError, LeaseLost
from rome.testing.driver_life import EVERYTHING, OpenDriver, counted, in_child, scanned, value_at, version_of
from rome.testing.lease_suite import LONG_MS, LeaseSuite, given_time, held_by, pause, short_ms, until

WAIT, NOWAIT, SKIP = Patience.WAIT, Patience.NOWAIT, Patience.SKIP
A, B, C, D = (bytes([number]) * 16 for number in (1, 2, 3, 4))


def ask(driver: Driver, session: bytes, *names: bytes, patience: Patience = WAIT, ttl_ms: int = LONG_MS) -> list[int]:
    """The tokens that `session` has after asking, 0 for a lock that it does not have."""
    return [standing.token for standing in driver.lock(session, names, ttl_ms, patience).standings]


def take(driver: Driver, session: bytes, name: bytes, ttl_ms: int = LONG_MS) -> int:
    """The token of the free lock `name`, now the session's."""
    token = ask(driver, session, name, patience=NOWAIT, ttl_ms=ttl_ms)[0]
    assert token > 0, f"{name!r} is not free"
    return token


class LockSuite(LeaseSuite):
    """Derive, give an `open_driver` fixture, and pytest collects the contract."""

    capability = "locks"

    # Taking

    def test_a_free_lock_is_given_with_a_token_and_a_held_one_refused_with_its_holder(self, driver: Driver) -> None:
        given = driver.lock(A, [b"x"], LONG_MS, WAIT).standings
        assert given[0].token >= 1 and given[0].holder == A
        for patience in Patience:
            refused = driver.lock(B, [b"x"], LONG_MS, patience).standings
            assert (refused[0].token, refused[0].holder) == (0, A)
        assert all(isinstance(each, Standing) for each in (*given, *refused))

    def test_standings_come_in_the_order_of_the_names(self, driver: Driver) -> None:
        take(driver, A, b"m")
        take(driver, B, b"c")
        standings = driver.lock(C, [b"z", b"m", b"a", b"c"], LONG_MS, SKIP).standings
        assert [each.token > 0 for each in standings] == [True, False, True, False]
        assert [each.holder for each in standings] == [C, A, C, B]

    def test_a_request_for_no_lock_takes_none(self, driver: Driver) -> None:
        assert driver.lock(A, (), LONG_MS, WAIT).standings == []
        assert driver.locks() == []

    def test_nowait_takes_all_or_none(self, driver: Driver) -> None:
        take(driver, A, b"y")
        refused = driver.lock(B, [b"x", b"y", b"z"], LONG_MS, NOWAIT).standings
        assert [each.token for each in refused] == [0, 0, 0]
        assert [each.holder for each in refused] == [b"", A, b""]
        assert held_by(driver, B) == []
        assert all(ask(driver, B, b"x", b"z", patience=NOWAIT))
        assert held_by(driver, B) == [b"x", b"z"]

    def test_nowait_and_skip_stand_in_no_queue(self, driver: Driver) -> None:
        take(driver, A, b"x")
        for patience in (NOWAIT, SKIP):
            assert ask(driver, B, b"x", patience=patience) == [0]
        assert driver.locks()[0].waiting == 0
        driver.unlock(A)
        assert take(driver, C, b"x")

    def test_wait_takes_what_is_free_and_waits_for_the_others(self, driver: Driver) -> None:
        take(driver, A, b"y")
        first = ask(driver, B, b"x", b"y", b"z")
        assert [token > 0 for token in first] == [True, False, True]
        assert held_by(driver, B) == [b"x", b"z"]
        driver.unlock(A, [b"y"])
        assert held_by(driver, B) == [b"x", b"z"]
        later = ask(driver, B, b"x", b"y", b"z")
        assert (later[0], later[2]) == (first[0], first[2]) and later[1] > 0

    def test_a_queue_is_served_in_the_order_of_arrival(self, driver: Driver) -> None:
        take(driver, A, b"x")
        for session in (B, C, D):
            assert ask(driver, session, b"x") == [0]
        for leaving, turn, others in ((A, B, (C, D)), (B, C, (D,)), (C, D, ())):
            driver.unlock(leaving, [b"x"])
            for other in others:
                standing = driver.lock(other, [b"x"], LONG_MS, WAIT).standings[0]
                assert (standing.token, standing.holder) == (0, turn)
            assert ask(driver, turn, b"x")[0] > 0

    def test_nobody_gets_past_a_queue(self, driver: Driver) -> None:
        take(driver, A, b"x")
        ask(driver, B, b"x")
        driver.unlock(A)
        for patience in Patience:
            standing = driver.lock(C, [b"x"], LONG_MS, patience).standings[0]
            assert (standing.token, standing.holder) == (0, B)
        assert ask(driver, B, b"x", patience=NOWAIT)[0] > 0

    def test_asking_again_keeps_the_token_and_the_place(self, driver: Driver) -> None:
        token = take(driver, A, b"x")
        for patience in Patience:
            assert ask(driver, A, b"x", patience=patience) == [token]
        ask(driver, B, b"x")
        ask(driver, C, b"x")
        for _ in range(3):
            assert ask(driver, B, b"x") == [0]
        assert driver.locks()[0].waiting == 2
        driver.unlock(A)
        assert ask(driver, C, b"x") == [0]
        assert ask(driver, B, b"x")[0] > token

    def test_a_session_may_have_many_locks_and_names_may_be_any_bytes(self, driver: Driver) -> None:
        names = [b"\0", b"\0\0", b"a", b"a\0", b"a\xff", b"\xff", b"\xff\xff", b"x" * 3072, b"x" * 3073]
        names += [b"k" * driver.traits.max_key_bytes, *(b"%03d" % number for number in range(100))]
        assert all(ask(driver, A, *names))
        assert held_by(driver, A) == sorted(names)
        assert ask(driver, B, *names, patience=SKIP) == [0] * len(names)
        driver.unlock(A, names[:5])
        assert held_by(driver, A) == sorted(names[5:])
        driver.unlock(A)
        assert driver.locks() == []

    def test_a_name_over_the_limit_is_refused_whole(self, driver: Driver) -> None:
        with pytest.raises(DataError):
            driver.lock(A, [b"x", b"k" * (driver.traits.max_key_bytes + 1)], LONG_MS, WAIT)
        assert driver.locks() == []

    def test_the_answer_has_the_commit_counter(self, driver: Driver) -> None:
        driver.commit((), [(b"a", b"1")])
        version = version_of(driver)
        assert driver.lock(A, [b"x"], LONG_MS, WAIT).version == version
        driver.commit((), [(b"a", b"2")])
        for patience in Patience:
            assert driver.lock(B, [b"x"], LONG_MS, patience).version == version_of(driver) > version

    # Tokens

    def test_tokens_of_a_lock_only_grow(self, driver: Driver) -> None:
        tokens = []
        for session in (A, B, A, A, C):
            tokens.append(take(driver, session, b"x"))
            take(driver, session, b"another")
            driver.unlock(session)
        take(driver, A, b"x")
        ask(driver, B, b"x")
        tokens.append(ask(driver, A, b"x")[0])
        driver.unlock(A)
        tokens.append(ask(driver, B, b"x")[0])
        driver.clear(b"")
        driver.unlock(B)
        tokens.append(take(driver, C, b"x"))
        assert tokens == sorted(set(tokens))

    def test_a_durable_store_goes_on_with_its_tokens_when_it_is_opened_again(self, open_driver: OpenDriver) -> None:
        driver = open_driver()
        tokens = [take(driver, A, b"x")]
        driver.unlock(A)
        for session in (B, C):
            driver.close()
            driver = open_driver()
            tokens.append(take(driver, session, b"x"))
            driver.unlock(session)
        if driver.traits.durable:
            assert tokens == sorted(set(tokens))
        driver.close()

    # Giving up

    def test_only_its_holder_gives_a_lock_up(self, driver: Driver) -> None:
        token = take(driver, A, b"x")
        driver.unlock(B, [b"x"])
        driver.unlock(B)
        assert ask(driver, A, b"x") == [token]
        driver.unlock(A, [b"never had", b"x"])
        driver.unlock(A, [b"x"])
        assert take(driver, B, b"x") > token

    def test_a_late_unlock_of_who_had_the_lock_before_does_nothing(self, driver: Driver) -> None:
        take(driver, A, b"x")
        driver.unlock(A)
        token = take(driver, B, b"x")
        driver.unlock(A, [b"x"])
        driver.unlock(A)
        assert ask(driver, B, b"x") == [token]

    def test_giving_everything_up_ends_the_session(self, driver: Driver) -> None:
        take(driver, A, b"x")
        take(driver, B, b"z")
        ask(driver, B, b"x", b"y")
        driver.unlock(B)
        assert [holding.waiting for holding in driver.locks()] == [0]
        assert held_by(driver, B) == []
        driver.unlock(A)
        assert driver.locks() == []
        assert take(driver, C, b"x") and take(driver, C, b"y") and take(driver, C, b"z")

    def test_who_leaves_a_queue_lets_the_next_come_up(self, driver: Driver) -> None:
        take(driver, A, b"x")
        ask(driver, B, b"x")
        ask(driver, C, b"x")
        driver.unlock(B, [b"x"])
        driver.unlock(A, [b"x"])
        assert ask(driver, C, b"x")[0] > 0

    # Time

    def test_a_session_lives_while_it_is_renewed_and_another_is_unknown(self, driver: Driver) -> None:
        assert driver.renew(B, LONG_MS) is False

        def lived(ttl_ms: int) -> bool:
            token = take(driver, A, b"x", ttl_ms)
            for _ in range(6):
                pause(ttl_ms / 4)
                if not driver.renew(A, ttl_ms):
                    return False
            return ask(driver, A, b"x") == [token]

        assert given_time(lived, driver)
        assert ask(driver, B, b"x", patience=NOWAIT) == [0]

    def test_a_session_lives_while_it_asks_and_is_gone_with_everything_when_it_does_not(self, driver: Driver) -> None:
        take(driver, A, b"x")
        mine = 0

        def lived(ttl_ms: int) -> bool:
            nonlocal mine
            mine = take(driver, B, b"y", ttl_ms)
            for _ in range(6):
                pause(ttl_ms / 4)
                assert ask(driver, B, b"x", ttl_ms=ttl_ms) == [0]
            return ask(driver, B, b"y", ttl_ms=ttl_ms) == [mine]

        assert given_time(lived, driver)
        ask(driver, C, b"x")
        token = until(lambda: ask(driver, D, b"y", patience=NOWAIT)[0], LONG_MS)
        assert token > mine
        assert driver.renew(B, LONG_MS) is False
        assert held_by(driver, B) == []
        driver.unlock(A)
        assert ask(driver, C, b"x")[0] > 0, "a session that ran out still stands in a queue"
        assert ask(driver, B, b"y") == [0], "a session that ran out began anew with what it had"

    def test_a_shorter_time_than_the_store_knows_is_taken_as_its_shortest(self, driver: Driver) -> None:
        shortest_ms = driver.traits.min_ttl_ms
        take(driver, A, b"x", 1)
        if shortest_ms > 100:
            assert driver.locks()[0].remaining_ms > 1
            assert ask(driver, B, b"x", patience=NOWAIT) == [0]
        assert until(lambda: ask(driver, B, b"x", patience=NOWAIT)[0], shortest_ms) > 0

    # Deadlocks

    def test_of_two_that_wait_for_each_other_the_later_gives_way(self, driver: Driver) -> None:
        mine, other = take(driver, A, b"x"), take(driver, B, b"y")
        assert ask(driver, A, b"y") == [0]
        with pytest.raises(Deadlock):
            ask(driver, B, b"x")
        assert ask(driver, A, b"y") == [0]
        assert (held_by(driver, A), held_by(driver, B)) == ([b"x"], [b"y"])
        assert [holding.waiting for holding in driver.locks()] == [0, 1], "the one that gave way still waits"
        driver.unlock(B)
        assert ask(driver, A, b"x", b"y")[0] == mine
        assert ask(driver, A, b"y")[0] > other

    def test_of_three_that_wait_in_a_circle_the_last_gives_way(self, driver: Driver) -> None:
        for session, name in ((A, b"x"), (B, b"y"), (C, b"z")):
            take(driver, session, name)
        assert ask(driver, A, b"y") == [0]
        assert ask(driver, B, b"z") == [0]
        with pytest.raises(Deadlock):
            ask(driver, C, b"x")
        driver.unlock(C)
        assert ask(driver, B, b"z")[0] > 0
        driver.unlock(B)
        assert ask(driver, A, b"y")[0] > 0

    def test_who_waits_behind_another_in_a_queue_waits_for_it(self, driver: Driver) -> None:
        take(driver, A, b"x")
        take(driver, C, b"y")
        ask(driver, B, b"x")
        ask(driver, C, b"x")
        with pytest.raises(Deadlock):
            ask(driver, B, b"y")
        assert ask(driver, C, b"x") == [0]
        driver.unlock(A)
        assert ask(driver, C, b"x")[0] > 0, "the one that gave way is still ahead in a queue"

    def test_waiting_in_a_line_is_no_deadlock(self, driver: Driver) -> None:
        take(driver, A, b"x")
        take(driver, B, b"y")
        for _ in range(2):
            assert ask(driver, B, b"x") == [0]
            assert ask(driver, C, b"y", b"x") == [0, 0]
            assert ask(driver, D, b"x", b"y") == [0, 0]
        for patience in (NOWAIT, SKIP):
            assert ask(driver, A, b"y", patience=patience) == [0]
        driver.unlock(A)
        assert ask(driver, B, b"x")[0] > 0

    # Looking

    def test_locks_that_are_held_are_listed_with_who_holds_them(self, driver: Driver) -> None:
        x = driver.lock(A, [b"ns/x"], LONG_MS, WAIT, "höst:1".encode()).standings[0].token
        y = driver.lock(B, [b"ns/y", b"other"], LONG_MS, WAIT).standings[0].token
        driver.lock(C, [b"ns/x", b"ns/y"], LONG_MS, WAIT)
        driver.lock(D, [b"ns/x"], LONG_MS, WAIT)
        first, second = driver.locks(b"ns/")
        assert first[:4] == (b"ns/x", A, "höst:1".encode(), x)
        assert second[:4] == (b"ns/y", B, b"", y)
        assert (first.waiting, second.waiting) == (2, 1)
        assert all(LONG_MS - 30_000 < each.remaining_ms <= LONG_MS for each in (first, second))
        assert [each.name for each in driver.locks()] == [b"ns/x", b"ns/y", b"other"]
        assert driver.locks(b"none") == []
        driver.unlock(A)
        assert [each.name for each in driver.locks()] == [b"ns/y", b"other"], "a lock that is waited for is not held"

    def test_locks_are_not_among_the_cells(self, driver: Driver) -> None:
        take(driver, A, b"x")
        before = version_of(driver)
        ask(driver, B, b"x", b"y")
        driver.renew(A, LONG_MS)
        driver.unlock(B)
        assert version_of(driver) == before, "a lock moved the commit counter"
        assert (value_at(driver, b"x"), scanned(driver, Scan(*EVERYTHING))) == (None, [])
        assert counted(driver, EVERYTHING) == [0]
        driver.commit([ExpectCell(b"x", 0), ExpectRange(*EVERYTHING, before, ())], [(b"x", b"1")])
        assert held_by(driver, A) == [b"x"]

    def test_clearing_leaves_locks_alone(self, driver: Driver) -> None:
        token = take(driver, A, b"x")
        ask(driver, B, b"x")
        driver.clear(b"x")
        driver.clear(b"")
        assert ask(driver, A, b"x") == [token]
        assert driver.locks()[0].waiting == 1

    # Commits under a lock

    def test_a_commit_under_a_lock_that_is_held_is_made(self, driver: Driver) -> None:
        x, y = ask(driver, A, b"x", b"y")
        expect = [ExpectLock(b"x", A, x), ExpectLock(b"y", A, y)]
        version = driver.commit([*expect, ExpectCell(b"a", 0)], [(b"a", b"1")])
        assert value_at(driver, b"a") == b"1"
        assert driver.commit([*expect, ExpectCell(b"a", version)], ()) == version

    @pytest.mark.parametrize("writes", [[(b"a", b"late")], []], ids=["writing", "writing nothing"])
    def test_a_commit_under_a_lock_that_is_not_held_is_refused(
        self, driver: Driver, writes: list[tuple[bytes, bytes]]
    ) -> None:
        token = take(driver, A, b"x")
        other = take(driver, B, b"y")
        take(driver, C, b"released")
        driver.unlock(C)
        passed_on = take(driver, C, b"z")
        ask(driver, D, b"z")
        driver.unlock(C)
        now = ask(driver, D, b"z")[0]
        ask(driver, C, b"z")
        good = ExpectLock(b"x", A, token)
        version = driver.commit([good], [(b"a", b"1")])
        for bad in (
            ExpectLock(b"x", A, token + 1),
            ExpectLock(b"x", A, token - 1),
            ExpectLock(b"x", B, token),
            ExpectLock(b"y", A, other),
            ExpectLock(b"never", A, 1),
            ExpectLock(b"never", A, 0),
            ExpectLock(b"released", C, 1),
            ExpectLock(b"z", C, passed_on),
            ExpectLock(b"z", C, now),
            ExpectLock(b"z", D, passed_on),
        ):
            expectations: list[list[Expectation]] = [[bad], [good, bad], [bad, good, ExpectCell(b"a", version)]]
            for expect in expectations:
                with pytest.raises(LeaseLost):
                    driver.commit(expect, writes)
            assert value_at(driver, b"a") == b"1", bad
        assert version_of(driver) == version

    def test_a_lost_lock_comes_before_a_conflict(self, driver: Driver) -> None:
        token = take(driver, A, b"x")
        driver.commit((), [(b"a", b"1")])
        for stale in (ExpectCell(b"a", 0), ExpectRange(b"a", b"b", 0, ())):
            with pytest.raises(LeaseLost):
                driver.commit([stale, ExpectLock(b"x", A, token + 1), stale], [(b"a", b"2")])
            with pytest.raises(Conflict):
                driver.commit([ExpectLock(b"x", A, token), stale], [(b"a", b"2")])
        assert value_at(driver, b"a") == b"1"

    def test_a_commit_under_a_lock_whose_time_has_run_out_is_refused(self, driver: Driver) -> None:
        ttl_ms = short_ms(driver)
        token = take(driver, A, b"x", ttl_ms)
        driver.commit([ExpectLock(b"x", A, token)], [(b"a", b"1")])

        def refused() -> bool:
            try:
                driver.commit([ExpectLock(b"x", A, token)], [(b"b", b"1")])
            except LeaseLost:
                return True
            return False

        until(refused, ttl_ms)
        version = version_of(driver)
        for _ in range(20):
            assert refused()
        assert version_of(driver) == version
        assert ask(driver, A, b"x")[0] > token, "a session that ran out begins anew"
        assert refused(), "a new turn revived an old token"

    def test_a_marked_commit_that_was_made_under_a_lock_stays_made(self, driver: Driver) -> None:
        token = take(driver, A, b"x")
        expect, writes, mark = [ExpectLock(b"x", A, token)], [(b"a", b"1")], b"made under a lock"
        version = driver.commit(expect, writes, mark)
        driver.unlock(A)
        if driver.traits.remote:
            assert driver.commit(expect, writes, mark) == version
            assert driver.outcome(mark) == version
        else:
            with pytest.raises(LeaseLost):
                driver.commit(expect, writes, mark)

    # Processes, closing

    def test_a_forked_child_finds_the_locks_of_its_parent_taken(self, driver: Driver) -> None:
        token = take(driver, A, b"x")

        def child() -> bytes:
            assert ask(driver, B, b"x", patience=NOWAIT) == [0]
            assert ask(driver, B, b"y", patience=NOWAIT)[0] > 0
            return b"refused"

        assert in_child(child) == b"refused"
        assert held_by(driver, B) == ([b"y"] if driver.traits.shared else [])
        assert ask(driver, A, b"x") == [token]

    def test_locks_outlive_the_driver_that_took_them_but_not_their_time(self, open_driver: OpenDriver) -> None:
        driver, other = open_driver(), open_driver()
        ttl_ms = short_ms(driver)
        take(driver, A, b"x", ttl_ms)
        take(driver, B, b"y")
        driver.close()
        assert held_by(other, B) == [b"y"]
        assert until(lambda: ask(other, C, b"x", patience=NOWAIT)[0], ttl_ms) > 0
        other.unlock(B)
        other.close()

    def test_a_closed_driver_refuses_every_call_about_locks(self, open_driver: OpenDriver) -> None:
        driver = open_driver()
        driver.close()
        calls: list[Callable[[], object]] = [
            lambda: driver.lock(A, [b"x"], LONG_MS, WAIT),
            lambda: driver.renew(A, LONG_MS),
            lambda: driver.unlock(A),
            lambda: driver.unlock(A, [b"x"]),
            lambda: driver.locks(),
            lambda: driver.commit([ExpectLock(b"x", A, 1)], ()),
        ]
        for call in calls:
            with pytest.raises(InterfaceError):
                call()
