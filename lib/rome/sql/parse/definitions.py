"""CREATE, DROP, ALTER and COMMENT."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from sqlglot import exp

from rome.sql import syntax
from rome.sql.parse.allow import ACTIONS, STATEMENTS, only
from rome.sql.parse.expressions import expression, identifier
from rome.sql.parse.queries import query, table_name
from rome.sql.parse.source import Source
from rome.values import Kind, SqlType


def text_expression(source: Source, node: exp.Expr) -> syntax.TextExpression:
    """An expression with its text as written; the grammar wrapped it in a Paren that knows where it stands."""
    first, last = node.meta["first"], node.meta["last"]
    return syntax.TextExpression(source.sql[first : last + 1], expression(source, node.this), at=first)


def _names(source: Source, within: exp.Expr, nodes: list[exp.Expr]) -> tuple[str, ...]:
    """Column names in parentheses; ASC is taken, DESC, lengths and expressions are not."""
    names, descending = _directed(source, within, nodes)
    if descending:
        raise source.refuse(within, "a key in descending order")
    return names


def _directed(source: Source, within: exp.Expr, nodes: list[exp.Expr]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The column names in parentheses, and those of them behind which DESC stands."""
    if not nodes:
        raise source.wrong(within, "a key names one column or more")
    names, descending = [], []
    for part in nodes:
        node = part
        if isinstance(node, exp.Ordered):
            only(source, node, "this", "desc")
            if node.meta.get("nulls_first") is not None:
                raise source.refuse(node, "NULLS FIRST or LAST in an index")
            node = node.this
        if isinstance(node, exp.Column) and not node.args.get("table"):
            only(source, node, "this")
            node = node.this
        if not isinstance(node, exp.Identifier):
            raise source.refuse(node, "a key over anything but columns")
        names.append(identifier(source, node))
        if part.args.get("desc"):
            descending.append(names[-1])
    return tuple(names), tuple(descending)


# ---- constraints ---------------------------------------------------------------------------------------------------


def _options(source: Source, node: exp.Expr) -> dict[str, str]:
    """What stands after a key: {"ON DELETE": "CASCADE", "DEFERRABLE": ""}; only what is checked at once is taken."""
    actions: dict[str, str] = {}
    for option in node.args.get("options") or []:
        if option.startswith("ON "):
            _, event, action = option.split(" ", 2)
            if f"ON {event.upper()}" in actions:
                raise source.wrong(node, f"ON {event.upper()} stands twice")
            actions[f"ON {event.upper()}"] = action
        elif option in ("INITIALLY DEFERRED", "NOT ENFORCED", "MATCH FULL", "MATCH PARTIAL"):
            raise source.refuse(node, f"a constraint that is {option}")
        elif option not in ("DEFERRABLE", "NOT DEFERRABLE", "INITIALLY IMMEDIATE", "MATCH SIMPLE"):
            raise source.refuse(node, f"{option} after a constraint")
        else:
            actions[option] = ""
    return actions


def _no_options(source: Source, node: exp.Expr) -> None:
    if any(option.startswith("ON ") for option in _options(source, node)):
        raise source.wrong(node, "ON DELETE and ON UPDATE belong to a foreign key")


def _foreign_key(
    source: Source, name: str | None, columns: tuple[str, ...], reference: exp.Expr, outer: exp.Expr | None = None
) -> syntax.ForeignKeyConstraint:
    only(source, reference, "this", "options")
    target = reference.this
    target_columns: tuple[str, ...] = ()
    if isinstance(target, exp.Schema):
        only(source, target, "this", "expressions")
        target_columns = _names(source, target, target.expressions)
        target = target.this
    actions = _options(source, reference)
    if outer is not None:
        actions |= _options(source, outer)
        for event in ("delete", "update"):
            if outer.args.get(event):
                actions[f"ON {event.upper()}"] = outer.args[event]
    if target_columns and len(target_columns) != len(columns):
        raise source.wrong(reference, "a foreign key and what it references must have the same number of columns")
    at = source.start(reference)
    said = {option for option in actions if not option.startswith("ON ")}
    if {"DEFERRABLE", "NOT DEFERRABLE"} <= said:
        raise source.wrong(at, "a constraint is DEFERRABLE or it is not")
    actions = {event: action for event, action in actions.items() if event not in said}
    for action in actions.values():
        if action not in ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"):
            raise source.wrong(at, f"{action} is no referential action")
    if set(actions) - {"ON DELETE", "ON UPDATE"}:
        raise source.wrong(at, "after a foreign key stand ON DELETE and ON UPDATE")
    return syntax.ForeignKeyConstraint(
        name,
        columns,
        table_name(source, target),
        target_columns,
        on_delete=actions.get("ON DELETE", "NO ACTION"),
        on_update=actions.get("ON UPDATE", "NO ACTION"),
        deferrable=True if "DEFERRABLE" in said else False if "NOT DEFERRABLE" in said else None,
        initially="IMMEDIATE" if "INITIALLY IMMEDIATE" in said else None,
        at=at,
    )


