"""Syntax trees on one line, for tests to compare."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from rome.sql import syntax
from rome.sql.parse import parse
from rome.values import SqlType


def shape(node: object) -> str:
    """`node` as text: its kind, then its fields, offsets and fields at their defaults left out."""
    if isinstance(node, SqlType):
        return str(node)
    if isinstance(node, tuple):
        return "[" + ", ".join(map(shape, node)) + "]"
    if not dataclasses.is_dataclass(node):
        return repr(node)
    parts = []
    for each in dataclasses.fields(node):
        value = getattr(node, each.name)
        if each.name == "at" or (each.default is not dataclasses.MISSING and value == each.default):
            continue
        text = shape(value)
        parts.append(text if each.default is dataclasses.MISSING else f"{each.name}={text}")
    return f"{type(node).__name__}({', '.join(parts)})"


def nodes(node: object) -> Iterator[syntax.Node]:
    """`node` and every syntax node below it, in the order of the fields."""
    if isinstance(node, tuple):
        for part in node:
            yield from nodes(part)
    elif isinstance(node, syntax.Node):
        yield node
        for each in dataclasses.fields(node):
            yield from nodes(getattr(node, each.name))


def expression(sql: str) -> str:
    """The shape of an expression."""
    query = parse(f"SELECT {sql}")
    return shape(query.body.items[0].expression)  # type: ignore[union-attr]
