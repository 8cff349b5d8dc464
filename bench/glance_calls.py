"""The calls of Glance's DB API that are measured, through `glance.db.sqlalchemy.api` as Glance ships it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from glance.context import RequestContext

from bench.catalogue import DISTRIBUTIONS, RARE_PROPERTY, TAGS, Catalogue

PAGE = 25
Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One call: `choose` draws its arguments for a round, `run` makes it and returns what it must answer everywhere.

    `writes` says whether it changes anything. What `run` returns leaves out what may differ: numbers that the database
    draws, and the present time.
    """

    name: str
    choose: Callable[[Catalogue, random.Random, int], Arguments]
    run: Callable[[ModuleType, Contexts, Arguments], Any]
    writes: bool = False


class Contexts:
    """Request contexts, one a tenant, made once: their making is the web server's business."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.admin = RequestContext(user_id="admin", project_id="admin", roles=["admin"], is_admin=True)
        self._by_tenant: dict[str, RequestContext] = {}

    def of(self, tenant: str) -> RequestContext:
        if tenant not in self._by_tenant:
            self._by_tenant[tenant] = RequestContext(
                user_id="someone", project_id=tenant, roles=["member"], is_admin=False
            )
        return self._by_tenant[tenant]


def _tenant_image(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
    """An image of the biggest tenant, another each round, with that tenant's context."""
    images = catalogue.of_tenant[catalogue.biggest]
    return {"tenant": catalogue.biggest, "image_id": images[(number * 7 + 3) % len(images)], "number": number}


def _new_image(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
    return {"tenant": catalogue.biggest, "image_id": str(uuid.UUID(int=chance.getrandbits(128), version=4))}


def _doomed_image(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
    """An image that no other round destroys: the biggest tenant's, newest first."""
    return {"tenant": catalogue.biggest, "image_id": catalogue.of_tenant[catalogue.biggest][-1 - number]}


def _listing(**chosen: Any) -> Callable[[Catalogue, random.Random, int], Arguments]:
    """Arguments of image_get_all; values that are functions are called with the catalogue and the chance."""

    def choose(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
        return {name: value(catalogue, chance) if callable(value) else value for name, value in chosen.items()}

    return choose


def _page_ten(catalogue: Catalogue, chance: random.Random) -> str:
    """The image after which the tenth page of the biggest tenant begins, its own images alone counted."""
    images = catalogue.of_tenant[catalogue.biggest]
    return images[-min(9 * PAGE, len(images) - 1)]


def _list(api: ModuleType, contexts: Contexts, given: Arguments) -> list[str]:
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


def _members(api: ModuleType, contexts: Contexts, given: Arguments) -> Any:
    found = api.image_member_find(contexts.admin, image_id=given["image_id"])
    return sorted((each["member"], each["status"]) for each in found)


def _set_tags(api: ModuleType, contexts: Contexts, given: Arguments) -> None:
    api.image_tag_set_all(contexts.of(given["tenant"]), given["image_id"], ["first", "second"])


def _add_location(api: ModuleType, contexts: Contexts, given: Arguments) -> None:
    location = {"url": f"file:///second/{given['image_id']}", "metadata": {}, "status": "active"}
    api.image_location_add(contexts.of(given["tenant"]), given["image_id"], location)


def _usage(api: ModuleType, contexts: Contexts, given: Arguments) -> int:
    return int(api.user_get_storage_usage(contexts.of(given["tenant"]), given["tenant"]))


def _destroy(api: ModuleType, contexts: Contexts, given: Arguments) -> str:
    return str(api.image_destroy(contexts.of(given["tenant"]), given["image_id"])["id"])


def _shared(catalogue: Catalogue, chance: random.Random, number: int) -> Arguments:
    return {"image_id": chance.choice(catalogue.shared)[0]}


def _property_filter(catalogue: Catalogue, chance: random.Random) -> dict[str, Any]:
    return {"properties": {"os_distro": chance.choice(DISTRIBUTIONS)}}


def _name_filter(catalogue: Catalogue, chance: random.Random) -> dict[str, Any]:
    return {"name": catalogue.names[chance.choice(catalogue.of_tenant[catalogue.biggest])]}


# Reading calls first: those that write make databases differ in the present time, which some keep less finely.
CALLS = (
    Call("image_get", _tenant_image, _get),
    Call("list 25, middling tenant", _listing(tenant="middling"), _list),
    Call("list 25, biggest tenant", _listing(tenant="biggest"), _list),
    Call("list 25, admin", _listing(), _list),
    Call("page 10, biggest tenant", _listing(tenant="biggest", marker=_page_ten), _list),
    Call("property filter, middling tenant", _listing(tenant="middling", filters=_property_filter), _list),
    Call(
        "rare property, admin",
        _listing(filters=lambda catalogue, chance: {"properties": dict([RARE_PROPERTY])}),
        _list,
    ),
    Call(
        "tag filter, middling tenant",
        _listing(tenant="middling", filters=lambda catalogue, chance: {"tags": [chance.choice(TAGS)]}),
        _list,
    ),
    Call("name filter, biggest tenant", _listing(tenant="biggest", filters=_name_filter), _list),
    Call("member find, by image", _shared, _members),
    Call("user_get_storage_usage, 20 images", lambda catalogue, chance, number: {"tenant": catalogue.small}, _usage),
    Call("image_create, 3 properties", _new_image, _create, writes=True),
    Call("image_update, 2 properties", _tenant_image, _update, writes=True),
    Call("tag_set_all", _tenant_image, _set_tags, writes=True),
    Call("location_add", _tenant_image, _add_location, writes=True),
    Call("image_destroy", _doomed_image, _destroy, writes=True),
)