def _constraint(source: Source, node: exp.Expr, name: str | None = None) -> syntax.Constraint:
    """A constraint of a table."""
    at = source.start(node)
    if isinstance(node, exp.Constraint):
        only(source, node, "this", "expressions")
        made = _constraint(source, node.expressions[0], identifier(source, node.this))
        if len(node.expressions) == 2 and isinstance(node.expressions[1], exp.CommentColumnConstraint):
            only(source, node.expressions[1], "this")
            return replace(made, comment=_text(source, node.expressions[1].this))
        if len(node.expressions) != 1:
            raise source.refuse(node, "a constraint of several kinds")
        return made
    if isinstance(node, exp.PrimaryKey):
        only(source, node, "expressions", "include", "options")
        only(source, node.args["include"])
        _no_options(source, node)
        return syntax.PrimaryKeyConstraint(name, _names(source, node, node.expressions), at=at)
    if isinstance(node, exp.UniqueColumnConstraint):
        only(source, node, "this", "options")
        _no_options(source, node)
        if not isinstance(node.this, exp.Schema) or node.this.this is not None:
            raise source.wrong(node, "UNIQUE names its columns in parentheses")
        only(source, node.this, "this", "expressions")
        return syntax.UniqueConstraint(name, _names(source, node, node.this.expressions), at=at)
    if isinstance(node, exp.ForeignKey):
        only(source, node, "expressions", "reference", "options", "delete", "update")
        columns = _names(source, node, node.expressions)
        if node.args.get("reference") is None:
            raise source.wrong(node, "a foreign key is written FOREIGN KEY (columns) REFERENCES table (columns)")
        return _foreign_key(source, name, columns, node.args["reference"], node)
    if isinstance(node, exp.CheckColumnConstraint):
        only(source, node, "this")
        return syntax.CheckConstraint(name, text_expression(source, node.this), at=at)
    raise source.refuse(node, "this constraint")


# ---- columns -------------------------------------------------------------------------------------------------------


@dataclass
class _Column:
    """What is known of a column while its constraints are read."""

    name: str
    type: SqlType
    nullable: bool | None = None
    default: syntax.TextExpression | None = None
    autoincrement: bool = False
    comment: str | None = None
    identity: syntax.IdentityDefinition | None = None
    computed: syntax.ComputedDefinition | None = None
    constraints: list[syntax.Constraint] = field(default_factory=list)
    seen: set[object] = field(default_factory=set)  # kinds of constraints that may stand once


def column_definition(source: Source, node: exp.Expr) -> syntax.ColumnDefinition:
    if not isinstance(node, exp.ColumnDef):
        raise source.wrong(node, "a column has a name and a type")
    only(source, node, "this", "kind", "constraints")
    at = source.start(node)
    kind = node.args.get("kind")
    if not isinstance(kind, exp.DataType):
        raise source.wrong(node, "the column has no type")
    source.take_range(kind)
    column = _Column(identifier(source, node.this), kind.meta["type"])
    for part in node.args.get("constraints") or []:
        only(source, part, "this", "kind")
        name = None if part.this is None else identifier(source, part.this)
        _apply(source, column, part.args["kind"], name)
    if column.autoincrement and column.type.kind is not Kind.INTEGER:
        raise source.wrong(node, "only a column of an integer type can be AUTOINCREMENT or an IDENTITY")
    if (column.default is not None) + column.autoincrement + (column.computed is not None) > 1:
        raise source.wrong(node, "a column has a default, is numbered or is computed: only one of these")
    if column.identity is not None and column.nullable:
        raise source.wrong(node, "an identity column cannot be NULL")
    primary = any(isinstance(one, syntax.PrimaryKeyConstraint) for one in column.constraints)
    if primary and column.nullable:
        raise source.wrong(node, "a primary key cannot be NULL")
    return syntax.ColumnDefinition(
        column.name,
        column.type,
        nullable=column.nullable is not False and not primary and column.identity is None,
        default=column.default,
        autoincrement=column.autoincrement,
        comment=column.comment,
        constraints=tuple(column.constraints),
        identity=column.identity,
        computed=column.computed,
        at=at,
    )


