"""What an OpenStack service sees of ROME's errors, through oslo.db's own engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from oslo_db import exception
from oslo_db.sqlalchemy import enginefacade, engines
from oslo_db.sqlalchemy import orm as oslo_orm
from sqlalchemy import Connection, Engine, schema

from rome import dbapi
from rome.dialect import oslo
from rome.lock import LockManager


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    engine = engines.create_engine(store_url)
    yield engine
    engine.dispose()


@pytest.fixture
def tables(engine: Engine) -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table(
        "images",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(5), nullable=False),
        sa.Column("size", sa.Integer),
        schema.UniqueConstraint("name", "size", name="uq_name_size"),
        schema.CheckConstraint("size >= 0", name="ck_size"),
    )
    sa.Table(
        "tags",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("image_id", sa.ForeignKey("images.id", name="fk_image")),
    )
    metadata.create_all(engine)
    return metadata


@pytest.fixture
def connection(engine: Engine, tables: sa.MetaData) -> Iterator[Connection]:
    with engine.connect() as connection:
        connection.execute(tables.tables["images"].insert(), {"id": 1, "name": "a", "size": 3})
        yield connection


def run(connection: Connection, sql: str) -> None:
    connection.execute(sa.text(sql))


def test_the_filters_are_registered_by_importing_the_dialect() -> None:
    assert oslo.REGISTERED


def test_a_duplicate_has_columns_and_value(connection: Connection) -> None:
    with pytest.raises(exception.DBDuplicateEntry) as caught:
        run(connection, "INSERT INTO images (name, size) VALUES ('a', 3)")

    assert caught.value.columns == ["name", "size"]
    assert caught.value.value == "a-3"


def test_a_duplicate_primary_key_is_a_duplicate(connection: Connection) -> None:
    with pytest.raises(exception.DBDuplicateEntry) as caught:
        run(connection, "INSERT INTO images (id, name) VALUES (1, 'b')")

    assert caught.value.columns == ["id"]


def test_a_missing_parent_is_a_reference_error(connection: Connection) -> None:
    with pytest.raises(exception.DBReferenceError) as caught:
        run(connection, "INSERT INTO tags (image_id) VALUES (7)")

    error = caught.value
    assert (error.table, error.constraint, error.key, error.key_table) == ("tags", "fk_image", "image_id", "images")


def test_a_child_left_behind_is_a_reference_error(connection: Connection) -> None:
    run(connection, "INSERT INTO tags (image_id) VALUES (1)")
    with pytest.raises(exception.DBReferenceError) as caught:
        run(connection, "DELETE FROM images")

    assert caught.value.constraint == "fk_image"


def test_a_check_is_a_constraint_error(connection: Connection) -> None:
    with pytest.raises(exception.DBConstraintError) as caught:
        run(connection, "INSERT INTO images (name, size) VALUES ('b', -1)")

    assert (caught.value.table, caught.value.check_name) == ("images", "ck_size")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO images (name) VALUES ('too long')", exception.DBDataError),
        ("INSERT INTO images (size) VALUES (1)", exception.DBError),
        ("SELECT id FROM nosuch", exception.DBNonExistentTable),
        ("ALTER TABLE images DROP CONSTRAINT nosuch", exception.DBNonExistentConstraint),
        ("DROP INDEX nosuch ON images", exception.DBError),
        ("SELECT nosuch FROM images", exception.DBError),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", exception.DBNotSupportedError),
    ],
)
def test_other_errors(connection: Connection, sql: str, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        run(connection, sql)

    assert type(caught.value) is expected


def test_names_stand_in_the_errors_about_what_is_not_there(connection: Connection) -> None:
    with pytest.raises(exception.DBNonExistentTable) as table:
        run(connection, "SELECT id FROM nosuch")
    with pytest.raises(exception.DBNonExistentConstraint) as constraint:
        run(connection, "ALTER TABLE images DROP CONSTRAINT nosuch")

    assert table.value.table == "nosuch"
    assert (constraint.value.table, constraint.value.constraint) == ("images", "nosuch")


def test_a_conflict_is_a_deadlock_so_that_services_retry(engine: Engine, tables: sa.MetaData) -> None:
    images = tables.tables["images"]
    with engine.begin() as connection:
        connection.execute(images.insert(), {"id": 1, "name": "a", "size": 3})
    with engine.connect() as first, engine.connect() as second:
        assert first.scalar(sa.select(images.c.size)) == 3
        second.execute(images.update().values(size=4))
        second.commit()
        with pytest.raises(exception.DBDeadlock):  # at the statement on stores without snapshots, else at commit
            first.execute(images.update().values(size=9))
            first.commit()


LOCK = "SELECT size FROM images WHERE id = :id FOR UPDATE"


def test_a_lock_that_does_not_come_free_is_a_deadlock_so_that_services_retry(
    engine: Engine, connection: Connection
) -> None:
    connection.commit()
    connection.execute(sa.text(LOCK), {"id": 1})
    with engine.connect() as second:
        with pytest.raises(exception.DBDeadlock):
            second.execute(sa.text(LOCK + " NOWAIT"), {"id": 1})
        second.execute(sa.text("SET LOCAL lock_timeout = 20"))
        with pytest.raises(exception.DBDeadlock):
            second.execute(sa.text(LOCK), {"id": 1})


def test_one_of_two_that_wait_for_each_other_has_a_deadlock(engine: Engine, connection: Connection) -> None:
    run(connection, "INSERT INTO images (id, name, size) VALUES (2, 'b', 3)")
    connection.commit()
    with engine.connect() as second, ThreadPoolExecutor(1) as aside:
        connection.execute(sa.text(LOCK), {"id": 1})
        second.execute(sa.text(LOCK), {"id": 2})
        waiting = aside.submit(_locked, second, 1)
        found = [_locked(connection, 2), waiting.result(20)]
    assert sorted(found, key=str) == sorted([3, exception.DBDeadlock], key=str)


def _locked(connection: Connection, key: int) -> object:
    """What a FOR UPDATE answers, or the class of its error; the transaction is rolled back."""
    try:
        return connection.scalar(sa.text(LOCK), {"id": key})
    except exception.DBError as error:
        return type(error)
    finally:
        connection.rollback()


def test_a_lost_lease_is_no_deadlock_to_be_tried_again(engine: Engine, connection: Connection, store_url: str) -> None:
    connection.commit()
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, dbapi.Connection)
    driver = raw._opened().database.driver
    with LockManager(driver) as locks, engine.connect() as under:
        lease = locks.hold("import")
        under = under.execution_options(rome_lease=lease)
        run(under, "UPDATE images SET size = 4")
        driver.unlock(lease.expectation.session)
        with pytest.raises(exception.DBError, match="55000") as caught:
            under.commit()
    assert type(caught.value) is exception.DBError
    assert connection.scalar(sa.text("SELECT size FROM images")) == 3


def test_the_engine_facade_works(store_url: str) -> None:
    context = enginefacade.transaction_context()
    context.configure(connection=store_url, max_pool_size=3)

    @enginefacade.transaction_context_provider
    class Context:
        pass

    engine = context.writer.get_engine()
    assert isinstance(context.writer.get_sessionmaker()(), oslo_orm.Session)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (id INTEGER PRIMARY KEY)"))
    with context.writer.using(Context()) as session:
        session.execute(sa.text("INSERT INTO t (id) VALUES (1)"))
    with context.reader.using(Context()) as session:
        assert session.scalar(sa.text("SELECT count(*) FROM t")) == 1
    engine.dispose()
