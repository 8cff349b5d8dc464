"""SQLAlchemy's compliance suite for dialects passes on every store, on the oldest and the newest SQLAlchemy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compliance.runs import OLDEST_SQLALCHEMY, run_compliance_suite, unexpected
from tests.junit import Outcome
from tests.servers.stores import LOCAL_STORES, SHARED_STORES, a_store

SERVER_STORES = tuple(name for name in SHARED_STORES if name not in LOCAL_STORES)
LEAST = 950
"""Tests that must have passed: far fewer would mean that the suite has not been collected."""


def check(store: str, directory: Path, sqlalchemy: Path | None = None) -> None:
    with a_store(store, directory) as url:
        outcome = run_compliance_suite(url, directory, sqlalchemy=sqlalchemy, timeout_s=1800)
    assert unexpected(outcome, {}) == ""
    assert len(outcome.passed) >= LEAST, outcome.output[-4000:]


@pytest.mark.parametrize("store", LOCAL_STORES)
class TestOnTheInstalledSQLAlchemy:
    def test_the_suite_passes(self, store: str, tmp_path: Path) -> None:
        check(store, tmp_path)


@pytest.mark.parametrize("store", LOCAL_STORES)
class TestOnTheOldestSQLAlchemy:
    def test_the_suite_passes(self, store: str, tmp_path: Path) -> None:
        assert (OLDEST_SQLALCHEMY / "sqlalchemy").is_dir(), "`make test` installs it there"
        check(store, tmp_path, OLDEST_SQLALCHEMY)


@pytest.mark.nightly
@pytest.mark.servers
@pytest.mark.parametrize("store", SERVER_STORES)
class TestOnServers:
    def test_the_suite_passes(self, store: str, tmp_path: Path) -> None:
        check(store, tmp_path)


def test_the_comparison_with_the_list_speaks_up_in_both_directions() -> None:
    outcome = Outcome(frozenset({"A::x[1]", "A::y"}), {"A::z": "AssertionError", "A::w": "E"}, {}, "")
    told = unexpected(outcome, {"A::x": "", "A::z": "", "A::gone": ""})
    assert told.splitlines() == [
        "A::w failed:", "E", "", "A::x[1] is listed and passed", "A::x is listed and did not run",
        "A::gone is listed and did not run",
    ]  # fmt: skip
    assert unexpected(Outcome(frozenset({"A::y"}), {}, {}, ""), {}) == ""
