"""docs/functions.md is written from the tables of functions; `GOLDEN=write` writes it anew."""

from __future__ import annotations

import os
from datetime import date, datetime, time
from pathlib import Path

from rome.sql import literals
from rome.sql.aggregates import AGGREGATES
from rome.sql.functions import FUNCTIONS, UNLIMITED, Function
from rome.sql.functions import __doc__ as functions_doc
from rome.sql.window_functions import WINDOW_FUNCTIONS

PAGE = Path(__file__).parents[3] / "docs" / "functions.md"

HEAD = """\
# Functions

Every function that ROME's SQL knows. This page is written from the tables in `rome.sql.functions`,
`rome.sql.aggregates` and `rome.sql.window_functions` (`GOLDEN=write pytest tests/sql/expr/test_functions_page.py`), and
a test compares it with them.
"""

NOTES = """\
## Where databases differ

| question | ROME | like |
|---|---|---|
| `7 / 2` between integers | 3: cut toward zero; `%` has the sign of the dividend | SQLite, PostgreSQL |
| division by zero, an integer beyond 64 bits | an error, 22012 and 22003 | PostgreSQL |
| `CAST(2.9 AS INTEGER)` | 2: cut toward zero; to NUMERIC(p, s) halves are rounded away from zero | SQLite |
| `CAST('12a' AS INTEGER)` | an error, 22018 | PostgreSQL |
| a number beside a string | an error; a parameter is taken when it is such a number and nothing else | PostgreSQL |
| DECIMAL beside FLOAT | computed and compared as FLOAT: DECIMAL 0.1 = FLOAT 0.1 | PostgreSQL, MySQL |
| a quotient of DECIMALs | 38 significant digits; sums and products are exact | |
| `LIKE` | case matters; no escape character without ESCAPE | standard |
| `ILIKE` | both sides in lower case | PostgreSQL |
| strings | compared by code point; trailing spaces count | SQLite |
| `greatest`, `least` of a NULL | NULL | SQLite, MySQL |
| `concat` of a NULL | left out | PostgreSQL |
| `avg` of integers | FLOAT | SQLite |
| `log(x)` | to base 10 | SQLite, PostgreSQL |
| JSON | a text, kept to the digit; equal when the texts are; of members with one name the last counts | PostgreSQL |
| `->>`, `json_extract` | a text, also of a number or of `true`: CAST it to compute or to order | PostgreSQL, MySQL |
| `DATE - DATE` | days, an integer; DATETIME - DATETIME is an INTERVAL | PostgreSQL |
"""


def shown(value: object) -> str:
    """A value as SQL writes it."""
    if value is None:
        return "NULL"
    for class_, word in ((datetime, "TIMESTAMP "), (date, "DATE "), (time, "TIME ")):
        if isinstance(value, class_):
            return f"{word}'{literals.write(value)}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return literals.write(value)


def example(function: Function) -> str:
    if function.example is None:
        return f"`{function.name}()`"
    arguments, result = function.example
    texts = [shown(argument) for argument in arguments]
    if function.name in ("||", "->", "->>"):
        call = f" {function.name} ".join(texts)
    elif function.name == "extract":
        call = f"extract({arguments[0]} FROM {texts[1]})"
    elif function.name == "position":
        call = f"position({texts[0]} IN {texts[1]})"
    else:
        call = f"{function.name}({', '.join(texts)})"
    return cell(f"`{call}` is `{shown(result)}`")


def counts(function: Function) -> str:
    if function.maximum == UNLIMITED:
        return f"{function.minimum}…"
    if function.minimum == function.maximum:
        return str(function.minimum)
    return f"{function.minimum}–{function.maximum}"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def page() -> str:
    lines = [HEAD, functions_doc.split("\n\n", 1)[1].strip(), "", "## Scalar functions", ""]
    lines += ["| function | arguments | what it gives | example |", "|---|---|---|---|"]
    for name, function in FUNCTIONS.items():
        null_safe = " Not NULL for every NULL." if function.null_safe else ""
        volatility = f" {function.volatility.capitalize()}." if function.volatility != "immutable" else ""
        what = cell(f"{function.doc}{null_safe}{volatility}")
        lines.append(f"| `{cell(name)}` | {counts(function)} | {what} | {example(function)} |")
    lines += ["", "## Aggregate functions", "", "| function | of | what it gives |", "|---|---|---|"]
    for name, aggregate in AGGREGATES.items():
        lines.append(f"| `{name}` | {aggregate.what} | {aggregate.doc} |")
    lines += ["", "NULLs are left out, `DISTINCT` and `FILTER (WHERE …)` are taken by all. Of no values an aggregate"]
    lines += ["is NULL, but `count` is 0, `total` 0.0, and JSON empty. A sum of floats does not depend on the order of"]
    lines += ["the rows."]
    lines += ["", "## Window functions", "", "| function | arguments | what it gives |", "|---|---|---|"]
    for name, window in WINDOW_FUNCTIONS.items():
        counted = f"{window.minimum}–{window.maximum}" if window.minimum < window.maximum else str(window.minimum)
        lines.append(f"| `{name}` | {counted} | {window.doc} |")
    lines += ["", "They take `OVER (…)` and neither `DISTINCT` nor `FILTER`. Every aggregate takes `OVER`, too, and"]
    lines += ["then `FILTER` but not `DISTINCT`. See [windows](sql.md#windows)."]
    lines += ["", NOTES]
    return "\n".join(lines)


def test_the_page_of_functions_says_what_the_tables_say() -> None:
    text = page()
    if os.environ.get("GOLDEN") == "write":
        PAGE.write_text(text)
    assert PAGE.read_text() == text
