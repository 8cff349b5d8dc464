"""`python -m rome.testing URL` tells what a store keeps of the promises, and what it does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.open import open_store
from rome.testing import conformance, golden
from tests.servers.stores import SHARED_STORES, a_store

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "own-driver.md"
CAPABILITIES = {
    "driver: cells, scans, commits, counters", "driver: views, threads, processes", "transactions", "locks",
    "leases and fencing", "ORM", *(f"SQL: {path.stem}" for path in golden.SCRIPTS),
}  # fmt: skip


def run(*arguments: str, beside: Path | None = None) -> subprocess.CompletedProcess[str]:
    """What the command writes and how it ends; packages may lie in `beside`."""
    paths = [ROOT / "lib", *([beside] if beside else [])]
    return subprocess.run(
        [sys.executable, "-m", "rome.testing", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip


def rows(text: str) -> dict[str, tuple[int, int]]:
    """Of each capability in the table, how many tests passed and failed."""
    found = re.findall(r"^│ (\S.*?) +│ +(\d+) │ +(\d+) │", text, re.MULTILINE)
    return {name: (int(passed), int(failed)) for name, passed, failed in found}


def package(place: Path, *, planted: tuple[str, str] | None = None) -> Path:
    """The driver of docs/own-driver.md as an installed package; `planted` is a text of it and what stands instead."""
    code = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    if planted is not None:
        assert code.count(planted[0]) == 1
        code = code.replace(*planted)
    (place / "sqlitestore.py").write_text(code)
    points = re.findall(r'\[project\.entry-points\."([^"]+)"\]\n"?([\w.]+)"? = "([^"]+)"', PAGE.read_text())
    assert [group for group, _, _ in points] == ["rome.drivers", "sqlalchemy.dialects"]
    information = place / "sqlitestore-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: sqlitestore\nVersion: 1\n")
    (information / "entry_points.txt").write_text("".join(f"[{group}]\n{name} = {to}\n" for group, name, to in points))
    return place


OTHERS = [pytest.param(name, marks=[pytest.mark.nightly, pytest.mark.servers]) for name in SHARED_STORES]


@pytest.mark.parametrize("store", ["memory", *OTHERS])
def test_every_store_keeps_every_promise(store: str, tmp_path: Path) -> None:
    with a_store(store, tmp_path) as url:
        finished = run(url)
    table = rows(finished.stdout)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert set(table) == CAPABILITIES | {"together"}
    assert all(passed > 0 and failed == 0 for passed, failed in table.values())


def test_the_driver_of_the_page_keeps_every_promise(tmp_path: Path) -> None:
    finished = run(f"rome+sqlitestore:///{tmp_path}/trial", beside=package(tmp_path))
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert set(rows(finished.stdout)) == CAPABILITIES | {"together"}
    assert list(tmp_path.glob("trial*")) == []


def test_a_driver_that_breaks_a_promise_is_told_which(tmp_path: Path) -> None:
    text = "SELECT key, value, version FROM cells WHERE key >= ? AND key < ?"
    beside = package(tmp_path, planted=(text, text.replace("key < ?", "key <= ?")))
    url = f"rome+sqlitestore:///{tmp_path}/trial"
    finished = run(url, "-k", "test_a_scan_includes_its_start_and_excludes_its_stop", beside=beside)
    assert finished.returncode == 1
    assert rows(finished.stdout)["together"] == (0, 1)
    told = finished.stdout.split("failures", 1)[1]
    assert "a scan includes its start and excludes its stop" in told and "assert [b'b', b'b\\x00', b'c']" in told


def test_a_golden_script_that_says_otherwise_is_told_by_its_line() -> None:
    script = "CREATE TABLE t (n INTEGER);\n\n== one\nSELECT 1;\n| Project 2\n= waves=0 keys=0\n> (1,)\n"
    told = golden.first_difference(script, golden.replay(script, "rome+memory://"))
    assert told.startswith("line 5, one: recorded '| Project 2', but now it is '| Project 1")


def test_the_store_that_is_named_is_left_alone(tmp_path: Path) -> None:
    url = f"rome+lmdb:///{tmp_path}/precious"
    driver = open_store(parse(url))
    driver.commit((), [(b"a", b"1")])
    finished = run(url, "-k", "test_any_bytes_are_a_value")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert driver.read([b"a"]).cells[0] is not None
    driver.close()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_store_that_holds_anything_is_not_used() -> None:
    driver = open_store(parse("rome+memory://"))
    conformance.check_empty(driver)
    driver.commit((), [(b"a", b"1")])
    with pytest.raises(pytest.exit.Exception, match="holds data"):
        conformance.check_empty(driver)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rome+memroy://"], "did you mean rome+memory?"),
        (["rome+redis://localhost:1/trial"], "the server cannot be reached"),
        (["rome+memory://", "-k", "no_such_test"], "no test has such a name"),
    ],
    ids=["bad URL", "no server", "no test"],
)
def test_what_cannot_be_run_is_one_clear_error(arguments: list[str], words: str) -> None:
    finished = run(*arguments)
    assert finished.returncode > 1
    assert words in finished.stdout + finished.stderr
    assert "Traceback" not in finished.stdout + finished.stderr


def test_pytest_runs_the_suites_too() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "rome.testing.plugin", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--pyargs", "rome.testing", "--rome-url", "rome+memory://", "-k", "test_any_bytes_are_a_value"]
    finished = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT / "lib")}, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert rows(finished.stdout) == {"driver: cells, scans, commits, counters": (1, 0), "together": (1, 0)}
