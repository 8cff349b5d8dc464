"""The calls of Glance's DB API that are measured, through `glance.db.sqlalchemy.api` as Glance ships it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from glance.context import RequestContext

from bench.catalogue import BIGGEST, DISTRIBUTIONS, MIDDLING, MOST_SIZE, RARE_PROPERTY, SMALL, TAGS, Catalogue
from bench.results import Group

PAGE = 25
Arguments = Mapping[str, Any]
Choose = Callable[[Catalogue, random.Random, int], Arguments]


@dataclass(frozen=True)
class Call:
    """One call: `choose` draws its arguments for a round, `run` makes it and returns what it must answer everywhere.

    `group` is what it is judged with, `writes` whether it changes anything. What `run` returns leaves out what may
    differ: numbers that the database draws, and the present time.
    """

    name: str
    group: Group
    choose: Choose
    run: Callable[[ModuleType, Contexts, Arguments], Any]
    writes: bool = False


class Contexts:
    """Request contexts, one a tenant, made once: their making is the web server's business."""

    def __init__(self) -> None:
        self.admin = RequestContext(user_id="admin", project_id="admin", roles=["admin"], is_admin=True)
        self._by_tenant: dict[str, RequestContext] = {}

    def of(self, tenant: str) -> RequestContext:
        if tenant not in self._by_tenant:
            self._by_tenant[tenant] = RequestContext(
                user_id="someone", project_id=tenant, roles=["member"], is_admin=False
            )
        return self._by_tenant[tenant]


# Arguments


