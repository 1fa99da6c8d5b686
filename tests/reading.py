"""Small reader studies for the tests: images of a few bytes, and answers to all trials."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ftddm_viewer.readers.items import CHOICE, PREFERRED, SCALES, Blinded, Case, Trial, blinded
from ftddm_viewer.readers.making import write
from ftddm_viewer.readers.store import Answer

METHODS = ("zero-filling", "FTDDM fast")
START = "2026-01-02T03:04:05.000Z"

Opinion = Callable[[Trial, str], str]


def small_study(cases: int = 4, methods: tuple[str, ...] = METHODS, seed: int = 1) -> Blinded:
    """Return a study of cases whose images state what they are."""
    return blinded(
        [
            Case("sub-secret", "tNAA", k, {m: f"{m} {k}".encode() for m in methods}, b"anatomy")
            for k in range(cases)
        ],
        seed,
    )


def key_of(study: Blinded, cases: int = 4, methods: tuple[str, ...] = METHODS) -> dict[str, Any]:
    return {
        "StudyId": "0123456789abcdef",
        "Methods": [{"Name": m, "Kind": "ftddm", "Settings": {"steps": 10}} for m in methods],
        "Cases": [
            {"Number": k + 1, "Study": "sub-secret", "Metabolite": "tNAA", "Slice": k}
            for k in range(cases)
        ],
        "Images": {code: {"Case": c, "Method": m} for code, (c, m) in study.shown.items()},
    }


def write_small(folder: Path, *, page: bool = False) -> Blinded:
    """Write a small study and its key; return the study."""
    study = small_study()
    write(study, key_of(study), folder, page=page)
    return study


def answers_to(study: Blinded, reader: str, opinion: Opinion) -> Iterator[Answer]:
    """Yield answers to all of a study: `opinion(trial, scale)` is the value."""
    for trial in study.trials:
        for scale in [PREFERRED] if trial.kind == CHOICE else [s.name for s in SCALES]:
            value = opinion(trial, scale)
            yield Answer(reader, trial.number, scale, value, START, 2.5, {"window_width": 1280})


def liking(study: Blinded, method: str, good: str = "5", bad: str = "2") -> Opinion:
    """Return the opinion of a reader who likes one method."""

    def opinion(trial: Trial, scale: str) -> str:
        liked = [code for code in trial.images if study.shown[code][1] == method]
        if trial.kind == CHOICE:
            return liked[0] if liked else trial.images[0]
        return good if liked else bad

    return opinion


def file_of(
    path: Path, study: Blinded, reader: str, opinion: Opinion, changed: dict[str, Any] | None = None
) -> Path:
    """Write answers as the plain page saves them."""
    content = {
        "ftddm_readers": 1,
        "study": "0123456789abcdef",
        "reader": reader,
        "answers": [
            {"trial": a.trial, "scale": a.scale, "value": a.value, "answered_at": a.answered_at,
             "seconds": a.seconds, "display": dict(a.display)}
            for a in answers_to(study, reader, opinion)
        ],
    }  # fmt: skip
    path.write_text(json.dumps(content | (changed or {})), encoding="utf-8")
    return path
