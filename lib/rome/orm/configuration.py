"""Where Sessions without a bind find their store: `ROME_URL`, a rome.conf, or an LMDB directory of the user's own.

    [Rome]
    backend = redis             # redis, etcd, lmdb or memory
    host = 127.0.0.1
    port = 6379                 # if not given, the server's usual one
    url = rome+redis://h/s      # any URL of docs/drivers.md, instead of the three above

    [Cluster]
    nodes = a, b, c             # the members of an etcd cluster

The file is the first of ./rome.conf, ~/.rome.conf and /etc/rome/rome.conf that exists.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from rome.config import parse
from rome.errors import InterfaceError

STORE = "rome"  # the name of the store on a server
_PORTS = {"redis": 6379, "etcd": 2379}
_BACKENDS = ("redis", "etcd", "lmdb", "memory")


class Configuration:
    """What a rome.conf says; a key that it does not have is its default. Wrong values are InterfaceError."""

    def __init__(self, path: Path | None, data_directory: Path) -> None:
        """`path` is that of the file, None for none; `data_directory` is where the embedded store lies."""
        self.path = path
        self._data_directory = data_directory
        self._parser = _parsed(None, 0) if path is None else _parsed(path, path.stat().st_mtime_ns)

    def host(self) -> str:
        """The address of the server."""
        return self._parser.get("Rome", "host", fallback="127.0.0.1")

    def port(self) -> int:
        """The port of the server."""
        given = self._parser.get("Rome", "port", fallback="")
        if not given:
            return _PORTS.get(self.backend(), 0)
        if not given.isdecimal() or not 0 < int(given) < 65536:
            raise InterfaceError(f"{self.path}: port in [Rome] is a number from 1 to 65535, not {given!r}")
        return int(given)

    def backend(self) -> str:
        """The kind of store: redis, etcd, lmdb or memory."""
        given = self._parser.get("Rome", "backend", fallback="lmdb")
        if given not in _BACKENDS:
            raise InterfaceError(f"{self.path}: backend in [Rome] is one of {', '.join(_BACKENDS)}, not {given!r}")
        return given

    def redis_cluster_enabled(self) -> bool:
        """Whether the file asks for Redis Cluster, which `url` refuses."""
        try:
            return self._parser.getboolean("Cluster", "redis_cluster_enabled", fallback=False)
        except ValueError:
            raise InterfaceError(f"{self.path}: redis_cluster_enabled in [Cluster] is True or False") from None

    def cluster_nodes(self) -> list[str]:
        """The addresses of a cluster's members."""
        nodes = self._parser.get("Cluster", "nodes", fallback="").split(",")
        return [node.strip() for node in nodes if node.strip()]

    def url(self) -> str:
        """The ROME URL of the store that the file means; for lmdb the place of its directory is made."""
        given = self._parser.get("Rome", "url", fallback="")
        if given:
            parse(given)
            return given
        match self.backend():
            case "lmdb":
                self._data_directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # as XDG has it
                return f"rome+lmdb:///{quote(str(self._data_directory))}"
            case "memory":
                return f"rome+memory:///{STORE}"
            case "redis" if self.redis_cluster_enabled():
                raise InterfaceError(
                    f"{self.path}: ROME keeps a store on one Redis server, for its commits are atomic: set "
                    "redis_cluster_enabled to False, or take backend = etcd for several machines"
                )
            case backend:
                nodes = self.cluster_nodes() if backend == "etcd" else []
                hosts = nodes if len(nodes) > 1 else [self.host()]
                url = f"rome+{backend}://{','.join(hosts)}:{self.port()}/{STORE}"
                parse(url)
                return url


@lru_cache(maxsize=8)
def _parsed(path: Path | None, changed_ns: int) -> configparser.ConfigParser:
    """What is in the file at `path` since `changed_ns`: every Session without a bind asks."""
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=("#", ";"))
    if path is not None:
        try:
            parser.read_string(path.read_text(), str(path))
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            raise InterfaceError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    return parser


def get_config(
    environment: Mapping[str, str] = os.environ,
    directory: Callable[[], Path] = Path.cwd,
    home: Callable[[], Path] = Path.home,
) -> Configuration:
    """The configuration of the first file of the search order; without any, that of an LMDB store of the user's own."""
    candidates = (directory() / "rome.conf", home() / ".rome.conf", Path("/etc/rome/rome.conf"))
    data = Path(environment.get("XDG_DATA_HOME") or home() / ".local" / "share")
    return Configuration(next((path for path in candidates if path.is_file()), None), data / "rome")


def default_url(environment: Mapping[str, str] = os.environ) -> str:
    """The URL of a Session without a bind: ROME_URL, or what `get_config` says."""
    return environment.get("ROME_URL") or get_config(environment).url()
