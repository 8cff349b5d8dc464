"""Random INSERT, UPDATE and DELETE statements as SQL text.

SQLite's UPDATE may show its own subqueries rows that it has changed already. So it is told which rows first, by a query
that it computes before any change, and values come from other tables.
"""

from __future__ import annotations

from random import Random

from tests.second_opinion.expressions import Sight, Source, either
from tests.second_opinion.queries import QueryMaker, Statement
from tests.second_opinion.schema import INTEGER, Column, Table, literal, some_rows, some_value


class ChangeMaker(QueryMaker):
    def __init__(self, random: Random, tables: list[Table]) -> None:
        super().__init__(random, tables)

    def change(self) -> Statement:
        table = self.random.choice(self.tables)
        make = self.random.choice([self._insert_values, self._insert_query, self._update, self._update, self._delete])
        return Statement(make(table), self.parameters, changes=True)

    def _insert_values(self, table: Table) -> str:
        rows = some_rows(self.random, table)[: self.random.randint(1, 4)] or [self._row(table)]
        names = [column.name for column in table.columns]
        texts = []
        for row in rows:
            values = [literal(value) for value in row]
            if "id" in names and self.random.random() < 0.9:
                values[names.index("id")] = str(self.random.randint(20, 2000))
            texts.append(f"({', '.join(values)})")
        return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join(texts)}"

    def _row(self, table: Table) -> tuple[object, ...]:
        return tuple(some_value(self.random, column.type) for column in table.columns)

    def _insert_query(self, table: Table) -> str:
        sources, text = self._from(Sight([]), 1, 1)
        sight = Sight(sources)
        items = []
        for column in table.columns:
            if column.name == "id":
                items.append(f"coalesce({self.leaf(INTEGER, sight)}, 0) + {self.random.randint(2000, 9000)}")
            else:
                items.append(self._stored(column, sight))
        names = ", ".join(column.name for column in table.columns)
        return (
            f"INSERT INTO {table.name} ({names}) SELECT {', '.join(items)} FROM {text} WHERE {self.condition(sight, 1)}"
        )

    def _stored(self, column: Column, sight: Sight) -> str:
        """An expression for a column: small, so that numbers do not grow from one change to the next."""
        leaf = self.leaf(column.type, sight)
        if not column.nullable:
            return f"coalesce({leaf}, {literal(some_value(self.random, column.type))})"
        return leaf

    def _update(self, table: Table) -> str:
        own = Source(table.name, tuple((column.name, column.type) for column in table.columns))
        others = [other for other in self.tables if other is not table]
        free = [column for column in table.columns if column.name not in table.guarded()] or list(table.columns)
        chosen = self.random.sample(free, k=min(len(free), self.random.randint(1, 2)))
        assignments = []
        for column in chosen:
            if column.name in table.guarded():
                value = literal(some_value(self.random, column.type))
            elif others and self.random.random() < 0.25:
                value = self._from_another(column, own, self.random.choice(others))
            elif column.type == INTEGER and self.random.random() < 0.3:
                value = f"{column.name} + 1"
            else:
                value = self._stored(column, Sight([own]))
            assignments.append(f"{column.name} = {value}")
        condition = self.condition(Sight([own]), 2) if self.random.random() < 0.9 else "1 = 1"
        chosen = either(condition, f"rowid IN (SELECT rowid FROM {table.name} WHERE {condition})")
        return f"UPDATE {table.name} SET {', '.join(assignments)} WHERE {chosen}"

    def _from_another(self, column: Column, own: Source, other: Table) -> str:
        source = Source(self._alias(), tuple((each.name, each.type) for each in other.columns))
        argument = self.leaf(column.type, Sight([source]))
        equality = self._equality([source], [own])
        where = f" WHERE {equality}" if equality else ""
        value = f"(SELECT min({argument}) FROM {other.name} AS {source.alias}{where})"
        return value if column.nullable else f"coalesce({value}, {literal(some_value(self.random, column.type))})"

    def _delete(self, table: Table) -> str:
        own = Source(table.name, tuple((column.name, column.type) for column in table.columns))
        narrow = f" AND {self.leaf(INTEGER, Sight([own]))} % 4 = 1"
        return f"DELETE FROM {table.name} WHERE ({self.condition(Sight([own]), 2)}){narrow}"
