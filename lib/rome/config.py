"""Store URLs: where a store is and how it is opened, parsed once and carried as data.

    rome+lmdb:////var/lib/glance/rome?sync=full&namespace=glance     an absolute path has four slashes
    rome+lmdb:///rome                                                a path below the working directory has three
    rome+memory:///name                                              a store of this process, shared by its name
    rome+memory://                                                   a private store; every `parse` makes another
    rome+redis://user:password@host:6379/glance                      a Redis or Valkey server; its stores have names
    rome+rediss://host/glance?ca_file=/etc/ca.pem                    the same over TLS
    rome+redis:///glance?unix_socket=/run/redis.sock                 through a socket of this machine
    rome+redis:///glance?sentinel=main&hosts=a:26379,b:26379         the primary that Sentinel names
    rome+etcd://user:password@host:2379/glance                       an etcd server; its stores have names
    rome+etcd://a,b,c:2379/glance                                    a cluster: any of its members, with one port
    rome+etcds:///glance?hosts=a:2379,b:12379                        its members with a port each, and over TLS

Everything wrong with a URL is one InterfaceError of one line. Passwords are never printed: messages quote schemes,
option names and the values of known options, never the part between `//` and the path.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from rome.errors import InterfaceError

OptionValue = str | int | float | bool

_PREFIX = "rome+"
_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{0,64}")
_SEVERAL_HOSTS = re.compile(r"[^:/?#]*://([^/?#]*,[^/?#]*)")
_MOST = 65536
_DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "etcd": 2379, "etcds": 2379}  # the schemes of stores on a server
_CLUSTERS = ("etcd", "etcds")  # those of them that take several hosts
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


def _count(text: str) -> int:
    return 0 if text == "0" else _whole_number(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,9})?", text) or not 0 < float(text) <= _MOST:
        raise ValueError
    return float(text)


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


def _text_given(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError
    return text


def _hosts(text: str) -> str:
    if not all(re.fullmatch(r"([^\s:,@/\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}", host) for host in text.split(",")):
        raise ValueError
    return text


_ONE_OR_MORE = "a whole number from 1 to 65536"
_NONE_OR_MORE = "a whole number from 0 to 65536"

_REDIS = {
    "sentinel": Option("", _text_given, "the name that Sentinel knows the primary by"),
    "hosts": Option("", _hosts, "host:port of each Sentinel, with commas between them"),
    "sentinel_password_file": Option("", _text_given, "the path of a file that holds the Sentinels' password"),
    "sentinel_password_env": Option("", _text_given, "the name of an environment variable that holds it"),
    "unix_socket": Option("", _text_given, "the path of the server's socket"),
    "password_file": Option("", _text_given, "the path of a file that holds the password"),
    "password_env": Option("", _text_given, "the name of an environment variable that holds the password"),
    "connect_timeout_ms": Option(2000, _whole_number, _ONE_OR_MORE),
    "read_timeout_ms": Option(5000, _whole_number, _ONE_OR_MORE),  # for one reply
    "retries": Option(2, _count, _NONE_OR_MORE),  # further tries of what may be tried again
    "max_connections": Option(64, _whole_number, _ONE_OR_MORE),  # of one process; callers wait for a free one
    "wait_replicas": Option(0, _count, _NONE_OR_MORE),  # how many replicas a commit waits for
    "wait_ms": Option(1000, _whole_number, _ONE_OR_MORE),  # and how long
}

_ETCD = {
    "hosts": Option("", _hosts, "host:port of each member, with commas between them"),
    "password_file": Option("", _text_given, "the path of a file that holds the password"),
    "password_env": Option("", _text_given, "the name of an environment variable that holds the password"),
    "connect_timeout_ms": Option(2000, _whole_number, _ONE_OR_MORE),
    "read_timeout_ms": Option(8000, _whole_number, _ONE_OR_MORE),  # for one reply; a server itself gives up after 7 s
    "retry_ms": Option(5000, _count, _NONE_OR_MORE),  # for how long what may be tried again is: an election takes 2 s
    "max_connections": Option(64, _whole_number, _ONE_OR_MORE),  # of one process; callers wait for a free one
}
_TLS = {
    "ca_file": Option("", _text_given, "the path of the certificates of the authorities to trust"),
    "cert_file": Option("", _text_given, "the path of this client's certificate"),
    "key_file": Option("", _text_given, "the path of the key to cert_file"),
}

COMMON = {
    "lock_timeout_ms": Option(10_000, _count, _NONE_OR_MORE),  # what FOR UPDATE waits for a row; 0: without end
    "foreign_keys": Option("enforced", _choice("enforced", "declared"), "enforced or declared"),  # of tables made by it
    "integers": Option("strict", _choice("strict", "flexible"), "strict or flexible"),  # columns of tables made by it
    "prefetch": Option(True, _flag, "0 or 1"),  # read what a statement that repeats will need next in one round trip
}
"""The options that every scheme has, besides `namespace`."""

SCHEMES: dict[str, dict[str, Option]] = {
    "lmdb": {
        "sync": Option("full", _choice("full", "meta", "none"), "full, meta or none"),  # what a commit waits for
        "map_size_gib": Option(1024.0, _number, "a number above 0, at most 65536"),  # the most the file may grow to
        "max_readers": Option(1024, _whole_number, "a whole number from 1 to 65536"),  # of all processes together
        "readonly": Option(False, _flag, "0 or 1"),
    },
    "memory": {},
    "redis": _REDIS,
    "rediss": {**_REDIS, **_TLS},
    "etcd": _ETCD,
    "etcds": {**_ETCD, **_TLS},
}
"""The options of each scheme besides those of all."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a remote store is and as whom to speak to it; `host` (an option says where, then) and `user` may be ""."""

    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        secret = ":***" if self.password else ""
        return (f"{quote(self.user)}{secret}@" if self.user or secret else "") + (f"{host}:{self.port}" if host else "")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class StoreURL:
    """A parsed URL.

    `path` is the absolute path of an LMDB store, the name of a memory store or that of a store on `server`.
    `namespace` sets apart several databases in one store ("" is one of them). `options` holds what the URL gave,
    typed; ask with `option`. As text it shows `***` for a password.
    """

    scheme: str
    path: str
    namespace: str = ""
    options: tuple[tuple[str, OptionValue], ...] = ()
    private: bool = False
    server: Server | None = None

    def option(self, name: str) -> OptionValue:
        """The value of the option `name`, its default if the URL gave none; "" for another package's own option."""
        for given, value in self.options:
            if given == name:
                return value
        known = {**COMMON, **SCHEMES.get(self.scheme, {})}
        return known[name].default if name in known or self.scheme in SCHEMES else ""

    def __str__(self) -> str:
        if self.private:
            return f"{_PREFIX}{self.scheme}://"
        pairs = [("namespace", self.namespace)] if self.namespace else []
        pairs += [(name, _text(value)) for name, value in self.options]
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
        place = "" if self.server is None else str(self.server)
        return f"{_PREFIX}{self.scheme}://{place}/{quote(self.path)}" + (f"?{query}" if query else "")


