"""The state directory: configuration, data, image files and logs of one Glance server.

var/lmdb/
  version                       the layout's number; another number is refused
  etc/glance-api.conf           written once, then the operator's to edit
  etc/glance-api-paste.ini      Glance's own, with a pipeline `trusted` (see `glance_compat.trusted`)
  data/                         the store, unless --connection puts it elsewhere
  server                        the kind and port of the store's server, if it has one of its own
  images/ staging/ tasks/       Glance's file store
  log/                          what the servers and glance-manage print
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from oslo_config import cfg
from oslo_db import options
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from glance_compat.failure import Failure
from glance_compat.stores import Place, new_place, recorded_place, remember

LAYOUT = "1"
DEFAULT_STORE = "lmdb"
UNFINISHED = "unfinished"
UNUSABLE = set("%#?")  # in paths: PasteDeploy interpolates % and cuts at #, glance_store's file URLs end at ?
MIN_FREE_BYTES = 64 * 1024 * 1024

CONFIGURATION = """\
# Written by glance-on-rome at its first start. It is yours now: later starts read it and leave it as it is.
[DEFAULT]
enabled_backends = local:file
worker_self_reference_url = http://127.0.0.1:{port}

[database]
connection = {connection}

[glance_store]
default_backend = local

[local]
filesystem_store_datadir = {root}/images

[os_glance_staging_store]
filesystem_store_datadir = {root}/staging

[os_glance_tasks_store]
filesystem_store_datadir = {root}/tasks

[oslo_concurrency]
lock_path = {root}/tasks

[paste_deploy]
flavor = trusted
config_file = {root}/etc/glance-api-paste.ini
"""


@dataclass(frozen=True)
class State:
    """A state directory that is ready to be served.

    `connection` is the SQLAlchemy URL in its configuration, which may hold a password: print `shown(connection)`.
    `place` is where the store's server is, if it is the state's own, to be started with it.
    """

    root: Path
    connection: str
    is_new: bool
    place: Place | None = None

    @property
    def config_dir(self) -> Path:
        return self.root / "etc"

    @property
    def config_file(self) -> Path:
        return self.root / "etc" / "glance-api.conf"

    @property
    def log_dir(self) -> Path:
        return self.root / "log"


def shipped(name: str) -> Path:
    """The path of a file or directory that Glance's wheel puts beside the interpreter: `<prefix>/etc/glance/<name>`."""
    path = Path(sys.prefix) / "etc" / "glance" / name
    if not path.exists():
        raise Failure(f"{path} is missing: Glance's wheel puts it there. Run: {sys.executable} -m pip install glance")
    return path


def default_root(store: str | None, connection: str | None) -> Path:
    """Where a state is kept when no directory is named: below `var`, by the kind of its store."""
    if connection is not None:
        store = connection.partition(":")[0].removeprefix("rome+").partition("+")[0]
    return Path("var", store if store and store.isalnum() else DEFAULT_STORE)


def prepare(root: Path, store: str | None, connection: str | None, port: int) -> State:
    """Make the state directory at `root`, or check the one that is there.

    `store` is one of `glance_compat.stores.STORES`; `connection` is a SQLAlchemy URL, in its place. None of them means
    what is already configured or, in a new directory, LMDB files below `root`.
    Raises `Failure` for a directory of another layout or with another connection, for a URL that several processes
    cannot share, and when there is no room.
    """
    root = root.resolve()
    if UNUSABLE & set(str(root)):
        raise Failure(f"Glance takes some characters of {root} for something else: give a --state without %, # and ?")
    if (root / "version").exists():
        state = _existing(root, store, connection)
    else:
        if root.exists() and any(root.iterdir()) and not (root / UNFINISHED).exists():
            raise Failure(f"{root} is not empty and holds no state of glance-on-rome: give another --state")
        state = _new(root, store or DEFAULT_STORE, connection)
    _check_shared(state.connection)
    _check_room(root)
    if state.is_new:
        _write(state, port)
    return state


def _new(root: Path, store: str, connection: str | None) -> State:
    if connection is not None:
        return State(root, connection, is_new=True)
    if store == DEFAULT_STORE:
        return State(root, f"rome+lmdb:///{quote(str(root))}/data", is_new=True)
    place = new_place(store, root)
    return State(root, place.url, is_new=True, place=place)


