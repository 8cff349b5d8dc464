"""ROME's grammar of names, expressions and queries: sqlglot's parser with most of its hooks taken out.

sqlglot knows the syntax of thirty databases; every word and every function that ROME does not take is left out here, so
that it is a plain name again (a column may be called `format`) or a syntax error. No function has a class of its own:
each call stays `exp.Anonymous` under the name that was written.

The methods overridden are those that sqlglot's own dialects override. Where sqlglot reads a clause loosely, skips a
word without asking, or takes what no SQL standard has, the method here reads it strictly instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import FunctionType
from typing import Any, ClassVar, NoReturn

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import ParseError

from rome.errors import NotSupportedError, Place, UndefinedObject
from rome.sql.parse import datatypes
from rome.sql.parse.words import NAME_TOKENS

TYPE_WORDS = {name.split()[0] for name in datatypes.NAMES}
INTERVAL_UNITS = {"YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND"}
NUMBER_OPTIONS = frozenset({"START", "INCREMENT", "MINVALUE", "MAXVALUE", "NO", "CYCLE", "CACHE"})
PLAIN_NAMES = frozenset({TokenType.VAR, TokenType.IDENTIFIER})

if not isinstance(sqlglot.Parser.parse, FunctionType):
    raise ImportError(
        "ROME extends sqlglot's parser, which the compiled form of sqlglot does not allow: pip uninstall sqlglotc"
    )


def _named(name: str) -> Callable[[], exp.Anonymous]:
    return lambda: exp.Anonymous(this=name, expressions=[])


class ExpressionParser(sqlglot.Parser):
    """Names, expressions, types, queries and what stands beside a column."""

    FUNCTIONS: ClassVar[dict[str, Callable[..., exp.Expr]]] = {}
    NO_PAREN_FUNCTIONS: ClassVar[dict[TokenType, Any]] = {
        TokenType.CURRENT_DATE: _named("current_date"),
        TokenType.CURRENT_TIME: _named("current_time"),
        TokenType.CURRENT_TIMESTAMP: _named("current_timestamp"),
        TokenType.CURRENT_USER: _named("current_user"),
        TokenType.LOCALTIME: _named("localtime"),
        TokenType.LOCALTIMESTAMP: _named("localtimestamp"),
    }
    NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        "CASE": lambda self: self._read_case(),
        "NEXT": lambda self: self._read_next_value(),
    }
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        "CAST": lambda self: self._read_cast(),
        "EXTRACT": lambda self: self._read_extract(),
        "POSITION": lambda self: self._read_position(),
        "SUBSTRING": lambda self: self._read_substring(),
        "TRIM": lambda self: self._read_trim(),
    }
    COLUMN_OPERATORS: ClassVar[dict[TokenType, Any]] = {TokenType.DOT: None}
    ARROWS: ClassVar[dict[TokenType, type[exp.Expr]]] = {
        TokenType.ARROW: exp.JSONExtract,
        TokenType.DARROW: exp.JSONExtractScalar,
    }
    BRACKETS: ClassVar[frozenset[TokenType]] = frozenset()
    LAMBDAS: ClassVar[dict[TokenType, Any]] = {}
    TYPE_LITERAL_PARSERS: ClassVar[dict[Any, Any]] = {}
    # `a = b IS NULL` is `(a = b) IS NULL`, as in SQLite and MySQL; sqlglot's default reads `a = (b IS NULL)`.
    IS_PREDICATE_PRECEDENCE: ClassVar[Any] = type(sqlglot.Parser.IS_PREDICATE_PRECEDENCE).EQUALITY
    PLACEHOLDER_PARSERS: ClassVar[dict[TokenType, Any]] = {
        TokenType.PLACEHOLDER: lambda self: self.expression(exp.Placeholder(), self._prev),
        TokenType.COLON: lambda self: self._read_named_parameter(),
    }
    ID_VAR_TOKENS: ClassVar[Any] = NAME_TOKENS
    # Without AS only a plain name is an alias, so that no word of a clause is swallowed by the one before it.
    ALIAS_TOKENS: ClassVar[Any] = PLAIN_NAMES
    TABLE_ALIAS_TOKENS: ClassVar[Any] = PLAIN_NAMES
    UPDATE_ALIAS_TOKENS: ClassVar[Any] = PLAIN_NAMES
    WINDOW_ALIAS_TOKENS: ClassVar[Any] = PLAIN_NAMES
    FUNC_TOKENS: ClassVar[Any] = {
        *NAME_TOKENS, *NO_PAREN_FUNCTIONS, *sqlglot.Parser.SUBQUERY_PREDICATES, TokenType.LEFT, TokenType.RIGHT
    }  # fmt: skip
    OPTIONAL_ALIAS_TOKEN_CTE: ClassVar[bool] = False
    CONSTRAINT_PARSERS: ClassVar[dict[str, Any]] = {
        name: sqlglot.Parser.CONSTRAINT_PARSERS[name]
        for name in (
            *("COLLATE", "COMMENT", "FOREIGN KEY", "NOT", "NULL", "PRIMARY KEY", "REFERENCES", "UNIQUE"),
        )
    } | {
        "AUTOINCREMENT": lambda self: exp.AutoIncrementColumnConstraint(),
        "AUTO_INCREMENT": lambda self: exp.AutoIncrementColumnConstraint(),
        "CHECK": lambda self: self._read_check(),
        "DEFAULT": lambda self: self.expression(exp.DefaultColumnConstraint(this=self._read_default())),
        "GENERATED": lambda self: self._read_generated(),
    }
    SCHEMA_UNNAMED_CONSTRAINTS: ClassVar[set[str]] = {"CHECK", "FOREIGN KEY", "PRIMARY KEY", "UNIQUE"}
    KEY_CONSTRAINT_OPTIONS: ClassVar[Any] = {
        "NOT": ("ENFORCED", "DEFERRABLE"),
        "MATCH": ("FULL", "PARTIAL", "SIMPLE"),
        "INITIALLY": ("DEFERRED", "IMMEDIATE"),
        "DEFERRABLE": (),
    }

    # ---- errors ----------------------------------------------------------------------------------------------------

    def raise_error(self, message: str, token: Token | None = None) -> NoReturn:
        token = token or self._curr or None
        offset = token.start if token else self._prev.end + 1 if self._prev else 0
        if message.startswith(("Invalid expression", "Expecting", "Expected", "Required keyword")) or " CTE" in message:
            # sqlglot's words are about its own classes
            close = "a ) is missing" if message == "Expecting )" else ""
            unexpected = f"{token.text!r} is not expected here" if token else "the statement is incomplete"
            message = f"{close}: {unexpected}" if close and token else close or unexpected
        raise ParseError(message, errors=[{"description": message, "offset": offset}])

    def _refuse(self, what: str, token: Token | None = None) -> NotSupportedError:
        token = token or self._curr or self._prev
        return NotSupportedError(Place.at(self.sql, token.start).describe(f"{what} is not supported"))

    def _parse_as_command(self, start: Token) -> exp.Command:
        raise self._refuse(f"{start.text.upper()} … {self._found()}")

    def _part(self, node: exp.Expr | None) -> exp.Expr:
        if node is None:
            self.raise_error("Expected something else")
        return node

    def _found(self) -> str:
        return self._curr.text.upper() if self._curr else "nothing"

    def _expect(self, *words: str) -> None:
        if not self._match_text_seq(*words):
            self.raise_error(f"{' '.join(words)} is missing")

    def _expect_close(self) -> None:
        if self._curr.token_type != TokenType.R_PAREN:
            self.raise_error("a ) is missing")

    # ---- expressions -----------------------------------------------------------------------------------------------

    def _parse_csv(self, parse_method: Callable[[], Any], sep: TokenType = TokenType.COMMA) -> list[Any]:
        items: list[Any] = []
        while True:
            item = parse_method()
            if item is None:
                if items or self._curr.token_type == sep:
                    self.raise_error("Expected an item")
                return items
            items.append(item)
            if not self._match(sep):
                return items

    def _parse_value(self, values: bool = True) -> exp.Tuple | None:
        if not values:
            return super()._parse_value(values)
        if not self._match(TokenType.L_PAREN):
            self.raise_error("a row of VALUES stands in parentheses")
        items = self._parse_csv(self._read_value)
        self._match_r_paren()
        return self.expression(exp.Tuple(expressions=items))

    def _read_value(self) -> exp.Expr | None:
        """An expression, or DEFAULT."""
        if self._match(TokenType.DEFAULT):
            return self.expression(exp.Var(this="DEFAULT"), self._prev)
        return self._parse_disjunction()

    def _read_named_parameter(self) -> exp.Placeholder | None:
        colon = self._prev
        if not self._curr or self._curr.start != colon.end + 1 or not self._curr.text.isidentifier():
            return None
        self._advance()
        return self.expression(exp.Placeholder(this=self._prev.text), self._prev)

    def _parse_function_call(
        self,
        functions: dict[str, Any] | None = None,
        anonymous: bool = False,
        optional_parens: bool = True,
        any_token: bool = False,
    ) -> exp.Expr | None:
        token = self._curr
        called = super()._parse_function_call(functions, anonymous, optional_parens, any_token)
        inner = called.this if isinstance(called, (exp.Filter, exp.Window)) else called
        if isinstance(inner, (exp.Anonymous, exp.Cast, exp.Case, exp.Exists)):
            inner.update_positions(token)
        return called

    def _parse_bracket(self, this: exp.Expr | None = None) -> exp.Expr | None:
        return this  # there are no arrays, maps or structs

    def _parse_unary(self) -> exp.Expr | None:
        """An operand, with the steps into JSON behind it: they bind more tightly than any operator of two sides."""
        this = super()._parse_unary()
        while self._curr.token_type in self.ARROWS:
            self._advance()
            kind = self.ARROWS[self._prev.token_type]
            this = self.expression(kind(this=self._part(this), expression=self._part(super()._parse_unary())))
        if self._curr.token_type in (TokenType.HASH_ARROW, TokenType.DHASH_ARROW):
            raise self._refuse(f"{self._found()} (write -> and ->> with a path)")
        return this

    def _parse_between(self, this: exp.Expr | None) -> exp.Between:
        if self._match_text_seq("SYMMETRIC") or self._match_text_seq("ASYMMETRIC"):
            raise self._refuse(f"BETWEEN {self._prev.text.upper()}", self._prev)
        low = self._parse_bitwise()
        if not self._match(TokenType.AND):
            self.raise_error("AND is missing after BETWEEN")
        return self.expression(exp.Between(this=this, low=low, high=self._parse_bitwise()))

    def _parse_ordered(self, parse_method: Callable[[], exp.Expr | None] | None = None) -> exp.Ordered | None:
        this = parse_method() if parse_method else self._parse_disjunction()
        if not this:
            return None
        descending = not self._match(TokenType.ASC) and self._match(TokenType.DESC)
        nulls_first = None
        if self._match_text_seq("NULLS"):
            nulls_first = self._match_text_seq("FIRST")
            if not nulls_first:
                self._expect("LAST")
        ordered = self.expression(exp.Ordered(this=this, desc=descending or None, nulls_first=False))
        ordered.meta["nulls_first"] = nulls_first  # the node itself cannot say "not written"
        return ordered

    def _parse_interval(
        self, require_interval: bool = True, parse_function_unit: bool = True
    ) -> exp.Interval | None:
        index = self._index
        if not self._match(TokenType.INTERVAL):
            return None
        start = self._prev
        value = self._parse_primary() or self._parse_placeholder()
        unit = self._curr
        if value is None or unit.text.upper() not in INTERVAL_UNITS:
            if isinstance(value, exp.Literal):
                self.raise_error("an INTERVAL is written INTERVAL '3' DAY")
            self._retreat(index)  # a column that is called interval
            return None
        self._advance()
        interval = self.expression(exp.Interval(this=value, unit=exp.Var(this=unit.text)), start)
        interval.args["unit"].update_positions(unit)
        return interval

    def _parse_primary(self) -> exp.Expr | None:
        if self._match_pair(TokenType.DOT, TokenType.NUMBER):
            return self.expression(exp.Literal(this=f"0.{self._prev.text}", is_string=False), self._prev)
        return super()._parse_primary()

    def _read_next_value(self) -> exp.NextValueFor | None:
        next_ = self._prev
        if not self._match_text_seq("VALUE", "FOR"):
            self._retreat(self._index - 1)  # a column that is called next
            return None
        name = self._parse_table_parts(schema=True)
        return self.expression(exp.NextValueFor(this=self._part(name)), next_)

    def _read_case(self) -> exp.Case:
        operand = None if self._curr.token_type == TokenType.WHEN else self._parse_disjunction()
        branches = []
        while self._match(TokenType.WHEN):
            condition = self._parse_disjunction()
            if not self._match(TokenType.THEN):
                self.raise_error("THEN is missing after WHEN")
            branches.append(self.expression(exp.If(this=condition, true=self._parse_disjunction())))
        if not branches:
            self.raise_error("a CASE has one WHEN or more")
        default = self._parse_disjunction() if self._match(TokenType.ELSE) else None
        if not self._match(TokenType.END):
            self.raise_error("END is missing after CASE")
        return self.expression(exp.Case(this=operand, ifs=branches, default=default))

    def _read_cast(self) -> exp.Cast:
        this = self._parse_disjunction()
        if not self._match(TokenType.ALIAS):
            self.raise_error("a cast is written CAST(expression AS type)")
        to = self._parse_types()
        self._expect_close()
        return self.expression(exp.Cast(this=this, to=to))

    def _read_extract(self) -> exp.Anonymous:
        field = self._curr
        self._advance()
        if not field.text.isidentifier() or not self._match(TokenType.FROM):
            self.raise_error("an extraction is written EXTRACT(field FROM expression)", field)
        name = self.expression(exp.Literal(this=field.text.lower(), is_string=True), field)
        return self._call("extract", [name, self._parse_bitwise()])

    def _read_position(self) -> exp.Anonymous:
        needle = self._parse_bitwise()
        if not self._match(TokenType.IN):
            self.raise_error("a search is written POSITION(part IN whole)")
        return self._call("position", [needle, self._parse_bitwise()])

    def _read_substring(self) -> exp.Anonymous:
        arguments = [self._parse_bitwise()]
        if self._match(TokenType.FROM):
            arguments.append(self._parse_bitwise())
            if self._match(TokenType.FOR):
                arguments.append(self._parse_bitwise())
        elif self._match(TokenType.FOR):
            arguments += [exp.Literal(this="1", is_string=False), self._parse_bitwise()]
        else:
            while self._match(TokenType.COMMA):
                arguments.append(self._parse_bitwise())
        return self._call("substring", arguments)

    def _read_trim(self) -> exp.Anonymous:
        name = "trim"
        if self._match_texts({"BOTH", "LEADING", "TRAILING"}):
            name = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}[self._prev.text.upper()]
        first = None if self._curr.token_type == TokenType.FROM else self._parse_bitwise()
        if self._match(TokenType.FROM):
            whole = self._parse_bitwise()
            return self._call(name, [whole] if first is None else [whole, first])
        arguments = [first]
        while self._match(TokenType.COMMA):
            arguments.append(self._parse_bitwise())
        return self._call(name, arguments)

    def _call(self, name: str, arguments: list[exp.Expr | None]) -> exp.Anonymous:
        if None in arguments:
            self.raise_error(f"{name.upper()} lacks an argument")
        self._expect_close()
        return self.expression(exp.Anonymous(this=name, expressions=arguments))

    # ---- types -----------------------------------------------------------------------------------------------------

    def _parse_types(
        self,
        check_func: bool = False,
        schema: bool = False,
        allow_identifiers: bool = True,
        with_collation: bool = False,
    ) -> exp.Expr | None:
        """A type as a `DataType` whose meta "type" is a SqlType; with `check_func` only before a string: DATE '…'."""
        first = self._curr
        name = first.text.upper()
        if check_func and (name not in TYPE_WORDS or self._next.token_type != TokenType.STRING):
            return None
        if not first or first.token_type == TokenType.IDENTIFIER or not first.text.isidentifier():
            return None
        if first.token_type != TokenType.VAR and name not in TYPE_WORDS:
            return None
        self._advance()
        if self._match_text_seq(datatypes.SECOND_WORDS.get(name, "")):
            name = f"{name} {self._prev.text.upper()}"
        numbers: list[int] = []
        if name.split()[0] in TYPE_WORDS and self._match(TokenType.L_PAREN):
            numbers = [int(token.text) for token in self._parse_csv(self._read_size)]
            self._match_r_paren()
        if self._match_text_seq("WITH", "TIME", "ZONE"):
            if name != "TIMESTAMP":
                raise self._refuse(f"{name} WITH TIME ZONE (TIMESTAMP can have one)", first)
            name = "TIMESTAMP WITH TIME ZONE"
        self._match_text_seq("WITHOUT", "TIME", "ZONE")
        if self._curr.text.upper() in ("UNSIGNED", "ZEROFILL", "ARRAY", "["):
            raise self._refuse(f"{name} {self._found()}", first)
        try:
            made = datatypes.sql_type(name, tuple(numbers))
        except datatypes.BadType as error:
            raise UndefinedObject(Place.at(self.sql, first.start).describe(str(error))) from None
        kind = exp.DataType(this=exp.DType.USERDEFINED).update_positions(first)
        kind.meta.update(type=made, first=first.start, last=self._prev.end)
        return kind

    def _read_size(self) -> Token:
        if self._curr.token_type != TokenType.NUMBER or not self._curr.text.isdigit():
            self.raise_error("a length or a precision is a whole number")
        self._advance()
        return self._prev

    # ---- names ----------------------------------------------------------------------------------------------------

    def _read_name(self) -> exp.Expr:
        name = self._parse_id_var(any_token=False)
        if name is None:
            self.raise_error(f"a name is missing before {self._found()!r}" if self._curr else "a name is missing")
        return name

    def _parse_id_var(self, any_token: bool = True, tokens: Collection[TokenType] | None = None) -> exp.Expr | None:
        token = self._curr
        if token.token_type == TokenType.STRING:
            return None
        # `any_token` would let any word be a name where sqlglot thinks that one must stand.
        name = super()._parse_id_var(False, tokens)
        if isinstance(name, exp.Identifier):
            name.update_positions(token)
        return name

    def _parse_alias(self, this: exp.Expr | None, explicit: bool = False) -> exp.Expr | None:
        named = super()._parse_alias(this, explicit)
        if self._prev.token_type == TokenType.ALIAS:
            self.raise_error("a name is missing after AS")
        return named

    def _parse_table_alias(self, alias_tokens: Collection[TokenType] | None = None) -> exp.TableAlias | None:
        alias = super()._parse_table_alias(alias_tokens)
        if self._prev.token_type == TokenType.ALIAS:
            self.raise_error("a name is missing after AS")
        return alias

    def _parse_string_as_identifier(self) -> None:
        return None

    def _parse_table_part(self, schema: bool = False) -> exp.Expr | None:
        if self._curr.token_type == TokenType.DOT:
            self.raise_error("a table name is missing before the dot")
        if not schema and self._next.token_type == TokenType.L_PAREN and self._curr.token_type == TokenType.VAR:
            raise self._refuse(f"the table function {self._curr.text}")
        return self._parse_id_var(any_token=False)

    def _parse_table_parts(
        self, schema: bool = False, is_db_reference: bool = False, wildcard: bool = False, fast: bool = False
    ) -> exp.Table | exp.Dot | None:
        table = super()._parse_table_parts(schema, is_db_reference, wildcard, fast)
        if not fast and self._curr.token_type == TokenType.STAR:
            self.raise_error("'*' is not expected here")
        return table

    # ---- beside a column -------------------------------------------------------------------------------------------

    def _read_spanned(self, read: Callable[[], exp.Expr | None]) -> exp.Paren:
        """What `read` reads, wrapped so that its meta "first" and "last" are the offsets of its text."""
        first = self._curr
        this = read()
        if this is None:
            self.raise_error("an expression is missing")
        wrapped = exp.Paren(this=this).update_positions(first)
        wrapped.meta.update(first=first.start, last=self._prev.end)
        return wrapped

    def _parse_column_constraint(self) -> exp.Expr | None:
        named = self._curr.token_type == TokenType.CONSTRAINT
        constraint = super()._parse_column_constraint()
        if named and not isinstance(constraint, exp.ColumnConstraint):
            self.raise_error("a constraint is written CONSTRAINT name and what it says")
        return constraint

    def _read_check(self) -> exp.CheckColumnConstraint:
        if not self._match(TokenType.L_PAREN):
            self.raise_error("a condition in parentheses is missing after CHECK")
        condition = self._read_spanned(self._parse_disjunction)
        self._match_r_paren()
        return self.expression(exp.CheckColumnConstraint(this=condition))

    def _read_generated(self) -> exp.Expr:
        """What stands behind GENERATED: an identity, or the expression that computes the column."""
        first = self._prev
        always = self._match_text_seq("ALWAYS")
        if not always and not self._match_text_seq("BY", "DEFAULT"):
            self.raise_error("ALWAYS or BY DEFAULT is missing after GENERATED")
        if not self._match(TokenType.ALIAS):
            raise self._refuse(f"GENERATED … {self._found()}")
        if always and self._match(TokenType.L_PAREN):
            computed = self._read_spanned(self._parse_disjunction)
            self._match_r_paren()
            virtual = self._match_text_seq("VIRTUAL")
            if not virtual:
                self._match_text_seq("STORED")
            return self.expression(exp.ComputedColumnConstraint(this=computed, persisted=not virtual))
        self._expect("IDENTITY")
        options: dict[str, int | bool | None] = {}
        if self._match(TokenType.L_PAREN):
            options = self._read_number_options()
            self._match_r_paren()
        identity = exp.GeneratedAsIdentityColumnConstraint(this=bool(always))
        identity.meta.update(start=first.start, first=first.start, last=self._prev.end, options=options)
        return identity

    def _read_number_options(self) -> dict[str, int | bool | None]:
        """START [WITH] n, INCREMENT [BY] n, [NO] MINVALUE n, [NO] MAXVALUE n, [NO] CYCLE, CACHE n, in any order."""
        options: dict[str, int | bool | None] = {}
        while self._curr and self._curr.text.upper() in NUMBER_OPTIONS:
            token = self._curr
            self._advance()
            word = token.text.upper()
            without = word == "NO"
            if without:
                word = self._found()
                if word not in ("MINVALUE", "MAXVALUE", "CYCLE"):
                    self.raise_error("after NO stand MINVALUE, MAXVALUE or CYCLE")
                self._advance()
            if word in options:
                self.raise_error(f"{word} stands twice", token)
            if word == "CYCLE":
                options[word] = not without
                continue
            self._match_text_seq({"START": "WITH", "INCREMENT": "BY"}.get(word, ""))
            options[word] = None if without else self._read_whole_number()
        return options

    def _read_whole_number(self) -> int:
        negative = self._match(TokenType.DASH)
        if self._curr.token_type != TokenType.NUMBER or not self._curr.text.isdigit():
            self.raise_error("a whole number is missing")
        self._advance()
        return -int(self._prev.text) if negative else int(self._prev.text)

    def _read_default(self) -> exp.Paren:
        if self._curr.token_type == TokenType.NOT:  # DEFAULT NOT NULL is no default
            self.raise_error("a value is missing after DEFAULT")
        return self._read_spanned(self._parse_bitwise)

    def _parse_index_params(self) -> exp.IndexParameters:
        return exp.IndexParameters()