def foreign() -> dict[str, str]:
    """The schemes that other packages bring, each with the module that drives it: entry points of `rome.drivers`."""
    return {found.name: found.value for found in entry_points(group="rome.drivers")}


def parse(text: str) -> StoreURL:
    """The store that the URL `text` means; InterfaceError says in one line what to mend."""
    scheme = _scheme(text)
    try:
        parts = _split(text)
    except ValueError as error:
        raise InterfaceError(f"the {_PREFIX}{scheme} URL cannot be read: {error}") from None
    if not text[len(_PREFIX) + len(scheme) :].startswith("://"):
        raise InterfaceError(f"write {_PREFIX}{scheme}:// before the place of the store")
    if parts.fragment:
        raise InterfaceError("a URL has no part after '#'; write '#' as %23 in a path")
    if scheme in _DEFAULT_PORTS:
        return _on_server(scheme, parts)
    if scheme not in SCHEMES:
        return _foreign(scheme, parts)
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


def _split(text: str) -> SplitResult:
    """The parts of a URL. Several hosts are kept from `urlsplit`, which judges an address in brackets as if it were the
    only host there (Python 3.11.12, 3.12.9, 3.13.2 and later)."""
    found = _SEVERAL_HOSTS.match(text)
    if found is None:
        return urlsplit(text)
    return urlsplit(text[: found.start(1)] + text[found.end(1) :])._replace(netloc=found[1])


