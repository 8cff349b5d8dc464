"""The LMDB driver: its files, its errors, its long keys, its snapshots."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from rome import errors
from rome.config import parse
from rome.driver.api import Driver, ExpectCell, Scan
from rome.driver.lmdb import (
    ERRNO_FAILURES,
    FAILURES,
    FORMAT,
    NETWORK_FILE_SYSTEMS,
    LmdbDriver,
    Settings,
    failure,
    file_system_of,
)
from rome.driver.open import open_store
from rome.errors import (
    Conflict,
    DataError,
    InterfaceError,
    OperationalError,
    ReadOnlyStore,
    StoreFull,
    Unavailable,
)
from rome.testing.driver_life import counted, in_child, scanned, value_at


def open_at(path: Path, options: str = "") -> Driver:
    return open_store(parse(f"rome+lmdb:///{path}?{options}"))


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Driver]:
    driver = open_at(tmp_path / "store", "sync=none")
    yield driver
    driver.close()


def physical_keys(path: Path) -> list[bytes]:
    """Every key in the file of the store at `path`, which no one has open."""
    with lmdb.open(str(path), readonly=True, max_dbs=0) as env, env.begin() as txn:
        return [bytes(key) for key, _ in txn.cursor()]


# Errors


def test_every_exception_class_of_the_client_becomes_one_of_ours() -> None:
    classes = {
        name
        for name in dir(lmdb)
        if isinstance(getattr(lmdb, name), type) and issubclass(getattr(lmdb, name), lmdb.Error)
    }
    assert classes - {"Error"} <= set(FAILURES)
    for name in classes - {"Error"}:
        ours = failure(getattr(lmdb, name)("what"), "/store")
        assert type(ours) is FAILURES[name][0]
        assert "/store: " + FAILURES[name][1] in str(ours)


def test_the_errors_with_a_next_action_are_told_apart() -> None:
    assert FAILURES["MapFullError"][0] is FAILURES["DiskError"][0] is StoreFull
    assert FAILURES["ReadersFullError"][0] is Unavailable
    assert FAILURES["ReadonlyError"][0] is ReadOnlyStore
    assert all(kind.__name__ in vars(errors) for kind, _ in (*FAILURES.values(), *ERRNO_FAILURES.values()))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EACCES, ReadOnlyStore),
        (errno.EPERM, ReadOnlyStore),
        (errno.EROFS, ReadOnlyStore),
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EMFILE, Unavailable),
        (errno.EIO, OperationalError),
        (errno.EBADMSG, OperationalError),
    ],
)
def test_an_error_of_the_operating_system_becomes_ours_whoever_passes_it_on(code: int, kind: type) -> None:
    theirs = lmdb.Error(os.strerror(code))
    theirs.code = code
    for error in (OSError(code, os.strerror(code)), theirs):
        assert type(failure(error, "/")) is kind
        assert os.strerror(code) in str(failure(error, "/"))


def test_a_map_that_is_full_writes_nothing_and_says_what_to_raise(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store", "map_size_gib=0.001")
    driver.commit((), [(b"a", b"1")])
    with pytest.raises(StoreFull, match="map_size_gib"):
        for number in range(100):
            driver.commit((), [(b"%d" % number, b"v" * 50_000), (b"last", b"%d" % number)])
    written = int(value_at(driver, b"last") or b"-1")
    assert [cell.key for cell in scanned(driver, Scan(b"0", b":"))] == sorted(b"%d" % n for n in range(written + 1))
    assert value_at(driver, b"a") == b"1"
    driver.close()
    driver = open_at(tmp_path / "store", "map_size_gib=1")
    driver.commit((), [(b"more", b"v" * 5_000_000)])
    driver.close()


@pytest.fixture
def small_store(tmp_path: Path) -> Iterator[Driver]:
    """A store on a file system of 2 MiB, where the machine lets us mount one; elsewhere in a map of that size."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0
    driver = open_at(place / "store", "" if mounted else "map_size_gib=0.002")
    yield driver
    driver.close()
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_writes_nothing_and_says_so(small_store: Driver) -> None:
    small_store.commit((), [(b"a", b"1")])
    with pytest.raises(StoreFull):
        for number in range(100):
            small_store.commit((), [(b"%d" % number, b"v" * 50_000), (b"last", b"%d" % number)])
    written = int(value_at(small_store, b"last") or b"-1")
    assert len(scanned(small_store, Scan(b"0", b":"))) == written + 1
    assert value_at(small_store, b"a") == b"1"
    small_store.clear(b"0")
    small_store.commit((), [(b"a", b"2")])