def _number_options(source: Source, node: exp.Expr) -> syntax.NumberOptions:
    """The options of a sequence or an identity column, as the grammar left them in the meta of `node`."""
    source.take_range(node)
    given = node.meta["options"]
    for word in ("INCREMENT", "CACHE"):
        if given.get(word) == 0:
            raise source.wrong(node, f"{word} cannot be 0")
    return syntax.NumberOptions(
        start=given.get("START"),
        increment=given.get("INCREMENT"),
        minimum=given.get("MINVALUE"),
        maximum=given.get("MAXVALUE"),
        cycle=given.get("CYCLE", False),
        cache=given.get("CACHE"),
        at=node.meta["first"],
    )


def _apply(source: Source, column: _Column, node: exp.Expr, name: str | None) -> None:
    """Add one constraint written beside a column to what is known of it."""
    at = source.start(node) or source.start(node.parent) if node.parent is not None else 0
    if type(node) in column.seen:
        raise source.wrong(at, "this stands twice in a column definition")
    if not isinstance(node, (exp.CheckColumnConstraint, exp.Reference)):
        column.seen.add(type(node))
    if isinstance(node, exp.NotNullColumnConstraint):
        only(source, node, "allow_null")
        column.nullable = bool(node.args.get("allow_null"))
    elif isinstance(node, exp.DefaultColumnConstraint):
        only(source, node, "this")
        column.default = text_expression(source, node.this)
    elif isinstance(node, exp.AutoIncrementColumnConstraint):
        only(source, node)
        column.autoincrement = True
    elif isinstance(node, exp.GeneratedAsIdentityColumnConstraint):
        only(source, node, "this")
        column.autoincrement = True
        column.identity = syntax.IdentityDefinition(bool(node.this), _number_options(source, node), at=at)
    elif isinstance(node, exp.ComputedColumnConstraint):
        only(source, node, "this", "persisted")
        stored = bool(node.args.get("persisted"))
        column.computed = syntax.ComputedDefinition(text_expression(source, node.this), stored, at=at)
    elif isinstance(node, exp.CommentColumnConstraint):
        only(source, node, "this")
        column.comment = _text(source, node.this)
    elif isinstance(node, exp.PrimaryKeyColumnConstraint):
        only(source, node, "options")
        _no_options(source, node)
        column.constraints.append(syntax.PrimaryKeyConstraint(name, (column.name,), at=at))
    elif isinstance(node, exp.UniqueColumnConstraint):
        only(source, node, "options")
        _no_options(source, node)
        column.constraints.append(syntax.UniqueConstraint(name, (column.name,), at=at))
    elif isinstance(node, exp.Reference):
        column.constraints.append(_foreign_key(source, name, (column.name,), node))
    elif isinstance(node, exp.CheckColumnConstraint):
        only(source, node, "this")
        column.constraints.append(syntax.CheckConstraint(name, text_expression(source, node.this), at=at))
    elif isinstance(node, exp.CollateColumnConstraint):
        raise source.refuse(node, "COLLATE (strings compare by code point)")
    else:
        raise source.refuse(node, "this in a column definition")


def _text(source: Source, node: exp.Expr) -> str:
    made = expression(source, node)
    if not isinstance(made, syntax.Literal) or not isinstance(made.value, str):
        raise source.wrong(node, "a comment is a string")
    return made.value


# ---- statements ----------------------------------------------------------------------------------------------------


