"""What a table is: immutable descriptions, as the catalogue stores them.

A column has an id that never changes; its name and its place among the others may. Constraints and indexes speak of
column ids, so renaming a column touches nothing else. `Table.layouts` keeps every order of column ids in which rows
were ever written, by layout number: ALTER TABLE ADD or DROP COLUMN writes no row (see rowcode).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from rome.values import SqlType


@dataclass(frozen=True)
class Numbering:
    """Which numbers a sequence or an identity column gives, in their order: `start`, `start + increment` and so on.

    They lie between `minimum` and `maximum`, both included. Behind the last one stands, with `cycle`, the first of the
    other end; without it nothing. A process takes `cache` of them from the store at a time, None: as it thinks best.
    """

    start: int = 1
    increment: int = 1
    minimum: int = 1
    maximum: int = (1 << 63) - 1
    cycle: bool = False
    cache: int | None = None


@dataclass(frozen=True)
class Identity:
    """GENERATED AS IDENTITY: with `always` an INSERT may not give the column a value."""

    always: bool
    numbers: Numbering


@dataclass(frozen=True)
class Computed:
    """GENERATED ALWAYS AS (`sql`), of other columns of the row. `stored` is what was declared: VIRTUAL is kept, too."""

    sql: str
    stored: bool = True


@dataclass(frozen=True)
class Column:
    """One column.

    `default` is the SQL text of its server default, None for none. `missing` is the value that rows written before
    the column was added have. `autoincrement` columns take the next number of the table's sequence when an INSERT
    gives none; `identity` says which numbers, None for 1, 2, 3 and so on.
    """

    id: int
    name: str
    type: SqlType
    nullable: bool = True
    default: str | None = None
    missing: object = None
    autoincrement: bool = False
    comment: str | None = None
    identity: Identity | None = None
    computed: Computed | None = None


@dataclass(frozen=True)
class Index:
    """An ordered index over `columns` (ids), the primary key appended implicitly.

    `constraint` is True when it is the index behind a UNIQUE constraint (and so is reflected as one); `hidden` when
    ROME made it for a foreign key (and so is not reflected). `descending` are those of `columns` that were declared
    DESC: nothing but reflection looks at them, as an index is read either way. `lengths` are how many characters (of
    binary strings, bytes) of each column an entry holds, 0 for all of them; () where it holds all of every column.
    `building` is True while CREATE INDEX CONCURRENTLY makes its entries: every change keeps it, nothing reads it.
    """

    id: int
    name: str | None
    columns: tuple[int, ...]
    unique: bool = False
    constraint: bool = False
    hidden: bool = False
    descending: tuple[int, ...] = ()
    comment: str | None = None
    lengths: tuple[int, ...] = ()
    building: bool = False

    def length(self, place: int) -> int:
        """How much of the column at `place` an entry holds; 0: all."""
        return self.lengths[place] if self.lengths else 0

    @property
    def whole(self) -> tuple[int, ...]:
        """The first of `columns`, as far as an entry holds all of them."""
        cut = next((place for place, length in enumerate(self.lengths) if length), len(self.columns))
        return self.columns[:cut]


class Action:
    """Referential actions, as SQL spells them."""

    NO_ACTION = "NO ACTION"
    RESTRICT = "RESTRICT"
    CASCADE = "CASCADE"
    SET_NULL = "SET NULL"
    SET_DEFAULT = "SET DEFAULT"


@dataclass(frozen=True)
class ForeignKey:
    """`columns` (ids) of this table reference `target_columns` (names) of the table called `target`.

    `deferrable` and `initially` are what the text said; the constraint is checked by each statement. One that is not
    `enforced` is declared and reflected, and no row is looked at for it.
    """

    name: str | None
    columns: tuple[int, ...]
    target: str
    target_columns: tuple[str, ...]
    on_delete: str = Action.NO_ACTION
    on_update: str = Action.NO_ACTION
    deferrable: bool | None = None
    initially: str | None = None
    comment: str | None = None
    enforced: bool = True


@dataclass(frozen=True)
class Check:
    """A CHECK constraint; `sql` is the condition's text, with the column names of today."""

    name: str | None
    sql: str
    comment: str | None = None


