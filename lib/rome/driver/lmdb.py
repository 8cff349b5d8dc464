"""The LMDB driver: one directory on a local disk, shared by every process of the machine.

A physical key is a byte that tells what it is and then its name:

    00 "format"            what wrote this file, as text: FORMAT
    00 "commits"           the commit counter, 8 bytes
    00 "children"          the last child number given out, 8 bytes
    01 counter's key       a counter, 8 bytes, signed
    02 cell's key          a cell: its version, 8 bytes, then its value
    03 child number  rest  the rest of a long key of a cell or counter, below the child's 8-byte number

Numbers are big-endian. LMDB takes keys of up to 511 bytes, so what comes after the first byte (03: after the child
number) has at most 500. Of a longer key the first 500 bytes and a zero byte are an entry whose value is a child number,
and the rest of the key goes on in that child's space, again by 500 bytes. A key of 501 bytes always is such an entry
and sorts after the key that is its first 500 bytes and before any that differs from them, so order is kept.

A view is a read transaction of LMDB. It costs next to nothing to open, but while it is open the pages that it sees
are not used again, so the file grows under writes: release views.

After a fork the child must neither use nor close what it inherited, and opens the environment anew. Views do not
survive a fork; reading one says so.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

import lmdb

from rome.config import StoreURL
from rome.driver import api
from rome.driver.api import Cell, Expectation, ExpectCell, Reading, Scan, Scope, Traits, Write
from rome.driver.sizes import check_counter, check_keys, check_writes
from rome.errors import (
    Conflict,
    DatabaseError,
    DataError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ReadOnlyStore,
    StoreFull,
    Unavailable,
)

TRAITS = Traits(
    scope=Scope.STORE,
    snapshots=True,
    durable=True,
    shared=True,
    remote=False,
    max_key_bytes=8192,
    max_value_bytes=16 << 20,
    max_commit_bytes=256 << 20,
)
FORMAT = "rome lmdb 1"
COUNTED_EXACTLY = 1000  # `count` walks that many cells, 0.1 ms, and estimates the rest

_META, _COUNTERS, _CELLS, _CHILD = b"\0", b"\1", b"\2", b"\3"
_FORMAT_KEY, _COMMITS_KEY, _CHILDREN_KEY = _META + b"format", _META + b"commits", _META + b"children"
_DIRECT = 500  # bytes of a key that one physical key holds
_MARK = b"\0"  # ends the physical key of 501 bytes that leads to a child
_LONGEST_CELL = len(_CELLS) + _DIRECT
_NUMBER = struct.Struct(">Q")
_SIGNED = struct.Struct(">q")
_STALE_READERS_EVERY = 1024  # commits between two searches for readers that died; a dead one lets the file grow
_LOOSE_BYTES = _NO_ROOM_BYTES = 1 << 20

NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)

Txn: TypeAlias = "lmdb.Transaction[bytes]"
Cursor: TypeAlias = "lmdb.Cursor[bytes]"
Failure = tuple[type[DatabaseError], str]
_DAMAGED = (OperationalError, "the file is damaged: restore it from a backup")
_DISTURBED = (OperationalError, "a failure left LMDB unusable: restart this process and look at the disk")
_ENCRYPTED = (OperationalError, "the file is encrypted, which no file of ROME is")
_DEFECT = (InternalError, "LMDB refused a call that ROME should not have made; please report it")
_DISK_FULL = (StoreFull, "the disk is full: make room")
_NO_MEMORY = (Unavailable, "no memory or address space: lower map_size_gib or open fewer stores")
_NOT_WRITABLE = (ReadOnlyStore, "this user cannot write the file: grant it, or open with readonly=1")

FAILURES: dict[str, Failure] = {
    "BadChecksumError": _DAMAGED,
    "BadDbiError": _DEFECT,
    "BadRslotError": _DEFECT,
    "BadTxnError": _DEFECT,
    "BadValsizeError": _DEFECT,
    "CorruptedError": _DAMAGED,
    "CryptoFailError": _ENCRYPTED,
    "CursorFullError": _DAMAGED,
    "DbsFullError": _DEFECT,
    "DiskError": _DISK_FULL,
    "EnvEncryptionError": _ENCRYPTED,
    "IncompatibleError": (OperationalError, "the file was not made by ROME: name another directory"),
    "InvalidError": (OperationalError, "the file is no LMDB file, or damaged: name another directory"),
    "InvalidParameterError": _DEFECT,
    "KeyExistsError": _DEFECT,
    "LockError": (Unavailable, "another process keeps the file locked"),
    "MapFullError": (StoreFull, "the store has grown to its map_size_gib: reopen it with a larger one"),
    "MapResizedError": (Unavailable, "another process gave the store a larger map_size_gib: reopen it with the same"),
    "MemoryError": _NO_MEMORY,
    "NotFoundError": _DEFECT,
    "PageFullError": _DAMAGED,
    "PageNotFoundError": _DAMAGED,
    "PanicError": _DISTURBED,
    "ProblemError": _DISTURBED,
    "ReadersFullError": (Unavailable, "max_readers snapshots are open: end transactions left open, or raise it"),
    "ReadonlyError": _NOT_WRITABLE,
    "TlsFullError": (Unavailable, "too many thread keys are in use in this process"),
    "TxnFullError": (DataError, "the commit changes too many pages at once: change fewer rows"),
    "VersionMismatchError": (OperationalError, "another version of LMDB made the file: update the lmdb package"),
}
"""What becomes of each exception class of the client, by name: newer versions of it have more."""

ERRNO_FAILURES: dict[int, Failure] = {
    errno.EACCES: _NOT_WRITABLE,
    errno.EPERM: _NOT_WRITABLE,
    errno.EROFS: (ReadOnlyStore, "the file system is mounted read-only: open with readonly=1"),
    errno.ENOSPC: _DISK_FULL,
    errno.EDQUOT: (StoreFull, "the disk quota is used up: make room"),
    errno.EFBIG: (StoreFull, "the file system or a limit of this process allows no larger file"),
    errno.ENOMEM: _NO_MEMORY,
    errno.EMFILE: (Unavailable, "this process has too many files open"),
    errno.ENFILE: (Unavailable, "the machine has too many files open"),
    errno.EIO: (OperationalError, "the disk reports an error, or a quota is used up: look at the system's log"),
}
"""What becomes of an operating system's error that LMDB or the opening of its files passes on."""


