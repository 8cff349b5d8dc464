"""Regular expressions, as Python's `re` has them: a pattern matches anywhere in a text unless it is anchored.

Flags are letters: i (case does not matter), m (^ and $ at each line), s (a dot is a line break too), x (spaces and
comments in the pattern are none of it), and for regexp_replace g (all matches, not the first alone). In a replacement
\\1, \\g<1> and \\g<name> are what a group has matched.

A pattern can be made to take time that grows exponentially with the text, as everywhere where groups can refer back:
patterns are for those who write queries, not for those who fill in forms.
"""

from __future__ import annotations

import functools
import re

from rome.errors import DataError
from rome.sql.text_functions import MAX_TEXT_LENGTH

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
MAX_PATTERN = 10_000  # characters


def matches(text: str, pattern: str, flags: str = "") -> bool:
    """Whether `pattern` matches somewhere in `text`."""
    return _compiled("regexp_like", pattern, flags).search(text) is not None


def replaced(text: str, pattern: str, replacement: str, flags: str = "") -> str:
    """`text` with its first match of `pattern` replaced, or with the flag g every match."""
    compiled = _compiled("regexp_replace", pattern, flags.replace("g", ""))
    try:
        made = compiled.sub(replacement, text, count=0 if "g" in flags else 1)
    except (re.error, IndexError) as error:
        raise _bad(f"{replacement!r} is not a replacement for {pattern!r}: {error}") from None
    if len(made) > MAX_TEXT_LENGTH:
        raise DataError(
            f"regexp_replace() would make a text of {len(made)} characters, {MAX_TEXT_LENGTH} are allowed",
            sqlstate="54000",
        )
    return made


@functools.lru_cache(maxsize=256)
def _compiled(function: str, pattern: str, flags: str) -> re.Pattern[str]:
    if len(pattern) > MAX_PATTERN:
        raise _bad(f"a regular expression has {MAX_PATTERN} characters at most, not {len(pattern)}")
    value = re.NOFLAG
    for letter in flags:
        if letter not in _FLAGS:
            known = "i, m, s and x" + ", and g in regexp_replace" * (function == "regexp_replace")
            raise _bad(f"{letter!r} is no flag of {function}(): there are {known}")
        value |= _FLAGS[letter]
    try:
        return re.compile(pattern, value)
    except (re.error, OverflowError) as error:
        raise _bad(f"{pattern!r} is not a regular expression: {error}") from None


def _bad(message: str) -> DataError:
    return DataError(message, sqlstate="2201B")
