"""What came of a pytest run in a process of its own, read from its report."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What came of one run, test by test."""

    passed: frozenset[str]
    failed: Mapping[str, str]  # with the end of its traceback
    skipped: Mapping[str, str]  # with its reason
    output: str

    @property
    def total(self) -> int:
        return len(self.passed) + len(self.failed) + len(self.skipped)

    def __str__(self) -> str:
        lines = [f"{len(self.passed)} of {self.total} passed, {len(self.skipped)} skipped"]
        lines += [f"FAILED {name}\n{reason}" for name, reason in sorted(self.failed.items())]
        lines += [f"SKIPPED {name}: {reason}" for name, reason in sorted(self.skipped.items())]
        if not self.total:
            lines.append(self.output[-4000:])
        return "\n".join(lines)


def read_report(report: Path, output: str, name_of: Callable[[str, str, str], str]) -> Outcome:
    """The outcome in pytest's JUnit file `report`; empty when there is none, since then `output` tells why.

    `name_of(module, class name, test)` is what a test is called.
    """
    passed: set[str] = set()
    failed: dict[str, str] = {}
    skipped: dict[str, str] = {}
    cases = ElementTree.parse(report).iter("testcase") if report.exists() else []
    for case in cases:
        module, _, class_name = case.get("classname", "").rpartition(".")
        name = name_of(module, class_name, case.get("name") or "")
        bad = [element for element in case if element.tag in ("failure", "error")]
        skip = case.find("skipped")
        if bad:
            failed[name] = (bad[0].text or bad[0].get("message") or "").strip()[-1500:]
        elif skip is not None:
            skipped[name] = skip.get("message") or ""
        else:
            passed.add(name)
    return Outcome(frozenset(passed - failed.keys()), failed, skipped, output)
