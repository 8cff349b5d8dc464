"""Runs a suite of Glance's own tests, unmodified, in a process of its own and counts what came of it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.glance.mirror import make_mirror
from tests.junit import REPOSITORY, Outcome, read_report, run_apart

INSIDE = REPOSITORY / "tests" / "glance" / "inside"
CLEAR = re.compile(r"^(ROME_GLANCE_|OS_|PYTEST_|GLANCE_)")


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
    command = [
        sys.executable, "-m", "pytest", *paths,
        "-p", "tests.glance.inside.plugin", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(mirror),
        "-o", "python_classes=",  # unittest's classes only: by name, pytest would take Glance's mixins for tests too
        "-q", "-W", "ignore", "--tb=short", "--durations=20", f"--junitxml={report}",
        *(["-n", str(processes), "--dist", "loadfile"] if processes > 1 else []),
    ]  # fmt: skip
    output = run_apart(
        command,
        mirror,
        clear=CLEAR,
        environment={"PYTHONWARNINGS": "ignore", "ROME_GLANCE_BASE_URL": base_url, **(environment or {})},
        first_on_path=[*([import_first] if import_first else []), mirror],
        timeout_s=timeout_s,
    )
    return read_report(report, output, _name)


def _name(module: str, class_name: str, test: str) -> str:
    """`module::class::test`, the module as in `glance.tests.<module>`."""
    return f"{module.removeprefix('glance.tests.')}::{class_name}::{test}"
