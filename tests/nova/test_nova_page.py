"""docs/nova.md says what the code does: its script runs, its counts are those of the lists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import sqlalchemy
from nova.db.main import models

from tests.junit import REPOSITORY
from tests.nova.test_nova_suites import FUNCTIONAL_TESTS, MAIN_TESTS, SHORT_TESTS
from tests.servers.stores import a_store, marked

PAGE = (REPOSITORY / "docs" / "nova.md").read_text()
EXCEPTIONS = tomllib.loads((REPOSITORY / "tests/nova/exceptions.toml").read_text())


@pytest.mark.parametrize("store", marked(("lmdb", "redis")))
def test_of_sixteen_processes_exactly_one_registers_the_service(store: str, tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```\n\n((?:    [^\n]*\n)+)", PAGE, re.S)
    assert found
    script = tmp_path / "register.py"
    script.write_text(found[1])
    said = [line.strip() for line in found[2].splitlines()]
    with a_store(store, tmp_path) as url:
        engine = sqlalchemy.create_engine(url)
        models.BASE.metadata.create_all(engine)
        engine.dispose()
        done = subprocess.run(
            [sys.executable, "-W", "ignore", script, url],
            capture_output=True,
            text=True,
            timeout=400,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib"), "OS_NOVA_DISABLE_EVENTLET_PATCHING": "1"},
            check=False,
        )
    assert done.stdout.splitlines() == said, done.stderr


def test_the_counts_in_the_page_are_those_of_the_tests() -> None:
    failing = len(EXCEPTIONS["noload"]["main"]) + len(EXCEPTIONS["regexp"]["main"])
    passing = MAIN_TESTS - failing - len(EXCEPTIONS["skipped"]["main"])
    assert f"| {MAIN_TESTS} | {passing}, and three that Nova skips |" in PAGE
    assert f"| {FUNCTIONAL_TESTS} | {FUNCTIONAL_TESTS} |" in PAGE and f"| {SHORT_TESTS} | {SHORT_TESTS} |" in PAGE
    assert [len(EXCEPTIONS["orphans"][suite]) for suite in ("main", "functional")] == [11, 9]
    assert len(EXCEPTIONS["strings"]["main"]) == 13
