"""ROME's grammar of queries: the clauses of SELECT and what stands in FROM."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar

import sqlglot
from sqlglot import TokenType, exp

from rome.sql.parse.grammar import PLAIN_NAMES, ExpressionParser

_FRAMES = ("ROWS", "RANGE", "GROUPS")
_EXCLUSIONS = (("NO", "OTHERS"), ("CURRENT", "ROW"), ("GROUP",), ("TIES",))


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

    def _parse_with(self, skip_with_token: bool = False) -> exp.With | None:
        if not skip_with_token and not self._match(TokenType.WITH):
            return None
        start = self._prev
        recursive = self._match(TokenType.RECURSIVE)
        items = self._parse_csv(lambda: self._part(self._parse_cte()))
        return self.expression(exp.With(expressions=items, recursive=recursive or None), start)

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

    def _parse_lateral(self) -> exp.Lateral | None:
        if not self._match(TokenType.LATERAL):
            return None
        word = self._prev
        if self._curr.token_type != TokenType.L_PAREN:
            raise self._refuse("LATERAL before anything but a query in parentheses", word)
        return self.expression(exp.Lateral(this=self._part(self._parse_select(table=True))), word)

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
        words: list[int] = []
        percent = self._name_words(words, "PERCENT")
        if count is None or not (self._match(TokenType.ROW) or self._match(TokenType.ROWS)):
            self.raise_error("rows are fetched with FETCH FIRST n [PERCENT] ROWS ONLY, or WITH TIES")
        ties = self._match_text_seq("WITH", "TIES")
        if not ties:
            self._expect("ONLY")
        limit = self.expression(exp.Limit(expression=count), fetch)
        limit.meta.update(percent=percent, ties=bool(ties), words=words)
        return limit

    # ---- windows ---------------------------------------------------------------------------------------------------

    def _parse_window(self, this: exp.Expr | None, alias: bool = False) -> exp.Expr | None:
        """What may stand behind a call: FILTER (WHERE …), OVER name, OVER (definition)."""
        if self._match_text_seq("WITHIN", "GROUP"):
            raise self._refuse("WITHIN GROUP", self._prev)
        if self._match_pair(TokenType.FILTER, TokenType.L_PAREN):
            if not self._match(TokenType.WHERE):
                self.raise_error("WHERE is missing after FILTER (")
            condition = self.expression(exp.Where(this=self._part(self._parse_disjunction())))
            this = self.expression(exp.Filter(this=this, expression=condition))
            self._match_r_paren()
        for word in ("IGNORE", "RESPECT"):
            if self._match_text_seq(word, "NULLS"):
                raise self._refuse(f"{word} NULLS", self._prev)
        if not self._match(TokenType.OVER):
            return this
        if self._curr.token_type != TokenType.L_PAREN:
            return self.expression(exp.Window(this=this, alias=self._read_name(), over="OVER"))
        return self._read_definition(this)

    def _parse_named_window(self) -> exp.Expr | None:
        name = self._read_name()
        if not self._match(TokenType.ALIAS):
            self.raise_error("a window is written WINDOW name AS (…)")
        return self._read_definition(name)

    def _read_definition(self, this: exp.Expr | None) -> exp.Window:
        """(base PARTITION BY … ORDER BY … frame); with no base, `alias` is not set."""
        if not self._match(TokenType.L_PAREN):
            self.raise_error("a ( is missing before the window")
        base = None
        if self._curr.token_type in PLAIN_NAMES and (
            self._curr.token_type == TokenType.IDENTIFIER or self._curr.text.upper() not in _FRAMES
        ):
            base = self._read_name()
        partition = []
        if self._match(TokenType.PARTITION_BY):
            partition = self._parse_csv(lambda: self._part(self._parse_disjunction()))
        order = self._parse_order()
        frame = self._read_frame()
        self._match_r_paren()
        return self.expression(exp.Window(this=this, alias=base, partition_by=partition, order=order, spec=frame))

    def _read_frame(self) -> exp.WindowSpec | None:
        first = self._curr
        if first.token_type == TokenType.IDENTIFIER or not self._match_texts(_FRAMES):
            return None
        words = [first.start]
        spec = exp.WindowSpec(kind=first.text.upper())
        between = self._match(TokenType.BETWEEN)
        sides = ("start", "end") if between else ("start",)
        for side in sides:
            if side == "end" and not self._match(TokenType.AND):
                self.raise_error("AND is missing: a frame is BETWEEN one bound AND another")
            value, direction = self._read_bound(words)
            spec.set(side, value)
            spec.set(f"{side}_side", direction)
        if self._match_text_seq("EXCLUDE"):
            words.append(self._prev.start)
            for exclusion in _EXCLUSIONS:
                if self._name_words(words, *exclusion):
                    spec.set("exclude", " ".join(exclusion))
                    break
            else:
                self.raise_error("after EXCLUDE stand CURRENT ROW, GROUP, TIES or NO OTHERS")
        spec.meta["words"] = words
        return self.expression(spec, first)

    def _read_bound(self, words: list[int]) -> tuple[str | exp.Expr, str | None]:
        """UNBOUNDED or an offset, with PRECEDING or FOLLOWING, or CURRENT ROW."""
        if self._name_words(words, "CURRENT", "ROW"):
            return "CURRENT ROW", None
        value: str | exp.Expr = "UNBOUNDED" if self._name_words(words, "UNBOUNDED") else self._part(
            self._parse_bitwise()
        )  # fmt: skip
        for direction in ("PRECEDING", "FOLLOWING"):
            if self._name_words(words, direction):
                return value, direction
        self.raise_error("PRECEDING or FOLLOWING is missing")

    def _name_words(self, words: list[int], *wanted: str) -> bool:
        """Read the words `wanted` if they come next, and note where they stand: to the tokenizer they are names."""
        if not self._match_text_seq(*wanted):
            return False
        words += [token.start for token in self._tokens[self._index - len(wanted) : self._index]]
        return True
