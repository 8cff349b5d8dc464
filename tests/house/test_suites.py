"""Every store runs every conformance suite, and no suite leaves anything out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from rome.driver.api import Traits
from rome.driver.open import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
SUITES = ("DriverSuite", "TransactionSuite", "LockSuite")
STORES = sorted({registration.module.rsplit(".", 1)[-1] for registration in REGISTRY.values()})


def runs(text: str) -> Iterator[tuple[str, str]]:
    """The suites that the test classes of a module run: the suite, and the text of the class."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            for base in node.bases:
                if isinstance(base, ast.Name) and base.id in SUITES:
                    yield base.id, f"{node.name} {ast.unparse(node)}"


def missing(texts: list[str]) -> list[str]:
    """The suites that no test class runs on a store that its name or its fixtures speak of, without an instrument."""
    found = {
        (suite, store)
        for text in texts
        for suite, written in runs(text)
        for store in STORES
        if re.search(rf"class \w*{store}\b", written, re.IGNORECASE)
    }
    return [f"{suite} on {store}" for suite in SUITES for store in STORES if (suite, store) not in found]


def suite_modules() -> list[Path]:
    return [*sorted((ROOT / "lib" / "rome" / "testing").glob("*_suite.py")), ROOT / "lib/rome/testing/driver_life.py"]


def test_every_suite_runs_on_every_store() -> None:
    texts = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    assert missing(texts) == []


def test_a_suite_that_is_left_out_is_noticed() -> None:
    kept = "class TestMemory(DriverSuite): pass\nclass TestOnRedisWithFaults(DriverSuite): pass"
    assert "DriverSuite on memory" not in missing([kept])
    assert {"DriverSuite on redis", "LockSuite on memory"} <= set(missing([kept]))


@pytest.mark.parametrize("path", suite_modules(), ids=lambda path: path.stem)
def test_a_suite_skips_nothing(path: Path) -> None:
    assert re.findall(r"pytest\.(?:mark\.)?(?:skip|skipif|xfail|importorskip)\b", path.read_text()) == []


def test_every_trait_is_asserted() -> None:
    text = "".join(path.read_text() for path in suite_modules())
    assert [trait.name for trait in fields(Traits) if not re.search(rf"traits\.{trait.name}\b", text)] == []
