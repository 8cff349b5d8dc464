"""Room for deep nesting: sqlglot's parser recurses, and Python allows 1,000 frames, which is some 30 levels.

Measured: one level of parentheses takes 22 frames, NOT (…) 31, and a text of 200 levels parses in 10 ms. Texts that
are nested more deeply than `SHALLOW` are parsed under a higher recursion limit, one at a time: the limit belongs to
the whole process and goes back as soon as the text is parsed. Ordinary statements never come here.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlglot import Token, TokenType

from rome.errors import ProgrammingError

SHALLOW = 10
MOST_LEVELS = 250
FRAMES_PER_LEVEL = 40
_SPARE_FRAMES = 500

_limit_lock = threading.Lock()


def too_deep() -> ProgrammingError:
    return ProgrammingError(
        f"statement nested too deeply: {MOST_LEVELS} levels of parentheses are the limit", sqlstate="54001"
    )


def levels(tokens: list[Token]) -> int:
    """How deeply parentheses and CASEs are nested in `tokens`."""
    deepest = depth = 0
    for token in tokens:
        kind = token.token_type
        if kind is TokenType.L_PAREN or kind is TokenType.CASE:
            depth += 1
            if depth > deepest:
                deepest = depth
        elif kind is TokenType.R_PAREN or kind is TokenType.END:
            depth -= 1
    return deepest


@contextmanager
def room_for(tokens: list[Token]) -> Iterator[None]:
    """Let what happens inside recurse as deeply as `tokens` are nested; raises `too_deep`."""
    deepest = levels(tokens)
    if deepest > MOST_LEVELS:
        raise too_deep()
    try:
        if deepest <= SHALLOW:
            yield
            return
        with _limit_lock:
            before = sys.getrecursionlimit()
            sys.setrecursionlimit(before + deepest * FRAMES_PER_LEVEL + _SPARE_FRAMES)
            try:
                yield
            finally:
                sys.setrecursionlimit(before)
    except RecursionError:  # thousands of NOTs or minus signs, or a caller that had used up the frames itself
        raise too_deep() from None
