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
        makers = [self._insert_values, self._insert_query, self._update, self._update, self._update_from, self._delete]
        if table.primary_key == ("id",):
            makers += [self._upsert, self._upsert_query]
        return Statement(self.random.choice(makers)(table), self.parameters, changes=True)

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

    def _upsert(self, table: Table) -> str:
        """Rows of which some are there already; no two have one primary key, which SQLite would take."""
        keys = self.random.sample(range(24), k=self.random.randint(1, 4))
        values = [literal(value) for key in keys for value in (key, *self._row(table)[1:])]
        width = len(table.columns)
        rows = [f"({', '.join(values[start : start + width])})" for start in range(0, len(values), width)]
        names = ", ".join(column.name for column in table.columns)
        return f"INSERT INTO {table.name} ({names}) VALUES {', '.join(rows)} {self._on_conflict(table)}"

    def _upsert_query(self, table: Table) -> str:
        columns = [
            "n.id" if column.name == "id" else literal(some_value(self.random, column.type)) for column in table.columns
        ]
        names = ", ".join(column.name for column in table.columns)
        keys = f"SELECT id FROM {table.name} WHERE id % 3 = 1 UNION SELECT {self.random.randint(0, 40)}"
        query = f"SELECT {', '.join(columns)} FROM ({keys}) AS n WHERE 1 = 1"
        return f"INSERT INTO {table.name} ({names}) {query} {self._on_conflict(table)}"

    def _on_conflict(self, table: Table) -> str:
        free = [column for column in table.columns if column.name not in table.guarded()]
        if not free or self.random.random() < 0.3:
            return self.random.choice(["ON CONFLICT DO NOTHING", "ON CONFLICT (id) DO NOTHING"])
        chosen = self.random.sample(free, k=min(len(free), self.random.randint(1, 2)))
        assignments = []
        for column in chosen:
            value = self.random.choice([f"excluded.{column.name}", f"{table.name}.{column.name}"])
            if column.type == INTEGER and self.random.random() < 0.5:
                value = f"{table.name}.{column.name} + excluded.{column.name}"
            if not column.nullable:
                value = f"coalesce({value}, {literal(some_value(self.random, column.type))})"
            assignments.append(f"{column.name} = {value}")
        where = ""
        if self.random.random() < 0.4:
            own = Source(self.random.choice([table.name, "excluded"]), tuple((c.name, c.type) for c in table.columns))
            where = f" WHERE {self.condition(Sight([own]), 0)}"
        return f"ON CONFLICT (id) DO UPDATE SET {', '.join(assignments)}{where}"

    def _update_from(self, table: Table) -> str:
        """From a query that has one row for each value of the column that it is found by."""
        free = [column for column in table.columns if column.name not in table.guarded()]
        keys = [column for column in table.columns if column.type == INTEGER]
        other = self.random.choice(self.tables)
        found_by = [column for column in other.columns if column.type == INTEGER]
        if not (free and keys and found_by):
            return self._update(table)
        column, key = self.random.choice(free), self.random.choice(keys)
        by, alias = self.random.choice(found_by), self._alias()
        source = Source(alias, tuple((each.name, each.type) for each in other.columns))
        value = f"min({self.leaf(column.type, Sight([source]))})"
        query = f"SELECT {alias}.{by.name} AS k, {value} AS v FROM {other.name} AS {alias} GROUP BY {alias}.{by.name}"
        new = "q.v" if column.nullable else f"coalesce(q.v, {literal(some_value(self.random, column.type))})"
        return f"UPDATE {table.name} SET {column.name} = {new} FROM ({query}) AS q WHERE q.k = {table.name}.{key.name}"

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
