"""The images that the calls are measured on: the same rows, from the same seed, in every database.

Nothing of an image is kept: all of it but the owner is drawn from a digest of its number, again for each database, so
a million images take the memory of a few hundred and any of them is known at once.
"""

from __future__ import annotations

import itertools
import random
import time
import uuid
from array import array
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

import sqlalchemy
from glance.db.sqlalchemy import models

SEED = 20160
FIRST_MOMENT = datetime(2024, 1, 1)
MOMENT_STEP = timedelta(seconds=7)
IMAGES_PER_TRANSACTION = 500
SMALL_TENANT_IMAGES = 20
OTHER_TENANT_IMAGES = 8
BIGGEST, MIDDLING, SMALL = "biggest", "middling", "small"
NAMED_TENANTS = (BIGGEST, MIDDLING, SMALL)  # their codes are their places here
# What is chosen among stands here as often, of a hundred, as it is drawn.
VISIBILITIES = ("private",) * 90 + ("shared",) * 5 + ("public",) * 3 + ("community",) * 2
STATUSES = ("active",) * 88 + ("queued",) * 10 + ("saving", "deactivated")
MEMBER_STATUSES = ("accepted", "accepted", "accepted", "pending")
DISTRIBUTIONS = ("ubuntu", "debian", "fedora", "rocky", "cirros")
DISK_BUSES = ("virtio", "scsi", "ide")
TAGS = tuple(f"tag-{number:02}" for number in range(10))
RARE_PROPERTY = ("os_secure_boot", "only-this-one")
LEAST_SIZE, MOST_SIZE = 1 << 20, 1 << 33
TABLES = ("images", "image_properties", "image_locations", "image_tags", "image_members")
PROGRESS_S = 10.0  # between two lines that say how far a load has come

Row = dict[str, Any]


class Image(NamedTuple):
    """What is drawn for one image; `draw` is 64 bytes from which the rest of it comes."""

    number: int
    id: str
    name: str
    owner: str
    visibility: str
    members: tuple[str, ...]
    draw: bytes


