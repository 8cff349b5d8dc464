"""Access paths: which index, or the primary key, narrows a scan most for the conditions at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from rome.sql.bound import (
    Aggregate,
    Call,
    ColumnRef,
    Compare,
    Expr,
    InArray,
    InList,
    IsNull,
    NextValue,
    Or,
    OuterRef,
    columns_of,
    conjunction,
    conjuncts,
    walk,
)
from rome.sql.functions import FUNCTIONS
from rome.sql.plan import Access, Bound, Scan
from rome.table.schema import Column, Index
from rome.values import NUMERIC_KINDS, Kind, SqlType

_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ANY_NUMBER = 1 << 30
MOST_NARROW = 3  # ways to read one table that are tried beside each other
_SAME_IF_EQUAL = {Kind.STRING, Kind.INTEGER, Kind.BOOLEAN}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to read a table, and what is left to check.

    `rank` orders candidates, the highest best: (one row at most, 2 by the primary key, which has it at hand; equalities
    that narrow, a range, no dereference, a UNIQUE index, the columns it has).
    `used` are the columns fixed by equality; `outer` says that values come from another table's row.
    """

    access: Access
    consumed: tuple[Expr, ...]
    rank: tuple[int, ...]
    used: frozenset[int]
    outer: bool

    @property
    def narrows(self) -> bool:
        return any(self.rank[:3])

    @property
    def finds_one_row(self) -> bool:
        return bool(self.rank[0])


def best(scan: Scan, conditions: Iterable[Expr], available: frozenset[int] = frozenset()) -> Candidate:
    """The best way to read `scan` under `conditions`; values may use the columns `available` of an outer side."""
    terms = _Terms(scan, conditions, available)
    candidates = [terms.candidate(None)]
    candidates.extend(terms.candidate(index) for index in scan.table.ready_indexes)
    return max(candidates, key=lambda candidate: candidate.rank)


def narrowing(scan: Scan, conditions: Iterable[Expr]) -> list[Candidate]:
    """The ways to read `scan` that its conditions narrow, the best first, one for each first column of a key."""
    terms = _Terms(scan, conditions, frozenset())
    found: dict[int, Candidate] = {}
    for index in (None, *scan.table.ready_indexes):
        candidate = terms.candidate(index)
        columns = scan.table.primary_key if index is None else index.columns
        if candidate.narrows and (columns[0] not in found or candidate.rank > found[columns[0]].rank):
            found[columns[0]] = candidate
    return sorted(found.values(), key=lambda candidate: candidate.rank, reverse=True)


def sought_columns(scan: Scan) -> tuple[list[int], list[int]]:
    """The columns (ids) that the conditions of `scan` fix to one value or a few, and those they give a range.

    Booleans are left out: they hardly narrow anything; and lists of any length, which may.
    """
    terms = _Terms(scan, conjuncts(scan.condition), frozenset())
    fixed = [
        column
        for column, (_, condition) in terms.equal.items()
        if not isinstance(condition, InArray)
        and scan.table.columns[scan.table.position[column]].type.kind is not Kind.BOOLEAN
    ]
    ranged = [column for column in dict.fromkeys([*terms.low, *terms.high]) if column not in fixed]
    return fixed, ranged


def ordered(scan: Scan, conditions: Iterable[Expr], columns: Sequence[int], ranges: int = 1) -> Candidate | None:
    """The best way to read `scan` that gives its rows in ascending order of `columns` (ids); None when there is none.

    A key is ordered by its columns and then by the primary key; columns that an equality fixes order nothing. Where
    they may have one of several values there are several ranges, each in that order: up to `ranges` of them.
    """
    terms = _Terms(scan, conditions, frozenset())
    found = [
        candidate
        for index in (None, *scan.table.ready_indexes)
        if (candidate := terms.candidate(index)) is not None and _has_order(scan, candidate, columns, ranges)
    ]
    return max(found, key=lambda candidate: candidate.rank, default=None)


def _has_order(scan: Scan, candidate: Candidate, columns: Sequence[int], ranges: int) -> bool:
    table, index = scan.table, candidate.access.index
    several = prod(len(values) for values in candidate.access.equals) > ranges
    if not table.primary_key or several or any(isinstance(part, InArray) for part in candidate.consumed):
        return False
    fixed = candidate.used
    order = [*table.primary_key] if index is None else [*index.columns, *table.primary_key]
    for place, column in enumerate(() if index is None else index.columns):
        if index is not None and index.length(place) and column not in fixed:
            order = order[:place]  # entries that begin alike are in no order
            break
    wanted = [column for column in dict.fromkeys(columns) if column not in fixed]
    offered = [column for column in dict.fromkeys(order) if column not in fixed]
    # Once the whole primary key has been compared no two rows are left to order.
    return wanted == offered[: len(wanted)] or (wanted[: len(offered)] == offered and bool(offered))


def ordered_keys(scan: Scan) -> list[Index | None]:
    """The keys by which the table of `scan` can be read: the primary key (None), and its indexes."""
    return [None, *scan.table.ready_indexes]


