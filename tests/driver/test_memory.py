"""The memory driver: what its one lock is for."""

from __future__ import annotations

import time

import pytest

from rome.config import parse
from rome.driver.api import Driver, ExpectCell
from rome.driver.memory import MemoryStore
from rome.driver.open import open_store
from rome.errors import Conflict
from rome.testing.driver_life import in_threads, value_at


def test_no_commit_comes_between_the_checks_and_the_writes_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    check = MemoryStore.check

    def slow_check(store: MemoryStore, expect: tuple[ExpectCell, ...]) -> None:
        check(store, expect)
        time.sleep(0.02)

    monkeypatch.setattr(MemoryStore, "check", slow_check)
    driver: Driver = open_store(parse("rome+memory://"))
    conflicts = []

    def commit(value: bytes) -> None:
        try:
            driver.commit([ExpectCell(b"a", 0)], [(b"a", value)])
        except Conflict:
            conflicts.append(value)

    in_threads([lambda: commit(b"1"), lambda: commit(b"2")])
    assert {value_at(driver, b"a"), *conflicts} == {b"1", b"2"}
