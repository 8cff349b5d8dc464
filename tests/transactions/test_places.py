"""Stores that are full, foreign, missing or not writable, through SQLAlchemy: one clear error, and nothing lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, String, Table, create_engine, func, insert, select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from rome import dbapi
from tests.transactions.speaker import problems, say

metadata = MetaData()
parents = Table("parents", metadata, Column("id", Integer, primary_key=True), Column("name", String(20), unique=True))
children = Table(
    "children",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("parent", ForeignKey(parents.c.id), index=True),
    Column("data", String(60_000)),
)


def url_of(place: Path, **options: object) -> str:
    return f"rome+lmdb:///{place}?" + "&".join(f"{name}={value}" for name, value in options.items())


def prepare(url: str) -> None:
    """Tables with one parent and one child."""
    engine = create_engine(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(parents), {"id": 0, "name": "first"})
        connection.execute(insert(children), {"id": 0, "parent": 0, "data": "d"})
    engine.dispose()


def add(connection: object, number: int, size: int = 50_000) -> None:
    """A parent with two children, about `size` characters each."""
    connection.execute(insert(parents), {"id": number, "name": f"parent {number}"})  # type: ignore[attr-defined]
    rows = [{"id": 2 * number + at, "parent": number, "data": "v" * size} for at in (0, 1)]
    connection.execute(insert(children), rows)  # type: ignore[attr-defined]


def fill(engine: Engine) -> int:
    """Commit parents with children until there is no room left; the last that was acknowledged."""
    done = 0
    with pytest.raises(OperationalError, match=r"\[53100\]"):
        for number in range(1, 1000):
            with engine.begin() as connection:
                add(connection, number)
            done = number
    return done


def assert_sound(url: str, acknowledged: int) -> None:
    """Every acknowledged parent has both children, no other row is there, and the store is consistent."""
    connection = dbapi.connect(url)
    assert [id_ for (id_,) in say(connection, "SELECT id FROM parents ORDER BY id")] == list(range(acknowledged + 1))
    counts = say(connection, "SELECT parent, count(*) FROM children GROUP BY parent ORDER BY parent")
    assert counts == [(0, 1)] + [(number, 2) for number in range(1, acknowledged + 1)]
    connection.rollback()
    assert problems(connection) == []
    connection.close()


def refusal(url: str) -> DBAPIError:
    """What `create_engine` and a first connection come to; the error is one line and says the place."""
    engine = create_engine(url)
    with pytest.raises(DBAPIError) as refused, engine.connect():
        pass
    engine.dispose()
    message = str(refused.value.orig)
    assert "\n" not in message and len(message) < 300
    return refused.value


# ---- room


def test_a_full_map_refuses_the_commit_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    place = tmp_path / "store"
    small, large = url_of(place, sync="none", map_size_gib=0.002), url_of(place, sync="none", map_size_gib=1)
    prepare(small)
    engine = create_engine(small)
    done = fill(engine)
    assert done > 2
    with engine.connect() as connection:  # the same connection reads on
        assert connection.scalar(select(func.count()).select_from(parents)) == done + 1
    with pytest.raises(OperationalError, match="map_size_gib"), engine.begin() as connection:
        add(connection, done + 1)
    assert_sound(small, done)
    engine.dispose()
    engine = create_engine(large)
    for number in range(done + 1, done + 20):
        with engine.begin() as connection:
            add(connection, number)
    engine.dispose()
    assert_sound(large, done + 19)


def test_a_full_map_is_told_to_the_session_that_flushes_and_commits(tmp_path: Path) -> None:
    url = url_of(tmp_path / "store", sync="none", map_size_gib=0.002)
    prepare(url)
    engine = create_engine(url)
    done = fill(engine)
    with Session(engine) as session:
        add(session, done + 1)
        assert session.scalar(select(func.count()).select_from(children)) == 2 * done + 3
        with pytest.raises(OperationalError, match=r"\[53100\].*nothing was written|\[53100\]"):
            session.commit()
        session.rollback()
        assert session.scalar(select(func.count()).select_from(children)) == 2 * done + 1
        session.execute(children.delete().where(children.c.parent > 1))
        session.execute(parents.delete().where(parents.c.id > 1))
        session.commit()
        add(session, 2)  # there is room again
        session.commit()
    engine.dispose()
    assert_sound(url, 2)


def test_deleting_needs_no_more_room_than_there_is(tmp_path: Path) -> None:
    """A full store must be able to give up rows; LMDB copies the pages that it changes."""
    url = url_of(tmp_path / "store", sync="none", map_size_gib=0.004)
    prepare(url)
    engine = create_engine(url)
    done = fill(engine)
    for number in range(done, 1, -1):
        with engine.begin() as connection:
            connection.execute(children.delete().where(children.c.parent == number))
            connection.execute(parents.delete().where(parents.c.id == number))
    with engine.begin() as connection:
        add(connection, 2)
    engine.dispose()
    assert_sound(url, 2)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A file system of 3 MiB; None where the machine lets us mount none."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0
    yield place if mounted else None
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("sync", ["none", "full"])
def test_a_full_disk_refuses_the_commit_and_the_process_goes_on_once_there_is_room(
    small_disk: Path | None, tmp_path: Path, sync: str
) -> None:
    """In the middle of transactions that other threads and connections have open, too."""
    place = (small_disk or tmp_path) / "store"
    url = url_of(place, sync=sync) if small_disk else url_of(place, sync=sync, map_size_gib=0.003)
    prepare(url)
    engine = create_engine(url)
    with engine.connect() as reader:
        assert reader.scalar(select(func.count()).select_from(parents)) == 1
        done = fill(engine)
        assert reader.scalar(select(func.count()).select_from(parents)) == 1  # its snapshot
    assert done > 2
    assert_sound(url, done)
    if small_disk:
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    else:
        engine.dispose()
        url = url_of(place, sync=sync, map_size_gib=1)
        engine = create_engine(url)
    for number in range(done + 1, done + 20):
        with engine.begin() as connection:
            add(connection, number)
    engine.dispose()
    assert_sound(url, done + 19)


def test_no_transaction_larger_than_the_store_takes_is_half_done(tmp_path: Path) -> None:
    url = url_of(tmp_path / "store", sync="none", map_size_gib=0.002)
    prepare(url)
    engine = create_engine(url)
    with pytest.raises(OperationalError, match=r"\[53100\]"), engine.begin() as connection:
        for number in range(1, 60):
            add(connection, number)
    engine.dispose()
    assert_sound(url, 0)


# ---- files and directories


def foreign_format(place: Path) -> None:
    prepare(url_of(place))
    with lmdb.open(str(place)) as env, env.begin(write=True) as txn:
        txn.put(b"\0format", b"rome lmdb 99")


def another_program(place: Path) -> None:
    with lmdb.open(str(place)) as env, env.begin(write=True) as txn:
        txn.put(b"theirs", b"1")


def no_lmdb(place: Path) -> None:
    place.mkdir()
    (place / "data.mdb").write_bytes(b"something else" * 1000)


def cut_off(place: Path) -> None:
    prepare(url_of(place))
    with lmdb.open(str(place)) as env, env.begin(write=True) as txn:
        for number in range(100):
            txn.put(b"\2x%d" % number, bytes(100_000))
    with (place / "data.mdb").open("r+b") as file:
        file.truncate(1 << 20)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (foreign_format, "rome lmdb 99"),
        (another_program, "no store of ROME"),
        (no_lmdb, "no store of ROME"),
        (cut_off, "restore it from a backup"),
        (lambda place: place.write_text("a file"), "is a file"),
    ],
    ids=["another format", "another program", "not LMDB", "cut off", "a file"],
)
def test_what_is_no_store_is_refused_and_left_as_it_is(
    tmp_path: Path, spoil: Callable[[Path], None], says: str
) -> None:
    place = tmp_path / "store"
    spoil(place)
    data = place if place.is_file() else place / "data.mdb"
    before = data.read_bytes()
    for _ in range(2):  # the second try finds nothing changed by the first
        error = refusal(url_of(place))
        assert says in str(error) and str(place) in str(error)
    assert data.read_bytes() == before


def test_a_missing_directory_is_named_and_serves_once_it_is_made(tmp_path: Path) -> None:
    place = tmp_path / "no" / "such" / "store"
    engine = create_engine(url_of(place))
    with pytest.raises(InterfaceError, match="there is no directory") as refused:
        metadata.create_all(engine)
    assert str(place.parent) in str(refused.value)
    place.parent.mkdir(parents=True)
    metadata.create_all(engine)
    engine.dispose()


def test_an_engine_finds_a_store_that_was_removed_and_made_anew(tmp_path: Path) -> None:
    """The old file is gone: the next engine must not write into it."""
    place = tmp_path / "store"
    prepare(url_of(place))
    kept = create_engine(url_of(place))
    with kept.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(parents)) == 1
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
    kept.dispose()
    prepare(url_of(place))
    fresh = create_engine(url_of(place))
    with fresh.begin() as connection:
        add(connection, 1)
    fresh.dispose()
    assert_sound(url_of(place), 1)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A store on a read-only mount; where none can be mounted its file's permissions are taken."""
    place = tmp_path / "mounted"
    place.mkdir()
    prepare(url_of(place / "store"))
    bound = subprocess.run(["mount", "--bind", str(place), str(place)], capture_output=True).returncode == 0
    if bound:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
    else:
        (place / "store" / "data.mdb").chmod(0o400)
    yield place / "store"
    if bound:
        subprocess.run(["umount", "-l", str(place)], check=True)
    else:
        (place / "store" / "data.mdb").chmod(0o600)


