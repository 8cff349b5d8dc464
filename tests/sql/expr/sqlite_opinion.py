"""The second opinion on expressions: the same expression as SQL text, computed by sqlite3 of the standard library."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from rome.sql import bound
from rome.sql.expr import Bindings
from rome.values import BOOLEAN, Kind

NOW = datetime(2024, 2, 29, 12, 30, 15, 123456)


def bindings(*slots: object, outer: dict[int, object] | None = None) -> Bindings:
    """Bindings at a fixed time, with a random number that is always a quarter."""
    return Bindings(list(slots), NOW, lambda: 0.25, outer or {})


def sql_literal(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(int(value) if isinstance(value, bool) else value)


def sql_of(node: bound.Expr, slots: Sequence[object] = (), outer: dict[int, object] | None = None) -> str:
    """`node` in SQLite's SQL; column n is written cn, and slots and outer columns are written as their values."""

    def text(part: bound.Expr) -> str:
        return sql_of(part, slots, outer)

    match node:
        case bound.Const(value=value):
            return sql_literal(value)
        case bound.Slot(index=index):
            return sql_literal(slots[index])
        case bound.OuterRef(column=column):
            return sql_literal((outer or {})[column])
        case bound.ColumnRef(column=column):
            return f"c{column}"
        case bound.Arithmetic(op=op, left=left, right=right) | bound.Compare(op=op, left=left, right=right):
            return f"({text(left)} {op} {text(right)})"
        case bound.Negate(operand=operand):
            return f"(- {text(operand)})"
        case bound.And(items=items):
            return "(" + (" AND ".join(map(text, items)) or "1") + ")"
        case bound.Or(items=items):
            return "(" + (" OR ".join(map(text, items)) or "0") + ")"
        case bound.Not(operand=operand):
            return f"(NOT {text(operand)})"
        case bound.IsNull(operand=operand):
            return f"({text(operand)} IS NULL)"
        case bound.InList(operand=operand, items=items):
            return f"({text(operand)} IN ({', '.join(map(text, items))}))"
        case bound.InArray(operand=operand, slot=slot):
            array = slots[slot.index]
            assert isinstance(array, bound.Array)
            items = [*array.values, *([None] if array.has_null else [])]
            return f"({text(operand)} IN ({', '.join(map(sql_literal, items))}))"
        case bound.Like(operand=operand, pattern=pattern, escape=escape):
            ending = f" ESCAPE {text(escape)}" if escape is not None else ""
            return f"({text(operand)} LIKE {text(pattern)}{ending})"
        case bound.Case(whens=whens, default=default):
            branches = " ".join(f"WHEN {text(condition)} THEN {text(result)}" for condition, result in whens)
            return f"(CASE {branches} ELSE {text(default)} END)"
        case bound.Cast(operand=operand, type=type_):
            names = {Kind.INTEGER: "INTEGER", Kind.STRING: "TEXT", Kind.FLOAT: "REAL", Kind.BOOLEAN: "INTEGER"}
            return f"CAST({text(operand)} AS {names[type_.kind]})"
        case bound.Call(name="||", arguments=arguments):
            return "(" + " || ".join(map(text, arguments)) + ")"
        case bound.Call(name=name, arguments=arguments):
            name = {"greatest": "max", "least": "min"}.get(name, name)
            return f"{name}({', '.join(map(text, arguments))})"
    raise AssertionError(f"{type(node).__name__} has no text here")


def sqlite_values(
    exprs: Sequence[bound.Expr],
    row: Sequence[object],
    slots: Sequence[object] = (),
    outer: dict[int, object] | None = None,
) -> tuple[object, ...]:
    """What sqlite3 computes for `exprs` over a row whose column n stands at place n."""
    columns = ", ".join(f"{sql_literal(value)} AS c{place}" for place, value in enumerate(row)) or "1"
    texts = ", ".join(sql_of(expr, slots, outer) for expr in exprs)
    found: tuple[object, ...] = _connection().execute(f"SELECT {texts} FROM (SELECT {columns})").fetchone()
    return found


@functools.cache
def _connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA case_sensitive_like = on")
    return connection


def as_sqlite(value: object) -> object:
    """A ROME value as SQLite shows it: truth values are 1 and 0."""
    return int(value) if isinstance(value, bool) else value


def condition(column: int, nullable: bool = True) -> bound.ColumnRef:
    """A column of truth values."""
    return bound.ColumnRef(column, BOOLEAN, f"c{column}", nullable)
