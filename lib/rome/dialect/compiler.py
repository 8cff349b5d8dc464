"""SQL text: SQLAlchemy's compiler, with the words ROME's parser reads.

What differs from SQLAlchemy's own:
- `x IN (…)` with bound values is `x IN UNNEST(:name)`, the whole list being ONE parameter, so that one text (and one
  plan) serves every length, the empty list included. Tuples, literal rendering and lists inside text() keep
  SQLAlchemy's expansion.
- OFFSET stands alone, FETCH FIRST is LIMIT where it can be, ILIKE and REGEXP are operators, FOR SHARE and the KEY
  locks are FOR UPDATE.
- Names are quoted when sqlglot or SQL reserve them; a schema-qualified name is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import exc
from sqlalchemy.sql import compiler, sqltypes
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.util import surface_selectables_only
from sqlalchemy.util import OrderedSet

from rome.dialect.dml import OnConflict

_MORE_RESERVED_WORDS = """
    add alter apply auto_increment autoincrement begin by case collate comment commit constraint copy cube
    current_schema database date datetime delete describe div drop escape exists explain fetch filter first format
    function glob grouping if index insert intersects interval into key lateral lock merge mod next nulls operator
    over overlaps partition partitioned_by percent pivot pragma primary procedure qualify range recursive references
    regexp release rename replace returning revoke rlike rollback rollup row rows savepoint schema select semi
    separator sequence set show some start sysdate tablesample temp temporary time timestamp trigger truncate
    uncache unique unnest unpivot update values view window with within xor
