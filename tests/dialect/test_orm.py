"""SQLAlchemy's ORM on ROME: what an application does all day."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, ForeignKey, String, func, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
)
from sqlalchemy.orm.exc import StaleDataError

from rome import orm


class Base(DeclarativeBase):
    pass


class Image(Base):
    __tablename__ = "images"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    size: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tags: Mapped[list[Tag]] = relationship(back_populates="image", cascade="all, delete-orphan", order_by="Tag.value")


class Tag(Base):
    __tablename__ = "tags"

    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    value: Mapped[str] = mapped_column(String(20), primary_key=True)
    image: Mapped[Image] = relationship(back_populates="tags")


class Versioned(Base):
    __tablename__ = "versioned"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}


@pytest.fixture
def session(engine: Engine) -> orm.Session:
    Base.metadata.create_all(engine)
    return orm.Session(engine)


@pytest.fixture
def stocked(session: orm.Session) -> orm.Session:
    """Three images, with 0, 1 and 2 tags."""
    for number in range(3):
        tags = [Tag(value=f"t{each}") for each in range(number)]
        session.add(Image(name=f"image {number}", size=number * 10, tags=tags))
    session.commit()
    return session


def test_keys_and_server_defaults_are_there_after_a_flush(session: orm.Session) -> None:
    image = Image(name="a")
    session.add(image)
    session.flush()

    assert image.id is not None and isinstance(image.created_at, datetime)


def test_many_objects_get_their_keys_in_their_order(session: orm.Session) -> None:
    images = [Image(name=f"{number}") for number in range(50)]
    session.add_all(images)
    session.commit()

    assert [session.get_one(Image, image.id).name for image in images] == [f"{number}" for number in range(50)]
    assert len({image.id for image in images}) == 50


def test_many_objects_are_one_statement(session: orm.Session, engine: Engine) -> None:
    statements: list[tuple[str, bool]] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *call: statements.append((call[2].split()[0], call[5])))
    session.add_all([Image(name=f"{number}") for number in range(50)])
    session.commit()

    assert statements == [("INSERT", True)]


@pytest.mark.parametrize("load", [joinedload, selectinload, subqueryload])
def test_relationships_load(stocked: orm.Session, load: type) -> None:
    images = stocked.scalars(select(Image).options(load(Image.tags)).order_by(Image.id)).unique().all()
    stocked.expunge_all()

    assert [[tag.value for tag in image.tags] for image in images] == [[], ["t0"], ["t0", "t1"]]


def test_an_object_is_changed_and_deleted(stocked: orm.Session) -> None:
    image = stocked.scalars(select(Image).where(Image.name == "image 2")).one()
    image.name = "new"
    image.tags = [Tag(value="only")]
    stocked.commit()
    assert stocked.scalars(select(Tag.value).where(Tag.image_id == image.id)).all() == ["only"]
    stocked.delete(image)
    stocked.commit()

    assert stocked.scalars(select(Image.name).order_by(Image.id)).all() == ["image 0", "image 1"]
    assert stocked.scalar(select(func.count()).select_from(Tag)) == 1


def test_a_savepoint_is_rolled_back_alone(stocked: orm.Session) -> None:
    with pytest.raises(ZeroDivisionError), stocked.begin_nested():
        stocked.add(Image(name="lost"))
        stocked.flush()
        raise ZeroDivisionError
    with stocked.begin_nested():
        stocked.add(Image(name="kept"))
    stocked.commit()

    assert stocked.scalars(select(Image.name).order_by(Image.id)).all()[3:] == ["kept"]


def test_a_failed_flush_rolls_back_to_its_savepoint(stocked: orm.Session) -> None:
    with pytest.raises(sa.exc.IntegrityError), stocked.begin_nested():
        stocked.add(Tag(image_id=999, value="x"))
    stocked.add(Image(name="after"))
    stocked.commit()

    assert stocked.scalar(select(func.count()).select_from(Image)) == 4


def test_bulk_statements_return_rows(stocked: orm.Session) -> None:
    made = stocked.scalars(
        sa.insert(Image).returning(Image.name, sort_by_parameter_order=True), [{"name": "x"}, {"name": "y"}]
    ).all()
    changed = stocked.execute(sa.update(Image).where(Image.size >= 10).values(size=Image.size + 1))
    gone = stocked.scalars(sa.delete(Image).where(Image.size > 20).returning(Image.name)).all()

    assert made == ["x", "y"]
    assert changed.rowcount == 2  # type: ignore[attr-defined]
    assert gone == ["image 2"]


def test_an_update_by_primary_key_in_bulk(stocked: orm.Session) -> None:
    keys = stocked.scalars(select(Image.id).order_by(Image.id)).all()
    stocked.execute(sa.update(Image), [{"id": key, "size": place} for place, key in enumerate(keys)])

    assert stocked.scalars(select(Image.size).order_by(Image.id)).all() == [0, 1, 2]


def test_a_stale_object_is_noticed(session: orm.Session) -> None:
    session.add(Versioned(name="a"))
    session.commit()
    found = session.scalars(select(Versioned)).one()
    session.execute(sa.update(Versioned.__table__).values(version=7))  # type: ignore[arg-type]
    found.name = "b"
    with pytest.raises(StaleDataError):
        session.flush()


def test_queries_of_many_shapes(stocked: orm.Session) -> None:
    other = aliased(Image)
    count = select(func.count(Tag.value)).where(Tag.image_id == Image.id).scalar_subquery()
    per_image = select(Tag.image_id, func.count().label("n")).group_by(Tag.image_id).subquery()

    assert stocked.execute(select(Image.name, count).order_by(Image.id)).all()[2] == ("image 2", 2)
    assert stocked.scalars(select(Image.name).where(Image.tags.any(Tag.value == "t1"))).all() == ["image 2"]
    assert stocked.scalars(select(Image.name).where(~Image.tags.any())).all() == ["image 0"]
    assert stocked.scalars(select(Image.id).join(other, other.size > Image.size).distinct()).all()
    assert stocked.scalars(
        select(func.coalesce(per_image.c.n, 0)).select_from(Image).outerjoin(per_image).order_by(Image.id)
    ).all() == [0, 1, 2]
    assert stocked.scalars(
        select(Image.name).where(Image.size == 0).union_all(select(Tag.value).where(Tag.value == "t1")).order_by("name")
    ).all() == ["image 0", "t1"]


def test_the_compiled_text_is_cached_and_serves_every_list(stocked: orm.Session, engine: Engine) -> None:
    texts: set[str] = set()
    sa.event.listen(engine, "before_cursor_execute", lambda *call: texts.add(call[2]))
    generated: list[str] = []
    with engine.connect() as connection:
        for names in (["image 0"], ["image 1", "image 2"], [], ["image 0", "x", "y"]):
            result = connection.execute(select(Image.id).where(Image.name.in_(names)))
            generated.append(result.context._get_cache_stats().split()[0])  # type: ignore[attr-defined]
            assert len(result.all()) == len([name for name in names if name.startswith("image")])

    assert len(texts) == 1
    assert generated == ["generated", "cached", "cached", "cached"]


def test_a_session_takes_a_url() -> None:
    session = orm.Session("rome+memory:///orm-session")
    session.execute(sa.text("CREATE TABLE t (id INTEGER PRIMARY KEY)"))
    session.execute(sa.text("INSERT INTO t (id) VALUES (1)"))
    session.commit()
    other = orm.Session("rome+memory:///orm-session")

    assert isinstance(session, sa.orm.Session) and issubclass(orm.Query, sa.orm.Query)
    assert other.get_bind() is session.get_bind()
    assert other.scalar(sa.text("SELECT count(*) FROM t")) == 1
    session.close()
    other.close()


def test_threads_work_with_sessions_of_their_own(stocked: orm.Session, engine: Engine) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                with orm.Session(engine) as session:
                    session.execute(sa.update(Image).where(Image.name == "image 1").values(size=Image.size + 1))
                    session.commit()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert stocked.scalar(select(Image.size).where(Image.name == "image 1")) == 40


@pytest.mark.parametrize("loading", [joinedload, selectinload, subqueryload])
def test_objects_are_locked_in_every_way_of_loading(session: orm.Session, engine: Engine, loading: object) -> None:
    session.add_all([Image(id=1, name="a", tags=[Tag(value="x"), Tag(value="y")]), Image(id=2, name="b")])
    session.commit()
    images = select(Image).options(loading(Image.tags)).order_by(Image.id)  # type: ignore[operator]
    assert [image.id for image in session.scalars(images.with_for_update()).unique()] == [1, 2]
    session.rollback()
    found = session.scalars(images.limit(1).with_for_update()).unique().one()
    assert [tag.value for tag in found.tags] == ["x", "y"]
    with orm.Session(engine) as other:
        assert [image.id for image in other.scalars(select(Image).with_for_update(skip_locked=True))] == [2]
        with pytest.raises(sa.exc.OperationalError, match="55P03"):
            other.get(Image, 1, with_for_update={"nowait": True})
        other.rollback()
    session.rollback()
    session.refresh(found, with_for_update={"of": Image})
    session.rollback()
    session.close()
