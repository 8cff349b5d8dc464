"""The opened LMDB environments of this process, one a path: shared by its drivers, opened again after a fork."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

import lmdb

from rome.driver.lmdb.failures import failure
from rome.driver.lmdb.layout import Txn
from rome.driver.lmdb.place import check_format, check_place, check_whole
from rome.errors import DatabaseError, InterfaceError

T = TypeVar("T")

_STALE_READERS_EVERY = 1024  # commits between two searches for readers that died; a dead one lets the file grow

Views: TypeAlias = "dict[int, weakref.ref[View]]"  # the live views of one driver, by id


class Settings(NamedTuple):
    """How an environment is opened; drivers that share one must agree on it."""

    sync: str = "full"
    map_size_bytes: int = 1 << 40
    max_readers: int = 1024
    readonly: bool = False


class View:
    """One state of the store: a read transaction, None once it is given back.

    LMDB lets one thread at a time use a transaction: hold `lock`, and keep no other reference to `txn` without it.
    """

    __slots__ = ("__weakref__", "_views", "lock", "txn", "version")

    def __init__(self, txn: Txn, version: int, views: Views) -> None:
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
        self.views: list[Views] = []
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
        check_place(path, settings.readonly)
        try:
            env = lmdb.open(
                path,
                map_size=settings.map_size_bytes,
                max_readers=settings.max_readers,
                readonly=settings.readonly,
                sync=settings.sync != "none",
                metasync=settings.sync == "full",
                mode=0o700,  # rows may hold secrets; LMDB takes the x bits off for its files
                readahead=False,  # keys lie far apart: what stands beside a page is hardly what is read next
                max_spare_txns=0,  # a spare one would be an inherited one after a fork
            )
        except (lmdb.InvalidError, lmdb.VersionMismatchError) as error:
            raise InterfaceError(f"{path} holds a file that is no store of ROME, or a damaged one ({error})") from None
        except (lmdb.Error, OSError) as error:
            raise failure(error, path) from error
        try:
            env.reader_check()
            check_whole(env, path)
            check_format(env, path, settings.readonly)
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

    def write(self, change: Callable[[Txn], T]) -> T:
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


_registry = threading.RLock()  # what the collector finalises meanwhile may close a driver
_environments: dict[str, Environment] = {}  # by real path
_every_environment: weakref.WeakSet[Environment] = weakref.WeakSet()


def join(path: str, settings: Settings) -> tuple[Environment, Views]:
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
        views: Views = {}
        environment.views.append(views)
        return environment, views


def leave(environment: Environment, views: Views) -> None:
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