"""
RESERVED_WORDS = {*compiler.RESERVED_WORDS, *_MORE_RESERVED_WORDS.split()}

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_IDENTIFIER = re.compile(r"[^A-Za-z0-9_]")
_POSTCOMPILE = re.compile(r"__\[POSTCOMPILE_([^\]~]+)\]")


class RomeIdentifierPreparer(compiler.IdentifierPreparer):
    """Quotes names; refuses schemas."""

    reserved_words = RESERVED_WORDS

    def quote_schema(self, schema: str) -> str:
        raise exc.CompileError(
            f"the schema {schema!r}: ROME has no schemas; keep tables apart with a namespace in the URL instead"
        )


class RomeCompiler(compiler.SQLCompiler):
    """Compiles statements."""

    # ---- IN with one array parameter

    @cached_property
    def _array_parameters(self) -> dict[str, BindParameter[Any]]:
        """The parameters, by compiled name, whose value is a whole IN list."""
        return {}

    def visit_in_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._in_array(binary, "IN", **kw) or self._generate_generic_binary(
            binary, compiler.OPERATORS[operator], **kw
        )

    def visit_not_in_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        array = self._in_array(binary, "NOT IN", **kw)
        return f"({array})" if array else super().visit_not_in_op_binary(binary, operator, **kw)

    def _in_array(self, binary: Any, words: str, **kw: Any) -> str | None:
        """`left IN UNNEST(:name)`, or None when the list must be expanded into the text."""
        values = binary.right
        if (
            not isinstance(values, BindParameter)
            or not values.expanding
            or values.literal_execute
            or kw.get("literal_binds")
            or kw.get("literal_execute")
            or kw.get("render_postcompile")
        ):
            return None
        implementation = values.type._unwrapped_dialect_impl(self.dialect)
        if (
            implementation._is_tuple_type
            or implementation._isnull
            or implementation._has_bind_expression
            or values in self.post_compile_params
        ):
            return None
        kw.update(_in_operator_expression=True, _binary_op=binary.operator)
        left = binary.left._compiler_dispatch(self, **kw)
        expanded = _POSTCOMPILE.search(values._compiler_dispatch(self, **kw))
        assert expanded is not None, "an expanding parameter renders as a POSTCOMPILE mark"
        # it was registered to be expanded at execution; from now on it is an ordinary parameter
        self.post_compile_params -= {values}
        self._array_parameters[self.bind_names[values]] = values
        return f"{left} {words} UNNEST({self.compilation_bindtemplate % {'name': expanded[1]}})"

    def bindparam_string(self, name: str, *args: Any, **kw: Any) -> str:
        """A parameter in the text; a name that is no identifier is written as one that no other name becomes."""
        if not kw.get("escaped_from") and not _IDENTIFIER.fullmatch(name):
            kw["escaped_from"] = name
            name = "p_" + _NOT_IN_IDENTIFIER.sub(lambda character: f"_x{ord(character[0]):x}_", name)
        text: str = super().bindparam_string(name, *args, **kw)
        return text

    @cached_property
    def _bind_processors(self) -> MutableMapping[str, Any]:
        processors: dict[str, Any] = dict(super()._bind_processors)
        for name in self._array_parameters:
            processors[name] = _each(processors.get(name))
        return processors

    # ---- clauses

    def limit_clause(self, select: Any, **kw: Any) -> str:
        text = ""
        if select._limit_clause is not None:
            text += "\n LIMIT " + self.process(select._limit_clause, **kw)
        if select._offset_clause is not None:
            text += "\n OFFSET " + self.process(select._offset_clause, **kw)
        return text

    def fetch_clause(self, select: Any, *args: Any, **kw: Any) -> str:
        options = select._fetch_clause_options or {}
        count = self.process(select._fetch_clause, **kw)
        offset = self.process(select._offset_clause, **kw) if select._offset_clause is not None else None
        if not (options.get("percent") or options.get("with_ties")):
            return f"\n LIMIT {count}" + (f"\n OFFSET {offset}" if offset is not None else "")
        share = " PERCENT" if options.get("percent") else ""
        ties = "WITH TIES" if options.get("with_ties") else "ONLY"
        text = f"\n OFFSET {offset} ROWS" if offset is not None else ""
        return f"{text}\n FETCH FIRST ({count}){share} ROWS {ties}"

    def for_update_clause(self, select: Any, **kw: Any) -> str:
        """FOR SHARE and the KEY locks ask for less than FOR UPDATE, which is what ROME has."""
        asked = select._for_update_arg
        text = " FOR UPDATE"
        if asked.of:
            tables = OrderedSet(table for each in asked.of for table in surface_selectables_only(each))
            text += " OF " + ", ".join(self.process(table, ashint=True, use_schema=False, **kw) for table in tables)
        return f"{text}{' NOWAIT' if asked.nowait else ''}{' SKIP LOCKED' if asked.skip_locked else ''}"

    def visit_rome_on_conflict(self, conflict: OnConflict, **kw: Any) -> str:
        text = "ON CONFLICT"
        if conflict.constraint is not None:
            text += f" ON CONSTRAINT {self.preparer.quote(conflict.constraint)}"
        elif conflict.columns:
            text += f" ({', '.join(map(self.preparer.quote, conflict.columns))})"
        if conflict.predicate is not None:
            text += " WHERE " + self.process(conflict.predicate, **{**kw, "include_table": False})
        if not conflict.set_names:
            return text + " DO NOTHING"
        assignments = [
            f"{self.preparer.quote(name)} = {self.process(value.self_group(), **{**kw, 'is_upsert_set': True})}"
            for name, value in zip(conflict.set_names, conflict.set_values, strict=True)
        ]
        text += f" DO UPDATE SET {', '.join(assignments)}"
        if conflict.where is not None:
            text += " WHERE " + self.process(conflict.where, **{**kw, "include_table": True})
        return text

    def update_from_clause(
        self, update_stmt: Any, from_table: Any, extra_froms: Any, from_hints: Any, **kw: Any
    ) -> str:
        return "FROM " + self._tables(extra_froms, from_hints, **kw)

    def delete_extra_from_clause(
        self, delete_stmt: Any, from_table: Any, extra_froms: Any, from_hints: Any, **kw: Any
    ) -> str:
        return "USING " + self._tables(extra_froms, from_hints, **kw)

    def _tables(self, tables: Sequence[Any], hints: Any, **kw: Any) -> str:
        kw["asfrom"] = True
        return ", ".join(table._compiler_dispatch(self, fromhints=hints, **kw) for table in tables)

    def visit_sequence(self, sequence: Any, **kw: Any) -> str:
        return f"NEXT VALUE FOR {self.preparer.format_sequence(sequence)}"

    def visit_empty_set_expr(self, element_types: Sequence[Any], **kw: Any) -> str:
        columns = ", ".join(
            f"CAST(NULL AS {self.dialect.type_compiler_instance.process(type_)})" if not type_._isnull else "NULL"
            for type_ in element_types
        )
        return f"SELECT {columns} WHERE 1 != 1"

    # ---- operators and functions

    def visit_aggregate_strings_func(self, fn: Any, **kw: Any) -> str:
        return f"string_agg{self.function_argspec(fn, **kw)}"

    def visit_now_func(self, function: Any, **kw: Any) -> str:
        return "CURRENT_TIMESTAMP"

    def visit_json_getitem_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """`column -> :path`; as_integer() and the like read the text that `->>` gives."""
        left, right = self.process(binary.left, **kw), self.process(binary.right, **kw)
        affinity = binary.type._type_affinity
        if affinity is sqltypes.JSON:
            return f"{left} -> {right}"
        if affinity is sqltypes.String:
            return f"{left} ->> {right}"
        type_ = self.dialect.type_compiler_instance.process(binary.type)
        return f"CAST({left} ->> {right} AS {type_})"

    visit_json_path_getitem_op_binary = visit_json_getitem_op_binary

    def visit_ilike_case_insensitive_operand(self, element: Any, **kw: Any) -> str:
        return str(element.element._compiler_dispatch(self, **kw))

    def visit_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._ilike(binary, "ILIKE", **kw)

    def visit_not_ilike_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._ilike(binary, "NOT ILIKE", **kw)

    def _ilike(self, binary: Any, words: str, **kw: Any) -> str:
        text = f"{self.process(binary.left, **kw)} {words} {self.process(binary.right, **kw)}"
        escape = binary.modifiers.get("escape")
        if escape is not None:
            text += " ESCAPE " + self.render_literal_value(escape, sqltypes.STRINGTYPE)
        return text

    def visit_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._regexp_match(binary, "REGEXP", "", **kw)

    def visit_not_regexp_match_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        return self._regexp_match(binary, "NOT REGEXP", "NOT ", **kw)

    def _regexp_match(self, binary: Any, words: str, negation: str, **kw: Any) -> str:
        text, pattern = self.process(binary.left, **kw), self.process(binary.right, **kw)
        flags = binary.modifiers["flags"]
        if flags is None:
            return f"{text} {words} {pattern}"
        return f"{negation}regexp_like({text}, {pattern}, {self.render_literal_value(flags, sqltypes.STRINGTYPE)})"

    def visit_regexp_replace_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        text, others = self.process(binary.left, **kw), self.process(binary.right, **kw)
        flags = binary.modifiers["flags"]
        with_flags = "" if flags is None else f", {self.render_literal_value(flags, sqltypes.STRINGTYPE)}"
        return f"regexp_replace({text}, {others}{with_flags})"


def _each(processor: Callable[[Any], Any] | None) -> Callable[[Any], tuple[Any, ...]]:
    """The bind processor of an array parameter: `processor`, if any, on each element."""
    if processor is None:
        return tuple
    return lambda values: tuple([processor(value) for value in values])
