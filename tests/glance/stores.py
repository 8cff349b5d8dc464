"""The stores on which Glance's own tests run."""

from __future__ import annotations

import os
from pathlib import Path

URLS = {
    "memory": "rome+memory:///glance-suites",
    "lmdb": "rome+lmdb:///{directory}/store",
}
"""A URL for each store that `make test` runs the suites on; `{directory}` is a fresh one."""

if "ROME_GLANCE_URL" in os.environ:  # an operator's own store, instead of those above
    URLS = {"operator": os.environ["ROME_GLANCE_URL"]}


def store_url(name: str, directory: Path) -> str:
    """The URL of the store `name`, whose files, if it has any, lie below `directory`."""
    return URLS[name].replace("{directory}", str(directory))
