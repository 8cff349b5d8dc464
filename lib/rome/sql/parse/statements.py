"""ROME's grammar of changes of rows, and the sqlglot dialect made of all of the grammar.

sqlglot's own readers of these statements take clauses in any order, twice, or half; they are read here word by word.
"""

from __future__ import annotations

from typing import Any, ClassVar

import sqlglot
from sqlglot import TokenType, exp

from rome.sql.parse.definition_grammar import DefinitionParser
from rome.sql.parse.words import Tokenizer

_QUERY_BEGINS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.VALUES, TokenType.L_PAREN})


class Parser(DefinitionParser):
    STATEMENT_PARSERS: ClassVar[dict[TokenType, Any]] = {
        TokenType.ALTER: lambda self: self._read_alter(),
        TokenType.COMMENT: lambda self: self._read_comment(),
        TokenType.CREATE: lambda self: self._read_create(),
        TokenType.DELETE: lambda self: self._read_delete(),
        TokenType.DROP: lambda self: self._read_drop(),
        TokenType.INSERT: lambda self: self._read_insert(),
        TokenType.UPDATE: lambda self: self._read_update(),
    }

    def _read_target(self, *, bare_alias: bool) -> exp.Expr:
        """A table with its alias, which needs AS unless `bare_alias`."""
        table = self._read_table()
        if self._match(TokenType.ALIAS) or (bare_alias and self._curr.token_type in self.ALIAS_TOKENS):
            table.set("alias", self.expression(exp.TableAlias(this=self._read_name())))
        return table

    # ---- changes of rows -------------------------------------------------------------------------------------------

    def _read_insert(self) -> exp.Insert:
        start = self._prev
        if self._curr.token_type == TokenType.OR or self._curr.text.upper() == "IGNORE":
            raise self._refuse(f"INSERT {self._found()}")
        if not self._match(TokenType.INTO):
            self.raise_error("INTO is missing after INSERT")
        this = self._read_target(bare_alias=False)
        if self._curr.token_type == TokenType.L_PAREN and self._next.token_type not in _QUERY_BEGINS:
            names = self._parse_wrapped_csv(self._read_name)
            this = self.expression(exp.Schema(this=this, expressions=names))
        overriding = self._match_text_seq("OVERRIDING")
        if overriding and not self._match_text_seq("SYSTEM", "VALUE"):
            raise self._refuse(f"OVERRIDING {self._found()}")
        rows: exp.Expr | None = None
        default = self._match_text_seq("DEFAULT", "VALUES")
        if not default:
            if self._curr.token_type not in _QUERY_BEGINS:
                self.raise_error("VALUES, DEFAULT VALUES or a query is missing")
            rows = self._part(self._parse_derived_table_values() or self._parse_ddl_select())
        conflict = self._read_conflict() if self._match_text_seq("ON") else None
        insert = exp.Insert(this=this, expression=rows, default=default or None, conflict=conflict)
        insert.set("returning", self._parse_returning())
        insert.meta["overriding"] = bool(overriding)
        return self.expression(insert, start)

    def _read_conflict(self) -> exp.OnConflict:
        start = self._prev
        if not self._match_text_seq("CONFLICT"):
            raise self._refuse(f"INSERT … ON {self._found()}", start)
        conflict = exp.OnConflict()
        if self._match_text_seq("ON", "CONSTRAINT"):
            conflict.set("constraint", self._read_name())
        elif self._curr.token_type == TokenType.L_PAREN:
            conflict.set("conflict_keys", self._parse_wrapped_csv(self._read_name))
            conflict.set("index_predicate", self._parse_where())
        self._expect("DO")
        if not self._match_text_seq("NOTHING"):
            self._expect("UPDATE", "SET")
            conflict.set("expressions", self._parse_csv(self._read_assignment))
            conflict.set("where", self._parse_where())
        if self._curr.token_type == TokenType.ON:
            raise self._refuse("a second ON CONFLICT")
        return self.expression(conflict, start)

    def _read_update(self) -> exp.Update:
        start = self._prev
        this = self._read_target(bare_alias=True)
        if self._curr.token_type == TokenType.COMMA:
            raise self._refuse("UPDATE of several tables")
        if not self._match(TokenType.SET):
            self.raise_error("SET is missing")
        assignments = self._parse_csv(self._read_assignment)
        update = exp.Update(this=this, expressions=assignments)
        if self._match(TokenType.FROM):
            update.set("from_", self._part(self._parse_table(joins=True)))
        update.set("where", self._parse_where())
        update.set("returning", self._parse_returning())
        self._refuse_order("UPDATE")
        return self.expression(update, start)

    def _read_assignment(self) -> exp.EQ:
        column = self._part(self._parse_column())
        if not self._match(TokenType.EQ):
            self.raise_error("SET takes column = expression")
        return self.expression(exp.EQ(this=column, expression=self._part(self._read_value())))

    def _read_delete(self) -> exp.Delete:
        start = self._prev
        if not self._match(TokenType.FROM):
            self.raise_error("FROM is missing after DELETE")
        this = self._read_target(bare_alias=True)
        if self._curr.token_type == TokenType.COMMA:
            raise self._refuse("DELETE from several tables")
        delete = exp.Delete(this=this)
        if self._match(TokenType.USING):
            delete.set("using", self._part(self._parse_table(joins=True)))
        delete.set("where", self._parse_where())
        delete.set("returning", self._parse_returning())
        self._refuse_order("DELETE")
        return self.expression(delete, start)

    def _refuse_order(self, statement: str) -> None:
        if self._curr.token_type in (TokenType.ORDER_BY, TokenType.LIMIT):
            raise self._refuse(f"{self._found()} in {statement}")


class Rome(sqlglot.Dialect):
    """SQL as SQLAlchemy's compilers and people who follow the standard write it."""

    SUPPORTS_USER_DEFINED_TYPES = False
    Tokenizer = Tokenizer
    Parser = Parser


DIALECT = Rome()
