"""What is inside JSON texts: `->`, `->>` and the JSON functions.

A JSON value is the text that was stored, byte for byte; so is every part of it, numbers too: no digit is lost, and
members stay in their order. Of members with the same name the last one counts. Two JSON values are equal when their
texts are. A step that finds nothing gives NULL, and so does `->>` of a JSON null.

A path is `$` and steps behind it: `.name`, `."any name"` (with the escapes of a JSON string), `[0]`, and `[#-1]`, which
counts from the end. Beside `->` and `->>` a string that does not begin with `$` is the name of a member, and an integer
the place of an item, from 0 or, when negative, from the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from rome.errors import DataError
from rome.sql import literals
from rome.values import Kind

INVALID_JSON = "22032"
INVALID_PATH = "22023"

Step = str | int  # the name of a member, or the place of an item: negative from the end

_Raw = msgspec.Raw
_any = msgspec.json.Decoder()
_whole = msgspec.json.Decoder(_Raw)
_members = msgspec.json.Decoder(dict[str, _Raw])
_items = msgspec.json.Decoder(list[_Raw])
_text = msgspec.json.Decoder(str)
_NOWHERE = -(1 << 62)  # a place where no array has an item: [#-0]
_step = re.compile(r'\.("(?:[^"\\]|\\.)*")|\.([^.\["]+)|\[([0-9]{1,18})\]|\[#-([0-9]{1,18})\]')


# ---- texts and paths -----------------------------------------------------------------------------------------------


def checked(text: str) -> str:
    """`text`, which must be JSON; DataError."""
    try:
        _any.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _malformed(text, error) from None
    return text


def _malformed(text: object, error: Exception) -> DataError:
    shown = repr(text)
    return DataError(f"{shown if len(shown) <= 80 else shown[:77] + '...'} is not JSON: {error}", sqlstate=INVALID_JSON)


@lru_cache(maxsize=4096)
def steps_of(path: str) -> tuple[Step, ...]:
    """The steps of a path; DataError when it is none."""
    steps: list[Step] = []
    at = 1
    while path[:1] == "$":
        if at == len(path):
            return tuple(steps)
        found = _step.match(path, at)
        if found is None:
            break
        quoted, name, place, from_end = found.groups()
        if quoted is not None:
            try:
                steps.append(_text.decode(quoted))
            except msgspec.DecodeError:
                break
        else:
            steps.append(name or (int(place) if place is not None else -int(from_end) or _NOWHERE))
        at = found.end()
    advice = 'write it as $.name, $."any name", $[0] or $[#-1]'
    raise DataError(f"{path!r} is no JSON path: {advice}", sqlstate=INVALID_PATH)


def path_of(steps: Sequence[Step]) -> str:
    """The path of `steps`: what `steps_of` reads."""
    parts = [
        f"[{step}]" if isinstance(step, int) and step >= 0 else f"[#{step}]" if isinstance(step, int)
        else f".{msgspec.json.encode(step).decode()}"
        for step in steps
    ]  # fmt: skip
    return "".join(("$", *parts))


def _found(text: str, steps: Sequence[Step]) -> bytes | None:
    """The part of a JSON text that `steps` lead to, as it is written there."""
    try:
        part = bytes(_whole.decode(text))
        for step in steps:
            first = part[:1]
            if isinstance(step, str):
                raw = _members.decode(part).get(step) if first == b"{" else None
            elif first == b"[":
                items = _items.decode(part)
                raw = items[step] if -len(items) <= step < len(items) else None
            else:
                raw = None
            if raw is None:
                return None
            part = bytes(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _malformed(text, error) from None
    return part


def _steps(where: object) -> tuple[Step, ...]:
    """What stands on the right of -> and ->>."""
    if isinstance(where, str):
        return steps_of(where) if where[:1] == "$" else (where,)
    if isinstance(where, int) and not isinstance(where, bool):
        return (where,)
    raise DataError(f"{where!r} leads nowhere in JSON: give a name, a path or a place", sqlstate=INVALID_PATH)


# ---- operators and functions ---------------------------------------------------------------------------------------


def part(text: str, where: object) -> str | None:
    """text -> where"""
    found = _found(text, _steps(where))
    return None if found is None else found.decode()


def scalar_text(text: str, where: object) -> str | None:
    """text ->> where"""
    return _unquoted(_found(text, _steps(where)))


def extracted(text: str, path: str) -> str | None:
    return _unquoted(_found(text, steps_of(path)))


def _unquoted(found: bytes | None) -> str | None:
    if found is None or found == b"null":
        return None
    return _text.decode(found) if found[:1] == b'"' else found.decode()


_TYPES = {b"{": "object", b"[": "array", b'"': "text", b"t": "true", b"f": "false", b"n": "null"}


def type_name(text: str, path: str = "$") -> str | None:
    found = _found(text, steps_of(path))
    if found is None:
        return None
    real = any(mark in found for mark in b".eE")
    return _TYPES.get(found[:1]) or ("real" if real else "integer")


def array_length(text: str, path: str = "$") -> int | None:
    found = _found(text, steps_of(path))
    if found is None:
        return None
    return len(_items.decode(found)) if found[:1] == b"[" else 0


def is_valid(text: str) -> bool:
    try:
        _any.decode(text)
    except (msgspec.DecodeError, RecursionError):  # what is nested too deeply could not be stored either
        return False
    return True


def compact(text: str) -> str:
    """`text` without the white space between its words."""
    return msgspec.json.format(checked(text), indent=-1)


# ---- SQL values as JSON --------------------------------------------------------------------------------------------


def _string(value: str) -> str:
    return msgspec.json.encode(value).decode()


def _written(value: object) -> str:
    return _string(literals.write(value))


_WRITERS: dict[Kind, Callable[[Any], str]] = {
    Kind.BOOLEAN: lambda value: "true" if value else "false",
    Kind.INTEGER: str,
    Kind.FLOAT: repr,
    Kind.DECIMAL: lambda value: format(value, "f"),
    Kind.STRING: _string,
    Kind.JSON: str,
}
_KINDS: dict[type, Kind] = {
    bool: Kind.BOOLEAN, int: Kind.INTEGER, float: Kind.FLOAT, Decimal: Kind.DECIMAL, str: Kind.STRING,
    datetime: Kind.DATETIME, date: Kind.DATE, time: Kind.TIME, timedelta: Kind.INTERVAL, UUID: Kind.UUID,
}  # fmt: skip


def _quote(value: object, kind: Kind) -> str:
    if value is None:
        return "null"
    if kind is Kind.NULL:
        found = _KINDS.get(type(value))
        if found is None:
            raise DataError(f"JSON holds no {type(value).__name__}", sqlstate=literals.INVALID_CHARACTER_VALUE)
        kind = found
    return _WRITERS.get(kind, _written)(value)


def quoting(kinds: Sequence[Kind]) -> Callable[[object], str]:
    (kind,) = kinds
    return lambda value: _quote(value, kind)


def array_of(kinds: Sequence[Kind]) -> Callable[..., str]:
    return lambda *items: f"[{','.join(map(_quote, items, kinds))}]"


def object_of(kinds: Sequence[Kind]) -> Callable[..., str]:
    def make(*items: object) -> str:
        if len(items) % 2:
            raise DataError("json_object() takes names and values in turn", sqlstate=INVALID_PATH)
        for name in items[::2]:
            if not isinstance(name, str):
                raise DataError(f"{name!r} is no name of a member of a JSON object", sqlstate=INVALID_PATH)
        names, values = map(_string, items[::2]), map(_quote, items[1::2], kinds[1::2])  # type: ignore[arg-type]
        return "{" + ",".join(f"{name}:{value}" for name, value in zip(names, values, strict=True)) + "}"

    return make
