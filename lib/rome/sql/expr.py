"""Bound expressions as Python functions over batches of rows.

Each function here compiles an expression once (see `codegen`) and returns a function that takes rows and the
execution's `Bindings`. `layout[column]` says where in the row tuple a column stands. The functions raise DataError for
a computation that has no value (division by zero, a number out of range, a CAST of the wrong text).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from rome.errors import InternalError
from rome.sql.bound import ColumnRef, Expr
from rome.sql.codegen import Generator

Row = tuple[Any, ...]
Layout = Mapping[int, int]
_NO_OUTER_ROW: Mapping[int, Any] = MappingProxyType({})


def _no_sequence(name: str) -> int:
    raise InternalError(f'no number of the sequence "{name}" can be taken here')


class Bindings(NamedTuple):
    """What an execution gives to its expressions.

    slots   the values of Slot nodes by index, converted to their types; an `Array` where InArray refers to it
    outer   the values of OuterRef nodes by column
    now     the statement's timestamp: one for all its rows
    draw    a random number from 0 to below 1, a new one at each call
    next_value  the next number of the sequence of a name, likewise
    """

    slots: Sequence[Any]
    now: datetime
    draw: Callable[[], float]
    outer: Mapping[int, Any] = _NO_OUTER_ROW
    next_value: Callable[[str], int] = _no_sequence


def predicate(expr: Expr, layout: Layout) -> Callable[[list[Row], Bindings], list[Row]]:
    """The rows for which `expr` is TRUE, in their order."""
    generator = Generator(layout)
    generator.prepare(expr)
    test = generator.truth(expr)
    return _compiled(generator, "rows", f"[r for r in rows if {test}]")


def projection(exprs: Sequence[Expr], layout: Layout) -> Callable[[list[Row], Bindings], list[Row]]:
    """For each row the tuple of the expressions' values.

    When these are the row's own columns in their order, the list given is the list returned.
    """
    if all(isinstance(expr, ColumnRef) for expr in exprs):
        return _picks([layout[expr.column] for expr in exprs if isinstance(expr, ColumnRef)])
    generator = Generator(layout)
    for expr in exprs:
        generator.prepare(expr)
    items = "".join(f"{generator.value(expr)}, " for expr in exprs)
    return _compiled(generator, "rows", f"[({items}) for r in rows]")


def values(expr: Expr, layout: Layout) -> Callable[[list[Row], Bindings], list[Any]]:
    """For each row the value of `expr`: for sorting, grouping and aggregates."""
    if isinstance(expr, ColumnRef):
        pick = itemgetter(layout[expr.column])
        return lambda rows, bindings: list(map(pick, rows))
    generator = Generator(layout)
    generator.prepare(expr)
    value = generator.value(expr)
    return _compiled(generator, "rows", f"[{value} for r in rows]")


def scalar(expr: Expr, layout: Layout) -> Callable[[Row, Bindings], Any]:
    """The value of `expr` for one row."""
    generator = Generator(layout)
    generator.prepare(expr)
    return _compiled(generator, "r", generator.value(expr))


def _picks(places: list[int]) -> Callable[[list[Row], Bindings], list[Row]]:
    width = len(places)
    if width < 2:
        return lambda rows, bindings: [tuple(row[place] for place in places) for row in rows]
    pick = itemgetter(*places)
    if places == list(range(width)):
        return lambda rows, bindings: rows if rows and len(rows[0]) == width else list(map(pick, rows))
    return lambda rows, bindings: list(map(pick, rows))


def _compiled(generator: Generator, parameter: str, result: str) -> Callable[[Any, Bindings], Any]:
    """The function that returns `result`. Its source is our own (see `codegen`); it can name no builtin."""
    source = "".join(generator.helpers) + f"def run({parameter}, b):\n{generator.prologue()}    return {result}\n"
    namespace: dict[str, Any] = {**generator.namespace, "__builtins__": {}}
    exec(compile(source, "<rome expression>", "exec"), namespace)
    run: Callable[[Any, Bindings], Any] = namespace["run"]
    return run
