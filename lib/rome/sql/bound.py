"""Bound SQL: expressions whose names are resolved, whose types are known and whose node kinds are few.

The binder makes them, the optimizer rewrites them, `expr` compiles them. Every node is immutable and knows its
`type`. A column is a number that is unique within the statement (`ColumnRef.column`); where it stands in a row is
decided by the operator that carries it. Subqueries do not appear here: the planner runs an uncorrelated one first and
leaves a `Slot`, and puts an operator under a correlated one that adds its value as a column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rome.values import BIGINT, BOOLEAN, SqlType


@dataclass(frozen=True, slots=True)
class Expr:
    """Base of all expressions."""

    @property
    def type(self) -> SqlType:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Const(Expr):
    """A literal; `value` is a Python value of the type's kind, or None."""

    value: object
    type: SqlType


@dataclass(frozen=True, slots=True)
class Slot(Expr):
    """A value known before the first row: a bind parameter, or the result of an uncorrelated subquery.

    `index` is its place in the execution's list of values, already converted to `type` (or None).
    An array slot (see InArray) holds an `Array`.
    """

    index: int
    type: SqlType


@dataclass(frozen=True, slots=True)
class ColumnRef(Expr):
    """A column of the row at hand. `name` is only for people; `nullable` is False when it surely holds a value."""

    column: int
    type: SqlType
    name: str = field(default="", compare=False)
    nullable: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class OuterRef(Expr):
    """A column of the row of an enclosing query; `column` is a key of the execution's `outer` mapping."""

    column: int
    type: SqlType
    name: str = ""


@dataclass(frozen=True, slots=True)
class Arithmetic(Expr):
    """`op` is one of + - * / % & | ^ << >>; operands are numbers, or dates and intervals for + and -."""

    op: str
    left: Expr
    right: Expr
    type: SqlType


@dataclass(frozen=True, slots=True)
class Negate(Expr):
    operand: Expr
    type: SqlType


@dataclass(frozen=True, slots=True)
class Compare(Expr):
    """`op` is one of = <> < <= > >= and the NULL-safe `IS` (not distinct from) and `IS NOT` (distinct from).

    Both operands are of comparable kinds; the binder has converted constants to the column's kind.
    """

    op: str
    left: Expr
    right: Expr

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class And(Expr):
    items: tuple[Expr, ...]

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class Or(Expr):
    items: tuple[Expr, ...]

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class Not(Expr):
    operand: Expr

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class IsNull(Expr):
    operand: Expr

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class InList(Expr):
    """operand IN (items): true, false, or unknown when nothing equals and a NULL is among them."""

    operand: Expr
    items: tuple[Expr, ...]

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class InArray(Expr):
    """operand IN an array parameter or the rows of an uncorrelated subquery: `slot` holds an `Array`."""

    operand: Expr
    slot: Slot

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class InRows(Expr):
    """(operands) IN the rows of a subquery: `rows` is a slot or a column that holds a `RowSet`."""

    operands: tuple[Expr, ...]
    rows: Expr

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class Like(Expr):
    """operand LIKE pattern [ESCAPE escape]; `ignore_case` for ILIKE."""

    operand: Expr
    pattern: Expr
    escape: Expr | None = None
    ignore_case: bool = False

    @property
    def type(self) -> SqlType:
        return BOOLEAN


@dataclass(frozen=True, slots=True)
class Case(Expr):
    """A searched CASE: (condition, result) pairs, then the ELSE result."""

    whens: tuple[tuple[Expr, Expr], ...]
    default: Expr
    type: SqlType


@dataclass(frozen=True, slots=True)
class Cast(Expr):
    operand: Expr
    type: SqlType


@dataclass(frozen=True, slots=True)
class NextValue(Expr):
    """The next number of a sequence; another one each time it is computed."""

    sequence: str
    type: SqlType = BIGINT


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A scalar function; `name` is a key of `functions.FUNCTIONS`."""

    name: str
    arguments: tuple[Expr, ...]
    type: SqlType


@dataclass(frozen=True, slots=True)
class Aggregate(Expr):
    """An aggregate; `name` is a key of `aggregates.AGGREGATES`; no argument means count(*).

    `directions` says of each `order` expression whether it is descending and has its NULLs first.

    Only the planner sees it: an Aggregate operator computes it, and expressions above refer to its column.
    """

    name: str
    arguments: tuple[Expr, ...]
    distinct: bool
    type: SqlType
    filter: Expr | None = None
    order: tuple[Expr, ...] = ()
    directions: tuple[tuple[bool, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """Which rows of its partition a row's frame has, as in `syntax.Frame`; the offsets stand in the WindowCall."""

    kind: str = "RANGE"
    start: str = "UNBOUNDED PRECEDING"
    end: str = "CURRENT ROW"
    exclude: str = "NO OTHERS"


