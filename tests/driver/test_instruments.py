"""The instruments: what they record, what they compare, what they break."""

from __future__ import annotations

import random

import pytest
from msgspec import structs

from rome.config import parse
from rome.driver.api import Cell, Driver, ExpectCell, ExpectRange, Follow, Reading, Scan
from rome.driver.open import open_store
from rome.errors import Conflict, InterfaceError, OutcomeUnknown, Unavailable
from rome.testing.driver_life import value_at
from rome.testing.instruments import Call, Disagreement, Fault, Faulty, Mirror, Recorder


def memory() -> Driver:
    return open_store(parse("rome+memory://"))


# Recorder


def test_a_recorder_counts_round_trips_keys_and_bytes() -> None:
    recorder = Recorder(memory())
    expect = [ExpectCell(b"i1", 0), ExpectRange(b"i", b"j", 0, ())]
    recorder.commit(expect, [(b"i1", b"r1"), (b"r1", b"row"), (b"x", None)])
    recorder.read([b"r1", b"none"], [Scan(b"i", b"j", None, False, True, (Follow(1, b"r", False, 9),))])
    recorder.increment(b"c", 1)
    recorder.read(counts=[(b"a", b"z")])
    recorder.clear(b"x")
    recorder.release(None)
    assert recorder.calls == [
        Call("commit", 6, 0, 2 + 1 + 1 + 2 + 2 + 1 + 5, 0),
        Call("read", 5, 4, 2 + 4 + 1 + 1 + 1, 4 + 5 + 5 + 5),
        Call("increment", 1, 0, 1, 0),
        Call("read", 2, 0, 2, 0),
        Call("clear", 1, 0, 1, 0),
    ]
    assert (recorder.round_trips, recorder.cells) == (5, 4)
    assert (recorder.bytes_sent, recorder.bytes_received) == (27, 19)


def test_a_recorder_keeps_failed_calls_with_the_error_and_begins_anew_when_reset() -> None:
    recorder = Recorder(memory())
    with pytest.raises(Conflict):
        recorder.commit([ExpectCell(b"a", 5)], [(b"a", b"1")])
    assert [(call.name, call.error) for call in recorder.reset()] == [("commit", "Conflict")]
    assert recorder.round_trips == 0


# Mirror


class Liar:
    """A driver that answers wrongly in one way."""

    def __init__(self, inner: Driver, lie: str) -> None:
        self.inner = inner
        self.traits = inner.traits
        self.lie = lie

    def __getattr__(self, name: str) -> object:
        honest = getattr(self.inner, name)
        if name == "read":
            return lambda *arguments: self.distort(honest(*arguments))
        if name == "commit" and self.lie == "no conflict":
            return lambda expect, writes, mark=b"": honest((), writes, mark)
        if name == "commit" and self.lie == "half a commit":
            return lambda expect, writes, mark=b"": honest(expect, writes[:1], mark)
        if name == "increment" and self.lie == "counter":
            return lambda key, by, at_least=0: honest(key, by, at_least) + 1
        return honest

    def distort(self, reading: Reading) -> Reading:
        match self.lie:
            case "order":
                return reading._replace(scans=[cells[::-1] for cells in reading.scans])
            case "count":
                return reading._replace(counts=[0 for _ in reading.counts])
            case "value":
                return reading._replace(cells=[cell and structs.replace(cell, value=b"?") for cell in reading.cells])
            case "absence":
                return reading._replace(cells=[None for _ in reading.cells])
            case "row":
                return reading._replace(rows=[rows and [None for _ in rows] for rows in reading.rows])
            case "following":
                return reading._replace(
                    followed=[
                        [[each._replace(cells=[]) for each in found] for found in follows]
                        for follows in reading.followed
                    ]
                )
            case "version":
                later = [cell and structs.replace(cell, version=cell.version + 7) for cell in reading.cells]
                return reading._replace(cells=later)
        return reading


