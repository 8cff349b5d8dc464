"""Expressions: sqlglot's nodes into `rome.sql.syntax`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from sqlglot import exp

from rome.sql import syntax
from rome.sql.parse.allow import EXPRESSIONS, QUERIES, only
from rome.sql.parse.source import Source
from rome.sql.parse.words import RESERVED

COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "IS",
    exp.NullSafeNEQ: "IS NOT",
}
ARITHMETIC: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
    exp.DPipe: "||",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseXor: "^",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.JSONExtract: "->",
    exp.JSONExtractScalar: "->>",
}
CONNECTORS: dict[type[exp.Expr], str] = {exp.And: "AND", exp.Or: "OR"}


def expression(source: Source, node: exp.Expr | None) -> syntax.Expression:
    """The expression that `node` makes."""
    if node is None:
        raise source.wrong(len(source.sql), "an expression is missing")
    return EXPRESSIONS.read(source, node)


def expressions(source: Source, nodes: list[exp.Expr]) -> tuple[syntax.Expression, ...]:
    return tuple(EXPRESSIONS.read(source, node) for node in nodes)


def order_items(source: Source, node: exp.Expr | None) -> tuple[syntax.OrderItem, ...]:
    """The items of an ORDER BY."""
    if node is None:
        return ()
    only(source, node, "expressions")
    if not node.expressions:
        raise source.wrong(node, "ORDER BY names no expression")
    items = []
    for item in node.expressions:
        only(source, item, "this", "desc")
        made = expression(source, item.this)
        items.append(syntax.OrderItem(made, bool(item.args.get("desc")), item.meta["nulls_first"], at=made.at))
    return tuple(items)


def identifier(source: Source, node: exp.Expr | None) -> str:
    """The name that an Identifier is: as written, quotes removed."""
    if not isinstance(node, exp.Identifier):
        raise source.refuse(node if node is not None else 0, "anything but a name here")
    only(source, node, "this", "quoted")
    name: str = node.this
    if not name:
        raise source.wrong(node, "a name may not be empty")
    if not node.args.get("quoted") and (not name.isidentifier() or name.upper() in RESERVED):
        raise source.wrong(node, f"{name!r} is no name: put it in double quotes")
    source.take(node)
    return name


# ---- leaves --------------------------------------------------------------------------------------------------------


@EXPRESSIONS.takes(exp.Literal, "this", "is_string")
def _literal(source: Source, node: exp.Literal) -> syntax.Expression:
    at = source.take(node)
    if node.is_string:
        return syntax.Literal(node.this, at=at)
    return syntax.Literal(number(source, node), at=at)


def number(source: Source, node: exp.Literal) -> int | float | Decimal:
    """12 is an int, 1.5 a Decimal, 1e3 a float, as the standard's exact and approximate numerics."""
    text: str = node.this
    try:
        if text.isdigit():
            return int(text)
        if "e" in text.lower():
            value = float(text)
            if value in (float("inf"), float("-inf")):
                raise source.wrong(node, f"{text} is out of range")
            return value
        return Decimal(text)
    except (ValueError, ArithmeticError):
        raise source.wrong(node, f"{text!r} is not a number") from None


@EXPRESSIONS.takes(exp.HexString, "this", "is_integer")
def _bytes(source: Source, node: exp.HexString) -> syntax.Expression:
    at = source.take(node)
    try:
        return syntax.Literal(bytes.fromhex(node.this), at=at)
    except ValueError:
        raise source.wrong(node, "X'…' takes pairs of hexadecimal digits") from None


@EXPRESSIONS.takes(exp.Null)
def _null(source: Source, node: exp.Null) -> syntax.Expression:
    return syntax.Literal(None, at=source.start(node))


@EXPRESSIONS.takes(exp.Boolean, "this")
def _boolean(source: Source, node: exp.Boolean) -> syntax.Expression:
    return syntax.Literal(bool(node.this), at=source.start(node))


@EXPRESSIONS.takes(exp.Placeholder, "this")
def _parameter(source: Source, node: exp.Placeholder) -> syntax.Parameter:
    at = source.take(node)
    return syntax.Parameter(node.this or f"?{source.parameter_numbers[at]}", at=at)


