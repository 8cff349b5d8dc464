"""What every test may rely on."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A failing example must fail again on the next run, and a slow machine is no failure; `nightly` looks further.
settings.register_profile("every run", derandomize=True, deadline=None, max_examples=50)
settings.register_profile("nightly", deadline=None, max_examples=1000)


def pytest_configure(config: pytest.Config) -> None:
    chosen = str(config.getoption("-m") or "")
    every_run = "not nightly" in chosen or not chosen
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "every run" if every_run else "nightly"))
