"""The scalar functions: what the page says of each is what it does."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest

from rome.errors import DataError, TypeMismatch, UndefinedFunction
from rome.sql.bound import Arithmetic, Call, Cast, ColumnRef, Compare, Const, Expr, Negate, Slot
from rome.sql.coerce import arithmetic_type, type_of_value
from rome.sql.expr import scalar, values
from rome.sql.functions import FUNCTIONS, lookup
from rome.values import BIGINT, BLOB, DATE, DATETIME, FLOAT, INTEGER, JSON, NULL, TEXT
from tests.sql.expr.sqlite_opinion import NOW, bindings


def called(name: str, *arguments: object) -> object:
    """The value of a call over constants, by way of generated code."""
    types = [type_of_value(argument) for argument in arguments]
    constants = tuple(Const(argument, type_) for argument, type_ in zip(arguments, types, strict=True))
    return scalar(Call(name, constants, lookup(name).result(types)), {})((), bindings())


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.example])
def test_every_example_is_true(name: str) -> None:
    arguments, result = FUNCTIONS[name].example or ((), None)
    found = called(name, *arguments)
    assert found == result
    assert type(found) is type(result)


def test_every_function_with_arguments_has_an_example() -> None:
    assert [name for name, function in FUNCTIONS.items() if function.example is None and function.minimum] == []


@pytest.mark.parametrize(
    "name", [name for name, function in FUNCTIONS.items() if function.minimum and not function.null_safe]
)
def test_null_as_any_argument_gives_null(name: str) -> None:
    arguments, _ = FUNCTIONS[name].example or ((), None)
    for place in range(len(arguments)):
        assert called(name, *arguments[:place], None, *arguments[place + 1 :]) is None


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.example])
def test_a_result_is_of_the_type_that_was_announced(name: str) -> None:
    arguments, result = FUNCTIONS[name].example or ((), None)
    announced = FUNCTIONS[name].result([type_of_value(argument) for argument in arguments])
    if result is not None:
        assert (TEXT if announced == JSON else announced).kind is type_of_value(result).kind


GOLDEN: list[tuple[str, tuple[object, ...], object]] = [
    ("length", (b"\x00\xff",), 2),
    ("substr", ("abc", 0, 2), "a"),
    ("substr", ("abc", -5, 3), "a"),
    ("substr", ("abc", 2), "bc"),
    ("substr", ("abc", 9), ""),
    ("substr", (b"abc", 2, 1), b"b"),
    ("left", ("abc", 9), "abc"),
    ("right", ("abc", 0), ""),
    ("right", ("abc", 9), "abc"),
    ("trim", ("\ta ",), "\ta"),
    ("trim", ("xax", ""), "xax"),
    ("replace", ("abc", "", "x"), "abc"),
    ("concat", ("a", None, 1, True, 1.5, Decimal("2.50"), date(2024, 1, 2)), "a1true1.52.502024-01-02"),
    ("concat", (None,), ""),
    ("concat_ws", (None, "a"), None),
    ("||", (1, "a"), "1a"),
    ("||", (b"\x00", b"\x01"), b"\x00\x01"),
    ("instr", ("abc", ""), 1),
    ("lpad", ("abc", 2), "ab"),
    ("lpad", ("a", 4, "xy"), "xyxa"),
    ("rpad", ("a", 4, "xy"), "axyx"),
    ("rpad", ("abc", -1), ""),
    ("repeat", ("ab", -1), ""),
    ("ascii", ("",), 0),
    ("hex", (b"\x0f",), "0F"),
    ("coalesce", (None, 1, Decimal("2.5")), Decimal(1)),
    ("coalesce", (None, None), None),
    ("ifnull", (1, 2), 1),
    ("nullif", (1, 2), 1),
    ("nullif", (None, 2), None),
    ("nullif", (date(2024, 1, 1), datetime(2024, 1, 1)), None),
    ("greatest", (1, 2.5), 2.5),
    ("least", (1, 2.5), 1.0),
    ("least", (date(2024, 1, 2), datetime(2024, 1, 1)), datetime(2024, 1, 1)),
    ("abs", (Decimal("-1234567890123456789012345678901.5"),), Decimal("1234567890123456789012345678901.5")),
    ("abs", (-2.5,), 2.5),
    ("sign", (Decimal("0.00"),), 0),
    ("round", (2.5,), 3.0),
    ("round", (-2.5,), -3.0),
    ("round", (25, -1), 30),
    ("round", (Decimal("1.005"), 2), Decimal("1.01")),
    ("round", (Decimal("1"), 2), Decimal("1.00")),
    ("round", (1e300, 2), 1e300),
    ("round", (0.1, 20), 0.1),
    ("trunc", (Decimal("-1.59"), 1), Decimal("-1.5")),
    ("trunc", (19, -1), 10),
    ("ceil", (Decimal("1.2"),), Decimal(2)),
    ("ceil", (3,), 3),
    ("floor", (-1.5,), -2.0),
    ("mod", (7.5, 2), 1.5),
    ("mod", (Decimal("-7.5"), 2), Decimal("-1.5")),
    ("power", (4, 0.5), 2.0),
    ("log", (100,), 2.0),
    ("date", (datetime(2024, 2, 29, 23),), date(2024, 2, 29)),
    ("time", ("10:30",), time(10, 30)),
    ("time", (date(2024, 2, 29),), time(0)),
    ("datetime", (date(2024, 2, 29),), datetime(2024, 2, 29)),
    ("datetime", ("2024-02-29T10:00:00.5",), datetime(2024, 2, 29, 10, 0, 0, 500000)),
    ("extract", ("EPOCH", datetime(1970, 1, 2)), 86400),
    ("extract", ("dow", "2024-02-25"), 0),
    ("extract", ("doy", "2024-03-01"), 61),
    ("extract", ("week", "2024-12-30"), 1),
    ("extract", ("quarter", "2024-12-30"), 4),
    ("extract", ("microsecond", "10:00:00.25"), 250000),
    ("strftime", ("%Y-%m-%dT%H:%M:%S %f %j %w %s %%Y", datetime(1999, 12, 31, 1, 2, 3, 4567)),
     "1999-12-31T01:02:03 03.004 365 5 946602123 %Y"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "result"), GOLDEN, ids=lambda value: str(value)[:40])
def test_golden(name: str, arguments: tuple[object, ...], result: object) -> None:
    found = called(name, *arguments)
    assert (found, type(found)) == (result, type(result))
    assert str(found) == str(result)


REFUSED: list[tuple[str, tuple[object, ...], str]] = [
    ("substr", ("abc", 1, -1), "22011"),
    ("left", ("abc", -1), "22011"),
    ("repeat", ("abc", 10**9), "54000"),
    ("lpad", ("abc", 10**12), "54000"),
    ("chr", (0xD800,), "22003"),
    ("char", (-1,), "22003"),
    ("abs", (-(2**63),), "22003"),
    ("mod", (1, 0), "22012"),
    ("sqrt", (-1,), "2201F"),
    ("power", (0, -1), "2201F"),
    ("power", (10, 400), "22003"),
    ("exp", (1000,), "22003"),
    ("ln", (0,), "2201E"),
    ("log", (1, 5), "2201E"),
    ("date", ("2024-02-30",), "22007"),
    ("extract", ("century", datetime(2024, 1, 1)), "22023"),
    ("strftime", ("%q", datetime(2024, 1, 1)), "22023"),
    ("strftime", ("%", datetime(2024, 1, 1)), "22023"),
]


@pytest.mark.parametrize(("name", "arguments", "sqlstate"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_has_no_value_is_a_data_error(name: str, arguments: tuple[object, ...], sqlstate: str) -> None:
    with pytest.raises(DataError, match=rf"^\[{sqlstate}\]"):
        called(name, *arguments)


def test_the_functions_of_the_clock_give_the_statements_time() -> None:
    for name in ("now", "current_timestamp", "localtimestamp"):
        assert called(name) == NOW
    assert called("current_date") == NOW.date()
    assert called("current_time") == called("localtime") == NOW.time()


def test_random_draws_once_a_row() -> None:
    draws = iter([0.1, 0.2, 0.3])
    compute = values(Call("random", (), FLOAT), {})
    assert compute([(), (), ()], bindings()._replace(draw=lambda: next(draws))) == [0.1, 0.2, 0.3]


def test_an_unknown_function_is_named_with_those_it_is_like() -> None:
    with pytest.raises(UndefinedFunction, match=r"no function lenght\(\): did you mean length\(\)"):
        lookup("lenght")
    with pytest.raises(UndefinedFunction, match=r"docs/functions\.md"):
        lookup("qqqqqqqq")
    assert lookup("LOWER") is FUNCTIONS["lower"]


def test_a_wrong_number_of_arguments_is_an_error() -> None:
    for name, types, said in (("lower", [], "1 argument, not 0"), ("substr", [TEXT], "2 to 3 arguments, not 1"),
                              ("coalesce", [], "1 or more arguments, not 0")):  # fmt: skip
        with pytest.raises(UndefinedFunction, match=said):
            lookup(name).result(types)


def test_an_argument_of_the_wrong_type_is_named() -> None:
    with pytest.raises(TypeMismatch, match=r"argument 1 of lower\(\) must be a string, not BIGINT"):
        lookup("lower").result([BIGINT])
    with pytest.raises(TypeMismatch, match="mixes BIGINT and TEXT"):
        lookup("coalesce").result([BIGINT, TEXT])


def test_a_parameter_gets_the_type_that_the_function_wants() -> None:
    assert lookup("lower").untyped(0) == TEXT
    assert lookup("substr").untyped(2) == BIGINT
    assert lookup("replace").untyped(2) == TEXT
    for name in ("concat", "abs", "year", "length", "coalesce"):  # many types will do: the value decides
        assert lookup(name).untyped(0) == NULL


def test_coalesce_and_case_compute_no_more_than_they_need() -> None:
    fails = Arithmetic("/", Const(1, BIGINT), ColumnRef(0, BIGINT), BIGINT)
    assert scalar(Call("coalesce", (Const(7, BIGINT), fails), BIGINT), {0: 0})((0,), bindings()) == 7
    assert scalar(Call("ifnull", (ColumnRef(0, BIGINT), fails), BIGINT), {0: 0})((0,), bindings()) == 0


@pytest.mark.parametrize(
    ("op", "left", "right", "result"),
    [
        ("+", datetime(2024, 1, 31, 1), timedelta(days=1), datetime(2024, 2, 1, 1)),
        ("+", timedelta(days=1), datetime(2024, 1, 31, 1), datetime(2024, 2, 1, 1)),
        ("-", datetime(2024, 1, 1), timedelta(microseconds=1), datetime(2023, 12, 31, 23, 59, 59, 999999)),
        ("-", datetime(2024, 1, 2), datetime(2024, 1, 1, 12), timedelta(hours=12)),
        ("-", datetime(2024, 1, 2, 1), date(2024, 1, 2), timedelta(hours=1)),
        ("+", date(2024, 1, 31), timedelta(hours=1), datetime(2024, 1, 31, 1)),
        ("+", date(2024, 1, 31), 1, date(2024, 2, 1)),
        ("+", 1, date(2024, 1, 31), date(2024, 2, 1)),
        ("-", date(2024, 3, 1), date(2024, 2, 1), 29),
        ("+", time(23, 30), timedelta(days=3, hours=1), time(0, 30)),
        ("-", time(0, 30), timedelta(hours=1), time(23, 30)),
        ("-", time(12), time(11), timedelta(hours=1)),
        ("+", timedelta(1), timedelta(2), timedelta(3)),
        ("*", timedelta(1), 2, timedelta(2)),
        ("*", Decimal("1.5"), timedelta(2), timedelta(3)),
        ("/", timedelta(1), 2, timedelta(hours=12)),
    ],
)
def test_dates_and_intervals_add_and_subtract(op: str, left: object, right: object, result: object) -> None:
    types = type_of_value(left), type_of_value(right)
    announced = arithmetic_type(op, *types)
    node = Arithmetic(op, Const(left, types[0]), Const(right, types[1]), announced)
    found = scalar(node, {})((), bindings())
    assert (found, type(found)) == (result, type(result))
    assert announced.kind is type_of_value(result).kind
    untyped = Arithmetic(op, Slot(0, NULL), Slot(1, NULL), NULL)
    assert scalar(untyped, {})((), bindings(left, right)) == result


@pytest.mark.parametrize(
    ("op", "left", "right", "sqlstate"),
    [
        ("+", datetime(9999, 12, 31), timedelta(days=1), "22008"),
        ("-", date(1, 1, 1), 1, "22008"),
        ("+", date(1, 1, 1), 10**12, "22008"),
        ("*", timedelta(days=999999999), 2, "22008"),
        ("/", timedelta(1), 0, "22012"),
        ("/", 1, 0, "22012"),
        ("%", 1, 0, "22012"),
        ("/", 1.0, 0, "22012"),
        ("/", Decimal(1), 0, "22012"),
        ("%", Decimal(1), Decimal(0), "22012"),
        ("/", Decimal(0), Decimal(0), "22012"),
        ("+", 2**63 - 1, 1, "22003"),
        ("-", -(2**63), 1, "22003"),
        ("*", 2**62, 2, "22003"),
        ("/", -(2**63), -1, "22003"),
        ("<<", 1, 63, "22003"),
        ("<<", 1, -1, "22003"),
        (">>", 1, 65, "22003"),
        ("*", 1e308, 10, "22003"),
        ("*", Decimal("1e900"), Decimal("1e900"), "22003"),
    ],
)
def test_arithmetic_without_a_value_is_a_data_error(op: str, left: object, right: object, sqlstate: str) -> None:
    node = Arithmetic(op, Const(left, type_of_value(left)), Const(right, type_of_value(right)), BIGINT)
    with pytest.raises(DataError, match=rf"^\[{sqlstate}\]"):
        scalar(node, {})((), bindings())


@pytest.mark.parametrize(
    ("op", "left", "right", "result"),
    [
        ("/", 7, 2, 3),
        ("/", -7, 2, -3),
        ("/", 7, -2, -3),
        ("%", -7, 2, -1),
        ("%", 7, -2, 1),
        ("/", 7.0, 2, 3.5),
        ("/", Decimal(1), 3, Decimal("0.33333333333333333333333333333333333333")),
        ("/", Decimal(7), 2, Decimal("3.5")),
        ("*", Decimal("12345678901234567890.5"), Decimal("98765432109876543210.25"),
         Decimal("1219326311370217952289932936891510440477.625")),
        ("+", Decimal("0.1"), 1, Decimal("1.1")),
        ("+", Decimal("0.5"), 1.0, 1.5),
        ("%", Decimal("-7.5"), 2, Decimal("-1.5")),
        ("&", 6, 3, 2),
        ("|", 6, 3, 7),
        ("<<", 1, 4, 16),
        (">>", -16, 2, -4),
        ("+", True, True, 2),
    ],
)  # fmt: skip
def test_arithmetic(op: str, left: object, right: object, result: object) -> None:
    node = Arithmetic(op, Const(left, type_of_value(left)), Const(right, type_of_value(right)), BIGINT)
    found = scalar(node, {})((), bindings())
    assert (found, type(found)) == (result, type(result))


def test_a_date_beside_a_datetime_counts_as_its_midnight() -> None:
    day, moment = ColumnRef(0, DATE), ColumnRef(1, DATETIME)
    row = (date(2024, 1, 1), datetime(2024, 1, 1))
    for op, expected in (("=", True), ("<", False), (">=", True), ("IS", True), ("<>", False)):
        node: Expr = Compare(op, day, moment)
        assert scalar(node, {0: 0, 1: 1})(row, bindings()) is expected


def test_numbers_of_different_kinds_compare_by_exact_value() -> None:
    def equal(left: object, right: object) -> object:
        sides = [Const(value, type_of_value(value)) for value in (left, right)]
        return scalar(Compare("=", *sides), {})((), bindings())

    assert equal(1, Decimal("1.000"))
    assert equal(1, 1.0)
    assert equal(True, 1)
    assert equal(Decimal("0.5"), 0.5)
    assert not equal(Decimal("0.1"), 0.1)
    assert not equal(2**53 + 1, float(2**53))


@pytest.mark.parametrize("name", ["greatest", "least", "coalesce", "ifnull", "nullif"])
def test_functions_of_alike_values_refuse_a_mixture(name: str) -> None:
    with pytest.raises(TypeMismatch, match="mixes INTEGER and BLOB"):
        lookup(name).result([INTEGER, BLOB])


@pytest.mark.parametrize("value", [2, 2.5, Decimal("2.5"), -7, True])
def test_a_parameter_may_be_another_number_than_its_place_says(value: int | float | Decimal) -> None:
    slot, given = Slot(0, BIGINT), bindings(value)
    halves = Arithmetic("/", Negate(slot, BIGINT), Const(2, BIGINT), BIGINT)
    exact = [int(-value / 2)] if isinstance(value, int) else [-value / 2]
    assert values(halves, {})([()], given) == exact
    assert values(Arithmetic("+", halves, Const(1, BIGINT), BIGINT), {})([()], given) == [exact[0] + 1]
    assert values(Cast(Arithmetic("+", slot, Const(1, BIGINT), BIGINT), TEXT), {})([()], given) == [str(value + 1)]
    whole = Cast(Call("coalesce", (slot, Const(1, BIGINT)), BIGINT), INTEGER)
    assert values(whole, {})([()], given) == [int(value)]
    assert values(Compare("<", slot, Const(3, BIGINT)), {})([()], given) == [True]
