"""What many clients do to one row, or to one image of Glance, without running anything again themselves."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import oslo_db.exception
from glance.context import RequestContext
from glance.db.sqlalchemy import api

from glance_compat import db as glance_db
from rome import dbapi
from rome.errors import DatabaseError
from rome.testing.history import Append, Outcome, Read, Transaction
from tests.proof.clients import meet

ROW = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, items TEXT)",
    "INSERT INTO t VALUES (1, 0, ''), (2, 0, '')",
)
LOOKS_ONCE_IN = 8  # of a client's transactions


class Told(NamedTuple):
    """What one client did, and every error it was told of."""

    history: list[Transaction]
    errors: list[str]


Work = Callable[[int, str, int], Told]
"""What one client does: its number, the store's URL, how often."""


def increment_by_itself(number: int, url: str, times: int) -> Told:
    """UPDATE t SET n = n + 1, each statement a transaction."""
    return _increment(number, url, times, "AUTOCOMMIT")


def increment_in_transactions(number: int, url: str, times: int) -> Told:
    """The same between BEGIN and COMMIT."""
    return _increment(number, url, times, "SERIALIZABLE")


def _increment(number: int, url: str, times: int, level: str) -> Told:
    connection = dbapi.connect(url, isolation_level=level)
    cursor = connection.cursor()
    draw = random.Random(number)
    told = Told([], [])
    meet()
    for count in range(times):
        value = number * 1_000_000 + count
        began_ns = time.monotonic_ns()
        try:
            cursor.execute("UPDATE t SET n = n + 1, items = items || :item WHERE id = 1", {"item": f" {value}"})
            connection.commit()
            outcome = Outcome.OK
        except DatabaseError as error:
            told.errors.append(str(error))
            connection.rollback()
            outcome = Outcome.FAILED
        told.history.append(_done(number, outcome, began_ns, Append("t", value)))
        if not draw.randrange(LOOKS_ONCE_IN):
            began_ns = time.monotonic_ns()
            cursor.execute("SELECT items FROM t WHERE id = 1")
            ((items,),) = cursor.fetchall()
            connection.commit()
            told.history.append(_done(number, Outcome.OK, began_ns, Read("t", tuple(map(int, items.split())))))
    connection.close()
    return told


def _done(number: int, outcome: Outcome, began_ns: int, op: Append | Read) -> Transaction:
    return Transaction((op,), outcome, began_ns, time.monotonic_ns(), f"client {number}")


# ---- Glance's database API

IMAGE = "11111111-2222-3333-4444-555555555555"


def context() -> Any:
    return RequestContext(user_id="u", project_id="p", is_admin=True)


_bound: list[str] = []  # the URL that this process's Glance speaks to
_binding = threading.Lock()


def glance(url: str) -> Any:
    """Glance's database API on `url`; all threads of a process must mean the same one."""
    with _binding:
        if _bound != [url]:
            _bound[:] = [url]
            glance_db.connect(url)
    return api


def make_image(url: str) -> None:
    """Glance's schema and one image in it."""
    glance_db.create_schema(url)
    glance(url).image_create(context(), {"id": IMAGE, "status": "queued", "owner": "p"})


def tag_image(number: int, url: str, times: int) -> Told:
    """Tags of its own for the one image."""
    return _with_glance(url, times, lambda count: api.image_tag_create(context(), IMAGE, f"tag {number} {count}"))


def set_properties(number: int, url: str, times: int) -> Told:
    """Properties of its own for the one image."""
    return _with_glance(
        url, times, lambda count: api.image_set_property_atomic(IMAGE, f"p {number} {count}", str(count))
    )


def _with_glance(url: str, times: int, deed: Callable[[int], object]) -> Told:
    glance(url)
    told = Told([], [])
    meet()
    for count in range(times):
        try:
            deed(count)
        except oslo_db.exception.DBError as error:
            told.errors.append(repr(error))
    return told


def tags(url: str) -> list[str]:
    """The image's tags now."""
    return sorted(glance(url).image_tag_get_all(context(), IMAGE))


def properties(url: str) -> dict[str, str]:
    """The image's properties now."""
    image = glance(url).image_get(context(), IMAGE)
    return {each["name"]: each["value"] for each in image["properties"]}
