"""What a query is to those who keep it under a name: the columns of a view, the table of CREATE TABLE … AS."""

from __future__ import annotations

from rome.errors import DuplicateColumn, NotSupportedError, ProgrammingError
from rome.sql import syntax
from rome.sql.bound import ColumnRef
from rome.sql.planner import plan_query
from rome.sql.scope import Scope, StatementScope
from rome.table.schema import Catalog, View
from rome.values import Kind


def columns_of(catalog: Catalog, view: View) -> tuple[ColumnRef, ...]:
    """The columns of a view as `catalog` has it; an error when its query does not fit what the catalogue has."""
    everything = syntax.Select((syntax.SelectItem(syntax.Star()),), syntax.TableName(view.name))
    scope = StatementScope(view.sql, catalog)
    output = plan_query(scope, syntax.Query(everything), Scope(view.sql)).output
    if scope.parameters or scope.locks:
        what = "parameters" if scope.parameters else "FOR UPDATE"
        raise NotSupportedError(f'the view "{view.name}" cannot have {what}: say it in the query that uses the view')
    names = [column.name.lower() for column in output]
    for name in names:
        if names.count(name) > 1:
            raise DuplicateColumn(f'column "{name}" of the view "{view.name}" is named twice: give it an alias')
    return output


def table_for(sql: str, catalog: Catalog, node: syntax.CreateTableAs) -> syntax.CreateTable:
    """The table that takes the rows of a query: its columns, without any constraint."""
    scope = StatementScope(sql, catalog)
    output = plan_query(scope, node.query, Scope(sql)).output
    place = scope.place(node.at)
    if scope.parameters or scope.locks:
        what = "parameters" if scope.parameters else "FOR UPDATE"
        raise NotSupportedError(place.describe(f"CREATE TABLE … AS has no {what}"))
    names = node.columns or tuple(column.name for column in output)
    if len(names) != len(output):
        message = f'"{node.name}" names {len(names)} columns, its query has {len(output)}'
        raise ProgrammingError(place.describe(message), sqlstate="42601")
    for name, column in zip(names, output, strict=True):
        if column.type.kind is Kind.NULL:
            message = f'column "{name}" of "{node.name}" has no type: write CAST(… AS type)'
            raise ProgrammingError(place.describe(message), sqlstate="42P16")
    columns = tuple(
        syntax.ColumnDefinition(name, column.type, at=node.at) for name, column in zip(names, output, strict=True)
    )
    return syntax.CreateTable(node.name, columns, temporary=node.temporary, at=node.at)