def access_by(scan: Scan, conditions: Sequence[Expr], key: Index | None) -> Scan | None:
    """`scan` read by ranges of `key` that hold the rows that `conditions` select and no others; None if none do."""
    candidate = _Terms(scan, conditions, frozenset()).candidate(key)
    if len(candidate.consumed) < len(conditions) or (key is None and candidate.finds_one_row):
        return None
    return replace(scan, access=replace(candidate.access, low=None, high=None), residual=None)


def with_access(scan: Scan, candidate: Candidate) -> Scan:
    """`scan` read as `candidate` says."""
    consumed = set(map(id, candidate.consumed))
    residual = [part for part in conjuncts(scan.condition) if id(part) not in consumed]
    return replace(scan, access=candidate.access, residual=conjunction(residual))


class _Terms:
    """The conditions on single columns of a scan that an ordered key can use, by column."""

    def __init__(self, scan: Scan, conditions: Iterable[Expr], available: frozenset[int]) -> None:
        self.scan = scan
        self.available = available
        own = {column.column: place for place, column in enumerate(scan.output[: len(scan.table.columns)])}
        self.own: Mapping[int, Column] = {number: scan.table.columns[place] for number, place in own.items()}
        # column id: alternatives and the condition, of all conditions that fix it, and of the one that leaves fewest
        self.equalities: dict[int, list[tuple[tuple[Expr, ...], Expr]]] = {}
        self.low: dict[int, Bound] = {}
        self.high: dict[int, Bound] = {}
        for condition in conditions:
            self._take(condition)
        self.equal = {column: min(each, key=_values) for column, each in self.equalities.items()}

    def _take(self, condition: Expr) -> None:
        if isinstance(condition, Compare):
            for column, op, value in self._sides(condition):
                if op == "=":
                    self._equal(column, (value,), condition)
                elif op in (">", ">="):
                    self.low.setdefault(column.id, Bound(value, op == ">="))
                elif op in ("<", "<="):
                    self.high.setdefault(column.id, Bound(value, op == "<="))
        elif isinstance(condition, Or):
            self._take_alternatives(condition)
            self._take_widest(condition)
        elif isinstance(condition, (InList, InArray, IsNull)) and isinstance(condition.operand, ColumnRef):
            own = self.own.get(condition.operand.column)
            if own is None:
                return
            if isinstance(condition, IsNull):
                self._equal(own, (condition,), condition)
            elif isinstance(condition, InArray):
                if keyable(own.type, condition.slot.type):
                    self._equal(own, (condition.slot,), condition)
            elif condition.items and all(self._can_be_key(own, item) for item in condition.items):
                self._equal(own, condition.items, condition)

    def _take_alternatives(self, condition: Or) -> None:
        """`a = 1 OR a = 2` is `a IN (1, 2)`, as long as every part compares the same column."""
        columns: dict[int, Column] = {}
        values: list[Expr] = []
        for part in condition.items:
            sides = list(self._sides(part)) if isinstance(part, Compare) and part.op == "=" else []
            if len(sides) != 1:
                return
            column, _, value = sides[0]
            columns[column.id] = column
            values.append(value)
        if len(columns) == 1:
            [column] = columns.values()
            self._equal(column, tuple(values), condition)

    def _take_widest(self, condition: Or) -> None:
        """`a < 3 OR (a = 3 AND b < 5)` lies below 3: a range on each column that every part of the OR bounds."""
        sides = [
            [side for one in conjuncts(part) if isinstance(one, Compare) for side in self._sides(one)]
            for part in condition.items
        ]
        for ends, directions in ((self.low, (">", ">=", "=")), (self.high, ("<", "<=", "="))):
            bounds = [{c.id: value for c, op, value in reversed(part) if op in directions} for part in sides]
            for column in bounds[0]:
                values = [part[column] for part in bounds if column in part]
                if len(values) == len(bounds):
                    ends.setdefault(column, Bound(values[0], True, tuple(values[1:])))

    def _equal(self, column: Column, alternatives: tuple[Expr, ...], condition: Expr) -> None:
        self.equalities.setdefault(column.id, []).append((alternatives, condition))

    def _sides(self, condition: Compare) -> Iterator[tuple[Column, str, Expr]]:
        if condition.op not in _MIRRORED:
            return
        for side, other, op in (
            (condition.left, condition.right, condition.op),
            (condition.right, condition.left, _MIRRORED[condition.op]),
        ):
            if isinstance(side, ColumnRef) and side.column in self.own and self._is_value(other):
                column = self.own[side.column]
                # what is flexible has an order in keys, but none that `<` knows
                if keyable(column.type, other.type) and (op == "=" or not column.type.flexible):
                    yield column, op, other

    def _can_be_key(self, column: Column, value: Expr) -> bool:
        return self._is_value(value) and keyable(column.type, value.type)

    def _is_value(self, expression: Expr) -> bool:
        """Whether `expression` is known before the table is read."""
        for part in walk(expression):
            if isinstance(part, ColumnRef) and part.column not in self.available:
                return False
            if isinstance(part, Aggregate):
                return False
        return not is_volatile(expression)

    def candidate(self, index: Index | None) -> Candidate:
        """What `index` (None: the primary key) makes of the conditions."""
        table = self.scan.table
        columns = table.primary_key if index is None else index.columns
        equals: list[tuple[Expr, ...]] = []
        consumed: list[Expr] = []
        weight = 0
        nulls = False
        lengths = index.lengths if index is not None else ()
        for at, column in enumerate(columns):
            if column not in self.equal:
                break
            alternatives, condition = self.equal[column]
            if not (lengths and lengths[at]):
                consumed.append(condition)
            elif isinstance(condition, InArray):
                break
            equals.append(alternatives)
            nulls = nulls or isinstance(alternatives[0], IsNull)
            # An equality on a two-valued column halves a table at best: following an index for it costs more.
            weight += table.columns[table.position[column]].type.kind is not Kind.BOOLEAN
        complete = len(equals) == len(columns) and bool(columns)
        unique = complete and not nulls and (index is None or index.unique)
        low = high = None
        if len(equals) < len(columns) and not (lengths and lengths[len(equals)]):  # a table may have no primary key
            low, high = self.low.get(columns[len(equals)]), self.high.get(columns[len(equals)])
        if not unique and not weight and index is not None and low is None and high is None:
            equals, consumed = [], []
        ranged = (low is not None) + (high is not None)
        # Between indexes that narrow alike the one that says most wins: what it shows whole answers later lookups of
        # the same rows by more columns, and the uniqueness of rows that are brought to them, without a round trip.
        says = (int(index is None), int(index is not None and index.unique), len(columns))
        used = frozenset(columns[: len(equals)])
        rank = (2 * unique if index is None else int(unique or self._is_one(used)), weight, ranged, *says)
        outer = any(
            isinstance(part, ColumnRef)
            for values in equals
            for value in values
            if not isinstance(value, IsNull)
            for part in walk(value)
        )
        within = tuple(
            () if lengths and lengths[at] else self._within(columns[at], values) for at, values in enumerate(equals)
        )
        access = Access(index, tuple(equals), low, high, within=within if any(within) else ())
        return Candidate(access, tuple(consumed), rank, used, outer)

    def _is_one(self, used: frozenset[int]) -> bool:
        """Whether equalities on these columns leave one row at most: a UNIQUE key's columns are among them."""
        if any(isinstance(self.equal[column][0][0], IsNull) for column in used):
            return False
        return any(index.unique and used >= set(index.columns) for index in self.scan.table.ready_indexes)

    def _within(self, column: int, chosen: tuple[Expr, ...]) -> tuple[tuple[Expr, ...], ...]:
        """The alternatives of the other conditions that fix `column`, if values that are equal are the same.

        Not those that another table's row gives: the lookups of a chain are made before all of its rows are known.
        """
        type_ = self.scan.table.columns[self.scan.table.position[column]].type
        if type_.flexible or type_.kind not in _SAME_IF_EQUAL:
            return ()
        others = [each for each, _ in self.equalities[column] if each is not chosen]
        return tuple(each for each in others if isinstance(each[0], IsNull) or not any(map(columns_of, each)))


