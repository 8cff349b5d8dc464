"""Defects planted on purpose: each anomaly's script notices the ones that let it happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from rome.config import parse
from rome.driver.api import Driver, Expectation, Range, Reading, Scan, View, Write
from rome.driver.open import open_store
from rome.testing.anomalies import ANOMALIES
from rome.txn.transaction import Transaction


@pytest.fixture
def driver() -> Iterator[Driver]:
    url = parse("rome+memory://")
    driver = open_store(url)
    yield driver
    driver.close()


class Wrapped:
    """A driver that hands everything on."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self.driver, name)


class ForgetsExpectationsAtCommit(Wrapped):
    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        return self.driver.commit((), writes, mark)


class ReadsTheNewest(Wrapped):
    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: View | None = None,
        counts: Sequence[Range] = (),
    ) -> Reading:
        return self.driver.read(gets, scans, counts=counts)


class WritesAtOnce(Transaction):
    def write(self, key: bytes, value: bytes | None) -> None:
        super().write(key, value)
        self._driver.commit((), [(key, value)])


DEFECTS: dict[str, Callable[[Driver], Transaction]] = {
    "forgets expectations at commit": lambda driver: Transaction(ForgetsExpectationsAtCommit(driver)),
    "reads the newest": lambda driver: Transaction(ReadsTheNewest(driver)),
    "writes at once": WritesAtOnce,
}

NOTICED = [
    ("G0", "writes at once"),
    ("G1a", "writes at once"),
    ("G1b", "writes at once"),
    ("G1c", "writes at once"),
    ("G1c", "forgets expectations at commit"),
    ("OTV", "writes at once"),
    ("OTV", "reads the newest"),
    ("PMP", "forgets expectations at commit"),
    ("P4", "forgets expectations at commit"),
    ("G-single", "forgets expectations at commit"),
    ("G-single", "reads the newest"),
    ("G2-item", "forgets expectations at commit"),
    ("G2", "forgets expectations at commit"),
]


@pytest.mark.parametrize(("anomaly", "defect"), NOTICED)
def test_a_planted_defect_is_noticed(anomaly: str, defect: str, driver: Driver) -> None:
    with pytest.raises(AssertionError):
        ANOMALIES[anomaly](lambda: DEFECTS[defect](driver))


def test_every_anomaly_has_a_defect_that_it_notices() -> None:
    assert {anomaly for anomaly, _ in NOTICED} == set(ANOMALIES)
