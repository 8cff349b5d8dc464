"""SQLAlchemy's own tests for databases, out of its source distribution, fail only where a list says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compliance.runs import SOURCE, exceptions, run_backend_tests, unexpected
from tests.servers.stores import a_store

LEAST = {"engine": 250, "ext": 15, "orm": 2000, "sql": 1450}
"""Tests that must have passed: far fewer would mean that they have not been collected."""


@pytest.mark.nightly
@pytest.mark.parametrize("part", LEAST)
def test_what_fails_is_listed_with_its_reason(part: str, tmp_path: Path) -> None:
    assert (SOURCE / "test").is_dir(), "`make nightly` unpacks it there"
    with a_store("memory", tmp_path) as url:
        outcome = run_backend_tests(part, url, tmp_path, timeout_s=3600)
    assert unexpected(outcome, exceptions("backend_exceptions.toml", part)) == ""
    assert len(outcome.passed) >= LEAST[part], outcome.output[-4000:]
