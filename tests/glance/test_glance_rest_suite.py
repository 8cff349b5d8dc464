"""Glance's in-process REST and integration tests pass on a store, all but those listed in `rest_exceptions.toml`.

Each listed test must fail or be skipped: one that passes has no place in the list, and fails the run. Tests that are
listed for want of something must pass where it is there.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.glance.inside.databases import database_url
from tests.glance.stores import EVERY_SHARED_STORE, glance_store
from tests.glance.suite import INSIDE, run_suite

MODULES = (
    "glance/tests/functional/v2",
    "glance/tests/functional/test_api.py",
    "glance/tests/functional/test_cache_middleware.py",
    "glance/tests/functional/test_glance_manage.py",
    "glance/tests/functional/test_healthcheck_middleware.py",
    "glance/tests/functional/test_sqlite.py",
    "glance/tests/functional/test_staging_cleanup.py",
    "glance/tests/functional/serial",
    "glance/tests/integration",
)
REST_TESTS = 282
EXCEPTIONS = tomllib.loads(Path(__file__).with_name("rest_exceptions.toml").read_text())["exception"]


@pytest.mark.nightly
@pytest.mark.serial
@pytest.mark.parametrize("store", EVERY_SHARED_STORE)  # some tests run a command on their database
def test_every_rest_test_of_glance_passes_that_is_not_excepted(store: str, tmp_path: Path) -> None:
    with glance_store(store, tmp_path) as url:
        redirected = database_url(url, "rest").render_as_string(hide_password=False)
        outcome = run_suite(
            MODULES,
            tmp_path,
            url,
            environment={"ROME_GLANCE_REST_URL": redirected},
            import_first=INSIDE / "startup",
            processes=int(os.environ.get("ROME_GLANCE_PROCESSES", "2")),
            timeout_s=3600,
        )
    excepted = {name for exception in EXCEPTIONS if applies(exception) for name in exception["tests"]}
    by_chance = {name for exception in EXCEPTIONS if exception.get("by_chance") for name in exception["tests"]}
    not_passed = outcome.failed.keys() | outcome.skipped.keys()
    assert outcome.total == REST_TESTS, str(outcome)
    assert not not_passed - excepted, str(outcome)
    passing = excepted - not_passed - by_chance
    assert not passing, f"these pass, take them off the list: {sorted(passing)}"


def applies(exception: dict[str, Any]) -> bool:
    """Whether what these tests want is missing on this machine; without a want, always."""
    if "wants_command" in exception:
        return shutil.which(exception["wants_command"]) is None
    if "wants_module" in exception:
        return importlib.util.find_spec(exception["wants_module"]) is None
    if "wants_host" in exception:
        return not reachable(exception["wants_host"])
    return True


def reachable(host: str) -> bool:
    try:
        with socket.create_connection((host, 80), timeout=5):
            return True
    except OSError:
        return False
