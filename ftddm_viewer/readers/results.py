"""Results of a reader study: every answer with its method as CSV, and a page of statistics."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np

from ftddm_core.errors import FormatError
from ftddm_core.evaluation.tables import to_markdown
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.saving.pair import encode_json
from ftddm_viewer.readers import statistics
from ftddm_viewer.readers.items import PREFERRED
from ftddm_viewer.readers.key import Key
from ftddm_viewer.readers.statistics import Chosen, Rated, Table
from ftddm_viewer.readers.store import Answer, Store, missing, newest

ANSWERS, PAGE, RECORD = "answers.csv", "statistics.md", "statistics.json"
COLUMNS = (
    "reader", "trial", "kind", "case", "study", "metabolite", "slice", "scale", "method", "other",
    "value", "side", "counts", "answered_at", "seconds", "source", "settings", "display",
)  # fmt: skip


def result_files(store: Store, key: Key, unit: str) -> dict[str, bytes]:
    """Return name -> content of the results.

    Raises
    ------
    FormatError
        If there is no answer yet, or the key lacks an image of the study.
    """
    answers = store.answers()
    if not answers:
        raise FormatError(f"{store.folder} has no answer yet.")
    if lacking := next(
        (c for t in store.trials.values() for c in t.images if c not in key.images), ""
    ):
        raise FormatError(f"The key has no image {lacking}: find the one of this study.")
    counting = {id(answer) for answer in newest(answers).values()}
    rows = [_row(answer, store, key, id(answer) in counting) for answer in answers]
    record = _record(store, key, rows, answers, unit)
    # The spreadsheet programs of Windows take UTF-8 for another encoding without the mark.
    return {
        ANSWERS: _csv(rows).encode("utf-8-sig"),
        RECORD: encode_json(_plain(record)),
        PAGE: _page(record).encode(),
    }


def _row(answer: Answer, store: Store, key: Key, counts: bool) -> dict[str, Any]:
    trial = store.trials[answer.trial]
    chosen = answer.value if answer.scale == PREFERRED else trial.images[0]
    others = [code for code in trial.images if code != chosen]
    case, method = key.images[chosen]
    origin = key.cases[case]
    return {
        "reader": answer.reader,
        "trial": answer.trial,
        "kind": trial.kind,
        "case": case,
        "study": origin["Study"],
        "metabolite": origin["Metabolite"],
        "slice": origin["Slice"],
        "scale": answer.scale,
        "method": method,
        "other": key.images[others[0]][1] if others else "",
        "value": method if others else answer.value,
        "side": ("left" if trial.images[0] == chosen else "right") if others else "",
        "counts": "yes" if counts else "no",
        "answered_at": answer.answered_at,
        "seconds": answer.seconds,
        "source": answer.source,
        "settings": json.dumps(key.methods[method].get("Settings", {}), sort_keys=True),
        "display": json.dumps(dict(answer.display), sort_keys=True),
    }


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return a value as a spreadsheet takes it; a text never as a formula."""
    formula = isinstance(value, str) and value[:1] in ("=", "+", "-", "@")
    return f"'{value}" if formula else value


def _record(
    store: Store, key: Key, rows: Sequence[dict[str, Any]], answers: Sequence[Answer], unit: str
) -> dict[str, Any]:
    counting = [row for row in rows if row["counts"] == "yes"]
    ratings = [
        Rated(r["reader"], r["study"], r["case"], r["method"], r["scale"], int(r["value"]))
        for r in counting if r["scale"] != PREFERRED
    ]  # fmt: skip
    choices = [
        Chosen(r["reader"], r["study"], r["case"], r["trial"], r["method"], r["other"],
               r["side"] == "left")
        for r in counting if r["scale"] == PREFERRED
    ]  # fmt: skip
    readers = sorted({answer.reader for answer in answers})
    methods = list(key.methods)
    return {
        "Study": key.study,
        "Unit": unit,
        "Studies": len({case["Study"] for case in key.cases.values()}),
        "Cases": len(key.cases),
        "Readers": [_progress(store, name, [a for a in answers if a.reader == name])
                    for name in readers],
        "Ratings": statistics.summary(ratings, methods),
        "Wilcoxon": statistics.comparisons(ratings, methods, unit),
        "Preferences": statistics.preferences(choices, methods, unit),
        "Agreement": statistics.agreement(ratings, choices, len(readers)),
    }  # fmt: skip


def _progress(store: Store, reader: str, own: Sequence[Answer]) -> dict[str, Any]:
    open_, every = missing(store, own), len(store.trials)
    seconds: dict[int, float] = {}
    for answer in own:
        seconds[answer.trial] = max(seconds.get(answer.trial, 0.0), answer.seconds)
    return {
        "reader": reader,
        "trials answered": every - open_,
        "of": every,
        "answers": len(own),
        "median s a trial": float(np.median(list(seconds.values()))),
    }


def _page(record: dict[str, Any]) -> str:
    unit = record["Unit"]
    several = (
        "Slices of one study are not independent of each other, which makes p too small: state the "
        "number of studies, and compare with the unit 'study' where there are enough of them."
        if unit == statistics.SLICE
        else "Values are means over a study's slices and maps: the studies are independent."
    )
    parts: tuple[tuple[str, str, Table], ...] = (
        ("Readers", "", record["Readers"]),
        ("Ratings", "1 to 5, 5 is always the best.", record["Ratings"]),
        (
            "Methods compared by their ratings",
            f"Wilcoxon's signed-rank test, two-sided, on the means over the readers of each "
            f"{unit}. p is corrected by Holm for all tests of this table. {several}",
            record["Wilcoxon"],
        ),
        (
            "Methods compared side by side",
            f"Share of the answers that prefer the method to the other, and a sign test: each "
            f"{unit} counts for what most of its answers prefer, ties for none.",
            record["Preferences"],
        ),
        (
            "Agreement between readers",
            "Of what all readers answered. Fleiss' kappa takes the five levels, or the two sides, "
            "as categories; ICC(2,1) is of one reader, ICC(2,k) of their mean.",
            record["Agreement"],
        ),
    )
    text = (
        f"# Reader study\n\nReaders: {len(record['Readers'])}. Slices and maps: {record['Cases']}, "
        f"of this many studies: {record['Studies']}. {RESEARCH_ONLY}.\n"
    )
    for title, words, table in parts:
        told = f"{words}\n\n" if words else ""
        text += f"\n## {title}\n\n{told}{to_markdown(table) or 'No answers.'}\n"
    return text


def _plain(value: Any) -> Any:
    """Return a record for JSON, which has no NaN."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and np.isnan(value) else value