@dataclass(frozen=True, slots=True)
class WindowCall(Expr):
    """A function over a window; `name` is a key of WINDOW_FUNCTIONS or of AGGREGATES; no argument means count(*).

    `directions` says of each `order` expression whether it is descending and has its NULLs first. Only the planner
    sees it, as an Aggregate: a Window operator computes it.
    """

    name: str
    arguments: tuple[Expr, ...]
    partition: tuple[Expr, ...]
    order: tuple[Expr, ...]
    directions: tuple[tuple[bool, bool], ...]
    frame: Frame
    start: Expr | None
    end: Expr | None
    type: SqlType
    filter: Expr | None = None


@dataclass(frozen=True, slots=True)
class Array:
    """The value of an array slot: the distinct non-NULL values, in order, and whether a NULL was among them."""

    values: tuple[object, ...]
    members: frozenset[object]
    has_null: bool


def array(values: list[object]) -> Array:
    """The `Array` of `values`."""
    distinct = tuple(dict.fromkeys(value for value in values if value is not None))
    return Array(distinct, frozenset(distinct), any(value is None for value in values))


@dataclass(frozen=True, slots=True)
class RowSet:
    """Rows that others are looked for in: those without a NULL, and those with one."""

    complete: frozenset[tuple[object, ...]]
    partial: tuple[tuple[object, ...], ...]

    def has(self, row: tuple[object, ...]) -> bool | None:
        """Whether a row is equal to `row`; None when it is not known, as in SQL."""
        if row in self.complete:
            return True
        unknown = None in row
        for other in (*self.complete, *self.partial) if unknown else self.partial:
            if all(a is None or b is None or a == b for a, b in zip(row, other, strict=True)):
                return None
        return False


def row_set(rows: list[tuple[object, ...]]) -> RowSet:
    """The `RowSet` of `rows`."""
    distinct = dict.fromkeys(rows)
    return RowSet(
        frozenset(row for row in distinct if None not in row), tuple(row for row in distinct if None in row)
    )  # fmt: skip


def children(node: Expr) -> Iterator[Expr]:
    """The expressions directly below `node`."""
    for item in fields(node):
        yield from _expressions(getattr(node, item.name))


def _expressions(value: object) -> Iterator[Expr]:
    if isinstance(value, Expr):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _expressions(part)


def walk(node: Expr) -> Iterator[Expr]:
    """`node` and every expression below it, parents first."""
    pending = [node]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(children(node))


def transform(node: Expr, change: Callable[[Expr], Expr | None]) -> Expr:
    """`node` with every expression for which `change` gives one replaced by it, parents first."""
    changed = change(node)
    if changed is not None:
        return changed
    updates: dict[str, Any] = {}
    for item in fields(node):
        value = getattr(node, item.name)
        new = _transformed(value, change)
        if new is not value:
            updates[item.name] = new
    return replace(node, **updates) if updates else node


def substituted(node: Expr, meaning: Mapping[int, Expr]) -> Expr:
    """`node` with what `meaning` says in place of columns."""
    return transform(node, lambda part: meaning.get(part.column) if isinstance(part, ColumnRef) else None)


def _transformed(value: object, change: Callable[[Expr], Expr | None]) -> object:
    if isinstance(value, Expr):
        return transform(value, change)
    if isinstance(value, tuple):
        new = tuple(_transformed(part, change) for part in value)
        return value if all(a is b for a, b in zip(new, value, strict=True)) else new
    return value


def columns_of(node: Expr) -> set[int]:
    """The columns of the row at hand that `node` needs."""
    return {part.column for part in walk(node) if isinstance(part, ColumnRef)}


def conjuncts(node: Expr | None) -> list[Expr]:
    """The parts of a condition that must all be true."""
    if node is None:
        return []
    if isinstance(node, And):
        return [part for item in node.items for part in conjuncts(item)]
    return [node]


def conjunction(parts: list[Expr]) -> Expr | None:
    """One condition from `parts`; None when there are none."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else And(tuple(parts))
