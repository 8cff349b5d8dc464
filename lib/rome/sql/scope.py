"""Names: which column a name means, in a query and in the queries around it; and what all of a statement shares."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from rome.errors import AmbiguousColumn, Place, UndefinedColumn, UndefinedTable
from rome.sql.bound import ColumnRef, OuterRef, Slot
from rome.sql.plan import Plan, SlotSource
from rome.sql.syntax import CommonTable, Name
from rome.table.schema import Catalog, Sequence, Table, View
from rome.values import SqlType


@dataclass(slots=True)
class Relation:
    """One item of a FROM clause: its alias, and its columns by lower-case name, in order.

    `merged` names the columns that a USING clause gives to the relation on its left. `locked` says that it is a query
    with a FOR UPDATE of its own.
    """

    alias: str
    columns: list[tuple[str, ColumnRef]]
    table: Table | None = None
    merged: set[str] = field(default_factory=set)
    locked: bool = False

    def find(self, name: str) -> list[ColumnRef]:
        return [column for known, column in self.columns if known == name]


@dataclass(slots=True)
class CommonItem:
    """A WITH item in sight, and the scope it was written in; `uses` counts the places that name it.

    `shared` are the slot of its rows and their columns, once it is known to run first. In the recursive part of its own
    query `working` are the number and the columns of the table that it is there.
    """

    item: CommonTable
    around: Scope
    uses: int
    shared: tuple[Slot, tuple[ColumnRef, ...]] | None = None
    working: tuple[int, tuple[ColumnRef, ...]] | None = None


@dataclass(slots=True)
class Scope:
    """The relations a query sees; `parent` is the scope of the query around it.

    `free` gathers the columns of enclosing queries that this one (or one inside it) uses: what makes it correlated.
    `common` holds the WITH items that this query declares, by lower-case name.
    `lateral` are the columns of its own FROM that a LATERAL item there uses and that no join has given to it so far.
    """

    sql: str
    parent: Scope | None = None
    relations: list[Relation] = field(default_factory=list)
    free: set[int] = field(default_factory=set)
    common: dict[str, CommonItem] = field(default_factory=dict)
    lateral: set[int] = field(default_factory=set)

    def common_table(self, name: str) -> CommonItem | None:
        """The WITH item called `name` that this query sees."""
        scope: Scope | None = self
        while scope is not None:
            if name.lower() in scope.common:
                return scope.common[name.lower()]
            scope = scope.parent
        return None

    def use_common(self, name: str, free: set[int]) -> None:
        """Take over what the WITH item called `name` uses of enclosing queries, up to the query that declares it."""
        scope: Scope | None = self
        while scope is not None:
            scope.free |= free
            if name.lower() in scope.common:
                return
            scope = scope.parent

    def add(self, relation: Relation, at: int) -> None:
        """Take in a relation; its alias must be new."""
        if any(relation.alias.lower() == known.alias.lower() for known in self.relations):
            message = f'table name "{relation.alias}" is used twice: give one of them an alias'
            raise AmbiguousColumn(Place.at(self.sql, at).describe(message), sqlstate="42712")
        self.relations.append(relation)

    def relation(self, alias: str, at: int) -> Relation:
        """The relation called `alias` in this query."""
        for relation in self.relations:
            if relation.alias.lower() == alias.lower():
                return relation
        names = [relation.alias for relation in self.relations]
        message = f'no table "{alias}" in this query{did_you_mean(alias, names)}'
        raise UndefinedTable(Place.at(self.sql, at).describe(message))

    def resolve(self, name: Name) -> ColumnRef | OuterRef:
        """The column that `name` means, here or in an enclosing query."""
        found = self.own(name)
        if found is not None:
            return found
        passed = [self]
        scope = self.parent
        while scope is not None:
            found = scope.own(name)
            if found is not None:
                for inner in passed:
                    inner.free.add(found.column)
                return OuterRef(found.column, found.type, found.name)
            passed.append(scope)
            scope = scope.parent
        raise self._undefined(name)

    def own(self, name: Name) -> ColumnRef | None:
        """The column of this query that `name` means; None when there is none."""
        column = name.parts[-1].lower()
        found: list[ColumnRef] = []
        for relation in self.relations:
            if len(name.parts) == 2 and relation.alias.lower() != name.parts[0].lower():
                continue
            if len(name.parts) == 1 and column in relation.merged:
                continue
            found.extend(relation.find(column))
        if len(found) > 1:
            owners = ", ".join(
                f"{relation.alias}.{name.parts[-1]}" for relation in self.relations if relation.find(column)
            )
            message = f'column "{".".join(name.parts)}" is ambiguous: it could be {owners}'
            raise AmbiguousColumn(Place.at(self.sql, name.at).describe(message))
        return found[0] if found else None

    def _undefined(self, name: Name) -> UndefinedColumn | UndefinedTable:
        place = Place.at(self.sql, name.at)
        if len(name.parts) == 2:
            alias = name.parts[0].lower()
            scope: Scope | None = self
            while scope is not None:
                for relation in scope.relations:
                    if relation.alias.lower() == alias:
                        known = [column for column, _ in relation.columns]
                        hint = did_you_mean(name.parts[1], known)
                        return UndefinedColumn(place.describe(f'no column "{".".join(name.parts)}"{hint}'))
                scope = scope.parent
            names = [relation.alias for relation in self.relations]
            hint = did_you_mean(name.parts[0], names)
            return UndefinedTable(place.describe(f'no table "{name.parts[0]}" in this query{hint}'))
        known = [column for relation in self.relations for column, _ in relation.columns]
        return UndefinedColumn(place.describe(f'no column "{name.parts[0]}"{did_you_mean(name.parts[0], known)}'))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` when one of `known` is close to `name`, else nothing."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""


@dataclass(slots=True)
class StatementScope:
    """What all parts of one statement share while it is bound: the numbering of columns and slots."""

    sql: str
    catalog: Catalog
    slots: list[SlotSource] = field(default_factory=list)
    queries: list[Plan] = field(default_factory=list)
    parameters: set[str] = field(default_factory=set)
    entries: dict[int, Table | View | Sequence] = field(default_factory=dict)  # of the catalogue that it rests on
    expanding: set[int] = field(default_factory=set)  # the views whose queries are being planned
    columns: int = 0
    locks: bool = False  # FOR UPDATE stands somewhere in it
    named: dict[tuple[str, SqlType, bool], Slot] = field(default_factory=dict)

    def column(self, type_: SqlType, name: str = "", nullable: bool = True) -> ColumnRef:
        """A new column."""
        self.columns += 1
        return ColumnRef(self.columns, type_, name, nullable)

    def slot(
        self,
        type_: SqlType,
        *,
        name: str | None = None,
        query: int | None = None,
        array: bool = False,
        exists: bool = False,
        rows: bool = False,
        members: bool = False,
    ) -> Slot:
        """The slot that the parameter `name` fills as a `type_`, or a new one for the rows of query number `query`.

        One slot for one parameter: `f(:p)` in SELECT is then the same expression as `f(:p)` in GROUP BY.
        """
        if name is not None and (name, type_, array) in self.named:
            return self.named[name, type_, array]
        slot = Slot(len(self.slots), type_)
        column = ColumnRef(slot.index, type_)
        self.slots.append(SlotSource(slot.index, column, name, query, array, exists, rows, members))
        if name is not None:
            self.named[name, type_, array] = slot
        return slot

    def place(self, at: int) -> Place:
        return Place.at(self.sql, at)
