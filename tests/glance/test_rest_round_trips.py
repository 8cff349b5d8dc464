"""Round trips of Glance's REST requests to a Redis server, counted on the wire: half of MariaDB's at most."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from glance_compat import schema
from glance_compat.client import Client
from glance_compat.server import serve, wait_until_healthy
from glance_compat.state import finish, prepare
from tests.servers.proxy import Proxy
from tests.servers.redis import FORGETFUL, RedisServer, free_port

pytestmark = [pytest.mark.servers, pytest.mark.serial]

# Measured on MariaDB 10.11 through its own protocol, pings, ROLLBACKs and pool resets included.
MARIADB = {
    "db sync": 224, "db load_metadefs": 1366, "POST": 15, "PUT file": 44, "GET": 8, "list": 4, "PATCH": 37,
    "PUT tag": 33, "member add": 28, "DELETE": 37,
}  # fmt: skip
PATCH = "application/openstack-images-v2.1-json-patch"


class Counter(Proxy):
    """A proxy that counts round trips, for a client that waits for each reply before it asks again."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._trips = 0
        self._asked = False

    def trips(self) -> int:
        """Round trips since the last call of this."""
        trips, self._trips = self._trips, 0
        return trips

    def _request(self, server: socket.socket, data: bytes) -> bool:
        self._trips += not self._asked
        self._asked = True
        return super()._request(server, data)

    def _reply(self, client: socket.socket, data: bytes) -> bool:
        self._asked = False
        return super()._reply(client, data)


class Rest:
    """Requests to a live Glance; each `name` of MARIADB is a method that makes one for an image."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self) -> str:
        body = {
            "id": str(uuid.uuid4()), "name": "image", "disk_format": "raw", "container_format": "bare",
            "visibility": "shared", "first": "1", "second": "2", "third": "3",
        }  # fmt: skip
        return str(self._client.call("POST", "/v2/images", 201, json=body).json()["id"])

    def requests(self) -> dict[str, Callable[[str], Any]]:
        call = self._client.call
        changes = [{"op": "replace", "path": "/name", "value": "new"}, {"op": "add", "path": "/more", "value": "value"}]
        return {
            "POST": lambda image: self.create(),
            "PUT file": lambda image: call(
                "PUT", f"/v2/images/{image}/file", 204, data=b"bytes", content_type="application/octet-stream"
            ),
            "GET": lambda image: call("GET", f"/v2/images/{image}", 200),
            "list": lambda image: call("GET", "/v2/images", 200),
            "PATCH": lambda image: call("PATCH", f"/v2/images/{image}", 200, json=changes, content_type=PATCH),
            "PUT tag": lambda image: call("PUT", f"/v2/images/{image}/tags/tag", 204),
            "member add": lambda image: call("POST", f"/v2/images/{image}/members", 200, json={"member": "friend"}),
            "DELETE": lambda image: call("DELETE", f"/v2/images/{image}", 204),
        }


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Round trips of each command and request, the second time that each was made."""
    directory: Path = tmp_path_factory.mktemp("glance")
    found: dict[str, int] = {}
    with RedisServer(directory / "redis", *FORGETFUL) as redis, Counter(redis.port) as counter:
        port = free_port()
        state = prepare(directory / "state", None, f"rome+redis://127.0.0.1:{counter.port}/glance", port)
        schema.sync(state, lambda: None)
        found["db sync"] = counter.trips()
        schema.load_metadefs(state, lambda: None)
        found["db load_metadefs"] = counter.trips()
        finish(state)
        with serve(state, port, 1, 1) as server:
            wait_until_healthy(server)
            client = Client(server.url, "owner")
            rest = Rest(client)
            for _ in range(2):
                image = rest.create()
                for name, request in rest.requests().items():
                    counter.trips()
                    request(image)
                    found[name] = counter.trips()
            client.close()
        yield found


@pytest.mark.parametrize("name", MARIADB)
def test_a_request_costs_at_most_half_the_round_trips_of_mariadb(costs: dict[str, int], name: str) -> None:
    assert 0 < costs[name] <= MARIADB[name] // 2, costs
