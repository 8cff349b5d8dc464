"""The ten anomalies of the Hermitage collection (github.com/ept/hermitage), at the level of keys and values.

Each is a plain function of a `Begin`: one thread moves several transactions in the order that lets the anomaly happen,
and AssertionError says that it did. Given a transaction class or a driver with a defect they must raise it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rome.driver.api import Scan
from rome.errors import Conflict
from rome.txn.transaction import Transaction
from rome.txn.wave import Step, Wave

Begin = Callable[[], Transaction]

ONE, TWO, THREE, FOUR = b"row/1", b"row/2", b"row/3", b"row/4"
ROWS = (b"row/", b"row0")  # the range that holds all four


def cells(*keys: bytes) -> Step[list[bytes | None]]:
    """A step of one wave: the values of `keys`."""
    answer = yield Wave(gets=keys)
    return [None if cell is None else cell.value for cell in answer.cells]


def scanned(scan: Scan) -> Step[list[tuple[bytes, bytes]]]:
    """A step of one wave: the keys and values of `scan`."""
    answer = yield Wave(scans=(scan,))
    return [(cell.key, cell.value) for cell in answer.scans[0]]


def now(begin: Begin, *keys: bytes) -> list[bytes | None]:
    """What a transaction of its own reads at `keys`."""
    transaction = begin()
    try:
        return transaction.run(cells(*keys))
    finally:
        transaction.rollback()


class Actor:
    """One transaction of an anomaly's script. Each move answers None once the transaction has met a Conflict."""

    def __init__(self, begin: Begin) -> None:
        self.transaction = begin()
        self.lost = False

    def get(self, key: bytes) -> int | None:
        """The number at `key`; 0 for no cell."""
        values = self._try(lambda: self.transaction.run(cells(key)))
        return None if values is None else int(values[0] or 0)

    def total(self) -> dict[bytes, int] | None:
        """Every row."""
        found = self._try(lambda: self.transaction.run(scanned(Scan(*ROWS))))
        return None if found is None else {key: int(value) for key, value in found}

    def put(self, key: bytes, number: int | None) -> None:
        self._try(lambda: self.transaction.write(key, None if number is None else b"%d" % number))

    def commit(self) -> bool:
        """Whether it committed."""
        self._try(self.transaction.commit)
        return not self.lost

    def rollback(self) -> None:
        self.transaction.rollback()

    def _try(self, move: Callable[[], Any]) -> Any:
        if self.lost:
            return None
        try:
            return move()
        except Conflict:
            self.lost = True
            self.transaction.rollback()
            return None


def _actors(begin: Begin, count: int) -> list[Actor]:
    """`count` transactions over the rows 1: 10 and 2: 20."""
    setup = Actor(begin)
    setup.put(ONE, 10)
    setup.put(TWO, 20)
    assert setup.commit()
    return [Actor(begin) for _ in range(count)]


def rows_now(begin: Begin) -> dict[bytes, int] | None:
    reader = Actor(begin)
    rows = reader.total()
    reader.rollback()
    return rows


def g0(begin: Begin) -> None:
    """Write cycles (dirty writes)."""
    one, two = _actors(begin, 2)
    one.put(ONE, 11)
    two.put(ONE, 12)
    one.put(TWO, 21)
    assert one.commit()
    assert rows_now(begin) == {ONE: 11, TWO: 21}
    two.put(TWO, 22)
    assert rows_now(begin) == {ONE: 11, TWO: 21}
    assert two.commit()
    assert rows_now(begin) == {ONE: 12, TWO: 22}


def g1a(begin: Begin) -> None:
    """Aborted reads."""
    one, two = _actors(begin, 2)
    one.put(ONE, 101)
    assert two.total() == {ONE: 10, TWO: 20}
    one.rollback()
    assert two.total() == {ONE: 10, TWO: 20}
    assert two.commit()


