"""What a named lock is called in the store: the namespace, a byte of its own, the name in UTF-8.

The locks of rows have the rows' keys for names, which begin with the namespace too and go on with another byte, so that
the two kinds never meet; docs/keys.md has both.
"""

from __future__ import annotations

from rome.errors import InterfaceError

MAX_NAME_BYTES = 1024  # in UTF-8


def names_prefix(namespace: str) -> bytes:
    """What the names of all named locks of `namespace` begin with.

    A namespace holds no character that the key codec would escape (`rome.config`).
    """
    return b"\x07" + namespace.encode() + b"\x00l"


def encode_name(namespace: str, name: str) -> bytes:
    """The store's name of the lock `name`; InterfaceError if it is no text of 1 to MAX_NAME_BYTES bytes."""
    if not isinstance(name, str):
        raise InterfaceError(f"the name of a lock is a str, not {type(name).__name__}")
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise InterfaceError(f"the name of a lock is text: {name!r:.80} has half a surrogate pair") from None
    if not 0 < len(encoded) <= MAX_NAME_BYTES:
        raise InterfaceError(f"the name of a lock has 1 to {MAX_NAME_BYTES} bytes in UTF-8, not {len(encoded)}")
    return names_prefix(namespace) + encoded


def decode_name(namespace: str, stored: bytes) -> str:
    """The name that `encode_name` made into `stored`."""
    return stored[len(names_prefix(namespace)) :].decode()
