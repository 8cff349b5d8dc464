"""The exceptions of queries, by the first version's path: SQLAlchemy's own."""

from __future__ import annotations

from sqlalchemy.exc import InvalidRequestError, MultipleResultsFound, NoResultFound

__all__ = ["InvalidRequestError", "MultipleResultsFound", "NoResultFound"]
