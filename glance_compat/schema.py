"""Glance's schema and metadata definitions, by its own `glance-manage`, with progress.

`glance-manage` is run unmodified in a process of its own; the progress is counted from the lines that it logs.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from glance_compat.failure import Failure
from glance_compat.logs import Log
from glance_compat.state import State, shipped

Advance = Callable[[], None]


def count_revisions() -> int:
    """How many alembic revisions this Glance ships; it is not imported for that, which would take a second."""
    found = importlib.util.find_spec("glance")
    if found is None or not found.submodule_search_locations:
        raise Failure(f"Glance is not installed. Run: {sys.executable} -m pip install glance==33.0.0")
    versions = Path(found.submodule_search_locations[0], "db", "sqlalchemy", "alembic_migrations", "versions")
    return sum(1 for path in versions.glob("*.py") if path.name != "__init__.py")


def count_metadefs() -> int:
    """How many files of metadata definitions this Glance ships."""
    return len(list(shipped("metadefs").glob("*.json")))


def sync(state: State, advance: Advance) -> None:
    """Bring the schema to Glance's newest revision; `advance` is called once for each revision that ran."""
    _manage(state, ["sync"], "Running upgrade", advance)


def load_metadefs(state: State, advance: Advance) -> None:
    """Load the shipped metadata definitions where they are missing; `advance` is called once for each file loaded."""
    _manage(state, ["load_metadefs", "--path", str(shipped("metadefs"))], "loaded to database", advance)


def _manage(state: State, arguments: list[str], mark: str, advance: Advance) -> None:
    command = [sys.executable, "-m", "glance.cmd.manage", "--config-file", str(state.config_file), "db", *arguments]
    log = Log.of(state.log_dir / "glance-manage.log")
    with (
        log.path.open("a") as output,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        ) as manage,
    ):
        try:
            assert manage.stdout is not None
            for line in manage.stdout:
                output.write(line)
                if mark in line:
                    advance()
        except BaseException:
            manage.kill()
            raise
    if manage.returncode != 0:
        raise Failure(f"`glance-manage db {arguments[0]}` exited with {manage.returncode}: {log.reason()}")
