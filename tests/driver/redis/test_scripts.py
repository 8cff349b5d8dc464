"""Each script of rome/driver/lua, sent to a server as its head says: keys, arguments, results."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import pytest

from rome.driver.redis.scripts import load
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.servers

NO_EXPECTATIONS = (0, 0, "", 0)
_numbers = itertools.count(1)


class Store:
    """The keys of one store, and the scripts run on them."""

    def __init__(self, server: RedisServer) -> None:
        self.client = server.client()
        name = f"rome:{{scripts{next(_numbers)}}}:"
        self.format, self.cells, self.order, self.commits, self.counters, self.mark = (
            name + part for part in ("format", "cells", "order", "commits", "counters", "mark:m")
        )
        self.sessions, self.places, self.locks, self.labels, self.tokens = (
            name + part for part in ("sessions", "places", "locks", "labels", "tokens")
        )

    def run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        return self.client.eval(load(script).text, len(keys), *keys, *arguments)

    def read(self, *arguments: Any) -> Any:
        return self.run("read", (self.cells, self.order, self.commits, self.locks, self.sessions), *arguments)

    def commit(self, *arguments: Any, mark: bool = False) -> Any:
        keys = (self.cells, self.order, self.commits, self.locks, self.sessions) + ((self.mark,) if mark else ())
        return self.run("commit", keys, *arguments)

    def put(self, **cells: str) -> int:
        written = [part for pair in cells.items() for part in pair]
        version: int = self.commit(*NO_EXPECTATIONS, 0, len(cells), *written, 0)
        return version


@pytest.fixture
def store(server: RedisServer) -> Store:
    return Store(server)


def stamp(version: int) -> bytes:
    return struct.pack(">Q", version)


def test_every_script_has_a_head_that_says_what_it_takes_and_answers() -> None:
    folder = files("rome.driver") / "lua"
    names = {path.name for path in folder.iterdir() if path.name.endswith(".lua")}
    assert names == {"claim.lua", "clear.lua", "commit.lua", "expect.lua", "increment.lua",
                     "lock.lua", "locks.lua", "outcome.lua", "read.lua", "renew.lua", "sessions.lua",
                     "unlock.lua"}  # fmt: skip
    for name in names - {"expect.lua", "sessions.lua"}:
        text = (folder / name).read_text()
        assert re.match(r"#!lua( flags=[a-z-]+)?\n-- ", text), name
        for word in ("KEYS", "ARGV", "result"):
            assert re.search(rf"^-- {word} ", text, re.MULTILINE), f"{name}: {word}"


def test_a_digest_is_what_the_server_knows_the_script_by(store: Store) -> None:
    for name in ("read", "commit", "clear"):
        assert store.client.script_load(load(name).text) in (load(name).digest, load(name).digest.decode())


class TestRead:
    def test_gets_answer_stored_values_in_order_and_nil_for_none(self, store: Store) -> None:
        assert store.read(*NO_EXPECTATIONS, 1, "a", 0) == [0, [None]]
        version = store.put(a="1", b="2")
        found = [stamp(version) + b"2", None, stamp(version) + b"1"]
        assert store.read(*NO_EXPECTATIONS, 3, "b", "x", "a", 0) == [version, found]

    def test_scans_answer_keys_values_and_rows(self, store: Store) -> None:
        version = store.put(i1="r1", i2="r2", i3="none", r1="one", r2="two")
        one, two = stamp(version) + b"one", stamp(version) + b"two"
        entries = [stamp(version) + b"r1", stamp(version) + b"r2", stamp(version) + b"none"]
        scans = (*("[i", "(j", -1, 1, 0), *("-[i", "(j", 2, 0, 0), *("[x", "(y", -1, 1, 0))
        answer = store.read(*NO_EXPECTATIONS, 0, 3, *scans)
        assert answer == [
            version,
            [],
            [[3, 2, 0], [b"i1", b"i2", b"i3", b"i3", b"i2"], entries + entries[:0:-1], [one, two, None]],
        ]

    def test_follows_answer_what_belongs_to_each_row_that_counts(self, store: Store) -> None:
        version = store.put(i1="r1", i2="r2", i3="r3", r1="one", r2="two", r3="one too", t1a="i1", t1b="none", t3="i3")
        stored = {each: stamp(version) + each.encode() for each in ("r1", "r2", "r3", "one", "two", "one too")}
        rows = [stored["one"], stored["two"], stored["one too"]]
        tags = (1, "t", 1, 5, 1, "one", 0)  # of at most 5 rows that hold "one" what begins with t and the row's number
        answer = store.read(*NO_EXPECTATIONS, 0, 1, "[i", "(j", -1, 1, 2, *tags, 1, "t", 0, 1, 0, 0)
        assert answer[2] == [[3], [b"i1", b"i2", b"i3"], [stored["r1"], stored["r2"], stored["r3"]], rows]
        values = [stamp(version) + each for each in (b"i1", b"none", b"i3")]
        counts, keys, found, behind = answer[3]
        assert (counts, keys) == ([2, 1, 2], [b"t1a", b"t1b", b"t3", b"t1a", b"t1b"])
        assert found == values + values[:2]
        assert behind == [stored["r1"], None, stored["r3"]]

    @pytest.mark.parametrize(
        ("most", "sifting", "sieved", "left"),
        [
            (5, ("r3",), [2, 0, 1], [1]), (5, ("r1", "r3"), [2, 0, 1], [2, 1]), (1, ("r1", "r3"), [2], [2]),
            (1, ("r3",), [2], []), (5, ("nowhere",), [2, 0, 1], []),
        ],
    )  # fmt: skip
    def test_a_row_for_which_no_text_is_found_is_left_out_of_later_follows(
        self, store: Store, most: int, sifting: tuple[str, ...], sieved: list[int], left: list[int]
    ) -> None:
        store.put(i1="r1", i2="r2", i3="r3", r1="one", r2="two", r3="three", t1a="i1", t1b="none", t3="i3")
        sieve = (1, "t", 1, most, 0, len(sifting), *sifting)
        answer = store.read(*NO_EXPECTATIONS, 0, 1, "[i", "(j", -1, 1, 2, *sieve, 1, "t", 0, 9, 0, 0)
        counts, keys, *_ = answer[3]
        assert counts == sieved + left
        belonging = {2: [b"t1a", b"t1b"], 1: [b"t3"], 0: []}
        assert keys == [key for count in counts for key in belonging[count]]

    @pytest.mark.parametrize("count", [999, 1000, 1001, 2000, 2001, 3500])
    def test_scans_and_gets_of_more_than_one_call_takes(self, store: Store, count: int) -> None:
        keys = [b"k%05d" % number for number in range(count)]
        store.commit(*NO_EXPECTATIONS, 0, count, *[part for key in keys for part in (key, key)], 0)
        scans = (
            *("[k", "(l", -1, 1, 0),
            *("-[k", "(l", -1, 0, 0),
            *("[k", "(l", count - 1, 0, 0),
            *("-[k", "(l", 1000, 0, 0),
        )
        _, gets, (counts, found, values, rows) = store.read(*NO_EXPECTATIONS, count, *keys, 4, *scans)
        assert [value[8:] for value in gets] == [value[8:] for value in rows] == keys
        assert counts == [count, count, count - 1, min(count, 1000)]
        assert found == [value[8:] for value in values] == keys + keys[::-1] + keys[:-1] + keys[::-1][:1000]

    def test_counts_are_of_each_range_and_come_last(self, store: Store) -> None:
        version = store.put(a="", b="", c="")
        ranges = ("[a", "(c", "[b", "(z", "[x", "(y", "[c", "(a")
        assert store.read(*NO_EXPECTATIONS, 0, 0, *ranges) == [version, [], [2, 2, 0, 0]]
        assert store.read(*NO_EXPECTATIONS, 0, 0) == [version, []]
        followed = ("[a", "(b", -1, 0, 1, 1, "b", 0, 9, 0, 0)
        plain = store.read(*NO_EXPECTATIONS, 0, 1, *followed)
        assert store.read(*NO_EXPECTATIONS, 0, 1, *followed, "[a", "(z") == [*plain, [3]]
        assert store.read(*NO_EXPECTATIONS, 0, 1, "[a", "(b", -1, 0, 0, "[a", "(z")[3] == [3]

    def test_an_expected_cell_must_have_its_version_and_an_absent_one_be_absent(self, store: Store) -> None:
        version = store.put(a="1")
        assert store.read(0, 2, "a", "b", stamp(version) + stamp(0), 0, 0, 0) == [version, []]
        assert store.read(0, 1, "a", stamp(version - 1), 0, 0, 0) == 1
        assert store.read(0, 1, "a", stamp(0), 0, 0, 0) == 1
        assert store.read(0, 1, "b", stamp(version), 0, 0, 0) == 1

    def test_an_expected_range_is_not_looked_at_while_the_counter_stands(self, store: Store) -> None:
        version = store.put(a="1")
        assert store.read(0, 0, "", 1, "[a", "(b", version, 7, 0, 0) == [version, []]
        store.put(z="1")
        assert store.read(0, 0, "", 1, "[a", "(b", version, 7, 0, 0) == 2
        assert store.read(0, 0, "", 1, "[a", "(b", version, 1, 0, 0)[1] == []

    def test_an_expected_range_holds_no_cell_written_later(self, store: Store) -> None:
        store.put(**{f"k{number:04}": "" for number in range(1500)})
        version = store.put(z="1")
        store.put(other="1")
        assert store.read(0, 0, "", 1, "[k", "(l", version, 1500, 0, 0)[1] == []
        store.put(k1400="changed")
        assert store.read(0, 0, "", 1, "[k", "(l", version, 1500, 0, 0) == 2
        assert store.read(0, 0, "", 1, "[k", "(k1400", version, 1400, 0, 0)[1] == []


class TestCommit:
    def test_it_writes_deletes_and_moves_the_counter(self, store: Store) -> None:
        first = store.put(a="1", b="1")
        second = store.commit(*NO_EXPECTATIONS, 0, 1, "c", "3", 2, "a", "none")
        assert second > first
        assert store.client.hgetall(store.cells) == {b"b": stamp(first) + b"1", b"c": stamp(second) + b"3"}
        assert store.client.zrange(store.order, 0, -1, withscores=True) == [(b"b", 0.0), (b"c", 0.0)]
        assert int(store.client.get(store.commits) or 0) == second

    @pytest.mark.parametrize("count", [1000, 1001, 2500])
    def test_more_cells_than_one_call_takes(self, store: Store, count: int) -> None:
        keys = [b"k%05d" % number for number in range(count)]
        store.commit(*NO_EXPECTATIONS, 0, count, *[part for key in keys for part in (key, b"v")], 0)
        assert store.client.zrange(store.order, 0, -1) == keys
        assert store.client.hlen(store.cells) == count
        store.commit(*NO_EXPECTATIONS, 0, 0, count, *keys)
        assert store.client.exists(store.cells, store.order) == 0

    def test_what_does_not_hold_is_told_and_nothing_is_written(self, store: Store) -> None:
        version = store.put(a="1")
        before = store.client.dump(store.cells), store.client.get(store.commits)
        assert store.commit(0, 1, "a", stamp(1), 0, 1000, 1, "b", "1", 0, mark=True) == 1
        store.put(z="1")
        before = store.client.dump(store.cells), store.client.get(store.commits)
        assert store.commit(0, 0, "", 1, "[a", "(b", version, 2, 1000, 1, "b", "1", 1, "a", mark=True) == 2
        assert (store.client.dump(store.cells), store.client.get(store.commits)) == before
        assert not store.client.exists(store.mark)

    def test_a_marked_commit_is_applied_once(self, store: Store) -> None:
        write = (0, 1, "a", stamp(0), 0, 60_000, 1, "a", "1", 0)
        version = store.commit(*write, mark=True)
        assert store.commit(*write, mark=True) == version
        assert store.commit(*write) == 1
        assert 0 < store.client.pttl(store.mark) <= 60_000

    def test_the_counter_is_the_servers_clock_and_never_goes_back(self, store: Store) -> None:
        seconds, microseconds = store.client.time()
        assert 0 <= store.put(a="1") - (seconds * 1_000_000 + microseconds) < 60_000_000
        ahead = 8_000_000_000_000_001
        store.client.set(store.commits, ahead)
        assert [store.put(a="1"), store.put(a="1")] == [ahead + 1, ahead + 2]
        assert store.client.get(store.commits) == b"%d" % (ahead + 2)
        assert store.client.hget(store.cells, "a") == stamp(ahead + 2) + b"1"


class TestOutcome:
    def ask(self, store: Store) -> Any:
        return store.run("outcome", (store.mark,), 60_000, 90_000)

    def test_it_tells_the_counter_of_an_applied_commit_and_keeps_the_mark_for_longer(self, store: Store) -> None:
        version = store.commit(*NO_EXPECTATIONS, 10_000, 1, "a", "1", 0, mark=True)
        assert [self.ask(store), self.ask(store)] == [version, version]
        assert 10_000 < store.client.pttl(store.mark) <= 60_000

    def test_it_fences_off_a_commit_that_was_not_applied(self, store: Store) -> None:
        assert self.ask(store) == 0
        assert store.commit(*NO_EXPECTATIONS, 1000, 1, "a", "1", 0, mark=True) == 3
        assert self.ask(store) == 0
        assert not store.client.exists(store.cells)
        assert 60_000 < store.client.pttl(store.mark) <= 90_000


class TestIncrement:
    def add(self, store: Store, by: int, at_least: int = 0) -> Any:
        return store.run("increment", (store.counters,), "c", at_least, by)

    @pytest.mark.parametrize("low", [-(1 << 63), -10, -9, -1, 0, 1, 9, 10, 99, 100, (1 << 53) + 1, (1 << 63) - 1])
    @pytest.mark.parametrize("high", [-(1 << 63), -11, -10, -9, 0, 2, 9, 10, 100, (1 << 53) + 2, (1 << 63) - 1])
    def test_it_compares_numbers_of_64_bits(self, store: Store, low: int, high: int) -> None:
        store.client.hset(store.counters, "c", low)
        assert self.add(store, 0, high) == b"%d" % max(low, high)

    def test_it_leaves_the_counter_as_it_was_when_64_bits_do_not_hold_it(self, store: Store) -> None:
        assert self.add(store, 1, (1 << 63) - 1) is None
        assert store.client.hget(store.counters, "c") is None
        self.add(store, 5)
        assert self.add(store, 1, (1 << 63) - 1) is None
        assert store.client.hget(store.counters, "c") == b"5"


class TestClear:
    def clear(self, store: Store, prefix: str, above: str) -> Any:
        keys = (store.cells, store.order, store.commits, store.counters)
        return store.run("clear", keys, prefix, "[" + prefix, above)

    def test_it_removes_what_begins_with_the_prefix(self, store: Store) -> None:
        version = store.put(**{f"k{number:04}": "" for number in range(2500)}, j="", l="")
        for counter in ("k", "k1", "l"):
            store.run("increment", (store.counters,), counter, 0, 1)
        assert self.clear(store, "k", "(l") > version
        assert store.client.zrange(store.order, 0, -1) == [b"j", b"l"]
        assert sorted(store.client.hkeys(store.cells)) == [b"j", b"l"]
        assert store.client.hkeys(store.counters) == [b"l"]

    def test_without_a_prefix_it_removes_everything_but_the_counter_of_commits(self, store: Store) -> None:
        version = store.put(a="1")
        later = self.clear(store, "", "+")
        assert later > version
        assert store.client.exists(store.cells, store.order, store.counters) == 0
        assert store.put(a="1") > later


def test_claiming_a_store_takes_only_an_empty_place(store: Store) -> None:
    keys = (store.format, store.cells, store.order, store.commits, store.counters)
    assert store.run("claim", keys, "one") == b"one"
    assert store.run("claim", keys, "two") == b"one"
    store.client.delete(store.format)
    store.put(a="1")
    assert store.run("claim", keys, "one") is None
    assert not store.client.exists(store.format)
