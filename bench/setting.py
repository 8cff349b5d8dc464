"""The machine, the versions and the settings that something was measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from bench.backends import KINDS, Backend
from bench.results import Setting

LIBRARIES = ("rome", "glance", "SQLAlchemy", "oslo.db", "sqlglot", "msgspec", "lmdb", "mysqlclient", "psycopg2")


def find_setting(backends: Sequence[Backend] = (), rtt_ms: float = 0) -> Setting:
    """Of this moment: `command` is that of this process."""
    arguments = " ".join(sys.argv[1:])
    versions = [f"SQLite {sqlite3.sqlite_version}"]
    versions += [
        f"{each.server.name} {each.loaded.version}"
        for each in backends
        if each.server and each.loaded and not KINDS[each.name].is_rome
    ]
    return Setting(
        f"make bench ARGS='{arguments}'",
        [
            f"machine: {_processor()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}",
            f"Python {platform.python_version()}, {', '.join(_libraries())}",
            ", ".join(versions),
            "every database with its shipped settings and synced commits where nothing else is said, MariaDB with "
            "index_merge_intersection=off; "
            + (f"a proxy holds each message to a server back for {rtt_ms / 2:g} ms, and each from it" if rtt_ms
               else "servers on a local socket")
            + "; their files in the page cache when a call, or a load, begins",
            f"revision {_revision()}",
        ],
    )  # fmt: skip


def _libraries() -> list[str]:
    installed = []
    for library in LIBRARIES:
        try:
            installed.append(f"{library} {version(library)}")
        except ModuleNotFoundError:
            continue
    return installed


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _revision() -> str:
    """The commit, and whether what is measured, or measures, differs from it; results kept meanwhile do not count."""
    root = Path(__file__).resolve().parents[1]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=root)
    if commit.returncode:
        return "unknown"
    sources = ["lib", "glance_compat", "bench/*.py"]
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", *sources], cwd=root)
    return commit.stdout.strip() + ("-dirty" if changed.returncode else "")
