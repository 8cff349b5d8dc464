"""`glance-on-rome` as an operator meets it: a real server, real requests, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from glance_compat.stores import KINDS
from tests.glance.inside.databases import database_url
from tests.junit import REPOSITORY
from tests.servers.stores import STORES

START_TIMEOUT_S = 300
STEPS = 17
WORKERS = 4
SERVERS = [name for name in STORES if name in KINDS]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "glance_compat", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'lib'}{os.pathsep}{REPOSITORY}", "COLUMNS": "200"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment(), timeout=START_TIMEOUT_S, check=False
    )


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def parents_of_the_living() -> dict[int, int]:
    """The parent of every process that has not ended."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if fields[0] != "Z":
            parents[int(status.parent.name)] = int(fields[1])
    return parents


def alive(pids: set[int]) -> set[int]:
    return pids & parents_of_the_living().keys()


def descendants(pid: int) -> set[int]:
    """The processes that `pid` started, and those that they started."""
    parents = parents_of_the_living()
    found: set[int] = set()
    frontier = {pid}
    while frontier:
        frontier = {child for child, parent in parents.items() if parent in frontier} - found
        found |= frontier
    return found


@contextmanager
def serving(state: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command, once it serves, and the lines it has printed so far."""
    lines: list[str] = []
    with subprocess.Popen(
        command("--state", str(state), "--port", free_port(), *arguments),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), bufsize=1,
    ) as process:  # fmt: skip
        try:
            read_until("Ctrl-C stops it", process, lines)
            yield process, lines
        finally:
            process.terminate()


def read_until(text: str, process: subprocess.Popen[str], lines: list[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return line
    raise AssertionError(f"it ended without {text!r}: {''.join(lines)}")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory that one start with `--once` has made and proved."""
    root = tmp_path_factory.mktemp("glance on rome")
    url = os.environ.get("ROME_GLANCE_URL")
    name = f"command-{os.getpid()}"
    connection = ["--connection", database_url(url, name).render_as_string(hide_password=False)] if url else []
    finished = run("--once", "--state", str(root / "var"), "--port", free_port(), *connection)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "(new)" in finished.stdout and f"{STEPS} of {STEPS} steps" in finished.stdout
    return root / "var"


class TestServer:
    def test_a_second_start_finds_the_images_of_the_first_and_ctrl_c_leaves_no_process_behind(
        self, state: Path
    ) -> None:
        with serving(state) as (process, lines):
            printed = "".join(lines)
            assert "(reused)" in printed and "1 image of an earlier proof" in printed
            started = descendants(process.pid)
            assert len(started) == 1 + WORKERS  # gunicorn's master
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert alive(started) == set()

    def test_a_dead_worker_is_named_and_replaced_and_sigterm_leaves_no_process_behind(self, state: Path) -> None:
        with serving(state) as (process, lines):
            before = descendants(process.pid)
            os.kill(max(before), signal.SIGKILL)
            assert "a worker died" in read_until("a worker died", process, lines)
            deadline = time.monotonic() + 30
            while len(started := descendants(process.pid)) < len(before):
                assert time.monotonic() < deadline, "no worker took its place"
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert alive(started) == set()

    def test_a_server_that_cannot_start_says_why_in_one_line(self, state: Path) -> None:
        configuration = state / "etc" / "glance-api.conf"
        right = configuration.read_text()
        configuration.write_text(right.replace("flavor = trusted", "flavor = none-such"))
        try:
            finished = run("--once", "--state", str(state), "--port", free_port())
        finally:
            configuration.write_text(right)
        assert finished.returncode == 1
        assert "none-such" in one_line(finished)

    def test_a_full_disk_is_one_line(self, state: Path) -> None:
        log = state / "log" / "glance-manage.log"
        log.unlink()
        log.symlink_to("/dev/full")
        try:
            finished = run("--once", "--state", str(state), "--port", free_port())
        finally:
            log.unlink()
        assert finished.returncode == 1
        assert "no space is left" in one_line(finished)


@pytest.mark.servers
class TestStoreWithServer:
    @pytest.mark.parametrize("store", SERVERS)
    def test_a_server_killed_in_service_ends_the_command_and_the_next_start_finds_everything(
        self, store: str, tmp_path: Path
    ) -> None:
        with serving(tmp_path / "var", "--store", store) as (process, lines):
            printed = "".join(lines)
            assert f"connection  rome+{store}://127.0.0.1:" in printed and f"{STEPS} of {STEPS} steps" in printed
            found = re.search(rf"server +{KINDS[store].program} at .* pid (\d+)", printed)
            assert found, printed
            started = descendants(process.pid)
            assert int(found[1]) in started and len(started) == 2 + WORKERS
            os.kill(int(found[1]), signal.SIGKILL)
            assert f"{KINDS[store].program} ended with -9" in read_until("glance-on-rome: ", process, lines)
            assert process.wait(30) == 1
            assert alive(started) == set()
        finished = run("--once", "--state", str(tmp_path / "var"), "--store", store, "--port", free_port())
        assert finished.returncode == 0, finished.stdout + finished.stderr
        assert "(reused)" in finished.stdout and "1 image of an earlier proof" in finished.stdout

    @pytest.mark.parametrize("store", KINDS)
    def test_make_run_installs_the_server_and_names_the_store(self, store: str) -> None:
        told = subprocess.run(
            ["make", "-n", "run", f"STORE={store}"], capture_output=True, text=True, cwd=REPOSITORY, check=True
        )
        assert re.search(rf"tools/servers.py {store}\n.*glance-on-rome --store {store}", told.stdout)


def one_line(finished: subprocess.CompletedProcess[str]) -> str:
    """What it wrote to the error stream, which must be one line and no traceback."""
    assert finished.stderr.startswith("glance-on-rome: ") and finished.stderr.count("\n") == 1, finished.stderr
    return finished.stderr


class TestRefusals:
    def test_a_taken_port(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            finished = run("--once", "--state", str(tmp_path / "var"), "--port", str(port))
        assert finished.returncode == 1
        assert re.search(rf"port {port} .*taken.*--port", one_line(finished))
        assert not (tmp_path / "var").exists()

    def test_a_state_directory_of_another_version(self, tmp_path: Path) -> None:
        (tmp_path / "version").write_text("0\n")
        finished = run("--once", "--state", str(tmp_path), "--port", free_port())
        assert finished.returncode == 1
        assert "layout '0'" in one_line(finished)

    def test_a_state_directory_of_another_store(self, state: Path) -> None:
        finished = run("--once", "--state", str(state), "--store", "redis", "--port", free_port())
        assert finished.returncode == 1
        assert re.search(r"keeps its data at rome\+lmdb.*leave out --store", one_line(finished))

    def test_a_store_and_a_connection_at_once(self, tmp_path: Path) -> None:
        finished = run("--state", str(tmp_path / "var"), "--store", "redis", "--connection", "rome+redis://host/glance")
        assert finished.returncode == 2
        assert "not both" in finished.stderr and not (tmp_path / "var").exists()

    def test_a_directory_that_holds_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "diary.txt").write_text("mine")
        finished = run("--once", "--state", str(tmp_path), "--port", free_port())
        assert finished.returncode == 1
        assert "is not empty" in one_line(finished)
        assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]

    @pytest.mark.parametrize("name", ["100%", "#1", "what?"])
    def test_a_path_that_glance_would_take_for_something_else(self, name: str, tmp_path: Path) -> None:
        finished = run("--once", "--state", str(tmp_path / name), "--port", free_port())
        assert finished.returncode == 1
        assert "without %, # and ?" in one_line(finished)

    def test_a_first_start_that_failed_leaves_nothing_in_the_way_of_the_next(self, tmp_path: Path) -> None:
        var = tmp_path / "var"
        for path in ("/proc/none", "/proc/none-either"):
            finished = run("--once", "--state", str(var), "--connection", f"rome+lmdb:///{path}", "--port", free_port())
            assert finished.returncode == 1
            assert re.search(rf"db sync.*{path}:", one_line(finished))

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("rome+memory:///x", "lives in one process"),
            ("nosuch:///x", "no dialect"),
            ("var/data", "not a SQLAlchemy URL"),
            ("nosuch://admin:secret@host/x", "no dialect"),
        ],
    )
    def test_a_url_that_cannot_serve(self, url: str, reason: str, tmp_path: Path) -> None:
        finished = run("--once", "--state", str(tmp_path / "var"), "--connection", url, "--port", free_port())
        assert finished.returncode == 1
        assert reason in one_line(finished)
        assert "secret" not in finished.stdout + finished.stderr
        assert not (tmp_path / "var").exists()