@dataclass(frozen=True)
class Table:
    """One table.

    `primary_key` holds column ids, () for a table without one: its rows are then keyed by a hidden row number.
    `layouts[layout]` is the tuple of column ids in which rows are written today. A `temporary` table is its
    connection's alone: neither its description nor its rows are ever in the store. `dropped` are indexes whose entries
    DROP INDEX CONCURRENTLY has still to erase: nothing reads them, and no change keeps them.
    """

    id: int
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[int, ...] = ()
    primary_key_name: str | None = None
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    comment: str | None = None
    layout: int = 1
    layouts: dict[int, tuple[int, ...]] = field(default_factory=dict)
    next_id: int = 1  # for the next column or index
    primary_key_comment: str | None = None
    temporary: bool = False
    dropped: tuple[Index, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by name, lower case (SQL names are case-insensitive unless two differ by case alone)."""
        return {column.name.lower(): column for column in self.columns}

    @cached_property
    def position(self) -> dict[int, int]:
        """The place of each column id in a row tuple."""
        return {column.id: place for place, column in enumerate(self.columns)}

    @cached_property
    def primary_positions(self) -> tuple[int, ...]:
        """The places of the primary key's columns in a row tuple."""
        return tuple(self.position[column] for column in self.primary_key)

    @cached_property
    def number_place(self) -> int | None:
        """The place of the AUTOINCREMENT column in a row tuple, if there is one."""
        return next((place for place, column in enumerate(self.columns) if column.autoincrement), None)

    @cached_property
    def numbering(self) -> Numbering | None:
        """Which numbers the table's column gets; None for 1, 2, 3 and so on."""
        return next((column.identity.numbers for column in self.columns if column.identity is not None), None)

    @cached_property
    def is_plain(self) -> bool:
        """Whether a ROME may work on the table that knows nothing of identity and computed columns, of indexes that
        hold some of their columns' characters, and of those that are being built or erased.
        """
        return not (
            self.dropped
            or any(column.identity or column.computed for column in self.columns)
            or any(index.lengths or index.building for index in self.indexes)
        )

    @cached_property
    def ready_indexes(self) -> tuple[Index, ...]:
        """Those that can be read: the others have not all of their entries yet."""
        return tuple(index for index in self.indexes if not index.building)

    def names(self, columns: tuple[int, ...]) -> tuple[str, ...]:
        """The names of `columns`, given by id."""
        return tuple(self.columns[self.position[column]].name for column in columns)


@dataclass(frozen=True)
class View:
    """A query with a name. `sql` is its text, read anew by each statement that uses it.

    `columns` are the names that the view gives to the query's columns, () for the query's own.
    """

    id: int
    name: str
    sql: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sequence:
    """A generator of numbers. How many it has given is a counter of the store, outside every transaction."""

    id: int
    name: str
    numbers: Numbering


@dataclass(frozen=True)
class Catalog:
    """Every table, view and sequence at one version; immutable. All are found by name, in lower case.

    `version` is the version cell's number (0: nothing was ever made). `temporary` are the tables of the connection
    alone. Tables and views share their names; sequences have names of their own.
    """

    version: int
    shared: dict[str, Table]
    views: dict[str, View] = field(default_factory=dict)
    sequences: dict[str, Sequence] = field(default_factory=dict)
    temporary: dict[str, Table] = field(default_factory=dict)

    @cached_property
    def is_plain(self) -> bool:
        """Whether a ROME of the first format may work on the namespace."""
        return not self.views and not self.sequences and all(table.is_plain for table in self.shared.values())

    @cached_property
    def tables(self) -> dict[str, Table]:
        """Every table that a statement sees: a temporary one hides another of its name."""
        return {**self.shared, **self.temporary} if self.temporary else self.shared

    @cached_property
    def shared_only(self) -> Catalog:
        """What every connection sees."""
        return replace(self, temporary={}) if self.temporary else self

    def view(self, name: str) -> View | None:
        """The view called `name`; a table of the same name, which can only be a temporary one, hides it."""
        return None if name.lower() in self.tables else self.views.get(name.lower())

    def has(self, entry: Table | View | Sequence) -> bool:
        """Whether this very table, view or sequence is what its name means."""
        name = entry.name.lower()
        if isinstance(entry, Table):
            return self.tables.get(name) is entry
        return (self.view(name) if isinstance(entry, View) else self.sequences.get(name)) is entry

    def referrers(self, table: Table) -> list[tuple[Table, ForeignKey]]:
        """Every reference to `table`: whose, and the foreign key. No one references a temporary table."""
        return [] if table.temporary else self._referrers.get(table.name.lower(), [])

    @cached_property
    def _referrers(self) -> dict[str, list[tuple[Table, ForeignKey]]]:
        found: dict[str, list[tuple[Table, ForeignKey]]] = {}
        for table in self.shared.values():
            for key in table.foreign_keys:
                found.setdefault(key.target.lower(), []).append((table, key))
        return found

    def with_table(self, table: Table) -> Catalog:
        """For a trial: this catalogue with `table`, shared, in the place of any of its name."""
        return replace(self, shared={**self.shared, table.name.lower(): table})
