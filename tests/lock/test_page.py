"""docs/locks.md says what the code does: its example runs, its figures are the code's."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import sqlalchemy
from sqlalchemy import text

from rome import orm
from rome.lock import LockManager
from rome.lock.keeper import RENEWED_AFTER
from rome.lock.manager import MAX_TTL_MS, MAX_WAIT_MS
from rome.lock.names import MAX_NAME_BYTES
from rome.lock.waiting import FAR_MS, LOCAL, REMOTE
from rome.testing.lease_suite import LATE_WRITES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "locks.md").read_text()


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    url = f"rome+lmdb:///{tmp_path}/rome?sync=none"
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    example = re.search(r"```python\n(.*?)```", PAGE, re.S)
    assert example
    written = example[1].replace("rome+lmdb:////var/lib/glance/rome", url)
    insert = written.replace("...", 'session.execute(text("INSERT INTO t VALUES (1)"))')
    assert url in insert and "INSERT" in insert
    with orm.Session(engine) as session:
        exec(compile(insert, "docs/locks.md", "exec"), {"session": session, "text": text})
    with engine.connect() as connection:
        assert connection.execute(text("SELECT n FROM t")).scalar() == 1
    engine.dispose()


def test_the_figures_in_the_page_are_those_of_the_code() -> None:
    hold = inspect.signature(LockManager.hold).parameters
    given = ", ".join(f"{name}={hold[name].default!r}" for name in ("ttl_ms", "wait_ms", "on_lost"))
    assert f"`locks.hold(name, {given.replace('30000', '30_000').replace('10000', '10_000')})`" in PAGE
    assert f"1 to {MAX_NAME_BYTES:,} bytes in UTF-8" in PAGE
    assert MAX_TTL_MS == MAX_WAIT_MS == 24 * 60 * 60 * 1000 and "milliseconds, at most a day" in PAGE
    assert RENEWED_AFTER == 1 / 3 and "each after a third of its time" in PAGE
    words = " ".join(PAGE.split())
    assert f"at least {LOCAL.first_ms:g} ms, at most {LOCAL.most_ms:g} ms for each that is ahead" in words
    assert f"({REMOTE.first_ms:g} and {REMOTE.most_ms:g} ms on a remote store) and at most about a second" in words
    assert FAR_MS == 1000
    assert f"of {LATE_WRITES:,} writes" in PAGE
