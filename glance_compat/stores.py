"""The stores that `--store` offers, and the private server of one that has a server.

A server belongs to one state directory: its data lies in `data/`, its port is kept in the file `server`, and it runs
while the command runs. Its settings are those under which an acknowledged commit survives a power cut.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from glance_compat.failure import Failure
from glance_compat.logs import Log

HOST = "127.0.0.1"
NAME = "glance"  # of the store on its server
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
PORTS = 100  # tried, from a kind's first one on, for one that is free

SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin")  # not on the path of everyone


@dataclass(frozen=True)
class Kind:
    """One kind of server: its program and how it is asked to be durable, to start, and whether it is ready."""

    name: str
    program: str
    package: str
    first_port: int
    durability: str
    arguments: Callable[[int, Path], list[str]]
    question: bytes  # asked over TCP
    ready: bytes  # how the answer begins, or what it holds

    def url(self, port: int) -> str:
        """The SQLAlchemy URL of Glance's store on such a server."""
        return f"rome+{self.name}://{HOST}:{port}/{NAME}"


def _redis_arguments(port: int, data: Path) -> list[str]:
    return [
        "--port", str(port), "--bind", HOST, "--dir", str(data), "--daemonize", "no", "--save", "",
        "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
    ]  # fmt: skip


def _etcd_arguments(port: int, data: Path) -> list[str]:
    client, peer = f"http://{HOST}:{port}", f"http://{HOST}:0"  # a cluster of one listens for peers and hears of none
    return [
        "--name", "rome", "--data-dir", str(data), "--listen-client-urls", client, "--advertise-client-urls", client,
        "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"rome={peer}",
        "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "5m",
    ]  # fmt: skip


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            name="redis",
            program="redis-server",
            package="redis-server",
            first_port=16379,
            durability="every commit is on the disk before it is acknowledged (appendonly yes, appendfsync always)",
            arguments=_redis_arguments,
            question=b"PING\r\n",
            ready=b"+PONG",
        ),
        Kind(
            name="etcd",
            program="etcd",
            package="etcd-server",
            first_port=12379,
            durability="every commit is on the disk before it is acknowledged (Raft log, a cluster of one member)",
            arguments=_etcd_arguments,
            question=b"GET /health HTTP/1.0\r\n\r\n",
            ready=b'"health":"true"',
        ),
    )
}
STORES = ("lmdb", *KINDS)


@dataclass(frozen=True)
class Place:
    """Where the server of one state directory listens, and keeps what it keeps."""

    kind: Kind
    port: int
    root: Path

    @property
    def url(self) -> str:
        return self.kind.url(self.port)

    @property
    def data(self) -> Path:
        """The server's data, and the directory that it works in."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "log" / f"{self.kind.program}.log"

    @property
    def record(self) -> Path:
        """The file that says which server the state has: its kind and its port; locked while a command runs it."""
        return self.root / "server"

    @property
    def pid_file(self) -> Path:
        return self.root / "server.pid"


@dataclass(frozen=True)
class StoreServer:
    """A running server of a store."""

    place: Place
    process: subprocess.Popen[bytes]
    log: Log


def program_path(kind: Kind) -> str:
    """The path of the server's program. Raises `Failure` with the line that installs it."""
    found = shutil.which(kind.program, path=os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_DIRECTORIES)))
    if found is None:
        raise Failure(
            f"{kind.program} is not installed: run `apt-get install {kind.package}` as root (in a checkout, "
            f"`make servers`), or give --connection rome+{kind.name}://host:port/{NAME} of a server of yours"
        )
    return found


def new_place(name: str, root: Path) -> Place:
    """A place for a new server of the kind `name`, on the first free port of its range."""
    kind = KINDS[name]
    program_path(kind)
    for port in range(kind.first_port, kind.first_port + PORTS):
        if _is_free(port):
            return Place(kind, port, root)
    raise Failure(f"no port from {kind.first_port} to {kind.first_port + PORTS - 1} is free for {kind.program}")


