"""An engine of SQLAlchemy used by many threads, and one that was used before the process forked."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import traceback
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, ForeignKey, String, create_engine, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import QueuePool

from rome import dbapi
from tests.transactions.speaker import problems

THREADS = 8
ROUNDS = 12


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    version: Mapped[int] = mapped_column(default=0)
    books: Mapped[list[Book]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"), index=True)
    pages: Mapped[int]
    author: Mapped[Author] = relationship(back_populates="books")


class Total(Base):
    __tablename__ = "totals"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[int]
    pages: Mapped[int]


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An engine with tables for it; `totals` has one row that says how many books there are and how long."""
    engine = create_engine(url, poolclass=QueuePool, pool_size=4, max_overflow=2)
    prepare(engine)
    yield engine
    engine.dispose()


def prepare(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Total(id=1, books=0, pages=0))
        session.commit()


def in_threads(work: Callable[[int], None]) -> None:
    """Run `work` in THREADS threads; AssertionError with the tracebacks of those that failed."""
    failures: list[str] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


def until_done(engine: Engine, work: Callable[[Session], object]) -> None:
    """`work` and a commit in a session, again after each conflict."""
    while True:
        with Session(engine) as session:
            try:
                work(session)
                session.commit()
                return
            except OperationalError as error:
                assert "[40001]" in str(error)


def publish(session: Session, draw: random.Random, number: int) -> None:
    """Add, change or delete books of an author of this thread, and keep the totals right."""
    author = session.scalars(select(Author).where(Author.name == f"author {number}")).one_or_none()
    if author is None:
        author = Author(name=f"author {number}", version=0)
        session.add(author)
    author.version += 1
    total = session.get_one(Total, 1)
    for _ in range(draw.randrange(1, 3)):
        pages = draw.randrange(1, 500)
        author.books.append(Book(pages=pages))
        total.books += 1
        total.pages += pages
    if draw.random() < 0.3:
        book = author.books.pop(0)
        total.books -= 1
        total.pages -= book.pages
    session.flush()
    if draw.random() < 0.15:
        total.books -= len(author.books)
        total.pages -= sum(book.pages for book in author.books)
        session.delete(author)


def assert_right(engine: Engine) -> None:
    with Session(engine) as session:
        total = session.get_one(Total, 1)
        pages = session.scalar(select(func.coalesce(func.sum(Book.pages), 0)))
        assert (session.scalar(select(func.count()).select_from(Book)), pages) == (total.books, total.pages)
        assert session.scalar(select(func.count()).select_from(Book).where(~Book.author.has())) == 0
    connection = dbapi.connect(engine.url.render_as_string(hide_password=False))
    assert problems(connection) == []
    connection.close()


def test_threads_with_sessions_on_one_engine_lose_nothing(engine: Engine) -> None:
    def work(number: int) -> None:
        draw = random.Random(number)
        for _ in range(ROUNDS):
            seed = draw.random()

            def once(session: Session, seed: float = seed) -> None:
                publish(session, random.Random(seed), max(number, 3))  # half of the threads share an author

            until_done(engine, once)

    in_threads(work)
    assert_right(engine)


def test_threads_that_want_one_name_get_it_once(engine: Engine) -> None:
    got: list[int] = []
    barrier = threading.Barrier(THREADS)

    def work(number: int) -> None:
        barrier.wait(30)
        try:
            until_done(engine, lambda session: session.add(Author(name="the same")))
            got.append(number)
        except IntegrityError as error:
            assert "[23505]" in str(error)

    in_threads(work)
    assert len(got) == 1
    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(Author)) == 1


def test_threads_draw_every_number_once(engine: Engine) -> None:
    each = 30
    drawn: list[int] = []

    def work(number: int) -> None:
        for at in range(each):
            with Session(engine) as session:
                author = Author(name=f"{number} {at}")
                session.add(author)
                session.commit()
                drawn.append(author.id)

    in_threads(work)
    assert len(set(drawn)) == THREADS * each


def test_threads_define_and_use_tables(engine: Engine) -> None:
    """Each makes, fills, alters and drops tables of its own while the others do; plans of one are not another's."""

    def do(sql: str) -> None:
        until_done(engine, lambda session: session.execute(text(sql)))

    def work(number: int) -> None:
        for round_ in range(3):
            table = f"own_{number}"
            for sql in (
                f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, a INTEGER)",
                f"INSERT INTO {table} VALUES (1, {round_})",
                f"CREATE INDEX {table}_a ON {table} (a)",
                f"ALTER TABLE {table} ADD COLUMN b INTEGER DEFAULT {number}",
                f"UPDATE {table} SET a = a + 1 WHERE a = {round_}",
            ):
                do(sql)
            with engine.connect() as connection:
                row = connection.execute(text(f"SELECT id, a, b FROM {table} WHERE a = {round_ + 1}")).one()
                assert tuple(row) == (1, round_ + 1, number)
            do(f"DROP TABLE {table}")

    in_threads(work)
    assert_right(engine)


