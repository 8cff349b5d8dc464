"""What docs/upstream.md shows, run, and what it lists, compared with what is there."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from rome.core.orm.query import Query
from rome.orm.configuration import Configuration
from tests.upstream.test_names import PATHS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "upstream.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)


def test_the_examples_run_one_after_the_other(own_store: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {"__name__": "upstream_page"}
    for block in blocks("python"):
        exec(compile(block, "upstream.md", "exec"), names)
    assert capsys.readouterr().out == "1\n"
    assert [(horse.name, horse.rider) for horse in Query(names["Horse"])] == [("Ada", "Bob")]
    objects = names["objects"]
    assert [each["name"] for each in objects.getall("horses")] == ["Ada"]  # type: ignore[attr-defined]
    assert objects.keys("cats") == [1]  # type: ignore[attr-defined]


def test_the_configuration_is_one(tmp_path: Path) -> None:
    (text,) = blocks("ini")
    (tmp_path / "rome.conf").write_text(text)
    assert configparser.ConfigParser().read(tmp_path / "rome.conf")
    url = Configuration(tmp_path / "rome.conf", tmp_path).url()
    assert url == "rome+etcd://a.example,b.example,c.example:2379/rome"


def test_every_old_path_and_name_is_on_the_page() -> None:
    missing = [name for path, names in PATHS.items() for name in (path, *names) if f"`{name}" not in PAGE]
    assert missing == []
