"""What a table is: immutable descriptions, as the catalogue stores them.

A column has an id that never changes; its name and its place among the others may. Constraints and indexes speak of
column ids, so renaming a column touches nothing else. `Table.layouts` keeps every order of column ids in which rows
were ever written, by layout number: ALTER TABLE ADD or DROP COLUMN writes no row (see rowcode).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from rome.values import SqlType


@dataclass(frozen=True)
class Column:
    """One column.

    `default` is the SQL text of its server default, None for none. `missing` is the value that rows written before
    the column was added have. `autoincrement` columns take the next number of the table's sequence when an INSERT
    gives none.
    """

    id: int
    name: str
    type: SqlType
    nullable: bool = True
    default: str | None = None
    missing: object = None
    autoincrement: bool = False
    comment: str | None = None


@dataclass(frozen=True)
class Index:
    """An ordered index over `columns` (ids), the primary key appended implicitly.

    `constraint` is True when it is the index behind a UNIQUE constraint (and so is reflected as one); `hidden` when
    ROME made it for a foreign key (and so is not reflected).
    """

    id: int
    name: str | None
    columns: tuple[int, ...]
    unique: bool = False
    constraint: bool = False
    hidden: bool = False


class Action:
    """Referential actions, as SQL spells them."""

    NO_ACTION = "NO ACTION"
    RESTRICT = "RESTRICT"
    CASCADE = "CASCADE"
    SET_NULL = "SET NULL"
    SET_DEFAULT = "SET DEFAULT"


@dataclass(frozen=True)
class ForeignKey:
    """`columns` (ids) of this table reference `target_columns` (names) of the table called `target`."""

    name: str | None
    columns: tuple[int, ...]
    target: str
    target_columns: tuple[str, ...]
    on_delete: str = Action.NO_ACTION
    on_update: str = Action.NO_ACTION


@dataclass(frozen=True)
class Check:
    """A CHECK constraint; `sql` is the condition's text, with the column names of today."""

    name: str | None
    sql: str


@dataclass(frozen=True)
class Table:
    """One table.

    `primary_key` holds column ids, () for a table without one: its rows are then keyed by a hidden row number.
    `layouts[layout]` is the tuple of column ids in which rows are written today.
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

    def names(self, columns: tuple[int, ...]) -> tuple[str, ...]:
        """The names of `columns`, given by id."""
        return tuple(self.columns[self.position[column]].name for column in columns)


@dataclass(frozen=True)
class Catalog:
    """Every table at one version; immutable. `version` is the version cell's number (0: no table was ever made).

    `referrers[name]` lists (table, foreign key) of every reference to the table called `name`.
    """

    version: int
    tables: dict[str, Table]  # by name, lower case

    @cached_property
    def referrers(self) -> dict[str, list[tuple[Table, ForeignKey]]]:
        found: dict[str, list[tuple[Table, ForeignKey]]] = {}
        for table in self.tables.values():
            for key in table.foreign_keys:
                found.setdefault(key.target.lower(), []).append((table, key))
        return found
