"""ROME's grammar of queries: the clauses of SELECT and what stands in FROM."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

import sqlglot
from sqlglot import TokenType, exp

from rome.sql.parse.grammar import ExpressionParser


class QueryParser(ExpressionParser):
    """Queries, over names and expressions."""

    QUERY_MODIFIER_PARSERS: ClassVar[dict[TokenType, Any]] = {
        token: sqlglot.Parser.QUERY_MODIFIER_PARSERS[token]
        for token in (
            *(TokenType.WHERE, TokenType.GROUP_BY, TokenType.HAVING, TokenType.WINDOW, TokenType.ORDER_BY),
            *(TokenType.LIMIT, TokenType.OFFSET, TokenType.FOR),
        )
    } | {TokenType.FETCH: lambda self: ("limit", self._read_fetch())}
    QUERY_MODIFIER_TOKENS: ClassVar[Any] = set(QUERY_MODIFIER_PARSERS)

    def _parse_from(
        self, joins: bool = False, skip_from_token: bool = False, consume_pipe: bool = False
    ) -> exp.From | None:
        if consume_pipe:  # FROM t SELECT x
            self.raise_error("SELECT is missing before FROM")
        return super()._parse_from(joins, skip_from_token, consume_pipe)

    def _parse_projections(self) -> tuple[list[exp.Expr], list[exp.Expr] | None]:
        if self._prev.token_type == TokenType.ALIAS:
            self.raise_error("'AS' is not expected here", self._prev)
        return super()._parse_projections()

    def _parse_join(
        self,
        skip_join_token: bool = False,
        parse_bracket: bool = False,
        alias_tokens: Collection[TokenType] | None = None,
    ) -> exp.Join | None:
        comma = self._curr if self._curr.token_type == TokenType.COMMA else None
        join = super()._parse_join(skip_join_token, parse_bracket, alias_tokens)
        if comma is not None:
            if join is None:
                self.raise_error("a table is missing after the comma", self._curr or comma)
            join.meta["comma"] = True
        return join

    def _parse_locks(self) -> list[exp.Lock]:
        first = self._curr
        locks = super()._parse_locks()
        for lock in locks:
            lock.meta.update(start=first.start, first=first.start, last=self._prev.end)
        return locks

    def _read_fetch(self) -> exp.Limit:
        fetch = self._curr
        self._advance()
        if not (self._match(TokenType.FIRST) or self._match(TokenType.NEXT)):
            self.raise_error("FIRST or NEXT is missing after FETCH")
        if self._curr.token_type in (TokenType.ROW, TokenType.ROWS):
            count: exp.Expr | None = exp.Literal(this="1", is_string=False)
        else:
            count = self._parse_number() or self._parse_paren()
        if count is None or not (self._match(TokenType.ROW) or self._match(TokenType.ROWS)):
            self.raise_error("rows are fetched with FETCH FIRST n ROWS ONLY")
        if self._match_text_seq("WITH", "TIES"):
            raise self._refuse("WITH TIES", self._prev)
        self._expect("ONLY")
        return self.expression(exp.Limit(expression=count), fetch)
