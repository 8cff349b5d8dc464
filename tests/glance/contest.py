"""Clients that write the same images at once through two live Glance servers on one store, and what they were told."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from glance_compat import schema
from glance_compat.server import Server, serve, wait_until_healthy
from glance_compat.state import finish, prepare

TENANT = "contest"
OCTETS = "application/octet-stream"
PATCH = "application/openstack-images-v2.1-json-patch"
TIMEOUT_S = 180.0  # without turns Glance itself tries 50 times, half a second apart


@dataclass(frozen=True)
class Answer:
    """What a client was told: `status` of `method` `path`, and the body."""

    client: int
    method: str
    path: str
    status: int
    text: str

    def __str__(self) -> str:
        return f"client {self.client}: {self.method} {self.path} → {self.status} {' '.join(self.text.split())[:300]}"


class Client:
    """One of the contestants: an ordinary member of `TENANT`, who keeps every answer.

    It speaks to the first server of `urls`, and to the second one when a request says `elsewhere`.
    """

    def __init__(self, number: int, urls: Sequence[str]) -> None:
        self.number = number
        self.urls = urls
        self.answers: list[Answer] = []
        self._session = requests.Session()
        self._session.headers.update({"X-Project-Id": TENANT, "X-User-Id": TENANT, "X-Roles": "member,reader"})
        # any process may take the next request; and gunicorn never closes an idle connection just as one arrives
        self._session.headers["Connection"] = "close"

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: bytes | None = None,
        kind: str = "",
        elsewhere: bool = False,
    ) -> Answer:
        """One request; the answer, whatever it is. No answer at all is an error of `requests`."""
        headers = {"Content-Type": kind} if kind else None
        told = self._session.request(
            method, f"{self.urls[elsewhere]}/v2/{path}", json=body, data=data, headers=headers, timeout=TIMEOUT_S
        )
        answer = Answer(self.number, method, path, told.status_code, told.text)
        self.answers.append(answer)
        return answer

    def create(self, name: str, **properties: str) -> str:
        """A new queued image; its id."""
        body = {"name": name, "disk_format": "raw", "container_format": "bare", **properties}
        answer = self.call("POST", "images", body=body)
        assert answer.status == 201, str(answer)
        image_id: str = json.loads(answer.text)["id"]
        return image_id

    def add(self, image_id: str, name: str, value: str) -> Answer:
        """PATCH of an image: one property, set."""
        change = [{"op": "add", "path": f"/{name}", "value": value}]
        return self.call("PATCH", f"images/{image_id}", body=change, kind=PATCH)

    def shown(self, image_id: str, *, elsewhere: bool = False) -> dict[str, Any]:
        """The image as a server shows it."""
        answer = self.call("GET", f"images/{image_id}", elsewhere=elsewhere)
        assert answer.status == 200, str(answer)
        image: dict[str, Any] = json.loads(answer.text)
        image["tags"].sort()  # Glance shows them in no order
        return image

    def close(self) -> None:
        self._session.close()


@dataclass
class Contest:
    """Two servers and the clients, of which every other one speaks to the second server."""

    url: str
    """Of their store."""
    servers: Sequence[Server]
    clients: list[Client] = field(default_factory=list)

    def image(self, image_id: str) -> dict[str, Any]:
        """The image as both servers show it, which must be the same."""
        first, second = (self.clients[0].shown(image_id, elsewhere=elsewhere) for elsewhere in (False, True))
        assert first == second
        return first

    def logged(self) -> str:
        """What both servers have logged."""
        return self.servers[0].log.path.read_text(errors="replace")

    def at_once(self, work: Callable[[Client], object]) -> list[Answer]:
        """Every client does `work`, all starting together; what they were told meanwhile."""
        before = [len(client.answers) for client in self.clients]
        barrier = threading.Barrier(len(self.clients))
        errors: list[BaseException] = []

        def run(client: Client) -> None:
            try:
                barrier.wait()
                work(client)
            except BaseException as error:  # handed to the test below
                errors.append(error)

        threads = [threading.Thread(target=run, args=(client,)) for client in self.clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return [answer for client, seen in zip(self.clients, before, strict=True) for answer in client.answers[seen:]]


def statuses(answers: Sequence[Answer]) -> Counter[int]:
    """How often each status came."""
    return Counter(answer.status for answer in answers)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def contest(url: str, directory: Path, *, clients: int, workers: int, in_turn: bool) -> Iterator[Contest]:
    """Two servers of `workers` processes each on the store at `url`, with one directory of image files.

    They are as `glance-on-rome` starts them; without `in_turn`, changes of one image do not take turns.
    """
    ports = [free_port(), free_port()]
    state = prepare(directory / "glance", None, url, ports[0])
    if not in_turn:
        paste = state.config_dir / "glance-api-paste.ini"
        paste.write_text(paste.read_text().replace(" in_turn rootapp", " rootapp"))
    schema.sync(state, lambda: None)
    finish(state)
    with ExitStack() as stack:
        servers = [stack.enter_context(serve(state, port, workers, threads=4)) for port in ports]
        for server in servers:
            wait_until_healthy(server)
        running = Contest(url, servers)
        for number in range(clients):
            client = Client(number, [servers[number % 2].url, servers[1 - number % 2].url])
            running.clients.append(client)
            stack.callback(client.close)
        yield running
