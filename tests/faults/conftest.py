"""SQLAlchemy's dialects, registered as the distribution does it: the tests also run from a checkout not installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

from sqlalchemy.dialects import registry

ROOT = Path(__file__).parents[2]

with (ROOT / "pyproject.toml").open("rb") as file:
    for name, place in tomllib.load(file)["project"]["entry-points"]["sqlalchemy.dialects"].items():
        registry.register(name, *place.split(":"))