def g1b(begin: Begin) -> None:
    """Intermediate reads."""
    one, two = _actors(begin, 2)
    one.put(ONE, 101)
    assert two.get(ONE) == 10
    one.put(ONE, 11)
    assert one.commit()
    assert two.get(ONE) in (10, None)
    two.commit()
    assert rows_now(begin) == {ONE: 11, TWO: 20}


def g1c(begin: Begin) -> None:
    """Circular information flow."""
    one, two = _actors(begin, 2)
    one.put(ONE, 11)
    two.put(TWO, 22)
    assert one.get(TWO) == 20
    assert two.get(ONE) == 10
    assert [one.commit(), two.commit()] == [True, False]


def otv(begin: Begin) -> None:
    """An observed transaction vanishes."""
    one, two, three, four = _actors(begin, 4)
    one.put(ONE, 11)
    one.put(TWO, 19)
    two.put(ONE, 12)
    assert one.commit()
    assert [three.get(ONE), four.get(ONE)] == [11, 11]
    two.put(TWO, 18)
    assert three.get(TWO) == 19
    assert two.commit()
    for reader in (three, four):  # one reads again, the other for the first time
        assert reader.get(TWO) in (19, None)
        assert reader.get(ONE) in (11, None)
        reader.commit()
    assert rows_now(begin) == {ONE: 12, TWO: 18}


def pmp(begin: Begin) -> None:
    """A predicate has many preceders: a phantom between two reads, and before a write."""
    one, two = _actors(begin, 2)
    assert one.total() == {ONE: 10, TWO: 20}
    two.put(THREE, 30)
    assert two.commit()
    assert one.total() in ({ONE: 10, TWO: 20}, None)
    reader, writer = _actors(begin, 2)
    matching = [key for key, number in (reader.total() or {}).items() if number == 20]
    writer.put(ONE, 20)
    writer.put(TWO, 30)
    assert writer.commit()
    for key in matching:
        reader.put(key, None)
    assert not reader.commit()  # DELETE WHERE value = 20 would now have chosen another row


def p4(begin: Begin) -> None:
    """A lost update."""
    one, two = _actors(begin, 2)
    first, second = one.get(ONE), two.get(ONE)
    assert (first, second) == (10, 10)
    one.put(ONE, 11)
    two.put(ONE, 11)
    assert [one.commit(), two.commit()] == [True, False]


def g_single(begin: Begin) -> None:
    """Read skew: between two reads, between two predicates, and before a write."""
    for read in (Actor.get, lambda actor, key: (actor.total() or {}).get(key)):
        one, two = _actors(begin, 2)
        assert read(one, ONE) == 10
        two.put(ONE, 12)
        two.put(TWO, 18)
        assert two.commit()
        assert read(one, TWO) in (20, None)
    one, two = _actors(begin, 2)
    assert one.get(ONE) == 10
    two.put(ONE, 12)
    two.put(TWO, 18)
    assert two.commit()
    one.put(THREE, 1)
    assert not one.commit()


def g2_item(begin: Begin) -> None:
    """Write skew on two rows."""
    one, two = _actors(begin, 2)
    for actor in (one, two):
        assert (actor.get(ONE), actor.get(TWO)) == (10, 20)
    one.put(ONE, 11)
    two.put(TWO, 21)
    assert [one.commit(), two.commit()] == [True, False]


def g2(begin: Begin) -> None:
    """Write skew on a predicate."""
    one, two = _actors(begin, 2)
    for actor in (one, two):
        assert [number for number in (actor.total() or {}).values() if number % 3 == 0] == []
    one.put(THREE, 30)
    two.put(FOUR, 42)
    assert [one.commit(), two.commit()] == [True, False]


ANOMALIES: dict[str, Callable[[Begin], None]] = {
    "G0": g0,
    "G1a": g1a,
    "G1b": g1b,
    "G1c": g1c,
    "OTV": otv,
    "PMP": pmp,
    "P4": p4,
    "G-single": g_single,
    "G2-item": g2_item,
    "G2": g2,
}
