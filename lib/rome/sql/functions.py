"""The scalar functions of SQL: what each takes, gives and does. docs/functions.md shows them all.

Where databases differ, ROME does as SQLite does unless a line below says otherwise: applications are tested on it.
Every function gives NULL when an argument is NULL, unless it is `null_safe`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rome import values
from rome.errors import TypeMismatch, UndefinedFunction
from rome.sql import json_functions as json
from rome.sql import number_functions as number
from rome.sql import regexp_functions as regexp
from rome.sql import text_functions as text
from rome.sql import time_functions as when
from rome.sql.coerce import common_type
from rome.values import NUMERIC_KINDS, Kind, SqlType

UNLIMITED = 1 << 30  # as the number of arguments


@dataclass(frozen=True, slots=True)
class Accepts:
    """What one argument may be; `untyped` is the type that a parameter in its place gets, NULL for any."""

    what: str
    kinds: frozenset[Kind]
    untyped: SqlType


TEXT = Accepts("a string", frozenset({Kind.STRING, Kind.JSON}), values.TEXT)
TEXT_OR_BYTES = Accepts("a string or bytes", frozenset({Kind.STRING, Kind.JSON, Kind.BYTES}), values.NULL)
NUMBER = Accepts("a number", NUMERIC_KINDS, values.NULL)
JSON = Accepts("JSON", frozenset({Kind.STRING, Kind.JSON}), values.JSON)
JSON_STEP = Accepts("a name, a path or a place", frozenset({Kind.STRING, Kind.INTEGER}), values.NULL)
QUOTABLE = Accepts("a value that JSON can hold", frozenset(Kind) - {Kind.BYTES}, values.NULL)
WHOLE = Accepts("an integer", frozenset({Kind.INTEGER, Kind.BOOLEAN}), values.BIGINT)
MOMENT = Accepts("a date or time", frozenset({Kind.DATETIME, Kind.DATE, Kind.TIME, Kind.STRING}), values.NULL)
MOMENT_OR_INTERVAL = Accepts("a date or time, or an interval", MOMENT.kinds | {Kind.INTERVAL}, values.NULL)
WRITABLE = Accepts("a value that has a text", frozenset(Kind) - {Kind.BYTES, Kind.NULL}, values.NULL)
ANYTHING = Accepts("anything", frozenset(Kind), values.NULL)

Result = SqlType | Callable[[Sequence[SqlType]], SqlType]


@dataclass(frozen=True, slots=True)
class Function:
    """One scalar function.

    arguments       what each takes; the last one also stands for all further ones
    minimum         how few, and `maximum` how many arguments it takes
    implementation  from non-NULL values (any values when `null_safe`) to the result; `binding`, when not "", is the
                    attribute of the execution's Bindings that comes before them: now or draw
    common          arguments are first converted to the result's kind
    by_kind         `implementation` makes the implementation, of the arguments' kinds
    may_miss        may give NULL for arguments that are not
    volatility      immutable: the same for the same arguments; stable: within a statement; volatile: never
    example         arguments and result
    """

    name: str
    arguments: tuple[Accepts, ...]
    minimum: int
    maximum: int
    returns: Result
    implementation: Callable[..., Any]
    doc: str
    example: tuple[tuple[Any, ...], Any] | None
    null_safe: bool = False
    common: bool = False
    by_kind: bool = False
    may_miss: bool = False
    binding: str = ""
    volatility: str = "immutable"

    def result(self, types: Sequence[SqlType]) -> SqlType:
        """The type of a call with arguments of `types`; TypeMismatch or UndefinedFunction when it takes no such."""
        self.check_count(len(types))
        for place, type_ in enumerate(types):
            accepts = self._accepts(place)
            if type_.kind is not Kind.NULL and type_.kind not in accepts.kinds:
                raise TypeMismatch(
                    f"argument {place + 1} of {self.name}() must be {accepts.what}, not {type_}: CAST it"
                )
        return self.returns(types) if callable(self.returns) else self.returns

    def check_count(self, count: int) -> None:
        """Raise UndefinedFunction unless the function takes `count` arguments."""
        if not self.minimum <= count <= self.maximum:
            raise UndefinedFunction(f"{self.name}() takes {self._counts()}, not {count}")

    def untyped(self, place: int) -> SqlType:
        """The type for a parameter as argument `place` (from 0); NULL when its value decides."""
        return self._accepts(place).untyped

    def _accepts(self, place: int) -> Accepts:
        return self.arguments[min(place, len(self.arguments) - 1)]

    def _counts(self) -> str:
        if self.maximum == UNLIMITED:
            counts = f"{self.minimum} or more"
        elif self.minimum == self.maximum:
            counts = str(self.minimum)
        else:
            counts = f"{self.minimum} to {self.maximum}"
        return f"{counts} argument" + ("" if counts == "1" else "s")


def lookup(name: str) -> Function:
    """The function called `name`, in any case; UndefinedFunction with the names it is like."""
    found = FUNCTIONS.get(name.lower())
    if found is None:
        raise undefined_function(name, FUNCTIONS)
    return found


def undefined_function(name: str, known: Iterable[str]) -> UndefinedFunction:
    close = difflib.get_close_matches(name.lower(), sorted(known), n=3)
    advice = f"did you mean {' or '.join(f'{match}()' for match in close)}?" if close else "see docs/functions.md"
    return UndefinedFunction(f"there is no function {name}(): {advice}")


# ---- types of results ----------------------------------------------------------------------------------------------


def _same(types: Sequence[SqlType]) -> SqlType:
    return types[0]


def _text_or_bytes(types: Sequence[SqlType]) -> SqlType:
    return values.BLOB if types[0].kind is Kind.BYTES else values.TEXT


def _joined(types: Sequence[SqlType]) -> SqlType:
    return values.BLOB if types and all(type_.kind is Kind.BYTES for type_ in types) else values.TEXT


def _common(types: Sequence[SqlType]) -> SqlType:
    return common_type(types)


def _number(types: Sequence[SqlType]) -> SqlType:
    """The common type of the numbers, at least an integer; without its declared digits."""
    kind = common_type([values.BIGINT, *types]).kind
    return {Kind.FLOAT: values.FLOAT, Kind.DECIMAL: values.DECIMAL}.get(kind, values.BIGINT)


def _first_number(types: Sequence[SqlType]) -> SqlType:
    return _number(types[:1])


# ---- the table -----------------------------------------------------------------------------------------------------


def _function(
    name: str, arguments: Sequence[Accepts], returns: Result, implementation: Callable[..., Any], doc: str,
    example: tuple[tuple[Any, ...], Any] | None = None, *, minimum: int | None = None, maximum: int | None = None,
    null_safe: bool = False, common: bool = False, by_kind: bool = False, may_miss: bool = False, binding: str = "",
    volatility: str = "immutable",
) -> Function:  # fmt: skip
    least = len(arguments) if minimum is None else minimum
    most = len(arguments) if maximum is None else maximum
    return Function(
        name, tuple(arguments), least, most, returns, implementation, doc, example, null_safe, common, by_kind,
        may_miss, binding, volatility,
    )  # fmt: skip


_TEXT_FUNCTIONS = (
    _function("lower", [TEXT], values.TEXT, str.lower, "The text in lower case.", (("ÀB",), "àb")),
    _function("upper", [TEXT], values.TEXT, str.upper, "The text in upper case.", (("àb",), "ÀB")),
    _function("length", [TEXT_OR_BYTES], values.BIGINT, len, "Characters of a string, bytes of bytes.", (("né",), 2)),
    _function("char_length", [TEXT], values.BIGINT, len, "Characters of a string.", (("né",), 2)),
    _function("character_length", [TEXT], values.BIGINT, len, "As char_length.", (("né",), 2)),
    _function("octet_length", [TEXT_OR_BYTES], values.BIGINT, text.octet_length, "Bytes, of a string in UTF-8.",
              (("né",), 3)),
    _function("substr", [TEXT_OR_BYTES, WHOLE, WHOLE], _text_or_bytes, text.substring,
              "From a place (from 1; negative: from the end), so many characters or all.", (("abcde", 2, 3), "bcd"),
              minimum=2),
    _function("substring", [TEXT_OR_BYTES, WHOLE, WHOLE], _text_or_bytes, text.substring, "As substr.",
              (("abcde", -2), "de"), minimum=2),
    _function("left", [TEXT, WHOLE], values.TEXT, text.left, "The first characters.", (("abc", 2), "ab")),
    _function("right", [TEXT, WHOLE], values.TEXT, text.right, "The last characters.", (("abc", 2), "bc")),
    _function("trim", [TEXT, TEXT], values.TEXT, text.trim, "Without spaces, or the characters given, at both ends.",
              (("  a b ",), "a b"), minimum=1),
    _function("ltrim", [TEXT, TEXT], values.TEXT, text.trim_left, "Without them at the start.",
              (("xxay", "xy"), "ay"), minimum=1),
    _function("rtrim", [TEXT, TEXT], values.TEXT, text.trim_right, "Without them at the end.",
              ((" a ",), " a"), minimum=1),
    _function("replace", [TEXT, TEXT, TEXT], values.TEXT, text.replaced, "Every second text replaced by the third.",
              (("a-b-c", "-", "+"), "a+b+c")),
    _function("concat", [WRITABLE], values.TEXT, text.concat, "The texts of all, NULLs left out.",
              (("a", 1, None), "a1"), minimum=1, maximum=UNLIMITED, null_safe=True),
    _function("concat_ws", [TEXT, WRITABLE], values.TEXT, text.concat_with_separator,
              "The texts of all but the first, NULLs left out, with the first between them.",
              (("-", "a", None, "b"), "a-b"), minimum=2, maximum=UNLIMITED, null_safe=True),
    _function("||", [ANYTHING], _joined, text.joined, "The texts of all together; bytes with bytes.",
              (("a", "b"), "ab"), minimum=2, maximum=UNLIMITED),
    _function("instr", [TEXT, TEXT], values.BIGINT, text.place_of, "The place of the second in the first, or 0.",
              (("abc", "c"), 3)),
    _function("position", [TEXT, TEXT], values.BIGINT, text.position, "POSITION(a IN b): the place of a in b, or 0.",
              (("c", "abc"), 3)),
    _function("lpad", [TEXT, WHOLE, TEXT], values.TEXT, text.pad_left,
              "Filled at the start with spaces, or the third, or cut, to a length.", (("7", 3, "0"), "007"), minimum=2),
    _function("rpad", [TEXT, WHOLE, TEXT], values.TEXT, text.pad_right, "Filled at the end, or cut, to a length.",
              (("ab", 3), "ab "), minimum=2),
    _function("repeat", [TEXT, WHOLE], values.TEXT, text.repeated, "So many times the text.", (("ab", 2), "abab")),
    _function("reverse", [TEXT], values.TEXT, text.reversed_text, "The characters backwards.", (("abc",), "cba")),
    _function("ascii", [TEXT], values.BIGINT, text.code_point, "The code point of the first character; 0 of ''.",
              (("A",), 65)),
    _function("chr", [WHOLE], values.TEXT, text.characters, "The character of a code point.", ((65,), "A")),
    _function("char", [WHOLE], values.TEXT, text.characters, "The characters of code points.", ((65, 66), "AB"),
              minimum=1, maximum=UNLIMITED),
    _function("regexp_like", [TEXT, TEXT, TEXT], values.BOOLEAN, regexp.matches,
              "Whether a regular expression (Python's) matches somewhere; `a REGEXP b` is the same. Flags: i, m, s, x.",
              (("abc", "B.$", "i"), True), minimum=2),
    _function("regexp_replace", [TEXT, TEXT, TEXT, TEXT], values.TEXT, regexp.replaced,
              "The first match of the second replaced by the third, where \\1 is its first group; all with the flag g.",
              (("a1b2", "[0-9]", "-", "g"), "a-b-"), minimum=3),
    _function("hex", [TEXT_OR_BYTES], values.TEXT, text.hexadecimal, "The bytes in hexadecimal, of a string in UTF-8.",
              (("az",), "617A")),
)  # fmt: skip

_CHOICES = (
    _function("coalesce", [ANYTHING], _common, text.first_non_null,
              "The first that is not NULL; no later one is computed.",
              ((None, 2), 2), minimum=1, maximum=UNLIMITED, null_safe=True),
    _function("ifnull", [ANYTHING, ANYTHING], _common, text.first_non_null, "As coalesce.", ((None, 2), 2),
              null_safe=True),
    _function("nullif", [ANYTHING, ANYTHING], lambda types: common_type(types) and types[0], text.null_if_equal,
              "NULL when both are equal, else the first.", ((1, 1), None), null_safe=True),
    _function("greatest", [ANYTHING], _common, lambda *items: max(items), "The greatest; NULL when any is NULL.",
              ((1, 3, 2), 3), minimum=1, maximum=UNLIMITED, common=True),
    _function("least", [ANYTHING], _common, lambda *items: min(items), "The least; NULL when any is NULL.",
              ((2, 1, 3), 1), minimum=1, maximum=UNLIMITED, common=True),
)  # fmt: skip

_NUMBER_FUNCTIONS = (
    _function("abs", [NUMBER], _number, number.absolute, "Without its sign.", ((-3,), 3)),
    _function("sign", [NUMBER], values.BIGINT, number.sign, "-1, 0 or 1.", ((-3,), -1)),
    _function("round", [NUMBER, WHOLE], _first_number, number.rounded,
              "To so many digits after the point, or none; halves away from zero.", ((2.345, 2), 2.35), minimum=1),
    _function("trunc", [NUMBER, WHOLE], _first_number, number.truncated,
              "Cut, toward zero, to so many digits after the point, or none.", ((-2.7,), -2.0), minimum=1),
    _function("ceil", [NUMBER], _number, number.ceiling, "The next whole number upwards.", ((1.2,), 2.0)),
    _function("ceiling", [NUMBER], _number, number.ceiling, "As ceil.", ((-1.2,), -1.0)),
    _function("floor", [NUMBER], _number, number.floor, "The next whole number downwards.", ((1.7,), 1.0)),
    _function("mod", [NUMBER, NUMBER], _number, number.modulo, "As the operator %: the sign of the first.",
              ((-7, 3), -1)),
    _function("power", [NUMBER, NUMBER], values.FLOAT, number.power, "The first to the power of the second.",
              ((2, 10), 1024.0)),
    _function("pow", [NUMBER, NUMBER], values.FLOAT, number.power, "As power.", ((2, -1), 0.5)),
    _function("sqrt", [NUMBER], values.FLOAT, number.square_root, "The square root.", ((9,), 3.0)),
    _function("exp", [NUMBER], values.FLOAT, number.exponential, "e to its power.", ((0,), 1.0)),
    _function("ln", [NUMBER], values.FLOAT, number.natural_logarithm, "The natural logarithm.", ((1,), 0.0)),
    _function("log", [NUMBER, NUMBER], values.FLOAT, number.logarithm,
              "The logarithm to base 10; of the second to the base of the first.", ((2, 8), 3.0), minimum=1),
    _function("log10", [NUMBER], values.FLOAT, number.logarithm, "The logarithm to base 10.", ((1000,), 3.0)),
    _function("random", [], values.FLOAT, lambda draw: draw(), "A random number, 0 <= it < 1.", binding="draw",
              volatility="volatile"),
)  # fmt: skip

_JSON_FUNCTIONS = (
    _function("->", [JSON, JSON_STEP], values.JSON, json.part, "The part at a name, a path or a place, as JSON.",
              (('{"a": [1, 2.50]}', "a"), "[1, 2.50]"), may_miss=True),
    _function("->>", [JSON, JSON_STEP], values.TEXT, json.scalar_text,
              "The part as a text: a string without its quotes, all else as JSON; NULL for null.",
              (('{"a": ["x"]}', "$.a[0]"), "x"), may_miss=True),
    _function("json_extract", [JSON, TEXT], values.TEXT, json.extracted, "As ->> with a path. Always a text: CAST it.",
              (('{"a": 5}', "$.a"), "5"), may_miss=True),
    _function("json_type", [JSON, TEXT], values.TEXT, json.type_name,
              "object, array, text, integer, real, true, false or null: of all, or at a path.",
              (('[1.5]', "$[0]"), "real"), minimum=1, may_miss=True),
    _function("json_array_length", [JSON, TEXT], values.BIGINT, json.array_length,
              "Items of the array, or of that at a path; 0 of what is no array.", (("[1, 2]",), 2), minimum=1,
              may_miss=True),
    _function("json_valid", [JSON], values.BOOLEAN, json.is_valid, "Whether a text is JSON.", (("{",), False)),
    _function("json", [JSON], values.JSON, json.compact, "The same without white space between words.",
              (('{"a": 1}',), '{"a":1}')),
    _function("json_quote", [QUOTABLE], values.JSON, json.quoting, "A value as JSON; JSON as it is.",
              (("a",), '"a"'), null_safe=True, by_kind=True),
    _function("json_array", [QUOTABLE], values.JSON, json.array_of, "An array of the values.",
              ((1, "a", None), '[1,"a",null]'), minimum=0, maximum=UNLIMITED, null_safe=True, by_kind=True),
    _function("json_object", [QUOTABLE], values.JSON, json.object_of, "An object of names and values in turn.",
              (("a", 1, "b", True), '{"a":1,"b":true}'), minimum=0, maximum=UNLIMITED, null_safe=True, by_kind=True),
)  # fmt: skip

_NOW = "The statement's time in UTC"
_TIME_FUNCTIONS = (
    *(
        _function(name, [], values.DATETIME, when.at_once, f"{_NOW}.", binding="now", volatility="stable")
        for name in ("now", "current_timestamp", "localtimestamp")
    ),
    _function("current_date", [], values.DATE, when.day_of, f"{_NOW}: its date.", binding="now", volatility="stable"),
    _function("current_time", [], values.TIME, when.time_of, f"{_NOW}: its time.", binding="now", volatility="stable"),
    _function("localtime", [], values.TIME, when.time_of, "As current_time.", binding="now", volatility="stable"),
    _function("date", [MOMENT], values.DATE, when.day_of, "The date.", (("2024-02-29 10:00",), when.DAY)),
    _function("time", [MOMENT], values.TIME, when.time_of, "The time of day.", (("2024-02-29 10:00",), when.CLOCK)),
    _function("datetime", [MOMENT], values.DATETIME, when.moment_of, "Date and time.",
              (("2024-02-29 10:00",), when.MOMENT)),
    _function("extract", [TEXT, MOMENT_OR_INTERVAL], values.BIGINT, when.field_of,
              f"EXTRACT(field FROM x): {when.FIELD_NAMES}; of an interval {', '.join(when.INTERVAL_FIELDS)}.",
              (("month", when.MOMENT), 2)),
    *(
        _function(name, [MOMENT], values.BIGINT, when.FIELDS[name], f"The {name}.", ((when.MOMENT,), shown))
        for name, shown in (("year", 2024), ("month", 2), ("day", 29), ("hour", 10), ("minute", 0), ("second", 0))
    ),
    _function("strftime", [TEXT, MOMENT], values.TEXT, when.formatted, f"A text of {when.FORMAT_NAMES}.",
              (("%d.%m.%Y", when.MOMENT), "29.02.2024")),
    _function("julianday", [MOMENT], values.FLOAT, when.julian_day, "Days since noon of 24 November 4714 BC.",
              (("2000-01-01 12:00",), 2451545.0)),
)  # fmt: skip

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (*_TEXT_FUNCTIONS, *_CHOICES, *_NUMBER_FUNCTIONS, *_JSON_FUNCTIONS, *_TIME_FUNCTIONS)
}
