"""Repository manners: what a reader may rely on in every file."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_MODULE_LINES = 600
MAX_SUITE_LINES = 800  # rome.testing: lists of independent tests, read one at a time
MAX_FUNCTION_LINES = 90
NOT_PROSE = {".sql", ".png", ".svg", ".lock"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
UPSTREAM_PATHS = ("lib/rome/core/", "lib/rome/utils/")  # the first version's import paths, kept as they were
NONDETERMINISTIC = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep"},
    "random": None,  # every call
    "secrets": None,
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "uuid": {"uuid1", "uuid4"},
    "os": {"urandom", "getrandom"},
}
DEFAULT_SOURCES = {("lib/rome/txn/commit.py", "random_mark")}  # functions that stand as the default of an argument
UNSAFE_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill"}
UNSAFE_CALLS = {"eval", "exec"}
COMPILER = ("lib/rome/sql/expr.py", "exec")  # compiles the templates of rome.sql.codegen, as dataclasses does its own


def tracked(*patterns: str) -> list[Path]:
    """The files that git knows, of the given patterns."""
    listed = subprocess.run(["git", "ls-files", "--", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def code_lines(text: str) -> set[int]:
    """The numbers of the lines that hold code: no blanks, comments or docstrings."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if first is not None and ast.get_docstring(node, clean=False) is not None:
                lines.difference_update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


class Call(NamedTuple):
    path: str
    line: int
    name: str


