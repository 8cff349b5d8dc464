"""The allow-list: which sqlglot nodes ROME takes in which place, and which of their arguments.

A reader of a node is registered with the arguments it consumes; a node without a reader, or with any other argument
set, is refused. So an addition to sqlglot, or a clause nobody thought of, is an error and never a wrong row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sqlglot import exp

from rome.errors import NotSupportedError
from rome.sql import syntax
from rome.sql.parse.source import Source, spelled

T = TypeVar("T")
AnyReader = TypeVar("AnyReader", bound=Callable[..., Any])
Reader = Callable[[Source, Any], T]


def only(source: Source, node: exp.Expr, *arguments: str) -> None:
    """Refuse `node` if an argument other than `arguments` is set."""
    for name, value in node.args.items():
        if name not in arguments and value is not None and value is not False and value != []:
            raise _refused_argument(source, node, name, value)


def _refused_argument(source: Source, node: exp.Expr, name: str, value: object) -> NotSupportedError:
    what = CLAUSES.get((type(node), name)) or f"{name.strip('_').replace('_', ' ').upper()} in {spelled(node).upper()}"
    while isinstance(value, list):
        value = value[0]
    return source.refuse(value if isinstance(value, exp.Expr) else node, what)


class Place(Generic[T]):
    """A place in the grammar (an expression, a statement, …) and the nodes that may stand there."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.readers: dict[type[exp.Expr], tuple[frozenset[str], Reader[T]]] = {}

    def takes(self, kind: type[exp.Expr], *arguments: str) -> Callable[[AnyReader], AnyReader]:
        """Register a reader of `kind` that consumes `arguments`."""

        def register(reader: AnyReader) -> AnyReader:
            self.readers[kind] = (frozenset(arguments), reader)
            return reader

        return register

    def read(self, source: Source, node: exp.Expr) -> T:
        """The syntax node that `node` makes in this place; NotSupportedError when it is not on the list."""
        entry = self.readers.get(type(node))
        if entry is None:
            raise source.refuse(node, NAMES.get(type(node)) or f"{spelled(node).upper()} as {self.what}")
        arguments, reader = entry
        for name, value in node.args.items():
            if name not in arguments and value is not None and value is not False and value != []:
                raise _refused_argument(source, node, name, value)
        return reader(source, node)


EXPRESSIONS: Place[syntax.Expression] = Place("an expression")
QUERIES: Place[syntax.Query] = Place("a query")
FROM_ITEMS: Place[syntax.FromItem] = Place("a table")
STATEMENTS: Place[syntax.Statement] = Place("a statement")
ACTIONS: Place[syntax.AlterAction] = Place("a change of a table")

# What people call the nodes that are refused.
NAMES: dict[type, str] = {
    exp.WithinGroup: "WITHIN GROUP",
    exp.Glob: "GLOB",
    exp.RegexpILike: "~*",
    exp.SimilarTo: "SIMILAR TO",
    exp.Collate: "COLLATE",
    exp.Unnest: "UNNEST here (only x IN UNNEST(:parameter))",
    exp.Any: "ANY or SOME",
    exp.All: "ALL (subquery)",
    exp.Order: "ORDER BY inside a call",
    exp.Limit: "LIMIT inside a call",
    exp.Distinct: "DISTINCT here",
    exp.Alias: "AS here",
    exp.Star: "* here",
    exp.Dot: "a function name with a schema",
    exp.Concat: "a string of several parts (write one string or ||)",
    exp.Cube: "CUBE",
    exp.Rollup: "ROLLUP",
    exp.GroupingSets: "GROUPING SETS",
    exp.AtTimeZone: "AT TIME ZONE",
    exp.National: "N'…'",
}

# And the clauses, where the name that sqlglot gives an argument does not say it.
CLAUSES: dict[tuple[type, str], str] = {
    (exp.Distinct, "on"): "DISTINCT ON",
    (exp.Group, "all"): "GROUP BY ALL",
    (exp.In, "field"): "IN without parentheses",
    (exp.Join, "method"): "NATURAL JOIN",
    (exp.Select, "laterals"): "LATERAL without a comma or JOIN before it",
    (exp.Table, "joins"): "more than one table",
}
