"""How long it takes to create and drop the tables of Nova's main database, in memory: ROME and SQLite, in turns.

    python -m bench.nova_schema ROUNDS

It runs in a process of its own, because Nova and Glance register options of the same names. Each round has a database
that did not exist before, as each test of a service has; the first one of a process also reads all texts for the first
time, and is told apart.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy

from bench.results import SchemaResult, Setting

DATABASES: dict[str, Callable[[int], str]] = {
    "rome": lambda number: f"rome+memory:///schema-{number}",
    "sqlite": lambda number: "sqlite://",
}


def is_installed() -> bool:
    """Whether Nova can be asked for its schema."""
    return importlib.util.find_spec("nova") is not None


def measure_schema(rounds: int, setting: Setting) -> SchemaResult:
    """Run the rounds in a process of their own."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.nova_schema", str(rounds)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=root, check=True)
    return SchemaResult(setting, rounds=rounds, **json.loads(done.stdout.splitlines()[-1]))


def _round(metadata: sqlalchemy.MetaData, url: str) -> float:
    engine = sqlalchemy.create_engine(url)
    begun = time.process_time()
    metadata.create_all(engine)
    metadata.drop_all(engine)
    spent = time.process_time() - begun
    engine.dispose()
    return spent * 1000


def _measure(metadata: sqlalchemy.MetaData, rounds: int) -> dict[str, object]:
    """The figures of SchemaResult."""
    first: dict[str, float] = {}
    later: dict[str, list[float]] = {name: [] for name in DATABASES}
    gc.disable()
    for number in range(rounds + 1):
        gc.collect()
        for name, url in DATABASES.items():
            spent = _round(metadata, url(number))
            if number:
                later[name].append(spent)
            else:
                first[name] = spent
    medians = {name: statistics.median(each) for name, each in later.items()}
    return {"tables": len(metadata.tables), "first_ms": first, "later_ms": medians}


if __name__ == "__main__":
    from nova.db.main import models

    print(json.dumps(_measure(models.BASE.metadata, int(sys.argv[1]))))
