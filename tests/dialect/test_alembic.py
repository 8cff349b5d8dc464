"""Migrations: every operation as a plain ALTER, in a batch, and by making the table anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, Engine, schema


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        metadata = sa.MetaData()
        sa.Table("owners", metadata, sa.Column("id", sa.Integer, primary_key=True))
        images = sa.Table(
            "images",
            metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(20), nullable=False),
            sa.Column("size", sa.Integer, server_default="0"),
            sa.Column("owner", sa.Integer),
            sa.Index("ix_size", "size"),
            schema.UniqueConstraint("name", name="uq_name"),
            schema.CheckConstraint("size >= 0", name="ck_size"),
        )
        metadata.create_all(connection)
        connection.execute(images.insert(), [{"name": "a", "size": 1}, {"name": "b", "size": 2}])
        connection.commit()
        yield connection


@pytest.fixture
def op(connection: Connection) -> Operations:
    return Operations(MigrationContext.configure(connection))


def columns(connection: Connection, table: str = "images") -> dict[str, Any]:
    return {column["name"]: column for column in sa.inspect(connection).get_columns(table)}


def rows(connection: Connection, sql: str = "SELECT name, size FROM images ORDER BY id") -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(sa.text(sql))]


def names(found: list[Any]) -> list[str | None]:
    return sorted(each["name"] for each in found)


# Each operation in the dialect of `op.batch_alter_table`, and what is then to be seen.

Change = Callable[[Any], None]
Seen = Callable[[Connection], bool]

CHANGES: dict[str, tuple[Change, Seen]] = {
    "add a column": (
        lambda batch: batch.add_column(sa.Column("note", sa.String(5))),
        lambda c: columns(c)["note"]["nullable"] and rows(c, "SELECT note FROM images") == [(None,), (None,)],
    ),
    "add a column that must have a value": (
        lambda batch: batch.add_column(sa.Column("note", sa.String(5), nullable=False, server_default="x")),
        lambda c: rows(c, "SELECT note FROM images") == [("x",), ("x",)],
    ),
    "drop a column": (
        lambda batch: batch.drop_column("owner"),
        lambda c: "owner" not in columns(c),
    ),
    "rename a column": (
        lambda batch: batch.alter_column("owner", new_column_name="tenant", existing_type=sa.Integer()),
        lambda c: sorted(columns(c)) == ["id", "name", "size", "tenant"],
    ),
    "change a type": (
        lambda batch: batch.alter_column("size", type_=sa.BigInteger(), existing_type=sa.Integer()),
        lambda c: isinstance(columns(c)["size"]["type"], sa.BIGINT),
    ),
    "make a column nullable": (
        lambda batch: batch.alter_column("name", nullable=True, existing_type=sa.String(20)),
        lambda c: columns(c)["name"]["nullable"],
    ),
    "make a column not nullable": (
        lambda batch: batch.alter_column("size", nullable=False, existing_type=sa.Integer()),
        lambda c: not columns(c)["size"]["nullable"],
    ),
    "set a default": (
        lambda batch: batch.alter_column("name", server_default="none", existing_type=sa.String(20)),
        lambda c: columns(c)["name"]["default"] == "'none'",
    ),
    "drop a default": (
        lambda batch: batch.alter_column("size", server_default=None, existing_type=sa.Integer()),
        lambda c: columns(c)["size"]["default"] is None,
    ),
    "comment a column": (
        lambda batch: batch.alter_column("size", comment="it's bytes", existing_type=sa.Integer()),
        lambda c: columns(c)["size"]["comment"] == "it's bytes",
    ),
    "create an index": (
        lambda batch: batch.create_index("ix_owner", ["owner"]),
        lambda c: names(sa.inspect(c).get_indexes("images")) == ["ix_owner", "ix_size"],
    ),
    "drop an index": (
        lambda batch: batch.drop_index("ix_size"),
        lambda c: sa.inspect(c).get_indexes("images") == [],
    ),
    "create a unique constraint": (
        lambda batch: batch.create_unique_constraint("uq_size", ["size"]),
        lambda c: names(sa.inspect(c).get_unique_constraints("images")) == ["uq_name", "uq_size"],
    ),
    "drop a unique constraint": (
        lambda batch: batch.drop_constraint("uq_name", type_="unique"),
        lambda c: sa.inspect(c).get_unique_constraints("images") == [],
    ),
    "create a check constraint": (
        lambda batch: batch.create_check_constraint("ck_name", sa.column("name") != ""),
        lambda c: "ck_name" in names(sa.inspect(c).get_check_constraints("images")),
    ),
    "drop a check constraint": (
        lambda batch: batch.drop_constraint("ck_size", type_="check"),
        lambda c: "ck_size" not in names(sa.inspect(c).get_check_constraints("images")),
    ),
    "create a foreign key": (
        lambda batch: batch.create_foreign_key("fk_owner", "owners", ["owner"], ["id"], ondelete="CASCADE"),
        lambda c: names(sa.inspect(c).get_foreign_keys("images")) == ["fk_owner"],
    ),
}


@pytest.mark.parametrize("recreate", ["auto", "always"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_a_batch(connection: Connection, op: Operations, change: str, recreate: Any) -> None:
    make, seen = CHANGES[change]
    with op.batch_alter_table("images", recreate=recreate) as batch:
        make(batch)

    assert seen(connection)
    assert rows(connection) == [("a", 1), ("b", 2)]


def test_a_batch_makes_no_copy_of_the_table(connection: Connection, op: Operations) -> None:
    statements: list[str] = []
    sa.event.listen(connection, "before_cursor_execute", lambda *call: statements.append(call[2]))
    with op.batch_alter_table("images") as batch:
        batch.add_column(sa.Column("note", sa.String(5)))
        batch.alter_column("size", nullable=False, existing_type=sa.Integer())

    assert [statement.split()[0] for statement in statements] == ["ALTER", "ALTER"]


def test_changes_without_a_batch(connection: Connection, op: Operations) -> None:
    op.rename_table("images", "pictures")
    op.add_column("pictures", sa.Column("note", sa.String(5)))
    op.alter_column("pictures", "note", new_column_name="remark", existing_type=sa.String(5))
    op.create_foreign_key("fk_owner", "pictures", "owners", ["owner"], ["id"])
    op.drop_constraint("fk_owner", "pictures", type_="foreignkey")
    op.create_index("ix_remark", "pictures", ["remark"])
    op.drop_index("ix_remark", table_name="pictures")
    op.create_table_comment("pictures", "it's pictures")
    op.create_table("more", sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer, index=True))
    op.bulk_insert(sa.table("more", sa.column("id", sa.Integer)), [{"id": 1}, {"id": 2}])
    op.drop_table("owners")

    inspector = sa.inspect(connection)
    assert inspector.get_table_names() == ["more", "pictures"]
    assert list(columns(connection, "pictures")) == ["id", "name", "size", "owner", "remark"]
    assert inspector.get_table_comment("pictures") == {"text": "it's pictures"}
    assert rows(connection, "SELECT id FROM more ORDER BY id") == [(1,), (2,)]


def test_a_migration_is_undone_as_one(connection: Connection, op: Operations) -> None:
    op.add_column("images", sa.Column("note", sa.String(5)))
    op.drop_table("owners")
    connection.rollback()

    assert "note" not in columns(connection)
    assert sa.inspect(connection).has_table("owners")


def test_autogenerate_finds_no_difference_in_what_was_created(engine: Engine) -> None:
    metadata = sa.MetaData()
    parents = sa.Table(
        "parents",
        metadata,
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("a", sa.Integer, sa.CheckConstraint("a > 0"), index=True, unique=True),
        sa.Column("b", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("c", sa.DateTime, server_default=sa.func.now(), comment="when"),
        sa.Column("d", sa.Numeric(10), server_default=sa.text("1")),
        sa.Column("e", sa.Enum("x", "y", name="letters"), server_default="x"),
        sa.Column("f", sa.JSON()),
        sa.Column("g", sa.Uuid()),
        sa.Column("h", sa.Double()),
        sa.Column("i", sa.LargeBinary()),
        sa.Column("j", sa.Interval()),
        sa.Column("k", sa.Text(), unique=True),
        comment="everything",
    )
    sa.Table(
        "children",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("parent", sa.ForeignKey(parents.c.id, ondelete="CASCADE", onupdate="SET NULL"), index=True),
        schema.UniqueConstraint("parent", "id", name="uq"),
    )
    metadata.create_all(engine)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_autogenerate_finds_what_differs(connection: Connection) -> None:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    metadata.tables["images"].append_column(sa.Column("note", sa.String(5)))
    metadata.tables["images"].c["size"].type = sa.BigInteger()
    metadata.tables["images"].c["size"].server_default = sa.DefaultClause("1")
    options = {"compare_type": True, "compare_server_default": True}
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    kinds = [each[0] if isinstance(each, tuple) else [change[0] for change in each] for each in found]
    assert kinds == ["add_column", ["modify_type", "modify_default"]]
