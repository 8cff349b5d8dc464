"""Nova's own database tests pass on ROME as its wheel ships them, all but those listed in `exceptions.toml`.

The counts are those of Nova 34.0.0 and are exact: a test that is no longer collected is a failure too, and so is a
listed test that passes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import sqlalchemy

from tests.nova.suite import Outcome, Schema, lenient, run_suite
from tests.servers.stores import STORES, a_store, marked

MAIN = ("nova.tests.unit.db.main.test_api",)
MAIN_TESTS = 428
FUNCTIONAL = tuple(
    f"nova.tests.functional.db.test_{name}"
    for name in (
        "aggregate", "build_request", "cell_mapping", "flavor", "host_mapping", "instance_group", "instance_mapping",
        "keypair", "quotas", "request_spec",
    )
)  # fmt: skip
FUNCTIONAL_TESTS = 176
SHORT = (
    f"{MAIN[0]}.ServiceTestCase",
    f"{MAIN[0]}.ArchiveTestCase",
    "nova.tests.functional.db.test_aggregate",
    "nova.tests.functional.db.test_connection_switch.CellDatabasesTestCase.test_scatter_gather_cells",
)
SHORT_TESTS = 88
MIGRATIONS = ("tests.nova.inside.migrations_on_store",)

EXCEPTIONS = tomllib.loads(Path(__file__).with_name("exceptions.toml").read_text())
ALWAYS = ("noload", "regexp", "skipped")
WHERE_STRICT = ("orphans", "strings")

BOTH: list[Schema] = ["models", "migrations"]
FAST = 1200
SLOW = 5400


def listed(suite: str, *reasons: str) -> set[str]:
    return {name for reason in reasons for name in EXCEPTIONS[reason].get(suite, ())}


def not_passed(outcome: Outcome) -> set[str]:
    return {*outcome.failed, *outcome.skipped}


def test_a_short_choice_of_novas_tests_passes(tmp_path: Path) -> None:
    with a_store("lmdb", tmp_path) as url:
        outcome = run_suite(SHORT, tmp_path, lenient(url), "migrations", timeout_s=FAST)
    assert len(outcome.passed) == outcome.total == SHORT_TESTS, str(outcome)


@pytest.mark.parametrize("store", marked(("lmdb", "redis")))
def test_every_revision_of_both_databases_runs_and_leaves_what_the_models_say(store: str, tmp_path: Path) -> None:
    with a_store(store, tmp_path) as url:
        outcome = run_suite(MIGRATIONS, tmp_path, url, "migrations", timeout_s=FAST)
    assert outcome.passed and not not_passed(outcome), str(outcome)


@pytest.mark.nightly
@pytest.mark.parametrize("schema", BOTH)
@pytest.mark.parametrize("store", marked(("lmdb", "redis")))
class TestEverything:
    def test_every_test_of_the_main_databases_api_passes(self, store: str, schema: Schema, tmp_path: Path) -> None:
        with a_store(store, tmp_path) as url:
            outcome = run_suite(MAIN, tmp_path, lenient(url), schema, timeout_s=SLOW)
        assert outcome.total == MAIN_TESTS, str(outcome)
        assert not_passed(outcome) == listed("main", *ALWAYS), str(outcome)

    def test_every_functional_test_of_the_api_database_passes(
        self, store: str, schema: Schema, tmp_path: Path
    ) -> None:
        with a_store(store, tmp_path) as url:
            outcome = run_suite(FUNCTIONAL, tmp_path, lenient(url), schema, timeout_s=SLOW)
        assert len(outcome.passed) == outcome.total == FUNCTIONAL_TESTS, str(outcome)


@pytest.mark.nightly
class TestAsUsual:
    """With foreign keys enforced and strict integers, as Nova runs in service."""

    def test_only_orphans_and_words_among_integers_are_refused_beside(self, tmp_path: Path) -> None:
        with a_store("memory", tmp_path) as url:
            main = run_suite(MAIN, tmp_path, url, "migrations", timeout_s=SLOW)
            functional = run_suite(FUNCTIONAL, tmp_path, url, "migrations", timeout_s=SLOW)
        assert not_passed(main) == listed("main", *ALWAYS, *WHERE_STRICT), str(main)
        assert not_passed(functional) == listed("functional", *WHERE_STRICT), str(functional)
        assert (main.total, functional.total) == (MAIN_TESTS, FUNCTIONAL_TESTS)


@pytest.mark.parametrize("store", marked([store for store in STORES if store != "memory"]))
class TestNovaManage:
    def test_both_databases_are_made_by_novas_own_command(self, store: str, tmp_path: Path) -> None:
        with a_store(store, tmp_path) as url:
            urls = {name: sqlalchemy.make_url(url).update_query_dict({"namespace": name}) for name in ("api", "cell0")}
            api, cell0 = (urls[name].render_as_string(hide_password=False) for name in ("api", "cell0"))
            configuration = tmp_path / "nova.conf"
            configuration.write_text(f"[api_database]\nconnection = {api}\n[database]\nconnection = {cell0}\n")
            manage(configuration, "api_db", "sync")
            manage(configuration, "cell_v2", "map_cell0", "--database_connection", cell0)
            manage(configuration, "db", "sync")
            manage(configuration, "db", "sync")  # nothing is left to do
            assert manage(configuration, "api_db", "version").strip().endswith("cdeec0c85668")
            assert manage(configuration, "db", "version").strip().endswith("ab450ba04102")
            engine = sqlalchemy.create_engine(urls["cell0"])
            names = sqlalchemy.inspect(engine).get_table_names()
            engine.dispose()
        assert {"instances", "shadow_instances", "services", "compute_nodes"} <= set(names)


def manage(configuration: Path, *words: str) -> str:
    """What `nova-manage` says on its output; it must succeed."""
    command = [Path(sys.executable).with_name("nova-manage"), "--config-file", configuration, *words]
    environment = {**os.environ, "OS_NOVA_DISABLE_EVENTLET_PATCHING": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr[-3000:]}"
    return done.stdout
