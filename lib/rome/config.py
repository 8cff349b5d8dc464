"""Store URLs: where a store is and how it is opened, parsed once and carried as data.

    rome+lmdb:////var/lib/glance/rome?sync=full&namespace=glance     an absolute path has four slashes
    rome+lmdb:///rome                                                a path below the working directory has three
    rome+memory:///name                                              a store of this process, shared by its name
    rome+memory://                                                   a private store; every `parse` makes another

Everything wrong with a URL is one InterfaceError of one line. Passwords are never printed: messages quote schemes,
option names and the values of known options, never the part between `//` and the path.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from rome.errors import InterfaceError

OptionValue = str | int | float | bool

_PREFIX = "rome+"
_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{0,64}")
_MOST = 65536
_private_numbers = itertools.count(1)


class Option(NamedTuple):
    """An option of a URL: what it is when not given, how its text is read, and what that takes, in words."""

    default: OptionValue
    read: Callable[[str], OptionValue]  # raises ValueError
    takes: str


def _choice(*values: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError
        return text

    return read


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) <= _MOST:
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,9})?", text) or not 0 < float(text) <= _MOST:
        raise ValueError
    return float(text)


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


SCHEMES: dict[str, dict[str, Option]] = {
    "lmdb": {
        "sync": Option("full", _choice("full", "meta", "none"), "full, meta or none"),  # what a commit waits for
        "map_size_gib": Option(1024.0, _number, "a number above 0, at most 65536"),  # the most the file may grow to
        "max_readers": Option(1024, _whole_number, "a whole number from 1 to 65536"),  # of all processes together
        "readonly": Option(False, _flag, "0 or 1"),
    },
    "memory": {},
}
"""The options of each scheme; `namespace` belongs to all of them."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class StoreURL:
    """A parsed URL.

    `path` is the absolute path of an LMDB store or the name of a memory store. `namespace` sets apart several
    databases in one store ("" is one of them). `options` holds what the URL gave, typed; ask with `option`.
    """

    scheme: str
    path: str
    namespace: str = ""
    options: tuple[tuple[str, OptionValue], ...] = ()
    private: bool = False

    def option(self, name: str) -> OptionValue:
        """The value of the option `name`, its default if the URL gave none."""
        for given, value in self.options:
            if given == name:
                return value
        return SCHEMES[self.scheme][name].default

    def __str__(self) -> str:
        if self.private:
            return f"{_PREFIX}{self.scheme}://"
        pairs = [("namespace", self.namespace)] if self.namespace else []
        pairs += [(name, _text(value)) for name, value in self.options]
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
        return f"{_PREFIX}{self.scheme}:///{quote(self.path)}" + (f"?{query}" if query else "")


def parse(text: str) -> StoreURL:
    """The store that the URL `text` means; InterfaceError says in one line what to mend."""
    scheme = _scheme(text)
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise InterfaceError(f"the {_PREFIX}{scheme} URL cannot be read: {error}") from None
    if not text[len(_PREFIX) + len(scheme) :].startswith("://"):
        raise InterfaceError(f"write {_PREFIX}{scheme}:// before the place of the store")
    if parts.fragment:
        raise InterfaceError("a URL has no part after '#'; write '#' as %23 in a path")
    if parts.netloc:
        raise InterfaceError(
            f"{_PREFIX}{scheme} takes no host, user or password: write {_PREFIX}{scheme}:/// and then the path "
            "(an absolute path makes it four slashes)"
        )
    namespace, options = _query(scheme, parts.query)
    path = unquote(parts.path[1:])
    if "\0" in path:
        raise InterfaceError("a path holds no NUL character")
    if scheme == "memory":
        if path:
            return StoreURL(scheme, path, namespace, options)
        return StoreURL(scheme, f"private {next(_private_numbers)}", namespace, options, private=True)
    if not path:
        raise InterfaceError("rome+lmdb needs a directory: rome+lmdb:////var/lib/rome, for example")
    return StoreURL(scheme, os.path.abspath(path), namespace, options)


def _scheme(text: str) -> str:
    """The store's scheme, after `rome+`."""
    known = ", ".join(f"{_PREFIX}{name}://" for name in SCHEMES)
    name, colon, _ = text.partition(":")
    if not colon:
        raise InterfaceError(f"this is not a store URL: write one of {known} and the place of the store")
    if name == "rome":
        raise InterfaceError(f"rome:// names no store: write one of {known}")
    if not name.startswith(_PREFIX):
        raise InterfaceError(f"a store URL begins with one of {known}")
    scheme = name[len(_PREFIX) :]
    if scheme not in SCHEMES:
        raise InterfaceError(f"unknown store {name!r}{_meant(scheme, SCHEMES, _PREFIX)}; there are {known}")
    return scheme


def _query(scheme: str, query: str) -> tuple[str, tuple[tuple[str, OptionValue], ...]]:
    """The namespace and the typed options, sorted by name."""
    known = SCHEMES[scheme]
    namespace = ""
    options: dict[str, OptionValue] = {}
    seen: set[str] = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in seen:
            raise InterfaceError(f"the option {name!r} stands twice in the URL")
        seen.add(name)
        if name == "namespace":
            if not _NAMESPACE.fullmatch(value):
                raise InterfaceError("a namespace is at most 64 letters, digits, '_', '.' and '-'")
            namespace = value
        elif name in known:
            try:
                options[name] = known[name].read(value)
            except ValueError:
                raise InterfaceError(f"{name}={value!r} is no value: it takes {known[name].takes}") from None
        else:
            names = sorted(("namespace", *known))
            raise InterfaceError(
                f"{_PREFIX}{scheme} has no option {name!r}{_meant(name, names)}; it has {', '.join(names)}"
            )
    return namespace, tuple(sorted(options.items()))


def _meant(word: str, words: Iterable[str], prefix: str = "") -> str:
    close = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {prefix}{close[0]}?)" if close else ""


def _text(value: OptionValue) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return f"{value:g}" if isinstance(value, float) else str(value)
