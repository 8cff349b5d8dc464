"""Every known difference between ROME and SQLite, by name, with its reason. The table may shrink; it must not grow.

Statements are made so that they meet none of these (`avoided` says how), and then everything must agree: rows, row
counts and refusals. One difference cannot be avoided and is recognised by what SQLite says. Each has a statement that
shows it, and a test that it is still so. SQLite's own defects have no such test: they depend on its version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST = 13  # lower it when a difference goes; never raise it

UNIQUE_FAILED = re.compile(r"UNIQUE constraint failed")


@dataclass(frozen=True)
class Difference:
    """`shown_by` is the statement that the two answer differently, over the table `demonstration` in the tests."""

    reason: str
    avoided: str
    shown_by: str


DIFFERENCES = {
    "division by zero": Difference(
        "SQLite gives NULL, ROME raises 22012",
        "divisors are constants other than 0",
        "SELECT n / 0 FROM d",
    ),
    "numbers beyond 64 bits": Difference(
        "SQLite goes on with floats, ROME raises 22003",
        "numbers stay small",
        "SELECT 9223372036854775807 + n FROM d WHERE n > 0",
    ),
    "mixed types": Difference(
        "SQLite compares anything with anything, ROME raises 42804",
        "both sides of an operator are of one type",
        "SELECT count(*) FROM d WHERE s > n",
    ),
    "texts that are no numbers": Difference(
        "SQLite takes the digits that 'abc' begins with, ROME raises 22018",
        "only what was a number is cast back to one",
        "SELECT CAST(s AS BIGINT) FROM d",
    ),
    "scalar queries of many rows": Difference(
        "SQLite takes the first row, ROME raises 21000",
        "a query used as a value has an aggregate or LIMIT 1",
        "SELECT (SELECT n FROM d)",
    ),
    "columns beside aggregates": Difference(
        "SQLite takes a value from some row, ROME raises 42803",
        "beside an aggregate stand aggregates and what is grouped by",
        "SELECT n, count(*) FROM d",
    ),
    "letters beyond ASCII": Difference(
        "SQLite's upper() and lower() do not know them",
        "the words have no letter that has a case beyond ASCII",
        "SELECT upper('é')",
    ),
    "NULL for a lone integer key": Difference(
        "ROME gives it the next number, SQLite does so for the type INTEGER alone",
        "no key is NULL",
        "INSERT INTO d (id, n, s) VALUES (NULL, 5, 'x')",
    ),
    "replace with nothing to replace": Difference(
        "SQLite gives the first text when the second is '', even beside a NULL",
        "the second text is never ''",
        "SELECT replace('a', '', NULL)",
    ),
    "hex of NULL": Difference(
        "'' in SQLite, NULL in ROME",
        "it is not asked",
        "SELECT hex(NULL)",
    ),
    "changes seen by the statement that makes them": Difference(
        "the subqueries of SQLite's UPDATE see the rows it has changed, ROME's see those before the statement",
        "SQLite is told the rows by a query of its own, and values come from other tables",
        "UPDATE d SET n = (SELECT max(e.n) FROM d AS e WHERE e.n < d.n + 100) + 1",
    ),
    "uniqueness in the middle of a statement": Difference(
        "SQLite checks each row as it is changed, ROME all rows as the statement leaves them",
        "recognised: an UPDATE that SQLite alone refuses",
        "UPDATE d SET id = id + 1",
    ),
    "the type of truth": Difference(
        "SQLite has 1 and 0, ROME has TRUE and FALSE, which have another text",
        "truth values are compared as numbers and never become text",
        "SELECT CAST(n > 1 AS VARCHAR(9)) FROM d",
    ),
}


SQLITE_DEFECTS = {
    "UNION ALL in a derived table": (
        "SQLite 3.40 merges it into a query with a LEFT JOIN and loses rows: a LIMIT -1 keeps it from doing so"
    ),
    "a row with a NULL in it IN a query": (
        "SQLite 3.40 says FALSE in place of NULL where an index has the query's columns: a LIMIT -1 keeps it from that"
    ),
    "RIGHT and FULL JOIN": "SQLite 3.40 finds no row where one side is empty, and older ones know neither: other words",
    "min and max with FILTER over a window": (
        "SQLite 3.40 takes the rows that FILTER leaves out, where the frame begins at the current row: no FILTER there"
    ),
}


def recognised(sql: str, sqlite_error: str, rome_error: str) -> bool:
    """Whether it is known that SQLite raised this error, and ROME none ("")."""
    return sql.startswith("UPDATE ") and not rome_error and UNIQUE_FAILED.search(sqlite_error) is not None
