"""INSERT, UPDATE and DELETE."""

from __future__ import annotations

from sqlglot import exp

from rome.sql import syntax
from rome.sql.parse.allow import STATEMENTS, only
from rome.sql.parse.expressions import expression, identifier
from rome.sql.parse.queries import query, select_items, table_name, value_or_default, where
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


@STATEMENTS.takes(exp.Insert, "this", "expression", "default", "returning")
def _insert(source: Source, node: exp.Insert) -> syntax.Insert:
    target = node.this
    columns: tuple[syntax.Name, ...] = ()
    if isinstance(target, exp.Schema):
        only(source, target, "this", "expressions")
        columns = tuple(syntax.Name((identifier(source, c),), at=source.start(c)) for c in target.expressions)
        target = target.this
    table = _target(source, target)
    rows = node.expression
    if node.args.get("default"):
        if columns:
            raise source.wrong(columns[0].at, "DEFAULT VALUES takes no columns")
        return syntax.Insert(table, (), None, _returning(source, node), at=table.at)
    return syntax.Insert(table, columns, query(source, rows), _returning(source, node), at=table.at)


@STATEMENTS.takes(exp.Update, "this", "expressions", "where", "returning")
def _update(source: Source, node: exp.Update) -> syntax.Update:
    table = _target(source, node.this)
    assignments = tuple(_assignment(source, part) for part in node.expressions)
    if not assignments:
        raise source.wrong(node, "SET names no column")
    condition = where(source, node.args.get("where"))
    return syntax.Update(table, assignments, condition, _returning(source, node), at=table.at)


def _assignment(source: Source, node: exp.Expr) -> tuple[syntax.Name, syntax.Expression]:
    if not isinstance(node, exp.EQ) or not isinstance(node.this, exp.Column):
        raise source.wrong(node, "SET takes column = expression")
    only(source, node, "this", "expression")
    column = expression(source, node.this)
    if not isinstance(column, syntax.Name):
        raise source.wrong(node, "SET takes column = expression")
    return column, value_or_default(source, node.expression)


@STATEMENTS.takes(exp.Delete, "this", "where", "returning")
def _delete(source: Source, node: exp.Delete) -> syntax.Delete:
    table = _target(source, node.this)
    return syntax.Delete(table, where(source, node.args.get("where")), _returning(source, node), at=table.at)
