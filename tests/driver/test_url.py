"""Store URLs: what they mean, and one clear line for each that means nothing."""

from __future__ import annotations

import dataclasses
import os

import pytest

from rome.config import SCHEMES, StoreURL, parse
from rome.driver.open import REGISTRY
from rome.errors import InterfaceError


def test_an_lmdb_url_names_a_directory_with_options_and_a_namespace() -> None:
    url = parse("rome+lmdb:////var/lib/rome?namespace=glance&sync=meta&map_size_gib=1.5&max_readers=64&readonly=1")
    assert (url.scheme, url.path, url.namespace, url.private) == ("lmdb", "/var/lib/rome", "glance", False)
    assert url.options == (("map_size_gib", 1.5), ("max_readers", 64), ("readonly", True), ("sync", "meta"))
    assert url.option("sync") == "meta"


def test_an_option_that_is_not_given_has_its_default() -> None:
    url = parse("rome+lmdb:////var/lib/rome")
    assert {name: url.option(name) for name in SCHEMES["lmdb"]} == {
        "sync": "full",
        "map_size_gib": 1024.0,
        "max_readers": 1024,
        "readonly": False,
    }
    assert url.namespace == ""


def test_three_slashes_begin_a_path_below_the_working_directory() -> None:
    assert parse("rome+lmdb:///data/rome").path == os.path.abspath("data/rome")


def test_percent_escapes_in_a_path_are_decoded() -> None:
    assert parse("rome+lmdb:////var/a%20b%3Fc%23d").path == "/var/a b?c#d"


def test_a_named_memory_url_means_the_same_store_each_time_and_a_nameless_one_another() -> None:
    assert parse("rome+memory:///cache") == parse("rome+memory:///cache")
    one, other = parse("rome+memory://"), parse("rome+memory://")
    assert one.private and other.private
    assert one.path != other.path
    assert not parse("rome+memory:///cache").private


@pytest.mark.parametrize(
    "text",
    [
        "rome+lmdb:////var/lib/rome",
        "rome+lmdb:////var/lib/a%20b%3Fc",
        "rome+lmdb:////var/lib/rome?namespace=a.b-c_1&map_size_gib=0.25&readonly=1&sync=none",
        "rome+memory:///name?namespace=x",
    ],
)
def test_a_url_as_text_parses_to_itself(text: str) -> None:
    url = parse(text)
    assert parse(str(url)) == url
    assert str(parse(str(url))) == str(url)


def test_a_private_url_as_text_names_no_store() -> None:
    assert str(parse("rome+memory://")) == "rome+memory://"


def test_a_url_is_a_value() -> None:
    url = parse("rome+lmdb:////var/lib/rome?sync=none")
    assert hash(url) == hash(parse("rome+lmdb:////var/lib/rome?sync=none"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        url.path = "/"  # type: ignore[misc]
    assert dataclasses.replace(url, namespace="n") == StoreURL("lmdb", url.path, "n", url.options)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "write one of rome+lmdb://, rome+memory://"),
        ("glance", "this is not a store URL"),
        ("rome://", "rome:// names no store: write one of rome+lmdb://, rome+memory://"),
        ("rome:///var/lib", "rome:// names no store"),
        ("sqlite:///x.db", "a store URL begins with one of rome+lmdb://"),
        ("rome+lmbd:////var/lib", "did you mean rome+lmdb?"),
        ("rome+mysql://host/db", "unknown store 'rome+mysql'; there are rome+lmdb://, rome+memory://"),
        ("rome+lmdb:/var/lib", "write rome+lmdb:// before the place"),
        ("rome+lmdb:var", "write rome+lmdb:// before the place"),
        ("rome+lmdb://", "needs a directory"),
        ("rome+lmdb:///", "needs a directory"),
        ("rome+lmdb://var/lib/rome", "takes no host"),
        ("rome+memory://name", "takes no host"),
        ("rome+lmdb://[::1/x", "cannot be read"),
        ("rome+lmdb:////var#x", "%23"),
        ("rome+lmdb:////var%00x", "NUL"),
        ("rome+lmdb:////var?snyc=full", "no option 'snyc' (did you mean sync?); it has foreign_keys, integers, lock_"),
        ("rome+memory:///x?sync=full", "rome+memory has no option 'sync'"),
        ("rome+lmdb:////var?sync=fast", "sync='fast' is no value: it takes full, meta or none"),
        ("rome+lmdb:////var?sync=", "it takes full, meta or none"),
        ("rome+lmdb:////var?map_size_gib=0", "a number above 0"),
        ("rome+lmdb:////var?map_size_gib=-1", "a number above 0"),
        ("rome+lmdb:////var?map_size_gib=1e3", "a number above 0"),
        ("rome+lmdb:////var?map_size_gib=65537", "at most 65536"),
        ("rome+lmdb:////var?map_size_gib=nan", "a number above 0"),
        ("rome+lmdb:////var?max_readers=1.5", "a whole number"),
        ("rome+lmdb:////var?max_readers=٣", "a whole number"),
        ("rome+lmdb:////var?readonly=yes", "it takes 0 or 1"),
        ("rome+lmdb:////var?sync=full&sync=none", "stands twice"),
        ("rome+lmdb:////var?namespace=a/b", "a namespace is"),
        ("rome+lmdb:////var?namespace=" + "a" * 65, "a namespace is"),
    ],
)
def test_a_url_that_means_nothing_is_refused_in_one_line_that_says_what_to_do(text: str, advice: str) -> None:
    with pytest.raises(InterfaceError) as caught:
        parse(text)
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "rome+lmdb://glance:secret@host/var",
        "rome+lmdb://glance:secret@[::1/var",
        "rome+mongodb://glance:secret@host/var",
        "rome+lmdb:glance:secret@host",
        "rome://glance:secret@host/var",
        "rome+lmdb:////var?password=secret",
        "mysql://glance:secret@host",
    ],
)
def test_no_message_repeats_a_password(text: str) -> None:
    with pytest.raises(InterfaceError) as caught:
        parse(text)
    assert "secret" not in str(caught.value)


def test_every_scheme_of_a_url_has_a_driver_and_every_driver_a_scheme() -> None:
    assert set(SCHEMES) == set(REGISTRY)


@pytest.mark.parametrize("url", ["rome+memory:///x", "rome+lmdb:///x", "rome+redis://host/x"])
def test_every_store_has_a_lock_timeout(url: str) -> None:
    assert parse(url).option("lock_timeout_ms") == 10_000
    assert parse(url + "?lock_timeout_ms=0").option("lock_timeout_ms") == 0
    with pytest.raises(InterfaceError, match="lock_timeout_ms='1s' is no value"):
        parse(url + "?lock_timeout_ms=1s")


@pytest.mark.parametrize("url", ["rome+memory:///x", "rome+lmdb:///x", "rome+redis://host/x", "rome+etcd://host/x"])
def test_every_store_can_be_told_not_to_read_ahead(url: str) -> None:
    assert parse(url).option("prefetch") is True
    assert parse(url + "?prefetch=0").option("prefetch") is False
    with pytest.raises(InterfaceError, match="prefetch='no' is no value"):
        parse(url + "?prefetch=no")