class Catalogue:
    """`images` images with 3 properties, 1 location and 2 tags each.

    Three tenths belong to the tenant `biggest`, a fiftieth (at least 100) to `middling`, 20 to `small`, and 8 to each
    of the others. Every image with visibility `shared` has two members; one in three of the first ones is `middling`.
    Creation times are whole seconds, all different, so every database sorts them alike.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        chance = random.Random(SEED)
        self._owners = array("I", _owners(images))
        self.tenants = max(self._owners) + 1
        chance.shuffle(self._owners)
        self._rare = chance.randrange(images)
        self._of_tenant = {tenant: array("I") for tenant in NAMED_TENANTS}
        for number, code in enumerate(self._owners):
            if code < len(NAMED_TENANTS):
                self._of_tenant[NAMED_TENANTS[code]].append(number)

    def numbers(self, tenant: str) -> array[int]:
        """The images of one of NAMED_TENANTS, oldest first."""
        return self._of_tenant[tenant]

    def image(self, number: int) -> Image:
        draw = _draw(number)
        owner = self._owners[number]
        visibility = VISIBILITIES[int.from_bytes(draw[16:20], "big") % len(VISIBILITIES)]
        members = tuple(map(_tenant, self._members(owner, draw))) if visibility == "shared" else ()
        image_id = str(uuid.UUID(bytes=draw[:16], version=4))
        return Image(number, image_id, f"image-{number:07}", _tenant(owner), visibility, members, draw)

    def image_id(self, number: int) -> str:
        return self.image(number).id

    def shared_image(self, chance: random.Random) -> Image:
        """One with members."""
        while True:
            image = self.image(chance.randrange(self.images))
            if image.members:
                return image

    def _members(self, owner: int, draw: bytes) -> tuple[int, int]:
        """Two tenants that are neither the owner nor each other."""
        first = int.from_bytes(draw[32:36], "big") % (self.tenants - 1) + 1
        middling = NAMED_TENANTS.index(MIDDLING)
        if draw[36] % 3 == 0 and owner != middling:
            first = (middling - owner) % self.tenants
        second = int.from_bytes(draw[37:41], "big") % (self.tenants - 2) + 1
        second += second >= first
        return (owner + first) % self.tenants, (owner + second) % self.tenants

    def rows(self, first: int, end: int) -> dict[str, list[Row]]:
        """The rows of the images `first` to `end`, by table, in an order that foreign keys allow."""
        rows: dict[str, list[Row]] = {table: [] for table in TABLES}
        for number in range(first, end):
            image = self.image(number)
            draw = image.draw
            moment = FIRST_MOMENT + number * MOMENT_STEP
            rows["images"].append(_image_row(image, moment))
            common = {"image_id": image.id, "created_at": moment, "updated_at": moment, "deleted": False}
            properties = (
                ("os_distro", DISTRIBUTIONS[draw[28] % len(DISTRIBUTIONS)]),
                ("hw_disk_bus", DISK_BUSES[draw[29] % len(DISK_BUSES)]),
                RARE_PROPERTY if number == self._rare else ("build", draw[40:48].hex()),
            )
            rows["image_properties"] += [{**common, "name": key, "value": value} for key, value in properties]
            url = f"file:///var/lib/glance/images/{image.id}"
            rows["image_locations"].append({**common, "value": url, "meta_data": {}, "status": "active"})
            tag = draw[30] % len(TAGS)
            other = (tag + 1 + draw[31] % (len(TAGS) - 1)) % len(TAGS)
            rows["image_tags"] += [{**common, "value": TAGS[each]} for each in sorted((tag, other))]
            status = MEMBER_STATUSES[draw[48] % len(MEMBER_STATUSES)]
            rows["image_members"] += [
                {**common, "member": member, "can_share": False, "status": status} for member in image.members
            ]
        return rows


def load(engine: sqlalchemy.Engine, catalogue: Catalogue, say: Callable[[str], None]) -> float:
    """Create Glance's tables in an empty database and fill them, a few hundred images a transaction.

    The seconds that the database took; making the rows is left out.
    """
    models.BASE.metadata.create_all(engine)
    tables = models.BASE.metadata.tables
    inserts = {name: tables[name].insert() for name in TABLES}
    seconds, last = 0.0, time.perf_counter()
    for first in range(0, catalogue.images, IMAGES_PER_TRANSACTION):
        end = min(first + IMAGES_PER_TRANSACTION, catalogue.images)
        rows = catalogue.rows(first, end)
        begun = time.perf_counter()
        with engine.begin() as connection:
            for name, insert in inserts.items():
                if rows[name]:
                    connection.execute(insert, rows[name])
        now = time.perf_counter()
        seconds += now - begun
        if now - last > PROGRESS_S:
            last = now
            say(f"  {end:,} images, {end / seconds:,.0f} a second")
    return seconds


def _owners(images: int) -> Iterator[int]:
    """The code of each image's owner, grouped."""
    biggest = images * 3 // 10
    middling = max(100, images // 50)
    for code, owned in enumerate((biggest, middling, SMALL_TENANT_IMAGES)):
        yield from itertools.repeat(code, owned)
    for number in range(images - biggest - middling - SMALL_TENANT_IMAGES):
        yield len(NAMED_TENANTS) + number // OTHER_TENANT_IMAGES


def _tenant(code: int) -> str:
    return NAMED_TENANTS[code] if code < len(NAMED_TENANTS) else f"tenant-{code:06}"


def _draw(number: int) -> bytes:
    return blake2b(number.to_bytes(8, "big"), key=SEED.to_bytes(8, "big")).digest()


def _image_row(image: Image, moment: datetime) -> Row:
    draw = image.draw
    size = LEAST_SIZE + int.from_bytes(draw[20:28], "big") % (MOST_SIZE - LEAST_SIZE)
    return {
        "id": image.id, "name": image.name, "owner": image.owner, "visibility": image.visibility,
        "status": STATUSES[int.from_bytes(draw[49:53], "big") % len(STATUSES)], "size": size, "virtual_size": size,
        "disk_format": "qcow2", "container_format": "bare", "min_disk": 0, "min_ram": 0, "protected": False,
        "os_hidden": False, "checksum": draw[48:].hex(), "os_hash_algo": "sha512", "os_hash_value": draw.hex(),
        "created_at": moment, "updated_at": moment, "deleted": False, "deleted_at": None,
    }
