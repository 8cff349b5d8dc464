"""The text that SQLAlchemy's statements become."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Double,
    Identity,
    Integer,
    MetaData,
    Numeric,
    Sequence,
    String,
    Table,
    bindparam,
    cast,
    column,
    exc,
    func,
    insert,
    literal,
    schema,
    select,
    table,
    text,
    tuple_,
)
from sqlalchemy.sql import sqltypes

from rome.dialect import RomeDialect
from rome.dialect.compiler import RESERVED_WORDS
from rome.sql.parse import parse
from rome.sql.parse.words import RESERVED, Tokenizer

DIALECT = RomeDialect(paramstyle="named")
items = table("items", column("id", Integer), column("name", String), column("price", Numeric))


def sql(statement: Any, **kw: Any) -> str:
    """The text of `statement`, on one line; ROME's parser must take it."""
    text = str(statement.compile(dialect=DIALECT, **kw))
    parse(text)
    return " ".join(text.split())


def where(condition: Any, **kw: Any) -> str:
    return sql(select(items.c.id).where(condition), **kw).split(" WHERE ")[1]


@pytest.mark.parametrize("values", [[], [1], [1, 2, 3]])
def test_an_in_list_is_one_parameter_whatever_its_length(values: list[int]) -> None:
    compiled = select(items.c.id).where(items.c.id.in_(values)).compile(dialect=DIALECT)

    assert str(compiled).endswith("WHERE items.id IN UNNEST(:id_1)")
    assert compiled.params == {"id_1": values}


def test_not_in_is_one_parameter_too() -> None:
    assert where(items.c.name.not_in(["a", "b"])) == "(items.name NOT IN UNNEST(:name_1))"


def test_a_named_list_is_one_parameter() -> None:
    assert where(items.c.id.in_(bindparam("ids"))) == "items.id IN UNNEST(:ids)"


def test_two_lists_of_one_name_are_one_parameter() -> None:
    condition = items.c.id.in_(bindparam("ids")) & items.c.price.in_(bindparam("ids"))

    assert where(condition) == "items.id IN UNNEST(:ids) AND items.price IN UNNEST(:ids)"


def test_the_type_of_the_column_converts_each_element() -> None:
    class Shouted(sqltypes.TypeDecorator[str]):
        impl = String
        cache_ok = True

        def process_bind_param(self, value: Any, dialect: Any) -> Any:
            return value.upper()

    compiled = select(column("a")).where(column("a", Shouted).in_(["x", "y"])).compile(dialect=DIALECT)

    assert compiled._bind_processors["a_1"](["x", "y"]) == ("X", "Y")


def test_a_literal_list_stands_in_the_text() -> None:
    literally = {"compile_kwargs": {"literal_binds": True}}

    assert where(items.c.id.in_([1, 2]), **literally) == "items.id IN (1, 2)"
    assert where(items.c.id.in_([]), **literally) == "items.id IN (NULL) AND (1 != 1)"
    assert where(items.c.id.not_in([]), **literally) == "(items.id NOT IN (NULL) OR (1 = 1))"


def test_a_list_of_tuples_is_expanded_into_the_text() -> None:
    condition = tuple_(items.c.id, items.c.name).in_([(1, "a"), (2, "b")])
    expanded = where(condition, compile_kwargs={"render_postcompile": True})

    assert expanded == "(items.id, items.name) IN ((:param_1_1_1, :param_1_1_2), (:param_1_2_1, :param_1_2_2))"


def test_a_list_inside_text_is_expanded_into_the_text() -> None:
    statement = text("SELECT id FROM items WHERE id IN :ids").bindparams(bindparam("ids", [1, 2], expanding=True))

    assert "IN (:ids_1, :ids_2)" in sql(statement, compile_kwargs={"render_postcompile": True})


def test_positional_parameters_are_counted_through_a_list() -> None:
    dialect = RomeDialect(paramstyle="qmark")
    statement = select(items.c.id).where(items.c.name == "a", items.c.id.in_([1, 2]), items.c.price > 3)
    compiled = statement.compile(dialect=dialect)

    assert "items.name = ? AND items.id IN UNNEST(?) AND items.price > ?" in str(compiled)
    assert compiled.positiontup == ["name_1", "id_1", "price_1"]


def test_offset_stands_without_a_limit() -> None:
    assert sql(select(items.c.id).offset(3)).endswith("FROM items OFFSET :param_1")


def test_limit_and_offset_are_parameters() -> None:
    assert sql(select(items.c.id).limit(2).offset(3)).endswith("LIMIT :param_1 OFFSET :param_2")


