"""`rome.dialect.insert`, and changes that look at other tables, through SQLAlchemy."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, exc
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from rome.dialect import Insert, insert


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column("name", sa.String(20))
    balance: Mapped[int] = mapped_column(default=0)
    notes: Mapped[object] = mapped_column(sa.JSON, nullable=True)
    __table_args__ = (sa.UniqueConstraint("name", name="one_each"),)


class Payment(Base):
    __tablename__ = "payments"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(sa.String(20))
    amount: Mapped[int]


accounts: Any = Account.__table__


@pytest.fixture
def filled(engine: Engine) -> Engine:
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(accounts.insert(), [{"name": "ann", "balance": 5}, {"name": "bob", "balance": 7}])
    return engine


def balances(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        rows = connection.execute(sa.select(accounts.c.name, accounts.c.balance))
        return {name: balance for name, balance in rows}


def adding(**key: Any) -> Insert:
    statement = insert(accounts)
    added = accounts.c.balance + statement.excluded.balance
    return statement.on_conflict_do_update(set_={"balance": added}, **key)


KEYS = [
    {"index_elements": ["name"]},
    {"index_elements": [accounts.c.name]},
    {"constraint": "one_each"},
    {"constraint": next(each for each in accounts.constraints if each.name == "one_each")},
    {"index_elements": ["name"], "index_where": accounts.c.balance > 0},
]


@pytest.mark.parametrize("key", KEYS)
def test_a_row_that_is_there_changes_and_others_are_inserted(filled: Engine, key: dict[str, Any]) -> None:
    with filled.begin() as connection:
        rows = [{"name": "ann", "balance": 10}, {"name": "cid", "balance": 1}, {"name": "ann", "balance": 100}]
        assert connection.execute(adding(**key), rows).rowcount == 3
    assert balances(filled) == {"ann": 115, "bob": 7, "cid": 1}


def test_rows_come_back_in_the_order_they_were_given(filled: Engine) -> None:
    statement = adding(index_elements=["name"]).returning(
        accounts.c.name, accounts.c.balance, sort_by_parameter_order=True
    )
    with filled.begin() as connection:
        rows = [{"name": "cid", "balance": 1}, {"name": "bob", "balance": 3}, {"name": "cid", "balance": 2}]
        assert connection.execute(statement, rows).all() == [("cid", 1), ("bob", 10), ("cid", 3)]


def test_many_sets_of_parameters_are_one_statement(filled: Engine) -> None:
    raw = filled.raw_connection()
    try:
        before = raw.driver_connection.counters.waves  # type: ignore[union-attr]
        cursor = raw.cursor()
        sql = "INSERT INTO accounts (name, balance) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET balance = 0"
        cursor.executemany(sql, [(f"n{number}",) for number in range(50)] + [("ann",)])
        assert cursor.rowcount == 51
        raw.commit()
        assert raw.driver_connection.counters.waves - before == 1  # type: ignore[union-attr]
    finally:
        raw.close()


def test_a_condition_says_which_rows_change(filled: Engine) -> None:
    statement = insert(accounts)
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_=dict(balance=99, notes={"a": 1}), where=accounts.c.balance > 6
    )
    with filled.begin() as connection:
        values = [{"name": "ann"}, {"name": "bob"}]
        assert connection.execute(statement.values(values).returning(accounts.c.notes)).all() == [({"a": 1},)]
    assert balances(filled) == {"ann": 5, "bob": 99}


def test_do_nothing_leaves_rows_out(filled: Engine) -> None:
    with filled.begin() as connection:
        values = [{"name": "ann"}, {"name": "cid"}, {"name": "cid"}]
        statement = insert(accounts).values(values).on_conflict_do_nothing().returning(accounts.c.name)
        assert connection.execute(statement).all() == [("cid",)]
        source = sa.select(Payment.owner, Payment.amount)
        copied = insert(accounts).from_select(["name", "balance"], source).on_conflict_do_nothing(["name"])
        assert connection.execute(copied).rowcount == 0


def test_objects_are_inserted_and_changed(filled: Engine) -> None:
    statement = insert(Account)
    statement = statement.on_conflict_do_update(
        index_elements=[Account.owner], set_={Account.balance: statement.excluded.balance}
    )
    with Session(filled) as session:
        given = [{"owner": "ann", "balance": 50}, {"owner": "dan", "balance": 4}]
        found = session.scalars(
            statement.returning(Account), given, execution_options={"populate_existing": True}
        ).all()
        assert [(each.owner, each.balance) for each in found] == [("ann", 50), ("dan", 4)]


def test_the_same_statement_with_other_values_is_compiled_once(filled: Engine) -> None:
    def made(amount: int) -> Insert:
        return insert(accounts).values(name="ann").on_conflict_do_update(["name"], set_={"balance": amount})

    one, two = made(1)._generate_cache_key(), made(2)._generate_cache_key()
    assert one is not None and one == two
    other = insert(accounts).values(name="ann").on_conflict_do_update(["name"], set_={"notes": None})
    assert other._generate_cache_key() != one
    with filled.begin() as connection:
        for amount in (1, 2):
            connection.execute(made(amount))
    assert balances(filled)["ann"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"set_": {"balance": 1}}, "needs index_elements or constraint"),
        ({"index_elements": ["name"]}, "needs set_"),
        ({"index_elements": ["name"], "set_": {"nothing": 1}}, "has no column 'nothing'"),
        ({"index_elements": ["name"], "constraint": "x", "set_": {"balance": 1}}, "not given together"),
        ({"index_elements": [sa.func.lower(accounts.c.name)], "set_": {"balance": 1}}, "made of columns"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_written(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(exc.ArgumentError, match=message):
        insert(accounts).on_conflict_do_update(**arguments)


def test_one_statement_has_one_on_conflict() -> None:
    with pytest.raises(exc.InvalidRequestError, match="ON CONFLICT already"):
        insert(accounts).on_conflict_do_nothing().on_conflict_do_nothing()


def test_objects_change_by_what_is_in_another_table(filled: Engine) -> None:
    with Session(filled) as session, session.begin():
        session.add_all([Payment(owner="ann", amount=3), Payment(owner="cid", amount=9)])
        ann = session.scalars(sa.select(Account).where(Account.owner == "ann")).one()
        change = sa.update(Account).values(balance=Account.balance + Payment.amount)
        change = change.where(Account.owner == Payment.owner)
        assert session.execute(change, execution_options={"synchronize_session": "fetch"}).rowcount == 1
        assert ann.balance == 8
        gone = sa.delete(Payment).where(Payment.owner == Account.owner).returning(Payment.amount, Account.balance)
        assert session.execute(gone).all() == [(3, 8)]
