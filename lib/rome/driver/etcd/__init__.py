"""The etcd driver: a store on an etcd server or cluster, shared by every process that reaches it.

    driver       what the interface asks for
    large        commits that are more than one transaction of etcd takes: the gate and the redo log
    layout       keys, operations and comparisons
    client       calls: which member, how often, what a lost answer means
    connections  connections of one process, members, TLS, passwords
    channel      gRPC calls over one connection
    messages     etcd's messages
    failures     what becomes of the client's exceptions

docs/keys.md has the layout, docs/drivers.md what it costs, docs/decisions/0008 and 0009 why it is so.
"""

from __future__ import annotations

from rome.config import StoreURL
from rome.driver.etcd.driver import EtcdDriver

__all__ = ["EtcdDriver", "open_url"]


def open_url(url: StoreURL) -> EtcdDriver:
    """A driver on the store that `url` names; the server is asked at once whether it can be used."""
    return EtcdDriver(url)
