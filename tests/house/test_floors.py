"""The house keeps its floors: docs/architecture.md says which, and its table is what these tests read."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import rome
from rome.driver.open import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("rome.errors", "rome.values", "rome.config")
UPSTREAM = ("rome.core", "rome.conf", "rome.utils", "rome.driver.database_driver", "rome.driver.lock_driver")
BESIDE = (*UPSTREAM, "rome.testing")
LATE_IMPORTS = ("rome.driver.open", "import_dbapi")  # a module, and the name of a function
NOT_STORES = {
    "rome.driver", "rome.driver.api", "rome.driver.lock_table", "rome.driver.open", "rome.driver.pool",
    "rome.driver.sizes",
}  # fmt: skip
DRIVER_WORDS = (
    "rome.driver.api", "rome.driver.lock_table", "rome.driver.pool", "rome.driver.sizes", "rome.errors", "rome.config",
)  # fmt: skip
DRIVER_LIBRARIES = {"sortedcontainers"}
INTERFACE, INTERFACE_LIBRARY = "rome.driver.api", "msgspec"  # what it is made of; drivers use no more than it shows
DYNAMIC_IMPORTS = {"import_module", "__import__"}


class Import(NamedTuple):
    """One import: the module named, its line, and the innermost function around it (None at module level)."""

    target: str
    line: int
    function: str | None


class Floor(NamedTuple):
    """One row of the table: the rooms on this floor, and those that it never imports though they lie below."""

    rooms: tuple[str, ...]
    never: tuple[str, ...]


class House(NamedTuple):
    floors: list[Floor]

    def level(self, module: str) -> int | None:
        """The row of `module`, counted from the top; None if it stands in none. `rome` alone is the package itself."""
        if within(module, BESIDE):
            return None
        for level, floor in enumerate(self.floors):
            if any(module == room or (room != "rome" and module.startswith(room + ".")) for room in floor.rooms):
                return level
        return None


def within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def read_house(page: str) -> House:
    """The floors, from the table whose heading row begins with `floor`."""
    table = page.split("| floor |", 1)[1].split("\n\n", 1)[0]
    floors = []
    for row in table.splitlines()[2:]:
        cells = row.strip().strip("|").split("|")
        floors.append(Floor(*(tuple(re.findall(r"`([a-z_.]+)`", cell)) for cell in (cells[0], cells[-1]))))
    return House(floors)


def imports_of(name: str, text: str, is_package: bool, known: frozenset[str]) -> Iterator[Import]:
    """Every import in the module `name`, relative ones resolved, dynamic ones included.

    `from a import b` names `a.b` where that is a module of `known`, else `a`.
    """

    def visit(node: ast.AST, function: str | None) -> Iterator[Import]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node.name
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, function)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parts = name.split(".")
                kept = parts[: len(parts) - node.level + is_package]
                source = ".".join([*kept, source] if source else kept)
            for alias in node.names:
                full = f"{source}.{alias.name}"
                yield Import(full if full in known else source, node.lineno, function)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            if called in DYNAMIC_IMPORTS:
                yield Import("a module named at run time", node.lineno, function or "the module's body")
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    yield from visit(ast.parse(text), None)


def cycles_in(imports: dict[str, set[str]]) -> list[str]:
    """A description of one cycle for each module-level import circle that a depth-first walk meets."""
    found: list[str] = []
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> None:
        if module in path:
            found.append(" → ".join([*path[path.index(module) :], module]))
            return
        if module in done:
            return
        for target in sorted(imports.get(module, ())):
            walk(target, [*path, module])
        done.add(module)

    for module in sorted(imports):
        walk(module, [])
    return found


def broken_rules(house: House, imports: dict[str, list[Import]]) -> list[str]:
    """What `imports` (by module of ROME) breaks, one sentence each."""
    broken = []
    for module, found in imports.items():
        level = house.level(module)
        if level is None and not within(module, WORDS + BESIDE):
            broken.append(f"{module} stands on no floor of docs/architecture.md")
            continue
        for target, line, function in found:
            place = f"{module}:{line}"
            if function is not None and module != LATE_IMPORTS[0] and function != LATE_IMPORTS[1]:
                broken.append(f"{place} imports {target} inside {function}")
            if target != "rome" and not target.startswith("rome."):
                continue
            if within(target, BESIDE) and not within(module, BESIDE):
                broken.append(f"{place} imports {target}, which stands beside the house")
            elif within(module, WORDS) and not within(target, WORDS):
                broken.append(f"{place} is a word for every floor and imports {target}")
            elif level is not None:
                below = house.level(target)
                if below is not None and below < level:
                    broken.append(f"{place} imports {target}, which is a floor above")
                elif within(target, house.floors[level].never):
                    broken.append(f"{place} imports {target}, which its floor never imports")
    graph = {module: {each.target for each in found} & imports.keys() for module, found in imports.items()}
    return broken + [f"a circle: {circle}" for circle in cycles_in(graph)]


def module_name(path: Path, source_root: Path) -> str:
    parts = path.relative_to(source_root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.fixture(scope="module")
def imports() -> dict[str, list[Import]]:
    """Every module of ROME with its imports."""
    paths = {module_name(path, ROOT / "lib"): path for path in sorted((ROOT / "lib" / "rome").rglob("*.py"))}
    known = frozenset(paths)
    return {
        name: list(imports_of(name, path.read_text(), path.name == "__init__.py", known))
        for name, path in paths.items()
    }


@pytest.fixture(scope="module")
def house() -> House:
    return read_house((ROOT / "docs" / "architecture.md").read_text())


def importers(imports: dict[str, list[Import]], target: str) -> set[str]:
    return {module for module, found in imports.items() if any(within(each.target, (target,)) for each in found)}


def test_every_import_goes_down_the_floors_and_none_in_a_circle(
    house: House, imports: dict[str, list[Import]]
) -> None:
    assert broken_rules(house, imports) == []


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("rome.txn.commit", "from rome.sql import bind", "rome.txn.commit:1 imports rome.sql, which is a floor above"),
        ("rome.table.rows", "import rome.database", "imports rome.database, which is a floor above"),
        ("rome.table.rows", "from ..sql import scope", "imports rome.sql, which is a floor above"),
        ("rome.dbapi", "from rome.driver.api import Cell", "imports rome.driver.api, which its floor never imports"),
        ("rome.sql.plan", "def f():\n    import rome.table.keys", "imports rome.table.keys inside f"),
        ("rome.sql.plan", "import importlib\nm = importlib.import_module('x')", "a module named at run time"),
        ("rome.driver.lmdb", "import rome.testing.faulty", "which stands beside the house"),
        ("rome.errors", "import rome.txn.wave", "is a word for every floor and imports rome.txn.wave"),
        ("rome.novelty", "", "rome.novelty stands on no floor"),
        ("rome.sql.first", "import rome.sql.second", "a circle: rome.sql.first → rome.sql.second → rome.sql.first"),
    ],
)
def test_a_planted_breach_of_the_floors_is_found(house: House, module: str, text: str, complaint: str) -> None:
    known = frozenset({module, "rome.sql.second"})
    planted = {
        module: list(imports_of(module, text, False, known)),
        "rome.sql.second": list(imports_of("rome.sql.second", "import rome.sql.first", False, known)),
    }
    assert any(complaint in sentence for sentence in broken_rules(house, planted))


def test_the_two_late_imports_are_allowed(house: House) -> None:
    late = "def import_dbapi():\n    import rome.dbapi"
    registry = "def open_driver():\n    import rome.driver.lmdb"
    planted = {
        "rome.dialect.dialect": list(imports_of("rome.dialect.dialect", late, False, frozenset())),
        "rome.driver.open": list(imports_of("rome.driver.open", registry, False, frozenset())),
    }
    assert broken_rules(house, planted) == []


def test_the_package_docstring_shows_the_same_floors(house: House) -> None:
    shown = [
        re.findall(r"`([a-z_.]+)`", row.split("|")[1]) for row in (rome.__doc__ or "").splitlines() if "| `" in row
    ]
    assert shown == [[room for room in floor.rooms if room != "rome"] for floor in house.floors]


def test_only_the_parser_imports_sqlglot(imports: dict[str, list[Import]]) -> None:
    found = importers(imports, "sqlglot")
    assert found and all(within(module, ("rome.sql.parse",)) for module in found), found


def test_only_the_statement_runs_the_executor_and_only_explain_reads_its_profile(
    imports: dict[str, list[Import]],
) -> None:
    outside = {module for module in importers(imports, "rome.sql.execute") if not within(module, ("rome.sql.execute",))}
    explaining = {"rome.sql.explain", "rome.sql.advice"}
    assert outside == {"rome.sql.statement", *explaining}
    assert not any(each.target == "rome.sql.execute.build" for module in explaining for each in imports[module])


def driver_of(module: str) -> str | None:
    """The driver that `module` is or belongs to, a module or a package of `rome.driver`; None if it is of none."""
    if not within(module, ("rome.driver",)) or module in NOT_STORES or within(module, UPSTREAM):
        return None
    return ".".join(module.split(".")[:3])


def broken_driver_rules(imports: dict[str, list[Import]], clients: set[str]) -> list[str]:
    """What `imports` (by module of ROME) breaks of the rules of drivers, one sentence each; `clients` are libraries."""
    broken = []
    used_by: dict[str, str] = {}
    libraries = sys.stdlib_module_names | DRIVER_LIBRARIES
    for module, found in imports.items():
        if within(module, BESIDE):
            continue
        driver = driver_of(module)
        narrow = within(module, ("rome.driver",)) and module not in ("rome.driver", "rome.driver.open")
        for target, line, _ in found:
            place, library = f"{module}:{line}", target.split(".")[0]
            other = driver_of(target)
            if other not in (None, driver):
                if module != "rome.driver.open":
                    broken.append(f"{place} imports {target}, which is {'another' if driver else 'a'} driver")
            elif library in clients:
                if driver is None:
                    broken.append(f"{place} imports {library}, which is a store's client")
                elif used_by.setdefault(library, driver) != driver:
                    broken.append(f"{place} imports {library}, the client of {used_by[library]}")
            elif (module, library) == (INTERFACE, INTERFACE_LIBRARY):
                continue
            elif narrow and other is None and library not in libraries and not within(target, DRIVER_WORDS):
                broken.append(f"{place} imports {target}, which is not for drivers")
    return broken


def test_a_driver_imports_its_own_modules_the_interface_and_its_client_only(imports: dict[str, list[Import]]) -> None:
    drivers = {driver_of(module) for module in imports} - {None}
    assert drivers == {registration.module for registration in REGISTRY.values()}
    assert broken_driver_rules(imports, client_libraries()) == []


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("rome.driver.one", "import rome.driver.two", "rome.driver.one:1 imports rome.driver.two, which is another"),
        ("rome.driver.one.keys", "from rome.driver.two.keys import f", "rome.driver.two.keys, which is another"),
        ("rome.driver.one.keys", "from ..two import keys", "imports rome.driver.two, which is another driver"),
        ("rome.driver.one", "import rome.driver.open", "imports rome.driver.open, which is not for drivers"),
        ("rome.driver.one.keys", "import rome.values", "imports rome.values, which is not for drivers"),
        ("rome.driver.one.keys", "import msgspec", "imports msgspec, which is not for drivers"),
        ("rome.driver.one.keys", "import client", "imports client, the client of rome.driver.two"),
        ("rome.driver.sizes", "import msgspec", "imports msgspec, which is not for drivers"),
        ("rome.driver.sizes", "import client", "imports client, which is a store's client"),
        ("rome.txn.wave", "import client", "imports client, which is a store's client"),
        ("rome.txn.wave", "import rome.driver.one.keys", "imports rome.driver.one.keys, which is a driver"),
        ("rome.driver.sizes", "import rome.driver.one", "imports rome.driver.one, which is a driver"),
    ],
)
def test_a_planted_breach_of_the_rules_of_drivers_is_found(module: str, text: str, complaint: str) -> None:
    planted = {
        "rome.driver.two": list(imports_of("rome.driver.two", "import client", True, frozenset())),
        module: list(imports_of(module, text, False, frozenset())),
    }
    assert [complaint in sentence for sentence in broken_driver_rules(planted, {"client"})] == [True]


def test_modules_of_one_driver_may_import_each_other_and_share_its_client() -> None:
    texts = {
        "rome.driver.one": "from rome.driver.one.driver import open_url",
        "rome.driver.one.driver": "import client\nfrom rome.driver.api import Cell\nfrom .keys import f",
        "rome.driver.one.keys": "import os\nimport client.errors\nimport rome.errors, rome.config, rome.driver.sizes",
        "rome.driver.open": "import rome.driver.one",
    }
    planted = {
        name: list(imports_of(name, text, name == "rome.driver.one", frozenset(texts))) for name, text in texts.items()
    }
    assert broken_driver_rules(planted, {"client"}) == []


def client_libraries() -> set[str]:
    """The import names of the extras that are one store each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    others = {"glance", "nova", "upstream", "test", "plots", "bench"}
    imported_as = {"protobuf": "google"}
    return {
        imported_as.get(name := re.split(r"[<>=~!\[]", requirement)[0], name)
        for extra, requirements in project["optional-dependencies"].items()
        if extra not in others
        for requirement in requirements
    }


def test_sqlalchemy_and_openstack_stay_on_the_top_floor(imports: dict[str, list[Import]]) -> None:
    top = ("rome.dialect", "rome.orm", *BESIDE)
    for library in ("sqlalchemy", "oslo_db", "oslo_utils", "alembic", "glance", "nova"):
        assert {module for module in importers(imports, library) if not within(module, top)} == set()


def test_nothing_in_rome_imports_glance_compat(imports: dict[str, list[Import]]) -> None:
    assert importers(imports, "glance_compat") == set()
