"""Where a Session without a bind finds its store."""

from __future__ import annotations

from pathlib import Path

import pytest

from rome.conf.configuration import get_config
from rome.core.session.session import Session
from rome.errors import InterfaceError
from rome.orm.configuration import Configuration, default_url
from tests.upstream.models import Painter


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of one's own, and another directory to work in."""
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("ROME_URL", raising=False)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def read(text: str, directory: Path) -> Configuration:
    path = directory / "rome.conf"
    path.write_text(text)
    return Configuration(path, directory / "data")


URLS = [
    ("[Rome]\nbackend = redis\nhost = 10.0.0.1\nport = 7000", "rome+redis://10.0.0.1:7000/rome"),
    ("[Rome]\nbackend = redis", "rome+redis://127.0.0.1:6379/rome"),
    ("[Rome]\nbackend = etcd\nhost = 10.0.0.1", "rome+etcd://10.0.0.1:2379/rome"),
    ("[Rome]\nbackend = etcd\n[Cluster]\nnodes = a, b,c", "rome+etcd://a,b,c:2379/rome"),
    ("[Rome]\nbackend = etcd\nhost = h\n[Cluster]\nnodes = 127.0.0.1", "rome+etcd://h:2379/rome"),
    ("[Rome]\nbackend = redis\nhost = h\n[Cluster]\nnodes = a,b\nredis_cluster_enabled = False", "rome+redis://h:6379/rome"),
    ("[Rome]\nbackend = memory", "rome+memory:///rome"),
    ("[Rome]\nurl = rome+redis://h/s?namespace=n%41  # whatever else\nbackend = memory", "rome+redis://h/s?namespace=n%41"),
]


@pytest.mark.parametrize(("text", "url"), URLS)
def test_a_file_means_a_url(tmp_path: Path, text: str, url: str) -> None:
    assert read(text, tmp_path).url() == url


REFUSED = [
    ("[Rome]\nbackend = cassandra", "backend in [Rome] is one of redis, etcd, lmdb, memory, not 'cassandra'"),
    ("[Rome]\nbackend = redis\nport = many", "port in [Rome] is a number from 1 to 65535, not 'many'"),
    ("[Rome]\nbackend = redis\n[Cluster]\nredis_cluster_enabled = True", "ROME keeps a store on one Redis server"),
    ("[Cluster]\nredis_cluster_enabled = perhaps\n[Rome]\nbackend = redis", "is True or False"),
    ("[Rome]\nurl = redis://h/s", "rome+"),
    ("backend = redis", "cannot be read"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_a_file_that_means_nothing_is_one_error_that_says_so(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InterfaceError) as caught:
        read(text, tmp_path).url()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_first_file_of_the_search_order_counts(home: Path) -> None:
    work = Path.cwd()
    assert get_config().path in (None, Path("/etc/rome/rome.conf"))
    (home / ".rome.conf").write_text("[Rome]\nbackend = redis\nhost = of-home")
    assert get_config().host() == "of-home"
    (work / "rome.conf").write_text("[Rome]\nbackend = etcd\nhost = of-work\nport = 9\n[Cluster]\nnodes = a, b")
    config = get_config()
    assert (config.path, config.host(), config.port(), config.backend()) == (work / "rome.conf", "of-work", 9, "etcd")
    assert (config.cluster_nodes(), config.redis_cluster_enabled()) == (["a", "b"], False)
    assert default_url() == "rome+etcd://a,b:9/rome"
    assert default_url({"ROME_URL": "rome+memory:///x"}) == "rome+memory:///x"


def test_a_session_without_anything_keeps_its_data_in_the_home(home: Path) -> None:
    with Session() as session:
        session.add(Painter(id=1, name="Ada"))
        session.commit()
    assert default_url() == f"rome+lmdb:///{home}/.local/share/rome"
    assert (home / ".local" / "share" / "rome").is_dir()
    assert Session().get_one(Painter, 1).name == "Ada"


def test_a_session_reads_the_file(home: Path) -> None:
    (home / ".rome.conf").write_text("[Rome]\nbackend = memory")
    with Session() as session:
        assert str(session.get_bind().engine.url) == "rome+memory:///rome"
