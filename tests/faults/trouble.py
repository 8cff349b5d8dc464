"""What a service is told when its store is in trouble: one table of situations, one test of what each must bring.

A module of tests lists its `Case`s and hands them to `check_opening` and `check_work`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from oslo_db import exception as oslo
from sqlalchemy import Engine, exc, text

from rome.errors import DatabaseError, Error
from tests.faults.bank import EngineTeller, Told, audit
from tests.faults.lines import an_engine

PASSWORD = "n0t-to-be-seen"


@dataclass(frozen=True)
class Trouble:
    """A bank at `url`; `begin` brings the trouble and `end`, if there is a way back, takes it away."""

    url: str
    begin: Callable[[], None] = lambda: None
    end: Callable[[], None] | None = None


Situation = Callable[[Path], AbstractContextManager[Trouble]]


@dataclass(frozen=True)
class Case:
    """In a `situation` a service gets `error` (oslo.db's or SQLAlchemy's class) with a message that holds `says`.

    `sqlstate` is "" for errors without one, which are all of InterfaceError. `when_opening` is False where an engine
    can still connect, `at_work` where the trouble is not one that begins while a service works.
    """

    situation: Situation
    error: type[Exception]
    sqlstate: str
    says: tuple[str, ...]
    when_opening: bool = True
    at_work: bool = True


CONNECTION, REFUSED, UNUSABLE = oslo.DBConnectionError, exc.OperationalError, oslo.DBError
"""Out of reach, try again; the operator must do something; not a store for this ROME."""


def name_of(case: Case) -> str:
    return case.situation.__name__


@contextmanager
def told(case: Case) -> Iterator[None]:
    """What stands in it must raise the error of `case`, in one line that holds what it says and no password."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the class is compared below, exactly
        yield
    error = caught.value
    cause = getattr(error, "inner_exception", error)
    original = getattr(cause, "orig", cause)
    message = str(original)
    assert type(error) is case.error, f"{type(error)}: {error}"
    assert isinstance(original, Error), repr(original)
    assert [words for words in case.says if words not in message] == [], message
    assert "\n" not in message and len(message) < 500, message
    assert PASSWORD not in f"{error} {cause} {message}"
    assert isinstance(original, DatabaseError) == bool(case.sqlstate), repr(original)
    if isinstance(original, DatabaseError):
        assert original.sqlstate == case.sqlstate, message
        assert message.startswith(f"[{case.sqlstate}] ")


def connect(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT id FROM accounts"))


def check_opening(case: Case, directory: Path) -> None:
    """The trouble is there when a service starts; when it is over, the same engine works."""
    with case.situation(directory) as trouble:
        trouble.begin()
        with an_engine(trouble.url) as engine:
            for _ in range(2):
                with told(case):
                    connect(engine)
            if trouble.end is not None:
                trouble.end()
                connect(engine)


def check_work(case: Case, directory: Path) -> None:
    """The trouble begins while a service works: nothing is half-written, and when it is over the engine works on."""
    with case.situation(directory) as trouble, an_engine(trouble.url, max_pool_size=2) as engine:
        teller = EngineTeller(engine, 0)
        for number in range(4):
            assert teller.do(number) is Told.DONE
        trouble.begin()
        for number in range(4, 7):
            with told(case):
                teller.perform(number)
        assert trouble.end is not None
        trouble.end()
        for number in range(8, 12):
            assert teller.do(number) is Told.DONE
        audit(trouble.url, {0: teller.tally})
