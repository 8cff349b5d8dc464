"""Small batches, so that every loop over them runs more than once."""

from __future__ import annotations

import pytest

from rome.table import constraints, rebuild
from tests.table.workbench import Workbench


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "BATCH_CELLS", 2)
    monkeypatch.setattr(constraints, "PROBED_CHILDREN", 2)


@pytest.fixture
def bench() -> Workbench:
    return Workbench()
