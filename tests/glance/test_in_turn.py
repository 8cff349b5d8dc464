"""Changes of one image take turns through `glance_compat.in_turn`, and nothing else waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg
from oslo_db import options

from glance_compat.in_turn import changed_image, filter_factory
from tests.glance.stores import EVERY_STORE, glance_store

IMAGE = "9a1b6ad5-7d1e-4d5c-8f6e-0f7a7c1f3b11"
OTHER = "1c0ffee0-7d1e-4d5c-8f6e-0f7a7c1f3b11"


@pytest.fixture(params=EVERY_STORE)
def configured(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Glance's configuration names a store of each kind."""
    cfg.CONF.register_opts(options.database_opts, "database")
    with glance_store(request.param, tmp_path) as url:
        cfg.CONF.set_override("connection", url, "database")
        yield
        cfg.CONF.clear_override("connection", "database")


class Glance:
    """An application whose request on `IMAGE` stays inside until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.entered.release()
        if IMAGE in environ["PATH_INFO"]:
            assert self.let_go.wait(30)
        return [b"answered"]


def request(app: Callable[..., Any], method: str, path: str) -> Iterable[bytes]:
    answer: Iterable[bytes] = app({"REQUEST_METHOD": method, "PATH_INFO": path}, lambda status, headers: None)
    return answer


def test_a_change_waits_for_another_server_to_answer_one_of_the_same_image(configured: None) -> None:
    glance = Glance()
    with ExitStack() as stack:
        servers = [stack.enter_context(closing(filter_factory({})(glance))) for _ in range(2)]
        threads = [
            threading.Thread(target=request, args=(server, "PATCH", f"/v2/images/{IMAGE}"), daemon=True)
            for server in servers
        ]
        for thread in threads:
            thread.start()
        assert glance.entered.acquire(timeout=30)
        assert not glance.entered.acquire(timeout=0.3)
        glance.let_go.set()
        assert glance.entered.acquire(timeout=30)
        for thread in threads:
            thread.join(30)


def test_reading_uploading_and_other_images_do_not_wait(configured: None) -> None:
    glance = Glance()
    with closing(filter_factory({})(glance)) as server:
        holder = threading.Thread(target=request, args=(server, "PUT", f"/v2/images/{IMAGE}/tags/one"), daemon=True)
        holder.start()
        assert glance.entered.acquire(timeout=30)
        assert request(server, "PATCH", f"/v2/images/{OTHER}") == [b"answered"]
        assert request(server, "POST", "/v2/images") == [b"answered"]
        glance.let_go.set()
        holder.join(30)


@pytest.mark.parametrize(
    ("method", "path", "image_id"),
    [
        ("PATCH", f"/v2/images/{IMAGE}", IMAGE),
        ("DELETE", f"/v2/images/{IMAGE.upper()}", IMAGE),
        ("PUT", f"/v2/images/{IMAGE}/tags/file", IMAGE),
        ("POST", f"/v2.9/images/{IMAGE}/members", IMAGE),
        ("POST", f"/v2/images/{IMAGE}/actions/deactivate", IMAGE),
        ("GET", f"/v2/images/{IMAGE}", None),
        ("PUT", f"/v2/images/{IMAGE}/file", None),
        ("PUT", f"/v2/images/{IMAGE}/stage", None),
        ("POST", "/v2/images", None),
        ("POST", "/v2/tasks", None),
    ],
)
def test_what_changes_an_image_is_known_by_its_method_and_path(method: str, path: str, image_id: str | None) -> None:
    assert changed_image(method, path) == image_id


def test_a_store_that_is_out_of_reach_is_a_503_and_glance_is_not_asked(tmp_path: Path) -> None:
    cfg.CONF.register_opts(options.database_opts, "database")
    cfg.CONF.set_override("connection", "rome+redis://127.0.0.1:1/glance?retries=0", "database")
    glance, told = Glance(), []
    try:
        server = filter_factory({})(glance)
        server({"REQUEST_METHOD": "DELETE", "PATH_INFO": f"/v2/images/{OTHER}"}, lambda *heard: told.append(heard[0]))
    finally:
        cfg.CONF.clear_override("connection", "database")
    assert told == ["503 Service Unavailable"] and not glance.entered.acquire(blocking=False)


def test_on_a_store_that_is_not_romes_nothing_is_locked() -> None:
    cfg.CONF.register_opts(options.database_opts, "database")
    cfg.CONF.set_override("connection", "sqlite://", "database")
    glance = Glance()
    try:
        assert request(filter_factory({})(glance), "PATCH", f"/v2/images/{OTHER}") == [b"answered"]
    finally:
        cfg.CONF.clear_override("connection", "database")
