"""Random typed expressions as SQL text, over the columns in sight.

An expression of a type uses operators of that type only. Divisors are constants other than 0, and numbers stay small:
SQLite answers NULL, or a float, where ROME raises an error (see `differences`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.second_opinion.schema import BOOLEAN, FLOAT, INTEGER, TEXT, literal, some_value

_START, _MIDDLE, _END = "\x01", "\x02", "\x03"
COMPARISONS = ("=", "=", "=", "<>", "<", "<=", ">", ">=")
LIKE_PATTERNS = ("a%", "%b", "%a%", "_", "a_b", "a!%b", "!_%", "%", "", "%!%", "a%b", "__", "x!!y")


def either(for_rome: str, for_sqlite: str) -> str:
    """A part of an SQL text that the two databases are given in different words."""
    return f"{_START}{for_rome}{_MIDDLE}{for_sqlite}{_END}"


def words_for(text: str, rome: bool) -> str:
    """`text` in the words for one of the two databases."""
    while (end := text.find(_END)) >= 0:
        start = text.rfind(_START, 0, end)
        for_rome, for_sqlite = text[start + 1 : end].split(_MIDDLE)
        text = text[:start] + (for_rome if rome else for_sqlite) + text[end + 1 :]
    return text


@dataclass(frozen=True)
class Source:
    """A table, or a query in its place, under an alias."""

    alias: str
    columns: tuple[tuple[str, str], ...]  # (name, type)


@dataclass
class Sight:
    """What an expression may refer to: the sources of its own query, and those of the queries around it."""

    own: list[Source]
    outer: list[Source] = field(default_factory=list)

    def columns(self, random: Random, type_: str) -> list[str]:
        sources = self.outer if self.outer and random.random() < 0.25 else self.own
        found = [f"{source.alias}.{name}" for source in sources for name, kind in source.columns if kind == type_]
        return found or [f"{s.alias}.{name}" for s in self.own for name, kind in s.columns if kind == type_]


class ExpressionMaker:
    """Makes expressions. `subquery(types, sight, one_row)` gives the text of a query in parentheses.

    Values stand in the text, or, in places where their type is plain, in `parameters`.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.parameters: dict[str, object] = {}
        self._makers: dict[str, list[Callable[[Sight, int], str]]] = {
            INTEGER: [self._sum, self._sum, self._quotient, self._negation, self._length, self._absolute,
                      self._cast_back, self._bits, self._truth_as_number, self._number_in_json, self._json_length],
            TEXT: [self._joined, self._joined, self._cased, self._part, self._trimmed, self._replaced,
                   self._number_as_text, self._text_in_json, self._as_json],
            FLOAT: [self._float_sum, self._float_sum, self._number_as_float, self._absolute_float, self._half],
        }  # fmt: skip

    # ---- what the maker of queries overrides ------------------------------------------------------------------------

    def scalar_query(self, type_: str, sight: Sight, depth: int) -> str:
        """A query of one row and one column."""
        raise NotImplementedError

    def column_query(self, type_: str, sight: Sight, depth: int) -> str:
        """A query of one column."""
        raise NotImplementedError

    def rows_query(self, types: tuple[str, ...], sight: Sight, depth: int) -> str:
        """A query of columns of these types."""
        raise NotImplementedError

    def any_query(self, sight: Sight, depth: int) -> str:
        raise NotImplementedError

    # ---- leaves -----------------------------------------------------------------------------------------------------

    def value(self, type_: str) -> str:
        """A constant, in the text or as a parameter."""
        value = some_value(self.random, type_) if self.random.random() < 0.97 else None
        if self.random.random() < 0.35:
            name = f"p{len(self.parameters)}"
            self.parameters[name] = value
            return f":{name}"
        return literal(value)

    def constant(self, type_: str) -> str:
        return literal(None if self.random.random() < 0.04 else some_value(self.random, type_))

    def leaf(self, type_: str, sight: Sight) -> str:
        columns = sight.columns(self.random, type_)
        if columns and self.random.random() < 0.85:
            return self.random.choice(columns)
        return self.value(type_) if self.random.random() < 0.3 else self.constant(type_)

    # ---- expressions of any type ------------------------------------------------------------------------------------

    def expression(self, type_: str, sight: Sight, depth: int) -> str:
        if type_ == BOOLEAN:
            columns = sight.columns(self.random, BOOLEAN)
            if columns and self.random.random() < 0.4:
                return self.random.choice(columns)
            return f"({self.condition(sight, depth)})"
        if depth <= 0 or self.random.random() < 0.35:
            return self.leaf(type_, sight)
        chance = self.random.random()
        if chance < 0.1:
            return self._case(type_, sight, depth - 1)
        if chance < 0.18:
            return f"coalesce({self.leaf(type_, sight)}, {self.expression(type_, sight, depth - 1)})"
        if chance < 0.22:
            return f"nullif({self.expression(type_, sight, depth - 1)}, {self.leaf(type_, sight)})"
        if chance < 0.32:
            return self.scalar_query(type_, sight, depth - 1)
        return self.random.choice(self._makers[type_])(sight, depth - 1)

    def _case(self, type_: str, sight: Sight, depth: int) -> str:
        whens = " ".join(
            f"WHEN {self.condition(sight, depth)} THEN {self.expression(type_, sight, depth)}"
            for _ in range(self.random.randint(1, 2))
        )
        default = f" ELSE {self.expression(type_, sight, depth)}" if self.random.random() < 0.7 else ""
        if self.random.random() < 0.3:
            key = self.leaf(INTEGER, sight)
            whens = f"WHEN {literal(some_value(self.random, INTEGER))} THEN {self.expression(type_, sight, depth)}"
            return f"CASE {key} {whens}{default} END"
        return f"CASE {whens}{default} END"

    # ---- numbers ----------------------------------------------------------------------------------------------------

    def _sum(self, sight: Sight, depth: int) -> str:
        left, right = self.expression(INTEGER, sight, depth), self.leaf(INTEGER, sight)
        return f"({left} {self.random.choice(['+', '-', '*'])} {right})"

    def _quotient(self, sight: Sight, depth: int) -> str:
        operator, divisor = self.random.choice(["/", "%"]), self.random.choice([2, 3, 7, -2])
        return f"({self.expression(INTEGER, sight, depth)} {operator} {divisor})"

    def _negation(self, sight: Sight, depth: int) -> str:
        return f"(- {self.expression(INTEGER, sight, depth)})"

    def _length(self, sight: Sight, depth: int) -> str:
        return f"length({self.expression(TEXT, sight, depth)})"

    def _absolute(self, sight: Sight, depth: int) -> str:
        return f"abs({self.expression(INTEGER, sight, depth)})"

    def _cast_back(self, sight: Sight, depth: int) -> str:
        if self.random.random() < 0.5:
            return f"CAST({self.expression(FLOAT, sight, depth)} AS BIGINT)"
        return f"CAST(CAST({self.expression(INTEGER, sight, depth)} AS VARCHAR(30)) AS BIGINT)"

    def _bits(self, sight: Sight, depth: int) -> str:
        sign, operator = "~" if self.random.random() < 0.2 else "", self.random.choice("&|")
        return f"({sign}{self.expression(INTEGER, sight, depth)} {operator} {self.leaf(INTEGER, sight)})"

    def _truth_as_number(self, sight: Sight, depth: int) -> str:
        return f"CAST(({self.condition(sight, depth)}) AS BIGINT)"

    def _float_sum(self, sight: Sight, depth: int) -> str:
        left = self.expression(FLOAT, sight, depth)
        right = self.leaf(self.random.choice([FLOAT, INTEGER]), sight)
        return f"({left} {self.random.choice(['+', '-', '*'])} {right})"

    def _number_as_float(self, sight: Sight, depth: int) -> str:
        return f"CAST({self.expression(INTEGER, sight, depth)} AS FLOAT)"

    def _absolute_float(self, sight: Sight, depth: int) -> str:
        return f"abs({self.expression(FLOAT, sight, depth)})"

    def _half(self, sight: Sight, depth: int) -> str:
        return f"({self.expression(FLOAT, sight, depth)} / {self.random.choice(['2', '4.0', '2e0'])})"

    # ---- strings ----------------------------------------------------------------------------------------------------

    def _joined(self, sight: Sight, depth: int) -> str:
        return f"({self.expression(TEXT, sight, depth)} || {self.leaf(TEXT, sight)})"

    def _cased(self, sight: Sight, depth: int) -> str:
        return f"{self.random.choice(['lower', 'upper'])}({self.expression(TEXT, sight, depth)})"

    def _part(self, sight: Sight, depth: int) -> str:
        length = f", {self.random.randint(0, 3)}" if self.random.random() < 0.6 else ""
        return f"substr({self.expression(TEXT, sight, depth)}, {self.random.randint(-3, 3)}{length})"

    def _trimmed(self, sight: Sight, depth: int) -> str:
        return f"{self.random.choice(['trim', 'ltrim', 'rtrim'])}({self.expression(TEXT, sight, depth)})"

    def _replaced(self, sight: Sight, depth: int) -> str:
        return f"replace({self.expression(TEXT, sight, depth)}, 'a', {self.random.choice(['b', ''])!r})"

    def _number_as_text(self, sight: Sight, depth: int) -> str:
        return f"CAST({self.expression(INTEGER, sight, depth)} AS VARCHAR(30))"

    # ---- JSON -------------------------------------------------------------------------------------------------------

    def _json(self, sight: Sight, depth: int) -> tuple[str, str, str]:
        """A JSON text, and the paths to a number and to a string in it."""
        number, text = self.expression(INTEGER, sight, depth), self.expression(TEXT, sight, depth)
        if self.random.random() < 0.5:
            return f"json_object('n', {number}, 's', json_array(NULL, {text}))", "$.n", "$.s[1]"
        return f"json_array({number}, 1.5, json_object('a b', {text}))", "$[0]", '$[#-1]."a b"'

    def _number_in_json(self, sight: Sight, depth: int) -> str:
        made, number, _ = self._json(sight, depth)
        return f"CAST(({made} ->> '{number}') AS BIGINT)"

    def _text_in_json(self, sight: Sight, depth: int) -> str:
        made, _, text = self._json(sight, depth)
        return self.random.choice([f"({made} ->> '{text}')", f"json_extract({made}, '{text}')"])

    def _as_json(self, sight: Sight, depth: int) -> str:
        made, number, text = self._json(sight, depth)
        path = self.random.choice([number, text, "$", "$.none", "$[1]", "$.s"])
        return self.random.choice([f"({made} -> '{path}')", f"json_type({made}, '{path}')", f"json({made})"])

    def _json_length(self, sight: Sight, depth: int) -> str:
        return f"json_array_length({self._json(sight, depth)[0]}, '{self.random.choice(['$', '$.s', '$[2]'])}')"

    # ---- conditions -------------------------------------------------------------------------------------------------

    def condition(self, sight: Sight, depth: int) -> str:
        chance = self.random.random()
        if depth > 0 and chance < 0.22:
            operator = self.random.choice([" AND ", " OR "])
            return operator.join(f"({self.condition(sight, depth - 1)})" for _ in range(self.random.randint(2, 3)))
        if depth > 0 and chance < 0.32:
            return f"NOT ({self.condition(sight, depth - 1)})"
        if depth > 0 and chance < 0.42:
            return self._subquery_condition(sight, depth - 1)
        type_ = self.random.choice([INTEGER, INTEGER, TEXT, TEXT, FLOAT, BOOLEAN])
        operand = self.expression(type_, sight, depth - 1)
        if chance < 0.5:
            return f"{operand} IS {self.random.choice(['', 'NOT '])}NULL"
        if chance < 0.6:
            return self._in_list(type_, operand, sight)
        if chance < 0.68:
            return self._like(sight, depth - 1)
        if chance < 0.73 and type_ != BOOLEAN:
            negation = self.random.choice(["", "NOT "])
            return f"{operand} {negation}BETWEEN {self.value(type_)} AND {self.leaf(type_, sight)}"
        if chance < 0.77:
            return self._boolean(sight)
        other = self._other_side(type_, sight, depth - 1)
        if chance < 0.82:
            return f"{operand} IS {self.random.choice(['', 'NOT '])}DISTINCT FROM {other}"
        return f"{operand} {self.random.choice(COMPARISONS)} {other}"

    def _other_side(self, type_: str, sight: Sight, depth: int) -> str:
        if self.random.random() < 0.4:
            return self.value(type_)
        if type_ in (INTEGER, FLOAT):
            type_ = self.random.choice([INTEGER, FLOAT])
        return self.expression(type_, sight, depth)

    def _in_list(self, type_: str, operand: str, sight: Sight) -> str:
        items = [self.value(type_) if self.random.random() < 0.8 else self.leaf(type_, sight)
                 for _ in range(self.random.randint(1, 4))]  # fmt: skip
        return f"{operand} {self.random.choice(['', 'NOT '])}IN ({', '.join(items)})"

    def _like(self, sight: Sight, depth: int) -> str:
        pattern = self.random.choice(LIKE_PATTERNS)
        escape = " ESCAPE '!'" if "!" in pattern or self.random.random() < 0.2 else ""
        negation = self.random.choice(["", "", "NOT "])
        return f"{self.expression(TEXT, sight, depth)} {negation}LIKE {literal(pattern)}{escape}"

    def _boolean(self, sight: Sight) -> str:
        columns = sight.columns(self.random, BOOLEAN)
        if not columns:
            return self.random.choice(["TRUE", "FALSE", "1 = 1"])
        column = self.random.choice(columns)
        return self.random.choice(
            [column, f"NOT {column}", f"{column} = TRUE", f"{column} IS TRUE", f"{column} IS FALSE"]
        )

    def _subquery_condition(self, sight: Sight, depth: int) -> str:
        negation = self.random.choice(["", "", "NOT "])
        if self.random.random() < 0.5:
            return f"{negation}EXISTS {self.any_query(sight, depth)}"
        type_ = self.random.choice([INTEGER, INTEGER, TEXT])
        if self.random.random() < 0.2:
            types = (type_, self.random.choice([INTEGER, TEXT]))
            row = ", ".join(self.leaf(each, sight) for each in types)
            return f"({row}) {negation}IN {self.rows_query(types, sight, depth)}"
        return f"{self.leaf(type_, sight)} {negation}IN {self.column_query(type_, sight, depth)}"
