"""Where an LMDB store may lie, and what its file must be: a local directory, a whole file, our format."""

from __future__ import annotations

import os

import lmdb

from rome.driver.lmdb.layout import COMMITS_KEY, FORMAT, FORMAT_KEY, NUMBER, WITHOUT_TALLIES
from rome.errors import InterfaceError, OperationalError

NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)
_LOOSE_BYTES = 1 << 20


def check_place(path: str, readonly: bool) -> None:
    """InterfaceError if LMDB cannot keep a store in the directory `path`."""
    if os.path.lexists(path) and not os.path.isdir(path):  # asked in this order: another process may be making it
        raise InterfaceError(f"{path} is a file; an LMDB store is a directory: name another")
    place = path if os.path.isdir(path) else os.path.dirname(path)
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


def check_whole(env: lmdb.Environment, path: str) -> None:
    """Refuse a file that was cut off: reading behind its end would kill the process with SIGBUS."""
    expected = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    found = os.stat(os.path.join(path, "data.mdb")).st_size
    # LMDB does not write pages that a transaction took and gave back: a few may lack at the end of a sound file.
    if found < expected - _LOOSE_BYTES:
        raise OperationalError(f"{path}: the file has {found} bytes of {expected}: restore it from a backup")


def check_format(env: lmdb.Environment, path: str, readonly: bool) -> None:
    """Write the format of a new store, and of one without tallies; InterfaceError if it is another, or no store."""
    with env.begin() as txn:
        new = txn.stat()["entries"] == 0 and not readonly  # of the environment it would be that of a commit under way
        found = txn.get(FORMAT_KEY)
    before = WITHOUT_TALLIES.encode()
    if new or (found == before and not readonly):
        with env.begin(write=True) as txn:
            if txn.stat()["entries"] == 0:  # no other process was making the same store
                txn.put(FORMAT_KEY, FORMAT.encode())
                txn.put(COMMITS_KEY, NUMBER.pack(0))
            elif txn.get(FORMAT_KEY) == before:
                txn.put(FORMAT_KEY, FORMAT.encode())
            found = txn.get(FORMAT_KEY)
    if found is None:
        raise InterfaceError(f"{path} holds an LMDB file that is no store of ROME: name another directory")
    if found not in (FORMAT.encode(), before):
        raise InterfaceError(
            f"{path} has the format {found.decode('ascii', 'replace')!r}, this ROME reads {FORMAT!r}: "
            "use the ROME that wrote it to copy the data"
        )
