"""The pytest plugin of the processes that run Glance's own tests.

It makes three allowances, none of which touches a test:

* Each process gets a database of its own on the store at ROME_GLANCE_BASE_URL, through oslo.config's environment
  source, which Glance reads as it reads its configuration file.
* Classes without tests are not collected. Glance's test runner passes them over; pytest would instantiate them.
* A host name that this machine cannot resolve gets an address of the documentation network (RFC 5737). Glance checks
  the host of an import URL before it is fetched, and some tests only need that check to hold.
"""

from __future__ import annotations

import os
import socket
import unittest
from typing import Any

import pytest
from oslo_config import cfg
from oslo_db import options

from tests.glance.inside.databases import database_url

UNREACHABLE_ADDRESS = "198.51.100.1"

_resolve = socket.getaddrinfo


def _resolve_or_invent(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return _resolve(host, port, *args, **kwargs)
    except socket.gaierror:
        return _resolve(UNREACHABLE_ADDRESS, port, *args, **kwargs)


def pytest_configure(config: pytest.Config) -> None:
    process = os.environ.get("PYTEST_XDIST_WORKER", "main")
    url = database_url(os.environ["ROME_GLANCE_BASE_URL"], process)
    os.environ["OS_DATABASE__CONNECTION"] = url.render_as_string(hide_password=False)
    options.set_defaults(cfg.CONF)  # some modules of Glance's tests rely on another one having done it
    socket.getaddrinfo = _resolve_or_invent


def pytest_pycollect_makeitem(collector: object, name: str, obj: object) -> list[pytest.Item] | None:
    if isinstance(obj, type) and issubclass(obj, unittest.TestCase):
        return None if unittest.TestLoader().getTestCaseNames(obj) else []
    return None
