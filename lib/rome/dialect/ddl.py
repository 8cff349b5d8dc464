"""Definitions: CREATE, ALTER and DROP as ROME's parser reads them, comments written inside CREATE TABLE.

Computed columns, identity columns, sequences, views and schemas are refused when they are compiled, before anything
is sent.
"""

from __future__ import annotations

from typing import Any, NoReturn

from sqlalchemy import Column, Table, exc
from sqlalchemy.sql import compiler, sqltypes


class RomeDDLCompiler(compiler.DDLCompiler):
    """Compiles definitions."""

    def get_column_specification(self, column: Column[Any], **kw: Any) -> str:
        if column.computed is not None:
            _refuse(f"the computed column {column.name}", "compute it in the application or in the query")
        if column.identity is not None:
            _check_identity(column)
        text = (
            f"{self.preparer.format_column(column)} "
            f"{self.dialect.type_compiler_instance.process(column.type, type_expression=column)}"
        )
        default = self.get_column_default_string(column)
        if default is not None:
            text += f" DEFAULT {default}"
        if not column.nullable:
            text += " NOT NULL"
        if _is_numbered(column):
            text += " AUTOINCREMENT"
        if column.comment is not None:
            text += f" COMMENT {self._quoted(column.comment)}"
        return text

    def post_create_table(self, table: Table) -> str:
        return "" if table.comment is None else f" COMMENT {self._quoted(table.comment)}"

    def _quoted(self, text: str) -> str:
        return self.sql_compiler.render_literal_value(text, sqltypes.STRINGTYPE)

    def define_constraint_remote_table(self, constraint: Any, table: Table, preparer: Any) -> str:
        return str(preparer.format_table(table))

    def visit_drop_index(self, drop: Any, **kw: Any) -> str:
        """DROP INDEX name ON table: index names belong to their table."""
        text: str = super().visit_drop_index(drop, **kw)
        table = drop.element.table
        return text if table is None else f"{text} ON {self.preparer.format_table(table)}"

    def visit_computed_column(self, generated: Any, **kw: Any) -> NoReturn:
        _refuse("a computed column", "compute it in the application or in the query")

    def visit_identity_column(self, identity: Any, **kw: Any) -> NoReturn:
        _refuse("an identity column", "use autoincrement=True")

    def visit_create_sequence(self, create: Any, prefix: str | None = None, **kw: Any) -> NoReturn:
        _refuse(f"CREATE SEQUENCE {create.element.name}", "use autoincrement=True")

    def visit_drop_sequence(self, drop: Any, **kw: Any) -> NoReturn:
        _refuse(f"DROP SEQUENCE {drop.element.name}", "there are none to drop")

    def visit_create_schema(self, create: Any, **kw: Any) -> NoReturn:
        _refuse("CREATE SCHEMA", "keep tables apart with a namespace in the URL")

    def visit_drop_schema(self, drop: Any, **kw: Any) -> NoReturn:
        _refuse("DROP SCHEMA", "there are none to drop")

    def visit_create_table_as(self, element: Any, **kw: Any) -> NoReturn:
        _refuse("CREATE TABLE … AS", "create the table, then INSERT … SELECT")

    def visit_set_constraint_comment(self, create: Any, **kw: Any) -> NoReturn:
        _refuse("a comment on a constraint", "comment on its table")

    def visit_drop_constraint_comment(self, drop: Any, **kw: Any) -> NoReturn:
        _refuse("a comment on a constraint", "comment on its table")


def _is_numbered(column: Column[Any]) -> bool:
    """Whether an INSERT that leaves the column out gives it the next number."""
    table = column.table
    plain = column.server_default is None or column.identity is not None
    return table is not None and column is table._autoincrement_column and plain


def _check_identity(column: Column[Any]) -> None:
    """An identity column is one more way to say AUTOINCREMENT, as long as it asks for nothing that this is not."""
    identity = column.identity
    assert identity is not None
    asked = (identity.minvalue, identity.maxvalue, identity.nominvalue, identity.nomaxvalue, identity.cycle)
    if not _is_numbered(column):
        _refuse(f"the identity column {column.name}, which is not an integer primary key", "give it values")
    if identity.always or identity.start not in (None, 1) or identity.increment not in (None, 1) or any(asked):
        _refuse(f"an option of the identity column {column.name}", "numbers count from 1 and may be given")


def _refuse(what: str, instead: str) -> NoReturn:
    raise exc.CompileError(f"{what}: not supported by ROME; {instead}")
