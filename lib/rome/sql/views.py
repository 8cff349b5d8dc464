"""What a view is to those who look at it from outside: its columns."""

from __future__ import annotations

from rome.errors import DuplicateColumn, NotSupportedError
from rome.sql import syntax
from rome.sql.bound import ColumnRef
from rome.sql.planner import plan_query
from rome.sql.scope import Scope, StatementScope
from rome.table.schema import Catalog, View


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
