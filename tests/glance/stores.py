"""The stores on which Glance's own tests run: every kind there is, or one of an operator's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.stores import SHARED_STORES, STORES, a_store, marked

OPERATOR = os.environ.get("ROME_GLANCE_URL")
"""The URL of an operator's own store, instead of those."""

EVERY_STORE = ["operator"] if OPERATOR else marked(STORES)
EVERY_SHARED_STORE = ["operator"] if OPERATOR else marked(SHARED_STORES)
"""Parameters of a test; the shared ones are those that several processes can use at once."""


@contextmanager
def glance_store(name: str, directory: Path) -> Iterator[str]:
    """The URL of an empty store of the kind `name`, or the operator's; files, if it has any, lie below `directory`."""
    if OPERATOR:
        yield OPERATOR
        return
    with a_store(name, directory) as url:
        yield url
