"""Runs SQLAlchemy's own test suites on ROME, unmodified, each in a process of its own.

By hand, one class of the compliance suite, on the SQLAlchemy that is installed:

    cd tests/compliance/inside
    PYTHONPATH=../../../lib:../../.. python -m pytest -p tests.compliance.inside.plugin -c setup.cfg -p no:warnings \
        --dburi rome+memory:///suite compliance_suite.py -k JSONTest

and on 2.0.52, which `make test` lays beside it: PYTHONPATH=<environment>/sqlalchemy-2.0.52:../../../lib:../../..
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.junit import REPOSITORY, Outcome, read_report, run_apart

INSIDE = REPOSITORY / "tests" / "compliance" / "inside"
OLDEST = "2.0.52"
OLDEST_SQLALCHEMY = Path(sys.prefix) / f"sqlalchemy-{OLDEST}"
SOURCE = Path(sys.prefix) / "source" / "sqlalchemy-2.1.9"
PLUGIN = "tests.compliance.inside.plugin"
SUITE = INSIDE / "compliance_suite.py"

_DATABASE = re.compile(r"_rome\+\w+?_\d[\d_]*$")
_CLEAR = re.compile(r"^(PYTEST_|SQLALCHEMY_)")


def run_compliance_suite(url: str, directory: Path, *, sqlalchemy: Path | None, timeout_s: int) -> Outcome:
    """The compliance suite on the store at `url`, a test named `Class::test`.

    `directory` is an empty one. `sqlalchemy` is a directory with SQLAlchemy's package in it; None is the installed one.
    """
    first = [sqlalchemy] if sqlalchemy else []
    return _run(["-c", str(INSIDE / "setup.cfg"), "-p", PLUGIN, str(SUITE)], url, directory, first, timeout_s)


def run_backend_tests(part: str, url: str, directory: Path, *, timeout_s: int) -> Outcome:
    """SQLAlchemy's own tests for databases in test/`part` of its source distribution, a test named `Class::test`."""
    settings = INSIDE / "backend"
    arguments = ["-c", str(settings / "setup.cfg"), "--rootdir", str(settings), "--backend-only"]
    return _run([*arguments, str(SOURCE / "test" / part)], url, directory, [SOURCE], timeout_s)


def _run(arguments: Sequence[str], url: str, directory: Path, first_on_path: Sequence[Path], timeout_s: int) -> Outcome:
    report = directory / "report.xml"
    command = [
        sys.executable, "-s", "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:warnings", "-q", "--tb=short",
        f"--junitxml={report}", "--dburi", url, *arguments,
    ]  # fmt: skip
    output = run_apart(
        command,
        directory,
        clear=_CLEAR,
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        first_on_path=first_on_path,
        timeout_s=timeout_s,
    )
    return read_report(report, output, _in_class)


def _in_class(module: str, class_name: str, test: str) -> str:
    """`Class::test`, without the name of the database that SQLAlchemy adds to the class."""
    return f"{_DATABASE.sub('', class_name)}::{test}"


def exceptions(page: str, *tables: str) -> dict[str, str]:
    """The tests that are known to fail, with their reasons: the `tables` of the TOML file `page` of this directory."""
    listed = tomllib.loads((Path(__file__).parent / page).read_text())
    return {name: reason for table in tables for name, reason in listed[table].items()}


def unexpected(outcome: Outcome, listed: Mapping[str, str]) -> str:
    """What `listed` does not say of the outcome, both ways; empty when all is as listed.

    A name without the parameters in brackets stands for all cases of a test.
    """

    def on_the_list(name: str) -> str | None:
        return next((each for each in (name, name.partition("[")[0]) if each in listed), None)

    failed = {name: on_the_list(name) for name in outcome.failed}
    lines = [f"{name} failed:\n{outcome.failed[name]}\n" for name in sorted(failed) if not failed[name]]
    lines += [f"{name} is listed and passed" for name in sorted(outcome.passed) if on_the_list(name)]
    lines += [f"{name} is listed and did not run" for name in listed if name not in failed.values()]
    return "\n".join(lines) if outcome.total else outcome.output[-4000:]
