"""Glance on ROME: thin bindings around an unmodified Glance.

    from glance_compat import connect, create_schema

    create_schema("rome+lmdb:////var/lib/glance/rome")
    api = connect("rome+lmdb:////var/lib/glance/rome")

| module | gives |
|---|---|
| `models` | Glance's own model classes, for use with `rome.orm.Session` or any SQLAlchemy session |
| `db` | `connect(url)`: Glance's own DB API bound to a URL; `create_schema(url)` |
| `command` | the console command `glance-on-rome`, also `python -m glance_compat` |
| `state`, `stores`, `schema`, `server`, `proof`, `client` | what the command is made of |
| `tuning` | the indexes that Glance's schema lacks, and functions that add and remove them |
| `trusted` | a paste filter that lets a request name its own tenant, in place of Keystone |
| `in_turn` | a paste filter by which changes of one image take turns, on all servers of a store |

Nothing of Glance is copied: every class and function of Glance's that is used here is the one in its wheel. Importing
this package imports nothing; `connect` and `create_schema` load Glance when they are first asked for, so that the
command can say what is missing and a WSGI worker pays for Glance once.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_FROM_DB = ("connect", "create_schema")


def __getattr__(name: str) -> Any:
    """The two functions that people import from here (PEP 562)."""
    if name in _FROM_DB:
        return getattr(import_module("glance_compat.db"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
