"""Runs a suite of Glance's own tests, unmodified, in a process of its own and counts what came of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.glance.mirror import make_mirror

REPOSITORY = Path(__file__).resolve().parents[2]
INSIDE = REPOSITORY / "tests" / "glance" / "inside"
CLEAR = re.compile(r"^(ROME_GLANCE_|OS_|PYTEST_|GLANCE_)")


@dataclass(frozen=True)
class Outcome:
    """What came of one suite. A case is named `module::class::test`, the module as in `glance.tests.<module>`."""

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


def run_suite(
    paths: Sequence[str],
    directory: Path,
    base_url: str,
    *,
    environment: Mapping[str, str] | None = None,
    import_first: Path | None = None,
    processes: int = 1,
    timeout_s: int,
) -> Outcome:
    """Run the tests at `paths`, relative to the root of Glance's mirror or absolute, on the store at `base_url`.

    `directory` is an empty one for the mirror and the report. `import_first` is a directory that goes first on the
    path of every process, also of those that the tests start.
    """
    mirror = make_mirror(directory / "glance")
    report = directory / "report.xml"
    python_path = [str(path) for path in (import_first, mirror, REPOSITORY / "lib", REPOSITORY) if path]
    command = [
        sys.executable, "-m", "pytest", *paths,
        "-p", "tests.glance.inside.plugin", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(mirror),
        "-o", "python_classes=",  # unittest's classes only: by name, pytest would take Glance's mixins for tests too
        "-q", "-W", "ignore", "--tb=short", "--durations=20", f"--junitxml={report}",
        *(["-n", str(processes), "--dist", "loadfile"] if processes > 1 else []),
    ]  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if not CLEAR.match(name)}
    finished = subprocess.run(
        command,
        cwd=mirror,
        env={
            **clean,
            "PYTHONPATH": os.pathsep.join(python_path),
            "PYTHONWARNINGS": "ignore",
            "ROME_GLANCE_BASE_URL": base_url,
            **(environment or {}),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    if not report.exists():
        return Outcome(frozenset(), {}, {}, finished.stdout)
    return _read(report, finished.stdout)


def _read(report: Path, output: str) -> Outcome:
    passed: set[str] = set()
    failed: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        module, _, class_name = case.get("classname", "").rpartition(".")
        name = f"{module.removeprefix('glance.tests.')}::{class_name}::{case.get('name')}"
        bad = [element for element in case if element.tag in ("failure", "error")]
        skip = case.find("skipped")
        if bad:
            failed[name] = (bad[0].text or bad[0].get("message") or "").strip()[-1500:]
        elif skip is not None:
            skipped[name] = skip.get("message") or ""
        else:
            passed.add(name)
    return Outcome(frozenset(passed - failed.keys()), failed, skipped, output)
