"""Running definitions: CREATE, DROP, ALTER and COMMENT, as changes of the transaction's catalogue.

`define` is a step; the table floor makes the changes, and this package turns names into ids, fills in what the text may
leave out, and sees that defaults and CHECK conditions mean something before they are kept.
"""

from __future__ import annotations

from rome.errors import InternalError, ProgrammingError
from rome.sql import syntax
from rome.sql.definition.alteration import alter_table
from rome.sql.definition.creation import comment_on, create_table, drop_tables
from rome.sql.definition.other_objects import (
    change_concurrently,
    create_index,
    create_sequence,
    create_view,
    drop_index,
    drop_sequences,
    drop_views,
)
from rome.sql.definition.work import Hooks, Work
from rome.table.schema import Catalog
from rome.txn.wave import Step

__all__ = ["Hooks", "Work", "change_concurrently", "define"]


def define(statement: syntax.Definition, work: Work) -> Step[Catalog]:
    """Run one definition on `work.catalog`; the new catalogue, or the same when IF [NOT] EXISTS leaves nothing to do.

    Nothing is taken back when it raises: the caller rolls back to a savepoint. Raises UndefinedTable, UndefinedColumn,
    UndefinedObject, DuplicateTable, DuplicateColumn, DuplicateObject, and IntegrityError when rows that are there do
    not keep a new constraint.
    """
    match statement:
        case syntax.CreateTable():
            return (yield from create_table(work, statement))
        case syntax.CreateTableAs():
            raise InternalError("CREATE TABLE … AS is a CREATE TABLE and an INSERT")
        case syntax.CreateView():
            return (yield from create_view(work, statement))
        case syntax.DropView():
            return (yield from drop_views(work, statement))
        case syntax.CreateSequence():
            return (yield from create_sequence(work, statement))
        case syntax.DropSequence():
            return (yield from drop_sequences(work, statement))
        case syntax.DropTable():
            return (yield from drop_tables(work, statement))
        case syntax.CreateIndex(concurrently=True) | syntax.DropIndex(concurrently=True):
            raise ProgrammingError("CONCURRENTLY means several transactions: it cannot be in one", sqlstate="25001")
        case syntax.CreateIndex():
            return (yield from create_index(work, statement))
        case syntax.DropIndex():
            return (yield from drop_index(work, statement))
        case syntax.AlterTable():
            return (yield from alter_table(work, statement))
        case syntax.CommentOn():
            return (yield from comment_on(work, statement))
