"""The syntax tree: what `parse` makes of an SQL text, and all that the binder knows of it.

Names are as written (quotes removed); nothing is resolved. `at` is the offset of a node in the text, in characters
from 0, so that an error can point at it. Every statement ROME takes is made of these nodes and no others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rome.driver.api import Patience
from rome.values import SqlType


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Base of every node."""

    at: int = field(default=0, compare=False)


# ---- expressions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """NULL, TRUE, FALSE, 12, 1.5 (Decimal), 1e3 (float), 'text', X'00' as Python values."""

    value: object


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """`:name`, or the n-th `?` as name "?n" with n from 1."""

    name: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A column: (column,) or (table, column)."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Star(Node):
    """`*` or `table.*`."""

    table: str | None = None


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`op` is one of: NOT, -, ~, IS NULL, IS TRUE, IS FALSE."""

    op: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`op` is one of: AND OR = <> < <= > >= + - * / % || & | ^ << >> -> ->> IS (not distinct from), IS NOT."""

    op: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Row(Node):
    """(a, b, …) with two items or more."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class InList(Node):
    """operand IN (items); NOT IN is a Unary NOT around it."""

    operand: Expression
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class InArray(Node):
    """operand IN UNNEST(:name): the parameter's value is a sequence."""

    operand: Expression
    parameter: Parameter


@dataclass(frozen=True, slots=True)
class InQuery(Node):
    operand: Expression
    query: Query


@dataclass(frozen=True, slots=True)
class Exists(Node):
    query: Query


@dataclass(frozen=True, slots=True)
class ScalarQuery(Node):
    query: Query


@dataclass(frozen=True, slots=True)
class Like(Node):
    operand: Expression
    pattern: Expression
    escape: Expression | None = None
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Between(Node):
    operand: Expression
    low: Expression
    high: Expression


@dataclass(frozen=True, slots=True)
class Case(Node):
    """CASE [operand] WHEN a THEN b … [ELSE default] END."""

    operand: Expression | None
    whens: tuple[tuple[Expression, Expression], ...]
    default: Expression | None


@dataclass(frozen=True, slots=True)
class Cast(Node):
    operand: Expression
    type: SqlType


@dataclass(frozen=True, slots=True)
class Function(Node):
    """A call; `name` in lower case. `count(*)` has `star`. EXTRACT(year FROM x) is extract('year', x).

    CURRENT_TIMESTAMP and the like, with or without parentheses, are calls without arguments.
    """

    name: str
    arguments: tuple[Expression, ...]
    star: bool = False
    distinct: bool = False
    filter: Expression | None = None
    order_by: tuple[OrderItem, ...] = ()


@dataclass(frozen=True, slots=True)
class FrameBound(Node):
    """`kind` is UNBOUNDED PRECEDING, PRECEDING, CURRENT ROW, FOLLOWING or UNBOUNDED FOLLOWING.

    `offset` stands before PRECEDING and FOLLOWING alone.
    """

    kind: str
    offset: Expression | None = None


@dataclass(frozen=True, slots=True)
class Frame(Node):
    """`kind` is ROWS, RANGE or GROUPS; `exclude` is NO OTHERS, CURRENT ROW, GROUP or TIES."""

    kind: str
    start: FrameBound
    end: FrameBound
    exclude: str = "NO OTHERS"


@dataclass(frozen=True, slots=True)
class WindowDefinition(Node):
    """(base PARTITION BY … ORDER BY … frame); `base` names another one."""

    base: str | None = None
    partition_by: tuple[Expression, ...] = ()
    order_by: tuple[OrderItem, ...] = ()
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Window(Node):
    """function OVER name, or OVER (definition)."""

    function: Function
    over: str | WindowDefinition


@dataclass(frozen=True, slots=True)
class NextValue(Node):
    """NEXT VALUE FOR sequence."""

    sequence: str


@dataclass(frozen=True, slots=True)
class Interval(Node):
    """INTERVAL '3' DAY: `unit` is year, month, week, day, hour, minute, second, in lower case."""

    value: Expression
    unit: str


@dataclass(frozen=True, slots=True)
class DefaultValue(Node):
    """DEFAULT in a VALUES list or on the right of a SET."""


Expression = (
    Literal | Parameter | Name | Star | Unary | Binary | Row | InList | InArray | InQuery | Exists | ScalarQuery
    | Like | Between | Case | Cast | Function | Window | Interval | DefaultValue
)  # fmt: skip


