"""ROME's grammar of definitions: CREATE, DROP, ALTER and COMMENT, read word by word.

sqlglot's own readers of these statements take clauses in any order, twice, or half.
"""

from __future__ import annotations

from sqlglot import Token, TokenType, exp

from rome.sql.parse.query_grammar import QueryParser


class DefinitionParser(QueryParser):
    """Definitions."""

    def _read_table(self) -> exp.Expr:
        """The name of the table that a statement is about."""
        return self._part(self._parse_table_parts(schema=True))

    def _read_create(self) -> exp.Create:
        start = self._prev
        replacing = self._match_text_seq("OR", "REPLACE")
        if self._match(TokenType.VIEW):
            return self._read_view(start, bool(replacing))
        if not replacing and self._match(TokenType.SEQUENCE):
            return self._read_sequence(start)
        if replacing:
            raise self._refuse(f"CREATE OR REPLACE {self._found()}")
        unique = self._match(TokenType.UNIQUE)
        if self._match(TokenType.INDEX):
            concurrently = self._match_text_seq("CONCURRENTLY")
            exists = self._parse_exists(not_=True)
            create = exp.Create(this=self._read_index(), kind="INDEX", unique=unique or None, exists=exists or None)
            create.set("concurrently", concurrently or None)
            return self.expression(create, start)
        temporary = not unique and self._match(TokenType.TEMPORARY)
        if unique or not self._match(TokenType.TABLE):
            raise self._refuse(f"CREATE {'TEMPORARY ' if temporary else ''}{self._found()}")
        exists = self._parse_exists(not_=True)
        table = self._read_table()
        filled = self._read_filled(table)
        if filled is not None:
            filled.set("exists", exists or None)
            filled.meta["temporary"] = bool(temporary)
            return self.expression(filled, start)
        parts = self._parse_wrapped_csv(lambda: self._part(self._parse_constraint() or self._parse_field_def()))
        comment = None
        if self._match(TokenType.COMMENT):
            self._match(TokenType.EQ)
            comment = self.expression(exp.SchemaCommentProperty(this=self._part(self._parse_string())))
        if temporary and self._match_text_seq("ON", "COMMIT") and not self._match_text_seq("PRESERVE", "ROWS"):
            raise self._refuse(f"ON COMMIT {self._found()} (only PRESERVE ROWS)")
        if self._curr:
            raise self._refuse(f"{self._found()} after CREATE TABLE (…)")
        schema = self.expression(exp.Schema(this=table, expressions=parts))
        properties = [part for part in (comment, exp.TemporaryProperty() if temporary else None) if part is not None]
        create = exp.Create(this=schema, kind="TABLE", exists=exists or None)
        if properties:
            create.set("properties", exp.Properties(expressions=properties))
        return self.expression(create, start)

    def _read_filled(self, table: exp.Expr) -> exp.Create | None:
        """What is left of CREATE TABLE t (a, b) AS query; None when it is no such statement."""
        index = self._index
        names: list[exp.Expr] = []
        if self._match(TokenType.L_PAREN):
            name = self._parse_id_var(any_token=False)
            while name is not None:
                names.append(name)
                if not self._match(TokenType.COMMA):
                    break
                name = self._parse_id_var(any_token=False)
            if name is None or not self._match(TokenType.R_PAREN):
                self._retreat(index)
                return None
        if not self._match(TokenType.ALIAS):
            self._retreat(index)
            return None
        this = self.expression(exp.Schema(this=table, expressions=names))
        return exp.Create(this=this, kind="TABLE AS", expression=self._read_query())

    def _read_view(self, start: Token, replacing: bool) -> exp.Create:
        exists = self._parse_exists(not_=True)
        name = self._read_table()
        columns = self._parse_wrapped_csv(self._read_name) if self._curr.token_type == TokenType.L_PAREN else []
        if not self._match(TokenType.ALIAS):
            self.raise_error("AS and a query are missing after the name of a view")
        query = self._read_spanned(self._read_query)
        this = self.expression(exp.Schema(this=name, expressions=columns))
        create = exp.Create(
            this=this, kind="VIEW", replace=replacing or None, exists=exists or None, expression=query
        )
        return self.expression(create, start)

    def _read_sequence(self, start: Token) -> exp.Create:
        exists = self._parse_exists(not_=True)
        name = self._read_table()
        first = self._curr or self._prev
        create = exp.Create(this=name, kind="SEQUENCE", exists=exists or None)
        create.meta.update(first=first.start, options=self._read_number_options(), last=self._prev.end)
        if self._curr:
            raise self._refuse(f"{self._found()} in CREATE SEQUENCE")
        return self.expression(create, start)

    def _read_query(self) -> exp.Expr | None:
        """A query that is the rest of the statement."""
        query = self._parse_derived_table_values() or self._parse_ddl_select()
        if query is None:
            self.raise_error("a query is missing")
        if self._match_text_seq("WITH"):
            raise self._refuse(f"WITH {self._found()}", self._prev)
        return query

    def _read_index(self) -> exp.Index:
        name = self._read_name()
        if self._curr.token_type == TokenType.DOT:
            raise self._refuse("an index name with a schema")
        if not self._match(TokenType.ON):
            self.raise_error("ON is missing after the index name")
        table = self._read_table()
        if self._curr.token_type == TokenType.USING:
            raise self._refuse("USING in CREATE INDEX")
        columns = self._parse_wrapped_csv(lambda: self._part(self._parse_ordered()))
        if self._curr:
            raise self._refuse(f"{self._found()} in CREATE INDEX")
        parameters = self.expression(exp.IndexParameters(columns=columns))
        return self.expression(exp.Index(this=name, table=table, params=parameters))

    def _read_drop(self) -> exp.Drop:
        start = self._prev
        kind = self._found()
        kinds = (TokenType.TABLE, TokenType.INDEX, TokenType.VIEW, TokenType.SEQUENCE)
        if not any(self._match(each) for each in kinds):
            raise self._refuse(f"DROP {kind}")
        concurrently = kind == "INDEX" and self._match_text_seq("CONCURRENTLY")
        drop = exp.Drop(kind=kind, concurrently=concurrently or None, exists=self._parse_exists() or None)
        drop.set("tables", [self._read_table()] if kind == "INDEX" else self._parse_csv(self._read_table))
        if kind == "INDEX" and self._match(TokenType.ON):
            drop.set("cluster", self.expression(exp.OnProperty(this=self._read_table())))
        self._refuse_cascade(f"DROP {kind}")
        return self.expression(drop, start)

    def _refuse_cascade(self, statement: str) -> None:
        if self._match_text_seq("CASCADE"):
            raise self._refuse(f"{statement} … CASCADE", self._prev)
        self._match_text_seq("RESTRICT")

    def _read_comment(self) -> exp.Comment:
        start = self._prev
        self._expect("ON")
        if self._match(TokenType.TABLE):
            kind, this = "TABLE", self._read_table()
        elif self._match(TokenType.COLUMN):
            kind, this = "COLUMN", self._part(self._parse_column())
        elif self._match(TokenType.CONSTRAINT):
            kind, name = "CONSTRAINT", self._read_name()
            self._expect("ON")
            this = self.expression(exp.EQ(this=name, expression=self._read_table()))
        else:
            raise self._refuse(f"COMMENT ON {self._found()}")
        self._expect("IS")
        text = self._parse_null() or self._parse_string()
        if text is None:
            self.raise_error("a comment is a string or NULL")
        return self.expression(exp.Comment(this=this, kind=kind, expression=text), start)

    def _read_alter(self) -> exp.Alter:
        start = self._prev
        if not self._match(TokenType.TABLE):
            raise self._refuse(f"ALTER {self._found()}")
        table = self._read_table()
        actions = self._parse_csv(self._read_action)
        return self.expression(exp.Alter(this=table, kind="TABLE", actions=actions), start)

    def _read_action(self) -> exp.Expr:
        start = self._curr
        if self._match_text_seq("ADD"):
            action = self._read_add()
        elif self._match(TokenType.DROP):
            action = self._read_drop_part()
        elif self._match(TokenType.ALTER):
            action = self._read_alter_column()
        elif self._match(TokenType.RENAME):
            action = self._read_rename()
        elif not start:
            self.raise_error("Expected an action")
        else:
            raise self._refuse(f"ALTER TABLE … {self._found()}", start)
        return action.update_positions(start)

    def _read_add(self) -> exp.Expr:
        if self._curr.token_type == TokenType.CONSTRAINT or self._match_texts(
            self.SCHEMA_UNNAMED_CONSTRAINTS, advance=False
        ):
            return self.expression(exp.AddConstraint(expressions=[self._part(self._parse_constraint())]))
        self._match(TokenType.COLUMN)
        column = self._parse_field_def()
        if not isinstance(column, exp.ColumnDef):
            self.raise_error("a column name and a type are missing after ADD")
        return column

    def _read_drop_part(self) -> exp.Drop:
        if self._match(TokenType.PRIMARY_KEY):
            kind, exists, name = "PRIMARY KEY", None, None
        else:
            kind = "CONSTRAINT" if self._match(TokenType.CONSTRAINT) else "COLUMN"
            if kind == "COLUMN":
                self._match(TokenType.COLUMN)
            exists = self._parse_exists()
            name = self._read_name()
        self._refuse_cascade(f"DROP {kind}")
        return self.expression(exp.Drop(kind=kind, exists=exists or None, tables=[name] if name else []))

    def _read_alter_column(self) -> exp.AlterColumn:
        self._match(TokenType.COLUMN)
        change = exp.AlterColumn(this=self._read_name())
        if self._match_text_seq("DROP", "DEFAULT"):
            change.set("drop", True)
        elif self._match_text_seq("DROP", "NOT", "NULL"):
            change.set("allow_null", True)
        elif self._match_text_seq("SET", "NOT", "NULL"):
            change.set("allow_null", False)
        elif self._match_text_seq("SET", "DEFAULT"):
            change.set("default", self._read_default())
        elif self._match_text_seq("SET", "DATA", "TYPE") or self._match_text_seq("TYPE"):
            kind = self._parse_types(schema=True)
            if kind is None:
                self.raise_error("a type is missing")
            change.set("dtype", kind)
            if self._curr.token_type == TokenType.USING:
                raise self._refuse("ALTER COLUMN … TYPE … USING")
        else:
            self.raise_error("after ALTER COLUMN stand TYPE, SET DEFAULT, DROP DEFAULT, SET NOT NULL or DROP NOT NULL")
        return self.expression(change)

    def _read_rename(self) -> exp.Expr:
        if self._match_text_seq("TO"):
            return self.expression(exp.AlterRename(this=self._read_table()))
        if self._match_texts({"CONSTRAINT", "INDEX"}) and self._curr.text.upper() != "TO":
            raise self._refuse(f"RENAME {self._prev.text.upper()}", self._prev)
        self._match(TokenType.COLUMN)
        name = self._read_name()
        self._expect("TO")
        return self.expression(exp.RenameColumn(this=name, to=self._read_name()))
