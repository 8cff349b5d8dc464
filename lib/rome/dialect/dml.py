"""`from rome.dialect import insert`: INSERT with ON CONFLICT, as the SQLite and PostgreSQL dialects have it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

from sqlalchemy import Column, exc, schema
from sqlalchemy.sql import coercions, dml, expression, roles
from sqlalchemy.sql.elements import BindParameter, ClauseElement, ColumnElement
from sqlalchemy.sql.visitors import InternalTraversal

Self = TypeVar("Self", bound="Insert")


class OnConflict(ClauseElement):
    """ON CONFLICT … DO NOTHING, or DO UPDATE when it sets anything."""

    __visit_name__ = "rome_on_conflict"
    stringify_dialect = "rome"
    inherit_cache = True

    _traverse_internals = [  # noqa: RUF012
        ("columns", InternalTraversal.dp_string_list),
        ("predicate", InternalTraversal.dp_clauseelement),
        ("constraint", InternalTraversal.dp_string),
        ("set_names", InternalTraversal.dp_string_list),
        ("set_values", InternalTraversal.dp_clauseelement_list),
        ("where", InternalTraversal.dp_clauseelement),
    ]

    def __init__(
        self,
        columns: list[str],
        predicate: Any,
        constraint: str | None,
        assignments: Mapping[str, ColumnElement[Any]],
        where: Any,
    ) -> None:
        self.columns = columns
        self.predicate = _condition(predicate)
        self.constraint = constraint
        self.set_names = list(assignments)
        self.set_values = list(assignments.values())
        self.where = _condition(where)


class Insert(dml.Insert):
    """INSERT with `on_conflict_do_nothing`, `on_conflict_do_update` and `excluded`, the row that stayed out."""

    stringify_dialect = "rome"
    inherit_cache = True

    @cached_property
    def excluded(self) -> Any:
        """The columns of the row that stayed out: `stmt.excluded.name` in `set_` and `where`."""
        return expression.alias(self.table, name="excluded").columns

    def on_conflict_do_nothing(
        self: Self, index_elements: Iterable[Any] | None = None, index_where: Any = None, constraint: Any = None
    ) -> Self:
        """Leave out a row when another has its key: that on `index_elements`, of `constraint`, or any."""
        columns, name = _key(index_elements, constraint)
        return self._on_conflict(OnConflict(columns, index_where, name, {}, None))

    def on_conflict_do_update(
        self: Self,
        index_elements: Iterable[Any] | None = None,
        index_where: Any = None,
        set_: Any = None,
        where: Any = None,
        constraint: Any = None,
    ) -> Self:
        """Change the row that has the key, if `where` holds of it.

        `set_` maps columns, or their names, to values; `constraint` is the name of a key, or a constraint or an index.
        """
        columns, name = _key(index_elements, constraint)
        if not columns and name is None:
            raise exc.ArgumentError("on_conflict_do_update() needs index_elements or constraint")
        if not set_:
            raise exc.ArgumentError("on_conflict_do_update() needs set_, with one column or more")
        return self._on_conflict(OnConflict(columns, index_where, name, self._assignments(dict(set_)), where))

    def _on_conflict(self: Self, clause: OnConflict) -> Self:
        if self._post_values_clause is not None:
            raise exc.InvalidRequestError("this INSERT has an ON CONFLICT already")
        copy: Self = self._generate()
        copy._post_values_clause = clause
        return copy

    def _assignments(self, given: dict[Any, Any]) -> dict[str, ColumnElement[Any]]:
        """The values by the names of their columns."""
        made = {}
        for key, value in given.items():
            found = coercions.expect(roles.DMLColumnRole, key)
            column = self.table.c.get(found) if isinstance(found, str) else found
            if column is None:
                raise exc.ArgumentError(f"table {self.table} has no column {found!r}")
            element = coercions.expect(roles.ExpressionElementRole, value, type_=column.type, is_crud=True)
            if isinstance(element, BindParameter) and element.type._isnull:
                element = element._with_binary_element_type(column.type)
            made[column.name] = element
        return made


def insert(table: Any) -> Insert:
    """An INSERT that may say what becomes of rows whose key is taken."""
    return Insert(table)


def _condition(given: Any) -> Any:
    return None if given is None else coercions.expect(roles.WhereHavingRole, given)


def _key(index_elements: Iterable[Any] | None, constraint: Any) -> tuple[list[str], str | None]:
    """The columns of the key, or the name of its constraint."""
    if index_elements is not None and constraint is not None:
        raise exc.ArgumentError("index_elements and constraint are not given together")
    if isinstance(constraint, (schema.Constraint, schema.Index)):
        if constraint.name is not None:
            return [], str(constraint.name)
        index_elements = constraint.columns  # type: ignore[union-attr]
    elif constraint is not None:
        return [], str(constraint)
    return [_column_name(element) for element in index_elements or ()], None


def _column_name(element: Any) -> str:
    if isinstance(element, str):
        return element
    column = coercions.expect(roles.DDLConstraintColumnRole, element)
    if isinstance(column, (str, Column)):
        return column if isinstance(column, str) else column.name
    raise exc.ArgumentError(f"a key of ROME is made of columns, not of {element}")
