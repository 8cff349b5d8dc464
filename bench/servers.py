"""Private servers: started in a directory of their own, reached by a socket in it or by TCP, gone with it."""

from __future__ import annotations

import glob
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
UNPRIVILEGED = "postgres"


class ServerMissing(Exception):
    """The server's programs are not installed; the message says what installs them."""


class ServerFailed(Exception):
    """The server did not start; the message ends with its own last words."""


@dataclass
class Server:
    """A running server: `url` for SQLAlchemy, `process` its first process.

    It also listens on the TCP port `port` of this machine; `tcp_url` is its URL from there, with {port} for the port.
    """

    name: str
    url: str
    tcp_url: str
    port: int
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals

    def cpu_ns(self) -> int:
        """Processor time of all its processes since they started; a process that ended is left out."""
        total = 0
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                total += time.clock_gettime_ns(_cpu_clock(pid))
                for children in glob.glob(f"/proc/{pid}/task/*/children"):
                    waiting += map(int, Path(children).read_text().split())
            except OSError:
                continue
        return total

    def stop(self) -> None:
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_mariadb(directory: Path) -> Server:
    """MariaDB, its data in `directory`, with its shipped settings but one.

    Without index_merge_intersection it does not intersect the indexes on `os_hidden` and `deleted`, which nearly every
    image has alike: Glance's lists are up to forty times as fast.
    """
    install, serve = _program("mariadb-install-db"), _program("mariadbd")
    _client("MySQLdb")
    data, unix_socket, port = directory / "data", directory / "socket", _free_port()
    user = ["--user=root"] if os.getuid() == 0 else []
    _run([install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *user])
    network = ["--bind-address=127.0.0.1", f"--port={port}", "--skip-name-resolve"]
    tuned = ["--optimizer-switch=index_merge_intersection=off"]
    process = _start(
        [serve, "--no-defaults", f"--datadir={data}", f"--socket={unix_socket}", *tuned, *network, *user], directory
    )
    url = f"mysql+mysqldb://root@localhost/mysql?unix_socket={unix_socket}"
    tcp_url = "mysql+mysqldb://glance@127.0.0.1:{port}/glance?charset=utf8mb4"
    server = Server("MariaDB", url, tcp_url, port, process, signal.SIGTERM)
    _wait(server, directory)
    _execute(server.url, "CREATE DATABASE glance CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    _execute(server.url, "CREATE USER glance@'127.0.0.1'")
    _execute(server.url, "GRANT ALL ON glance.* TO glance@'127.0.0.1'")
    server.url = f"mysql+mysqldb://root@localhost/glance?unix_socket={unix_socket}&charset=utf8mb4"
    return server


def start_postgresql(directory: Path) -> Server:
    """PostgreSQL with its shipped settings, its data in `directory`.

    It refuses to run as root; root therefore runs it as the user that its package made.
    """
    prefix: list[str] = []
    if os.getuid() == 0:
        try:
            owner = pwd.getpwnam(UNPRIVILEGED)
        except KeyError:
            raise ServerMissing("PostgreSQL does not run as root, and there is no user `postgres`") from None
        os.chown(directory, owner.pw_uid, owner.pw_gid)
        prefix = ["runuser", "-u", UNPRIVILEGED, "--"]
    _client("psycopg2")
    data = directory / "data"
    init = [_program("initdb"), "-D", str(data), "-A", "trust", "-U", "glance", "-E", "UTF8", "--locale=C"]
    _run([*prefix, *init])
    port = _free_port()
    network = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={port}"]
    serve = [_program("postgres"), "-D", str(data), "-k", str(directory), *network]
    process = _start([*prefix, *serve], directory)
    url = f"postgresql+psycopg2://glance@/postgres?host={directory}&port={port}"
    tcp_url = "postgresql+psycopg2://glance@127.0.0.1:{port}/postgres"
    server = Server("PostgreSQL", url, tcp_url, port, process, signal.SIGTERM)
    _wait(server, directory)
    return server


def start_redis(directory: Path) -> Server:
    """Redis with ROME's store on it, every commit synced as the others' are, its data in `directory`."""
    port, unix_socket = _free_port(), directory / "socket"
    serve = [_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(unix_socket)]
    durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
    process = _start([*serve, "--dir", str(directory), *durable], directory)
    tcp_url = "rome+redis://127.0.0.1:{port}/glance"
    server = Server("Redis", f"rome+redis:///glance?unix_socket={unix_socket}", tcp_url, port, process, signal.SIGTERM)
    _wait(server, directory)
    return server


STARTERS: dict[str, Callable[[Path], Server]] = {
    "redis": start_redis, "mariadb": start_mariadb, "postgresql": start_postgresql,
}  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cpu_clock(pid: int) -> int:
    """The clock that counts the processor time of process `pid`, as clock_getcpuclockid(3) makes it on Linux."""
    return (~pid << 3) | 2


def _program(name: str) -> str:
    """The path of a server's program; Debian keeps PostgreSQL's off the PATH, one directory a version."""
    found = [*sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True), shutil.which(name)]
    found.append(shutil.which(name, path="/usr/sbin:/usr/local/sbin"))
    for path in found:
        if path:
            return path
    raise ServerMissing(f"{name} is not installed: run `make bench-deps`")


def _client(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise ServerMissing(f"its client {module} is not installed: run `make bench-deps`")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/")
    if done.returncode:
        raise ServerFailed(f"{command[0]} failed:\n" + done.stdout.decode(errors="replace")[-800:])


def _start(command: Sequence[str], directory: Path) -> subprocess.Popen[bytes]:
    with open(directory.with_suffix(".log"), "wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd="/")


def _wait(server: Server, directory: Path) -> None:
    """Return when the server answers."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            _execute(server.url, "SELECT 1")
            return
        except sqlalchemy.exc.OperationalError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                server.stop()
                last = directory.with_suffix(".log").read_text(errors="replace")[-800:]
                raise ServerFailed(f"{server.name} did not start:\n{last}") from None
            time.sleep(0.1)


def _execute(url: str, statement: str) -> None:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
