"""LIKE patterns: `%` is any run of characters, `_` any one character (a line break too), all else itself.

There is no escape character unless ESCAPE gives one (as in SQLite and standard SQL); an escaped character is itself.
Case matters; ILIKE compares both sides in lower case, as `lower()` makes it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from rome.errors import DataError

Matcher = Callable[[str], object]  # what it returns is truthy for a match

_ANY_RUN, _ANY_ONE = object(), object()


@functools.lru_cache(maxsize=1024)
def like_matcher(pattern: str, escape: str | None = None, ignore_case: bool = False) -> Matcher:
    """The function that tells whether a string matches the whole of `pattern`.

    Raises DataError 22019 for an ESCAPE that is not one character, 22025 for a pattern that ends in it.
    """
    if ignore_case:
        pattern = pattern.lower()
        matches = _matcher(_parts(pattern, escape and escape.lower()))
        return lambda text: matches(text.lower())
    return _matcher(_parts(pattern, escape))


def like_prefix(pattern: str, escape: str | None = None) -> str | None:
    """The constant text that every match of `pattern` begins with; None when there is none.

    For index ranges; not for ILIKE.
    """
    first = next(iter(_parts(pattern, escape)), None)
    return first if isinstance(first, str) else None


def is_exact(pattern: str, escape: str | None = None) -> bool:
    """Whether `pattern` has no wildcard, so that LIKE is equality with `like_prefix`."""
    return all(isinstance(part, str) for part in _parts(pattern, escape))


def _parts(pattern: str, escape: str | None) -> list[object]:
    """The pattern as runs of constant text and wildcards."""
    if escape is not None and len(escape) != 1:
        raise DataError(f"ESCAPE takes one character, not {escape!r}", sqlstate="22019")
    parts: list[object] = []
    characters = iter(pattern)
    for character in characters:
        part: object = character
        if character == escape:
            part = next(characters, None)
            if part is None:
                raise DataError(f"the LIKE pattern {pattern!r} ends in its ESCAPE character", sqlstate="22025")
        elif character == "%":
            part = _ANY_RUN
        elif character == "_":
            part = _ANY_ONE
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        elif not (part is _ANY_RUN and parts and parts[-1] is _ANY_RUN):
            parts.append(part)
    return parts


def _matcher(parts: list[object]) -> Matcher:
    match parts:
        case []:
            return "".__eq__
        case [str(text)]:
            return text.__eq__
        case [wild] if wild is _ANY_RUN:
            return lambda text: True
        case [str(prefix), wild] if wild is _ANY_RUN:
            return lambda text: text.startswith(prefix)
        case [wild, str(suffix)] if wild is _ANY_RUN:
            return lambda text: text.endswith(suffix)
        case [wild, str(middle), last] if wild is _ANY_RUN and last is _ANY_RUN:
            return lambda text: middle in text
    return re.compile(_regex(parts), re.DOTALL).fullmatch


def _regex(parts: list[object]) -> str:
    """A regular expression for fullmatch.

    Between two `%` the leftmost match of a piece is as good as any later one, so each is an atomic group, and matching
    never goes back over it: the time is not exponential in the number of `%`.
    """
    pieces = [""]
    for part in parts:
        if part is _ANY_RUN:
            pieces.append("")
        else:
            pieces[-1] += re.escape(part) if isinstance(part, str) else "."
    if len(pieces) == 1:
        return pieces[0]
    return pieces[0] + "".join(f"(?>.*?{piece})" for piece in pieces[1:-1]) + ".*" + pieces[-1]
