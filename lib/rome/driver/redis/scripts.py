"""The scripts that the server runs, read from `rome/driver/lua/`; each file's head says what it takes and answers."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import NamedTuple

_INCLUDE = re.compile(r"^-- include: ([a-z]+\.lua)$", re.MULTILINE)


class Script(NamedTuple):
    """A script and the name that a server which has run it knows it by."""

    text: bytes
    digest: bytes

    def when_full(self) -> Script:
        """The same script, run even if the server has reached its maxmemory."""
        return _named(self.text.replace(b"#!lua\n", b"#!lua flags=allow-oom\n", 1))


def _named(text: bytes) -> Script:
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


def load(name: str) -> Script:
    """The script in the file `name`.lua, with the files that it includes."""
    folder = files("rome.driver") / "lua"

    def included(match: re.Match[str]) -> str:
        return (folder / match[1]).read_text("utf-8")

    return _named(_INCLUDE.sub(included, (folder / f"{name}.lua").read_text("utf-8")).encode())
