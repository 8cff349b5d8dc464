"""Alembic: how migrations speak to ROME. Importing this module registers the implementation, when alembic is there.

Definitions are transactional, and every ALTER that alembic knows is one statement of its own, so batch operations
need no copy of the table (`recreate="always"` still makes one).
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.ext.compiler import compiles

OPERATORS_OWN = "rome_"
"""What the names begin with of indexes that an operator added to an application's tables."""

try:  # alembic is optional: an application that migrates has it
    from alembic.ddl import base as alembic_ddl
    from alembic.ddl.impl import DefaultImpl
except ImportError:
    REGISTERED = False
else:
    REGISTERED = True

    class RomeImpl(DefaultImpl):
        """What is particular to ROME in migrations and in autogenerate."""

        __dialect__ = "rome"
        transactional_ddl = True
        type_synonyms = DefaultImpl.type_synonyms + ({"DOUBLE", "DOUBLE PRECISION"}, {"TEXT", "CLOB"})

        def compare_server_default(
            self,
            inspector_column: Any,
            metadata_column: Any,
            rendered_metadata_default: str | None,
            rendered_inspector_default: str | None,
        ) -> bool:
            return _plain(rendered_metadata_default) != _plain(rendered_inspector_default)

        def correct_for_autogen_constraints(
            self,
            conn_uniques: set[Any],
            conn_indexes: set[Any],
            metadata_unique_constraints: set[Any],
            metadata_indexes: set[Any],
        ) -> None:
            """Leave alone the operator's own indexes: they are the store's affair, and the models do not know them."""
            declared = {index.name for index in metadata_indexes}
            conn_indexes -= {
                index for index in conn_indexes if index.name.startswith(OPERATORS_OWN) and index.name not in declared
            }

    @compiles(alembic_ddl.ColumnName, "rome")
    def visit_column_name(element: Any, compiler: Any, **kw: Any) -> str:
        table = alembic_ddl.alter_table(compiler, element.table_name, element.schema)
        name = alembic_ddl.format_column_name(compiler, element.column_name)
        return f"{table} RENAME COLUMN {name} TO {alembic_ddl.format_column_name(compiler, element.newname)}"

    @compiles(alembic_ddl.ColumnComment, "rome")
    def visit_column_comment(element: Any, compiler: Any, **kw: Any) -> str:
        table = alembic_ddl.format_table_name(compiler, element.table_name, element.schema)
        name = alembic_ddl.format_column_name(compiler, element.column_name)
        text = "NULL" if element.comment is None else "'" + element.comment.replace("'", "''") + "'"
        return f"COMMENT ON COLUMN {table}.{name} IS {text}"


def _plain(default: str | None) -> str | None:
    """A default without what does not change its meaning: parentheses and quotes around a constant, letter case."""
    if default is None:
        return None
    default = re.sub(r"^\((.+)\)$", r"\1", default.strip())
    constant = re.match(r"^'(.*)'$", default, re.DOTALL)
    return constant[1] if constant else default.lower()
