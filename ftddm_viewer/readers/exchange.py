"""Answers as they come from a page: from its server, or in a file that it saved."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError
from ftddm_viewer.readers.store import Answer, Store

FILE_FORMAT = 1
TEXTS = ("scale", "value", "answered_at")


def answer_of(reader: object, given: object, source: str) -> Answer:
    """Return an answer from what a page sent.

    Raises
    ------
    FormatError
        If it lacks something, or something is of another type; the rest is checked when it is kept.
    """
    if not isinstance(given, Mapping):
        raise FormatError("An answer is not one: it has no names.")
    trial: Any = given.get("trial")
    seconds: Any = given.get("seconds")
    display: Any = given.get("display")
    texts = [text for name in TEXTS if isinstance(text := given.get(name), str)]
    timed = isinstance(seconds, int | float) and math.isfinite(seconds)
    if not (isinstance(reader, str) and isinstance(trial, int) and timed) or len(texts) < 3:
        raise FormatError("An answer lacks its reader, trial, scale, value, time or seconds.")
    plain = {
        str(name)[:40]: value
        for name, value in (display.items() if isinstance(display, Mapping) else ())
        if isinstance(value, int | float | str) and len(str(value)) <= 200
    }
    scale, value, answered_at = texts
    return Answer(reader, trial, scale, value, answered_at, float(seconds), plain, source)


def add_file(store: Store, path: Path) -> tuple[str, int, int]:
    """Keep the answers of a file; return the reader, and how many were new and known.

    Raises
    ------
    FormatError
        If it is not a file of answers to this study; none of it is kept then.
    """
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FormatError(f"{path} could not be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise FormatError(f"{path} is not a file of answers.") from None
    if not isinstance(found, dict) or found.get("ftddm_readers") != FILE_FORMAT:
        raise FormatError(f"{path} is not a file of answers.")
    if found.get("study") != store.about["study"]:
        raise FormatError(f"{path} holds answers to another study than {store.folder}.")
    listed = found.get("answers")
    answers = [
        answer_of(found.get("reader"), each, "file")
        for each in (listed if isinstance(listed, list) else [])
    ]
    if not answers:
        raise FormatError(f"{path} holds no answer.")
    new = store.add(answers)
    return answers[0].reader, new, len(answers) - new