# ---- queries -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SelectItem(Node):
    expression: Expression
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class OrderItem(Node):
    """`nulls_first` is None when the text does not say: NULLs come first ascending and last descending."""

    expression: Expression
    descending: bool = False
    nulls_first: bool | None = None


@dataclass(frozen=True, slots=True)
class TableName(Node):
    name: str
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Derived(Node):
    """[LATERAL] (query) AS alias (columns…)."""

    query: Query
    alias: str | None
    columns: tuple[str, ...] = ()
    lateral: bool = False


@dataclass(frozen=True, slots=True)
class Join(Node):
    """`kind` is INNER, LEFT, RIGHT, FULL or CROSS."""

    kind: str
    left: FromItem
    right: FromItem
    on: Expression | None = None
    using: tuple[str, ...] = ()


FromItem = TableName | Derived | Join


@dataclass(frozen=True, slots=True)
class Select(Node):
    items: tuple[SelectItem, ...]
    source: FromItem | None = None
    where: Expression | None = None
    group_by: tuple[Expression, ...] = ()
    having: Expression | None = None
    windows: tuple[tuple[str, WindowDefinition], ...] = ()
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Values(Node):
    """VALUES (…), (…): at least one row, all of one length."""

    rows: tuple[tuple[Expression, ...], ...]


@dataclass(frozen=True, slots=True)
class SetOperation(Node):
    """`kind` is UNION, INTERSECT or EXCEPT."""

    kind: str
    all: bool
    left: Query
    right: Query


@dataclass(frozen=True, slots=True)
class CommonTable(Node):
    """One WITH item; `recursive` says that it stands behind WITH RECURSIVE, `materialized` whether it says so."""

    name: str
    query: Query
    columns: tuple[str, ...] = ()
    recursive: bool = False
    materialized: bool | None = None


@dataclass(frozen=True, slots=True)
class Lock(Node):
    """FOR UPDATE, or a weaker clause that is read as it. `of` are the tables it names, () for all of them."""

    of: tuple[TableName, ...] = ()
    patience: Patience = Patience.WAIT


@dataclass(frozen=True, slots=True)
class Query(Node):
    """A body with what may follow it. `percent` and `ties` say that `limit` is of FETCH FIRST n PERCENT, WITH TIES."""

    body: Select | SetOperation | Values
    order_by: tuple[OrderItem, ...] = ()
    limit: Expression | None = None
    offset: Expression | None = None
    common_tables: tuple[CommonTable, ...] = ()
    lock: Lock | None = None
    percent: bool = False
    ties: bool = False


# ---- changes of rows -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnConflict(Node):
    """ON CONFLICT (columns) [WHERE predicate] or ON CONSTRAINT, and what then: `assignments` is () for DO NOTHING."""

    columns: tuple[Name, ...]
    predicate: Expression | None
    constraint: str | None
    assignments: tuple[tuple[Name, Expression], ...] = ()
    where: Expression | None = None


@dataclass(frozen=True, slots=True)
class Insert(Node):
    """`columns` is () when none are named; `source` is None for DEFAULT VALUES.

    `overriding`: OVERRIDING SYSTEM VALUE, so that a column that is GENERATED ALWAYS AS IDENTITY takes what is given.
    """

    table: TableName
    columns: tuple[Name, ...]
    source: Query | None
    conflict: OnConflict | None = None
    returning: tuple[SelectItem, ...] = ()
    common_tables: tuple[CommonTable, ...] = ()
    overriding: bool = False