def failure(error: lmdb.Error | OSError, path: str) -> DatabaseError:
    """The error of ours that says what `error`, met at the store at `path`, means and what to do."""
    code = error.errno if isinstance(error, OSError) else getattr(error, "code", 0)
    if code == errno.EIO and (disk := os.statvfs(path)).f_bavail * disk.f_frsize < _NO_ROOM_BYTES:
        code = errno.ENOSPC  # LMDB calls a write that a full disk cut short an I/O error
    kind, advice = FAILURES.get(type(error).__name__) or ERRNO_FAILURES.get(
        code or 0, (OperationalError, "an unforeseen failure")
    )
    return kind(f"{path}: {advice} ({error})")


# Keys: cells, counters and the rest of long keys


Way = list[tuple[bytes, bytes]]  # from the outside in: an entry that leads to a child, and the child's space


def _descend(txn: Txn, space: bytes, key: bytes, make: bool = False) -> tuple[bytes, Way]:
    """The physical key of `key` and the way to it; b"" if the way ends before and `make` does not lengthen it."""
    way: Way = []
    while len(key) > _DIRECT:
        pointer = space + key[:_DIRECT] + _MARK
        child = txn.get(pointer)
        if child is None:
            if not make:
                return b"", way
            child = _NUMBER.pack(_NUMBER.unpack(txn.get(_CHILDREN_KEY, bytes(8)))[0] + 1)
            txn.put(_CHILDREN_KEY, child)
            txn.put(pointer, child)
        space = _CHILD + child
        way.append((pointer, space))
        key = key[_DIRECT:]
    return space + key, way


def _get(txn: Txn, space: bytes, key: bytes) -> bytes | None:
    physical, _ = _descend(txn, space, key)
    return txn.get(physical) if physical else None


def _put(txn: Txn, space: bytes, key: bytes, stored: bytes) -> None:
    physical, _ = _descend(txn, space, key, make=True)
    txn.put(physical, stored)


def _delete(txn: Txn, space: bytes, key: bytes) -> None:
    physical, way = _descend(txn, space, key)
    if physical and txn.delete(physical):
        _prune(txn, way)