def _values(equality: tuple[tuple[Expr, ...], Expr]) -> int:
    """How many values an equality leaves to a column, as far as one can tell: a list may be of any length."""
    alternatives, condition = equality
    return _ANY_NUMBER if isinstance(condition, InArray) else len(alternatives)


def keyable(column: SqlType, value: SqlType) -> bool:
    """Whether a value of type `value` can be looked up as a key of a column of type `column`."""
    if column.kind is Kind.JSON or column.kind is Kind.FLOAT:
        return column.kind is value.kind
    return column.kind is value.kind or {column.kind, value.kind} <= NUMERIC_KINDS


def finds_few(narrow: Iterable[Candidate]) -> bool:
    """Whether one of these finds one row at most, or what hangs on a row of an enclosing query: few each time."""
    return any(each.finds_one_row or any(map(uses_outer_row, each.consumed)) for each in narrow)


def uses_outer_row(condition: Expr) -> bool:
    """Whether `condition` hangs on a row of an enclosing query."""
    return any(isinstance(part, OuterRef) for part in walk(condition))


def is_volatile(expression: Expr) -> bool:
    """Whether computing `expression` twice may give two values: it must then stay where it was written."""
    return any(_volatility(part) == "volatile" for part in walk(expression))


def is_changing(expression: Expr) -> bool:
    """Whether another statement may compute another value of `expression` for the same row."""
    return any(_volatility(part) != "immutable" for part in walk(expression))


def takes_numbers(expression: Expr) -> bool:
    """Whether computing `expression` takes a number of a sequence, which no one gets again."""
    return any(isinstance(part, NextValue) for part in walk(expression))


def _volatility(part: Expr) -> str:
    if isinstance(part, NextValue):
        return "volatile"
    return FUNCTIONS[part.name].volatility if isinstance(part, Call) else "immutable"
