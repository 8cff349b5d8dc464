"""The one exception that ends the command: its message is the line that the operator reads."""

from __future__ import annotations


class Failure(Exception):
    """Something the operator can mend; printed as one line, without a traceback, and the exit code is not zero."""
