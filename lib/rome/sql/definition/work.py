"""What every definition works with: the catalogue that it changes, and the names in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rome.errors import DuplicateColumn, ProgrammingError, UndefinedColumn, UndefinedTable
from rome.sql.parse import kept
from rome.sql.scope import did_you_mean
from rome.table.keys import Keys
from rome.table.rowcode import Row
from rome.table.schema import Catalog, Check, Column, Table, View
from rome.txn.transaction import Transaction

RowCondition = Callable[[Row], object]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What needs expressions to be evaluated.

    `constant` gives the value of a column's default, converted to the column's type; `condition` makes of a CHECK's
    text a function from a row of the table to True, False or None (unknown), `computed` of a computed column one to its
    value. `view` reads a view of a catalogue as a query would. All raise when the text does not fit.
    """

    constant: Callable[[Table, Column], object]
    condition: Callable[[Table, str], RowCondition]
    computed: Callable[[Table, Column], Callable[[Row], object]]
    view: Callable[[Catalog, View], object]


@dataclass(frozen=True, slots=True)
class Work:
    """What every definition needs; `catalog` is the one that it changes."""

    tx: Transaction
    keys: Keys
    catalog: Catalog
    hooks: Hooks

    def table(self, name: str) -> Table:
        found = self.catalog.tables.get(name.lower())
        if found is None and self.catalog.view(name) is not None:
            raise ProgrammingError(f'"{name}" is a view, not a table', sqlstate="42809")
        if found is None:
            known = [table.name for table in self.catalog.tables.values()]
            raise UndefinedTable(f'table "{name}" does not exist{did_you_mean(name, known)}')
        return found


def is_taken(catalog: Catalog, name: str) -> bool:
    return name.lower() in catalog.tables or name.lower() in catalog.views


def find_column(table: Table, name: str) -> Column:
    found = table.by_name.get(name.lower())
    if found is None:
        hint = did_you_mean(name, [column.name for column in table.columns])
        raise UndefinedColumn(f'column "{name}" of table "{table.name}" does not exist{hint}')
    return found


def ids_of(table: Table, names: tuple[str, ...]) -> tuple[int, ...]:
    """Column ids by name; DuplicateColumn when a key names one twice."""
    ids = tuple(find_column(table, name).id for name in names)
    if len(set(ids)) != len(ids):
        raise DuplicateColumn(f'a key of table "{table.name}" names a column twice: {", ".join(names)}')
    return ids


def constraint_names(table: Table) -> dict[str, str]:
    """The names of a table's constraints by their lower case."""
    names = [table.primary_key_name, *(key.name for key in table.foreign_keys), *(check.name for check in table.checks)]
    names += [index.name for index in table.indexes if index.constraint]
    return {name.lower(): name for name in names if name is not None}


def condition_of(work: Work, table: Table, check: Check) -> RowCondition:
    """The condition of a CHECK. A column in it stands alone: the table's name may change."""
    if kept.has_qualified_names(check.sql):
        raise ProgrammingError(f"write the columns of a CHECK without a table name: {check.sql}", sqlstate="42P10")
    return work.hooks.condition(table, check.sql)
