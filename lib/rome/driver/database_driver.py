"""Tables as dictionaries by key, by the first version's path. No driver: it stands above all floors, as `rome.core`."""

from __future__ import annotations

from rome.orm.objects import get_driver

__all__ = ["get_driver"]
