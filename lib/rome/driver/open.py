"""The registry of stores: from a URL's scheme to the module that drives it.

Modules are imported when first needed, so that ROME runs with only the client libraries that it uses. Packages bring
drivers of their own by entry points (`rome.config.foreign`; docs/own-driver.md builds one). Every call of
`open_store` gives a driver of its own, closed on its own; drivers on one store of one process share what must be
shared (an LMDB environment, the data of a memory store).
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

from rome.config import StoreURL, foreign
from rome.driver.api import Driver
from rome.errors import InterfaceError


class Registration(NamedTuple):
    """`module` offers `open_url(url) -> Driver`; ROME's `extra` installs the `clients`, the packages it imports."""

    module: str
    clients: tuple[str, ...] = ()
    extra: str = ""


REGISTRY: dict[str, Registration] = {
    "etcd": Registration("rome.driver.etcd", ("h2", "google"), "etcd"),
    "etcds": Registration("rome.driver.etcd", ("h2", "google"), "etcd"),
    "lmdb": Registration("rome.driver.lmdb", ("lmdb",), "lmdb"),
    "memory": Registration("rome.driver.memory"),
    "redis": Registration("rome.driver.redis", ("redis",), "redis"),
    "rediss": Registration("rome.driver.redis", ("redis",), "redis"),
}


def open_store(url: StoreURL) -> Driver:
    """Open the store at `url`.

    Raises InterfaceError when the URL leads to no usable store or a client library is missing, and the errors of
    `rome.driver.api` when the store is there but out of reach.
    """
    registration = REGISTRY.get(url.scheme) or Registration(foreign()[url.scheme])
    try:
        module = importlib.import_module(registration.module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.split(".")[0] not in registration.clients:
            raise
        raise InterfaceError(
            f"the Python package {missing!r} is not installed: pip install 'rome[{registration.extra}]'"
        ) from None
    driver: Driver = module.open_url(url)
    return driver
