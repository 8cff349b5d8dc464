"""Names of every kind: reserved words, other alphabets, signs, length."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

NAMES = ["select", "order", "ORDER", "next", "sequence", "date", "a b", "a.b", "a%b", "%(x)s", "a(b", "a)b", "a:b",
         "a'b", 'a"b', "a[b]", "a;b", "a--b", "?x", "a\\b", "Über", "тест", "表", "x" * 240]  # fmt: skip


@pytest.fixture(scope="module")
def memory() -> Engine:
    return sa.create_engine("rome+memory://")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_itself_wherever_it_stands(memory: Engine, name: str) -> None:
    metadata = sa.MetaData()
    table = sa.Table(
        name,
        metadata,
        sa.Column(name, sa.Integer, sa.Sequence(f"{name}_s"), primary_key=True, comment=f"is {name}"),
        sa.Column("n", sa.Integer, index=True),
        sa.CheckConstraint(sa.column(name) > 0, name=f"{name}_check"),
        sa.UniqueConstraint("n", name=name),
    )
    metadata.create_all(memory)
    column = table.c[name]
    with memory.begin() as connection:
        assert connection.execute(table.insert().values(n=5).returning(column)).scalar() == 1
        connection.execute(table.update().values({name: 7}).where(column.in_([1])))
        alias, common = table.alias(name), sa.select(column).cte(name)
        for query in (
            sa.select(column.label(name)).order_by(name),
            sa.select(alias.c[name]).where(alias.c[name] == sa.bindparam(name, 7)),
            sa.select(common),
            sa.select(sa.func.max(column)).group_by(column),
        ):
            assert connection.execute(query).all() == [(7,)]
        connection.exec_driver_sql(f'CREATE VIEW {quoted(name + "_v")} AS SELECT * FROM {quoted(name)}')
    inspector = sa.inspect(memory)
    assert inspector.get_table_names() == [name] and inspector.get_view_names() == [f"{name}_v"]
    assert inspector.get_sequence_names() == [f"{name}_s"]
    assert [column["name"] for column in inspector.get_columns(f"{name}_v")] == [name, "n"]
    assert [each["name"] for each in inspector.get_unique_constraints(name)] == [name]
    copy = sa.MetaData()
    copy.reflect(memory)
    assert copy.tables[name].c[name].comment == f"is {name}"
    with memory.begin() as connection:
        connection.exec_driver_sql(f'DROP VIEW {quoted(name + "_v")}')
    metadata.drop_all(memory)
    copy.create_all(memory)
    copy.drop_all(memory)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_names_are_told_apart_without_regard_to_case(memory: Engine) -> None:
    with memory.begin() as connection:
        connection.exec_driver_sql('CREATE TABLE "Mixed" ("Column" INTEGER)')
    inspector = sa.inspect(memory)
    assert inspector.has_table("mixed") and inspector.get_table_names() == ["Mixed"]
    assert [column["name"] for column in inspector.get_columns("MIXED")] == ["Column"]
    with memory.begin() as connection:
        assert connection.exec_driver_sql('SELECT A."COLUMN" FROM mixed AS a').all() == []
        connection.exec_driver_sql("DROP TABLE MIXED")