def nondeterministic_calls(path: str, text: str) -> Iterator[Call]:
    """Calls to a clock or a source of randomness, under whatever name they were imported."""
    tree = ast.parse(text)
    known: dict[str, str] = {name: name for name in NONDETERMINISTIC}
    direct: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known.update({a.asname: a.name for a in node.names if a.asname and a.name in NONDETERMINISTIC})
        elif isinstance(node, ast.ImportFrom) and node.module in NONDETERMINISTIC:
            wanted = NONDETERMINISTIC[node.module]
            for alias in node.names:
                if alias.name in NONDETERMINISTIC:  # from datetime import datetime, date
                    known[alias.asname or alias.name] = alias.name
                elif wanted is None or alias.name in wanted:
                    direct[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    sources = [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and (path, node.name) in DEFAULT_SOURCES
    ]
    allowed = {id(node) for source in sources for node in ast.walk(source)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in allowed:
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in direct:
            yield Call(path, node.lineno, direct[called.id])
        elif isinstance(called, ast.Attribute):
            owner = called.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            source = known.get(name)
            if source is None:
                continue
            wanted = NONDETERMINISTIC[source]
            seeded = (source, called.attr) == ("random", "Random") and node.args
            if (wanted is None or called.attr in wanted) and not seeded:
                yield Call(path, node.lineno, f"{source}.{called.attr}")


def unsafe_uses(path: str, text: str) -> Iterator[Call]:
    """Imports that can run code from data, and calls that do."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (Call(path, node.lineno, a.name) for a in node.names if a.name.split(".")[0] in UNSAFE_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE_MODULES:
            yield Call(path, node.lineno, node.module or "")
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in UNSAFE_CALLS:
            yield Call(path, node.lineno, node.func.id)  # type: ignore[attr-defined]


def source_files() -> list[Path]:
    return tracked("lib/rome/**.py", "lib/rome/*.py", "glance_compat/*.py", "glance_compat/**.py")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_rome_takes_clock_and_randomness_as_arguments() -> None:
    files = [path for path in source_files() if not relative(path).startswith(("glance_compat/", *UPSTREAM_PATHS))]
    assert [call for path in files for call in nondeterministic_calls(relative(path), path.read_text())] == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.monotonic()",
        "import time as clock\nclock.sleep(1)",
        "from time import monotonic as now\nnow()",
        "import random\nrandom.Random()",
        "import datetime\ndatetime.datetime.now()",
        "from datetime import datetime\ndatetime.utcnow()",
        "import uuid\nuuid.uuid4()",
    ],
)
def test_a_planted_clock_is_found(text: str) -> None:
    assert list(nondeterministic_calls("planted.py", text))


def test_a_default_argument_is_how_a_clock_comes_in_and_a_seed_how_chance_does() -> None:
    text = "import random, time\ndef f(seed, clock=time.monotonic): return random.Random(seed), clock()"
    assert list(nondeterministic_calls("planted.py", text)) == []


def test_no_data_is_ever_run_as_code() -> None:
    uses = [use for path in source_files() for use in unsafe_uses(relative(path), path.read_text())]
    assert [use for use in uses if (use.path, use.name) != COMPILER] == []
    assert len(uses) <= 1
    assert [use.name for use in unsafe_uses("planted.py", "import pickle\neval('1')")] == ["pickle", "eval"]


def test_no_module_and_no_function_is_too_long_to_read() -> None:
    long = []
    for path in source_files():
        text = path.read_text()
        lines = code_lines(text)
        if len(lines) > (MAX_SUITE_LINES if path.parent.name == "testing" else MAX_MODULE_LINES):
            long.append(f"{relative(path)}: {len(lines)} lines of code")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = len(lines.intersection(range(node.lineno, (node.end_lineno or node.lineno) + 1)))
                if size > MAX_FUNCTION_LINES:
                    long.append(f"{relative(path)}:{node.lineno} {node.name}: {size} lines of code")
    assert long == []


def test_lines_of_code_leave_out_blanks_comments_and_docstrings() -> None:
    text = '"""Doc."""\n\n# why\nx = 1  # so\n\ndef f():\n    """Doc\n    more."""\n    return x\n'
    assert code_lines(text) == {4, 6, 9}


def test_every_module_says_what_it_is() -> None:
    written = [path for path in source_files() if path.stat().st_size]
    assert [relative(path) for path in written if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    files = [path for path in source_files() if not relative(path).startswith(UPSTREAM_PATHS)]
    assert [relative(path) for path in files if {path.stem, path.parent.name} & VAGUE_NAMES] == []


def test_no_work_is_put_off_in_a_comment() -> None:
    marks = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "HA" + "CK", "X" + "XX")) + r")\b")
    found = []
    for path in tracked():
        if path.suffix in NOT_PROSE or path.name == "LICENSE":
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if marks.search(line):
                found.append(f"{relative(path)}:{number} {line.strip()}")
    assert found == []


def test_no_file_names_the_directory_it_was_written_in() -> None:
    homes = re.compile("|".join([re.escape(f"{ROOT}/"), r"/home/[a-z]+/", r"/root/\.", r"/Users/[A-Za-z]+/"]))
    files = [path for path in tracked() if path.suffix not in NOT_PROSE and path != Path(__file__).resolve()]
    assert [relative(path) for path in files if homes.search(path.read_text())] == []


def headings(text: str) -> set[str]:
    """The anchors of a Markdown page, as GitHub makes them."""
    titles = re.findall(r"^#+\s+(.*?)\s*$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for page in tracked("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for link in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists():
                broken.append(f"{relative(page)}: {link}")
            elif anchor and target.suffix == ".md" and anchor not in headings(target.read_text()):
                broken.append(f"{relative(page)}: {link} has no such heading")
    assert broken == []


def test_every_page_of_docs_is_reached_from_the_readme() -> None:
    linked: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        for link in re.findall(r"\[[^\]]*\]\(([^)\s#]+\.md)", page.read_text()):
            target = (page.parent / link).resolve()
            if target.exists() and target not in linked:
                linked.add(target)
                waiting.append(target)
    assert [relative(page) for page in tracked("docs/*.md", "docs/**/*.md") if page not in linked] == []


def test_the_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    commands = re.findall(r"^ {4}make ([a-z-]+)", (ROOT / "README.md").read_text(), re.M)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {"run", "test"} <= set(commands) <= set(targets)


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == ["exec make test"]
