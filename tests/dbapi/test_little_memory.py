"""A statement whose rows do not fit into the process's memory is one clear error, and the transaction goes on."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rome.dbapi import Connection
from rome.errors import OperationalError

ROOM_BYTES = 64 << 20


@contextmanager
def little_memory() -> Iterator[None]:
    """The process may take ROOM_BYTES more than it has."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    data_bytes = int(status["VmData"].split()[0]) << 10
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes + ROOM_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def test_rows_that_do_not_fit_are_a_clear_error_and_the_transaction_goes_on(items: Connection) -> None:
    cursor = items.cursor()
    cursor.executemany("INSERT INTO items (name, n) VALUES (?, ?)", [("a", n) for n in range(2000)])
    with little_memory():
        with pytest.raises(OperationalError, match=r"\[53200\] .*more memory than the process has"):
            cursor.execute("SELECT count(*) FROM items a CROSS JOIN items b CROSS JOIN items c")
        cursor.execute("SELECT count(*) FROM items a, items b WHERE a.n < 2 AND b.n < 2")
        assert cursor.fetchall() == [(4,)]
    items.commit()
    cursor.execute("SELECT count(*) FROM items")
    assert cursor.fetchall() == [(2000,)]
