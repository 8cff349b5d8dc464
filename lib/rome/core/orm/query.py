"""Query, by the first version's path."""

from __future__ import annotations

from sqlalchemy import and_, or_

from rome.orm.session import Query

__all__ = ["Query", "and_", "or_"]
