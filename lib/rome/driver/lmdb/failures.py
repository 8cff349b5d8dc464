"""What becomes of the exceptions of the LMDB client, and of the operating system's errors it passes on."""

from __future__ import annotations

import errno
import os

import lmdb

from rome.errors import (
    DatabaseError,
    DataError,
    InternalError,
    OperationalError,
    ReadOnlyStore,
    StoreFull,
    Unavailable,
)

Failure = tuple[type[DatabaseError], str]

_NO_ROOM_BYTES = 1 << 20
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
