"""The LMDB driver: one directory on a local disk, shared by every process of the machine.

    driver       what the interface asks for
    environment  the opened environments of this process, views, forks
    locks        locks in a transaction, and what time they are measured by
    cells        cells in a transaction: by key, by range, written, expected
    tallies      counts of cells, kept for long ranges
    layout       physical keys, and keys longer than LMDB takes
    place        which directories and files are a store
    failures     what becomes of the client's exceptions

Each imports only those below it. A view is a read transaction of LMDB. It costs next to nothing to open, but while it
is open the pages that it sees are not used again, so the file grows under writes: release views.

After a fork the child must neither use nor close what it inherited, and opens the environment anew. Views do not
survive a fork; reading one says so.
"""

from __future__ import annotations

from rome.config import StoreURL
from rome.driver.lmdb.driver import TRAITS, LmdbDriver
from rome.driver.lmdb.environment import Settings
from rome.driver.lmdb.failures import ERRNO_FAILURES, FAILURES, failure
from rome.driver.lmdb.layout import FORMAT
from rome.driver.lmdb.place import NETWORK_FILE_SYSTEMS, file_system_of

__all__ = [
    "ERRNO_FAILURES",
    "FAILURES",
    "FORMAT",
    "NETWORK_FILE_SYSTEMS",
    "TRAITS",
    "LmdbDriver",
    "Settings",
    "failure",
    "file_system_of",
    "open_url",
]


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