def _prune(txn: Txn, way: Way) -> None:
    """Remove, from the end of `way`, the entries that lead to empty children."""
    for pointer, space in reversed(way):
        with txn.cursor() as cursor:
            if cursor.set_range(space) and cursor.key().startswith(space):
                return
        txn.delete(pointer)


def _delete_prefix(txn: Txn, space: bytes, prefix: bytes) -> None:
    """Remove every key of `space` that starts with `prefix`."""
    physical, way = _descend(txn, space, prefix)
    if physical:
        _delete_range(txn, len(way[-1][1]) if way else len(space), physical)
        _prune(txn, way)


def _delete_range(txn: Txn, space_bytes: int, prefix: bytes) -> None:
    children = []
    with txn.cursor() as cursor:
        cursor.set_range(prefix)
        while (physical := cursor.key()).startswith(prefix) and physical:
            if len(physical) - space_bytes > _DIRECT:
                children.append(_CHILD + cursor.value())
            cursor.delete()  # moves on to the next
    for child in children:
        _delete_range(txn, len(child), child)


def _entries(cursor: Cursor, low: bytes, high: bytes, reverse: bool) -> Iterable[tuple[bytes, bytes]]:
    """Physical entries from the first of low <= key < high on, in the direction asked: stop where one is outside."""
    if reverse:
        found = cursor.prev() if cursor.set_range(high) else cursor.last()
        return cursor.iterprev() if found else ()
    return cursor.iternext() if cursor.set_range(low) else ()


def _scan_long(
    txn: Txn, space: bytes, start: bytes, stop: bytes | None, reverse: bool, head: bytes = b""
) -> Iterator[tuple[bytes, bytes]]:
    """The (key, stored value) pairs of start <= key < stop in `space`, whose keys all begin with `head`.

    `stop` None is no bound. `head` is not part of `start` and `stop`.
    """
    low = space + start[:_DIRECT]
    low_pointer = None
    if len(start) > _DIRECT:
        low = low_pointer = low + _MARK
    high_pointer = None
    if stop is None:
        high = (int.from_bytes(space, "big") + 1).to_bytes(len(space), "big")
    else:
        high = space + stop[:_DIRECT]
        if len(stop) > _DIRECT:
            high_pointer = high + _MARK
            high = high_pointer + b"\0"  # the entry itself is walked: a part of its child is below `stop`
    for physical, stored in _entries(txn.cursor(), low, high, reverse):
        if not low <= physical < high:
            return
        part = physical[len(space) :]
        if len(part) <= _DIRECT:
            yield head + part, stored
        else:
            below = start[_DIRECT:] if physical == low_pointer else b""
            above = stop[_DIRECT:] if stop is not None and physical == high_pointer else None
            yield from _scan_long(txn, _CHILD + stored, below, above, reverse, head + part[:_DIRECT])


# Cells


def _cells(txn: Txn, keys: Sequence[bytes]) -> list[Cell | None]:
    """The cells at `keys`, in their order."""
    get, version_of, new = txn.get, _NUMBER.unpack_from, tuple.__new__
    cells: list[Cell | None] = []
    for key in keys:
        stored = get(_CELLS + key) if len(key) <= _DIRECT else _get(txn, _CELLS, key)
        cells.append(None if stored is None else new(Cell, (key, stored[8:], version_of(stored)[0])))
    return cells


def _scan(txn: Txn, scan: Scan) -> list[Cell]:
    """What `scan` asks for; the values not followed."""
    start, stop, limit = scan.start, scan.stop, scan.limit
    if start >= stop or limit == 0:
        return []
    cells: list[Cell] = []
    version_of, new, append = _NUMBER.unpack_from, tuple.__new__, cells.append
    if len(start) <= _DIRECT and len(stop) <= _DIRECT:
        low, high = _CELLS + start, _CELLS + stop
        entries = _entries(txn.cursor(), low, high, scan.reverse)
        for physical, stored in entries if limit is None else islice(entries, limit):
            if not low <= physical < high:
                return cells
            if len(physical) > _LONGEST_CELL:
                cells.clear()
                break  # a long key: once more, the long way
            append(new(Cell, (physical[1:], stored[8:], version_of(stored)[0])))
        else:
            return cells
    for key, stored in islice(_scan_long(txn, _CELLS, start, stop, scan.reverse), limit):
        append(new(Cell, (key, stored[8:], version_of(stored)[0])))
    return cells


