"""docs/drivers.md says what the code does: its bytes, its options, its traits."""

from __future__ import annotations

import re
from pathlib import Path

import lmdb

from rome.config import SCHEMES, parse
from rome.driver.api import Driver, Patience
from rome.driver.lmdb import FORMAT, LmdbDriver
from rome.driver.open import open_store

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "drivers.md").read_text()


def rows_after(mark: str) -> list[list[str]]:
    """The cells of the table that follows `mark`, its two heading lines left out."""
    table = PAGE.split(mark, 1)[1].lstrip().split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def bytes_of(cell: str) -> bytes:
    """The bytes that a cell such as `02` 500 × `6b` `00` shows."""
    return b"".join(
        bytes.fromhex(digits) * int(times or 1) for times, digits in re.findall(r"(?:(\d+) × )?`([0-9a-f]*)`", cell)
    )


def test_the_bytes_of_the_example_are_those_in_the_file(tmp_path: Path) -> None:
    driver = open_store(parse(f"rome+lmdb:///{tmp_path}/store"))
    driver.commit((), [(b"a", b"1"), (600 * b"k", b"v")])
    driver.increment(b"c", 5)
    driver.close()
    with lmdb.open(str(tmp_path / "store"), readonly=True) as env, env.begin() as txn:
        found = list(txn.cursor())
    assert [(bytes_of(key), bytes_of(value)) for key, value in rows_after("<!-- vectors: lmdb -->")] == found


def test_the_bytes_of_a_lock_are_those_in_the_file(tmp_path: Path) -> None:
    driver = LmdbDriver(str(tmp_path / "store"), clock=lambda: 1_000_000_000)
    driver.lock(b"s" * 16, [b"x"], 1000, Patience.WAIT, b"me")
    driver.lock(b"w" * 16, [b"x"], 1000, Patience.WAIT)
    driver.close()
    with lmdb.open(str(tmp_path / "store"), readonly=True) as env, env.begin() as txn:
        found = [(key, value) for key, value in txn.cursor() if key[:1] > b"\3" or key == b"\0tokens"]
    assert [(bytes_of(key), bytes_of(value)) for key, value in rows_after("<!-- vectors: lmdb locks -->")] == found


def test_the_options_in_the_page_are_those_of_the_urls() -> None:
    rows = rows_after("a password is never repeated.")
    defaults = {row[0].strip("`"): row[2].strip("`") for row in rows if row[1] == "lmdb"}
    assert {name: SCHEMES["lmdb"][name].read(text) for name, text in defaults.items()} == {
        name: option.default for name, option in SCHEMES["lmdb"].items()
    }


def test_the_traits_in_the_page_are_those_of_the_drivers(tmp_path: Path) -> None:
    drivers: list[Driver] = [
        open_store(parse("rome+memory://")),
        open_store(parse(f"rome+lmdb:///{tmp_path}/store")),
    ]
    units = {"bytes": 1, "MiB": 1 << 20, "ms": 1}

    def value(cell: str) -> object:
        number = re.match(r"([\d,]+) (\w+)", cell)
        if number:
            return int(number[1].replace(",", "")) * units[number[2]]
        return {"store": "store", "yes": True, "no": False}[cell.split(",")[0]]

    shown = [[value(cell) for cell in row[1:3]] for row in rows_after("no one asks a driver for its name.")]
    names = ("snapshots", "durable", "shared", "remote", "max_key_bytes", "max_value_bytes", "max_commit_bytes")
    names += ("min_ttl_ms",)
    told = [[driver.traits.scope.value for driver in drivers]]
    told += [[getattr(driver.traits, name) for driver in drivers] for name in names]
    assert shown == told
    for driver in drivers:
        driver.close()


def test_figures_that_the_page_repeats_are_those_of_the_code() -> None:
    assert f"`{FORMAT}`" in PAGE
