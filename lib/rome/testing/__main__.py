"""`python -m rome.testing URL`: the conformance suites against a store."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

try:
    import hypothesis  # noqa: F401 - the suites need it; better said now than for each of them
    import pytest
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
except ModuleNotFoundError as error:
    sys.exit(f"python -m rome.testing: the package {error.name!r} is not installed: pip install 'rome[conformance]'")

from rome.testing import plugin

HERE = Path(__file__).parent


class Bar:
    """A pytest plugin that shows how far the run is, and what fails at once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._progress.add_task("collecting", total=None)
        self._capabilities: dict[str, str] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not session.items:
            self._console.print("no test has such a name")
        self._capabilities = {item.nodeid: plugin.capability_of(item) for item in session.items}
        self._progress.update(self._task, total=len(session.items))
        self._progress.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._progress.update(self._task, description=self._capabilities[nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            name = report.nodeid.rpartition("::")[2]
            self._progress.print(f"failed: {name}", markup=False, soft_wrap=True)
        if report.when == "teardown":
            self._progress.advance(self._task)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._progress.stop()

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self._progress.stop()
        self._console.print(str(excinfo.value) or "stopped", markup=False, soft_wrap=True)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._console.print(report.longreprtext, markup=False)


def main(arguments: list[str] | None = None) -> int:
    """Run the suites and print the tables; 0 if every test passed, 1 if one failed, more if they could not be run."""
    parser = argparse.ArgumentParser(
        prog="python -m rome.testing",
        description="Run ROME's conformance suites (driver, transactions, locks, SQL, ORM) against a store. Every test "
        "makes a store of its own beside the one that the URL names, and removes it; the one that is named is not "
        "touched.",
    )
    parser.add_argument("url", metavar="URL", help="for example rome+lmdb:////tmp/trial or rome+redis://host/trial")
    parser.add_argument("-k", metavar="EXPRESSION", help="only the tests whose names match, as pytest's -k")
    parser.add_argument("-x", action="store_true", help="stop at the first failure")
    parser.add_argument("-v", action="store_true", help="pytest's own report, with the place of every failure")
    given = parser.parse_args(arguments)
    console = Console(highlight=False, stderr=True)
    wanted = [str(HERE), "--rootdir", str(HERE), "-c", os.devnull, "-p", "no:cacheprovider"]
    wanted += ["-p", plugin.__name__, f"{plugin.OPTION}={given.url}"]
    wanted += ["-k", given.k] if given.k else []
    wanted += ["-x"] if given.x else []
    plugins: list[object] = []
    if given.v:
        wanted.append("-v")
    else:
        wanted += ["-p", "no:terminal"]
        plugins.append(Bar(console))
    return int(pytest.main(wanted, plugins))


if __name__ == "__main__":
    sys.exit(main())
