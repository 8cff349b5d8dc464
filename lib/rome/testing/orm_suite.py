"""What an application asks of a database through SQLAlchemy's ORM: the same code on a store and on SQLite, compared.

Derive a class whose name starts with `Test` and give it a fixture `engine`: an Engine on an empty store.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, cast

import pytest
import sqlalchemy as sa
from sqlalchemy import event, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    contains_eager,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
)
from sqlalchemy.orm.exc import StaleDataError

Work = Callable[[Session], Any]


class Model(DeclarativeBase):
    """The models of this suite."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


tagged = sa.Table(
    "tagged",
    Model.metadata,
    sa.Column("book_id", sa.ForeignKey("book.id"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tag.id"), primary_key=True),
)


class Tag(Model):
    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40), unique=True)


class Author(Model):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    mentor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("author.id"))
    mentor: Mapped[Author | None] = relationship(remote_side=[id], back_populates="pupils")
    pupils: Mapped[list[Author]] = relationship(back_populates="mentor", order_by="Author.id")
    books: Mapped[list[Book]] = relationship(back_populates="author", cascade="all, delete-orphan", order_by="Book.id")


class Book(Model):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(80))
    pages: Mapped[int] = mapped_column(default=0)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")
    tags: Mapped[list[Tag]] = relationship(secondary=tagged, order_by="Tag.name")

    @hybrid_property
    def thick(self) -> bool:
        return self.pages > 300


class Vehicle(Model):
    __tablename__ = "vehicle"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    wheels: Mapped[int]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}


class Lorry(Vehicle):
    __tablename__ = "lorry"
    id: Mapped[int] = mapped_column(sa.ForeignKey("vehicle.id"), primary_key=True)
    load_kg: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "lorry"}


class Bicycle(Vehicle):
    bell: Mapped[str | None] = mapped_column(sa.String(20))
    __mapper_args__ = {"polymorphic_identity": "bicycle"}


class Account(Model):
    __tablename__ = "account"
    branch: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    balance: Mapped[Decimal] = mapped_column(sa.Numeric(12, 2))
    version: Mapped[int] = mapped_column()
    __table_args__ = (sa.CheckConstraint("balance >= 0", name="solvent"),)
    __mapper_args__ = {"version_id_col": version}


class Everything(Model):
    """A column of each type."""

    __tablename__ = "everything"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    text: Mapped[str | None] = mapped_column(sa.Text)
    blob: Mapped[bytes | None] = mapped_column(sa.LargeBinary)
    flag: Mapped[bool | None]
    number: Mapped[float | None]
    big: Mapped[int | None] = mapped_column(sa.BigInteger)
    day: Mapped[date | None]
    at: Mapped[time | None]
    moment: Mapped[datetime | None]
    colour: Mapped[Colour | None]
    document: Mapped[Any | None] = mapped_column(sa.JSON)


def table_of(model: type[Model]) -> sa.Table:
    """The table that `model` is mapped to."""
    return cast(sa.Table, model.__table__)


def library(session: Session) -> None:
    """Three authors, four books and three tags."""
    red, green, blue = (Tag(id=number, name=name) for number, name in enumerate(("red", "green", "blue"), 1))
    first = Author(id=1, name="Ada")
    second = Author(id=2, name="Bob", mentor=first)
    third = Author(id=3, name="Eve", mentor=first)
    session.add_all([first, second, third])
    session.add_all(
        [
            Book(id=1, title="Engines", pages=400, author=first, tags=[red, blue]),
            Book(id=2, title="Notes", pages=120, author=first, tags=[red]),
            Book(id=3, title="Bridges", pages=350, author=second, tags=[green]),
            Book(id=4, title="Silence", pages=80, author=third),
        ]
    )
    session.flush()


def statements_of(session: Session, work: Callable[[], Any]) -> int:
    """How many statements `work` sends."""
    sent = []
    engine = session.get_bind()

    def count(*_: Any) -> None:
        sent.append(1)

    event.listen(engine, "before_cursor_execute", count)
    try:
        work()
    finally:
        event.remove(engine, "before_cursor_execute", count)
    return len(sent)


