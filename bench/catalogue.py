"""The images that the calls are measured on: the same rows, from the same seed, in every database."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy
from glance.db.sqlalchemy import models

SEED = 20160
FIRST_MOMENT = datetime(2024, 1, 1)
MOMENT_STEP = timedelta(seconds=7)
ROWS_PER_STATEMENT = 500
SMALL_TENANT_IMAGES = 20
OTHER_TENANT_IMAGES = 8
VISIBILITIES = ("private", "public", "shared", "community")
VISIBILITY_WEIGHTS = (90, 3, 5, 2)
DISTRIBUTIONS = ("ubuntu", "debian", "fedora", "centos", "rocky", "alma", "suse", "arch", "alpine", "cirros")
TAGS = tuple(f"tag-{number:02}" for number in range(20))
RARE_PROPERTY = ("os_secure_boot", "only-this-one")

Row = dict[str, Any]


@dataclass(frozen=True)
class Catalogue:
    """What the calls choose their arguments from.

    `of_tenant` holds image ids by tenant, oldest first; `shared` the (image id, member) pairs.
    """

    images: int
    biggest: str
    middling: str
    small: str
    of_tenant: dict[str, list[str]]
    names: dict[str, str]
    shared: list[tuple[str, str]]
    rows: dict[str, list[Row]] = field(repr=False)  # by table, in an order that foreign keys allow


def make_catalogue(images: int) -> Catalogue:
    """A catalogue of `images` images: 3 properties, 1 location and 2 tags each.

    Three tenths belong to the biggest tenant, a fiftieth (at least 30) to the middling one, 20 to the small one, and 8
    to each of the others. Creation times are whole seconds, all different, so every database sorts them alike.
    """
    chance = random.Random(SEED)
    owners = list(_owners(images))
    chance.shuffle(owners)
    tenants = sorted(set(owners))
    rows: dict[str, list[Row]] = {
        "images": [], "image_properties": [], "image_locations": [], "image_tags": [], "image_members": [],
    }
    of_tenant: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    shared: list[tuple[str, str]] = []
    rare = chance.randrange(images)
    for number, owner in enumerate(owners):
        image_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        moment = FIRST_MOMENT + number * MOMENT_STEP
        visibility = chance.choices(VISIBILITIES, VISIBILITY_WEIGHTS)[0]
        name = f"image-{number:06}"
        of_tenant.setdefault(owner, []).append(image_id)
        names[image_id] = name
        rows["images"].append(_image(image_id, name, owner, visibility, moment, chance))
        common = {"image_id": image_id, "created_at": moment, "updated_at": moment, "deleted": False}
        properties = [
            ("os_distro", chance.choice(DISTRIBUTIONS)),
            ("hw_disk_bus", chance.choice(("virtio", "scsi", "ide"))),
            RARE_PROPERTY if number == rare else ("build", f"{chance.getrandbits(64):016x}"),
        ]
        rows["image_properties"] += [{**common, "name": key, "value": value} for key, value in properties]
        url = f"file:///var/lib/glance/images/{image_id}"
        rows["image_locations"].append({**common, "value": url, "meta_data": {}, "status": "active"})
        rows["image_tags"] += [{**common, "value": tag} for tag in sorted(chance.sample(TAGS, 2))]
        if visibility == "shared":
            for member in chance.sample([tenant for tenant in tenants if tenant != owner], 2):
                shared.append((image_id, member))
                rows["image_members"].append(
                    {**common, "member": member, "can_share": False, "status": "accepted"}
                )
    return Catalogue(images, "biggest", "middling", "small", of_tenant, names, shared, rows)


def load(engine: sqlalchemy.Engine, catalogue: Catalogue) -> None:
    """Create Glance's tables in an empty database and fill them, one transaction a batch."""
    models.BASE.metadata.create_all(engine)
    tables = models.BASE.metadata.tables
    for table, rows in catalogue.rows.items():
        batches = iter(rows)
        while batch := list(itertools.islice(batches, ROWS_PER_STATEMENT)):
            with engine.begin() as connection:
                connection.execute(tables[table].insert(), batch)


def _owners(images: int) -> Iterator[str]:
    """The owner of each image, grouped."""
    biggest = images * 3 // 10
    middling = max(30, images // 50)
    yield from itertools.repeat("biggest", biggest)
    yield from itertools.repeat("middling", middling)
    yield from itertools.repeat("small", SMALL_TENANT_IMAGES)
    for number in range(images - biggest - middling - SMALL_TENANT_IMAGES):
        yield f"tenant-{number // OTHER_TENANT_IMAGES:05}"


def _image(
    image_id: str, name: str, owner: str, visibility: str, moment: datetime, chance: random.Random
) -> Row:
    size = chance.randrange(1 << 20, 1 << 33)
    return {
        "id": image_id, "name": name, "owner": owner, "visibility": visibility, "status": "active", "size": size,
        "virtual_size": size, "disk_format": "qcow2", "container_format": "bare", "min_disk": 0, "min_ram": 0,
        "protected": False, "os_hidden": False, "checksum": f"{chance.getrandbits(128):032x}",
        "os_hash_algo": "sha512", "os_hash_value": f"{chance.getrandbits(512):0128x}",
        "created_at": moment, "updated_at": moment, "deleted": False, "deleted_at": None,
    }