@EXPRESSIONS.takes(exp.Column, "this", "table", "db", "catalog")
def _column(source: Source, node: exp.Column) -> syntax.Expression:
    at = source.start(node)
    if node.args.get("db") or node.args.get("catalog"):
        raise source.refuse(node, "a column name with a schema")
    if isinstance(node.this, exp.Star):
        raise source.refuse(node, "* here")
    table = node.args.get("table")
    name = identifier(source, node.this)
    return syntax.Name((identifier(source, table), name) if table else (name,), at=at)


def star(source: Source, node: exp.Expr) -> syntax.Star | None:
    """`*` or `table.*`, where they may stand; None for any other node."""
    if isinstance(node, exp.Star):
        only(source, node)
        return syntax.Star(at=source.start(node))
    if isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
        only(source, node, "this", "table")
        only(source, node.this)
        return syntax.Star(identifier(source, node.args.get("table")), at=source.start(node.args["table"]))
    return None


# ---- operators -----------------------------------------------------------------------------------------------------


def _connected(source: Source, node: exp.Connector) -> syntax.Expression:
    """AND and OR: a chain of a thousand becomes a balanced tree, so that nothing above need recurse a thousand deep."""
    kind = type(node)
    terms: list[exp.Expr] = []
    pending: list[exp.Expr] = [node]
    while pending:
        part = pending.pop()
        if type(part) is kind:
            only(source, part, "this", "expression")
            pending += [part.expression, part.this]
        else:
            terms.append(part)
    return _balanced(CONNECTORS[kind], expressions(source, terms))


def _balanced(op: str, terms: tuple[syntax.Expression, ...]) -> syntax.Expression:
    if len(terms) == 1:
        return terms[0]
    middle = (len(terms) + 1) // 2
    return syntax.Binary(op, _balanced(op, terms[:middle]), _balanced(op, terms[middle:]), at=terms[0].at)


for _kind in CONNECTORS:
    EXPRESSIONS.takes(_kind, "this", "expression")(_connected)


def _arithmetic(source: Source, node: exp.Binary) -> syntax.Expression:
    """A left-deep chain, read from its innermost pair outwards without recursion."""
    links = list(_left_chain(source, node))
    made = expression(source, links[-1].this)
    for link in reversed(links):
        made = syntax.Binary(ARITHMETIC[type(link)], made, expression(source, link.expression), at=made.at)
    return made


def _left_chain(source: Source, node: exp.Expr) -> Iterator[exp.Expr]:
    while type(node) in ARITHMETIC:
        # `safe` is how || treats NULL elsewhere; `typed` and `safe` how / treats integers and zero. ROME has one way.
        only(source, node, "this", "expression", "safe", "typed")
        yield node
        node = node.this


for _kind in ARITHMETIC:
    EXPRESSIONS.takes(_kind, "this", "expression", *({"safe", "typed"} & set(_kind.arg_types)))(_arithmetic)


def _comparison(source: Source, node: exp.Binary) -> syntax.Expression:
    left = expression(source, node.this)
    return syntax.Binary(COMPARISONS[type(node)], left, expression(source, node.expression), at=left.at)


for _kind in COMPARISONS:
    EXPRESSIONS.takes(_kind, "this", "expression")(_comparison)


@EXPRESSIONS.takes(exp.Paren, "this")
def _parenthesised(source: Source, node: exp.Paren) -> syntax.Expression:
    while isinstance(node.this, exp.Paren):
        only(source, node, "this")
        node = node.this
    return expression(source, node.this)


@EXPRESSIONS.takes(exp.Not, "this")
def _not(source: Source, node: exp.Not) -> syntax.Expression:
    operand = expression(source, node.this)
    if isinstance(operand, syntax.Binary) and operand.op == "IS" and isinstance(node.this, exp.Is):
        return syntax.Binary("IS NOT", operand.left, operand.right, at=operand.at)
    return syntax.Unary("NOT", operand, at=operand.at)


