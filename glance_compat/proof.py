"""The proof that a server works: an image's whole life over HTTP, by two tenants, each step timed.

Steps run in order and each builds on the ones before; the first that does not hold ends the proof. What the proof
makes it deletes, but for one shared image, so that there is something to look at afterwards; the image that an earlier
proof left is deleted by the next.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from glance_compat.client import Client, Upload
from glance_compat.failure import Failure

UPLOAD_BYTES = 8 * 1024 * 1024
MARK = "glance-on-rome"
OWNER, MEMBER = "blue", "green"
IMPORT_TIMEOUT_S = 60.0
OCTETS = "application/octet-stream"
PATCH = "application/openstack-images-v2.1-json-patch"
SMALL = {"disk_format": "raw", "container_format": "bare"}


@dataclass(frozen=True)
class Step:
    """One step that held: what was done, what was seen, how long its requests took in all."""

    name: str
    seen: str
    milliseconds: float


@dataclass
class Proof:
    """Run it with `run()`; `image_id` is the image that stays. `advance` is told how many bytes were uploaded."""

    url: str
    advance: Callable[[int], None]
    image_id: str = ""
    _created: list[str] = field(default_factory=list)
    _owner: Client = field(init=False)
    _member: Client = field(init=False)

    def run(self) -> Iterator[Step]:
        """Yield each step when it has held. Raises `Failure`, naming the step that did not."""
        with _clients(self.url) as (self._owner, self._member):
            for name, step in self._steps():
                started = time.perf_counter()
                try:
                    seen = step()
                except Failure as failure:
                    raise Failure(f"{name}: {failure}") from None
                yield Step(name, seen, (time.perf_counter() - started) * 1000)

    def _steps(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        return (
            ("read what is there", self._read_what_is_there),
            ("create an image", self._create),
            ("upload 8 MiB", self._upload),
            ("download it, compare", self._download),
            ("tag it", self._tag),
            ("add properties", self._add_properties),
            ("share it with a second tenant", self._share),
            ("accept it as the second tenant", self._accept),
            ("create six more", self._create_more),
            ("list in pages, sorted", self._list_in_pages),
            ("list filtered", self._list_filtered),
            ("list as the second tenant", self._list_as_member),
            ("deactivate", self._deactivate),
            ("reactivate", self._reactivate),
            ("import through a task", self._import),
            ("read metadata definitions", self._read_metadefs),
            ("delete all but one", self._delete),
        )

    def _read_what_is_there(self) -> str:
        images = self._list(self._owner, tag=MARK)
        self._created += [image["id"] for image in images]
        return f"{len(images)} image{'' if len(images) == 1 else 's'} of an earlier proof"

    def _create(self) -> str:
        body = {"name": f"{MARK}-{uuid.uuid4().hex[:8]}", **SMALL}
        image = self._owner.call("POST", "/v2/images", 201, json=body).json()
        self.image_id = image["id"]
        _check(image["status"] == "queued", f"a new image is {image['status']}")
        return f"{self.image_id}, queued"

    def _upload(self) -> str:
        upload = Upload(UPLOAD_BYTES, self.advance)
        self._owner.call("PUT", f"/v2/images/{self.image_id}/file", 204, data=upload, content_type=OCTETS)
        image = self._get(self._owner)
        _check(image["status"] == "active" and image["size"] == UPLOAD_BYTES, f"it is {image['status']}")
        return f"active, {image['size']} bytes"

    def _download(self) -> str:
        content = self._owner.call("GET", f"/v2/images/{self.image_id}/file", 200).content
        digest = hashlib.sha512(content).hexdigest()
        _check(digest == hashlib.sha512(Upload.content(UPLOAD_BYTES)).hexdigest(), "other bytes came back")
        _check(digest == self._get(self._owner)["os_hash_value"], "its os_hash_value is of other bytes")
        return f"sha512 {digest[:12]}… as uploaded and as recorded"

    def _tag(self) -> str:
        for tag in (MARK, "spare"):
            self._owner.call("PUT", f"/v2/images/{self.image_id}/tags/{tag}", 204)
        self._owner.call("DELETE", f"/v2/images/{self.image_id}/tags/spare", 204)
        tags = self._get(self._owner)["tags"]
        _check(tags == [MARK], f"its tags are {tags}")
        return ", ".join(tags)

    def _add_properties(self) -> str:
        properties = {"os_distro": "rome", "hw_disk_bus": "virtio", "motto": "Vires acquirit eundo"}
        changes = [{"op": "add", "path": f"/{name}", "value": value} for name, value in properties.items()]
        image = self._owner.call("PATCH", f"/v2/images/{self.image_id}", 200, json=changes, content_type=PATCH).json()
        _check(all(image[name] == value for name, value in properties.items()), "a property is missing")
        return ", ".join(properties)

    def _share(self) -> str:
        self._member.call("GET", f"/v2/images/{self.image_id}", 404)
        path = f"/v2/images/{self.image_id}/members"
        member = self._owner.call("POST", path, 200, json={"member": MEMBER}).json()
        _check(member["status"] == "pending", f"the membership is {member['status']}")
        return f"{OWNER} → {MEMBER}, pending"

    def _accept(self) -> str:
        path = f"/v2/images/{self.image_id}/members/{MEMBER}"
        member = self._member.call("PUT", path, 200, json={"status": "accepted"}).json()
        _check(member["status"] == "accepted", f"the membership is {member['status']}")
        return "accepted"

    def _create_more(self) -> str:
        for number in range(6):
            body = {"name": f"{MARK}-{number}", "tags": [MARK], "os_distro": "rome" if number % 2 else "other", **SMALL}
            self._created.append(self._owner.call("POST", "/v2/images", 201, json=body).json()["id"])
        return "6 queued images"

    def _list_in_pages(self) -> str:
        names: list[str] = []
        path = f"/v2/images?limit=2&sort=name:asc&tag={MARK}"
        pages = 0
        while path:
            page = self._owner.call("GET", path, 200).json()
            names += [image["name"] for image in page["images"]]
            pages += bool(page["images"])
            path = page.get("next", "")
        _check(len(names) == len(self._created) + 1, f"{len(names)} of {len(self._created) + 1} images came")
        _check(names == sorted(names), f"the names are not sorted: {names}")
        return f"{len(names)} images in {pages} pages"

    def _list_filtered(self) -> str:
        found = {image["id"] for image in self._list(self._owner, tag=MARK, os_distro="rome", status="queued")}
        _check(len(found) == 3, f"{len(found)} images have the property and the status, 3 were due")
        return "tag, property and status: 3 images"

    def _list_as_member(self) -> str:
        shared = {image["id"] for image in self._list(self._member, visibility="shared", member_status="accepted")}
        _check(self.image_id in shared, "the shared image is not in the list")
        seen = {image["id"] for image in self._list(self._member, tag=MARK)}
        _check(seen <= shared, f"it sees {len(seen - shared)} images that are not shared with it")
        return f"{len(shared)} shared, the owner's others hidden"

    def _deactivate(self) -> str:
        self._owner.call("POST", f"/v2/images/{self.image_id}/actions/deactivate", 204)
        self._member.call("GET", f"/v2/images/{self.image_id}/file", 403)
        return "a download is refused"

    def _reactivate(self) -> str:
        self._owner.call("POST", f"/v2/images/{self.image_id}/actions/reactivate", 204)
        self._member.call("GET", f"/v2/images/{self.image_id}/file", 200)
        return "the second tenant downloads it"

    def _import(self) -> str:
        image_id = self._owner.call("POST", "/v2/images", 201, json={"name": f"{MARK}-import", **SMALL}).json()["id"]
        self._created.append(image_id)
        staged = Upload(64 * 1024, lambda count: None)
        self._owner.call("PUT", f"/v2/images/{image_id}/stage", 204, data=staged, content_type=OCTETS)
        body = {"method": {"name": "glance-direct"}}
        self._owner.call("POST", f"/v2/images/{image_id}/import", 202, json=body)
        deadline = time.monotonic() + IMPORT_TIMEOUT_S
        while (status := self._get(self._owner, image_id)["status"]) != "active":
            _check(time.monotonic() < deadline, f"the image is still {status} after {IMPORT_TIMEOUT_S:.0f} s")
            time.sleep(0.05)
        tasks = self._owner.call("GET", f"/v2/images/{image_id}/tasks", 200).json()["tasks"]
        return f"active, by {len(tasks)} task"

    def _read_metadefs(self) -> str:
        namespaces = self._owner.call("GET", "/v2/metadefs/namespaces", 200, params={"limit": 10}).json()["namespaces"]
        _check(len(namespaces) == 10, f"{len(namespaces)} namespaces on a page of 10")
        return "a page of 10 namespaces"

    def _delete(self) -> str:
        for image_id in self._created:
            self._owner.call("DELETE", f"/v2/images/{image_id}", 204)
            self._owner.call("GET", f"/v2/images/{image_id}", 404)
        left = [image["id"] for image in self._list(self._owner, tag=MARK)]
        _check(left == [self.image_id], f"{len(left)} images are left")
        return f"{len(self._created)} deleted, one left"

    def _get(self, client: Client, image_id: str = "") -> dict[str, Any]:
        image: dict[str, Any] = client.call("GET", f"/v2/images/{image_id or self.image_id}", 200).json()
        return image

    def _list(self, client: Client, **filters: str) -> list[dict[str, str]]:
        images: list[dict[str, str]] = client.call("GET", "/v2/images", 200, params={"limit": 1000, **filters}).json()[
            "images"
        ]
        return images


@contextmanager
def _clients(url: str) -> Iterator[tuple[Client, Client]]:
    owner, member = Client(url, OWNER), Client(url, MEMBER)
    try:
        yield owner, member
    finally:
        owner.close()
        member.close()


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failure(otherwise)
