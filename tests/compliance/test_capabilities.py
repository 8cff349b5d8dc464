"""What ROME says that it cannot do is little, is said with a reason, and is what docs/sql.md says."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import sqlalchemy
from sqlalchemy import create_engine
from sqlalchemy.testing.requirements import SuiteRequirements

from rome.dialect.requirements import CLOSED, DIFFERENT, OPEN, Requirements

ROOT = Path(__file__).resolve().parents[2]
SUITE = Path(sqlalchemy.__file__).parent / "testing" / "suite"
MOST_CLOSED = 21
NO_FLAGS = {"get_isolation_levels", "get_order_by_collation"}


def flags_of_the_suite() -> set[str]:
    """The flags that decide a test of SQLAlchemy's compliance suite."""
    found: set[str] = set()
    for path in SUITE.glob("*.py"):
        text = path.read_text()
        found |= set(re.findall(r"\b(?:requirements|requires)\.(\w+)", text))
        for names in re.findall(r"__requires__ = (\([^)]*\)|[^\n]*)", text):
            found |= set(re.findall(r'"(\w+)"', names))
    return found - NO_FLAGS


def closed() -> set[str]:
    """Those that are closed for ROME."""
    engine = create_engine("rome+memory://")
    engine.connect().close()  # the dialect learns its server's version
    setting = SimpleNamespace(db=engine, options=SimpleNamespace(has_coverage=False))
    requirements = Requirements()
    return {flag for flag in flags_of_the_suite() if not getattr(requirements, flag).enabled_for_config(setting)}


def test_every_flag_that_skips_a_test_has_its_reason() -> None:
    assert len(flags_of_the_suite()) > 150
    assert closed() - CLOSED.keys() - DIFFERENT.keys() == set()


def test_every_flag_with_a_reason_is_closed() -> None:
    flags = flags_of_the_suite()
    assert (CLOSED.keys() | DIFFERENT.keys()) & flags - closed() == set()
    assert [flag for flag in CLOSED if not hasattr(SuiteRequirements, flag)] == []
    assert CLOSED.keys() & OPEN == CLOSED.keys() & DIFFERENT.keys() == set()


def test_no_more_capabilities_are_closed_than_another_database_closes() -> None:
    assert len(CLOSED) <= MOST_CLOSED


def test_the_page_lists_the_closed_capabilities_and_no_others() -> None:
    page = (ROOT / "docs" / "sql.md").read_text()
    section = page.partition("## SQLAlchemy's capabilities")[2].partition("\n## ")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.M)) == {**CLOSED, **DIFFERENT}
