"""Golden scripts: SQL, its plan, what it costs and its rows, in files that people read and `git diff` shows.

A script is a text file. It begins with the statements that set its tables up, each ended by `;`. A line `== title`
begins a case: one statement ended by `;`, then, optionally, a line `with {"name": value}` of parameters in JSON.
What follows is written by `replay` and compared:

    | a line of the plan (EXPLAIN)                 not for definitions
    = waves=1 keys=3                               round trips that read, and cells that came back
    > ('a row', 1)                                 or  = 2 rows matched   or  = done
    ! [42703] an error, as the application sees it

The guard's cell (the catalogue's version) is read in the first wave of each transaction and counts as a key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from rome import config, dbapi
from rome.config import StoreURL
from rome.database import Database, open_database

REWRITE_VARIABLE = "GOLDEN"
SCRIPTS = sorted(Path(__file__).with_name("scripts").glob("*.golden"))


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a script: its title, its statement and its parameters."""

    title: str
    sql: str
    parameters: dict[str, object]


def check(path: Path, url: str | StoreURL) -> None:
    """Run the script at `path` on a fresh store at `url`; AssertionError when it no longer says what happens.

    With GOLDEN=write in the environment the file is rewritten instead, for a reviewer to read the difference.
    """
    recorded = path.read_text(encoding="utf-8")
    happened = replay(recorded, url)
    if os.environ.get(REWRITE_VARIABLE) == "write":
        path.write_text(happened, encoding="utf-8")
        return
    assert recorded == happened, first_difference(recorded, happened)


def first_difference(recorded: str, happened: str) -> str:
    """Where two scripts part, in words; "" if they do not."""
    title = "the set-up"
    for number, (was, now) in enumerate(zip_longest(recorded.splitlines(), happened.splitlines()), 1):
        if was != now:
            return f"line {number}, {title}: recorded {was!r}, but now it is {now!r}"
        title = now.removeprefix("== ") if now.startswith("== ") else title
    return ""


def replay(script: str, url: str | StoreURL) -> str:
    """The script as it would be recorded now, on the store at `url`."""
    setup, cases = parse(script)
    store = url if isinstance(url, StoreURL) else config.parse(url)
    database = open_database(store)
    connection = dbapi.connect(store, isolation_level="AUTOCOMMIT")
    try:
        cursor = connection.cursor()
        for sql in setup:
            cursor.execute(sql)
        text = "".join(f"{sql};\n" for sql in setup)
        for case in cases:
            text += f"\n== {case.title}\n{case.sql};\n"
            if case.parameters:
                text += f"with {json.dumps(case.parameters)}\n"
            text += "".join(f"{line}\n" for line in _outcome(connection, database, case))
        return text
    finally:
        connection.close()
        database.release()


def parse(script: str) -> tuple[list[str], list[Case]]:
    """The set-up statements and the cases of a script; what was recorded is left out."""
    head, *parts = script.split("\n== ")
    setup = [statement.strip() for statement in head.split(";\n") if statement.strip()]
    return [statement.removesuffix(";") for statement in setup], [_case(part) for part in parts]


def _case(part: str) -> Case:
    title, _, rest = part.partition("\n")
    sql, _, recorded = rest.partition(";\n")
    first = recorded.split("\n", 1)[0]
    parameters = json.loads(first.removeprefix("with ")) if first.startswith("with ") else {}
    return Case(title, sql, parameters)


def _outcome(connection: dbapi.Connection, database: Database, case: Case) -> Iterator[str]:
    cursor = connection.cursor()
    if case.sql.split(None, 1)[0].upper() in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "VALUES", "("):
        with suppress(dbapi.Error):  # the statement itself will say it, with the right place
            cursor.execute(f"EXPLAIN {case.sql}", case.parameters)
            yield from (f"| {row[0]}" for row in cursor.fetchall())
    try:
        before = database.counters
        cursor.execute(case.sql, case.parameters)
        after = database.counters
    except dbapi.Error as error:
        yield from (f"! {line}".rstrip() for line in str(error).split("\n"))
        return
    yield f"= waves={after.waves - before.waves} keys={after.keys - before.keys}"
    if cursor.description is not None:
        yield from (f"> {row!r}" for row in cursor.fetchall())
    else:
        yield f"= {cursor.rowcount} rows" if cursor.rowcount >= 0 else "= done"
