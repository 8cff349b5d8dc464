"""Runs Nova's own tests, unmodified, in a process of their own and counts what came of them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tests.junit import Outcome, run_apart

CLEAR = re.compile(r"^(ROME_NOVA_|OS_|PYTEST_)")
LENIENT = "foreign_keys=declared&integers=flexible"
"""Nova's tests were only ever run on SQLite: they make rows without parents and put UUIDs into INTEGER columns."""

Schema = Literal["models", "migrations"]


def run_suite(names: Sequence[str], directory: Path, base_url: str, schema: Schema, *, timeout_s: int) -> Outcome:
    """Run the tests `names`, of modules, classes or single tests, on the store at `base_url`.

    `directory` is an empty one for what the tests and the report need. `schema` says whether the tables come from the
    models (create_all) or from Nova's alembic revisions. A test is named as Python imports it, without `nova.tests.`.
    """
    report = directory / "report.jsonl"
    output = run_apart(
        [sys.executable, "-W", "ignore", "-m", "tests.nova.inside.run", str(report), *names],
        directory,
        clear=CLEAR,
        environment={
            "OS_NOVA_DISABLE_EVENTLET_PATCHING": "1",
            "ROME_NOVA_BASE_URL": base_url,
            "ROME_NOVA_SCHEMA": schema,
        },
        timeout_s=timeout_s,
    )
    return _read(report, output)


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
