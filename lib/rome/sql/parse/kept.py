"""The expressions that the catalogue keeps as text: which columns they name, and how they read under a new name."""

from __future__ import annotations

from functools import lru_cache

from sqlglot import exp

from rome.sql.parse.nesting import room_for
from rome.sql.parse.statements import DIALECT
from rome.sql.parse.words import RESERVED


@lru_cache(maxsize=1024)
def _columns(sql: str) -> tuple[tuple[str, int, int, bool], ...]:
    """Each column in `sql`, in order: its name, where its last part begins and ends, whether a table stands before."""
    text = f"SELECT {sql}"
    tokens = DIALECT.tokenize(text)
    with room_for(tokens):
        tree = DIALECT.parser().parse(tokens, text)[0]
    assert tree is not None  # the text was parsed when it was kept
    found = []
    for column in tree.find_all(exp.Column):
        name = column.this
        if isinstance(name, exp.Identifier):
            shift = len("SELECT ")
            start, end = name.meta["start"] - shift, name.meta["end"] + 1 - shift
            found.append((name.this, start, end, bool(column.args.get("table"))))
    return tuple(sorted(found, key=lambda each: each[1]))


def columns_of(sql: str) -> frozenset[str]:
    """The names of the columns that the expression `sql` speaks of, in lower case."""
    return frozenset(name.lower() for name, *_ in _columns(sql))


def has_qualified_names(sql: str) -> bool:
    """Whether the expression names a column as table.column."""
    return any(qualified for *_, qualified in _columns(sql))


def takes_numbers(sql: str) -> bool:
    """Whether NEXT VALUE FOR stands in the expression `sql`."""
    text = f"SELECT {sql}"
    tree = DIALECT.parser().parse(DIALECT.tokenize(text), text)[0]
    return tree is not None and tree.find(exp.NextValueFor) is not None


def rename_column(sql: str, name: str, new_name: str) -> str:
    """`sql` with every column called `name` called `new_name`, in quotes where it needs them; the rest as written."""
    written = new_name
    if not new_name.isidentifier() or new_name.upper() in RESERVED:
        written = '"' + new_name.replace('"', '""') + '"'
    for found, start, end, _ in reversed(_columns(sql)):
        if found.lower() == name.lower():
            sql = sql[:start] + written + sql[end:]
    return sql