def test_a_read_only_place_says_how_to_read_it_and_is_read(read_only: Path) -> None:
    error = refusal(url_of(read_only))
    assert isinstance(error, OperationalError)
    assert "[25006]" in str(error) and "readonly=1" in str(error)
    engine = create_engine(url_of(read_only, readonly=1))
    with engine.connect() as connection:
        assert connection.execute(select(parents)).all() == [(0, "first")]
    for write in (
        lambda connection: add(connection, 1),
        lambda connection: connection.exec_driver_sql("CREATE TABLE u (id INTEGER)"),
    ):
        with pytest.raises(OperationalError, match=r"\[25006\]"), engine.begin() as connection:
            write(connection)
    with engine.connect() as connection:
        assert connection.execute(select(parents)).all() == [(0, "first")]
    engine.dispose()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("sync=sometimes", "full, meta or none"),
        ("map_size_gib=0", "above 0"),
        ("map_size_gib=lots", "a number"),
        ("mapsize_gib=1", "did you mean map_size_gib?"),
        ("max_readers=0", "whole number"),
        ("readonly=yes", "0 or 1"),
        ("sync=full&sync=none", "twice"),
    ],
)
def test_a_wrong_option_is_one_line_that_says_what_it_takes(tmp_path: Path, options: str, says: str) -> None:
    with pytest.raises(dbapi.InterfaceError) as refused:
        create_engine(f"rome+lmdb:///{tmp_path}/store?{options}").connect()
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
