"""The registry of stores: lazy imports, missing clients, what drivers of one process share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rome.config import parse
from rome.driver.open import open_store
from rome.errors import InterfaceError
from rome.testing.driver_life import value_at

ROOT = Path(__file__).resolve().parents[2]


def run_python(text: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'lib'}"}
    done = subprocess.run(
        [sys.executable, "-c", text, *arguments], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_driver_and_its_client_are_imported_when_the_first_store_is_opened() -> None:
    text = """
import sys
from rome.config import parse
from rome.driver.open import open_store
before = {"lmdb", "rome.driver.lmdb", "rome.driver.memory"} & set(sys.modules)
open_store(parse("rome+memory://"))
print(sorted(before), "lmdb" in sys.modules, "rome.driver.memory" in sys.modules)
"""
    assert run_python(text) == "[] False True"


def test_a_missing_client_library_is_named_with_the_line_that_installs_it(tmp_path: Path) -> None:
    text = """
import sys
sys.modules["lmdb"] = None
from rome.config import parse
from rome.driver.open import open_store
from rome.errors import InterfaceError
try:
    open_store(parse(f"rome+lmdb:///{sys.argv[1]}"))
except InterfaceError as error:
    print(error)
"""
    assert "pip install 'rome[lmdb]'" in run_python(text, str(tmp_path))


def test_an_import_that_fails_for_another_reason_is_not_hidden() -> None:
    text = """
import sys
sys.modules["rome.driver.sizes"] = None
from rome.config import parse
from rome.driver.open import open_store
try:
    open_store(parse("rome+memory://"))
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run_python(text) == "rome.driver.sizes"


def test_a_named_memory_store_lives_as_long_as_the_process() -> None:
    url = parse("rome+memory:///lives on")
    driver = open_store(url)
    driver.commit((), [(b"a", b"1")])
    driver.close()
    again = open_store(parse("rome+memory:///lives on"))
    assert value_at(again, b"a") == b"1"
    again.clear(b"")
    assert value_at(open_store(url), b"a") is None


def test_a_private_memory_store_lives_as_long_as_its_url_or_a_driver_on_it() -> None:
    url = parse("rome+memory://")
    driver = open_store(url)
    driver.commit((), [(b"a", b"1")])
    driver.close()
    driver = open_store(url)
    del url
    assert value_at(driver, b"a") == b"1"
    assert value_at(open_store(parse("rome+memory://")), b"a") is None


def test_a_private_memory_store_is_forgotten_with_its_url() -> None:
    text = """
from rome.config import parse
from rome.driver import memory
from rome.driver.open import open_store
for number in range(100):
    open_store(parse("rome+memory://")).commit((), [(b"a", b"1")])
print(len(memory._stores))
"""
    assert run_python(text) == "0"


def test_two_drivers_of_one_process_share_an_lmdb_store_by_whatever_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "store")
    one = open_store(parse(f"rome+lmdb:///{tmp_path}/store"))
    other = open_store(parse(f"rome+lmdb:///{tmp_path}/x/../link"))
    one.commit((), [(b"a", b"1")])
    assert value_at(other, b"a") == b"1"
    one.close()
    other.commit((), [(b"a", b"2")])
    third = open_store(parse(f"rome+lmdb:///{tmp_path}/store?namespace=another"))
    other.close()
    assert value_at(third, b"a") == b"2"
    third.close()


def test_two_drivers_of_one_process_must_agree_on_the_options(tmp_path: Path) -> None:
    one = open_store(parse(f"rome+lmdb:///{tmp_path}/store"))
    with pytest.raises(InterfaceError, match="other options"):
        open_store(parse(f"rome+lmdb:///{tmp_path}/store?sync=none"))
    one.close()
    open_store(parse(f"rome+lmdb:///{tmp_path}/store?sync=none")).close()


def test_a_directory_made_anew_is_a_new_store_though_the_old_one_is_open(tmp_path: Path) -> None:
    url = parse(f"rome+lmdb:///{tmp_path}/store")
    old = open_store(url)
    old.commit((), [(b"a", b"1")])
    shutil.rmtree(tmp_path / "store")
    new = open_store(url)
    assert value_at(new, b"a") is None
    new.commit((), [(b"a", b"2")])
    assert value_at(old, b"a") == b"1"
    old.close()
    assert value_at(open_store(url), b"a") == b"2"
