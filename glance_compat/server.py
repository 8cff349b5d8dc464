"""Glance's WSGI application under gunicorn, as a child process that never outlives this one's `with` block."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import requests

from glance_compat.failure import Failure
from glance_compat.logs import Log
from glance_compat.state import State
from glance_compat.stores import HOST, StoreServer

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 10.0
KILL_TIMEOUT_S = 2.0
GRACEFUL_TIMEOUT_S = 5

WORKER_DIED = re.compile(r"Worker \(pid:\d+\) (?P<cause>.*)")


@dataclass(frozen=True)
class Server:
    """A running server. Its log is what gunicorn, the workers and Glance print."""

    process: subprocess.Popen[bytes]
    url: str
    log: Log


def check_port(port: int) -> None:
    """Raise `Failure` unless this process may listen on `port` of this machine."""
    with socket.socket() as probe:
        # as gunicorn does; without it a port would look taken for a minute after a server stopped
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason, remedy = "it is taken", "stop what listens there or give another --port"
            else:
                reason, remedy = error.strerror or str(error), "give another --port"
            raise Failure(f"cannot listen on port {port} of {HOST}, {reason}: {remedy}") from None


@contextmanager
def serve(state: State, port: int, workers: int, threads: int) -> Iterator[Server]:
    """Start gunicorn; on leaving, whatever the reason, stop it and every process it started.

    The server does not answer yet when the block is entered: see `wait_until_healthy`.
    """
    log = Log.of(state.log_dir / "glance-api.log")
    command = [
        sys.executable, "-m", "gunicorn", "glance.wsgi.api:application",
        "--bind", f"{HOST}:{port}", "--workers", str(workers), "--worker-class", "gthread", "--threads", str(threads),
        "--timeout", "300", "--graceful-timeout", str(GRACEFUL_TIMEOUT_S), "--no-control-socket",
    ]  # fmt: skip
    environment = {**os.environ, "OS_GLANCE_CONFIG_DIR": str(state.config_dir), "PYTHONWARNINGS": "ignore"}
    process: subprocess.Popen[bytes] | None = None
    try:
        with log.path.open("ab") as output:
            # A session of its own: Ctrl-C reaches this process only, which then stops the server in order.
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        yield Server(process, f"http://{HOST}:{port}", log)
    finally:
        if process is not None:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    # Workers that outlived their master; the session, and so the process group, is theirs alone.
    deadline = time.monotonic() + KILL_TIMEOUT_S
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.poll()
            time.sleep(0.02)
    process.wait()


def wait_until_healthy(server: Server) -> None:
    """Return once `/healthcheck` answers 200. Raises `Failure` when the server dies or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    with requests.Session() as session:
        while time.monotonic() < deadline:
            if server.process.poll() is not None:
                raise Failure(
                    f"the server exited with {server.process.returncode} before it answered: {server.log.reason()}"
                )
            try:
                if session.get(f"{server.url}/healthcheck", timeout=5).status_code == requests.codes.ok:
                    return
            except requests.RequestException:
                pass  # not listening yet
            time.sleep(0.1)
    raise Failure(f"no answer from {server.url}/healthcheck in {START_TIMEOUT_S:.0f} s: see {server.log.path}")


def watch(server: Server, store_server: StoreServer | None, report: Callable[[str], None]) -> None:
    """Follow a healthy server until it ends; never returns otherwise.

    `report` gets a line for each worker that died, which gunicorn replaces. Raises `Failure` when the server itself
    ends, or the server of its store.
    """
    with server.log.path.open(errors="replace") as log:
        log.seek(0, os.SEEK_END)
        while server.process.poll() is None:
            for line in log:
                died = WORKER_DIED.search(line)
                if died:
                    report(f"a worker died ({died['cause'].strip()}); gunicorn starts another")
            if store_server is not None and (ended := store_server.process.poll()) is not None:
                raise Failure(
                    f"{store_server.place.kind.program} ended with {ended}: {store_server.log.reason()}; start again, "
                    f"what it has acknowledged is there"
                )
            time.sleep(0.5)
    raise Failure(f"the server ended with {server.process.returncode}: {server.log.reason()}")