def _on_server(scheme: str, parts: SplitResult) -> StoreURL:
    """The store on a server that `parts` mean."""
    namespace, options = _query(scheme, parts.query)
    given = dict(options)
    login, at, hosts = parts.netloc.rpartition("@")
    if "," in hosts and scheme not in _CLUSTERS:
        raise InterfaceError(f"{_PREFIX}{scheme} takes one host before the path")
    if "," in hosts and "hosts" not in given:
        given["hosts"] = _with_ports(scheme, hosts)
        options = tuple(sorted(given.items()))
        parts = parts._replace(netloc=login + at)
    try:
        port = parts.port
    except ValueError:
        raise InterfaceError("the port is no number from 0 to 65535") from None
    store = unquote(parts.path[1:])
    if not store or not _NAMESPACE.fullmatch(store):
        raise InterfaceError(
            f"{_PREFIX}{scheme} needs the name of a store, at most 64 letters, digits, '_', '.' and '-', after the "
            f"host: {_PREFIX}{scheme}://localhost/rome, for example"
        )
    ways = ("hosts",) if scheme in _CLUSTERS else ("unix_socket", "sentinel")
    elsewhere = [name for name in ways if name in given]
    if len(elsewhere) + bool(parts.hostname or port) > 1:
        if scheme in _CLUSTERS:
            raise InterfaceError("name the members before the path or in hosts, not in both")
        raise InterfaceError("a host, unix_socket and sentinel are three ways to a server: give one")
    if scheme not in _CLUSTERS and ("sentinel" in given) != ("hosts" in given):
        raise InterfaceError("sentinel and hosts belong together: sentinel=main&hosts=first:26379,second:26379")
    for_sentinels = [name for name in ("sentinel_password_file", "sentinel_password_env") if name in given]
    if for_sentinels and "sentinel" not in given:
        raise InterfaceError(f"{for_sentinels[0]} is for Sentinels: give sentinel and hosts too")
    if len(for_sentinels) > 1:
        raise InterfaceError(f"{' and '.join(for_sentinels)} are two ways to say one thing: give one")
    if "unix_socket" in given and scheme == "rediss":
        raise InterfaceError("a Unix socket has no TLS: write rome+redis")
    if "key_file" in given and "cert_file" not in given:
        raise InterfaceError("key_file needs the cert_file that it belongs to")
    if sum((bool(parts.password), "password_file" in given, "password_env" in given)) > 1:
        raise InterfaceError("the password stands in the URL, in password_file or in password_env: give one")
    server = Server(
        "" if elsewhere else parts.hostname or "localhost",
        0 if elsewhere else port or _DEFAULT_PORTS[scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )
    return StoreURL(scheme, store, namespace, options, server=server)


def _foreign(scheme: str, parts: SplitResult) -> StoreURL:
    """The store that `parts` mean to another package's driver, which judges them when it opens the store."""
    namespace, options = _query(scheme, parts.query)
    server = None
    if parts.netloc:
        try:
            port = parts.port or 0
        except ValueError:
            raise InterfaceError("the port is no number from 0 to 65535") from None
        server = Server(parts.hostname or "", port, unquote(parts.username or ""), unquote(parts.password or ""))
    return StoreURL(scheme, unquote(parts.path[1:]), namespace, options, server=server)


def _with_ports(scheme: str, hosts: str) -> str:
    """`hosts`, each with its port: one without has that of the last, which may be the default."""
    tail = re.search(r":([0-9]{1,5})$", hosts)
    port = tail[1] if tail else str(_DEFAULT_PORTS[scheme])
    each = [host if re.search(r":[0-9]+$", host) else f"{host}:{port}" for host in hosts.split(",")]
    try:
        return _hosts(",".join(each))
    except ValueError:
        raise InterfaceError("the hosts are no list such as first:2379,second:2379") from None


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
    if scheme not in SCHEMES and scheme not in foreign():
        raise InterfaceError(f"unknown store {name!r}{_meant(scheme, SCHEMES, _PREFIX)}; there are {known}")
    return scheme


def _query(scheme: str, query: str) -> tuple[str, tuple[tuple[str, OptionValue], ...]]:
    """The namespace and the typed options, sorted by name."""
    known = {**COMMON, **SCHEMES.get(scheme, {})}
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
        elif scheme not in SCHEMES:
            options[name] = value
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