def test_fetch_first_is_a_limit() -> None:
    assert sql(select(items.c.id).fetch(2)).endswith("FROM items LIMIT :param_1")
    assert sql(select(items.c.id).order_by(items.c.id).fetch(2, with_ties=True)).endswith(
        "FETCH FIRST (:param_1) ROWS WITH TIES"
    )
    assert sql(select(items.c.id).fetch(2, percent=True).offset(1)).endswith(
        "OFFSET :param_2 ROWS FETCH FIRST (:param_1) PERCENT ROWS ONLY"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, ""),
        ({"read": True}, ""),
        ({"key_share": True}, ""),
        ({"nowait": True}, " NOWAIT"),
        ({"skip_locked": True}, " SKIP LOCKED"),
        ({"of": items}, " OF items"),
        ({"of": [items.c.id, items.c.name], "nowait": True}, " OF items NOWAIT"),
    ],
)
def test_every_row_lock_is_for_update(options: dict[str, Any], text: str) -> None:
    assert sql(select(items.c.id).with_for_update(**options)).endswith("FROM items FOR UPDATE" + text)


def test_the_tables_of_a_row_lock_go_by_their_aliases() -> None:
    other = items.alias("other one")
    statement = select(items.c.id).join(other, other.c.id == items.c.id).with_for_update(of=[other, items])
    assert sql(statement).endswith('FOR UPDATE OF "other one", items')


def test_ilike_is_an_operator() -> None:
    assert where(items.c.name.ilike("a%", escape="/")) == "items.name ILIKE :name_1 ESCAPE '/'"
    assert where(items.c.name.not_ilike("a")) == "items.name NOT ILIKE :name_1"
    assert where(items.c.name.icontains("a")).strip("()") == "items.name ILIKE '%' || :name_1 || '%'"


def test_regular_expressions_are_an_operator_or_with_flags_a_function() -> None:
    name = items.c.name
    assert where(name.regexp_match("a")) == "items.name REGEXP :name_1"
    assert where(~name.regexp_match("a")) == "items.name NOT REGEXP :name_1"
    assert where(name.regexp_match("a", flags="i")) == "regexp_like(items.name, :name_1, 'i')"
    assert where(~name.regexp_match("a", flags="i")) == "NOT regexp_like(items.name, :name_1, 'i')"
    assert where(name.regexp_replace("a", "b") == "c").startswith("(regexp_replace(items.name, :name_1, :name_2)) = ")
    assert where(name.regexp_replace("a", "b", flags="g") == "c").startswith(
        "(regexp_replace(items.name, :name_1, :name_2, 'g')) = "
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (items.c.name + "x", "items.name || :name_1"),
        (items.c.id % 3, "items.id % :id_1"),
        (items.c.id // 2, "items.id / :id_1"),
        (items.c.id / 2, "items.id / CAST(:id_1 AS NUMERIC)"),
        (items.c.name.is_distinct_from("a"), "items.name IS DISTINCT FROM :name_1"),
        (cast(items.c.id, Double), "CAST(items.id AS DOUBLE PRECISION)"),
        (func.now(), "CURRENT_TIMESTAMP"),
        (func.aggregate_strings(items.c.name, ","), "string_agg(items.name, :aggregate_strings_1)"),
        (func.current_timestamp(), "CURRENT_TIMESTAMP"),
    ],
)
def test_expressions(expression: Any, expected: str) -> None:
    assert sql(select(expression.label("a"))).split(" AS a")[0] == f"SELECT {expected}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "true"),
        (False, "false"),
        (None, "NULL"),
        ("it's", "'it''s'"),
        (b"\x00a", "X'0061'"),
        (3, "3"),
        (timedelta(days=-1, microseconds=1), "INTERVAL '-86399.999999' SECOND"),
    ],
)
def test_literals(value: object, expected: str) -> None:
    assert sql(select(literal(value).label("a")), compile_kwargs={"literal_binds": True}) == f"SELECT {expected} AS a"


