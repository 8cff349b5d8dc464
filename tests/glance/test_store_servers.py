"""The private server of a state directory's store: one at a time, none left behind, and its data stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from glance_compat.failure import Failure
from glance_compat.stores import HOST, KINDS, Kind, Place, new_place, recorded_place, remember, serve_store
from tests.junit import REPOSITORY

pytestmark = pytest.mark.servers

SERVE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from glance_compat.stores import recorded_place, serve_store
place = recorded_place(Path(sys.argv[1]), sys.argv[2])
with serve_store(place, print) as server:
    print(server.process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=sorted(KINDS))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a new server of each kind is to be."""
    (tmp_path / "log").mkdir()
    place = new_place(request.param, tmp_path)
    remember(place)
    return place


def answers(place: Place) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, place.port)) == 0


def silent(line: str) -> None:
    raise AssertionError(f"nothing was to be said, and it said: {line}")


def test_a_server_is_ready_when_it_is_handed_over_and_gone_afterwards(place: Place) -> None:
    with serve_store(place, silent) as server:
        assert answers(place) and server.process.poll() is None
    assert not answers(place) and server.process.poll() is not None


def test_a_server_killed_in_service_has_kept_everything_it_acknowledged(
    place: Place, put: Callable[[Place], None], kept: Callable[[Place], bool]
) -> None:
    with serve_store(place, silent) as server:
        put(place)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    with serve_store(place, silent):
        assert kept(place)


def test_a_second_command_on_the_same_state_is_refused_and_the_first_goes_on(place: Place) -> None:
    with serve_store(place, silent):
        refused = pytest.raises(Failure, match="another glance-on-rome runs .*--connection rome")
        with refused, serve_store(place, silent):
            pass
        assert answers(place)


def test_a_server_left_behind_by_a_killed_command_is_named_and_stopped_and_a_new_one_started(place: Place) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", SERVE_AND_DIE, str(place.root), place.url],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "lib"), str(REPOSITORY)])},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left_behind = int(killed.stdout)
    assert answers(place)
    said: list[str] = []
    with serve_store(place, said.append) as server:
        assert server.process.pid != left_behind and answers(place)
    assert len(said) == 1 and f"pid {left_behind}" in said[0]
    assert not answers(place)


def test_the_process_id_of_something_else_is_left_alone(place: Place) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        place.pid_file.write_text(f"{other.pid}\n")
        with serve_store(place, silent):
            assert other.poll() is None


def test_a_taken_port_is_one_line(place: Place) -> None:
    refused = pytest.raises(Failure, match=f"port {place.port} .* is taken: .*server")
    with socket.create_server((HOST, place.port)), refused, serve_store(place, silent):
        pass


def test_a_server_that_cannot_start_says_why(place: Place) -> None:
    place.data.mkdir()
    for name in ("appendonlydir", "member"):
        (place.data / name).write_text("in the way")
    refused = pytest.raises(Failure, match=rf"{place.kind.program} exited with \d+ at its start: .*see {place.log}")
    with refused, serve_store(place, silent):
        pass
    assert not place.pid_file.exists()


def test_a_missing_program_is_one_line_that_installs_it(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match=rf"apt-get install {place.kind.package}.*--connection") as refused:
        new_place(place.kind.name, tmp_path)
    assert "\n" not in str(refused.value)


def test_the_next_place_is_on_another_port_while_the_first_is_served(place: Place, tmp_path: Path) -> None:
    with serve_store(place, silent):
        assert new_place(place.kind.name, tmp_path).port != place.port


class TestRecord:
    def test_a_connection_that_was_led_elsewhere_starts_no_server(self, place: Place) -> None:
        assert recorded_place(place.root, place.url) == place
        assert recorded_place(place.root, f"rome+{place.kind.name}://{HOST}:1/glance") is None

    def test_a_state_without_a_record_has_no_server(self, tmp_path: Path) -> None:
        assert recorded_place(tmp_path, "rome+lmdb:////data") is None

    def test_a_record_that_cannot_be_read_is_one_line(self, place: Place) -> None:
        place.record.write_text("a redis somewhere\n")
        with pytest.raises(Failure, match="does not say which server"):
            recorded_place(place.root, place.url)


def _speak(place: Place, *lines: bytes) -> bytes:
    with socket.create_connection((HOST, place.port), timeout=10) as connection:
        connection.sendall(b"\r\n".join([*lines, b""]))
        connection.settimeout(10)
        return connection.recv(4096)


def _post(place: Place, path: str, body: bytes) -> bytes:
    return _speak(place, b"POST /v3/kv/%s HTTP/1.0" % path.encode(), b"Content-Length: %d" % len(body), b"", body)


def _put(kind: Kind) -> Callable[[Place], None]:
    if kind.name == "redis":
        return lambda place: _check(_speak(place, b"SET k v").startswith(b"+OK"))
    return lambda place: _check(b"revision" in _post(place, "put", b'{"key": "aw==", "value": "dg=="}'))


def _kept(kind: Kind) -> Callable[[Place], bool]:
    if kind.name == "redis":
        return lambda place: _speak(place, b"GET k") == b"$1\r\nv\r\n"
    return lambda place: b'"value":"dg=="' in _post(place, "range", b'{"key": "aw=="}')


def _check(holds: bool) -> None:
    assert holds


@pytest.fixture
def put(place: Place) -> Callable[[Place], None]:
    """Writes one key, and has it acknowledged."""
    return _put(place.kind)


@pytest.fixture
def kept(place: Place) -> Callable[[Place], bool]:
    """Whether that key is there."""
    return _kept(place.kind)
