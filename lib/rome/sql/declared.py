"""What CREATE and ALTER TABLE declare where the URL asks for less than is usual.

With `foreign_keys=declared` a foreign key is not enforced, with `integers=flexible` an INTEGER keeps strings that
are no numbers: both as on SQLite, whose users may rely on it. The catalogue remembers it with the key or the column, so
everyone who uses the table keeps to it, whatever their URL says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rome.sql import syntax
from rome.values import Kind, SqlType


@dataclass(frozen=True, slots=True)
class Manners:
    """Whether new foreign keys are enforced, and new INTEGER columns flexible."""

    enforced: bool = True
    flexible: bool = False


USUAL = Manners()


def declared(statement: syntax.Definition, manners: Manners) -> syntax.Definition:
    """`statement` with the columns and foreign keys that it makes as `manners` say."""
    if manners == USUAL:
        return statement
    match statement:
        case syntax.CreateTable():
            columns = tuple(_column(column, manners) for column in statement.columns)
            constraints = tuple(_constraint(constraint, manners) for constraint in statement.constraints)
            return replace(statement, columns=columns, constraints=constraints)
        case syntax.AlterTable():
            return replace(statement, actions=tuple(_action(action, manners) for action in statement.actions))
    return statement


def _action(action: syntax.AlterAction, manners: Manners) -> syntax.AlterAction:
    match action:
        case syntax.AddColumn():
            return replace(action, column=_column(action.column, manners))
        case syntax.AlterColumn() if action.type is not None:
            return replace(action, type=_type(action.type, manners))
        case syntax.AddConstraint():
            return replace(action, constraint=_constraint(action.constraint, manners))
    return action


def _column(column: syntax.ColumnDefinition, manners: Manners) -> syntax.ColumnDefinition:
    constraints = tuple(_constraint(constraint, manners) for constraint in column.constraints)
    return replace(column, type=_type(column.type, manners), constraints=constraints)


def _type(sql_type: SqlType, manners: Manners) -> SqlType:
    return replace(sql_type, flexible=manners.flexible and sql_type.kind is Kind.INTEGER)


def _constraint(constraint: syntax.Constraint, manners: Manners) -> syntax.Constraint:
    if isinstance(constraint, syntax.ForeignKeyConstraint):
        return replace(constraint, enforced=manners.enforced)
    return constraint
