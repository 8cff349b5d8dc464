"""URLs of stores on etcd."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import make_url

from rome.config import parse
from rome.errors import InterfaceError


def test_one_server_has_etcds_port_unless_another_is_named() -> None:
    url = parse("rome+etcd://user:p%40ss@host/glance")
    assert url.server is not None
    assert (url.server.host, url.server.port, url.server.user, url.server.password) == ("host", 2379, "user", "p@ss")
    assert str(url) == "rome+etcd://user:***@host:2379/glance"
    assert parse("rome+etcds://[::1]:1234/g").server == parse("rome+etcds://[::1]:1234/g").server


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("rome+etcd://a,b,c/glance", "a:2379,b:2379,c:2379"),
        ("rome+etcd://a,b,c:1234/glance", "a:1234,b:1234,c:1234"),
        ("rome+etcd://a:1,b:2,c:3/glance", "a:1,b:2,c:3"),
        ("rome+etcds://u:p@a,[::1]:9/glance", "a:9,[::1]:9"),
        ("rome+etcd:///glance?hosts=a:1,b:2", "a:1,b:2"),
    ],
)
def test_a_cluster_is_several_hosts(text: str, hosts: str) -> None:
    url = parse(text)
    assert url.option("hosts") == hosts and url.path == "glance"
    assert parse(str(url)).option("hosts") == hosts


def test_sqlalchemy_takes_members_with_one_port_and_those_in_hosts() -> None:
    for text in ("rome+etcd://u:p@a,b,c:1234/glance", "rome+etcd:///glance?hosts=a:1,b:2"):
        url = make_url(text)
        assert parse(url.render_as_string(hide_password=False)) == parse(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("rome+etcd://host", "needs the name of a store"),
        ("rome+etcd://host/a/b", "needs the name of a store"),
        ("rome+etcd://a,b/g?hosts=a:1", "not in both"),
        ("rome+etcd://a/g?hosts=a:1", "not in both"),
        ("rome+etcd:///g?hosts=a", "host:port of each member"),
        ("rome+etcd://a,,b/g", "first:2379,second:2379"),
        ("rome+etcd://u:p@h/g?password_env=X", "give one"),
        ("rome+etcd://h/g?ca_file=x", "has no option 'ca_file'"),
        ("rome+etcds://h/g?key_file=x", "cert_file"),
        ("rome+etcd://h/g?retries=1", "has no option 'retries' (did you mean retry_ms?)"),
        ("rome+redis://a,b/g", "takes one host"),
    ],
)
def test_a_url_that_means_nothing_is_refused_in_one_line(text: str, advice: str) -> None:
    with pytest.raises(InterfaceError) as caught:
        parse(text)
    assert advice in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["h2", "google.protobuf"])
def test_a_missing_client_library_is_named_with_the_line_that_installs_it(missing: str) -> None:
    text = f"""
import sys
sys.modules[{missing!r}] = None
from rome.config import parse
from rome.driver.open import open_store
from rome.errors import InterfaceError
try:
    open_store(parse("rome+etcd://127.0.0.1:1/rome"))
except InterfaceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert f"the Python package '{missing}" in done.stdout, done.stderr
    assert "is not installed: pip install 'rome[etcd]'" in done.stdout