# Places


def test_a_missing_parent_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InterfaceError, match=f"there is no directory {tmp_path}/no/such that this user may enter"):
        open_at(tmp_path / "no" / "such" / "store")


def test_a_store_is_made_in_a_directory_that_only_its_user_reads(tmp_path: Path) -> None:
    open_at(tmp_path / "store").close()
    assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "store" / "data.mdb").stat().st_mode & 0o777 == 0o600


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("something else")
    with pytest.raises(InterfaceError, match="is a file"):
        open_at(tmp_path / "store")
    assert (tmp_path / "store").read_text() == "something else"


def test_a_file_that_lmdb_did_not_write_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "data.mdb").write_bytes(b"something else" * 1000)
    with pytest.raises(InterfaceError, match="no store of ROME"):
        open_at(tmp_path / "store")
    assert (tmp_path / "store" / "data.mdb").read_bytes() == b"something else" * 1000


def test_an_lmdb_file_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "store")) as env, env.begin(write=True) as txn:
        txn.put(b"theirs", b"1")
    with pytest.raises(InterfaceError, match="no store of ROME"):
        open_at(tmp_path / "store")
    assert physical_keys(tmp_path / "store") == [b"theirs"]


def test_a_file_of_another_format_is_refused_with_both_formats(tmp_path: Path) -> None:
    open_at(tmp_path / "store").close()
    with lmdb.open(str(tmp_path / "store")) as env, env.begin(write=True) as txn:
        txn.put(b"\0format", b"rome lmdb 9")
    with pytest.raises(InterfaceError) as caught:
        open_at(tmp_path / "store")
    assert "'rome lmdb 9'" in str(caught.value)
    assert repr(FORMAT) in str(caught.value)