def remember(place: Place) -> None:
    """Write down which server the state has."""
    place.record.write_text(f"{place.kind.name} {place.port}\n")


def recorded_place(root: Path, connection: str) -> Place | None:
    """The server that the state at `root` has; None if it has none, or if its `connection` leads elsewhere by now."""
    record = root / "server"
    if not record.exists():
        return None
    name, _, port = record.read_text().strip().partition(" ")
    if name not in KINDS or not port.isdigit():
        raise Failure(f"{record} does not say which server to start: write for example `redis {16379}`")
    place = Place(KINDS[name], int(port), root)
    return place if place.url == connection else None


@contextmanager
def serve_store(place: Place, report: Callable[[str], None]) -> Iterator[StoreServer]:
    """Start the server at `place` and wait until it is ready; on leaving, whatever the reason, stop it.

    A server that an earlier command left behind when it was killed is stopped first, and `report` hears of it.
    Raises `Failure` when another command runs this state's server, when its port is taken, or when it does not start.
    """
    program = program_path(place.kind)
    with _owned(place):
        _stop_left_behind(place, report)
        if not _is_free(place.port):
            raise Failure(
                f"port {place.port} of {HOST}, where the {place.kind.program} of {place.root} listens, is taken: stop "
                f"what listens there, or write another port in {place.record} and in {place.root}/etc/glance-api.conf"
            )
        place.data.mkdir(mode=0o700, exist_ok=True)
        log = Log.of(place.log)
        process: subprocess.Popen[bytes] | None = None
        try:
            with log.path.open("ab") as output:
                # A session of its own: Ctrl-C reaches the command only, which stops the server after Glance.
                process = subprocess.Popen(
                    [program, *place.kind.arguments(place.port, place.data)], cwd=place.data,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                )  # fmt: skip
            place.pid_file.write_text(f"{process.pid}\n")
            _wait_until_ready(place, process, log)
            yield StoreServer(place, process, log)
        finally:
            if process is not None:
                _stop(process)
                place.pid_file.unlink(missing_ok=True)


@contextmanager
def _owned(place: Place) -> Iterator[None]:
    """Only one command at a time runs the server of a state; the lock ends with its process."""
    with place.record.open() as record:
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            raise Failure(
                f"another glance-on-rome runs the {place.kind.program} of {place.root}: stop it; or, for a second "
                f"Glance on the same data, give another --state and --connection {place.url}"
            ) from None
        yield


def _stop_left_behind(place: Place, report: Callable[[str], None]) -> None:
    try:
        pid = int(place.pid_file.read_text())
        works_in = Path("/proc", str(pid), "cwd").readlink()
    except (OSError, ValueError):
        return
    if works_in != place.data:  # the process id was given to another program since
        return
    report(f"{place.kind.program} of an earlier start was still running (pid {pid}): stopped")
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if not _runs(pid):
                return
            time.sleep(0.05)
    raise Failure(f"{place.kind.program} of an earlier start (pid {pid}) does not end: end it")


def _runs(pid: int) -> bool:
    """Whether the process is there and has not ended: one whose parent was killed may wait long to be reaped."""
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError:
            return False
    return True


def _wait_until_ready(place: Place, process: subprocess.Popen[bytes], log: Log) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"{place.kind.program} exited with {process.returncode} at its start: {log.reason()}")
        if place.kind.ready in _ask(place):
            return
        time.sleep(0.05)
    raise Failure(f"{place.kind.program} was not ready in {START_TIMEOUT_S:.0f} s: see {log.path}")


def _ask(place: Place) -> bytes:
    try:
        with socket.create_connection((HOST, place.port), timeout=5) as connection:
            connection.sendall(place.kind.question)
            answer = b""
            while place.kind.ready not in answer and (piece := connection.recv(4096)):
                answer += piece
                if answer.startswith(b"-"):  # Redis: still loading
                    break
            return answer
    except OSError:
        return b""


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:  # what it has acknowledged is on the disk
        process.kill()
        process.wait()
