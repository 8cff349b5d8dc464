"""Plans: relational algebra with the places where the store is read written into it.

The planner makes them, the optimizer's rules rewrite them, `execute` runs them. Nodes are immutable; `output` lists
the columns of a node's rows, in order. `describe()` is the line that EXPLAIN prints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from rome.driver.api import Patience
from rome.sql.bound import Aggregate, ColumnRef, Expr, Slot, WindowCall
from rome.table.schema import Index, Table

# ---- reading -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range on a column: > or < `value`, or also equal to it.

    With `others` the widest counts: that of the greatest upper end, or the least lower one, NULLs left out.
    """

    value: Expr
    inclusive: bool
    others: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """Which keys of a table a scan reads.

    `index` is None for the rows themselves, ordered by primary key. `equals` fixes the first columns of that order,
    one tuple of alternatives a column (an InArray's Slot stands for all its members, an IsNull for NULL); `low` and
    `high` bound the next one. Values are constants, slots, columns of enclosing queries or, in the inner side of a
    lookup join, columns of the outer side.

    `within` are, of the same columns, the alternatives of further conditions that hang on no other row: only values
    that are among all of them are read. The residual judges these conditions too.
    """

    index: Index | None = None
    equals: tuple[tuple[Expr, ...], ...] = ()
    low: Bound | None = None
    high: Bound | None = None
    reverse: bool = False
    within: tuple[tuple[tuple[Expr, ...], ...], ...] = ()

    @property
    def whole(self) -> bool:
        """True when nothing narrows the scan."""
        return not self.equals and self.low is None and self.high is None


class Plan:
    """Base of all nodes."""

    __slots__ = ()

    output: tuple[ColumnRef, ...]

    def describe(self) -> str:
        return type(self).__name__


def inputs(node: Plan) -> list[Plan]:
    """The plans directly below `node`."""
    return [value for item in fields(node) if isinstance(value := getattr(node, item.name), Plan)]  # type: ignore[arg-type]


def over_inputs(node: Plan, change: Callable[[Plan], Plan]) -> Plan:
    """`node` over its inputs changed by `change`."""
    updates = {}
    for item in fields(node):  # type: ignore[arg-type]
        value = getattr(node, item.name)
        if isinstance(value, Plan) and (new := change(value)) is not value:
            updates[item.name] = new
    return replace(node, **updates) if updates else node  # type: ignore[type-var]


@dataclass(frozen=True, slots=True)
class Scan(Plan):
    """Rows of a table that satisfy `condition`, found through `access`.

    `residual` is what of the condition the access leaves to be judged row by row. A table without a primary key has
    one more output column than it has columns: the row number.
    """

    table: Table
    alias: str
    output: tuple[ColumnRef, ...]
    condition: Expr | None = None
    access: Access = Access()
    residual: Expr | None = None


@dataclass(frozen=True, slots=True)
class Counted(Plan):
    """How many keys `found` leads to, less those of `less` and `null`: one row, the number in each column of `output`.

    Of these scans only the access paths count, and the rows are not read. `less` finds those that have one of
    `excluded` (each a value, or an InArray's Slot) in a column, and `null` those that have NULL there, if any can: NOT
    IN leaves both out.
    """

    found: Scan
    output: tuple[ColumnRef, ...]
    less: Scan | None = None
    null: Scan | None = None
    excluded: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows(Plan):
    """Rows of expressions: VALUES, or the single row of a SELECT without FROM."""

    rows: tuple[tuple[Expr, ...], ...]
    output: tuple[ColumnRef, ...]


@dataclass(frozen=True, slots=True)
class Filter(Plan):
    child: Plan
    condition: Expr

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.child.output


@dataclass(frozen=True, slots=True)
class Project(Plan):
    """`expressions` computed from the child's rows, under the columns of `output`."""

    child: Plan
    expressions: tuple[Expr, ...]
    output: tuple[ColumnRef, ...]


@dataclass(frozen=True, slots=True)
class Join(Plan):
    """`kind` is INNER, LEFT or FULL. Output: the left columns, then the right ones.

    `lookup` says that `right` is a Scan whose access refers to columns of `left`: it is read for all left rows in one
    wave. Otherwise both sides are read side by side and matched by hash on the equalities of `condition`.
    """

    kind: str
    left: Plan
    right: Plan
    condition: Expr | None = None
    lookup: bool = False

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        left = weakened(self.left.output) if self.kind == "FULL" else self.left.output
        right = self.right.output if self.kind == "INNER" else weakened(self.right.output)
        return left + right


def weakened(columns: tuple[ColumnRef, ...]) -> tuple[ColumnRef, ...]:
    """`columns` as an outer join leaves them: any of them may be NULL."""
    return tuple(column if column.nullable else replace(column, nullable=True) for column in columns)


