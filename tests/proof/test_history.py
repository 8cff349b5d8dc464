"""The serializability checker finds every anomaly by its name, in histories made by hand and at random."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rome.testing.history import Append, Outcome, Read, Transaction, check, check_totals, describe

OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN
Op = Append | Read


def a(key: str, value: int) -> Append:
    return Append(key, value)


def r(key: str, *values: int) -> Read:
    return Read(key, values)


def t(*ops: Op, outcome: Outcome = OK, began: int = 0, ended: int = 100) -> Transaction:
    """All of them at the same time, unless said otherwise."""
    return Transaction(ops, outcome, began, ended)


def names(*history: Transaction, strict: bool = True) -> set[str]:
    return {anomaly.name for anomaly in check(history, strict=strict)}


ANOMALIES: dict[str, tuple[set[str], list[Transaction]]] = {
    "G0": (
        {"G0"},
        [t(a("x", 1), a("y", 1)), t(a("x", 2), a("y", 2)), t(r("x", 1, 2)), t(r("y", 2, 1))],
    ),
    "G0 within one list": ({"G0"}, [t(a("x", 1), a("x", 3)), t(a("x", 2)), t(r("x", 1, 2, 3))]),
    "G1a": ({"G1a"}, [t(a("x", 1), outcome=FAILED), t(r("x", 1))]),
    "G1a in a list that is no beginning": (
        {"G1a", "incompatible orders"},
        [t(a("x", 1), outcome=FAILED), t(a("x", 2)), t(a("x", 3)), t(r("x", 2, 3)), t(r("x", 1))],
    ),
    "G1b": ({"G1b", "G-single"}, [t(a("x", 1), a("x", 2)), t(r("x", 1)), t(r("x", 1, 2))]),
    "G1c": ({"G1c"}, [t(a("x", 1), r("y", 1)), t(a("y", 1), r("x", 1))]),
    "G1c by a write": ({"G1c"}, [t(a("x", 1), r("y", 1)), t(a("x", 2), a("y", 1)), t(r("x", 1, 2))]),
    "G-single": ({"G-single"}, [t(r("x"), r("y", 1)), t(a("x", 1), a("y", 1)), t(r("x", 1))]),
    "G-single, when no one saw the element": ({"G-single"}, [t(r("x"), r("y", 1)), t(a("x", 1), a("y", 1))]),
    "G-single told to one that failed": (
        {"G-single"},
        [t(r("x"), r("y", 1), outcome=FAILED), t(a("x", 1), a("y", 1)), t(r("x", 1))],
    ),
    "G2-item": (
        {"G2-item"},
        [t(r("x"), r("y"), a("x", 1)), t(r("x"), r("y"), a("y", 1)), t(r("x", 1), r("y", 1))],
    ),
    "G2-item, when no one saw the elements": ({"G2-item"}, [t(r("x"), a("y", 1)), t(r("y"), a("x", 1))]),
    "G2-item of two readers": (
        {"G2-item"},
        [t(a("x", 1)), t(a("y", 1)), t(r("x", 1), r("y")), t(r("x"), r("y", 1))],
    ),
    "lost update": (
        {"lost update", "G-single"},
        [t(r("x"), a("x", 1)), t(r("x"), a("x", 2)), t(r("x", 1, 2))],
    ),
    "lost update, one element gone": (
        {"lost update", "lost element", "G-single"},
        [t(r("x"), a("x", 1)), t(r("x"), a("x", 2)), t(r("x", 2), began=200, ended=300)],
    ),
    "dirty update": (
        {"dirty update", "G1a"},
        [t(a("x", 1), outcome=FAILED), t(a("x", 2)), t(r("x", 1, 2))],
    ),
    "lost element": (
        {"lost element", "G-single-realtime"},
        [t(a("x", 1), ended=10), t(r("x"), began=20)],
    ),
    "lost element of two": (
        {"lost element", "G-single"},
        [t(a("x", 1), a("x", 2)), t(r("x", 2))],
    ),
    "duplicate element": ({"duplicate element"}, [t(a("x", 1)), t(a("x", 2)), t(r("x", 1, 2, 1))]),
    "unwritten element": ({"unwritten element"}, [t(a("x", 1)), t(r("x", 1, 7))]),
    "incompatible orders": (
        {"incompatible orders"},
        [t(a("x", 1)), t(a("x", 2)), t(r("x", 1, 2)), t(r("x", 2))],
    ),
    "incompatible orders in one transaction": (
        {"incompatible orders", "G1b"},
        [t(a("x", 1), a("x", 2)), t(r("x", 2, 1))],
    ),
    "internal, own append": ({"internal"}, [t(a("x", 1), r("x"))]),
    "internal, a change": ({"internal", "G-single"}, [t(r("x"), r("x", 1)), t(a("x", 1))]),
    "G0-realtime": (
        {"G0-realtime"},
        [t(a("x", 1), ended=10), t(a("x", 2), began=20), t(r("x", 2, 1), began=20)],
    ),
    "G1c-realtime": (
        {"G1c-realtime"},
        [t(a("x", 1), ended=10, began=5), t(r("x", 1), began=0, ended=4)],
    ),
    "G-single-realtime": (
        {"G-single-realtime"},
        [t(a("x", 1), ended=10), t(r("x"), began=20, ended=30), t(r("x", 1), began=0, ended=15)],
    ),
    "G2-item-realtime": (
        {"G2-item-realtime"},
        [
            t(r("x"), a("y", 1), began=0, ended=30),
            t(a("x", 1), began=0, ended=10),
            t(r("y"), began=20, ended=40),
            t(r("x", 1), r("y", 1), began=20, ended=100),
        ],
    ),
}


@pytest.mark.parametrize("name", ANOMALIES)
def test_an_anomaly_is_found_by_its_name_and_no_other(name: str) -> None:
    expected, history = ANOMALIES[name]
    found = check(history)
    assert {anomaly.name for anomaly in found} == expected, describe(found)


CLEAN: dict[str, list[Transaction]] = {
    "nothing": [],
    "one after another": [t(a("x", 1), ended=1), t(r("x", 1), a("x", 2), began=2, ended=3), t(r("x", 1, 2), began=4)],
    "own appends": [t(r("x"), a("x", 1), r("x", 1), a("x", 2), r("x", 1, 2)), t(r("x", 1, 2))],
    "own appends of one that failed": [
        t(r("x", 1), a("x", 2), r("x", 1, 2), outcome=FAILED),
        t(a("x", 1)),
        t(r("x", 1, 3)),
        t(a("x", 3)),
    ],
    "a read before and one after": [t(r("x")), t(r("x", 1)), t(a("x", 1))],
    "what failed is not there": [t(a("x", 1), outcome=FAILED, ended=10), t(r("x"), began=20)],
    "unknown and never seen": [t(a("x", 1), outcome=UNKNOWN, ended=10), t(r("x"), began=20)],
    "unknown and seen": [t(a("x", 1), outcome=UNKNOWN, ended=10), t(r("x", 1), began=20)],
    "unknown and happened late": [
        t(a("x", 1), outcome=UNKNOWN, ended=10),
        t(r("x"), began=20, ended=30),
        t(r("x", 1), began=40, ended=50),
    ],
    "an element that no one read": [t(r("x"), a("x", 1)), t(r("x"))],
    "several that no one read": [t(a("x", 1)), t(a("x", 2)), t(r("x"))],
    "reads that meet at the same moment": [t(a("x", 1), ended=10), t(r("x"), began=10, ended=20)],
}


@pytest.mark.parametrize("name", CLEAN)
def test_a_serializable_history_is_accepted(name: str) -> None:
    found = check(CLEAN[name])
    assert found == [], describe(found)


def test_without_real_time_a_stale_read_is_serializable() -> None:
    stale = [t(a("x", 1), ended=10), t(r("x", 1), ended=15), t(r("x"), began=20)]
    assert names(*stale) == {"G-single-realtime"}
    assert names(*stale, strict=False) == set()


def test_a_transaction_of_unknown_outcome_that_was_seen_has_happened_whole() -> None:
    half = [t(a("x", 1), a("y", 1), outcome=UNKNOWN), t(r("x", 1), r("y"))]
    assert names(*half) == {"G-single"}


def test_a_description_names_the_transactions_and_why_one_comes_before_the_other() -> None:
    (anomaly,) = check([t(r("x"), r("y", 1)), t(a("x", 1), a("y", 1))])
    assert anomaly.transactions == (0, 1)
    assert "T0 before T1 (rw): T0 read x before T1 appended 1" in anomaly.text
    assert "T1 before T0 (wr): T0 read 1 in y, which T1 had appended" in anomaly.text
    assert "T1 (ok, 0…100 ns): append x 1, append y 1" in anomaly.text


def test_a_value_is_appended_to_a_key_once() -> None:
    with pytest.raises(ValueError, match="1 is appended to x twice"):
        check([t(a("x", 1)), t(a("x", 1))])
    with pytest.raises(ValueError, match="1 is appended to x twice"):
        check([t(a("x", 1), a("x", 1))])


def test_balances_add_up_and_are_never_negative() -> None:
    assert check_totals([{"a": 3, "b": 7}, {"a": 0, "b": 10}], 10) == []
    found = check_totals([{"a": 3, "b": 6}, {"a": -1, "b": 11}], 10)
    assert [(anomaly.name, anomaly.transactions) for anomaly in found] == [
        ("total changed", (0,)),
        ("negative balance", (1,)),
    ]


# ---- at random


def serial(draw: random.Random, size: int, keys: int = 4, spread: int = 0) -> list[Transaction]:
    """Transactions run one after another; each then began up to `spread` places earlier and ended so much later."""
    lists: dict[str, tuple[int, ...]] = {}
    history = []
    for number in range(size):
        view = dict(lists)
        ops: list[Op] = []
        for place in range(draw.randrange(1, 5)):
            key = f"k{draw.randrange(keys)}"
            if draw.random() < 0.5:
                ops.append(Read(key, view.get(key, ())))
            else:
                ops.append(Append(key, number * 10 + place))
                view[key] = (*view.get(key, ()), number * 10 + place)
        outcome = draw.choices((OK, FAILED, UNKNOWN), (8, 1, 1))[0]
        if outcome is OK or (outcome is UNKNOWN and draw.random() < 0.5):
            lists = view
        early, late = (draw.randrange(spread + 1) for _ in range(2))
        history.append(Transaction(tuple(ops), outcome, 10 * (number - early), 10 * (number + late) + 5))
    draw.shuffle(history)
    return history


@given(st.randoms(use_true_random=False), st.integers(1, 60), st.integers(1, 8), st.integers(0, 9))
def test_serial_executions_are_accepted_however_their_times_overlap(
    draw: random.Random, size: int, keys: int, spread: int
) -> None:
    found = check(serial(draw, size, keys, spread))
    assert found == [], describe(found)


def replaced(history: list[Transaction], number: int, ops: list[Op]) -> list[Transaction]:
    before = history[number]
    after = Transaction(tuple(ops), before.outcome, before.began_ns, before.ended_ns)
    return [*history[:number], after, *history[number + 1 :]]


def cut(values: tuple[int, ...]) -> tuple[int, ...]:
    return values[:-1]


def swapped(values: tuple[int, ...]) -> tuple[int, ...]:
    return (*values[:-2], values[-1], values[-2])


def doubled(values: tuple[int, ...]) -> tuple[int, ...]:
    return (*values, values[0])


def invented(values: tuple[int, ...]) -> tuple[int, ...]:
    return (*values, 9_999_999)


def holed(values: tuple[int, ...]) -> tuple[int, ...]:
    return values[1:]


@pytest.mark.parametrize("mutate", [cut, swapped, doubled, invented, holed])
@given(draw=st.randoms(use_true_random=False), size=st.integers(10, 60))
def test_an_execution_with_one_read_changed_is_rejected(
    mutate: Callable[[tuple[int, ...]], tuple[int, ...]], draw: random.Random, size: int
) -> None:
    history = serial(draw, size, keys=2)
    sure = {op for transaction in history if transaction.outcome is OK for op in transaction.ops}
    candidates = [
        (number, place)
        for number, transaction in enumerate(history)
        for place, op in enumerate(transaction.ops)
        if isinstance(op, Read) and len(op.values) >= 2 and transaction.outcome is OK
        # what is of unknown outcome and no longer seen may not have happened
        if Append(op.key, op.values[-1]) in sure
    ]
    if not candidates:
        return
    number, place = draw.choice(candidates)
    ops = list(history[number].ops)
    read = ops[place]
    assert isinstance(read, Read)
    ops[place] = Read(read.key, mutate(read.values))
    assert check(replaced(history, number, ops))


@given(st.randoms(use_true_random=False), st.integers(10, 60))
def test_an_execution_in_which_one_that_was_read_is_said_to_have_failed_is_rejected(
    draw: random.Random, size: int
) -> None:
    history = serial(draw, size, keys=2)
    read = {
        (op.key, value)
        for transaction in history
        for op in transaction.ops
        if isinstance(op, Read)
        for value in op.values
        if Append(op.key, value) not in transaction.ops
    }
    writers = [
        number
        for number, transaction in enumerate(history)
        if any(isinstance(op, Append) and op in {Append(*seen) for seen in read} for op in transaction.ops)
    ]
    if not writers:
        return
    number = draw.choice(writers)
    before = history[number]
    history[number] = Transaction(before.ops, FAILED, before.began_ns, before.ended_ns)
    assert "G1a" in {anomaly.name for anomaly in check(history)}


def test_twenty_thousand_transactions_are_checked_in_seconds() -> None:
    history = serial(random.Random(1), 20_000, keys=400, spread=8)
    started = time.process_time()
    assert check(history) == []
    assert time.process_time() - started < 60  # some two seconds where nothing else runs
