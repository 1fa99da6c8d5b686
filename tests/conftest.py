"""Fixtures for every test."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")  # the same examples every time: what passed here passes there

SHARED_DATA = Path(__file__).parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real examples beside the repository, or skip the test without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real examples are not here: {SHARED_DATA} does not exist")
    return SHARED_DATA.resolve()