class OrmSuite:
    """Derive, give an `engine` fixture, and pytest collects the contract."""

    capability = "ORM"

    @pytest.fixture
    def engine(self) -> Iterator[sa.Engine]:
        raise NotImplementedError("give your suite an engine fixture")

    @pytest.fixture
    def compare(self, engine: sa.Engine) -> Iterator[Callable[[Work], None]]:
        """Run work in a session on SQLite and in one on the store, and compare what it returns."""
        peer = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        event.listen(peer, "connect", lambda connection, record: connection.execute("PRAGMA foreign_keys = ON"))
        for each in (peer, engine):
            Model.metadata.create_all(each)

        def both(work: Work) -> None:
            answers = []
            for each in (peer, engine):
                with Session(each) as session:
                    answers.append(work(session))
            assert answers[1] == answers[0]

        yield both
        peer.dispose()

    # Units of work

    def test_what_is_added_is_found_by_its_key_in_another_session(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            session.commit()
            with Session(session.get_bind()) as other:
                book = other.get_one(Book, 3)
                return book.title, book.author.name, [tag.name for tag in book.tags], other.get(Book, 99)

        compare(work)

    def test_keys_that_the_database_draws_come_back_to_the_objects(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            tags = [Tag(name=f"tag {number}") for number in range(20)]
            session.add_all(tags)
            session.commit()
            numbers = [tag.id for tag in tags]
            return len(set(numbers)), numbers == sorted(numbers), session.scalars(select(Tag.name)).all()

        compare(work)

    def test_changes_are_written_and_what_did_not_change_is_not(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            session.commit()
            book = session.get_one(Book, 1)
            book.pages += 1
            book.title = book.title
            changed = statements_of(session, session.flush)
            unchanged = statements_of(session, session.flush)
            session.commit()
            return changed, unchanged, session.execute(select(Book.title, Book.pages).order_by(Book.id)).all()

        compare(work)

    def test_orphans_and_links_are_deleted_with_what_they_belonged_to(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            session.commit()
            author = session.get_one(Author, 1)
            author.books.remove(author.books[0])
            session.flush()
            session.get_one(Author, 3).mentor = None
            session.delete(session.get_one(Author, 2))
            session.commit()
            return [
                session.execute(select(*table.c).order_by(*table.c)).all()
                for table in (table_of(Author), table_of(Book), tagged)
            ]

        compare(work)

    def test_a_rollback_takes_back_rows_and_the_state_of_objects(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            session.commit()
            book = session.get_one(Book, 2)
            book.title = "Changed"
            session.add(Book(id=9, title="New", author_id=1))
            session.flush()
            session.rollback()
            return book.title, session.get(Book, 9), session.scalar(select(func.count()).select_from(Book))

        compare(work)

    def test_a_nested_transaction_is_rolled_back_alone(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            refused = []
            for number, name in ((10, "white"), (11, "red"), (12, "black")):
                try:
                    with session.begin_nested():
                        session.add(Tag(id=number, name=name))
                except IntegrityError:
                    refused.append(name)
            session.commit()
            return refused, session.scalars(select(Tag.name).order_by(Tag.name)).all()

        compare(work)

    def test_merge_updates_what_is_there_and_adds_what_is_not(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            session.commit()
            session.expunge_all()
            session.merge(Book(id=1, title="Engines again", pages=1, author_id=1))
            session.merge(Book(id=8, title="Later", pages=2, author_id=2))
            session.commit()
            return session.execute(select(Book.id, Book.title, Book.pages).order_by(Book.id)).all()

        compare(work)

    def test_a_row_of_an_older_version_is_not_written_over(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            session.add(Account(branch="north", number=7, balance=Decimal("10.50")))
            session.commit()
            account = session.get_one(Account, ("north", 7))
            moved = sa.update(table_of(Account)).values(version=table_of(Account).c.version + 1)
            session.execute(moved)
            account.balance += 1
            with pytest.raises(StaleDataError):
                session.flush()
            session.rollback()
            return session.execute(select(*table_of(Account).c)).all()

        compare(work)

    @pytest.mark.parametrize(
        "row",
        [
            sa.insert(table_of(Tag)).values(id=2, name="once"),
            sa.insert(table_of(Tag)).values(id=1, name="another"),
            sa.insert(table_of(Book)).values(id=1, title="x", pages=1, author_id=99),
            sa.insert(table_of(Book)).values(id=1, title=None, pages=1, author_id=1),
            sa.insert(table_of(Account)).values(branch="x", number=1, balance=-1, version=1),
        ],
        ids=["unique", "primary key", "foreign key", "not null", "check"],
    )
    def test_a_broken_constraint_is_an_integrity_error(self, compare: Callable[[Work], None], row: sa.Insert) -> None:
        def work(session: Session) -> Any:
            session.add(Tag(id=1, name="once"))
            session.commit()
            with pytest.raises(IntegrityError):
                session.execute(row)
            session.rollback()
            return session.scalars(select(Tag.name)).all()

        compare(work)

    # Loading

    @pytest.mark.parametrize(
        "load", [joinedload, selectinload, subqueryload, None], ids=lambda load: getattr(load, "__name__", "lazy")
    )
    def test_every_way_of_loading_finds_the_same(self, compare: Callable[[Work], None], load: Any) -> None:
        def work(session: Session) -> Any:
            library(session)
            session.commit()
            query = select(Author).order_by(Author.id)
            if load is not None:
                query = query.options(load(Author.books).options(load(Book.tags)), load(Author.pupils))
            return [
                (author.name, [(book.title, [tag.name for tag in book.tags]) for book in author.books],
                 [pupil.name for pupil in author.pupils])
                for author in session.scalars(query).unique()
            ]  # fmt: skip

        compare(work)

    def test_a_limited_page_with_a_joined_collection_is_of_whole_objects(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            page = select(Author).options(joinedload(Author.books)).order_by(Author.name.desc()).limit(2).offset(1)
            return [(author.name, len(author.books)) for author in session.scalars(page).unique()]

        compare(work)

    def test_a_filtered_collection_is_loaded_by_contains_eager(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            session.commit()
            query = select(Author).join(Author.books).where(Book.pages > 100).options(contains_eager(Author.books))
            query = query.order_by(Author.id, Book.id).execution_options(populate_existing=True)
            return [(author.name, [book.title for book in author.books]) for author in session.scalars(query).unique()]

        compare(work)

    def test_subclasses_come_back_as_themselves(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            session.add_all(
                [Vehicle(id=1, wheels=3), Lorry(id=2, wheels=6, load_kg=9000), Bicycle(id=3, wheels=2, bell="ding")]
            )
            session.commit()
            everyone = session.scalars(select(sa.orm.with_polymorphic(Vehicle, "*")).order_by(Vehicle.id)).all()
            lorry = session.scalars(select(Lorry).where(Lorry.load_kg > 10)).one()
            lorry.load_kg, lorry.wheels = 1, 8
            session.commit()
            session.delete(session.get_one(Vehicle, 3))
            session.commit()
            rest = session.execute(select(Vehicle.id, Vehicle.wheels).order_by(Vehicle.id)).all()
            return [type(each).__name__ for each in everyone], lorry.load_kg, rest

        compare(work)

    # Queries

    @pytest.mark.parametrize(
        "query",
        [
            select(Book.title).join(Book.author).where(Author.name == "Ada").order_by(Book.title),
            select(Author.name, func.count(Book.id)).outerjoin(Author.books).group_by(Author.name)
            .having(func.count(Book.id) > 0).order_by(func.count(Book.id).desc(), Author.name),
            select(Book.title).where(Book.thick).order_by(Book.id.desc()),
            select(Book.title).where(Book.tags.any(Tag.name == "red")).order_by(Book.id),
            select(Book.title).where(~Book.tags.any()).order_by(Book.id),
            select(Author.name).where(Author.mentor.has(Author.name == "Ada")).order_by(Author.name),
            select(Author.name).where(Author.id.in_(select(Book.author_id).where(Book.pages < 130))).order_by("name"),
            select(func.sum(Book.pages), func.min(Book.title), func.max(Book.pages), func.avg(Book.pages) > 200),
            select(Book.author_id).union(select(Tag.id)).order_by("author_id"),
            select(sa.case((Book.pages > 300, "thick"), else_="thin"), Book.id).order_by(Book.id),
            select(Book.title).where(Book.title.ilike("%E%"), Book.title.not_like("S%")).order_by(Book.id),
            select(Book.id).where(sa.or_(Book.pages.between(100, 200), Book.title.startswith("S"))).order_by(Book.id),
            select(Book.author_id).distinct().order_by(Book.author_id),
            select(Book.title, select(func.count()).select_from(tagged).where(tagged.c.book_id == Book.id)
                   .scalar_subquery()).order_by(Book.id),
        ],
        ids=[
            "join", "outer join and having", "hybrid", "any", "not any", "has", "in a subquery", "aggregates", "union",
            "case", "like", "or", "distinct", "scalar subquery",
        ],
    )  # fmt: skip
    def test_a_query_finds_what_it_finds_elsewhere(self, compare: Callable[[Work], None], query: Any) -> None:
        def work(session: Session) -> Any:
            library(session)
            return [tuple(row) for row in session.execute(query)]

        compare(work)

    def test_a_table_is_joined_with_itself_by_an_alias(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            mentor = aliased(Author)
            query = select(Author.name, mentor.name).outerjoin(mentor, Author.mentor).order_by(Author.name)
            return session.execute(query).all()

        compare(work)

    def test_every_type_comes_back_as_it_was(self, compare: Callable[[Work], None]) -> None:
        row = {
            "text": "naïve \N{SNOWMAN} \N{GRINNING FACE} '%:\\", "blob": bytes(range(256)), "flag": True, "number": 0.1,
            "big": 2**62, "day": date(2024, 2, 29), "at": time(23, 59, 58, 123456),
            "moment": datetime(1999, 12, 31, 23, 59, 59, 999999), "colour": Colour.BLUE,
            "document": {"a": [1, 2.5, None, True, "x"], "b": {"c": "\N{SNOWMAN}"}},
        }  # fmt: skip

        def work(session: Session) -> Any:
            session.add(Everything(id=uuid.UUID(int=1), **row))
            session.add(Everything(id=uuid.UUID(int=2)))
            session.commit()
            kinds = table_of(Everything).c
            rows = session.execute(select(*kinds).order_by(kinds.id)).all()
            found = session.scalars(select(Everything).where(Everything.colour == Colour.BLUE)).one()
            return rows, found.id, found.document

        compare(work)

    # Many rows at once

    def test_rows_are_changed_and_deleted_by_a_query(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            library(session)
            book = session.get_one(Book, 1)
            longer = session.execute(sa.update(Book).where(Book.pages > 100).values(pages=Book.pages * 2))
            session.execute(sa.delete(tagged))
            gone = session.execute(sa.delete(Book).where(Book.title.in_(["Notes", "Silence"])))
            session.commit()
            counts = [cast("sa.CursorResult[Any]", each).rowcount for each in (longer, gone)]
            return counts, book.pages, session.scalars(select(Book.id).order_by(Book.id)).all()

        compare(work)

    def test_many_rows_are_inserted_and_updated_at_once(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            session.execute(sa.insert(Tag), [{"id": number, "name": f"tag {number}"} for number in range(1, 1501)])
            session.execute(sa.update(Tag), [{"id": number, "name": f"new {number}"} for number in (3, 700, 1500)])
            session.commit()
            return (
                session.scalar(select(func.count()).select_from(Tag)),
                session.scalars(select(Tag.name).where(Tag.name.startswith("new")).order_by(Tag.id)).all(),
            )

        compare(work)

    def test_returning_gives_the_rows_in_the_order_of_the_parameters(self, compare: Callable[[Work], None]) -> None:
        def work(session: Session) -> Any:
            names = [f"tag {number}" for number in range(50)]
            statement = sa.insert(Tag).returning(Tag.name, sort_by_parameter_order=True)
            return session.execute(statement, [{"name": name} for name in names]).scalars().all()

        compare(work)
