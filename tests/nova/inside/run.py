"""Runs Nova's own tests on the store at ROME_NOVA_BASE_URL; a line of JSON for each goes into the report.

    python -m tests.nova.inside.run REPORT NAME [NAME …]      a NAME is a module, a class or a test

Nova's tests run under testtools; pytest does not go with them, as they take their own attributes away in the end. What
is exchanged, and it is no test, is where their databases lie:

* The SQLite files that Nova's fixtures would open become namespaces of the store, whoever opens them.
* The schema comes from a copy of a namespace, in place of an SQLite dump: `databases`.
* `[database] connection` and `[api_database] connection` default to the store's URL, as an operator would set them.

ROME_NOVA_SCHEMA says who makes the schema: "models" (create_all) or "migrations" (Nova's alembic revisions).
"""

from __future__ import annotations

import json
import os
import sys
import unittest
import warnings
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import IO, Any

from nova import monkey_patch

monkey_patch.patch()  # before anything else of Nova is imported: without eventlet, as the environment says

import testtools  # noqa: E402
from nova.tests import fixtures as nova_fixtures  # noqa: E402
from nova.tests.fixtures import conf  # noqa: E402

from tests.glance.inside.databases import database_url  # noqa: E402
from tests.glance.inside.redirect import redirect_sqlite_files  # noqa: E402
from tests.nova.inside.databases import Databases  # noqa: E402

BASE = os.environ["ROME_NOVA_BASE_URL"]
SCHEMA = os.environ.get("ROME_NOVA_SCHEMA", "migrations")


def redirect_databases() -> Databases:
    """From now on Nova's fixtures make databases on the store: these."""
    redirect_sqlite_files(BASE)
    databases = Databases(BASE, SCHEMA)

    def apply_schema(fixture: Any) -> None:
        databases.fill(fixture.get_engine(), fixture.database)

    def make_cell(fixture: Any, connection: str) -> None:
        databases.fill(fixture._ctxt_mgrs[connection].writer.get_engine(), "main")

    set_up = conf.ConfFixture.setUp

    def set_up_conf(fixture: Any) -> None:
        set_up(fixture)
        for group in ("database", "api_database"):
            url = database_url(BASE, f"default-{group}").render_as_string(hide_password=False)
            fixture.conf.set_default("connection", url, group=group)

    nova_fixtures.Database._apply_schema = apply_schema
    nova_fixtures.CellDatabases._cache_schema = make_cell
    conf.ConfFixture.setUp = set_up_conf
    return databases


def note(
    report: IO[str],
    databases: Databases,
    test: unittest.TestCase,
    status: str,
    start_time: datetime,
    stop_time: datetime,
    tags: set[str],
    details: Mapping[str, Any] | None,
) -> None:
    """One line for one finished test, written at once: the report says what ran if the process ends early."""
    words = {name: content.as_text() for name, content in (details or {}).items()} if status != "success" else {}
    reason = words.get("reason") or words.get("traceback") or "\n".join(words.values())
    seconds = (stop_time - start_time).total_seconds()
    line = {"test": test.id(), "status": status, "seconds": seconds, "reason": reason[-2000:]}
    print(json.dumps(line), file=report, flush=True)
    databases.clear()


def main(report: str, names: list[str]) -> None:
    warnings.simplefilter("ignore")
    databases = redirect_databases()
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    with open(report, "w") as file:
        suite.run(testtools.TestByTestResult(partial(note, file, databases)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
