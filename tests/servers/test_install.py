"""tools/servers.py, by which `make` sees to it that the server programs are there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "servers.py"


def run(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, "PATH": path},
    )  # fmt: skip


@pytest.mark.servers
def test_where_all_programs_are_there_nothing_is_done_or_said() -> None:
    done = run(path=os.environ["PATH"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_cannot_be_installed_is_one_line_that_names_it(tmp_path: Path) -> None:
    done = run("redis", "etcd", path=str(tmp_path))
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "redis-server and etcd must be on the path" in done.stderr


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = run("redis", "etcd", path=str(tmp_path))
    assert "redis" not in done.stderr and "etcd must be on the path" in done.stderr


def test_an_unknown_server_is_one_line_with_the_known_ones() -> None:
    done = run("mariadb", path=os.environ["PATH"])
    assert done.returncode == 1
    assert done.stderr == "rome: there is no server called mariadb: redis, etcd, etcdctl, tls\n"
