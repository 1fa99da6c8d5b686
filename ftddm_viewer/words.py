"""What every front end says in the same words: errors, and what a careful user would want to know.

An error's text is its own; here is decided which errors are the user's to read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.degrade import acquired_matrix
from ftddm_core.imaging.volume import Study
from ftddm_core.settings import Control, Value, controls
from ftddm_viewer.case import Mode
from ftddm_viewer.state import Activity, State

if TYPE_CHECKING:
    from ftddm_core.sampling.condition import Condition

OUT_OF_MEMORY = "out of memory; use a smaller upscale (--upscale) or matrix."

WELL_COVERED = 0.8
"""Share of the trusted voxels that an MRI should show."""


def error_words(error: BaseException) -> str | None:
    """Return an error in one line for the user, None for a fault of the program."""
    # torch reports a lack of memory as a RuntimeError.
    lacks_memory = isinstance(error, RuntimeError) and "memory" in str(error)
    if isinstance(error, MemoryError) or lacks_memory:
        return OUT_OF_MEMORY
    if isinstance(error, FtddmError | OSError):
        return " ".join(str(error).split())
    return None


def fault_words(error: BaseException) -> str:
    """Return what a face says of a fault of the program, which is logged as well."""
    return f"Unexpected {type(error).__name__}: {error}. Please report it."


def notes(study: Study, conditions: Iterable[Condition]) -> list[str]:
    """Return what a careful user would want to know about a study."""
    found = [
        f"no {name} given: the model was trained to do without, with less detail to go by."
        for name, image in (("T1", study.t1), ("FLAIR", study.flair))
        if image is None
    ]
    unmasked = [name for name in study.maps if study.mask_of(name) is None]
    if unmasked:
        found.append(f"no mask for {', '.join(unmasked)}: every voxel with a value is trusted.")
    matrix, acquired = study.grid.shape[:2], acquired_matrix(study)
    if acquired != matrix:
        found.append(
            f"the maps look zero-filled: their k-space fills {acquired[0]}x{acquired[1]} of "
            f"{matrix[0]}x{matrix[1]}; undo that (--unfill) to start from what was acquired."
        )
    for condition in conditions:
        name = condition.metabolite
        for role in ("t1", "flair"):
            share = condition.cover(role)
            if getattr(study, role) is not None and share < WELL_COVERED:
                found.append(f"{name}: {role} shows only {share:.0%} of the trusted voxels.")
        if condition.outliers:
            found.append(
                f"{name}: {condition.outliers} trusted voxels exceed ten times the 99th percentile;"
                " they were kept as they are."
            )
    return found


def going_on(state: State) -> str:
    """Return what goes on, and what the user may do about it."""
    if state.loading:
        return "Loading the networks …"
    if state.activity is Activity.OPENING:
        return "Opening the study …"
    if state.activity is Activity.VOLUME:
        return (
            f"Computing the whole volume, {state.progress:.0%}{_time_left(state)}. The controls "
            "wait for it: cancel it to change them."
        )
    if state.activity is Activity.SAMPLING:
        return f"Sampling, {state.progress:.0%}{_time_left(state)}."
    if state.case is None:
        return "No study is open."
    if state.up_to_date:
        return "Up to date."
    if not state.live:
        return "The picture is not of these settings: press Update."
    return "The picture is not finished: press Update."


def _time_left(state: State) -> str:
    """Return how long the work takes, as far as that is known, in words that do not flicker."""
    seconds = state.remaining
    if seconds is None or seconds < 1:
        return ""
    if seconds < 90:
        step = 1 if seconds < 10 else 5
        return f", about {step * math.ceil(seconds / step)} s left"
    return f", about {math.ceil(seconds / 60)} min left"


def other_volume(state: State) -> str:
    """Return how a whole volume was made, where that is not as things are chosen now; else ""."""
    if state.finished is None:
        return ""
    made, mode = state.finished.result.settings, state.finished.prepared.mode
    asked = state.settings.replace(sampler=state.settings.sampler_used)
    words = []
    if mode is not state.mode:
        words.append("degraded and restored" if mode is Mode.RESTORE else "enlarged")
    for control in controls():
        value, now = getattr(made, control.name), getattr(asked, control.name)
        if control.name == "upscale" and now is None:
            now = state.shown_value("upscale")
        if value != now:
            words.append(f"{control.symbol} {value_words(control, value)}")
    return f"The volume to save was made with other settings: {', '.join(words)}." if words else ""


def value_words(control: Control, value: Value) -> str:
    """Return a setting's value as a caption gives it."""
    if value is None:
        return control.empty
    return f"{value:.10g}" if control.bounds else str(value)
