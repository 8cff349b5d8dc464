"""Functions on strings, as Python functions of non-NULL values (of any values where the name says so)."""

from __future__ import annotations

from typing import TypeVar

from rome.errors import DataError
from rome.sql import literals

MAX_TEXT_LENGTH = 1 << 24  # of a text that a function makes longer than its arguments

_Text = TypeVar("_Text", str, bytes)


def octet_length(value: str | bytes) -> int:
    return len(value.encode()) if isinstance(value, str) else len(value)


def substring(value: _Text, start: int, length: int | None = None) -> _Text:
    """`length` characters from place `start`, counted from 1, or from the end when negative.

    Places before the first count, as in SQLite: substr('abc', 0, 2) is 'a'.
    """
    if length is None:
        length = len(value) + abs(start) + 1
    if length < 0:
        raise DataError(f"substr(): {length} is a negative length", sqlstate="22011")
    first = start - 1 if start > 0 else start + len(value) if start < 0 else -1
    return value[max(first, 0) : max(first + length, 0)]


def left(value: str, count: int) -> str:
    return value[: _count("left", count)]


def right(value: str, count: int) -> str:
    return value[max(len(value) - _count("right", count), 0) :]


def trim(value: str, characters: str = " ") -> str:
    return value.strip(characters) if characters else value


def trim_left(value: str, characters: str = " ") -> str:
    return value.lstrip(characters) if characters else value


def trim_right(value: str, characters: str = " ") -> str:
    return value.rstrip(characters) if characters else value


def replaced(value: str, old: str, new: str) -> str:
    if not old or old not in value:
        return value
    _bounded("replace", len(value) + value.count(old) * (len(new) - len(old)))
    return value.replace(old, new)


def concat(*items: object) -> str:
    """The texts of all items that are not None."""
    return "".join(literals.write(item) for item in items if item is not None)


def concat_with_separator(separator: str | None, *items: object) -> str | None:
    """As `concat`, with `separator` between; None without one."""
    if separator is None:
        return None
    return separator.join(literals.write(item) for item in items if item is not None)


def joined(*items: object) -> str | bytes:
    """All items together: bytes when all are bytes, else their texts."""
    parts = [item for item in items if isinstance(item, bytes)]
    whole = b"".join(parts) if len(parts) == len(items) else "".join(map(literals.write, items))
    _bounded("||", len(whole))
    return whole


def place_of(value: str, part: str) -> int:
    return value.find(part) + 1


def position(part: str, value: str) -> int:
    return value.find(part) + 1


def pad_left(value: str, length: int, fill: str = " ") -> str:
    return _padding("lpad", value, length, fill) + value[: max(length, 0)]


def pad_right(value: str, length: int, fill: str = " ") -> str:
    return value[: max(length, 0)] + _padding("rpad", value, length, fill)


def _padding(name: str, value: str, length: int, fill: str) -> str:
    missing = _bounded(name, length) - len(value)
    if missing <= 0 or not fill:
        return ""
    return (fill * (missing // len(fill) + 1))[:missing]


def repeated(value: str, count: int) -> str:
    _bounded("repeat", len(value) * count)
    return value * count


def reversed_text(value: str) -> str:
    return value[::-1]


def code_point(value: str) -> int:
    return ord(value[0]) if value else 0


def characters(*code_points: int) -> str:
    for number in code_points:
        if not 0 <= number <= 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise literals.out_of_range(number, "a code point of Unicode")
    return "".join(map(chr, code_points))


def hexadecimal(value: str | bytes) -> str:
    return (value.encode() if isinstance(value, str) else value).hex().upper()


def first_non_null(*items: object) -> object:
    return next((item for item in items if item is not None), None)


def null_if_equal(left_item: object, right_item: object) -> object:
    return None if left_item == right_item else left_item


def _count(name: str, count: int) -> int:
    if count < 0:
        raise DataError(f"{name}(): {count} is a negative length", sqlstate="22011")
    return count


def _bounded(name: str, length: int) -> int:
    if length > MAX_TEXT_LENGTH:
        raise DataError(
            f"{name}() would make a text of {length} characters, {MAX_TEXT_LENGTH} are allowed", sqlstate="54000"
        )
    return length