@EXPRESSIONS.takes(exp.Neg, "this")
def _negative(source: Source, node: exp.Neg) -> syntax.Expression:
    operand = expression(source, node.this)
    if isinstance(node.this, exp.Literal) and not node.this.is_string:
        return syntax.Literal(-number(source, node.this), at=operand.at)
    return syntax.Unary("-", operand, at=operand.at)


@EXPRESSIONS.takes(exp.BitwiseNot, "this")
def _complement(source: Source, node: exp.BitwiseNot) -> syntax.Expression:
    operand = expression(source, node.this)
    return syntax.Unary("~", operand, at=operand.at)


@EXPRESSIONS.takes(exp.Is, "this", "expression")
def _is(source: Source, node: exp.Is) -> syntax.Expression:
    operand = expression(source, node.this)
    right = node.expression
    if isinstance(right, exp.Null):
        return syntax.Unary("IS NULL", operand, at=operand.at)
    if isinstance(right, exp.Boolean):
        return syntax.Unary("IS TRUE" if right.this else "IS FALSE", operand, at=operand.at)
    return syntax.Binary("IS", operand, expression(source, right), at=operand.at)


@EXPRESSIONS.takes(exp.Between, "this", "low", "high")
def _between(source: Source, node: exp.Between) -> syntax.Expression:
    operand = expression(source, node.this)
    low, high = expression(source, node.args["low"]), expression(source, node.args["high"])
    return syntax.Between(operand, low, high, at=operand.at)


@EXPRESSIONS.takes(exp.Like, "this", "expression", "negate")
@EXPRESSIONS.takes(exp.ILike, "this", "expression", "negate")
def _like(source: Source, node: exp.Like | exp.ILike, escape: exp.Expr | None = None) -> syntax.Expression:
    operand, pattern = expression(source, node.this), expression(source, node.expression)
    escaped = None if escape is None else expression(source, escape)
    made = syntax.Like(operand, pattern, escaped, isinstance(node, exp.ILike), at=operand.at)
    return syntax.Unary("NOT", made, at=made.at) if node.args.get("negate") else made


@EXPRESSIONS.takes(exp.Escape, "this", "expression")
def _escape(source: Source, node: exp.Escape) -> syntax.Expression:
    if not isinstance(node.this, (exp.Like, exp.ILike)):
        raise source.wrong(node, "ESCAPE belongs to LIKE")
    only(source, node.this, "this", "expression", "negate")
    return _like(source, node.this, node.expression)


@EXPRESSIONS.takes(exp.RegexpLike, "this", "expression")
def _regexp(source: Source, node: exp.RegexpLike) -> syntax.Expression:
    operand, pattern = expression(source, node.this), expression(source, node.expression)
    return syntax.Function("regexp_like", (operand, pattern), at=operand.at)


@EXPRESSIONS.takes(exp.In, "this", "expressions", "query", "unnest")
def _in(source: Source, node: exp.In) -> syntax.Expression:
    operand = expression(source, node.this)
    unnest, query = node.args.get("unnest"), node.args.get("query")
    if unnest is not None:
        only(source, unnest, "expressions")
        array = unnest.expressions
        if len(array) != 1 or not isinstance(array[0], exp.Placeholder):
            raise source.refuse(unnest, "UNNEST of anything but one parameter")
        return syntax.InArray(operand, _parameter(source, array[0]), at=operand.at)
    if query is not None:
        return syntax.InQuery(operand, QUERIES.read(source, query), at=operand.at)
    items = node.expressions
    if not items:
        raise source.wrong(operand.at, "IN () names no value")
    if len(items) == 1 and isinstance(items[0], exp.Values):
        return syntax.InQuery(operand, QUERIES.read(source, items[0]), at=operand.at)
    return syntax.InList(operand, expressions(source, items), at=operand.at)


# ---- compounds -----------------------------------------------------------------------------------------------------


@EXPRESSIONS.takes(exp.Tuple, "expressions")
def _row(source: Source, node: exp.Tuple) -> syntax.Expression:
    items = expressions(source, node.expressions)
    if len(items) < 2:
        raise source.wrong(node, "a row has two values or more")
    return syntax.Row(items, at=items[0].at)


