"""What the Inspector sees is what was declared."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, schema
from sqlalchemy.engine import Inspector


@pytest.fixture
def declared(engine: Engine) -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table(
        "parents",
        metadata,
        sa.Column("a", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("b", sa.String(8), primary_key=True),
        sa.Column("code", sa.String(4), unique=True),
    )
    sa.Table(
        "children",
        metadata,
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("name", sa.String(20), nullable=False, server_default="it's", comment="what it's called"),
        sa.Column("seen", sa.DateTime, server_default=sa.func.now()),
        sa.Column("hidden", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("n", sa.Integer, server_default=sa.text("3")),
        sa.Column("pa", sa.Integer),
        sa.Column("pb", sa.String(8)),
        sa.Column("order", sa.String(4), sa.ForeignKey("parents.code", name="fk_code", onupdate="CASCADE")),
        sa.ForeignKeyConstraint(["pa", "pb"], ["parents.a", "parents.b"], name="fk_parent", ondelete="SET NULL"),
        schema.UniqueConstraint("name", "n", name="uq_name_n"),
        schema.CheckConstraint("n > 0", name="ck_n"),
        schema.Index("ix_name", "name"),
        schema.Index("ix_unique", "seen", "name", unique=True),
        schema.PrimaryKeyConstraint("id", name="pk_children"),
        comment="of parents",
    )
    metadata.create_all(engine)
    return metadata


@pytest.fixture
def inspector(engine: Engine, declared: sa.MetaData) -> Inspector:
    return sa.inspect(engine)


def test_tables_by_name(inspector: Inspector) -> None:
    assert inspector.get_table_names() == ["children", "parents"]
    assert inspector.has_table("children") and not inspector.has_table("nosuch")
    assert inspector.get_view_names() == []


def test_columns(inspector: Inspector) -> None:
    columns = {column["name"]: column for column in inspector.get_columns("children")}

    assert list(columns) == ["id", "name", "seen", "hidden", "n", "pa", "pb", "order"]
    assert [name for name, column in columns.items() if not column["nullable"]] == ["id", "name", "hidden"]
    assert [name for name, column in columns.items() if column["autoincrement"]] == ["id"]
    assert {name: column["default"] for name, column in columns.items() if column["default"]} == {
        "name": "'it''s'",
        "seen": "CURRENT_TIMESTAMP",
        "hidden": "false",
        "n": "3",
    }
    assert columns["name"]["comment"] == "what it's called"


def test_keys_and_constraints(inspector: Inspector) -> None:
    assert inspector.get_pk_constraint("children")["constrained_columns"] == ["id"]
    assert inspector.get_pk_constraint("children")["name"] == "pk_children"
    assert inspector.get_pk_constraint("parents")["constrained_columns"] == ["a", "b"]
    keys: list[Any] = inspector.get_foreign_keys("children")
    assert {(key["name"], tuple(key["constrained_columns"]), tuple(key["referred_columns"])) for key in keys} == {
        ("fk_code", ("order",), ("code",)),
        ("fk_parent", ("pa", "pb"), ("a", "b")),
    }
    assert {key["name"]: key["options"] for key in keys} == {
        "fk_code": {"onupdate": "CASCADE"},
        "fk_parent": {"ondelete": "SET NULL"},
    }
    assert {key["referred_table"] for key in keys} == {"parents"}
    unique: list[Any] = inspector.get_unique_constraints("children")
    assert [(each["name"], each["column_names"]) for each in unique] == [("uq_name_n", ["name", "n"])]
    assert len(inspector.get_unique_constraints("parents")) == 1
    checks: list[Any] = inspector.get_check_constraints("children")
    assert [(each["name"], each["sqltext"]) for each in checks] == [("ck_n", "n > 0")]


def test_only_indexes_that_were_declared_are_listed(inspector: Inspector) -> None:
    indexes: list[Any] = inspector.get_indexes("children")

    assert sorted((each["name"], each["column_names"], bool(each["unique"])) for each in indexes) == [
        ("ix_name", ["name"], False),
        ("ix_unique", ["seen", "name"], True),
    ]
    assert inspector.get_indexes("parents") == []


def test_comments(inspector: Inspector) -> None:
    assert inspector.get_table_comment("children") == {"text": "of parents"}
    assert inspector.get_table_comment("parents") == {"text": None}


@pytest.mark.parametrize("question", ["columns", "pk_constraint", "foreign_keys", "indexes", "table_comment"])
def test_a_table_that_is_not_there_is_no_such_table(inspector: Inspector, question: str) -> None:
    with pytest.raises(sa.exc.NoSuchTableError):
        getattr(inspector, f"get_{question}")("nosuch")
    with pytest.raises(sa.exc.NoSuchTableError):
        getattr(inspector, f"get_{question}")("children", schema="other")


def test_a_reflected_table_creates_the_same_table_again(engine: Engine, declared: sa.MetaData) -> None:
    first = sa.MetaData()
    first.reflect(engine)
    declared.drop_all(engine)
    first.create_all(engine)
    second = sa.MetaData()
    second.reflect(engine)

    def text(metadata: sa.MetaData) -> list[str]:
        statements: list[Any] = []
        for table in metadata.sorted_tables:
            statements.append(schema.CreateTable(table))
            indexes = sorted(table.indexes, key=lambda each: str(each.name))
            statements += [schema.CreateIndex(index) for index in indexes]
        return [str(statement.compile(dialect=engine.dialect)) for statement in statements]

    assert text(first) == text(second)


def test_a_connection_sees_the_tables_of_its_own_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE t (id INTEGER PRIMARY KEY)"))
        assert sa.inspect(connection).has_table("t")
        connection.rollback()
        assert not sa.inspect(connection).has_table("t")


def test_a_quoted_name_is_found_as_it_is_written(engine: Engine) -> None:
    metadata = sa.MetaData()
    table = sa.Table("MixedCase", metadata, sa.Column("Id", sa.Integer, primary_key=True), quote=True)
    metadata.create_all(engine)
    inspector = sa.inspect(engine)

    assert inspector.get_table_names() == ["MixedCase"]
    assert inspector.has_table(table.name)
    assert [column["name"] for column in inspector.get_columns(table.name)] == ["Id"]


def test_views(engine: Engine, declared: sa.MetaData) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW grown (id, title) AS SELECT id, name FROM children WHERE n > 9")
        connection.exec_driver_sql("CREATE VIEW codes AS SELECT code FROM parents")
    inspector = sa.inspect(engine)
    assert inspector.get_view_names() == ["codes", "grown"]
    assert inspector.get_table_names() == ["children", "parents"]
    assert inspector.get_view_definition("grown") == "SELECT id, name FROM children WHERE n > 9"
    assert inspector.has_table("GROWN")
    columns = [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns("grown")]
    assert columns == [("id", "BIGINT", False), ("title", "VARCHAR(20)", False)]
    assert inspector.get_pk_constraint("grown")["constrained_columns"] == [] == inspector.get_foreign_keys("grown")
    with pytest.raises(sa.exc.NoSuchTableError):
        inspector.get_view_definition("parents")

    metadata = sa.MetaData()
    metadata.reflect(engine, views=True)
    assert set(metadata.tables) == {"children", "parents", "codes", "grown"}


def test_a_view_without_its_table_is_left_out_with_a_warning(engine: Engine, declared: sa.MetaData) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE VIEW grown AS SELECT id FROM children")
        connection.exec_driver_sql("DROP TABLE children")
    with pytest.raises(sa.exc.UnreflectableTableError, match='no table "children"'):
        sa.inspect(engine).get_columns("grown")
    metadata = sa.MetaData()
    with pytest.warns(sa.exc.SAWarning, match="grown"):
        metadata.reflect(engine, views=True)
    assert set(metadata.tables) == {"parents"}


def test_temporary_tables_are_reflected_on_their_connection(engine: Engine, declared: sa.MetaData) -> None:
    own = sa.Table("own", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), prefixes=["TEMPORARY"])
    with engine.connect() as connection:
        own.create(connection)
        inspector = sa.inspect(connection)
        assert inspector.get_temp_table_names() == ["own"] and "own" not in inspector.get_table_names()
        assert inspector.has_table("own")
        assert [column["name"] for column in inspector.get_columns("own")] == ["id"]
        assert inspector.get_multi_pk_constraint(scope=sa.engine.reflection.ObjectScope.TEMPORARY) == {
            (None, "own"): {"constrained_columns": ["id"], "name": None, "comment": None}
        }


def test_sequences_identities_and_computed_columns(engine: Engine) -> None:
    metadata = sa.MetaData()
    sequence = sa.Sequence("numbers", start=5, metadata=metadata)
    table = sa.Table(
        "t",
        metadata,
        sa.Column("id", sa.Integer, sequence, primary_key=True),
        sa.Column("n", sa.Integer, sa.Identity(always=True, start=2, increment=3, maxvalue=42, cycle=True)),
        sa.Column("twice", sa.BigInteger, sa.Computed("2 * n", persisted=False)),
    )
    metadata.create_all(engine)
    inspector = sa.inspect(engine)
    assert inspector.get_sequence_names() == ["numbers"]
    assert inspector.has_sequence("NUMBERS") and not inspector.has_sequence("t")
    columns = {column["name"]: column for column in inspector.get_columns("t")}
    assert columns["n"]["identity"] == {
        "always": True, "start": 2, "increment": 3, "minvalue": 1, "maxvalue": 42, "cycle": True, "cache": 1
    }  # fmt: skip
    assert columns["twice"]["computed"] == {"sqltext": "2 * n", "persisted": False}
    assert "identity" not in columns["id"] and "computed" not in columns["n"]
    with engine.begin() as connection:
        for number in (5, 6):
            assert connection.execute(table.insert()).inserted_primary_key == (number,)
        assert connection.execute(table.select()).all() == [(5, 2, 4), (6, 5, 10)]
        assert connection.scalar(sequence) == 7
        assert connection.scalar(sequence.next_value()) == 8

    copy = sa.MetaData()
    copy.reflect(engine)
    metadata.drop_all(engine)
    copy.create_all(engine)
    with engine.begin() as connection:
        again = copy.tables["t"]
        assert connection.execute(again.insert().values(id=1).returning(again)).one() == (1, 2, 4)
    metadata.drop_all(engine)
    assert sa.inspect(engine).get_sequence_names() == []


def test_comments_on_constraints_directions_of_indexes_and_when_a_key_is_checked(engine: Engine) -> None:
    metadata = sa.MetaData()
    sa.Table("parent", metadata, sa.Column("id", sa.Integer), sa.PrimaryKeyConstraint("id", name="pk", comment="1st"))
    child = sa.Table(
        "child",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer),
        sa.ForeignKeyConstraint(["n"], ["parent.id"], "fk", deferrable=True, initially="IMMEDIATE", comment="up"),
        sa.UniqueConstraint("n", name="uq", comment="once"),
        sa.CheckConstraint("n > 0", name="ck", comment="it's positive"),
    )
    sa.Index("ix", child.c.n.desc(), child.c.id)
    metadata.create_all(engine)
    inspector = sa.inspect(engine)
    assert inspector.get_pk_constraint("parent")["comment"] == "1st"
    [key] = inspector.get_foreign_keys("child")
    assert key["options"] == {"deferrable": True, "initially": "IMMEDIATE"} and key["comment"] == "up"
    assert [each["comment"] for each in inspector.get_unique_constraints("child")] == ["once"]
    assert [each["comment"] for each in inspector.get_check_constraints("child")] == ["it's positive"]
    [index] = inspector.get_indexes("child")
    assert (index["column_names"], index["column_sorting"]) == (["n", "id"], {"n": ("desc",)})
    with engine.begin() as connection:
        connection.exec_driver_sql("COMMENT ON CONSTRAINT ck ON child IS NULL")
    assert [each["comment"] for each in sa.inspect(engine).get_check_constraints("child")] == [None]
