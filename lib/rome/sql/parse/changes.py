"""INSERT, UPDATE and DELETE."""

from __future__ import annotations

from sqlglot import exp

from rome.sql import syntax
from rome.sql.parse.allow import FROM_ITEMS, STATEMENTS, only
from rome.sql.parse.expressions import expression, identifier
from rome.sql.parse.queries import common_tables, query, select_items, table_name, value_or_default, where
from rome.sql.parse.source import Source


def _target(source: Source, node: exp.Expr | None) -> syntax.TableName:
    """The table a statement changes, with its alias."""
    name = table_name(source, node)
    assert node is not None
    only(source, node, "this", "alias")
    alias = node.args.get("alias")
    if alias is not None:
        only(source, alias, "this")
        return syntax.TableName(name, identifier(source, alias.this), at=source.start(node))
    return syntax.TableName(name, at=source.start(node))


def _returning(source: Source, node: exp.Expr) -> tuple[syntax.SelectItem, ...]:
    clause = node.args.get("returning")
    if clause is None:
        return ()
    only(source, clause, "expressions")
    return select_items(source, clause.expressions)


@STATEMENTS.takes(exp.Insert, "this", "expression", "default", "conflict", "returning", "with_")
def _insert(source: Source, node: exp.Insert) -> syntax.Insert:
    tables = common_tables(source, node)
    target = node.this
    columns: tuple[syntax.Name, ...] = ()
    if isinstance(target, exp.Schema):
        only(source, target, "this", "expressions")
        columns = _names(source, target.expressions)
        target = target.this
    table = _target(source, target)
    rows = None
    if not node.args.get("default"):
        rows = query(source, node.expression)
    elif columns:
        raise source.wrong(columns[0].at, "DEFAULT VALUES takes no columns")
    conflict = _conflict(source, node.args.get("conflict"))
    overriding = node.meta["overriding"]
    returning = _returning(source, node)
    return syntax.Insert(table, columns, rows, conflict, returning, tables, overriding, at=table.at)


def _names(source: Source, nodes: list[exp.Expr]) -> tuple[syntax.Name, ...]:
    return tuple(syntax.Name((identifier(source, node),), at=source.start(node)) for node in nodes)


def _conflict(source: Source, node: exp.Expr | None) -> syntax.OnConflict | None:
    if node is None:
        return None
    only(source, node, "constraint", "conflict_keys", "index_predicate", "expressions", "where")
    constraint = node.args.get("constraint")
    return syntax.OnConflict(
        _names(source, node.args.get("conflict_keys") or []),
        where(source, node.args.get("index_predicate")),
        None if constraint is None else identifier(source, constraint),
        tuple(_assignment(source, part) for part in node.expressions),
        where(source, node.args.get("where")),
        at=source.take(node),
    )


@STATEMENTS.takes(exp.Update, "this", "expressions", "from_", "where", "returning", "with_")
def _update(source: Source, node: exp.Update) -> syntax.Update:
    tables = common_tables(source, node)
    table = _target(source, node.this)
    assignments = tuple(_assignment(source, part) for part in node.expressions)
    if not assignments:
        raise source.wrong(node, "SET names no column")
    others = _others(source, node.args.get("from_"))
    condition = where(source, node.args.get("where"))
    return syntax.Update(table, assignments, others, condition, _returning(source, node), tables, at=table.at)


def _others(source: Source, node: exp.Expr | None) -> syntax.FromItem | None:
    """What stands in the FROM of an UPDATE, or behind the USING of a DELETE."""
    return None if node is None else FROM_ITEMS.read(source, node)


def _assignment(source: Source, node: exp.Expr) -> tuple[syntax.Name, syntax.Expression]:
    if not isinstance(node, exp.EQ) or not isinstance(node.this, exp.Column):
        raise source.wrong(node, "SET takes column = expression")
    only(source, node, "this", "expression")
    column = expression(source, node.this)
    if not isinstance(column, syntax.Name):
        raise source.wrong(node, "SET takes column = expression")
    return column, value_or_default(source, node.expression)


@STATEMENTS.takes(exp.Delete, "this", "using", "where", "returning", "with_")
def _delete(source: Source, node: exp.Delete) -> syntax.Delete:
    tables = common_tables(source, node)
    table = _target(source, node.this)
    others = _others(source, node.args.get("using"))
    condition = where(source, node.args.get("where"))
    return syntax.Delete(table, others, condition, _returning(source, node), tables, at=table.at)
