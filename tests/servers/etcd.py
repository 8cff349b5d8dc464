"""Private etcd servers: `with EtcdServer(directory) as server: … server.url("store")`, and a cluster of three.

Each listens on free ports of this machine, keeps its data in a directory of its own and is killed at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tests.servers.redis import free_port, stand_still

PROGRAM = os.environ.get("ROME_TEST_ETCD", "etcd")
START_S = 30.0


class EtcdServer:
    """One member, alone unless `peers` names others; `arguments` are etcd's, after those that keep it private."""

    def __init__(self, directory: Path, *arguments: str, name: str = "only") -> None:
        self.directory = directory
        self.name = name
        self.port = free_port()
        self.peer_port = free_port()
        self.metrics_port = free_port()
        self.peers: Sequence[EtcdServer] = (self,)
        self.scheme = "http"  # of its clients
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, store: str, login: str = "", **options: str | int) -> str:
        """The URL of a store on this server; `login` is `user:password@`."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        scheme = "rome+etcd" if self.scheme == "http" else "rome+etcds"
        return f"{scheme}://{login}127.0.0.1:{self.port}/{store}" + (f"?{query}" if query else "")

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self.peer_port}"

    def start(self, *, wait: bool = True) -> None:
        """Start it and, with `wait`, go on when it takes calls; AssertionError says why it does not."""
        program = shutil.which(PROGRAM)
        assert program is not None, f"{PROGRAM} is not installed: run `make servers` (needs root)"
        self.directory.mkdir(parents=True, exist_ok=True)
        client = f"{self.scheme}://127.0.0.1:{self.port}"
        command = [
            program, "--name", self.name, "--data-dir", str(self.directory / "data"),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url,
            "--initial-cluster", ",".join(f"{peer.name}={peer.peer_url}" for peer in self.peers),
            "--listen-metrics-urls", f"http://127.0.0.1:{self.metrics_port}",
            "--logger", "zap", "--log-level", "warn", *self._arguments,
        ]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        if wait:
            self.wait_until(lambda: self.healthy)

    @property
    def healthy(self) -> bool:
        """Whether it has a leader and no alarm, by its own word."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/health", timeout=2) as reply:
                return json.load(reply)["health"] == "true"
        except (OSError, ValueError):
            return False

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """AssertionError with the server's log if `condition` does not come true."""
        end = time.monotonic() + START_S
        while not condition():
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise AssertionError(f"etcd does not serve: {(self.directory / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None

    def kill(self) -> None:
        """Kill it as a power cut would. May be called again."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """Let it stand still, connections open; `go_on` wakes it."""
        stand_still(self.pid)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def control(self, *words: str, flags: Sequence[str] = ()) -> str:
        """What etcdctl says, to look at the server and to change it behind ROME's back."""
        program = shutil.which("etcdctl")
        assert program is not None, "etcdctl is not installed: run `make servers` (needs root)"
        done = subprocess.run(
            [program, f"--endpoints={self.scheme}://127.0.0.1:{self.port}", *flags, *words],
            capture_output=True, text=True, timeout=30, env={**os.environ, "ETCDCTL_API": "3"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self) -> EtcdServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class EtcdCluster:
    """Three members that know each other."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.members = [EtcdServer(directory / name, *arguments, name=name) for name in ("one", "two", "three")]
        for member in self.members:
            member.peers = self.members

    def url(self, store: str, **options: str | int) -> str:
        """The URL of a store on this cluster."""
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        query = "".join(f"&{name}={value}" for name, value in options.items())
        return f"rome+etcd:///{store}?hosts={hosts}{query}"

    def leader(self) -> EtcdServer:
        """The member that leads; AssertionError if none does."""
        for member in self.members:
            if member.running:
                (status,) = json.loads(member.control("endpoint", "status", "--write-out=json"))
                status = status["Status"]
                if status["leader"] == status["header"]["member_id"]:
                    return member
        raise AssertionError("no member leads")

    def kill(self) -> None:
        for member in self.members:
            member.kill()

    def __enter__(self) -> EtcdCluster:
        for member in self.members:
            member.start(wait=False)
        for member in self.members:
            member.wait_until(lambda member=member: member.healthy)  # type: ignore[misc]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