def _existing(root: Path, store: str | None, connection: str | None) -> State:
    layout = (root / "version").read_text().strip()
    if layout != LAYOUT:
        raise Failure(
            f"{root} has layout {layout!r} and this version of ROME writes layout {LAYOUT!r}: "
            f"give another --state, or start the version that wrote it"
        )
    configured = configured_connection(root / "etc" / "glance-api.conf")
    if connection is not None and connection != configured:
        raise Failure(
            f"{root} keeps its data at {shown(configured)}: leave out --connection, give another --state, "
            f"or edit {root}/etc/glance-api.conf"
        )
    if store is not None and not configured.startswith(f"rome+{store}:"):
        raise Failure(f"{root} keeps its data at {shown(configured)}: leave out --store, or give another --state")
    return State(root, configured, is_new=False, place=recorded_place(root, configured))


def configured_connection(config_file: Path) -> str:
    """The SQLAlchemy URL that a configuration of Glance's names."""
    configuration = cfg.ConfigOpts()
    configuration.register_opts(options.database_opts, "database")
    try:
        configuration([], default_config_files=[str(config_file)], default_config_dirs=[])
    except cfg.Error as error:
        raise Failure(f"{config_file} cannot be read: {error}") from None
    if not configuration.database.connection:
        raise Failure(f"{config_file} has no connection in its section [database]: add one, or give another --state")
    return str(configuration.database.connection)


def shown(connection: str) -> str:
    """The URL without its password."""
    return make_url(connection).render_as_string(hide_password=True)


def _check_shared(connection: str) -> None:
    try:
        url = make_url(connection)
        url.get_dialect()
    except NoSuchModuleError:
        name = url.drivername
        raise Failure(f"SQLAlchemy has no dialect {name}: write for example rome+lmdb:////path") from None
    except ArgumentError:
        raise Failure("--connection is not a SQLAlchemy URL: write for example rome+lmdb:////path") from None
    if url.drivername.endswith("memory") or (url.drivername == "sqlite" and url.database in (None, "", ":memory:")):
        raise Failure(f"{shown(connection)} lives in one process and a server has several: use rome+lmdb:////path")


def _check_room(root: Path) -> None:
    existing = next(path for path in (root, *root.parents) if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < MIN_FREE_BYTES:
        raise Failure(
            f"only {free_bytes // 2**20} MiB are free at {existing} and {MIN_FREE_BYTES // 2**20} MiB are needed: "
            f"make room or give another --state"
        )


def _write(state: State, port: int) -> None:
    state.root.mkdir(parents=True, exist_ok=True)
    (state.root / UNFINISHED).touch()
    for name in ("etc", "images", "staging", "tasks", "log"):
        (state.root / name).mkdir(exist_ok=True)
    (state.config_dir / "glance-api-paste.ini").write_text(trusted_paste(shipped("glance-api-paste.ini").read_text()))
    state.config_file.write_text(
        # oslo.config reads `$name` as a reference to another option
        CONFIGURATION.format(root=state.root, connection=state.connection.replace("$", "$$"), port=port)
    )
    if state.place is None:
        (state.root / "server").unlink(missing_ok=True)  # of a first start that failed
    else:
        remember(state.place)


def finish(state: State) -> None:
    """Call when the first start has made the schema; until then the next start begins again, with its own options."""
    (state.root / "version").write_text(LAYOUT + "\n")
    (state.root / UNFINISHED).unlink(missing_ok=True)


def trusted_paste(paste: str) -> str:
    """Glance's paste file with a flavour `trusted`: its keystone pipeline with our filter in place of Keystone's.

    Before Glance itself comes the filter by which changes of one image take turns (`glance_compat.in_turn`).

    Raises `Failure` when Glance's file no longer has that pipeline in the form this was written for.
    """
    lines = paste.splitlines()
    keystone = [number for number, line in enumerate(lines) if line.startswith("keystone = ")]
    if len(keystone) != 1 or " authtoken " not in lines[keystone[0]]:
        raise Failure("Glance's glance-api-paste.ini has no keystone pipeline with authtoken: use Glance 33")
    pipeline = lines[keystone[0]].removeprefix("keystone = ").replace(" authtoken ", " trusted ")
    pipeline = pipeline.removesuffix(" rootapp") + " in_turn rootapp"
    lines.insert(keystone[0], f"trusted = {pipeline}")
    lines += [
        "",
        "[composite:glance-api-trusted]",
        "paste.composite_factory = glance.api:root_app_factory",
        "/: api",
        "/healthcheck: healthcheck",
        "",
        "[filter:trusted]",
        "paste.filter_factory = glance_compat.trusted:filter_factory",
        "project = demo",
        "roles = admin,member,reader",
        "",
        "[filter:in_turn]",
        "paste.filter_factory = glance_compat.in_turn:filter_factory",
    ]
    return "\n".join(lines) + "\n"