@dataclass(frozen=True, slots=True)
class Apply(Plan):
    """A correlated subquery, run for the distinct values of the columns it uses, all in the same waves.

    Adds `column` to the child's rows: the scalar's value, EXISTS' truth, the truth of `operand` IN (query), or RowSets.
    `kind` is scalar, exists, in or rows. `free` are the columns of enclosing rows that `query` uses.
    """

    child: Plan
    query: Plan
    kind: str
    column: ColumnRef
    free: frozenset[int]
    operand: Expr | None = None

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return (*self.child.output, self.column)


@dataclass(frozen=True, slots=True)
class LateralJoin(Plan):
    """Each row of `left` with the rows that `right` has for it: the same as Apply, for a query in FROM.

    `kind` is INNER or LEFT; `free` are the columns of enclosing rows, and of `left`, that `right` uses.
    """

    kind: str
    left: Plan
    right: Plan
    free: frozenset[int]
    condition: Expr | None = None

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.left.output + (self.right.output if self.kind == "INNER" else weakened(self.right.output))


@dataclass(frozen=True, slots=True)
class Group(Plan):
    """GROUP BY: one row a group: the keys, then the aggregates. Without keys always exactly one row."""

    child: Plan
    keys: tuple[Expr, ...]
    aggregates: tuple[Aggregate, ...]
    output: tuple[ColumnRef, ...]


@dataclass(frozen=True, slots=True)
class Window(Plan):
    """Each row of the child, with the values of `calls` beside it, in the order of the first call's window."""

    child: Plan
    calls: tuple[WindowCall, ...]
    columns: tuple[ColumnRef, ...]

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return (*self.child.output, *self.columns)


@dataclass(frozen=True, slots=True)
class SortKey:
    expression: Expr
    descending: bool
    nulls_first: bool


@dataclass(frozen=True, slots=True)
class Sort(Plan):
    child: Plan
    keys: tuple[SortKey, ...]

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.child.output


@dataclass(frozen=True, slots=True)
class Limit(Plan):
    """At most `limit` rows after `offset` of them; None or a negative limit means no limit.

    With `spare` the rows of the offset pass too, and as many more as the statement leaves out because they are locked.
    With `percent` the limit is that share of the child's rows; then come those equal to the last one in `ties`.
    """

    child: Plan
    limit: Expr | None
    offset: Expr | None
    spare: bool = False
    percent: bool = False
    ties: tuple[SortKey, ...] = ()

    @property
    def simple(self) -> bool:
        """Whether it lets a number of rows pass, whatever they are and how many others there may be."""
        return self.limit is not None and not self.percent and not self.ties

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.child.output


@dataclass(frozen=True, slots=True)
class StreamScan(Plan):
    """The rows of a table in the order of a key, chunk by chunk."""

    ordered: Scan

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.ordered.output


@dataclass(frozen=True, slots=True)
class Race(Plan):
    """A stream, and ways to find the same rows in no order, each of which begins with an index that narrows its table.

    Where one of those turns out to find few rows they are sorted, and nothing is left to be streamed.
    """

    stream: Plan
    ways: tuple[Plan, ...]

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.stream.output


@dataclass(frozen=True, slots=True)
class FewestEntries(Plan):
    """The same scan by several keys that its conditions narrow: by whichever finds least. The first seems best."""

    ways: tuple[Scan, ...]

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.ways[0].output


@dataclass(frozen=True, slots=True)
class LookupIfFew(Plan):
    """An INNER join: `lookup` begins with an index and is run if that finds few entries, else `complete` is.

    Both have the same rows, their columns in the same order.
    """

    lookup: Plan
    complete: Plan

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.complete.output


@dataclass(frozen=True, slots=True)
class FirstRows(Plan):
    """The first rows in the order of `keys`: of `stream`, until that has read too much, then of `complete`, sorted.

    `stream` is made of StreamScans, Sorts (of what is read whole) and nodes that keep the order of what is below them.
    """

    stream: Plan
    complete: Plan
    keys: tuple[SortKey, ...]

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.complete.output


@dataclass(frozen=True, slots=True)
class LockTarget:
    """A table whose rows are locked; `places` are where the parts of a row's key stand in a row of the Lock's child."""

    table: Table
    alias: str
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lock(Plan):
    """The child's rows, when the transaction has the leases of the rows of `targets` that they are made of.

    `output` is the beginning of the child's. `limit` and `offset` count the rows that are left when SKIP LOCKED has
    left others out.
    """

    child: Plan
    targets: tuple[LockTarget, ...]
    patience: Patience
    output: tuple[ColumnRef, ...]
    limit: Expr | None = None
    offset: Expr | None = None