@STATEMENTS.takes(exp.Create, "this", "kind", "unique", "replace", "exists", "properties", "expression", "concurrently")
def _create(source: Source, node: exp.Create) -> syntax.Statement:
    if node.args["kind"] == "INDEX":
        return _create_index(source, node)
    if node.args["kind"] == "VIEW":
        return _create_view(source, node)
    if node.args["kind"] == "TABLE AS":
        return _create_table_as(source, node)
    if node.args["kind"] == "SEQUENCE":
        only(source, node, "this", "kind", "exists")
        name, options = table_name(source, node.this), _number_options(source, node)
        return syntax.CreateSequence(name, options, bool(node.args.get("exists")), at=source.start(node.this))
    comment, temporary = None, False
    properties = node.args.get("properties")
    for part in properties.expressions if properties is not None else []:
        only(source, part, "this")
        if isinstance(part, exp.TemporaryProperty):
            temporary = True
        else:
            comment = _text(source, part.this)
    schema = node.this
    only(source, schema, "this", "expressions")
    columns, constraints = [], []
    for part in schema.expressions:
        if isinstance(part, (exp.ColumnDef, exp.Identifier, exp.Column)):
            columns.append(column_definition(source, part))
        else:
            constraints.append(_constraint(source, part))
    if not columns:
        raise source.wrong(schema, "a table has one column or more")
    for constraint in (*(one for column in columns for one in column.constraints), *constraints):
        if temporary and isinstance(constraint, syntax.ForeignKeyConstraint):
            raise source.refuse(constraint.at, "a foreign key of a temporary table")
    return syntax.CreateTable(
        table_name(source, schema.this),
        tuple(columns),
        tuple(constraints),
        if_not_exists=bool(node.args.get("exists")),
        comment=comment,
        temporary=temporary,
        at=source.start(schema.this),
    )


def _create_table_as(source: Source, node: exp.Create) -> syntax.CreateTableAs:
    only(source, node, "this", "kind", "exists", "expression")
    only(source, node.this, "this", "expressions")
    return syntax.CreateTableAs(
        table_name(source, node.this.this),
        tuple(identifier(source, column) for column in node.this.expressions),
        query(source, node.expression),
        if_not_exists=bool(node.args.get("exists")),
        temporary=node.meta["temporary"],
        at=source.start(node.this.this),
    )


def _create_view(source: Source, node: exp.Create) -> syntax.CreateView:
    only(source, node, "this", "kind", "replace", "exists", "expression")
    name, written = node.this, node.expression
    only(source, name, "this", "expressions")
    first, last = written.meta["first"], written.meta["last"]
    return syntax.CreateView(
        table_name(source, name.this),
        source.sql[first : last + 1],
        query(source, written.this),
        tuple(identifier(source, column) for column in name.expressions),
        replacing=bool(node.args.get("replace")),
        if_not_exists=bool(node.args.get("exists")),
        at=source.start(name.this),
    )


def _create_index(source: Source, node: exp.Create) -> syntax.CreateIndex:
    only(source, node, "this", "kind", "unique", "exists", "concurrently")
    index = node.this
    only(source, index, "this", "table", "params")
    parameters = index.args["params"]
    only(source, parameters, "columns")
    name, table = identifier(source, index.this), table_name(source, index.args["table"])
    lengths = tuple([_length(source, each) for each in parameters.args["columns"]])
    columns, descending = _directed(source, index, parameters.args["columns"])
    return syntax.CreateIndex(
        name,
        table,
        columns,
        descending=descending,
        lengths=lengths if any(lengths) else (),
        unique=bool(node.args.get("unique")),
        if_not_exists=bool(node.args.get("exists")),
        concurrently=bool(node.args.get("concurrently")),
        at=source.start(index.this),
    )


def _length(source: Source, part: exp.Expr) -> int:
    """The length in brackets behind a column of an index, and away with it; 0 without one."""
    node = part.this if isinstance(part, exp.Ordered) else part
    given = node.expressions if isinstance(node, exp.Anonymous) else []
    if len(given) != 1 or not isinstance(given[0], exp.Literal) or given[0].is_string or not given[0].this.isdigit():
        return 0
    length = int(given[0].this)
    if not length:
        raise source.wrong(given[0], "an index holds one character of a column or more")
    source.take(given[0])
    name = node.this if isinstance(node.this, exp.Identifier) else exp.Identifier(this=node.this, quoted=False)
    if name is not node.this:
        name.update_positions(node)
    node.replace(name)
    return length


