"""The order of statements that lets each anomaly happen, on every store, and which statement gets [40001].

A golden script in `anomalies/` has a section for the stores that keep snapshots and one for those that do not, because
that decides when a conflict is noticed: at the commit, or at the next read too. A statement is said by the connection
whose number stands before it; below it stands what that was told. GOLDEN=write rewrites the files, for a reviewer to
read the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rome import config
from rome.driver.open import open_store
from rome.errors import DatabaseError
from tests.servers.stores import a_store, marked
from tests.transactions.hermitage import ALL, RESET, SCRIPTS, make_table
from tests.transactions.speaker import Connect, ask, say, say_all

FOLDER = Path(__file__).with_name("anomalies")

TURNS = {
    "G0": "121122",
    "G1a": "12122",
    "G1b": "121122",
    "G1c": "121212",
    "OTV": "11213232333",
    "PMP": "12211",
    "PMP for a write": "122122",
    "P4": "121212",
    "G-single": "12222211",
    "G-single on predicates": "12211",
    "G-single with a write": "1222211",
    "G2-item": "11221212",
    "G2": "121212",
    "G2 through an index": "121212",
    "G2 with two edges": "1223311",
}
"""Whose statement comes next."""


@pytest.fixture(params=marked())
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with a_store(request.param, tmp_path) as url:
        yield url


def test_every_script_has_its_turns() -> None:
    assert TURNS.keys() == SCRIPTS.keys()
    for name, script in SCRIPTS.items():
        assert [TURNS[name].count(str(number)) for number in range(1, len(script) + 1)] == [*map(len, script)], name
    assert {path.stem for path in FOLDER.iterdir()} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_anomaly_does_not_happen_and_the_script_says_who_is_refused(url: str, connect: Connect, name: str) -> None:
    section = "with snapshots" if has_snapshots(url) else "without snapshots"
    happened = played(url, connect, name)
    path = FOLDER / f"{name}.golden"
    sections = read(path)
    if os.environ.get("GOLDEN") == "write":
        sections[section] = happened
        write(path, sections)
    assert sections[section] == happened, f"{path.name}: run with GOLDEN=write and read the difference"


def has_snapshots(url: str) -> bool:
    driver = open_store(config.parse(url))
    driver.close()
    return driver.traits.snapshots


def played(url: str, connect: Connect, name: str) -> str:
    """Each statement in its turn with what it was told, and the rows in the end."""
    script = SCRIPTS[name]
    connections = [connect(url) for _ in script]
    make_table(connections[0], indexed=True)
    say_all(connections[0], *RESET)
    ahead = [iter(transaction) for transaction in script]
    lines = []
    refused: set[int] = set()
    for turn in TURNS[name]:
        number = int(turn) - 1
        sql = next(ahead[number])
        if number in refused:
            continue
        lines.append(f"{turn}: {sql}")
        try:
            answer = say(connections[number], sql)
        except DatabaseError as error:
            lines.append(f"   ! {error}")
            connections[number].rollback()
            refused.add(number)
        else:
            if sql not in ("COMMIT", "ROLLBACK"):
                lines.append(f"   > {answer}")
    lines.append(f"in the end {ask(connections[0], ALL)}")
    return "\n".join(lines)


def read(path: Path) -> dict[str, str]:
    """The sections of a golden script, by their titles."""
    if not path.exists():
        return {}
    parts = path.read_text().split("== ")[1:]
    return {title: body.strip("\n") for title, _, body in (part.partition("\n") for part in parts)}


def write(path: Path, sections: dict[str, str]) -> None:
    path.write_text("\n".join(f"== {title}\n{body}\n" for title, body in sorted(sections.items())))
