"""What the conformance suites run on, and the table that they end with.

Every test gets a store of its own, made beside the one that `--rome-url` names: the same server or directory, another
name. A store that holds anything is never used, so a URL that leads to data does it no harm.
"""

from __future__ import annotations

import glob
import itertools
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.engine import make_url

from rome.config import StoreURL, parse
from rome.driver.api import Driver, Scan
from rome.driver.open import open_store
from rome.errors import Error
from rome.testing.driver_life import EVERYTHING
from rome.testing.plugin import OPTION, capability_of

REPORT_COLUMNS = 160  # where no terminal says how wide it is


class Stores:
    """Stores beside the one at `url`, each used once: `name-run-number` where that one is `name`."""

    def __init__(self, url: str, draw: Callable[[int], str] = secrets.token_hex) -> None:
        """`draw` gives the name of the run, which sets its stores apart from those of any other."""
        parse(url)
        self._url = make_url(url)
        self._run = draw(4)
        self._numbers = itertools.count(1)

    def fresh(self) -> str:
        """The URL of a store that is not there yet."""
        place = self._url.database
        beside = self._url.set(database=f"{place}-{self._run}-{next(self._numbers)}") if place else self._url
        return beside.render_as_string(hide_password=False)

    def remove_files(self) -> None:
        """Remove the files and directories of this run's stores, if that is what they are."""
        place = self._url.database
        if place and not self._url.host:
            for path in glob.glob(f"{glob.escape(place)}-{self._run}-*"):
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def check_empty(driver: Driver) -> None:
    """End the run if the store holds a cell: it is someone's."""
    reading = driver.read((), [Scan(*EVERYTHING, 1)])
    driver.release(reading.view)
    if reading.scans[0]:
        pytest.exit("a store that the tests were to make is there already and holds data: nothing was written", 2)


def a_fresh_one(stores: Stores) -> StoreURL:
    """The URL of a store that was looked at and is empty."""
    url = parse(stores.fresh())
    driver = open_store(url)
    check_empty(driver)
    driver.close()
    return url


def empty(url: StoreURL) -> None:
    """Remove every cell and counter; on a server a few keys that hold no data stay."""
    driver = open_store(url)
    driver.clear(b"")
    driver.close()


@pytest.fixture(scope="session")
def rome_stores(pytestconfig: pytest.Config) -> Iterator[Stores]:
    stores = Stores(pytestconfig.getoption(OPTION))
    try:
        empty(a_fresh_one(stores))
    except Error as error:  # one error says it better than the same one from every test
        pytest.exit(f"{OPTION}: {error}", 2)
    yield stores
    stores.remove_files()


@pytest.fixture
def rome_url(rome_stores: Stores) -> Iterator[StoreURL]:
    """A store of this test's own, empty."""
    url = a_fresh_one(rome_stores)
    yield url
    empty(url)


@dataclass
class Outcome:
    """What came of the tests of one capability so far."""

    passed: int = 0
    failed: int = 0
    seconds: float = 0.0


class Outcomes:
    """The results of a run, told capability by capability, and of each failure the first thing that was different."""

    def __init__(self) -> None:
        self.of: dict[str, Outcome] = {}
        self.differences: list[tuple[str, str, str]] = []  # capability, test, what was different
        self._failed: set[str] = set()

    def add(self, capability: str, report: pytest.TestReport) -> None:
        outcome = self.of.setdefault(capability, Outcome())
        outcome.seconds += report.duration
        if report.failed and report.nodeid not in self._failed:
            self._failed.add(report.nodeid)
            outcome.failed += 1
            test = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
            self.differences.append((capability, test, difference(report)))
        elif report.when == "call" and report.passed:
            outcome.passed += 1

    def tables(self) -> Iterator[Table]:
        table = Table("capability", "passed", "failed", "s", title="conformance", title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for capability, outcome in self.of.items():
            failed = f"[red]{outcome.failed}[/red]" if outcome.failed else "0"
            table.add_row(capability, str(outcome.passed), failed, f"{outcome.seconds:.1f}")
        outcomes = self.of.values()
        table.add_section()
        sums = [sum(each.passed for each in outcomes), sum(each.failed for each in outcomes)]
        table.add_row("together", *map(str, sums), f"{sum(each.seconds for each in outcomes):.1f}")
        yield table
        if self.differences:
            differences = Table("capability", "test", "first difference", title="failures", title_justify="left")
            for difference in self.differences:
                differences.add_row(*map(escape, difference))
            yield differences


def difference(report: pytest.TestReport) -> str:
    """What `report`, of a failure, says was different: the error's first line that says something."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = report.longreprtext if crash is None else crash.message
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "no reason was given"


def pytest_configure(config: pytest.Config) -> None:
    try:
        parse(config.getoption(OPTION))
    except Error as error:
        raise pytest.UsageError(f"{OPTION}: {error}") from None
    config.pluginmanager.register(Reporter(), "rome-conformance-table")


class Reporter:
    """Collects what happens and prints the tables when all is over."""

    def __init__(self) -> None:
        self.outcomes = Outcomes()
        self._capabilities: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._capabilities = {item.nodeid: capability_of(item) for item in items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.outcomes.add(self._capabilities[report.nodeid], report)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if self.outcomes.of:
            console = Console(highlight=False)
            if not console.is_terminal:
                console.width = REPORT_COLUMNS
            console.print()
            for table in self.outcomes.tables():
                console.print(table)