@dataclass(frozen=True, slots=True)
class Update(Node):
    """`source` is what stands in FROM."""

    table: TableName
    assignments: tuple[tuple[Name, Expression], ...]
    source: FromItem | None = None
    where: Expression | None = None
    returning: tuple[SelectItem, ...] = ()
    common_tables: tuple[CommonTable, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete(Node):
    """`source` is what stands behind USING."""

    table: TableName
    source: FromItem | None = None
    where: Expression | None = None
    returning: tuple[SelectItem, ...] = ()
    common_tables: tuple[CommonTable, ...] = ()


# ---- definitions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextExpression(Node):
    """An expression that the catalogue keeps as text: a default or a CHECK condition, as `sql`, and parsed."""

    sql: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class PrimaryKeyConstraint(Node):
    name: str | None
    columns: tuple[str, ...]
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class UniqueConstraint(Node):
    name: str | None
    columns: tuple[str, ...]
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignKeyConstraint(Node):
    """`target_columns` is () when the text names none: the target's primary key."""

    name: str | None
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    deferrable: bool | None = None
    initially: str | None = None
    enforced: bool = True
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class CheckConstraint(Node):
    name: str | None
    condition: TextExpression
    comment: str | None = None


Constraint = PrimaryKeyConstraint | UniqueConstraint | ForeignKeyConstraint | CheckConstraint


@dataclass(frozen=True, slots=True)
class NumberOptions(Node):
    """What a sequence or an identity column says of its numbers; None: nothing, or NO MINVALUE, NO MAXVALUE."""

    start: int | None = None
    increment: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    cycle: bool = False
    cache: int | None = None


@dataclass(frozen=True, slots=True)
class IdentityDefinition(Node):
    """GENERATED ALWAYS, or BY DEFAULT, AS IDENTITY (options)."""

    always: bool
    options: NumberOptions


@dataclass(frozen=True, slots=True)
class ComputedDefinition(Node):
    """GENERATED ALWAYS AS (expression) STORED, which is also meant without a word, or VIRTUAL."""

    text: TextExpression
    stored: bool = True


@dataclass(frozen=True, slots=True)
class ColumnDefinition(Node):
    """A column; constraints written beside it stand in `constraints` as if written below it.

    One with an `identity` is `autoincrement`, too.
    """

    name: str
    type: SqlType
    nullable: bool = True
    default: TextExpression | None = None
    autoincrement: bool = False
    comment: str | None = None
    constraints: tuple[Constraint, ...] = ()
    identity: IdentityDefinition | None = None
    computed: ComputedDefinition | None = None


@dataclass(frozen=True, slots=True)
class CreateTable(Node):
    name: str
    columns: tuple[ColumnDefinition, ...]
    constraints: tuple[Constraint, ...] = ()
    if_not_exists: bool = False
    comment: str | None = None
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class CreateTableAs(Node):
    """CREATE TABLE name (columns) AS query; `columns` is () when the query's own names are the table's."""

    name: str
    columns: tuple[str, ...]
    query: Query
    if_not_exists: bool = False
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class CreateView(Node):
    """`sql` is the text of `query`; `columns` is () when the text gives the view's columns no names of their own."""

    name: str
    sql: str
    query: Query
    columns: tuple[str, ...] = ()
    replacing: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropView(Node):
    names: tuple[str, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateSequence(Node):
    name: str
    options: NumberOptions
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropSequence(Node):
    names: tuple[str, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropTable(Node):
    names: tuple[str, ...]
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class CreateIndex(Node):
    """`descending` are those of `columns` behind which DESC stands; `lengths` what stands in brackets behind them."""

    name: str
    table: str
    columns: tuple[str, ...]
    unique: bool = False
    if_not_exists: bool = False
    descending: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    concurrently: bool = False


@dataclass(frozen=True, slots=True)
class DropIndex(Node):
    """`table` is None when the text does not say ON which."""

    name: str
    table: str | None = None
    if_exists: bool = False
    concurrently: bool = False


@dataclass(frozen=True, slots=True)
class AddColumn(Node):
    column: ColumnDefinition


@dataclass(frozen=True, slots=True)
class DropColumn(Node):
    name: str
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameColumn(Node):
    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class AlterColumn(Node):
    """Changes of one column; None leaves that part as it is. `drop_default` wins over `default`."""

    name: str
    type: SqlType | None = None
    nullable: bool | None = None
    default: TextExpression | None = None
    drop_default: bool = False


@dataclass(frozen=True, slots=True)
class RenameTable(Node):
    new_name: str


@dataclass(frozen=True, slots=True)
class AddConstraint(Node):
    constraint: Constraint


@dataclass(frozen=True, slots=True)
class DropConstraint(Node):
    """`name` is None for DROP PRIMARY KEY."""

    name: str | None
    if_exists: bool = False


AlterAction = (
    AddColumn | DropColumn | RenameColumn | AlterColumn | RenameTable | AddConstraint | DropConstraint
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AlterTable(Node):
    name: str
    actions: tuple[AlterAction, ...]


@dataclass(frozen=True, slots=True)
class CommentOn(Node):
    """COMMENT ON TABLE table, COLUMN table.column, or CONSTRAINT constraint ON table, IS text (None removes it)."""

    table: str
    column: str | None
    text: str | None
    constraint: str | None = None


@dataclass(frozen=True, slots=True)
class Explain(Node):
    statement: Statement
    analyze: bool = False


Definition = (
    CreateTable | CreateTableAs | CreateView | CreateSequence | CreateIndex | DropTable | DropView | DropSequence
    | DropIndex | AlterTable | CommentOn
)  # fmt: skip
Statement = Query | Insert | Update | Delete | Definition | Explain
