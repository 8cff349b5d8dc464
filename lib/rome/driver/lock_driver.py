"""Named locks, by the first version's path. No driver: it stands above all floors, as `rome.core`."""

from __future__ import annotations

from rome.orm.locks import get_driver

__all__ = ["get_driver"]
