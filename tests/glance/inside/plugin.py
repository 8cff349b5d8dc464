"""The pytest plugin of the processes that run Glance's own tests.

It makes four allowances, none of which touches a test:

* Each process gets a database of its own on the store at ROME_GLANCE_BASE_URL, through oslo.config's environment
  source, which Glance reads as it reads its configuration file. The REST suite, whose tests write their own
  configuration and start commands that read it, is redirected instead (`sitecustomize`): the environment would win.
* Classes without tests are not collected. Glance's test runner passes them over; pytest would instantiate them.
* A host name that this machine cannot resolve gets the unspecified address, where a connection is refused at once.
  Glance looks a host up before it fetches from it, and most of the tests only need that look-up to succeed.
  `localhost.`, which some name servers do not know, is this machine.
* The integration tests migrate the first one's SQLite file and copy it for the others, finding it by its name in the
  environment. The name is forgotten between tests, so that each migrates a database of its own; and the engine that
  alembic asks oslo.db for is always the one that Glance uses, as the other REST tests see to themselves.
"""

from __future__ import annotations

import os
import socket
import unittest
from typing import Any

import pytest
from glance.db.sqlalchemy import api
from oslo_config import cfg
from oslo_db import options
from oslo_db.sqlalchemy import enginefacade

from tests.glance.inside.databases import database_url

LOCAL_NAMES = ("localhost", "localhost.")
LOCAL_ADDRESS = "127.0.0.1"
UNREACHABLE_ADDRESS = "0.0.0.0"
TEMPLATE = "GLANCE_DB_TEST_SQLITE_FILE"

_resolve = socket.getaddrinfo
_templates: list[str] = []


def _resolve_or_invent(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return _resolve(host, port, *args, **kwargs)
    except socket.gaierror:
        address = LOCAL_ADDRESS if host in LOCAL_NAMES else UNREACHABLE_ADDRESS
        return _resolve(address, port, *args, **kwargs)


def pytest_configure(config: pytest.Config) -> None:
    if "ROME_GLANCE_REST_URL" not in os.environ:
        process = os.environ.get("PYTEST_XDIST_WORKER", "main")
        url = database_url(os.environ["ROME_GLANCE_BASE_URL"], process)
        os.environ["OS_DATABASE__CONNECTION"] = url.render_as_string(hide_password=False)
    else:
        # on the object itself, as the REST tests patch it
        enginefacade.writer.get_engine = api.get_engine
    options.set_defaults(cfg.CONF)  # some modules of Glance's tests rely on another one having done it
    socket.getaddrinfo = _resolve_or_invent


def pytest_pycollect_makeitem(collector: object, name: str, obj: object) -> list[pytest.Item] | None:
    if isinstance(obj, type) and issubclass(obj, unittest.TestCase):
        return None if unittest.TestLoader().getTestCaseNames(obj) else []
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    template = os.environ.pop(TEMPLATE, None)
    if template is not None:
        _templates.append(template)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _templates:  # Glance's tests delete the template at exit, by this name
        os.environ.setdefault(TEMPLATE, _templates[-1])
