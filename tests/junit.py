"""Other projects' tests in a process of their own, and what came of them."""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


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


def run_apart(
    command: Sequence[str],
    directory: Path,
    *,
    clear: re.Pattern[str],
    environment: Mapping[str, str],
    first_on_path: Sequence[Path] = (),
    timeout_s: int,
) -> str:
    """What `command` prints, run in `directory` with this checkout on the path of its Python, after `first_on_path`.

    It has this process's environment without the variables that match `clear`, and with `environment`.
    """
    kept = {name: value for name, value in os.environ.items() if not clear.match(name)}
    path = os.pathsep.join(map(str, [*first_on_path, REPOSITORY / "lib", REPOSITORY]))
    return subprocess.run(
        command,
        cwd=directory,
        env={**kept, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    ).stdout


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
