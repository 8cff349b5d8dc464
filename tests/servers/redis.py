"""A private Redis server: `with RedisServer(directory) as server: … server.url("store")`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import redis

PROGRAM = os.environ.get("ROME_TEST_REDIS_SERVER", "redis-server")
START_S = 20.0
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
FORGETFUL = ("--appendonly", "no")


def free_port() -> int:
    """A TCP port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def stand_still(pid: int) -> None:
    """SIGSTOP for a child of this process; returns when all of its threads have stopped, which may take a while."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED)


class RedisServer:
    """One server with its data in `directory`; `arguments` are redis-server's, after those that keep it private."""

    _head: tuple[str, ...] = ()

    def __init__(self, directory: Path, *arguments: str, port: int | None = None, program: str = PROGRAM) -> None:
        self.directory = directory
        self.port = free_port() if port is None else port
        self.unix_socket = directory / "socket"
        self._arguments = arguments
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, store: str, **options: str | int) -> str:
        """The URL of a store on this server."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"rome+redis://127.0.0.1:{self.port}/{store}" + (f"?{query}" if query else "")

    def start(self, *, loaded: bool = True) -> None:
        """Start it and wait until it answers (and has its data); AssertionError says why it does not."""
        program = shutil.which(self._program)
        assert program is not None, f"{self._program} is not installed: run `make servers` (needs root)"
        self.directory.mkdir(parents=True, exist_ok=True)
        log = self.directory / "log"
        command = [
            program, *self._head, "--port", str(self.port), "--bind", "127.0.0.1",
            "--unixsocket", str(self.unix_socket), "--dir", str(self.directory), "--logfile", str(log),
            "--save", "", "--repl-diskless-sync-delay", "0", *self._arguments,
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        while not self._answers(loaded):
            ended = self._process.poll() is not None
            if ended or time.monotonic() > end:
                self.kill()
                raise AssertionError(f"redis-server did not start: {log.read_text() if log.exists() else command}")
            time.sleep(0.01)

    def _answers(self, loaded: bool) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.unix_socket))
                probe.sendall(b"PING\r\n")
                return not (loaded and probe.recv(64).startswith(b"-LOADING"))
        except OSError:
            return False

    def client(self) -> redis.Redis:
        """The client library, to look at the server and to change it behind ROME's back."""
        return redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=10)

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def kill(self) -> None:
        """Kill it as a power cut would. May be called again."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.unix_socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Let it stand still, connections open; `go_on` wakes it."""
        stand_still(self.pid)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Sentinel(RedisServer):
    """A Sentinel that watches `primary` under the name `main` and needs no other one's agreement.

    `settings` are further lines of its configuration, `arguments` come after those that keep it private.
    """

    def __init__(self, directory: Path, primary: RedisServer, *arguments: str, settings: tuple[str, ...] = ()) -> None:
        super().__init__(directory, *arguments)
        directory.mkdir(parents=True)
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 3000\n" + "".join(f"{line}\n" for line in settings)
        )
        self._head = (str(configuration), "--sentinel")