def _version(txn: Txn) -> int:
    """The commit counter."""
    return int.from_bytes(txn.get(_COMMITS_KEY, b""), "big")


def _check(txn: Txn, version: int, expect: Sequence[Expectation]) -> None:
    """Raise Conflict unless every expectation holds in `txn`, whose commit counter is `version`."""
    for expectation in expect:
        if isinstance(expectation, ExpectCell):
            cell = _cells(txn, (expectation.key,))[0]
            if (0 if cell is None else cell.version) != expectation.version:
                raise Conflict("a row that this transaction read has changed: run it again")
        elif expectation.version != version:  # if it is, nothing was committed since the range was read
            cells = _scan(txn, Scan(expectation.start, expectation.stop, len(expectation.keys) + 1))
            if len(cells) != len(expectation.keys) or any(cell.version > expectation.version for cell in cells):
                raise Conflict("a range that this transaction read has changed: run it again")


def _count(txn: Txn, start: bytes, stop: bytes) -> int:
    """How many cells lie in start <= key < stop: exact to COUNTED_EXACTLY, beyond it by where that one lies.

    The estimate takes keys to be spread evenly between the first and the last of the range.
    """
    if start >= stop:
        return 0
    if len(start) > _DIRECT or len(stop) > _DIRECT:
        return _count_long(txn, start, stop)
    low, high = _CELLS + start, _CELLS + stop
    cursor = txn.cursor()
    if not cursor.set_range(low):
        return 0
    first = cursor.key()
    for counted, reached in enumerate(cursor.iternext(values=False)):
        if reached >= high:
            return counted
        if len(reached) > _LONGEST_CELL:
            return _count_long(txn, start, stop)
        if counted == COUNTED_EXACTLY:
            break
    else:
        return counted + 1
    last = next(iter(_entries(cursor, low, high, True)))[0]
    shared = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), 0)
    at_first, at_reached, at_last = (
        int.from_bytes(key[shared : shared + 8].ljust(8, b"\0"), "big") for key in (first, reached, last)
    )
    estimate = counted * (at_last - at_first) // max(1, at_reached - at_first) + 1
    return max(counted, min(estimate, txn.stat()["entries"]))


def _count_long(txn: Txn, start: bytes, stop: bytes) -> int:
    return sum(1 for _ in islice(_scan_long(txn, _CELLS, start, stop, False), COUNTED_EXACTLY))


# The environment: one per path and process


class Settings(NamedTuple):
    """How an environment is opened; drivers that share one must agree on it."""

    sync: str = "full"
    map_size_bytes: int = 1 << 40
    max_readers: int = 1024
    readonly: bool = False


