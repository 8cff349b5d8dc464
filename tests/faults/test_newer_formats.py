"""A namespace that a newer ROME has written, or taken over, is refused on every store, also by a service at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.open import open_store
from rome.table import keycode
from rome.table.catalog import FORMAT
from rome.table.keys import Keys
from rome.testing.integrity import check
from tests.faults.bank import open_bank
from tests.faults.trouble import UNUSABLE, Case, Situation, Trouble, check_opening, check_work
from tests.servers.stores import a_store, marked

NEWER = FORMAT + 1


def a_newer_namespace(store: str) -> Situation:
    """On `store`: a newer ROME writes the number of its format behind the catalogue's version."""

    @contextmanager
    def situation(directory: Path) -> Iterator[Trouble]:
        with a_store(store, directory) as url:
            open_bank(url)
            driver = open_store(parse(url))
            keys = Keys("")

            def rewrite(*format_: int) -> None:
                (cell,) = driver.read([keys.catalog_version]).cells
                assert cell is not None
                version = keycode.encode((keycode.decode(cell.value)[0], *format_))
                table = b"a table as this ROME does not know it" if format_ else None
                driver.commit((), [(keys.catalog_version, version), (keys.table_cell(999), table)])

            yield Trouble(url, lambda: rewrite(NEWER), rewrite)
            driver.close()

    return situation


def case(store: str) -> Case:
    named = (f"format {NEWER}", f"format {FORMAT}", "use the ROME that wrote it")
    return Case(a_newer_namespace(store), UNUSABLE, "", named)


@pytest.mark.parametrize("store", marked())
def test_a_service_that_starts_refuses_a_newer_namespace(store: str, tmp_path: Path) -> None:
    check_opening(case(store), tmp_path)


@pytest.mark.parametrize("store", marked())
def test_a_service_at_work_refuses_a_namespace_that_became_newer_and_writes_nothing(store: str, tmp_path: Path) -> None:
    check_work(case(store), tmp_path)


@pytest.mark.parametrize("store", marked())
def test_the_check_of_a_store_says_so_too(store: str, tmp_path: Path) -> None:
    with a_newer_namespace(store)(tmp_path) as trouble:
        trouble.begin()
        driver = open_store(parse(trouble.url))
        (problem,) = check(driver, "")
        assert f"format {NEWER}" in problem
        driver.close()
