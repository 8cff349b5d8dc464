"""A client whose clock jumps by an hour: nothing rests on it but the time that SQL shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import jumping_clock
from tests.servers.stores import a_store, marked

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("store", marked())
def test_a_jump_of_an_hour_breaks_no_commit_and_no_lease_and_keeps_none_alive(store: str, tmp_path: Path) -> None:
    with a_store(store, tmp_path) as url:
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.jumping_clock", url],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}:{ROOT}"}, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *jumps, first, second, end = (json.loads(line) for line in done.stdout.splitlines())
    assert [jump["ahead_s"] for jump in jumps] == [3600, -3600, 0]
    for jump in jumps:
        assert (jump["done"], jump["lost"], jump["taken"]) == (8, False, False)
        assert abs(jump["shown_s"] - jump["ahead_s"]) < 60, "the clock did not jump"
    for expiry in (first, second):
        assert expiry["expired_after_s"] > 0.9 * jumping_clock.TTL_MS / 1000
    assert end == {"audited": True}
