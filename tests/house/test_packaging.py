"""What is installed is what the checkout holds, and importing it costs what it says."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import rome

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOT_IMPORTED_UNTIL_OPENED = ["lmdb", "redis", "h2", "google.protobuf", "glance", "oslo_db", "rich", "click"]
OTHER_NAMES = {"protobuf": "google", "pyyaml": "yaml"}  # a distribution that is imported under another name


def run(code: str, *, path: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter that finds packages in `path` first."""
    program = f"import sys; sys.path.insert(0, {path!r}); {code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT / "docs")


def requirements() -> list[Requirement]:
    texts = [*PROJECT["dependencies"], *(text for extra in PROJECT["optional-dependencies"].values() for text in extra)]
    return [Requirement(text) for text in texts]


def test_importing_lib_rome_is_refused_with_the_way_out() -> None:
    done = run("import lib.rome", path=str(ROOT))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ROME is being imported as 'lib.rome'")
    assert "put `lib` on sys.path" in last


def test_importing_rome_loads_no_client_library() -> None:
    done = run(
        f"import rome; print([name for name in {NOT_IMPORTED_UNTIL_OPENED!r} if name in sys.modules])",
        path=str(ROOT / "lib"),
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_directory_of_modules_is_a_package() -> None:
    for top in (ROOT / "lib" / "rome", ROOT / "glance_compat"):
        directories = {path.parent for path in top.rglob("*.py")}
        assert [each.relative_to(ROOT).as_posix() for each in directories if not (each / "__init__.py").exists()] == []


def test_every_entry_point_names_something_that_exists() -> None:
    points = importlib.metadata.distribution("rome").entry_points
    dialects = {point.name for point in points if point.group == "sqlalchemy.dialects"}
    assert dialects == {
        "rome", "rome.etcd", "rome.etcds", "rome.lmdb", "rome.memory", "rome.redis", "rome.rediss"
    }  # fmt: skip
    assert [point.name for point in points if point.group == "console_scripts"] == ["glance-on-rome"]
    assert [point.value for point in points if point.group == "pytest11"] == ["rome.testing.plugin"]
    for point in points:
        assert point.group == "pytest11" or callable(point.load()), point


def test_the_installed_version_is_that_of_the_source() -> None:
    assert importlib.metadata.version("rome") == rome.__version__


def test_every_library_that_is_imported_is_declared() -> None:
    names = {requirement.name.lower() for requirement in requirements()}
    declared = {OTHER_NAMES.get(name, re.sub("[-.]", "_", name)) for name in names}
    declared |= {"rome", "glance_compat", *sys.stdlib_module_names}
    missing = set()
    for path in [*(ROOT / "lib" / "rome").rglob("*.py"), *(ROOT / "glance_compat").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                imported = [node.module or ""]
            missing |= {(name, path.name) for name in imported if name.split(".")[0].lower() not in declared}
    assert missing == set()


def test_every_requirement_is_pinned_to_a_version_it_allows() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)] == []
    names = [pin.split("==")[0].lower().replace("_", "-") for pin in pins]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    versions = dict(zip(names, (pin.split("==")[1] for pin in pins), strict=True))
    for requirement in requirements():
        pinned = versions[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(Version(pinned)), f"{requirement} and {pinned}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout, built from a copy so that nothing is left in it."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", built, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(next(built.glob("rome-*.whl")))


def test_the_wheel_holds_every_module_and_data_file(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(["git", "ls-files", "lib/rome", "glance_compat"], cwd=ROOT, capture_output=True, text=True)
    wanted = {name.removeprefix("lib/") for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_the_wheel_says_that_it_is_typed_and_licensed(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "rome/py.typed" in names
    assert any(name.endswith("/LICENSE") for name in names)
    metadata = wheel.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    assert "Requires-Python: >=3.11" in metadata
    assert "License-Expression: Apache-2.0" in metadata
