"""Runs Nova's own tests, unmodified, in a process of their own and counts what came of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

REPOSITORY = Path(__file__).resolve().parents[2]
CLEAR = re.compile(r"^(ROME_NOVA_|OS_|PYTEST_)")
LENIENT = "foreign_keys=declared&integers=flexible"
"""Nova's tests were only ever run on SQLite: they make rows without parents and put UUIDs into INTEGER columns."""

Schema = Literal["models", "migrations"]


@dataclass(frozen=True)
class Outcome:
    """What came of one run. A test is named as Python imports it, without `nova.tests.`."""

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


def run_suite(names: Sequence[str], directory: Path, base_url: str, schema: Schema, *, timeout_s: int) -> Outcome:
    """Run the tests `names`, of modules, classes or single tests, on the store at `base_url`.

    `directory` is an empty one for what the tests and the report need. `schema` says whether the tables come from the
    models (create_all) or from Nova's alembic revisions.
    """
    report = directory / "report.jsonl"
    clean = {name: value for name, value in os.environ.items() if not CLEAR.match(name)}
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.nova.inside.run", str(report), *names],
        cwd=directory,
        env={
            **clean,
            "PYTHONPATH": os.pathsep.join((str(REPOSITORY / "lib"), str(REPOSITORY))),
            "OS_NOVA_DISABLE_EVENTLET_PATCHING": "1",
            "ROME_NOVA_BASE_URL": base_url,
            "ROME_NOVA_SCHEMA": schema,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    return _read(report, finished.stdout)


def lenient(url: str) -> str:
    """`url` with the options that Nova's tests need."""
    return f"{url}{'&' if '?' in url else '?'}{LENIENT}"


def _read(report: Path, output: str) -> Outcome:
    passed: set[str] = set()
    failed: dict[str, str] = {}
    skipped: dict[str, str] = {}
    for line in report.read_text().splitlines() if report.exists() else ():
        case = json.loads(line)
        name = case["test"].removeprefix("nova.tests.")
        match case["status"]:
            case "success":
                passed.add(name)
            case "skip":
                skipped[name] = case["reason"]
            case _:
                failed[name] = case["reason"]
    return Outcome(frozenset(passed - failed.keys()), failed, skipped, output)