def test_a_store_of_before_tallies_is_taken_and_kept_from_those_that_do_not_know_them(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store")
    driver.commit((), [(b"a", b"1")])
    driver.close()
    with lmdb.open(str(tmp_path / "store")) as env, env.begin(write=True) as txn:
        txn.put(b"\0format", b"rome lmdb 1")
    for options in ("readonly=1", "", ""):
        driver = open_at(tmp_path / "store", options)
        assert value_at(driver, b"a") == b"1"
        driver.close()
        with lmdb.open(str(tmp_path / "store"), readonly=True) as env, env.begin() as txn:
            assert txn.get(b"\0format") == (b"rome lmdb 1" if options else FORMAT.encode())


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store")
    for number in range(4):
        driver.commit((), [(b"%d" % number, b"v" * 1_000_000)])
    driver.close()
    os.truncate(tmp_path / "store" / "data.mdb", 1 << 20)
    with pytest.raises(OperationalError, match="restore it from a backup"):
        open_at(tmp_path / "store")


def test_a_damaged_page_is_an_error_and_no_answer(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store")
    driver.commit((), [(b"%04d" % number, b"v" * 100) for number in range(1000)])
    driver.close()
    with open(tmp_path / "store" / "data.mdb", "r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xa5" * (os.path.getsize(file.name) - 2 * 4096))
    with pytest.raises(OperationalError):
        value_at(open_at(tmp_path / "store"), b"0500")


def test_a_network_file_system_is_refused() -> None:
    mounts = (
        "/dev/sda1 / ext4 rw,relatime 0 0\n"
        "server:/export /mnt/nfs nfs4 rw 0 0\n"
        "tmpfs /mnt/nfs/local tmpfs rw 0 0\n"
        "//server/share /mnt/with\\040space cifs rw 0 0\n"
        "garbage\n"
        "first /mnt/twice nfs rw 0 0\n"
        "second /mnt/twice xfs rw 0 0\n"
    )
    found = {
        path: file_system_of(path, mounts)
        for path in ("/", "/mnt", "/mnt/nfs", "/mnt/nfs/store", "/mnt/nfsx", "/mnt/nfs/local/x", "/mnt/with space/x",
                     "/mnt/twice/x")
    }
    assert found == {
        "/": "ext4",
        "/mnt": "ext4",
        "/mnt/nfs": "nfs4",
        "/mnt/nfs/store": "nfs4",
        "/mnt/nfsx": "ext4",
        "/mnt/nfs/local/x": "tmpfs",
        "/mnt/with space/x": "cifs",
        "/mnt/twice/x": "xfs",
    }
    assert {"nfs", "nfs4", "cifs"} <= NETWORK_FILE_SYSTEMS
    assert file_system_of("/anywhere", "") == ""


def test_a_store_on_a_network_file_system_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rome.driver.lmdb.place._mounts", lambda: f"server:/export {tmp_path} nfs4 rw 0 0\n")
    with pytest.raises(InterfaceError, match="lies on nfs4, but LMDB needs a local file system"):
        open_at(tmp_path / "store")
    assert not (tmp_path / "store").exists()


# Read-only


def test_a_read_only_driver_reads_and_refuses_every_write(tmp_path: Path) -> None:
    writable = open_at(tmp_path / "store")
    writable.commit((), [(b"a", b"1")])
    writable.close()
    driver = open_at(tmp_path / "store", "readonly=1")
    assert value_at(driver, b"a") == b"1"
    assert counted(driver, (b"", b"\xff")) == [1]
    driver.commit((), ())
    for write in (
        lambda: driver.commit((), [(b"a", b"2")]),
        lambda: driver.increment(b"c", 1),
        lambda: driver.clear(b""),
    ):
        with pytest.raises(ReadOnlyStore, match="readonly=1"):
            write()
    assert value_at(driver, b"a") == b"1"
    driver.close()


def test_a_read_only_driver_makes_no_store(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "store"):
        with pytest.raises(InterfaceError, match="there is no store"):
            open_at(path, "readonly=1")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory with a store, mounted read-only; skipping is no choice, so elsewhere its permissions are taken."""
    place = tmp_path / "mounted"
    place.mkdir()
    driver = open_at(place / "store")
    driver.commit((), [(b"a", b"1")])
    driver.close()
    bound = subprocess.run(["mount", "--bind", str(place), str(place)], capture_output=True).returncode == 0
    if bound:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
    else:
        (place / "store" / "data.mdb").chmod(0o400)
    yield place
    if bound:
        subprocess.run(["umount", "-l", str(place)], check=True)
    else:
        (place / "store" / "data.mdb").chmod(0o600)


def test_a_store_that_cannot_be_written_says_how_to_read_it(read_only_disk: Path) -> None:
    with pytest.raises(ReadOnlyStore, match="readonly=1"):
        open_at(read_only_disk / "store")
    driver = open_at(read_only_disk / "store", "readonly=1")
    assert value_at(driver, b"a") == b"1"
    driver.close()


# Long keys


def test_deleted_long_keys_leave_no_entries_behind(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store")
    long = [b"a" * size + tail for size in (501, 1000, 1001, 3072, 8000) for tail in (b"", b"x", b"y")]
    driver.commit((), [(key, b"") for key in long])
    driver.commit((), [(key, None) for key in long])
    driver.close()
    assert physical_keys(tmp_path / "store") == [b"\0children", b"\0commits", b"\0format"]
    driver = open_at(tmp_path / "store")
    driver.increment(b"c" * 3000, 1)
    driver.clear(b"c" * 2000)
    driver.commit((), [(key, b"") for key in long])
    driver.clear(b"a" * 900)
    driver.clear(b"a")
    driver.close()
    assert physical_keys(tmp_path / "store") == [b"\0children", b"\0commits", b"\0format"]


def test_no_physical_key_is_longer_than_lmdb_takes(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store")
    driver.commit((), [(b"k" * size, b"") for size in range(0, 8193, 97)])
    driver.increment(b"k" * 8192, 1)
    driver.close()
    assert max(map(len, physical_keys(tmp_path / "store"))) == 1 + 8 + 501


def test_counts_of_long_keys_beside_many_short_ones(driver: Driver) -> None:
    driver.commit((), [(b"k%05d" % number, b"") for number in range(2000)])
    driver.commit((), [(b"k" * 600 + b"%05d" % number, b"") for number in range(1500)])
    assert counted(driver, (b"k", b"l"), (b"k" * 600, b"k" * 599 + b"l"), (b"k0", b"k1")) == [3500, 1500, 2000]


# Views and readers


def test_the_pages_of_dropped_views_are_used_again(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store", "sync=none")
    for number in range(300):
        driver.read([b"a"])  # its view is dropped, never released
        driver.commit((), [(b"a", b"%d" % number + b"v" * 100_000)])
    assert (tmp_path / "store" / "data.mdb").stat().st_size < 3_000_000
    driver.close()


def test_a_view_in_a_cycle_of_garbage_is_given_back_when_collected(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store", "max_readers=4")
    for _ in range(20):
        holder: list[object] = [driver.read().view]
        holder.append(holder)
        del holder
        gc.collect()
    driver.close()


def test_too_many_open_views_say_what_to_do_and_do_no_harm(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store", "max_readers=4")
    views = []
    with pytest.raises(Unavailable, match="max_readers"):
        for _ in range(10):
            views.append(driver.read().view)
    assert len(views) >= 3
    driver.commit((), [(b"a", b"1")])
    driver.release(views.pop())
    assert value_at(driver, b"a") == b"1"
    driver.close()


def test_readers_of_a_killed_process_are_cleared_away(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store", "max_readers=4")

    def hold_and_die() -> bytes:
        views = []
        with pytest.raises(Unavailable):
            while True:
                views.append(driver.read().view)
        os.kill(os.getpid(), 9)
        return b""

    for _ in range(3):
        with pytest.raises(AssertionError, match="-9"):
            in_child(hold_and_die)
        assert value_at(driver, b"a") is None
    driver.close()


def test_conflicts_that_the_caller_keeps_hold_no_views(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store", "max_readers=4")
    kept = []
    for _ in range(10):
        with pytest.raises(Conflict) as caught:
            driver.read((), (), [ExpectCell(b"a", 7)])
        kept.append(caught.value)
    assert len(kept) == 10
    driver.close()


def test_a_call_that_was_under_way_when_the_store_was_closed_does_not_open_it_again(tmp_path: Path) -> None:
    driver = LmdbDriver(str(tmp_path / "store"), Settings())
    environment = driver._environment
    driver.close()
    assert environment is not None
    with pytest.raises(InterfaceError, match="was closed while it was used"):
        environment.opened()


def test_a_view_of_another_kind_of_store_is_refused(driver: Driver) -> None:
    with pytest.raises(InterfaceError, match="not of an LMDB store"):
        driver.read((), view=object())


def test_a_view_from_before_a_fork_is_refused_in_the_child(driver: Driver) -> None:
    driver.commit((), [(b"a", b"1")])
    view = driver.read().view

    def child() -> bytes:
        with pytest.raises(InterfaceError, match="the process forked"):
            driver.read([b"a"], view=view)
        driver.release(view)
        return value_at(driver, b"a") or b""

    assert in_child(child) == b"1"
    driver.release(view)


def test_a_fork_leaves_the_snapshots_of_the_parent_whole(tmp_path: Path) -> None:
    driver = open_at(tmp_path / "store", "sync=none")
    keys = [b"%03d" % number for number in range(100)]
    driver.commit((), [(key, b"old" * 300) for key in keys])
    view = driver.read().view

    def child() -> bytes:
        for number in range(30):
            driver.commit((), [(key, b"%d" % number * 300) for key in keys])
        driver.close()
        gc.collect()
        return b""

    in_child(child)
    for number in range(60):  # each would take the pages of the snapshot, were they not held
        driver.commit((), [(key, b"%d" % number * 300) for key in keys])
    cells = driver.read(keys, view=view).cells
    assert {cell.value for cell in cells if cell is not None} == {b"old" * 300}
    driver.release(view)
    driver.close()


def test_a_value_error_in_the_middle_of_a_commit_leaves_the_store_writable(driver: Driver) -> None:
    driver.increment(b"c", (1 << 63) - 1)
    for _ in range(3):
        with pytest.raises(DataError):
            driver.increment(b"c", 1)
    done = threading.Thread(target=lambda: driver.commit((), [(b"a", b"1")]))
    done.start()
    done.join(10)
    assert value_at(driver, b"a") == b"1"


@pytest.mark.parametrize("sync", ["full", "meta", "none"])
def test_every_sync_mode_keeps_what_was_committed_when_the_process_ends(tmp_path: Path, sync: str) -> None:
    driver = LmdbDriver(str(tmp_path / "store"), Settings(sync=sync))
    driver.commit((), [(b"a", b"1")])
    driver.close()
    assert value_at(open_at(tmp_path / "store", f"sync={sync}"), b"a") == b"1"