class Environment:
    """The LMDB environment of one directory, shared by the drivers of this process, opened again after a fork.

    `opening` is held while the environment is opened or a view begun, `writing` by the one thread that writes; who
    takes both takes `writing` first. `views` holds, for each driver, its live views.
    """

    def __init__(self, path: str, settings: Settings) -> None:
        self.path = path
        self.settings = settings
        self.opening = threading.Lock()
        self.writing = threading.Lock()
        self.views: list[dict[int, weakref.ref[View]]] = []
        self._closed = False
        self._writes = 0
        self._env: lmdb.Environment | None = self._open()
        self._file = self._find_file()

    def opened(self) -> lmdb.Environment:
        """The environment of this process; call it with `opening` held."""
        env = self._env
        if env is None:
            if self._closed:
                raise InterfaceError("this store was closed while it was used: open it again")
            env = self._env = self._open()
        return env

    def _open(self) -> lmdb.Environment:
        path, settings = self.path, self.settings
        _check_place(path, settings.readonly)
        try:
            env = lmdb.open(
                path,
                map_size=settings.map_size_bytes,
                max_readers=settings.max_readers,
                readonly=settings.readonly,
                sync=settings.sync != "none",
                metasync=settings.sync == "full",
                mode=0o700,  # rows may hold secrets; LMDB takes the x bits off for its files
                max_spare_txns=0,  # a spare one would be an inherited one after a fork
            )
        except (lmdb.InvalidError, lmdb.VersionMismatchError) as error:
            raise InterfaceError(f"{path} holds a file that is no store of ROME, or a damaged one ({error})") from None
        except (lmdb.Error, OSError) as error:
            raise failure(error, path) from error
        try:
            env.reader_check()
            _check_whole(env, path)
            _check_format(env, path, settings.readonly)
        except lmdb.Error as error:
            env.close()
            raise failure(error, path) from error
        except (InterfaceError, DatabaseError):
            env.close()
            raise
        return env

    def _find_file(self) -> tuple[int, int] | None:
        """What tells the data file at the path from any other; None if there is none."""
        try:
            found = os.stat(os.path.join(self.path, "data.mdb"))
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def replaced(self) -> bool:
        """Whether the directory was removed, or made anew, since the environment was opened."""
        return self._find_file() != self._file

    def close(self) -> None:
        """Close it once no thread writes; reads under way end with InterfaceError."""
        with self.writing, self.opening:
            self._closed = True
            env, self._env = self._env, None
            if env is None:
                return
            try:
                if self.settings.sync != "full" and not self.settings.readonly:
                    env.sync(True)
            except lmdb.Error as error:
                raise failure(error, self.path) from error
            finally:
                env.close()

    def write(self, change: Callable[[Txn], int]) -> int:
        """What `change` returns, its writes committed; call it with `writing` held."""
        with self.opening:
            env = self.opened()
        self._writes += 1
        if self._writes % _STALE_READERS_EVERY == 0:
            env.reader_check()
        with env.begin(write=True) as txn:
            return change(txn)

    def live_views(self) -> list[View]:
        return [view for views in self.views for ref in list(views.values()) if (view := ref()) is not None]

    def forget(self) -> None:
        """In the child of a fork, drop what was inherited without a call to LMDB, which would harm the parent.

        The client library leaves inherited transactions alone when they are dropped, and so does it the environment's
        entries in the table of readers.
        """
        for view in self.live_views():
            view.txn = None
        self._env = None


def _check_place(path: str, readonly: bool) -> None:
    """InterfaceError if LMDB cannot keep a store in the directory `path`."""
    made = os.path.isdir(path)
    place = path if made else os.path.dirname(path)
    if not made and os.path.lexists(path):
        raise InterfaceError(f"{path} is a file; an LMDB store is a directory: name another")
    if not os.path.isdir(place):
        raise InterfaceError(f"there is no directory {place} that this user may enter: make it first")
    if readonly and not os.path.exists(os.path.join(path, "data.mdb")):
        raise InterfaceError(f"there is no store at {path} to open with readonly=1")
    kind = file_system_of(os.path.realpath(place), _mounts())
    if kind in NETWORK_FILE_SYSTEMS:
        raise InterfaceError(f"{path} lies on {kind}, but LMDB needs a local file system: its locks fail on others")


def _mounts() -> str:
    """The mounted file systems, as Linux lists them; elsewhere none are known."""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            return mounts.read()
    except FileNotFoundError:
        return ""


def file_system_of(path: str, mounts: str) -> str:
    """The type of the file system of the absolute `path`; `mounts` is the text of /proc/self/mounts."""
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1]
        for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(escape, character)
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later mount on the same point hides the earlier
            best, kind = point, fields[2]
    return kind


def _check_whole(env: lmdb.Environment, path: str) -> None:
    """Refuse a file that was cut off: reading behind its end would kill the process with SIGBUS."""
    expected = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    found = os.stat(os.path.join(path, "data.mdb")).st_size
    # LMDB does not write pages that a transaction took and gave back: a few may lack at the end of a sound file.
    if found < expected - _LOOSE_BYTES:
        raise OperationalError(f"{path}: the file has {found} bytes of {expected}: restore it from a backup")


def _check_format(env: lmdb.Environment, path: str, readonly: bool) -> None:
    """Write the format cell of a new store; InterfaceError if another format or another program wrote the file."""
    new = env.stat()["entries"] == 0 and not readonly
    with env.begin(write=new) as txn:
        if new and txn.stat()["entries"] == 0:  # no other process was making the same store
            txn.put(_FORMAT_KEY, FORMAT.encode())
            txn.put(_COMMITS_KEY, _NUMBER.pack(0))
        found = txn.get(_FORMAT_KEY)
    if found is None:
        raise InterfaceError(f"{path} holds an LMDB file that is no store of ROME: name another directory")
    if found != FORMAT.encode():
        raise InterfaceError(
            f"{path} has the format {found.decode('ascii', 'replace')!r}, this ROME reads {FORMAT!r}: "
            "use the ROME that wrote it to copy the data"
        )


