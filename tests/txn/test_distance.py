"""How far away a store is, as its reads tell."""

from __future__ import annotations

from collections.abc import Sequence

from rome.txn.distance import ENTRY_S, FAR_S, NEAR_S, READS, Distance


def told(distance: Distance, seconds: Sequence[float]) -> bool:
    """Whether the store is far after reads that took so long."""
    for each in seconds:
        distance.note(distance.timer() - each)
    return distance.far


def test_it_is_the_fastest_of_the_last_reads_that_tells() -> None:
    distance = Distance(lambda: 0.0)
    assert not distance.far, "nothing is known"
    assert told(distance, [5 * FAR_S, 9 * FAR_S])
    assert not told(distance, [FAR_S / 2]), "so it is not the way that takes so long"
    assert not told(distance, [5 * FAR_S] * READS), "the last fast one is not long ago"
    assert told(distance, [5 * FAR_S] * READS)


def test_what_many_entries_take_is_no_distance() -> None:
    distance = Distance(lambda: 0.0)
    distance.note(-(NEAR_S / 2 + 1000 * ENTRY_S), 1000)
    assert distance.near and not distance.far
    distance = Distance(lambda: 0.0)
    distance.note(-(2 * FAR_S + 1000 * ENTRY_S), 1000)
    assert distance.far


def test_one_fast_read_among_the_last_tells_that_it_is_near() -> None:
    distance = Distance(lambda: 0.0)
    assert not distance.near, "nothing is known"
    told(distance, [2 * NEAR_S] * READS)
    assert not distance.near
    told(distance, [NEAR_S / 2, 2 * NEAR_S])
    assert distance.near
    told(distance, [2 * NEAR_S] * 2 * READS)
    assert not distance.near, "the last fast one is long ago"
