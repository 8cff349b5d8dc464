"""docs/sql.md says what is read, and no more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rome.sql.parse import datatypes, parse, words

PAGE = (Path(__file__).parents[3] / "docs" / "sql.md").read_text()
BLOCKS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [text for block in BLOCKS for text in block.split(";\n") if text]


@pytest.mark.parametrize("sql", EXAMPLES)
def test_an_example_is_read(sql: str) -> None:
    assert parse(sql)


def test_the_page_lists_the_reserved_words() -> None:
    quoted = " ".join(re.findall(r"^> (.*)$", PAGE, re.MULTILINE))
    assert quoted.split() == sorted(words.RESERVED)


def test_the_page_lists_the_types() -> None:
    table = PAGE.split("| types | |\n|---|---|\n")[1].split("\n\n")[0]
    cells = [row[2:].split(" |")[0] for row in table.splitlines()]
    named = {name for cell in cells for name in re.sub(r"\(.*?\)", "", cell).split(", ")}
    assert named | {"CHARACTER"} == set(datatypes.NAMES)
