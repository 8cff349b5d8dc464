"""Two live Glance servers on one store, and eight clients that write the same images through them at the same moment.

As `glance-on-rome` starts them, changes of one image take turns (`glance_compat.in_turn`), and nothing is lost and
nothing fails. Without that, what Glance itself does not promise on any database is named and not hidden: it reads an
image in one transaction and saves all of it in a later one, so of two saves at the same moment the later one stands and
the other one's property is gone; and two races end in a 500 of its own making, `GLANCES_OWN`. What the store promises
holds all the same.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import sqlalchemy
from _pytest.mark.structures import ParameterSet

from rome.config import parse
from rome.driver.open import open_store
from rome.testing.integrity import check
from tests.glance.contest import OCTETS, Answer, Client, Contest, contest, statuses
from tests.glance.inside.databases import database_url
from tests.glance.stores import OPERATOR, glance_store
from tests.servers.stores import SHARED_STORES, marked

CLIENTS = 8
LONG_ROUNDS = 15  # Glance allows an image 128 properties, tags or members
GLANCES_OWN = re.compile(
    # `actions/deactivate` and `reactivate` do not expect that the image is in the wanted state by now
    r"cannot transition from \w+ to \w+ in update"
    # setting an image's tags is a write of `save` that Glance does not run again after a deadlock
    r"|image_tag_set_all"
)


class Match(NamedTuple):
    """A contest: the kind of store, processes of each server, how often each client writes, and whether in turns."""

    store: str
    workers: int
    rounds: int
    in_turn: bool


def matches(*, in_turn: bool) -> list[ParameterSet]:
    """A short one where servers are between the processes, if in turns; and a long one on every store."""
    found = []
    for store in [pytest.param("operator")] if OPERATOR else marked(SHARED_STORES):
        name = str(store.values[0])
        if in_turn and name != "lmdb":
            found.append(pytest.param(Match(name, 1, 2, in_turn), id=f"{name}-short", marks=store.marks))
        marks = [*store.marks, pytest.mark.nightly]
        found.append(pytest.param(Match(name, 4, LONG_ROUNDS, in_turn), id=f"{name}-long", marks=marks))
    return found


@pytest.fixture(scope="module")
def match(request: pytest.FixtureRequest) -> Match:
    found: Match = request.param
    return found


@pytest.fixture(scope="module")
def met(match: Match, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    """The running servers, and the clients."""
    directory = tmp_path_factory.mktemp("contest")
    with glance_store(match.store, directory) as store:
        url = database_url(store, f"contest-{uuid.uuid4().hex[:8]}").render_as_string(hide_password=False)
        with contest(url, directory, clients=CLIENTS, workers=match.workers, in_turn=match.in_turn) as running:
            yield running


def unexpected(answers: list[Answer], *expected: int) -> list[str]:
    """The answers of another status than those."""
    return [str(answer) for answer in answers if answer.status not in expected]


def everyone(match: Match) -> list[str]:
    """A mark for each round of each client."""
    return [f"{client}_{number}" for client in range(CLIENTS) for number in range(match.rounds)]


def members(met: Contest, image_id: str) -> list[str]:
    """The members of an image as both servers list them."""
    told = [
        met.clients[0].call("GET", f"images/{image_id}/members", elsewhere=elsewhere) for elsewhere in (False, True)
    ]
    first, second = (sorted(member["member_id"] for member in json.loads(each.text)["members"]) for each in told)
    assert first == second
    return first


def upload(client: Client, image_id: str, data: bytes = b"content") -> Answer:
    return client.call("PUT", f"images/{image_id}/file", data=data, kind=OCTETS)


def write_and_be_deleted(met: Contest, deleter: int) -> list[Answer]:
    """Clients that set a property, a member and a tag of an image, while `deleter` deletes it; what they were told."""
    image_id = met.clients[0].create("short-lived", visibility="shared")

    def work(client: Client) -> None:
        if client.number == deleter:
            client.call("DELETE", f"images/{image_id}")
            return
        client.add(image_id, f"p{client.number}", "set")
        client.call("POST", f"images/{image_id}/members", body={"member": f"m{client.number}"})
        client.call("PUT", f"images/{image_id}/tags/t{client.number}")

    answers = met.at_once(work)
    assert [answer.status for answer in answers if answer.method == "DELETE"] == [204]
    for elsewhere in (False, True):
        assert met.clients[0].call("GET", f"images/{image_id}", elsewhere=elsewhere).status == 404
    return answers


def one_upload_wins(met: Contest) -> None:
    image_id = met.clients[0].create("uploaded")
    answers = met.at_once(lambda client: upload(client, image_id, f"{client.number}".encode() * 1000))
    assert unexpected(answers, 204, 409, 410) == []
    assert statuses(answers)[204] == 1, statuses(answers)
    image = met.image(image_id)
    assert (image["status"], image["size"]) == ("active", 1000)


def switch(met: Contest, image_id: str, rounds: int) -> list[Answer]:
    def work(client: Client) -> None:
        for _ in range(rounds):
            client.call("POST", f"images/{image_id}/actions/{'deactivate' if client.number % 4 < 2 else 'reactivate'}")

    return met.at_once(work)


def assert_the_tables_hold(met: Contest) -> None:
    """No deleted image has a live property, no name or tag is there twice, and every index has what its rows want."""
    doubled = "SELECT image_id, {0}, count(*) FROM {1} WHERE NOT deleted GROUP BY image_id, {0} HAVING count(*) > 1"
    wrong = [
        "SELECT p.name FROM image_properties p JOIN images i ON p.image_id = i.id WHERE i.deleted AND NOT p.deleted",
        doubled.format("name", "image_properties"),
        doubled.format("value", "image_tags"),
    ]
    engine = sqlalchemy.create_engine(met.url)
    try:
        with engine.connect() as connection:
            assert [tuple(row) for sql in wrong for row in connection.execute(sqlalchemy.text(sql))] == []
    finally:
        engine.dispose()
    url = parse(met.url)
    driver = open_store(url)
    try:
        assert check(driver, url.namespace) == []
    finally:
        driver.close()


@pytest.mark.parametrize("match", matches(in_turn=True), indirect=True, scope="module")
class TestInTurn:
    def test_what_was_answered_is_read_through_the_other_server_at_once(self, met: Contest, match: Match) -> None:
        images: dict[int, str] = {}

        def work(client: Client) -> None:
            images[client.number] = image_id = client.create("own")
            for number in range(match.rounds):
                name = f"property_{number}"
                assert client.add(image_id, name, "set").status == 200
                assert client.shown(image_id, elsewhere=True)[name] == "set"
                assert client.call("PUT", f"images/{image_id}/tags/tag_{number}", elsewhere=True).status == 204
                assert f"tag_{number}" in client.shown(image_id)["tags"]

        assert unexpected(met.at_once(work), 200, 201, 204) == []
        for image_id in images.values():
            image = met.image(image_id)
            assert all(image[f"property_{number}"] == "set" for number in range(match.rounds))
            assert len(image["tags"]) == match.rounds

    def test_properties_tags_and_members_added_at_the_same_moment_are_all_there(
        self, met: Contest, match: Match
    ) -> None:
        image_id = met.clients[0].create("hot", visibility="shared")

        def work(client: Client) -> None:
            for number in range(match.rounds):
                mark = f"{client.number}_{number}"
                client.add(image_id, f"p{mark}", "set")
                client.call("PUT", f"images/{image_id}/tags/t{mark}")
                client.call("POST", f"images/{image_id}/members", body={"member": f"m{mark}"})
                client.add(image_id, "motto", mark)

        assert unexpected(met.at_once(work), 200, 204) == []
        image = met.image(image_id)
        assert [mark for mark in everyone(match) if f"p{mark}" not in image] == []
        assert image["tags"] == sorted(f"t{mark}" for mark in everyone(match))
        assert members(met, image_id) == sorted(f"m{mark}" for mark in everyone(match))
        assert image["motto"] in everyone(match)

    def test_of_many_that_add_the_same_member_one_does_and_the_others_hear_409(
        self, met: Contest, match: Match
    ) -> None:
        image_id = met.clients[0].create("shared", visibility="shared")
        answers = met.at_once(lambda client: client.call("POST", f"images/{image_id}/members", body={"member": "same"}))
        assert statuses(answers) == Counter({200: 1, 409: CLIENTS - 1})
        assert members(met, image_id) == ["same"]

    def test_of_many_uploads_of_one_image_one_wins_and_the_others_hear_of_it(self, met: Contest, match: Match) -> None:
        for _ in range(match.rounds):
            one_upload_wins(met)

    def test_every_change_of_status_is_answered(self, met: Contest, match: Match) -> None:
        image_id = met.clients[0].create("on and off")
        assert upload(met.clients[0], image_id).status == 204
        assert unexpected(switch(met, image_id, match.rounds), 204) == []
        assert met.image(image_id)["status"] in ("active", "deactivated")

    def test_what_is_deleted_among_writers_is_gone_and_they_hear_404(self, met: Contest, match: Match) -> None:
        for number in range(match.rounds):
            assert unexpected(write_and_be_deleted(met, number % CLIENTS), 200, 204, 404) == []

    def test_of_many_that_delete_one_image_one_does_and_the_others_hear_404(self, met: Contest, match: Match) -> None:
        for _ in range(match.rounds):
            image_id = met.clients[0].create("unwanted")
            answers = met.at_once(lambda client, image_id=image_id: client.call("DELETE", f"images/{image_id}"))
            assert statuses(answers) == Counter({204: 1, 404: CLIENTS - 1})

    def test_the_tables_hold_after_all_that(self, met: Contest, match: Match) -> None:
        assert_the_tables_hold(met)


@pytest.mark.parametrize("match", matches(in_turn=False), indirect=True, scope="module")
class TestWithoutTurns:
    def test_of_saves_at_the_same_moment_each_is_answered_and_the_last_stands_whole(
        self, met: Contest, match: Match
    ) -> None:
        image_id = met.clients[0].create("hot")

        def work(client: Client) -> None:
            for number in range(match.rounds):
                client.add(image_id, f"p{client.number}_{number}", "set")
                client.add(image_id, "motto", f"{client.number}, {number}")

        answers = met.at_once(work)
        assert unexpected(answers, 200) == []
        assert properties(met.image(image_id)) in [properties(json.loads(answer.text)) for answer in answers]

    def test_members_added_at_the_same_moment_are_all_there(self, met: Contest, match: Match) -> None:
        image_id = met.clients[0].create("shared by many", visibility="shared")

        def work(client: Client) -> None:
            for number in range(match.rounds):
                client.call("POST", f"images/{image_id}/members", body={"member": f"m{client.number}_{number}"})

        assert unexpected(met.at_once(work), 200) == []
        assert members(met, image_id) == sorted(f"m{mark}" for mark in everyone(match))

    def test_tags_set_at_the_same_moment_are_never_doubled(self, met: Contest, match: Match) -> None:
        image_id = met.clients[0].create("tagged")
        before = len(met.logged())

        def work(client: Client) -> None:
            for number in range(match.rounds):
                client.call("PUT", f"images/{image_id}/tags/t{number}")

        answers = met.at_once(work)
        assert unexpected(answers, 204, 500) == []
        assert_glances_own(met, answers, before)
        tags = met.image(image_id)["tags"]
        assert tags and len(tags) == len(set(tags))

    def test_of_many_uploads_of_one_image_one_wins_and_the_others_hear_of_it(self, met: Contest, match: Match) -> None:
        for _ in range(match.rounds):
            one_upload_wins(met)

    def test_changes_of_status_at_the_same_moment_leave_one_of_them(self, met: Contest, match: Match) -> None:
        image_id = met.clients[0].create("on and off")
        assert upload(met.clients[0], image_id).status == 204
        before = len(met.logged())
        answers = switch(met, image_id, match.rounds)
        assert unexpected(answers, 204, 500) == []
        assert_glances_own(met, answers, before)
        assert met.image(image_id)["status"] in ("active", "deactivated")

    def test_what_is_deleted_among_writers_is_gone(self, met: Contest, match: Match) -> None:
        for number in range(match.rounds):
            before = len(met.logged())
            answers = write_and_be_deleted(met, number % CLIENTS)
            assert unexpected(answers, 200, 204, 404, 500) == []
            assert_glances_own(met, answers, before)

    def test_the_tables_hold_after_all_that(self, met: Contest, match: Match) -> None:
        assert_the_tables_hold(met)


def properties(image: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in image.items() if re.fullmatch(r"motto|p\d+_\d+", name)}


def assert_glances_own(met: Contest, answers: list[Answer], before: int) -> None:
    """Each 500 among `answers` is logged as one of `GLANCES_OWN`; `before` is where the log stood."""
    errors = met.logged()[before:].split("Caught error: ")[1:]
    known = [error for error in errors if GLANCES_OWN.search(error)]
    assert statuses(answers)[500] == len(errors) == len(known), [each[:1000] for each in errors if each not in known]