def tour(driver: Driver) -> None:
    """Use a driver so that every kind of answer is given."""
    version = driver.commit((), [(b"i1", b"r1"), (b"i2", b"r2"), (b"r1", b"one"), (b"br1", b"")])
    driver.read([b"r1", b"none"], [Scan(b"i", b"j", None, False, True, (Follow(0, b"b", False, 9),))])
    driver.commit([ExpectCell(b"r1", version), ExpectRange(b"i", b"j", version, (b"i1", b"i2"))], [(b"r1", b"two")])
    with pytest.raises(Conflict):
        driver.commit([ExpectCell(b"r1", version)], [(b"r1", b"three")])
    driver.read([b"r1"])
    driver.increment(b"c", 1)
    driver.read((), (), (), None, [(b"i", b"j")])


def test_a_mirror_of_two_honest_stores_answers_as_one() -> None:
    first, second = memory(), memory()
    second.commit((), [(b"z", b"1")])
    second.clear(b"")  # its versions are ahead of the first one's
    mirror = Mirror(first, second)
    tour(mirror)
    assert value_at(first, b"r1") == value_at(second, b"r1") == b"two"


@pytest.mark.parametrize(
    "lie",
    ["order", "value", "absence", "row", "following", "version", "no conflict", "half a commit", "counter", "count"],
)
@pytest.mark.parametrize("liar_is_first", [True, False])
def test_a_mirror_finds_every_lie(lie: str, liar_is_first: bool) -> None:
    stores: list[Driver] = [Liar(memory(), lie), memory()]  # type: ignore[list-item]
    with pytest.raises(Disagreement):
        tour(Mirror(*(stores if liar_is_first else stores[::-1])))


# Faulty


def test_a_message_dropped_before_the_store_is_unavailable_and_writes_nothing() -> None:
    store = memory()
    faulty = Faulty(store, script=[Fault.DROP_BEFORE] * 5)
    for call in (
        lambda: faulty.commit((), [(b"a", b"1")], b"mark"),
        lambda: faulty.read([b"a"]),
        lambda: faulty.increment(b"c", 1),
        lambda: faulty.read(counts=[(b"a", b"b")]),
        lambda: faulty.outcome(b"mark"),
    ):
        with pytest.raises(Unavailable):
            call()
    assert value_at(store, b"a") is None
    assert store.increment(b"c", 0) == 0
    assert faulty.injected[Fault.DROP_BEFORE] == 5


def test_a_commit_whose_reply_is_lost_is_unknown_to_the_caller_and_known_to_the_store() -> None:
    store = memory()
    faulty = Faulty(store, script=[Fault.DROP_AFTER])
    with pytest.raises(OutcomeUnknown) as caught:
        faulty.commit((), [(b"a", b"1")], b"mark")
    assert caught.value.mark == b"mark"
    assert store.read([b"a"]).cells == [Cell(b"a", b"1", 1)]
    assert faulty.outcome(b"mark") == 1
    assert faulty.commit((), [(b"a", b"1")], b"mark") == 1


def test_a_commit_that_is_lost_on_its_way_is_never_applied_once_asked_for() -> None:
    store = memory()
    faulty = Faulty(store, script=[Fault.LOSE])
    with pytest.raises(OutcomeUnknown):
        faulty.commit((), [(b"a", b"1")], b"mark")
    assert faulty.outcome(b"mark") is None
    with pytest.raises(Conflict):
        faulty.commit((), [(b"a", b"1")], b"mark")
    assert value_at(store, b"a") is None


def test_a_conflict_whose_reply_is_lost_is_unknown_too() -> None:
    faulty = Faulty(memory(), script=[Fault.DROP_AFTER])
    with pytest.raises(OutcomeUnknown):
        faulty.commit([ExpectCell(b"a", 5)], [(b"a", b"1")], b"mark")
    assert faulty.outcome(b"mark") is None


def test_lost_replies_to_reads_and_increments_are_unavailable() -> None:
    store = memory()
    faulty = Faulty(store, script=[Fault.DROP_AFTER, Fault.DROP_AFTER, Fault.LOSE])
    with pytest.raises(Unavailable):
        faulty.read([b"a"])
    with pytest.raises(Unavailable):
        faulty.increment(b"c", 1)
    with pytest.raises(Unavailable):
        faulty.increment(b"c", 1)
    assert store.increment(b"c", 0) == 1


