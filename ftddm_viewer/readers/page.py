"""The page of a reader study as one HTML document, for the server or as a file by itself."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from ftddm_viewer.drawing.reader_image import NOTICE
from ftddm_viewer.readers.exchange import FILE_FORMAT
from ftddm_viewer.readers.items import LEVELS, PREFERRED, SCALES, Trial

IN_THE_BROWSER = r"^[\p{L}\p{N}_][\p{L}\p{N}_ .'-]{0,59}$"
"""What `checked_reader` takes, in the browser's words."""


def document(
    study: str, trials: Iterable[Trial], images: Mapping[str, bytes] | None = None
) -> bytes:
    """Return the page; it says nothing about methods, of which it is told nothing.

    Parameters
    ----------
    study
        Identity of the study, which files of answers state.
    trials
        In their order.
    images
        Code -> PNG file, for a page by itself; None for one whose server has them.
    """
    data: dict[str, Any] = {
        "format": FILE_FORMAT,
        "study": study,
        "served": images is None,
        "levels": LEVELS,
        "preferred": PREFERRED,
        "name": IN_THE_BROWSER,
        "scales": [asdict(scale) for scale in SCALES],
        "trials": [
            {"number": t.number, "kind": t.kind, "metabolite": t.metabolite, "images": t.images,
             "anatomy": t.anatomy}
            for t in trials
        ],
    }  # fmt: skip
    if images is not None:
        data["images"] = {
            code: f"data:image/png;base64,{base64.b64encode(content).decode()}"
            for code, content in images.items()
        }
    home = files("ftddm_viewer.readers")
    parts = {
        "{{STYLE}}": home.joinpath("page.css").read_text(encoding="utf-8"),
        "{{SCRIPT}}": home.joinpath("page.js").read_text(encoding="utf-8"),
        "{{NOTICE}}": html.escape(NOTICE),
        "{{DATA}}": json.dumps(data).replace("<", "\\u003c"),
    }
    text = home.joinpath("page.html").read_text(encoding="utf-8")
    for mark, content in parts.items():
        text = text.replace(mark, content)
    return text.encode()
