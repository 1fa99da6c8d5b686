"""One study of a batch: restored, written with its outcome, or recorded with its problem."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ftddm_core.errors import Cancelled, FormatError
from ftddm_core.imaging.degrade import undo_zero_filling
from ftddm_core.sampling.check_words import check_line
from ftddm_core.saving.files import check_writable, save_files
from ftddm_core.saving.names import stale_names
from ftddm_core.saving.pair import encode_json
from ftddm_viewer.cohort.job import Job
from ftddm_viewer.cohort.plan import Item
from ftddm_viewer.session.case import FAVOURITES
from ftddm_viewer.session.inspection import inspect
from ftddm_viewer.session.messages import logged_words
from ftddm_viewer.session.model import Model
from ftddm_viewer.session.restoring import Bar, Restored, restored

OUTCOME, THUMBNAIL = "study.json", "thumbnail.png"
DONE, FAILED = "done", "failed"
SMALL = 64
"""Dots per inch of a thumbnail."""

Outcome = dict[str, Any]


@contextmanager
def no_bar(_: str) -> Iterator[Any]:
    """Show no progress."""
    yield lambda done: None


def outcome_in(folder: Path) -> Outcome | None:
    """Return the outcome of a study that was treated already, None without one.

    It enters the folder together with the results, so that it stands for all of them.
    """
    try:
        found = json.loads((folder / OUTCOME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(found, dict) and found.get("Status") in (DONE, FAILED)
    return found if known else None


def treat(job: Job, item: Item, model: Model, bar: Bar = no_bar) -> Outcome:
    """Restore a study and write its results, unless they are there; return the outcome.

    A study that cannot be restored is recorded with the reason, in one sentence.

    Raises
    ------
    Cancelled
        If it was cancelled.
    FormatError
        If not even the reason can be written: the folder or the disk is lost to all studies.
    """
    folder = job.folder / item.key
    before = outcome_in(folder)
    if before is not None and before["Status"] == DONE:
        return before
    try:
        return _restored(job, item, model, folder, bar)
    except (Cancelled, KeyboardInterrupt):
        raise
    except Exception as error:
        return record(job, item, failed(item, logged_words(error)))


def record(job: Job, item: Item, outcome: Outcome) -> Outcome:
    """Write an outcome without results; errors as for `save_files`."""
    save_files({OUTCOME: encode_json(outcome)}, job.folder / item.key, overwrite=True)
    return outcome


def failed(item: Item, problem: str) -> Outcome:
    """Return the outcome of a study that could not be restored."""
    return {"Study": item.key, **item.to_dict(), "Status": FAILED, "Problem": problem}


def _restored(job: Job, item: Item, model: Model, folder: Path, bar: Bar) -> Outcome:
    opened = inspect([Path(item.path)], choices=item.choices(job.choices))
    if opened.study is None:
        raise FormatError(opened.problem)
    study = undo_zero_filling(opened.study) if job.unfill else opened.study
    done = restored(model, study, job.settings, bar, unfilled=job.unfill)
    files = done.files()
    inputs = study.source.values()
    check_writable(folder, [*files, *stale_names(files)], inputs=inputs)
    outcome = _outcome(item, done, list(files))
    thumbnail = {THUMBNAIL: _thumbnail(item, done)}
    save_files(
        files | thumbnail | {OUTCOME: encode_json(outcome)}, folder, overwrite=True, inputs=inputs
    )
    return outcome


def _outcome(item: Item, done: Restored, files: list[str]) -> Outcome:
    result, study = done.result, done.study
    shown = next(iter(result.maps.values()))
    check = result.check
    gain = None if check is None or check.reason else _round(check.mean_gain)
    return {
        "Study": item.key,
        **item.to_dict(),
        "Status": DONE,
        "Maps": list(result.maps),
        "Matrix": list(study.grid.shape),
        "RestoredMatrix": list(shown.shape),
        "Voxel_mm": [_round(edge) for edge in study.grid.voxel_size],
        "RestoredVoxel_mm": [_round(edge) for edge in shown.voxel_size],
        "SelfCheckGain_dB": gain,
        "SelfCheck": check_line(check, result.weighting),
        "Detail": _round(np.mean([w.detail for w in result.weighting.values()])),
        "MriWeight": _round(np.mean([w.mri_weight for w in result.weighting.values()])),
        "KSpaceResidual": _round(np.mean([r.shown for r in result.residual.values()])),
        "ResidualOfNoise": _round(np.mean([r.noise for r in result.residual.values()])),
        "Warnings": list(done.notes),
        "Names": files,
    }


def _round(value: Any) -> float:
    return round(float(value), 6)


def _thumbnail(item: Item, done: Restored) -> bytes:
    from ftddm_viewer.drawing.figures import draw_rows, save_figure
    from ftddm_viewer.drawing.image_rows import rows_of

    name = next((n for n in FAVOURITES if n in done.result.maps), next(iter(done.result.maps)))
    drawn = BytesIO()
    save_figure(draw_rows(rows_of(done.result, (name,)), item.key, dpi=SMALL), drawn)
    return drawn.getvalue()
