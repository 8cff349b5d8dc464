"""The pytest plugin of the conformance suites: `pytest --pyargs rome.testing --rome-url URL`.

pytest loads it wherever ROME is installed, so it imports nothing but pytest; what the suites need is imported when
`--rome-url` is given.
"""

from __future__ import annotations

import pytest

OPTION = "--rome-url"
SUITES = ("driver_suite", "driver_life", "txn_suite", "lock_suite", "lease_suite", "orm_suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("rome", "ROME's conformance suites")
    group.addoption(
        OPTION,
        metavar="URL",
        help="store to run `--pyargs rome.testing` on; the tests make stores of their own beside it",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(OPTION):
        pytest.register_assert_rewrite(*(f"rome.testing.{name}" for name in SUITES))  # a failure says what differed
        config.pluginmanager.import_plugin("rome.testing.conformance")


def capability_of(item: pytest.Item) -> str:
    """What the test is about, by the class that defines it; of a golden script, its name too."""
    parents = item.cls.__mro__ if isinstance(item, pytest.Function) and item.cls else ()
    name = getattr(item, "originalname", None) or item.name
    for parent in parents:
        if name in vars(parent):
            capability = str(getattr(parent, "capability", parent.__name__))
            script = item.callspec.params.get("script") if hasattr(item, "callspec") else None
            return f"{capability}: {script.stem}" if script else capability
    return item.name
