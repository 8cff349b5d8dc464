"""Every golden script says the same on every store: the same plans, waves, keys and rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rome.sql.aggregates import AGGREGATES
from rome.sql.functions import FUNCTIONS
from rome.sql.window_functions import WINDOW_FUNCTIONS
from rome.testing import golden

OPERATORS = (
    "+", "-", "*", "/", "%", "||", "&", "|", "^", "~", "<<", ">>", "->", "->>",
    "=", "<>", "!=", "<", "<=", ">", ">=",
    "IS NULL", "IS NOT NULL", "IS DISTINCT FROM", "IS NOT DISTINCT FROM", "IS TRUE", "IS NOT TRUE", "IS FALSE",
    "IS NOT FALSE", "AND", "OR", "NOT", "BETWEEN", "NOT BETWEEN", "IN", "NOT IN", "EXISTS", "LIKE", "NOT LIKE", "ILIKE",
    "NOT ILIKE", "ESCAPE", "REGEXP", "NOT REGEXP", "RLIKE", "CASE", "CAST",
)  # fmt: skip


@pytest.mark.parametrize("store", ["memory", "lmdb"])
@pytest.mark.parametrize("script", golden.SCRIPTS, ids=lambda path: path.stem)
def test_a_golden_script_still_says_what_happens(script: Path, store: str, tmp_path: Path) -> None:
    url = "rome+memory://" if store == "memory" else f"rome+lmdb:///{tmp_path / 'store'}?sync=none"
    golden.check(script, url)


def test_a_script_that_says_otherwise_is_noticed() -> None:
    script = "CREATE TABLE t (n INTEGER);\n\n== one\nSELECT 1;\n| Project 2\n= waves=0 keys=0\n> (1,)\n"
    assert golden.replay(script, "rome+memory://") != script


def test_all_scripts_are_among_those_that_are_run() -> None:
    root = Path(__file__).resolve().parents[2]
    strays = [path for folder in ("lib", "tests", "docs") for path in (root / folder).rglob("*.golden")]
    assert sorted(path for path in strays if "anomalies" not in path.parts) == golden.SCRIPTS


def test_every_function_has_a_script() -> None:
    said = _statements()
    names = [*FUNCTIONS, *AGGREGATES, *WINDOW_FUNCTIONS]
    called = {name.lower() for name in re.findall(r"\b(\w+)\(", said)} | {"->", "->>", "||"}
    bare = {"current_timestamp", "current_date", "current_time", "localtime", "localtimestamp"}  # they take no brackets
    called |= {name for name in bare if re.search(rf"\b{name}\b", said, re.IGNORECASE)}
    assert [name for name in names if name not in called] == []


def test_every_operator_has_a_script() -> None:
    said = f" {' '.join(re.sub('[(),]', ' ', _statements()).split())} "
    signs = {each for each in "+-~" if re.search(rf" [{each}]\w", said)}
    assert [each for each in OPERATORS if f" {each} " not in said and each not in signs] == []


def _statements() -> str:
    """The text of all cases that give rows: what is only refused proves nothing."""
    chosen = []
    for script in golden.SCRIPTS:
        for case in script.read_text(encoding="utf-8").split("\n== ")[1:]:
            _, _, rest = case.partition("\n")
            statement = rest.split("\n|")[0].split("\n=")[0].split("\n!")[0]
            if "\n! " not in rest:
                chosen.append(re.sub(r"'[^']*'", "''", statement))
    return "\n".join(chosen)
