"""Partitions between a service and its store: errors that oslo.db knows, and recovery without a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from oslo_db import exception
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from rome.errors import Unavailable
from tests.faults.bank import EngineTeller, Told, audit
from tests.faults.lines import REMOTE_STORES, SOON_MS, Line, a_line, an_engine
from tests.faults.load import Record, alone, under_load, wait_until_done

pytestmark = pytest.mark.servers

RECOVERY_S = 10.0


@pytest.fixture(params=REMOTE_STORES)
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    """A line to a bank in a store of each kind that lies beyond a network."""
    with a_line(request.param, tmp_path) as line:
        yield line


def part_late(line: Line, seconds: float) -> None:
    line.partition()
    time.sleep(seconds)
    line.heal()


def part_for_good(line: Line, seconds: float) -> None:
    line.partition()
    time.sleep(seconds)
    line.heal(lost=True)


def lose_requests(line: Line, seconds: float) -> None:
    line.set(drop_requests=True)
    time.sleep(seconds)
    line.set(drop_requests=False)


def lose_replies(line: Line, seconds: float) -> None:
    line.set(drop_replies=True)
    time.sleep(seconds)
    line.set(drop_replies=False)


def break_connections(line: Line, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for proxy in line.proxies:
            proxy.cut()
        time.sleep(0.02)


FAULTS = (part_late, part_for_good, lose_requests, lose_replies, break_connections)


def suffer(line: Line, fault: Callable[[Line, float], None], *seconds: float) -> None:
    """Let `fault` befall a service at work for each of so many seconds, then look at the books."""

    def disturb(record: Record) -> None:
        for length_s in seconds:
            wait_until_done(record, 20)
            fault(line, length_s)
            wait_until_done(record, 20, within_s=RECOVERY_S)

    with an_engine(line.url, max_pool_size=3, max_overflow=1) as engine:
        record = under_load(lambda writer: EngineTeller(engine, writer), disturb)
        assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    audit(line.direct_url, record.tallies)
    if fault is not break_connections:  # there, connections are renewed and commits settled, at best all of them
        all_done = record.count(Told.DONE) == sum(map(len, record.tallies.values()))
        assert not all_done or record.longest_gap_s > max(seconds) / 2, "no one noticed"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_service_gets_errors_of_connection_and_goes_on_by_itself(
    line: Line, fault: Callable[[Line, float], None]
) -> None:
    suffer(line, fault, 1.6 * SOON_MS / 1000)


@pytest.mark.nightly
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_service_survives_one_partition_after_the_other(line: Line, fault: Callable[[Line, float], None]) -> None:
    suffer(line, fault, *(0.05, 0.3, 0.8, 2.0) * 3)


@pytest.mark.parametrize(
    ("way", "lost"), [("drop_requests", True), ("drop_replies", True), ("partition", True), ("partition", False)]
)
def test_a_commit_into_a_short_partition_is_settled_by_its_mark(line: Line, way: str, lost: bool) -> None:
    """The application hears of nothing: the store is asked what became of the commit until it answers.

    What was sent is `lost`, or arrives when the partition heals: then it comes late, after a commit was given up.
    """
    teller = alone(line.url)(0)
    assert teller.do(0) is Told.DONE
    commit = teller.conversation.commit

    def commit_into_the_partition() -> None:
        if way == "partition":
            line.partition()
        else:
            line.set(**{way: True})
        timer = threading.Timer(1.3 * SOON_MS / 1000, heal)
        timer.start()
        try:
            commit()
        finally:
            timer.join()

    def heal() -> None:
        line.set(drop_requests=False, drop_replies=False)
        line.heal(lost=lost)

    teller.conversation.commit = commit_into_the_partition  # type: ignore[method-assign]
    assert [teller.do(number) for number in (1, 4)] == [Told.DONE] * 2
    teller.close()
    assert sum(audit(line.direct_url, {0: teller.tally}).values()) == 3


def test_the_errors_of_a_partition_are_those_of_a_lost_connection(line: Line) -> None:
    """Also without oslo.db: SQLAlchemy takes the connection for lost and gets another one when it is asked again."""
    engine = create_engine(line.url, pool_size=1, max_overflow=0, pool_timeout=5)
    look = text("SELECT sum(balance) FROM accounts")
    with engine.connect() as connection:
        assert connection.scalar(look) == 600
        connection.rollback()
        line.partition()
        with pytest.raises(OperationalError, match=r"^\(rome.errors.Unavailable\) \[08006\] ") as caught:
            connection.scalar(look)
        assert isinstance(caught.value.orig, Unavailable)
        assert caught.value.connection_invalidated and connection.invalidated
        line.heal()
        connection.rollback()
        assert connection.scalar(look) == 600
    with engine.connect() as connection:
        assert connection.scalar(look) == 600
    engine.dispose()


def test_a_session_that_a_partition_interrupts_can_be_rolled_back_and_used_again(line: Line) -> None:
    with an_engine(line.url, max_pool_size=1, max_overflow=0) as engine, engine.connect() as connection:
        take = text("INSERT INTO tickets (writer, number) VALUES (0, :number)")
        connection.execute(take, {"number": 2})
        line.partition()
        with pytest.raises(exception.DBConnectionError):
            connection.execute(take, {"number": 6})
        connection.rollback()
        with pytest.raises(exception.DBConnectionError):
            connection.execute(take, {"number": 10})
        connection.rollback()
        line.heal()
        connection.execute(take, {"number": 14})
        connection.commit()
    standing = {2: Told.NOT_DONE, 6: Told.NOT_DONE, 10: Told.NOT_DONE, 14: Told.DONE}
    audit(line.direct_url, {0: standing})


@pytest.mark.parametrize("opened", [True, False], ids=["with connections", "with none"])
def test_many_threads_hear_of_a_partition_at_the_same_time_and_not_one_after_the_other(
    line: Line, opened: bool
) -> None:
    look = text("SELECT sum(balance) FROM accounts")
    waited_s: list[float] = []
    with an_engine(line.url, max_pool_size=8, max_overflow=0) as engine:

        def ask() -> None:
            started = time.monotonic()
            with pytest.raises(exception.DBConnectionError), engine.connect() as connection:
                connection.scalar(look)
            waited_s.append(time.monotonic() - started)

        with engine.connect() as connection:
            assert connection.scalar(look) == 600
        if not opened:
            engine.dispose()
        line.partition()
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        line.heal(lost=True)
        with engine.connect() as connection:
            assert connection.scalar(look) == 600
    assert len(waited_s) == 8
    assert max(waited_s) < 6 * SOON_MS / 1000, waited_s  # twice that for a reply or a connection, and a slow machine