@STATEMENTS.takes(exp.Drop, "tables", "kind", "exists", "cluster", "concurrently")
def _drop(source: Source, node: exp.Drop) -> syntax.Statement:
    kind, exists = node.args["kind"], bool(node.args.get("exists"))
    tables = node.args["tables"]
    at = source.start(tables[0])
    if kind == "TABLE":
        return syntax.DropTable(tuple(table_name(source, table) for table in tables), exists, at=at)
    if kind == "VIEW":
        return syntax.DropView(tuple(table_name(source, table) for table in tables), exists, at=at)
    if kind == "SEQUENCE":
        return syntax.DropSequence(tuple(table_name(source, table) for table in tables), exists, at=at)
    cluster = node.args.get("cluster")
    table = None if cluster is None else table_name(source, cluster.this)
    concurrently = bool(node.args.get("concurrently"))
    return syntax.DropIndex(table_name(source, tables[0]), table, exists, concurrently, at=at)


@STATEMENTS.takes(exp.Comment, "this", "kind", "expression")
def _comment(source: Source, node: exp.Comment) -> syntax.CommentOn:
    at = source.start(node.this)
    if node.args["kind"] == "CONSTRAINT":
        constraint, table = identifier(source, node.this.this), table_name(source, node.this.expression)
        written = None if isinstance(node.expression, exp.Null) else _text(source, node.expression)
        return syntax.CommentOn(table, None, written, constraint, at=at)
    text = None if isinstance(node.expression, exp.Null) else _text(source, node.expression)
    if node.args["kind"] == "TABLE":
        return syntax.CommentOn(table_name(source, node.this), None, text, at=at)
    column = expression(source, node.this)
    if not isinstance(column, syntax.Name) or len(column.parts) != 2:
        raise source.wrong(at, "COMMENT ON COLUMN names table.column")
    return syntax.CommentOn(column.parts[0], column.parts[1], text, at=at)


@STATEMENTS.takes(exp.Alter, "this", "kind", "actions")
def _alter(source: Source, node: exp.Alter) -> syntax.AlterTable:
    name = table_name(source, node.this)
    return syntax.AlterTable(
        name, tuple(ACTIONS.read(source, action) for action in node.args["actions"]), at=source.start(node.this)
    )


@ACTIONS.takes(exp.ColumnDef, "this", "kind", "constraints")
def _add_column(source: Source, node: exp.ColumnDef) -> syntax.AlterAction:
    return syntax.AddColumn(column_definition(source, node), at=source.start(node))


@ACTIONS.takes(exp.AddConstraint, "expressions")
def _add_constraint(source: Source, node: exp.AddConstraint) -> syntax.AlterAction:
    return syntax.AddConstraint(_constraint(source, node.expressions[0]), at=source.start(node))


@ACTIONS.takes(exp.Drop, "kind", "exists", "tables")
def _drop_part(source: Source, node: exp.Drop) -> syntax.AlterAction:
    at, exists = source.start(node), bool(node.args.get("exists"))
    tables = node.args["tables"]
    name = identifier(source, tables[0]) if tables else None
    if node.args["kind"] == "COLUMN" and name is not None:
        return syntax.DropColumn(name, exists, at=at)
    return syntax.DropConstraint(name, exists, at=at)


@ACTIONS.takes(exp.AlterColumn, "this", "dtype", "default", "drop", "allow_null")
def _alter_column(source: Source, node: exp.AlterColumn) -> syntax.AlterAction:
    kind, default = node.args.get("dtype"), node.args.get("default")
    if kind is not None:
        source.take_range(kind)
    return syntax.AlterColumn(
        identifier(source, node.this),
        type=None if kind is None else kind.meta["type"],
        nullable=node.args.get("allow_null"),
        default=None if default is None else text_expression(source, default),
        drop_default=bool(node.args.get("drop")),
        at=source.start(node),
    )


@ACTIONS.takes(exp.RenameColumn, "this", "to")
def _rename_column(source: Source, node: exp.RenameColumn) -> syntax.AlterAction:
    name = identifier(source, node.this)
    return syntax.RenameColumn(name, identifier(source, node.args["to"]), at=source.start(node))


@ACTIONS.takes(exp.AlterRename, "this")
def _rename_table(source: Source, node: exp.AlterRename) -> syntax.AlterAction:
    return syntax.RenameTable(table_name(source, node.this), at=source.start(node))