@pytest.mark.parametrize("name", ["a.b", "a b", "1a", "a-b", "é", "a:b", "%(a)s", "a[b]"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    compiled = select(bindparam(name, 1), bindparam("a_b", 2)).compile(dialect=DIALECT)
    parse(str(compiled))
    escaped = compiled.escaped_bind_names[name]

    assert escaped.isidentifier() and escaped.isascii() and f":{escaped} " in str(compiled)
    assert compiled.construct_params() == {escaped: 1, "a_b": 2}


def test_parameters_whose_names_look_alike_stay_apart() -> None:
    compiled = select(bindparam("a.b", 1), bindparam("a_b", 2), bindparam("a-b", 3)).compile(dialect=DIALECT)

    assert sorted(compiled.construct_params().values()) == [1, 2, 3]


def test_every_word_that_the_parser_tells_from_a_name_is_quoted() -> None:
    words = {word.lower() for word in (*RESERVED, *Tokenizer.KEYWORDS) if word.isidentifier()}
    assert words <= RESERVED_WORDS


@pytest.mark.parametrize("word", sorted(RESERVED_WORDS))
def test_a_reserved_word_is_a_name_for_everything(word: str) -> None:
    named = Table(word, MetaData(), Column(word, Integer))
    sql(schema.CreateTable(named))
    sql(select(named.c[word].label(word)).where(named.c[word] == bindparam(word)).order_by(named.c[word]))
    sql(insert(named))


def test_a_schema_is_refused() -> None:
    with pytest.raises(exc.CompileError, match="no schemas"):
        sql(select(table("items", column("id"), schema="other")))


def test_a_definition_with_everything() -> None:
    metadata = MetaData()
    Table("parents", metadata, Column("id", String(36), primary_key=True))
    defined = Table(
        "children",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("order", String(20), nullable=False, comment="it's"),
        Column("price", Numeric(10), server_default=text("0")),
        Column("parent", schema.ForeignKey("parents.id", ondelete="CASCADE")),
        schema.UniqueConstraint("order", name="uq"),
        schema.CheckConstraint("price >= 0", name="ck"),
        comment="of parents",
    )

    assert sql(schema.CreateTable(defined, if_not_exists=True)) == (
        "CREATE TABLE IF NOT EXISTS children ( "
        "id INTEGER NOT NULL AUTOINCREMENT, "
        "\"order\" VARCHAR(20) NOT NULL COMMENT 'it''s', "
        "price NUMERIC(10, 0) DEFAULT 0, "
        "parent VARCHAR(36), "
        "PRIMARY KEY (id), "
        'CONSTRAINT uq UNIQUE ("order"), '
        "CONSTRAINT ck CHECK (price >= 0), "
        "FOREIGN KEY(parent) REFERENCES parents (id) ON DELETE CASCADE "
        ") COMMENT 'of parents'"
    )


def test_an_index_is_dropped_from_its_table() -> None:
    index = schema.Index("ix", Table("items", MetaData(), Column("a", Integer)).c.a)

    assert sql(schema.CreateIndex(index)) == "CREATE INDEX ix ON items (a)"
    assert sql(schema.DropIndex(index)) == "DROP INDEX ix ON items"


def test_a_collation_is_refused() -> None:
    defined = Table("items", MetaData(), Column("a", String(3, collation="nocase")))
    with pytest.raises(exc.CompileError):
        sql(schema.CreateTable(defined))


@pytest.mark.parametrize(
    ("column", "text"),
    [
        (Column("a", Integer, schema.Computed("1 + 1")), "a INTEGER GENERATED ALWAYS AS (1 + 1)"),
        (Column("a", Integer, schema.Computed("1", persisted=False)), "a INTEGER GENERATED ALWAYS AS (1) VIRTUAL"),
        (Column("a", Integer, Identity()), "a INTEGER GENERATED BY DEFAULT AS IDENTITY"),
        (
            Column("a", Integer, Identity(always=True, start=7, increment=2), primary_key=True),
            "a INTEGER GENERATED ALWAYS AS IDENTITY (INCREMENT BY 2 START WITH 7), PRIMARY KEY (a)",
        ),
        (
            Column("a", Integer, Sequence("s s"), primary_key=True),
            "a INTEGER NOT NULL, PRIMARY KEY (a)",
        ),
        (
            Column("a", Integer, server_default=Sequence("s", metadata=MetaData()).next_value()),
            "a INTEGER DEFAULT NEXT VALUE FOR s",
        ),
    ],
)
def test_a_column_whose_values_are_generated(column: Column[Any], text: str) -> None:
    assert sql(schema.CreateTable(Table("items", MetaData(), column))) == f"CREATE TABLE items ( {text} )"


def test_sequences() -> None:
    assert sql(schema.CreateSequence(Sequence("s", start=3, cycle=True))) == "CREATE SEQUENCE s START WITH 3 CYCLE"
    assert sql(schema.DropSequence(Sequence("s s"), if_exists=True)) == 'DROP SEQUENCE IF EXISTS "s s"'
    assert sql(select(Sequence("s").next_value())) == "SELECT NEXT VALUE FOR s AS next_value_1"
