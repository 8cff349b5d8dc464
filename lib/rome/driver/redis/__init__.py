"""The Redis driver: a store on a Redis or Valkey server, shared by every process that reaches it.

    driver       what the interface asks for, each a script of `rome/driver/lua/` run by the server
    connections  connections of one process, Sentinel, TLS, passwords
    server       what a server must be before it is used, and what is said about it once
    failures     what becomes of the client's exceptions

docs/keys.md has the layout, docs/drivers.md what it costs and what the server must be told.
"""

from __future__ import annotations

from rome.config import StoreURL
from rome.driver.redis.driver import RedisDriver

__all__ = ["RedisDriver", "open_url"]


def open_url(url: StoreURL) -> RedisDriver:
    """A driver on the store that `url` names; the server is asked at once whether it can be used."""
    return RedisDriver(url)