@dataclass(frozen=True, slots=True)
class Distinct(Plan):
    child: Plan

    @property
    def output(self) -> tuple[ColumnRef, ...]:  # type: ignore[override]
        return self.child.output


@dataclass(frozen=True, slots=True)
class SetOperation(Plan):
    """`kind` is UNION, INTERSECT or EXCEPT; `all` keeps duplicates as SQL counts them."""

    kind: str
    all: bool
    left: Plan
    right: Plan
    output: tuple[ColumnRef, ...]


@dataclass(frozen=True, slots=True)
class Shared(Plan):
    """The rows of a WITH item that has run first: `slot` holds them."""

    name: str
    slot: Slot
    output: tuple[ColumnRef, ...]


@dataclass(frozen=True, slots=True)
class WorkingTable(Plan):
    """In the step of the Recursive called `number`: the rows that came last."""

    name: str
    number: int
    output: tuple[ColumnRef, ...]


@dataclass(frozen=True, slots=True)
class Recursive(Plan):
    """The rows of `base` and those that `step` makes of the ones that came last, until it makes none.

    Without `all`, rows that have come before are left out.
    """

    name: str
    number: int
    base: Plan
    step: Plan
    all: bool
    output: tuple[ColumnRef, ...]


# ---- changing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Returning:
    """`expressions` over `row`: a changed row, then what of the rows beside it the change was made from."""

    row: tuple[ColumnRef, ...]
    expressions: tuple[Expr, ...]
    output: tuple[ColumnRef, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A CHECK constraint, bound over the columns `row` of its table."""

    name: str | None
    sql: str
    expression: Expr


@dataclass(frozen=True, slots=True)
class OnConflict:
    """What becomes of a row to insert when another one has a key of it.

    `keys` are the unique indexes looked at, None for the primary key. The row stays out; with `places` the stored one,
    whose columns are `old`, changes if `condition` holds: `expressions[i]` becomes its value at `places[i]`. `new` are
    the columns of the row that stayed out.
    """

    keys: tuple[Index | None, ...]
    old: tuple[ColumnRef, ...] = ()
    new: tuple[ColumnRef, ...] = ()
    places: tuple[int, ...] = ()
    expressions: tuple[Expr, ...] = ()
    condition: Expr | None = None


@dataclass(frozen=True, slots=True)
class Insert(Plan):
    """Rows of `source` put into `table`.

    `places[i]` is where the i-th table column stands in a source row, or None when `defaults[i]` (or the sequence, or
    NULL) gives its value. `computed` are the columns that are computed from the others of `row`: place and expression.
    """

    table: Table
    source: Plan
    places: tuple[int | None, ...]
    defaults: tuple[Expr | None, ...]
    row: tuple[ColumnRef, ...]
    checks: tuple[Condition, ...]
    conflict: OnConflict | None = None
    returning: Returning | None = None
    output: tuple[ColumnRef, ...] = ()
    computed: tuple[tuple[int, Expr], ...] = ()


@dataclass(frozen=True, slots=True)
class Update(Plan):
    """`expressions[i]` becomes the value of the table column at `places[i]` in each row of `child`.

    The child's rows begin with the stored row, of those that begin with the same one the first counts; `row` are the
    columns after the change, for checks and RETURNING.
    """

    table: Table
    child: Plan
    row: tuple[ColumnRef, ...]
    places: tuple[int, ...]
    expressions: tuple[Expr, ...]
    checks: tuple[Condition, ...]
    returning: Returning | None = None
    output: tuple[ColumnRef, ...] = ()
    computed: tuple[tuple[int, Expr], ...] = ()


@dataclass(frozen=True, slots=True)
class Delete(Plan):
    """The rows of `child`, each beginning with the stored row, go; of those that begin alike the first counts."""

    table: Table
    child: Plan
    returning: Returning | None = None
    output: tuple[ColumnRef, ...] = ()


# ---- a whole statement ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SlotSource:
    """Where a slot's value comes from: a parameter (`name`), or the rows of `queries[query]`.

    `array` slots hold a `bound.Array`; `exists` ones a bool; `rows` ones all rows; `members`
    ones a `bound.RowSet`; the others one value.
    """

    index: int
    column: ColumnRef
    name: str | None = None
    query: int | None = None
    array: bool = False
    exists: bool = False
    rows: bool = False
    members: bool = False


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """Everything needed to run a statement again.

    `queries` are the uncorrelated subqueries, run first, in order. `tables` are the table descriptions the plan was
    made for: it holds while the catalogue has these very objects.
    """

    root: Plan
    slots: tuple[SlotSource, ...]
    queries: tuple[Plan, ...] = ()
    tables: tuple[Table, ...] = ()
    parameters: frozenset[str] = field(default_factory=frozenset)
