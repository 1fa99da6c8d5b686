"""The tour of the page: its whole story on a tiny study, by a visitor of a real browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_tour import PageTour
from tiny import write_study
from visiting import Visit


@pytest.mark.long
def test_the_tour_of_the_page(server: Any, visit: Visit, tmp_path: Path) -> None:
    stages: list[str] = []
    study = write_study(tmp_path / "patient")
    page = visit(server.url)
    PageTour(page, stages.append, study, samples=2, values="0, 1").tell()
    assert len(stages) == 11
