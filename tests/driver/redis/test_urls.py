"""URLs of stores on a Redis server, and what becomes of passwords."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from rome.config import Server, parse
from rome.errors import InterfaceError


def test_a_url_names_a_server_and_a_store_on_it() -> None:
    url = parse("rome+redis://glance:a%40b@redis.example:6380/images?namespace=x&retries=0&read_timeout_ms=100")
    assert (url.scheme, url.path, url.namespace) == ("redis", "images", "x")
    assert url.server == Server("redis.example", 6380, "glance", "a@b")
    assert (url.option("retries"), url.option("read_timeout_ms"), url.option("connect_timeout_ms")) == (0, 100, 2000)


def test_host_and_port_have_defaults() -> None:
    assert parse("rome+redis:///rome").server == Server("localhost", 6379)
    assert parse("rome+rediss://host/rome").server == Server("host", 6379)
    assert parse("rome+redis://[::1]:7000/rome").server == Server("::1", 7000)
    assert parse("rome+redis:///rome?unix_socket=/run/redis.sock").server == Server()


@pytest.mark.parametrize(
    "text",
    [
        "rome+redis://localhost:6379/rome",
        "rome+redis://glance@[::1]:7000/rome?namespace=x&retries=0",
        "rome+rediss://host:6379/rome?ca_file=%2Fetc%2Fca.pem",
        "rome+redis:///rome?unix_socket=%2Frun%2Fredis.sock",
        "rome+redis:///rome?hosts=a%3A1%2C%5B%3A%3A1%5D%3A2&sentinel=main",
    ],
)
def test_a_url_as_text_parses_to_itself(text: str) -> None:
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


def test_sqlalchemy_hands_a_url_on_as_it_was_written() -> None:
    for text in (
        "rome+redis://glance:a%40b@redis.example:6380/images?namespace=x",
        "rome+redis:///rome?hosts=a:1,b:2&sentinel=main",
        "rome+redis:///rome?unix_socket=/run/redis.sock",
    ):
        assert parse(make_url(text).render_as_string(hide_password=False)) == parse(text)


def test_a_password_is_in_no_text() -> None:
    url = parse("rome+redis://glance:secret@host/rome")
    assert "secret" not in str(url) + repr(url) + repr(url.server)
    assert str(url) == "rome+redis://glance:***@host:6379/rome"
    assert str(parse("rome+redis://:secret@host/rome")) == "rome+redis://:***@host:6379/rome"


def test_urls_with_different_passwords_are_different() -> None:
    assert parse("rome+redis://u:1@host/rome") != parse("rome+redis://u:2@host/rome")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("rome+redis://localhost", "needs the name of a store"),
        ("rome+redis://localhost/", "needs the name of a store"),
        ("rome+redis://localhost/a/b", "needs the name of a store"),
        ("rome+redis://localhost/a{b}", "needs the name of a store"),
        ("rome+redis://localhost/" + "a" * 65, "at most 64"),
        ("rome+redis://localhost:port/rome", "the port is no number"),
        ("rome+redis://localhost:66000/rome", "the port is no number"),
        ("rome+redis://host/rome?unix_socket=/x", "three ways to a server: give one"),
        ("rome+redis://host/rome?sentinel=main&hosts=a:1", "three ways to a server: give one"),
        ("rome+redis:///rome?unix_socket=/x&sentinel=main&hosts=a:1", "three ways to a server: give one"),
        ("rome+redis:///rome?sentinel=main", "sentinel and hosts belong together"),
        ("rome+redis:///rome?hosts=a:1", "sentinel and hosts belong together"),
        ("rome+redis:///rome?sentinel=main&hosts=a", "host:port of each Sentinel"),
        ("rome+redis:///rome?sentinel=main&hosts=a:1,", "host:port of each Sentinel"),
        ("rome+rediss:///rome?unix_socket=/x", "no TLS: write rome+redis"),
        ("rome+redis://host/rome?ca_file=/x", "rome+redis has no option 'ca_file'"),
        ("rome+rediss://host/rome?key_file=/x", "key_file needs the cert_file"),
        ("rome+redis://u:p@host/rome?password_file=/x", "give one"),
        ("rome+redis://host/rome?password_file=/x&password_env=X", "give one"),
        ("rome+redis://host/rome?password=secret", "has no option 'password' (did you mean password_"),
        ("rome+redis://host/rome?sentinel_password_env=X", "give sentinel and hosts too"),
        ("rome+redis:///rome?sentinel=main&hosts=a:1&sentinel_password_env=X&sentinel_password_file=/x", "give one"),
        ("rome+redis://host/rome?db=1", "has no option 'db'"),
        ("rome+redis://host/rome?retries=-1", "a whole number from 0 to 65536"),
        ("rome+redis://host/rome?read_timeout_ms=0", "a whole number from 1 to 65536"),
        ("rome+redis://host/rome?unix_socket=", "the path of the server's socket"),
        ("rome+redis://host/rome#x", "%23"),
    ],
)
def test_a_url_that_means_nothing_is_refused_in_one_line_that_says_what_to_do(text: str, advice: str) -> None:
    with pytest.raises(InterfaceError) as caught:
        parse(text)
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