_registry = threading.RLock()  # what the collector finalises meanwhile may close a driver
_environments: dict[str, Environment] = {}  # by real path
_every_environment: weakref.WeakSet[Environment] = weakref.WeakSet()


def _join(path: str, settings: Settings) -> tuple[Environment, dict[int, weakref.ref[View]]]:
    """The environment at `path`, opened if this process has none there, and a table for a new driver's views."""
    path = os.path.realpath(path)
    with _registry:
        environment = _environments.get(path)
        if environment is None or environment.replaced():
            environment = _environments[path] = Environment(path, settings)
            _every_environment.add(environment)
        elif environment.settings != settings:
            raise InterfaceError(
                f"{path} is open in this process with other options ({environment.settings}): use the same"
            )
        views: dict[int, weakref.ref[View]] = {}
        environment.views.append(views)
        return environment, views


def _leave(environment: Environment, views: dict[int, weakref.ref[View]]) -> None:
    """Take a driver's table away; the last one closes the environment."""
    with _registry:
        environment.views = [table for table in environment.views if table is not views]
        if environment.views:
            return
        if _environments.get(environment.path) is environment:
            del _environments[environment.path]
        environment.close()


# At a fork no thread may be inside LMDB: the child would inherit its transactions without a way to drop them.
_held: list[threading.Lock] = []


def _hold() -> None:
    _registry.acquire()
    for environment in list(_every_environment):
        for lock in (environment.writing, environment.opening):
            lock.acquire()
            _held.append(lock)
        for view in environment.live_views():
            view.lock.acquire()
            _held.append(view.lock)


def _let_go() -> None:
    while _held:
        _held.pop().release()
    _registry.release()


def _forget() -> None:
    for environment in list(_every_environment):
        environment.forget()
    _let_go()


os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_forget)


# The driver


class View:
    """One state of the store: a read transaction, None once it is given back.

    LMDB lets one thread at a time use a transaction: hold `lock`, and keep no other reference to `txn` without it.
    """

    __slots__ = ("__weakref__", "_views", "lock", "txn", "version")

    def __init__(self, txn: Txn, version: int, views: dict[int, weakref.ref[View]]) -> None:
        self.txn: Txn | None = txn
        self.version = version
        self.lock = threading.Lock()
        self._views = views
        views[id(self)] = weakref.ref(self)

    def live(self) -> Txn:
        """The transaction; call it with `lock` held."""
        if self.txn is None:
            raise InterfaceError("this view was released, its store closed, or the process forked: read without it")
        return self.txn

    def give_back(self) -> None:
        """End the transaction; call it with `lock` held."""
        txn, self.txn = self.txn, None
        if txn is not None:
            txn.abort()

    def __del__(self) -> None:
        self._views.pop(id(self), None)


def _answer(view: View, gets: Sequence[bytes], scans: Sequence[Scan], expect: Sequence[Expectation]) -> Reading:
    txn = view.live()
    if expect:
        _check(txn, view.version, expect)
    cells = _cells(txn, gets)
    scanned: list[list[Cell]] = []
    rows: list[list[Cell | None] | None] = []
    for scan in scans:
        found = _scan(txn, scan)
        scanned.append(found)
        rows.append(_cells(txn, [cell[1] for cell in found]) if scan.dereference else None)
    # Past the constructor, which takes longer than LMDB does to find a row.
    return tuple.__new__(Reading, (view.version, view, cells, scanned, rows))


def open_url(url: StoreURL) -> LmdbDriver:
    """A driver on the directory that `url` names."""
    return LmdbDriver(
        url.path,
        Settings(
            sync=str(url.option("sync")),
            map_size_bytes=int(float(url.option("map_size_gib")) * (1 << 30)) // 4096 * 4096,
            max_readers=int(url.option("max_readers")),
            readonly=bool(url.option("readonly")),
        ),
    )


