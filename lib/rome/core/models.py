"""Entity, by the first version's path."""

from __future__ import annotations

from rome.orm.entity import Entity, global_scope

__all__ = ["Entity", "global_scope"]