@EXPRESSIONS.takes(exp.Case, "this", "ifs", "default")
def _case(source: Source, node: exp.Case) -> syntax.Expression:
    at = source.start(node)
    whens = []
    for branch in node.args["ifs"]:
        only(source, branch, "this", "true")
        whens.append((expression(source, branch.this), expression(source, branch.args.get("true"))))
    if not whens:
        raise source.wrong(at, "a CASE has one WHEN or more")
    operand = None if node.this is None else expression(source, node.this)
    default = node.args.get("default")
    return syntax.Case(operand, tuple(whens), None if default is None else expression(source, default), at=at)


@EXPRESSIONS.takes(exp.Cast, "this", "to")
def _cast(source: Source, node: exp.Cast) -> syntax.Expression:
    source.take(node)
    operand = expression(source, node.this)
    kind = node.args["to"]
    if not isinstance(kind, exp.DataType):
        raise source.wrong(node, "a type is missing")
    source.take_range(kind)
    return syntax.Cast(operand, kind.meta["type"], at=operand.at)


@EXPRESSIONS.takes(exp.Interval, "this", "unit")
def _interval(source: Source, node: exp.Interval) -> syntax.Expression:
    unit = node.args["unit"]
    source.take(unit)
    value = expression(source, node.this)
    if isinstance(value, syntax.Literal) and isinstance(value.value, str):
        try:
            value = syntax.Literal(Decimal(value.value) if "." in value.value else int(value.value), at=value.at)
        except (ValueError, ArithmeticError):
            raise source.wrong(value.at, "an INTERVAL is written INTERVAL '3' DAY") from None
    return syntax.Interval(value, unit.this.lower(), at=source.start(node))


@EXPRESSIONS.takes(exp.NextValueFor, "this")
def _next_value(source: Source, node: exp.NextValueFor) -> syntax.NextValue:
    only(source, node.this, "this")
    return syntax.NextValue(identifier(source, node.this.this), at=source.start(node))


@EXPRESSIONS.takes(exp.Anonymous, "this", "expressions")
def _call(source: Source, node: exp.Anonymous) -> syntax.Function:
    at = source.take(node)
    name = node.this
    if not isinstance(name, str):
        raise source.refuse(node, "a function name in quotes")
    if name.lower() in ("exists", "any", "all", "some"):
        raise source.wrong(node, f"{name.upper()} takes a query")
    arguments = node.expressions
    order: tuple[syntax.OrderItem, ...] = ()
    if arguments and isinstance(arguments[-1], exp.Order):
        last = arguments[-1]
        only(source, last, "this", "expressions")
        order = order_items(source, exp.Order(expressions=last.expressions))
        arguments = [*arguments[:-1], last.this]
    if len(arguments) == 1 and isinstance(arguments[0], exp.Star) and not order:
        only(source, arguments[0])
        return syntax.Function(name.lower(), (), star=True, at=at)
    distinct = bool(arguments) and isinstance(arguments[0], exp.Distinct)
    if distinct:
        only(source, arguments[0], "expressions")
        arguments = [*arguments[0].expressions, *arguments[1:]]
        if not arguments:
            raise source.wrong(at, "DISTINCT names no expression")
    return syntax.Function(name.lower(), expressions(source, arguments), distinct=distinct, order_by=order, at=at)


@EXPRESSIONS.takes(exp.Filter, "this", "expression")
def _filtered(source: Source, node: exp.Filter) -> syntax.Expression:
    if not isinstance(node.this, exp.Anonymous) or not isinstance(node.expression, exp.Where):
        raise source.wrong(node, "FILTER (WHERE …) belongs to an aggregate function")
    called = _call(source, node.this)
    only(source, node.expression, "this")
    condition = expression(source, node.expression.this)
    return replace(called, filter=condition)


@EXPRESSIONS.takes(exp.Exists, "this")
def _exists(source: Source, node: exp.Exists) -> syntax.Expression:
    return syntax.Exists(QUERIES.read(source, node.this), at=source.start(node))


@EXPRESSIONS.takes(exp.Subquery, "this")
def _scalar_query(source: Source, node: exp.Subquery) -> syntax.Expression:
    query = QUERIES.read(source, node)
    return syntax.ScalarQuery(query, at=query.at)