def test_a_marked_commit_that_arrives_twice_is_applied_once() -> None:
    recorder = Recorder(memory())
    faulty = Faulty(recorder, script=[Fault.DUPLICATE, Fault.DUPLICATE])
    version = faulty.commit([ExpectCell(b"a", 0)], [(b"a", b"1")], b"mark")
    assert faulty.read([b"a"]).cells == [Cell(b"a", b"1", version)]
    assert [call.name for call in recorder.calls] == ["commit", "read", "read"]


def test_an_overtaken_commit_arrives_after_the_question_that_fenced_it_off() -> None:
    store = memory()
    faulty = Faulty(store, script=[Fault.REORDER, None, Fault.REORDER, None, None])
    with pytest.raises(OutcomeUnknown):
        faulty.commit((), [(b"a", b"1")], b"mark")
    assert faulty.outcome(b"mark") is None
    assert value_at(store, b"a") is None
    with pytest.raises(OutcomeUnknown):
        faulty.commit((), [(b"a", b"2")], b"other")
    assert value_at(store, b"a") is None
    faulty.read([b"b"])
    assert value_at(store, b"a") == b"2"
    assert faulty.outcome(b"other") == 1


def test_an_echo_of_a_marked_commit_changes_nothing_and_one_without_a_mark_brings_back_the_dead() -> None:
    for mark, left in ((b"mark", None), (b"", b"1")):
        store = memory()
        faulty = Faulty(store, script=[Fault.ECHO])
        faulty.commit((), [(b"a", b"1")], mark)
        faulty.commit((), [(b"a", None)], mark and b"other")
        assert value_at(store, b"a") == left


def test_what_is_still_under_way_when_a_driver_is_closed_arrives_then() -> None:
    store = memory()
    faulty = Faulty(store, script=[Fault.REORDER])
    with pytest.raises(OutcomeUnknown):
        faulty.commit((), [(b"a", b"1")], b"mark")
    assert value_at(store, b"a") is None
    version = store.read().version
    faulty._arrive(everything=True)
    assert store.read([b"a"]).cells == [Cell(b"a", b"1", version + 1)]
    faulty.close()


def test_a_delay_sleeps_by_the_given_clock_and_then_delivers() -> None:
    slept: list[float] = []
    faulty = Faulty(memory(), script=[Fault.DELAY], delay_ms=250, sleep=slept.append)
    assert faulty.commit((), [(b"a", b"1")]) == 1
    assert slept == [0.25]


def test_faults_by_chance_are_the_same_again_with_the_same_seed() -> None:
    def play(seed: int) -> list[str]:
        rates = {Fault.DROP_BEFORE: 0.2, Fault.DROP_AFTER: 0.2, Fault.LOSE: 0.2, Fault.DUPLICATE: 0.2}
        faulty = Faulty(memory(), rates=rates, chance=random.Random(seed))
        story = []
        for number in range(200):
            try:
                faulty.commit((), [(b"a", b"1")], b"%d" % number)
                story.append("")
            except (Unavailable, OutcomeUnknown) as error:
                story.append(type(error).__name__)
        assert all(20 <= faulty.injected[fault] <= 60 for fault in rates)
        return story

    assert play(1) == play(1) != play(2)


def test_rates_without_a_source_of_chance_are_refused() -> None:
    with pytest.raises(InterfaceError, match="random.Random"):
        Faulty(memory(), rates={Fault.DELAY: 0.5})


def test_lost_readings_give_their_views_back(tmp_path: object) -> None:
    store = open_store(parse(f"rome+lmdb:///{tmp_path}/store?max_readers=4"))
    faulty = Faulty(store, script=[Fault.DROP_AFTER, Fault.DUPLICATE] * 20)
    for _ in range(20):
        with pytest.raises(Unavailable):
            faulty.read([b"a"])
        faulty.release(faulty.read([b"a"]).view)
    store.close()