# ---- forks


def forked(work: Callable[[], None], children: int = 1) -> None:
    """Run `work` in forked children, as gunicorn's preloaded workers are; AssertionError unless all end well."""
    pids = []
    for _ in range(children):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        pids.append(pid)
    statuses = []
    for pid in pids:
        timer = threading.Timer(60, os.kill, (pid, signal.SIGKILL))
        timer.start()
        statuses.append(os.waitpid(pid, 0)[1])
        timer.cancel()
    assert statuses == [0] * children


@pytest.fixture
def preloaded(lmdb_url: str) -> Iterator[Engine]:
    """An engine on LMDB that has pooled connections, plans and numbers from before the fork."""
    engine = create_engine(lmdb_url, poolclass=QueuePool, pool_size=4)
    prepare(engine)
    until_done(engine, lambda session: publish(session, random.Random(0), 0))
    yield engine
    engine.dispose()


def test_an_engine_used_before_a_fork_works_in_children_and_parent(preloaded: Engine) -> None:
    with preloaded.connect() as one, preloaded.connect():  # two connections in the pool
        one.execute(select(Author)).all()

    def work() -> None:
        draw = random.Random(os.getpid())
        for _ in range(ROUNDS):
            until_done(preloaded, lambda session: publish(session, draw, os.getpid()))
        assert_right(preloaded)

    forked(work, children=4)
    until_done(preloaded, lambda session: publish(session, random.Random(0), 0))
    assert_right(preloaded)
    with Session(preloaded) as session:
        assert session.scalars(select(Author.id)).first() is not None


def test_children_that_dispose_of_the_engine_leave_the_parent_its_connections(preloaded: Engine) -> None:
    """What SQLAlchemy advises: `dispose(close=False)` in the child; `dispose()` must do no harm either."""
    with preloaded.connect() as open_:
        assert open_.execute(select(Total.books)).scalar_one() > 0
        for close in (True, False):

            def work(close: bool = close) -> None:
                preloaded.dispose(close=close)
                until_done(preloaded, lambda session: session.add(Author(name=f"made with {close}")))

            forked(work)
        assert open_.execute(select(func.count()).select_from(Author)).scalar_one() == 1  # its own snapshot
        open_.rollback()
        assert open_.execute(select(func.count()).select_from(Author)).scalar_one() == 3
    assert_right(preloaded)


def test_a_transaction_open_at_the_fork_is_the_parents(preloaded: Engine) -> None:
    with Session(preloaded) as session:
        session.add(Author(name="of the parent"))
        session.flush()

        def work() -> None:
            with pytest.raises(Exception, match="before the process forked"):
                session.execute(text("SELECT 1"))
            until_done(preloaded, lambda other: publish(other, random.Random(7), 7))

        forked(work)
        session.commit()
    with Session(preloaded) as session:
        assert session.scalar(select(func.count()).where(Author.name == "of the parent")) == 1
    assert_right(preloaded)


def test_forks_while_other_threads_write(preloaded: Engine) -> None:
    """Whatever lock a thread holds at the moment of the fork, the child can work."""
    stop = threading.Event()
    failures: list[str] = []

    def write(number: int) -> None:
        draw = random.Random(number)
        try:
            while not stop.is_set():
                until_done(preloaded, lambda session: publish(session, draw, number))
        except BaseException:
            failures.append(traceback.format_exc())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for seed in range(8):

            def work(seed: int = seed) -> None:
                preloaded.dispose(close=False)
                until_done(preloaded, lambda session: publish(session, random.Random(seed), 100 + seed))

            forked(work)
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert failures == []
    assert_right(preloaded)


def test_a_pool_of_processes_forked_from_a_thread_shares_the_store(preloaded: Engine) -> None:
    fork = multiprocessing.get_context("fork")

    def work(seed: int) -> None:
        until_done(preloaded, lambda session: publish(session, random.Random(seed), seed))

    children = [fork.Process(target=work, args=(seed,)) for seed in range(1, 5)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    assert_right(preloaded)