class LmdbDriver:
    """One handle on an LMDB store; see `rome.driver.api.Driver` for what each method promises."""

    traits = TRAITS

    def __init__(self, path: str, settings: Settings = Settings()) -> None:  # noqa: B008 - it is immutable
        """Open the store in the directory `path`, made if only its parent exists."""
        self._path = path
        self._environment: Environment | None
        self._environment, self._views = _join(path, settings)

    def _opened(self) -> Environment:
        if self._environment is None:
            raise InterfaceError("this store is closed: open it again")
        return self._environment

    def _view(self) -> View:
        """A view of the newest state."""
        environment = self._opened()
        with environment.opening:
            return self._begin(environment)

    def _begin(self, environment: Environment) -> View:
        env = environment.opened()
        try:
            txn = env.begin()
        except lmdb.ReadersFullError:
            env.reader_check()
            txn = env.begin()
        return View(txn, _version(txn), self._views)

    def _failure(self, error: lmdb.Error) -> Exception:
        """What `error` becomes; InterfaceError if another thread closed the store meanwhile."""
        if self._environment is None:
            return InterfaceError("this store was closed while it was used: open it again")
        return failure(error, self._path)

    def read(
        self,
        gets: Sequence[bytes] = (),
        scans: Sequence[Scan] = (),
        expect: Sequence[Expectation] = (),
        view: api.View | None = None,
    ) -> Reading:
        for key in gets:
            if len(key) > _DIRECT:  # most calls have none, and this is the hottest path of all
                check_keys(TRAITS, gets)
                break
        fresh = None
        try:
            if view is None:
                view = fresh = self._view()
            else:
                self._opened()
                expect = ()
                if not isinstance(view, View):
                    raise InterfaceError("this view is not of an LMDB store")
            with view.lock:
                return _answer(view, gets, scans, expect)
        except lmdb.Error as error:
            self.release(fresh)
            raise self._failure(error) from error.with_traceback(None)
        except Conflict as error:
            self.release(fresh)
            # Its frames would keep the transaction, and a forked child from opening the environment, while it lives.
            raise error.with_traceback(None) from None

    def commit(self, expect: Sequence[Expectation], writes: Sequence[Write], mark: bytes = b"") -> int:
        if not writes:
            reading = self.read(expect=expect)
            self.release(reading.view)
            return reading.version
        check_writes(TRAITS, writes)

        def apply(txn: Txn) -> int:
            before = _version(txn)
            _check(txn, before, expect)
            version = before + 1
            stamp = _NUMBER.pack(version)
            for key, value in writes:
                if value is None:
                    _delete(txn, _CELLS, key)
                else:
                    _put(txn, _CELLS, key, stamp + value)
            txn.put(_COMMITS_KEY, stamp)
            return version

        return self._write(apply)

    def _write(self, change: Callable[[Txn], int]) -> int:
        environment = self._opened()
        if environment.settings.readonly:
            raise ReadOnlyStore(f"{self._path} is opened with readonly=1: open it without")
        with environment.writing:
            try:
                return environment.write(change)
            except lmdb.Error as error:
                raise self._failure(error) from error.with_traceback(None)
            except DatabaseError as error:
                raise error.with_traceback(None) from None  # as in `read`

    def outcome(self, mark: bytes) -> int | None:
        self._opened()
        raise NotSupportedError("an LMDB store loses no reply, so it keeps no marks")

    def count(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[int]:
        view = None
        try:
            view = self._view()
            with view.lock:
                return [_count(view.live(), start, stop) for start, stop in ranges]
        except lmdb.Error as error:
            raise self._failure(error) from error.with_traceback(None)
        finally:
            self.release(view)

    def increment(self, key: bytes, by: int, at_least: int = 0) -> int:
        check_keys(TRAITS, (key,))

        def add(txn: Txn) -> int:
            stored = _get(txn, _COUNTERS, key)
            number = check_counter(max(0 if stored is None else _SIGNED.unpack(stored)[0], at_least) + by)
            _put(txn, _COUNTERS, key, _SIGNED.pack(number))
            return number

        return self._write(add)

    def clear(self, prefix: bytes) -> None:
        def remove(txn: Txn) -> int:
            version = _version(txn) + 1
            for space in (_CELLS, _COUNTERS):
                _delete_prefix(txn, space, prefix)
            txn.put(_COMMITS_KEY, _NUMBER.pack(version))
            return version

        self._write(remove)

    def release(self, view: api.View | None) -> None:
        if isinstance(view, View):
            with view.lock:
                view.give_back()

    def close(self) -> None:
        environment, self._environment = self._environment, None
        if environment is not None:
            for ref in list(self._views.values()):
                self.release(ref())
            _leave(environment, self._views)
