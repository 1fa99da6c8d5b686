"""The whole story of the window, told on a tiny study; `make tour` draws it on real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tour import Tour


@pytest.mark.long
@pytest.mark.usefixtures("unchecked")
def test_the_tour_is_told_to_its_end(opened: Any, viewer: Any, tmp_path: Path) -> None:
    opened.session.choose(mode="restore")
    opened.session.update(steps=2)
    seen: list[str] = []
    values = {"tau_flow": "0, 1", "tau_diffusion": "0, 1"}
    Tour(viewer, opened, tmp_path, seen.append, values=values, samples=2).tell()
    assert [name.split("-")[0] for name in seen] == [str(i) for i in range(1, len(seen) + 1)]
