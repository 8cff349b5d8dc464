"""Every golden script says the same on every store: the same plans, waves, keys and rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from rome.testing import golden


@pytest.mark.parametrize("store", ["memory", "lmdb"])
@pytest.mark.parametrize("script", golden.SCRIPTS, ids=lambda path: path.stem)
def test_a_golden_script_still_says_what_happens(script: Path, store: str, tmp_path: Path) -> None:
    url = "rome+memory://" if store == "memory" else f"rome+lmdb:///{tmp_path / 'store'}?sync=none"
    golden.check(script, url)


def test_a_script_that_says_otherwise_is_noticed() -> None:
    script = "CREATE TABLE t (n INTEGER);\n\n== one\nSELECT 1;\n| Project 2\n= waves=0 keys=0\n> (1,)\n"
    assert golden.replay(script, "rome+memory://") != script


def test_all_scripts_are_among_those_that_are_run() -> None:
    root = Path(__file__).resolve().parents[2]
    strays = [path for folder in ("lib", "tests", "docs") for path in (root / folder).rglob("*.golden")]
    assert sorted(path for path in strays if "anomalies" not in path.parts) == golden.SCRIPTS