def _tenant_image(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
    """An image of the biggest tenant, another each round, with that tenant's context."""
    numbers = catalogue.numbers(BIGGEST)
    image_id = catalogue.image_id(numbers[(number * 7 + 3) % len(numbers)])
    return {"tenant": BIGGEST, "image_id": image_id, "number": number}


def _new_image(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
    return {"tenant": BIGGEST, "image_id": str(uuid.UUID(int=chance.getrandbits(128), version=4))}


def _doomed_image(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
    """An image that no other round destroys: the biggest tenant's, newest first."""
    return {"tenant": BIGGEST, "image_id": catalogue.image_id(catalogue.numbers(BIGGEST)[-1 - number])}


def _shared_image(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
    return {"image_id": catalogue.shared_image(chance).id}


def _fixed(**chosen: Any) -> Choose:
    """Arguments that no round's number changes; functions among them are called with the catalogue and the chance."""

    def choose(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
        return {name: value(catalogue, chance) if callable(value) else value for name, value in chosen.items()}

    return choose


def _page_ten(catalogue: Catalogue, chance: random.Random) -> str:
    """The image after which the tenth page of the biggest tenant begins, its own images alone counted."""
    numbers = catalogue.numbers(BIGGEST)
    return catalogue.image_id(numbers[-min(9 * PAGE, len(numbers) - 1)])


def _half_way(catalogue: Catalogue, chance: random.Random) -> str:
    """The image in the middle of the biggest tenant's: the deeper, the more images there are."""
    numbers = catalogue.numbers(BIGGEST)
    return catalogue.image_id(numbers[len(numbers) // 2])


def _a_name(catalogue: Catalogue, chance: random.Random) -> dict[str, Any]:
    return {"name": catalogue.image(chance.choice(catalogue.numbers(BIGGEST))).name}


def _a_property(catalogue: Catalogue, chance: random.Random) -> dict[str, Any]:
    return {"properties": {"os_distro": chance.choice(DISTRIBUTIONS)}}


def _the_rare_property(catalogue: Catalogue, chance: random.Random) -> dict[str, Any]:
    return {"properties": dict([RARE_PROPERTY])}


def _a_tag(catalogue: Catalogue, chance: random.Random) -> dict[str, Any]:
    return {"tags": [chance.choice(TAGS)]}


def _queued(catalogue: Catalogue, chance: random.Random) -> dict[str, Any]:
    return {"status": "queued"}


def _large(catalogue: Catalogue, chance: random.Random) -> dict[str, Any]:
    return {"size_min": MOST_SIZE // 8 * 7, "size_max": MOST_SIZE}


def _shared(catalogue: Catalogue, chance: random.Random) -> dict[str, Any]:
    return {"visibility": "shared"}


# Calls


def _list(api: ModuleType, contexts: Contexts, given: Arguments) -> list[Any]:
    """A page as the REST server asks for it: newest first, ties broken by id."""
    context = contexts.of(given["tenant"]) if "tenant" in given else contexts.admin
    filters = {"deleted": False, "os_hidden": False, **given.get("filters", {})}
    page = api.image_get_all(
        context,
        filters=filters,
        marker=given.get("marker"),
        limit=PAGE,
        sort_key=["created_at", "id"],
        sort_dir=["desc", "desc"],
        member_status=given.get("member_status", "accepted"),
        return_tag=True,
    )
    return [_described(image) for image in page]


def _described(image: Any) -> Any:
    """What an image must be like in every database."""
    return (
        image["id"],
        image["name"],
        sorted((each["name"], each["value"]) for each in image["properties"] if not each["deleted"]),
        sorted(each["url"] for each in image["locations"]),
        sorted(each if isinstance(each, str) else each["value"] for each in image.get("tags", ())),
    )


def _get(api: ModuleType, contexts: Contexts, given: Arguments) -> Any:
    return _described(api.image_get(contexts.of(given["tenant"]), given["image_id"]))


def _tags(api: ModuleType, contexts: Contexts, given: Arguments) -> list[str]:
    return sorted(api.image_tag_get_all(contexts.of(given["tenant"]), given["image_id"]))


def _members(api: ModuleType, contexts: Contexts, given: Arguments) -> Any:
    found = api.image_member_find(contexts.admin, image_id=given["image_id"])
    return sorted((each["member"], each["status"]) for each in found)


def _member_count(api: ModuleType, contexts: Contexts, given: Arguments) -> int:
    return int(api.image_member_count(contexts.admin, given["image_id"]))


def _image_count(api: ModuleType, contexts: Contexts, given: Arguments) -> int:
    return int(api.user_get_image_count(contexts.of(given["tenant"]), given["tenant"]))


def _uploading_count(api: ModuleType, contexts: Contexts, given: Arguments) -> int:
    return int(api.user_get_uploading_count(contexts.of(given["tenant"]), given["tenant"]))


def _usage(api: ModuleType, contexts: Contexts, given: Arguments) -> int:
    return int(api.user_get_storage_usage(contexts.of(given["tenant"]), given["tenant"]))


def _create(api: ModuleType, contexts: Contexts, given: Arguments) -> Any:
    values = {
        "id": given["image_id"], "name": "created", "status": "queued", "visibility": "private",
        "owner": given["tenant"], "disk_format": "qcow2", "container_format": "bare", "min_disk": 0, "min_ram": 0,
        "properties": {"os_distro": "ubuntu", "hw_disk_bus": "virtio", "build": "created"},
    }
    return _described(api.image_create(contexts.of(given["tenant"]), values))


def _update(api: ModuleType, contexts: Contexts, given: Arguments) -> Any:
    changed = {"name": f"updated-{given['number']}", "properties": {"os_distro": "gentoo", "build": "updated"}}
    return _described(api.image_update(contexts.of(given["tenant"]), given["image_id"], changed))


def _set_property(api: ModuleType, contexts: Contexts, given: Arguments) -> None:
    api.image_set_property_atomic(given["image_id"], f"import-lock-{given['number']}", "taken")


def _set_tags(api: ModuleType, contexts: Contexts, given: Arguments) -> None:
    api.image_tag_set_all(contexts.of(given["tenant"]), given["image_id"], ["first", "second"])


def _add_location(api: ModuleType, contexts: Contexts, given: Arguments) -> None:
    location = {"url": f"file:///second/{given['image_id']}", "metadata": {}, "status": "active"}
    api.image_location_add(contexts.of(given["tenant"]), given["image_id"], location)


def _destroy(api: ModuleType, contexts: Contexts, given: Arguments) -> str:
    return str(api.image_destroy(contexts.of(given["tenant"]), given["image_id"])["id"])


# Reading calls first: those that write make databases differ in the present time, which some keep less finely.
CALLS = (
    Call("image_get", "point", _tenant_image, _get),
    Call("tags of an image", "point", _tenant_image, _tags),
    Call("member find, by image", "point", _shared_image, _members),
    Call("member count, by image", "point", _shared_image, _member_count),
    Call("image count, small tenant", "point", _fixed(tenant=SMALL), _image_count),
    Call("image count, biggest tenant", "point", _fixed(tenant=BIGGEST), _image_count),
    Call("uploading count, biggest tenant", "point", _fixed(tenant=BIGGEST), _uploading_count),
    Call("user_get_storage_usage, 20 images", "point", _fixed(tenant=SMALL), _usage),
    Call("list 25, small tenant", "list", _fixed(tenant=SMALL), _list),
    Call("list 25, middling tenant", "list", _fixed(tenant=MIDDLING), _list),
    Call("list 25, biggest tenant", "list", _fixed(tenant=BIGGEST), _list),
    Call("list 25, admin", "list", _fixed(), _list),
    Call("page 10, biggest tenant", "list", _fixed(tenant=BIGGEST, marker=_page_ten), _list),
    Call("page half way, biggest tenant", "list", _fixed(tenant=BIGGEST, marker=_half_way), _list),
    Call("name filter, biggest tenant", "list", _fixed(tenant=BIGGEST, filters=_a_name), _list),
    Call("status filter, biggest tenant", "list", _fixed(tenant=BIGGEST, filters=_queued), _list),
    Call("size filter, biggest tenant", "list", _fixed(tenant=BIGGEST, filters=_large), _list),
    Call("property filter, middling tenant", "list", _fixed(tenant=MIDDLING, filters=_a_property), _list),
    Call("rare property, admin", "list", _fixed(filters=_the_rare_property), _list),
    Call("tag filter, middling tenant", "list", _fixed(tenant=MIDDLING, filters=_a_tag), _list),
    Call(
        "member filter, middling tenant", "list",
        _fixed(tenant=MIDDLING, filters=_shared, member_status="pending"), _list,
    ),
    Call("location_add", "point", _tenant_image, _add_location, writes=True),
    Call("image_set_property_atomic", "point", _tenant_image, _set_property, writes=True),
    Call("image_create, 3 properties", "change", _new_image, _create, writes=True),
    Call("image_update, 2 properties", "change", _tenant_image, _update, writes=True),
    Call("tag_set_all", "change", _tenant_image, _set_tags, writes=True),
    Call("image_destroy", "change", _doomed_image, _destroy, writes=True),
)  # fmt: skip
