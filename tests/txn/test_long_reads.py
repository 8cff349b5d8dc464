"""Round trips of long transactions on a store without snapshots, beside others that commit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rome.config import parse
from rome.driver.api import Driver, Scan
from rome.driver.open import open_store
from rome.errors import Conflict
from rome.txn.view import CARRY, RESTLESS, View
from rome.txn.wave import Wave

READS = 3 * CARRY


@pytest.fixture
def driver() -> Driver:
    driver = open_store(parse("rome+memory://"))
    driver.commit((), [(b"%d" % number, b"") for number in range(READS)])
    return driver


def waves(driver: Driver, before: Callable[[int], None]) -> int:
    """How many round trips so many reads of one transaction take, if something happens before each."""
    view = View(driver, None)
    for number in range(READS):
        before(number)
        view.read(Wave((b"%d" % number,), (Scan(b"x%d" % number, b"x%d~" % number),)))
    return view.waves


def test_a_read_is_one_round_trip_while_nothing_is_committed(driver: Driver) -> None:
    assert waves(driver, lambda number: None) == READS


def test_a_commit_now_and_then_costs_one_more_each(driver: Driver) -> None:
    def now_and_then(number: int) -> None:
        if number % 10 == 0:
            driver.commit((), [(b"other", b"")])

    assert READS < waves(driver, now_and_then) <= READS + READS // 10


def test_commits_before_every_read_cost_no_more_than_a_few(driver: Driver) -> None:
    assert waves(driver, lambda number: driver.commit((), [(b"other", b"%d" % number)]) and None) <= READS + RESTLESS


@pytest.mark.parametrize("changed", [b"0", b"x1", b"x100y"])
def test_a_change_of_what_was_read_is_met_however_busy_the_store_is(driver: Driver, changed: bytes) -> None:
    def commit(number: int) -> None:
        driver.commit((), [(changed if number == READS - 1 else b"other", b"new")])

    with pytest.raises(Conflict):
        waves(driver, commit)
