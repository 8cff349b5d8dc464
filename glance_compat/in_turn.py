"""A paste filter by which requests that change one image take turns, whichever server and process they came to.

Glance reads an image in one transaction, changes it in memory, and saves all of it in another. Two requests that do so
at the same moment lose one another's properties and tags on every database, and some end in a 500. With this filter the
second one waits until the first is answered, by a lock of the image's name in the store where Glance's data is
(`rome.lock`): one round trip to take it and one to give it back.

    [filter:in_turn]
    paste.filter_factory = glance_compat.in_turn:filter_factory

It belongs behind whatever authenticates the request, and before `rootapp`. An upload does not wait and is not waited
for: it may take hours, and Glance guards it by the image's status. On a store that is not ROME's nothing is locked.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from oslo_config import cfg
from oslo_db import options
from oslo_log import log

from rome.errors import OperationalError
from rome.lock import LockManager

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

LOG = log.getLogger(__name__)
CHANGES = frozenset(("PATCH", "POST", "PUT", "DELETE"))
IMAGE = re.compile(r"/v2(?:\.\d+)?/images/(?P<id>[0-9a-fA-F-]{32,36})(?:/(?P<part>[^/]*))?")
UPLOADS = frozenset(("file", "stage"))
TTL_MS = 10_000  # renewed while the request runs; how long an image is locked whose process was killed
WAIT_MS = 60_000


class InTurn:
    """The application `app`, with one change of an image at a time."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app
        self._opening = threading.Lock()
        self._locks: LockManager | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        image_id = changed_image(environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", ""))
        if image_id is None:
            return self._app(environ, start_response)
        try:
            turn = self._turn(image_id)
        except OperationalError as error:
            LOG.warning("Image %s was not changed, its lock could not be taken: %s", image_id, error)
            start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "1")])
            return [b"Others are changing this image, or its store is out of reach: try again."]
        with turn:
            return self._app(environ, start_response)

    def _turn(self, image_id: str) -> AbstractContextManager[object]:
        locks = self._manager()
        if locks is None:
            return nullcontext()
        return locks.hold(f"glance-image:{image_id}", ttl_ms=TTL_MS, wait_ms=WAIT_MS)

    def _manager(self) -> LockManager | None:
        """The locks of the store that Glance's configuration names, opened at the first change in this process."""
        with self._opening:
            if self._locks is None:
                cfg.CONF.register_opts(options.database_opts, "database")
                url = cfg.CONF.database.connection or ""
                if url.startswith("rome+"):
                    self._locks = LockManager(url)
            return self._locks

    def close(self) -> None:
        """Give up what it holds of the store; a server that ends need not call it."""
        with self._opening:
            locks, self._locks = self._locks, None
        if locks is not None:
            locks.close()


def changed_image(method: str, path: str) -> str | None:
    """The image that a request changes, None for one that changes none or that does not take turns."""
    found = IMAGE.match(path) if method in CHANGES else None
    return None if found is None or found["part"] in UPLOADS else found["id"].lower()


def filter_factory(global_conf: dict[str, str]) -> Callable[[WsgiApp], InTurn]:
    """What paste calls."""
    return InTurn
