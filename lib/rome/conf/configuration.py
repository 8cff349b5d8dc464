"""What rome.conf says, by the first version's path."""

from __future__ import annotations

from rome.orm.configuration import Configuration, get_config

__all__ = ["Configuration", "get_config"]
