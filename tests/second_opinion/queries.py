"""Random queries as SQL text: joins, derived tables, subqueries, grouping, set operations, order and limits.

The answer to each is determined: LIMIT only follows an ORDER BY of all columns, and a query used as a value has one
row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from tests.second_opinion.expressions import ExpressionMaker, Sight, Source, either
from tests.second_opinion.schema import BOOLEAN, FLOAT, INTEGER, TEXT, Table

VIEWS = 0.15  # how often a view of a table stands in its place
ALL_TYPES = (INTEGER, INTEGER, TEXT, TEXT, BOOLEAN, FLOAT)
JOINS = ("JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "LEFT OUTER JOIN", "RIGHT JOIN", "CROSS JOIN")


@dataclass(frozen=True)
class Statement:
    """SQL, see `expressions.words_for`, and its parameters.

    `ordered` says how much of the order of the rows is determined: the first so many columns, or -1 for all of it.
    """

    sql: str
    parameters: dict[str, object]
    ordered: int = 0
    changes: bool = False


@dataclass(frozen=True)
class Body:
    """A SELECT without ORDER BY; `keys` are expressions that ORDER BY may use besides positions."""

    sql: str
    types: tuple[str, ...]
    keys: tuple[str, ...] = ()


class QueryMaker(ExpressionMaker):
    def __init__(self, random: Random, tables: list[Table]) -> None:
        super().__init__(random)
        self.tables = tables
        self._aliases = 0

    def query(self) -> Statement:
        """A whole statement."""
        prefix, extra = "", []
        if self.random.random() < 0.05:
            source, item = self._recursion()
            prefix, extra = f"WITH RECURSIVE {item} ", [source]
        elif self.random.random() < 0.08:
            body = self._body(Sight([]), 1, None)
            source = self._source_of(body)
            how = either(self.random.choice(["", "", "", "MATERIALIZED ", "NOT MATERIALIZED "]), "")
            prefix = f"WITH {source.alias} ({', '.join(name for name, _ in source.columns)}) AS {how}({body.sql}) "
            extra = [source]
        if self.random.random() < 0.18:
            body = self._set_operation(Sight([]), 2)
        else:
            body = self._body(Sight([]), 3, None, extra)
        order, ordered = self._order(body)
        return Statement(f"{prefix}{body.sql}{order}", self.parameters, ordered)

    def _recursion(self) -> tuple[Source, str]:
        """A recursive WITH item that ends: c0 grows to a bound."""
        types = (INTEGER, *self.random.choices(ALL_TYPES, k=self.random.randint(0, 2)))
        source = Source(self._alias(), tuple((f"c{place}", type_) for place, type_ in enumerate(types)))
        start, table = Source(self._alias(), source.columns), self.random.choice(self.tables)
        other = Source(self._alias(), tuple((column.name, column.type) for column in table.columns))
        first, inner = Sight([other]), Sight([start, other])
        names = ", ".join(name for name, _ in source.columns)
        base = ", ".join([str(self.random.randint(0, 3)), *[self.leaf(type_, first) for type_ in types[1:]]])
        items = [f"{start.alias}.c0 + {self.random.randint(1, 2)}", *[self.leaf(type_, inner) for type_ in types[1:]]]
        joined = self.random.choice(["JOIN", "LEFT JOIN"])
        on = self._equality([start], [other]) or "1 = 1"
        union = self.random.choice(["UNION", "UNION", "UNION ALL"])
        where = f"{start.alias}.c0 < {self.random.randint(2, 4)}"
        return source, (
            f"{source.alias} ({names}) AS (SELECT {base} FROM {table.name} AS {other.alias} {union} "
            f"SELECT {', '.join(items)} FROM {source.alias} AS {start.alias} {joined} {table.name} AS {other.alias} "
            f"ON {on} WHERE {where})"
        )

    # ---- subqueries in expressions ----------------------------------------------------------------------------------

    def scalar_query(self, type_: str, sight: Sight, depth: int) -> str:
        inner, source = self._inner(sight, depth)
        argument = self.expression(type_, Sight(inner.own), depth - 1)
        if type_ == BOOLEAN:
            return f"(SELECT min({argument}) {source})"
        choices = [f"min({argument})", f"max({argument})"]
        if type_ == INTEGER:
            choices += ["count(*)", f"sum({argument})", f"count(DISTINCT {argument})"]
            choices += [f"json_array_length(json_group_array({argument}))"]
        if type_ == FLOAT:
            choices += [f"sum({argument})", f"avg({argument})"]
        if self.random.random() < 0.2:
            return f"(SELECT {argument} {source} ORDER BY 1 {self.random.choice(['', 'DESC '])}LIMIT 1)"
        return f"(SELECT {self.random.choice(choices)} {source})"

    def column_query(self, type_: str, sight: Sight, depth: int) -> str:
        if self.random.random() < 0.15:
            left, right = (self._inner(sight, depth) for _ in range(2))
            kind = self.random.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
            texts = [f"SELECT {self.leaf(type_, inner)} {source}" for inner, source in (left, right)]
            return f"({f' {kind} '.join(texts)})"
        inner, source = self._inner(sight, depth)
        distinct = self.random.choice(["", "", "DISTINCT "])
        limit = f" ORDER BY 1 LIMIT {self.random.randint(0, 3)}" if self.random.random() < 0.12 else ""
        return f"(SELECT {distinct}{self.expression(type_, inner, depth - 1)} {source}{limit})"

    def rows_query(self, types: tuple[str, ...], sight: Sight, depth: int) -> str:
        inner, source = self._inner(sight, depth)
        limit = either("", " LIMIT -1")  # see differences.SQLITE_DEFECTS
        return f"(SELECT {', '.join(self.leaf(type_, inner) for type_ in types)} {source}{limit})"

    def any_query(self, sight: Sight, depth: int) -> str:
        inner, source = self._inner(sight, depth)
        item = self.random.choice(["1", "*", self.leaf(INTEGER, inner)])
        return f"(SELECT {item} {source})"

    def _inner(self, sight: Sight, depth: int) -> tuple[Sight, str]:
        """The sight in a subquery, and its FROM and WHERE."""
        sources, text = self._from(Sight([], [*sight.outer, *sight.own]), self.random.choice([1, 1, 1, 2]), depth)
        inner = Sight(sources, [*sight.outer, *sight.own])
        conditions = []
        if inner.outer and self.random.random() < 0.6:
            conditions.append(self._equality(sources, inner.outer))
        if self.random.random() < 0.5:
            conditions.append(f"({self.condition(inner, depth - 1)})")
        known = [condition for condition in conditions if condition]
        return inner, f"FROM {text}" + (f" WHERE {' AND '.join(known)}" if known else "")

    # ---- FROM -------------------------------------------------------------------------------------------------------

    def _alias(self) -> str:
        self._aliases += 1
        return f"q{self._aliases}"

    def _source_of(self, body: Body) -> Source:
        return Source(self._alias(), tuple((f"c{place}", type_) for place, type_ in enumerate(body.types)))

    def _leaf_source(self, sight: Sight, depth: int, extra: list[Source]) -> tuple[Source, str]:
        if extra and self.random.random() < 0.6:
            named = self.random.choice(extra)
            source = Source(self._alias(), named.columns)
            return source, f"{named.alias} AS {source.alias}"
        if depth > 1 and self.random.random() < 0.15:
            outer = Sight([], sight.outer if self.random.random() < 0.1 else [])
            body = (
                self._set_operation(outer, depth - 1)
                if self.random.random() < 0.25
                else self._body(outer, depth - 1, None)
            )
            columns = tuple((f"c{place}", type_) for place, type_ in enumerate(body.types))
            source = Source(self._alias(), columns)
            positions = ", ".join(str(place + 1) for place in range(len(body.types)))
            limit = either("", " LIMIT -1")  # see differences.SQLITE_DEFECTS
            if self.random.random() < 0.3:
                limit = f" ORDER BY {positions} LIMIT {self.random.randint(1, 6)}"
            return source, f"({body.sql}{limit}) AS {source.alias}"
        table = self.random.choice(self.tables)
        source = Source(self._alias(), tuple((column.name, column.type) for column in table.columns))
        name = table.view if self.random.random() < VIEWS else table.name
        return source, f"{name} AS {source.alias}"

    def _from(self, sight: Sight, size: int, depth: int, extra: list[Source] | None = None) -> tuple[list[Source], str]:
        """`size` sources joined, in any grouping."""
        if size == 1:
            source, text = self._leaf_source(sight, depth, extra or [])
            return [source], text
        taken = self.random.randint(1, size - 1) if self.random.random() < 0.3 else size - 1
        left, left_text = self._from(sight, taken, depth, extra)
        right, right_text = self._from(sight, size - taken, depth, extra)
        if len(right) > 1:
            right_text = f"({right_text})"
        kind = self.random.choice(JOINS)
        if kind == "CROSS JOIN" and size == 2:
            return [*left, *right], f"{left_text} CROSS JOIN {right_text}"
        kind = kind.replace("CROSS ", "")
        condition = self._on(left, right, sight, depth if kind == "JOIN" else 0)
        text = f"{left_text} {kind} {right_text} ON {condition}"
        if kind == "RIGHT JOIN":
            turned = left_text if len(left) == 1 else f"({left_text})"
            text = either(text, f"{right_text} LEFT JOIN {turned} ON {condition}")
        return [*left, *right], text

    def _on(self, left: list[Source], right: list[Source], sight: Sight, depth: int) -> str:
        condition = self._fixed_by_two(left, right) or self._equality(left, right) or "1 = 1"
        if self.random.random() < 0.25:
            condition += f" AND ({self.condition(Sight([*left, *right], sight.outer), depth - 2)})"
        return condition

    def _fixed_by_two(self, left: list[Source], right: list[Source]) -> str:
        """A column of `right` equal to columns of two of `left`; most times "", and where none has its type."""
        if len(left) < 2 or self.random.random() < 0.8:
            return ""
        other = self.random.choice(right)
        name, type_ = self.random.choice(other.columns)
        equal = [
            f"{one.alias}.{self.random.choice(names)} = {other.alias}.{name}"
            for one in self.random.sample(left, 2)
            if (names := [candidate for candidate, kind in one.columns if kind == type_ and type_ != BOOLEAN])
        ]
        return " AND ".join(equal)

    def _equality(self, left: list[Source], right: list[Source]) -> str:
        """A column of one side equal to a column of the other; "" when there is no pair of one type."""
        for _ in range(5):
            one, other = self.random.choice(left), self.random.choice(right)
            name, type_ = self.random.choice(one.columns)
            names = [candidate for candidate, kind in other.columns if kind == type_ and type_ != BOOLEAN]
            if names:
                operator = "=" if self.random.random() < 0.9 else self.random.choice(["<", "<>", ">="])
                return f"{one.alias}.{name} {operator} {other.alias}.{self.random.choice(names)}"
        return ""

    # ---- SELECT -----------------------------------------------------------------------------------------------------

    def _body(self, sight: Sight, depth: int, types: tuple[str, ...] | None, extra: list[Source] | None = None) -> Body:
        if depth > 2 and not types and self.random.random() < 0.05:
            return self._full_join(depth)
        size = self.random.choice([1, 1, 1, 2, 2, 3, 4] if depth > 2 else [1, 1, 2])
        sources, text = self._from(sight, size, depth, extra)
        inner = Sight(sources, sight.outer)
        where = f" WHERE {self.condition(inner, depth - 1)}" if self.random.random() < 0.55 else ""
        wanted = types or tuple(self.random.choices(ALL_TYPES, k=self.random.randint(1, 4)))
        if self.random.random() < 0.25:
            return self._grouped(inner, f"FROM {text}{where}", wanted, depth)
        distinct = "DISTINCT " if self.random.random() < 0.15 else ""
        items = [self.expression(type_, inner, depth - 2) for type_ in wanted]
        if self.random.random() < 0.2:
            items = [self._window(type_, inner, depth) if self.random.random() < 0.6 else item
                     for type_, item in zip(wanted, items, strict=True)]  # fmt: skip
        if self.random.random() < 0.1:
            place = self.random.randrange(len(items))
            text, items[place] = self._lateral(text, wanted[place], inner, depth)
        keys = () if distinct else tuple(filter(_is_no_constant, [self.expression(INTEGER, inner, 1)]))
        return Body(f"SELECT {distinct}{_named(items)} FROM {text}{where}", wanted, keys)

    def _lateral(self, text: str, type_: str, sight: Sight, depth: int) -> tuple[str, str]:
        """FROM `text` with a LATERAL query of one value, and that value; SQLite has a subquery in its place."""
        query, alias = self.scalar_query(type_, sight, depth - 1), self._alias()
        joined = either(f" LEFT JOIN LATERAL {query} AS {alias} (c0) ON TRUE", "")
        return f"{text}{joined}", either(f"{alias}.c0", query)

    # ---- windows ----------------------------------------------------------------------------------------------------

    def _window(self, type_: str, sight: Sight, depth: int) -> str:
        """A function of `type_` over a window that determines its value."""
        own = Sight(sight.own)
        partition = [self.leaf_column(own) for _ in range(self.random.choice([0, 1, 1, 2]))]
        over = f"PARTITION BY {', '.join(partition)} " if partition else ""
        everything = [f"{source.alias}.{name}" for source in own.own for name, _ in source.columns]
        self.random.shuffle(everything)
        complete = ", ".join(f"{column}{self.random.choice(['', ' DESC'])}" for column in everything)
        value = self.leaf(type_, own) if type_ == BOOLEAN else self.expression(type_, own, depth - 2)
        functions = [f"first_value({value})", f"last_value({value})"]
        functions += [f"nth_value({value}, {self.random.randint(1, 3)})"]
        functions += [f"{name}({value}{self._distance(type_)})" for name in ("lag", "lead")]
        if type_ == INTEGER:
            functions += ["row_number()", "rank()", "dense_rank()", f"ntile({self.random.randint(1, 5)})"]
            functions += ["count(*)", f"count({value})", f"sum({value})"]
        if type_ == FLOAT:
            functions += ["percent_rank()", "cume_dist()", f"avg({value})"]
        if type_ != BOOLEAN:
            functions += [f"min({value})", f"max({value})"]
        function = self.random.choice(functions)
        kept = ""
        if function.startswith(("count", "sum", "avg")) and self.random.random() < 0.25:
            kept = f" FILTER (WHERE {self.condition(own, 0)})"
        return f"{function}{kept} OVER ({over}ORDER BY {complete}{self._frame()})"

    def leaf_column(self, sight: Sight) -> str:
        source = self.random.choice(sight.own)
        return f"{source.alias}.{self.random.choice(source.columns)[0]}"

    def _distance(self, type_: str) -> str:
        return self.random.choice(["", f", {self.random.randint(0, 3)}", f", 1, {self.constant(type_)}"])

    def _frame(self) -> str:
        if self.random.random() < 0.4:
            return ""
        unit = self.random.choice(["ROWS", "ROWS", "GROUPS", "RANGE"])
        starts = ["UNBOUNDED PRECEDING", "CURRENT ROW"]
        ends = ["CURRENT ROW", "UNBOUNDED FOLLOWING"]
        if unit != "RANGE":
            starts += [f"{self.random.randint(0, 3)} PRECEDING"] * 2
            ends += [f"{self.random.randint(0, 3)} FOLLOWING"] * 2
            if self.random.random() < 0.2:
                low, high = sorted(self.random.choices(range(5), k=2))
                starts, ends = [f"{high} PRECEDING"], [f"{low} PRECEDING"]
        exclude = self.random.choice(["", "", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"])
        return f" {unit} BETWEEN {self.random.choice(starts)} AND {self.random.choice(ends)}{exclude}"

    def _full_join(self, depth: int) -> Body:
        """A FULL JOIN; for SQLite, which has it only of late, as the union of a left join and what that leaves out."""
        nothing = Sight([])
        left, left_text = self._from(nothing, self.random.choice([1, 1, 2]), depth)
        right, right_text = self._from(nothing, 1, depth)
        condition = self._on(left, right, nothing, 0)
        sight = Sight([*left, *right])
        types = tuple(self.random.choices(ALL_TYPES, k=self.random.randint(1, 4)))
        items = _named([self.expression(type_, sight, 1) for type_ in types])
        where = self.condition(sight, 1)
        turned = left_text if len(left) == 1 else f"({left_text})"
        return Body(either(
            f"SELECT {items} FROM {left_text} FULL JOIN {right_text} ON {condition} WHERE {where}",
            f"SELECT {items} FROM {left_text} LEFT JOIN {right_text} ON {condition} WHERE {where} "
            f"UNION ALL SELECT {items} FROM {right_text} LEFT JOIN {turned} ON 1 = 0 "
            f"WHERE ({where}) AND NOT EXISTS (SELECT 1 FROM {left_text} WHERE {condition})",
        ), types)  # fmt: skip

    def _grouped(self, sight: Sight, source: str, wanted: tuple[str, ...], depth: int) -> Body:
        key_types = self.random.choices([INTEGER, TEXT, BOOLEAN], k=self.random.choice([0, 1, 1, 2]))
        keys = [(type_, self._group_key(type_, sight)) for type_ in key_types]
        keys = [(type_, key) for type_, key in keys if key]
        items = [self._grouped_item(type_, keys, sight, depth) for type_ in wanted]
        group = f" GROUP BY {', '.join(key for _, key in keys)}" if keys else ""
        having = ""
        if self.random.random() < 0.35 and keys:
            having = f" HAVING {self._having(keys, sight)}"
        return Body(f"SELECT {_named(items)} {source}{group}{having}", wanted)

    def _group_key(self, type_: str, sight: Sight) -> str:
        own = Sight(sight.own)
        columns = own.columns(self.random, type_)
        if not columns:
            return ""
        column = self.random.choice(columns)
        if self.random.random() < 0.2:
            return {INTEGER: f"({column} % 3)", TEXT: f"length({column})", BOOLEAN: f"coalesce({column}, FALSE)"}[type_]
        return column

    def _grouped_item(self, type_: str, keys: list[tuple[str, str]], sight: Sight, depth: int) -> str:
        suited = [key for key_type, key in keys if key_type == type_ and not key.startswith("length")]
        if suited and self.random.random() < 0.6:
            key = self.random.choice(suited)
            return key if self.random.random() < 0.8 else f"coalesce({key}, {self.constant(type_)})"
        aggregate = self._aggregate(type_, sight, depth)
        if type_ == INTEGER and self.random.random() < 0.15:
            return f"({aggregate} + {self._aggregate(type_, sight, depth)})"
        if self.random.random() < 0.1:
            return f"CASE WHEN count(*) > 1 THEN {aggregate} ELSE {self.constant(type_)} END"
        return aggregate

    def _aggregate(self, type_: str, sight: Sight, depth: int) -> str:
        sight = Sight(sight.own)  # an aggregate of outer columns only would belong to the outer query
        argument = self.expression(type_, sight, depth - 2)
        distinct = self.random.choice(["", "", "", "DISTINCT "])
        names = ["min", "max"]
        if type_ == INTEGER:
            names += ["sum", "count", "sum"]
            if self.random.random() < 0.25:
                return "count(*)"
        if type_ == FLOAT:
            names += ["avg", "sum", "total"]
            argument = argument if self.random.random() < 0.6 else f"CAST({argument} AS FLOAT)"
        condition = f" FILTER (WHERE {self.condition(sight, 0)})" if self.random.random() < 0.08 else ""
        return f"{self.random.choice(names)}({distinct}{argument}){condition}"

    def _having(self, keys: list[tuple[str, str]], sight: Sight) -> str:
        chance = self.random.random()
        if chance < 0.5:
            return f"count(*) {self.random.choice(['>', '=', '<='])} {self.random.randint(0, 3)}"
        if chance < 0.75:
            return f"min({self.expression(INTEGER, Sight(sight.own), 0)}) IS NOT NULL"
        return (
            f"count(DISTINCT {self.expression(TEXT, Sight(sight.own), 0)}) > 1 OR {self.random.choice(keys)[1]} IS NULL"
        )

    def _set_operation(self, sight: Sight, depth: int) -> Body:
        types = tuple(self.random.choices((INTEGER, TEXT, BOOLEAN), k=self.random.randint(1, 3)))
        kinds = self.random.choice([["UNION"], ["UNION ALL"], ["UNION", "UNION ALL", "EXCEPT"], ["INTERSECT"]])
        text = self._body(sight, depth, types).sql
        for _ in range(self.random.randint(1, 2)):
            text += f" {self.random.choice(kinds)} {self._body(sight, depth, types).sql}"
        return Body(text, types)

    # ---- ORDER BY ---------------------------------------------------------------------------------------------------

    def _order(self, body: Body) -> tuple[str, int]:
        """The text, and how many columns' order it determines."""
        chance = self.random.random()
        if chance < 0.35:
            return "", 0
        directions = ["", "", " DESC", " ASC NULLS LAST", " DESC NULLS FIRST"]
        places = list(range(1, len(body.types) + 1))
        if chance < 0.5:
            return f" ORDER BY 1{self.random.choice(directions)}", 1
        if chance < 0.6 and body.keys:
            return f" ORDER BY {body.keys[0]}{self.random.choice(directions)}", 0
        self.random.shuffle(places)
        names = [str(place) if self.random.random() < 0.7 else f"c{place - 1}" for place in places]
        order = ", ".join(name + self.random.choice(directions) for name in names)
        return f" ORDER BY {order}{self._limit()}", -1

    def _limit(self) -> str:
        chance = self.random.random()
        if chance < 0.4:
            return ""
        limit = f" LIMIT {self.random.randint(0, 6)}"
        return limit + (f" OFFSET {self.random.randint(0, 4)}" if chance > 0.7 else "")


def _is_no_constant(key: str) -> bool:
    """Whether ORDER BY takes `key` for an expression and not for the place of a column."""
    return re.search(r"\bq[0-9]+\.", key) is not None


def _named(items: list[str]) -> str:
    return ", ".join(f"{item} AS c{place}" for place, item in enumerate(items))
