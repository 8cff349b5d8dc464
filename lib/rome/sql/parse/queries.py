"""SELECT, VALUES, set operations and what stands in FROM."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlglot import exp

from rome.driver.api import Patience
from rome.sql import syntax
from rome.sql.parse.allow import FROM_ITEMS, QUERIES, STATEMENTS, only
from rome.sql.parse.expressions import expression, expressions, identifier, order_items, star
from rome.sql.parse.source import Source
from rome.sql.parse.windows import named_windows

MODIFIERS = ("with_", "order", "limit", "offset", "locks")
SET_OPERATIONS: dict[type[exp.Expr], str] = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}


# ---- queries -------------------------------------------------------------------------------------------------------


def query(source: Source, node: exp.Expr) -> syntax.Query:
    """The query that `node` makes, in a place where nothing else may stand."""
    return QUERIES.read(source, node)


@QUERIES.takes(
    exp.Select, "expressions", "distinct", "from_", "joins", "where", "group", "having", "windows", "kind", *MODIFIERS
)
def _select(source: Source, node: exp.Select) -> syntax.Query:
    if node.args.get("kind"):
        raise source.refuse(node, f"SELECT AS {node.args['kind']}")
    distinct = node.args.get("distinct")
    if distinct is not None:
        only(source, distinct)
    if not node.expressions:
        raise source.wrong(node, "SELECT names no column")
    tables = common_tables(source, node)
    at = source.start(node)
    body = syntax.Select(
        items=select_items(source, node.expressions),
        source=_from(source, node),
        where=_condition(source, node.args.get("where")),
        group_by=_group(source, node.args.get("group")),
        having=_condition(source, node.args.get("having")),
        windows=named_windows(source, node.args.get("windows") or []),
        distinct=distinct is not None,
        at=at,
    )
    return _modified(source, node, body, tables)


def _check_sequence(source: Source, node: exp.Expr, *clauses: str) -> None:
    """Refuse clauses that stand in another order than `clauses`: sqlglot takes them in any."""
    before = -1
    for name in clauses:
        clause = node.args.get(name)
        if isinstance(clause, list):
            clause = clause[0] if clause else None
        if clause is not None:
            start = source.start_within(clause)
            if start is None:
                continue
            if start < before:
                raise source.wrong(start, "the clauses of a query stand in another order")
            before = start


def _operation(source: Source, node: exp.SetOperation) -> syntax.Query:
    """A chain of set operations, read from the innermost outwards without recursion."""
    tables = common_tables(source, node)
    links: list[exp.SetOperation] = [node]
    while type(links[-1].this) in SET_OPERATIONS:
        link = links[-1].this
        only(source, link, "this", "expression", "distinct")
        links.append(link)
    left = _operand(source, links[-1].this)
    for link in reversed(links):
        right = _operand(source, link.expression)
        body = syntax.SetOperation(
            SET_OPERATIONS[type(link)], link.args.get("distinct") is False, left, right, at=left.at
        )
        left = syntax.Query(body, at=left.at)
    return _modified(source, node, body, tables)


for _kind in SET_OPERATIONS:
    QUERIES.takes(_kind, "this", "expression", "distinct", *MODIFIERS)(_operation)


def _operand(source: Source, node: exp.Expr) -> syntax.Query:
    for name in MODIFIERS:
        if isinstance(node, exp.Select) and node.args.get(name):
            raise source.wrong(node, "ORDER BY, LIMIT and FOR UPDATE in a part of a set operation need parentheses")
    return QUERIES.read(source, node)


@QUERIES.takes(exp.Subquery, "this", *MODIFIERS)
def _parenthesised(source: Source, node: exp.Subquery) -> syntax.Query:
    tables = common_tables(source, node)
    inner = QUERIES.read(source, node.this)
    if not any(node.args.get(name) for name in MODIFIERS):
        return inner
    if inner == syntax.Query(inner.body):
        return _modified(source, node, inner.body, tables)
    # (SELECT … LIMIT 5) ORDER BY x: the parentheses are a query of their own.
    everything = syntax.Select((syntax.SelectItem(syntax.Star()),), syntax.Derived(inner, None), at=inner.at)
    return _modified(source, node, everything, tables)


@QUERIES.takes(exp.Values, "expressions", "order", "limit", "offset")
def values(source: Source, node: exp.Values) -> syntax.Query:
    rows = []
    for row in node.expressions:
        if not isinstance(row, exp.Tuple):
            raise source.wrong(row, "a row of VALUES stands in parentheses")
        only(source, row, "expressions")
        rows.append(tuple(value_or_default(source, item) for item in row.expressions))
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        raise source.wrong(node, "every row of VALUES must have the same number of values")
    return _modified(source, node, syntax.Values(tuple(rows), at=source.start(node)), ())


def value_or_default(source: Source, node: exp.Expr) -> syntax.Expression:
    """A value of VALUES or SET."""
    if isinstance(node, exp.Var) and node.this == "DEFAULT":
        return syntax.DefaultValue(at=source.start(node))
    return expression(source, node)


STATEMENTS.readers.update(QUERIES.readers)


# ---- clauses -------------------------------------------------------------------------------------------------------


def select_items(source: Source, nodes: list[exp.Expr]) -> tuple[syntax.SelectItem, ...]:
    items = []
    for node in nodes:
        alias = None
        if isinstance(node, exp.Alias):
            only(source, node, "this", "alias")
            alias = identifier(source, node.args["alias"])
            node = node.this
        made = (None if alias else star(source, node)) or expression(source, node)
        items.append(syntax.SelectItem(made, alias, at=made.at))
    return tuple(items)


def common_tables(source: Source, node: exp.Expr) -> tuple[syntax.CommonTable, ...]:
    """The WITH clause of `node`."""
    clause = node.args.get("with_")
    if clause is None:
        return ()
    only(source, clause, "expressions", "recursive")
    made: dict[str, syntax.CommonTable] = {}
    for table in clause.expressions:
        only(source, table, "this", "alias", "materialized")
        name, columns = _alias(source, table.args.get("alias"))
        if name is None:
            raise source.wrong(table, "a WITH item has no name")
        at = source.start(table.args["alias"])
        if name.lower() in made:
            raise source.wrong(at, f"{name!r} stands twice in this WITH")
        # sqlglot makes MATERIALIZED True and NOT MATERIALIZED False; neither is a name of the text
        materialized = table.args.get("materialized")
        made[name.lower()] = syntax.CommonTable(
            name, query(source, table.this), columns, bool(clause.args.get("recursive")), materialized, at=at
        )
    return tuple(made.values())


def _condition(source: Source, node: exp.Expr | None) -> syntax.Expression | None:
    if node is None:
        return None
    only(source, node, "this")
    return expression(source, node.this)


where = _condition


def _group(source: Source, node: exp.Expr | None) -> tuple[syntax.Expression, ...]:
    if node is None:
        return ()
    only(source, node, "expressions")
    if node.args.get("all") is not None or not node.expressions:
        raise source.wrong(node, "GROUP BY names no expression")
    return expressions(source, node.expressions)


def _modified(
    source: Source, node: exp.Expr, body: Any, tables: tuple[syntax.CommonTable, ...]
) -> syntax.Query:
    """`body` with the clauses that follow it in `node`."""
    _check_sequence(source, node, "where", "group", "having", "windows", "order", "limit")
    _check_sequence(source, node, "where", "group", "having", "windows", "order", "offset")
    order, limit, offset = node.args.get("order"), node.args.get("limit"), node.args.get("offset")
    if offset is not None:
        only(source, offset, "expression")
        offset = expression(source, offset.expression)
    return syntax.Query(
        body=body,
        order_by=order_items(source, order),
        limit=_limit(source, limit),
        offset=offset,
        common_tables=tables,
        lock=_lock(source, node),
        percent=limit is not None and limit.meta.get("percent", False),
        ties=limit is not None and limit.meta.get("ties", False),
        at=body.at,
    )


def _limit(source: Source, node: exp.Expr | None) -> syntax.Expression | None:
    if node is None:
        return None
    only(source, node, "expression")
    source.taken.update(node.meta.get("words", ()))
    return expression(source, node.expression)


def _lock(source: Source, node: exp.Expr) -> syntax.Lock | None:
    """FOR SHARE, FOR NO KEY UPDATE and FOR KEY SHARE ask for less than FOR UPDATE and are read as it."""
    locks = node.args.get("locks") or []
    if not locks:
        return None
    if len(locks) > 1:
        raise source.wrong(locks[1], "FOR UPDATE stands twice")
    lock = locks[0]
    only(source, lock, "update", "key", "expressions", "wait")
    source.take_range(lock)  # its words are plain names to the tokenizer
    wait = lock.args.get("wait")
    if isinstance(wait, exp.Expr):
        raise source.refuse(wait, "WAIT with a time (say SET lock_timeout before)")
    tables = []
    for table in lock.args.get("expressions") or []:
        tables.append(syntax.TableName(table_name(source, table), at=source.start(table)))
        only(source, table, "this")
    patience = {None: Patience.WAIT, True: Patience.NOWAIT, False: Patience.SKIP}[wait]
    return syntax.Lock(tuple(tables), patience, at=source.start(lock))


# ---- FROM ----------------------------------------------------------------------------------------------------------


def _from(source: Source, node: exp.Expr) -> syntax.FromItem | None:
    clause = node.args.get("from_")
    joins = node.args.get("joins") or []
    if clause is None:
        if joins:
            raise source.wrong(node, "FROM is missing")
        return None
    only(source, clause, "this")
    return _joined(source, FROM_ITEMS.read(source, clause.this), joins)


def _joined(source: Source, first: syntax.FromItem, joins: list[exp.Expr]) -> syntax.FromItem:
    """`first` with `joins` after it. A comma binds more loosely than JOIN, which matters to RIGHT and FULL."""
    groups = [first]
    for node in joins:
        only(source, node, "this", "kind", "side", "on", "using")
        right = FROM_ITEMS.read(source, node.this)
        side, kind = node.args.get("side"), node.args.get("kind")
        on, using = node.args.get("on"), node.args.get("using") or []
        if not side and not kind and on is None and not using and node.meta.get("comma"):
            groups.append(right)
            continue
        groups[-1] = syntax.Join(
            _join_kind(source, node, side, kind),
            groups[-1],
            right,
            None if on is None else expression(source, on),
            tuple(identifier(source, name) for name in using),
            at=right.at,
        )
    made = groups[0]
    for right in groups[1:]:
        made = syntax.Join("CROSS", made, right, at=right.at)
    return made


def _join_kind(source: Source, node: exp.Expr, side: str | None, kind: str | None) -> str:
    conditional = node.args.get("on") is not None or bool(node.args.get("using"))
    if side in ("LEFT", "RIGHT", "FULL") and kind in (None, "OUTER"):
        if not conditional:
            raise source.wrong(node, f"{side} JOIN needs ON or USING")
        return side
    if side is None and kind in (None, "INNER"):
        if not conditional:
            raise source.wrong(node, "JOIN needs ON or USING; CROSS JOIN has neither")
        return "INNER"
    if side is None and kind == "CROSS":
        if conditional:
            raise source.wrong(node, "CROSS JOIN takes no ON and no USING")
        return "CROSS"
    raise source.refuse(node, f"{side or ''} {kind or ''} JOIN".strip())


def _alias(source: Source, node: exp.Expr | None) -> tuple[str | None, tuple[str, ...]]:
    if node is None:
        return None, ()
    only(source, node, "this", "columns")
    name = None if node.this is None else identifier(source, node.this)
    return name, tuple(identifier(source, column) for column in node.args.get("columns") or [])


@FROM_ITEMS.takes(exp.Table, "this", "alias", "db", "catalog", "joins")
def _table(source: Source, node: exp.Table) -> syntax.FromItem:
    name, columns = _alias(source, node.args.get("alias"))
    if isinstance(node.this, exp.Values):  # (VALUES …) AS v (a, b), inside parentheses
        return syntax.Derived(query(source, node.this), name, columns, at=source.start(node))
    if columns:
        raise source.refuse(node, "a table alias with column names")
    made = syntax.TableName(table_name(source, node), name, at=source.start(node))
    return _joined(source, made, node.args.get("joins") or [])


def table_name(source: Source, node: exp.Expr | None) -> str:
    """The name of a table without a schema."""
    if not isinstance(node, exp.Table):
        raise source.refuse(node if node is not None else 0, "anything but a table name here")
    if node.args.get("db") or node.args.get("catalog"):
        raise source.refuse(node, "a table name with a schema")
    return identifier(source, node.this)


@FROM_ITEMS.takes(exp.Subquery, "this", "alias", "joins")
def _derived(source: Source, node: exp.Subquery) -> syntax.FromItem:
    name, columns = _alias(source, node.args.get("alias"))
    inner = node.this
    if isinstance(inner, (exp.Table, exp.Subquery)) and name is None and _is_join_group(inner):
        made = FROM_ITEMS.read(source, inner)  # (a JOIN b ON …)
    else:
        made = syntax.Derived(query(source, inner), name, columns, at=source.start(node))
    return _joined(source, made, node.args.get("joins") or [])


@FROM_ITEMS.takes(exp.Lateral, "this")
def _lateral(source: Source, node: exp.Lateral) -> syntax.FromItem:
    query_ = FROM_ITEMS.read(source, node.this)
    if not isinstance(query_, syntax.Derived):
        raise source.refuse(node, "LATERAL before anything but a query in parentheses")
    return replace(query_, lateral=True)


def _is_join_group(node: exp.Expr) -> bool:
    """Whether what stands in parentheses is tables and not a query."""
    while isinstance(node, exp.Subquery) and not node.args.get("alias") and not node.args.get("joins"):
        node = node.this
    return isinstance(node, exp.Table) or bool(node.args.get("joins") and isinstance(node, exp.Subquery)) or bool(
        isinstance(node, exp.Subquery) and node.args.get("alias")
    )


@FROM_ITEMS.takes(exp.Values, "expressions", "alias")
def _values_table(source: Source, node: exp.Values) -> syntax.FromItem:
    name, columns = _alias(source, node.args.get("alias"))
    return syntax.Derived(values(source, node), name, columns, at=source.start(node))
