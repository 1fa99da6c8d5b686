"""What every front end says in the same words: errors, and what a careful user would want to know.

An error's text is its own; here is decided which errors are the user's to read.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ftddm_core.errors import FtddmError
from ftddm_core.imaging.degrade import acquired_matrix
from ftddm_core.imaging.findings import missing
from ftddm_core.imaging.fourier import Matrix
from ftddm_core.imaging.scope import output_notes
from ftddm_core.imaging.volume import Study
from ftddm_core.sampling.check_words import check_line
from ftddm_core.sampling.weighting import Weighting
from ftddm_core.settings import Control, Value, controls
from ftddm_viewer.session.case import Mode, Prepared
from ftddm_viewer.session.display import CRLB_LIMIT
from ftddm_viewer.session.reliability import reliability_notes
from ftddm_viewer.session.state import Activity, State

if TYPE_CHECKING:
    from ftddm_core.sampling.condition import Condition

logger = logging.getLogger(__name__)

OUT_OF_MEMORY = "out of memory; use a smaller upscaling factor or matrix."

DEVICE_LOST = "the GPU does not work any more; start the program again, or compute on the CPU."

UNDO_ZERO_FILLING = "undo that to start from the acquired maps"
"""Advice on maps that look zero-filled; front ends have their own words for it."""

LITTLE = 0.5
"""Share of the drawn detail below which temperatures and truncation change little on screen."""

LITTLE_DETAIL = (
    "Little of the drawn detail is shown, so temperatures and truncation change little here."
)

SHOW_ALL = "Show all that is drawn"
SHOW_SUPPORTED = "Show what the study supports"

NO_SPREAD = "At temperature 0 every sample is the same, so there is no spread."

WELL_COVERED = 0.8
"""Share of the trusted voxels that an MRI should show."""


def error_words(error: BaseException) -> str | None:
    """Return an error in one line for the user, None for a fault of the program."""
    if isinstance(error, MemoryError | RuntimeError):
        from ftddm_core.sampling.device import lost_device, ran_out_of_memory  # imports torch

        if ran_out_of_memory(error):
            return OUT_OF_MEMORY
        if lost_device(error):
            return DEVICE_LOST
    if isinstance(error, FtddmError | OSError):
        return " ".join(str(error).split())
    return None


def fault_words(error: BaseException) -> str:
    """Return the message for a fault of the program, which is logged as well."""
    return f"Unexpected {type(error).__name__}: {error}. Please report it."


def logged_words(problem: Exception) -> str:
    """Return the message for an error; a fault of the program is logged."""
    words = error_words(problem)
    if words is None and threading.main_thread().is_alive():  # else Python itself is ending
        logger.exception("A job failed.")
    return words or fault_words(problem)


def notes(
    prepared: Prepared, noise: float | None, crlb_limit: float = CRLB_LIMIT
) -> tuple[str, ...]:
    """Return `study_notes` on an open case, and the share of voxels whose CRLB in per cent exceeds
    a limit; `noise` as in the settings."""
    case = prepared.case
    acquired = case.zero_filled or (case.study.grid.shape[0], case.study.grid.shape[1])
    found = study_notes(case.study, prepared.conditions.values(), noise, acquired)
    return (*found, *reliability_notes(case, crlb_limit))


def study_notes(
    study: Study,
    conditions: Iterable[Condition],
    noise: float | None = None,
    acquired: Matrix | None = None,
) -> list[str]:
    """Return what a careful user would want to know about a study.

    Parameters
    ----------
    study
        As it was opened.
    conditions
        Of its maps.
    noise
        As in the settings: where it is set, nothing needs to be said about an estimate.
    acquired
        In-plane matrix that the maps' k-space fills; None to look for it.
    """
    found = [*study.notes, *missing(study)]
    matrix = study.grid.shape[:2]
    acquired = acquired_matrix(study) if acquired is None else acquired
    if acquired != matrix:
        found.append(
            f"the maps look zero-filled: their k-space fills {acquired[0]}x{acquired[1]} of "
            f"{matrix[0]}x{matrix[1]}; {UNDO_ZERO_FILLING}."
        )
    conditions = list(conditions)
    if noise is None and (estimated := _estimated_noise(conditions)):
        found.append(f"noise: estimated, {estimated} % of the scale; set it if you know better.")
    if conditions:  # all have one grid
        found += output_notes(conditions[0].volume(conditions[0].lowres))
    for condition in conditions:
        name = condition.metabolite
        for role in ("t1", "flair"):
            share = condition.cover(role)
            if getattr(study, role) is not None and share < WELL_COVERED:
                found.append(f"{name}: {role} shows only {share:.0%} of the trusted voxels.")
    return found


def _estimated_noise(conditions: Iterable[Condition]) -> str:
    """Return the noise of the maps for which it is an estimate, in per cent; "" for none."""
    held = [c.measurement for c in conditions if c.measurement.noise_source == "estimate"]
    found = sorted(100 * measurement.typical_noise for measurement in held)
    if not found:
        return ""
    low, high = f"{found[0]:.1f}", f"{found[-1]:.1f}"
    return low if low == high else f"{low} to {high}"


def self_check(state: State) -> str:
    """Return what the self-check found, and what is shown of the current map."""
    view = state.view
    if view is None:
        return ""
    drawn = Weighting(view.mri_weight or 0.0, view.detail(state.metabolite))
    return check_line(view.check, {state.metabolite: drawn}, state.checking)


def hints(state: State) -> dict[str, str]:
    """Return control's name -> why moving it, or those before it, changes little to see."""
    view, found = state.view, {}
    if view is not None and view.detail(state.metabolite) < LITTLE:
        found["t_trunc"] = LITTLE_DETAIL
    if state.settings.samples > 1 and not state.settings.random:
        found["samples"] = NO_SPREAD
    return found


def detail_button(state: State) -> str:
    """Return what the button does that shows all detail, or only what is supported."""
    return SHOW_SUPPORTED if state.shows_all else SHOW_ALL


def going_on(state: State) -> str:
    """Return what runs, and what the user may do about it."""
    if state.loading:
        return "Loading the networks …"
    if state.activity is Activity.OPENING:
        return "Opening the study …"
    if state.activity is Activity.VOLUME and state.checking is not None:
        return f"Checking the model on this study first, {state.checking:.0%}."
    if state.activity is Activity.VOLUME:
        return (
            f"Computing the whole volume, {state.progress:.0%}{_time_left(state)}. Controls "
            "are locked until it finishes; cancel to change them."
        )
    if state.activity is Activity.SAMPLING:
        return f"Sampling, {state.progress:.0%}{_time_left(state)}."
    if state.case is None:
        return "No study is open."
    if state.up_to_date:
        return "Up to date."
    if not state.live:
        return "Computed with other settings; press Update."
    return "The image is not finished; press Update."


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
    made, mode = state.finished.drawn.settings, state.finished.prepared.mode
    weights = state.finished.drawn.weighting.values()
    asked = state.settings.replace(sampler=state.settings.sampler_used)
    words = []
    if mode is not state.mode:
        words.append("degraded and restored" if mode is Mode.RESTORE else "enlarged")
    for control in controls():
        if control.name == "detail":  # that of the images, whatever else differs
            continue
        value, now = getattr(made, control.name), getattr(asked, control.name)
        if control.name in ("upscale", "mri_weight") and now is None:
            now = state.shown_value(control.name)
        if control.name == "mri_weight":
            value = next(iter(weights)).mri_weight
        if value != now:
            words.append(f"{called(control)} {value_words(control, value)}")
    return f"The volume to save was made with other settings: {', '.join(words)}." if words else ""


def called(control: Control) -> str:
    """Return what a caption calls a setting: its symbol, where that is no riddle."""
    return {"consistency": "data consistency", "mri_weight": "MRI weight"}.get(
        control.name, control.symbol
    )


def value_words(control: Control, value: Value) -> str:
    """Return a setting's value as a caption gives it."""
    if value is None:
        return control.empty
    if control.bounds is None:
        return str(value)
    return f"{value:.10g}" + (f" {control.unit}" if control.unit == "%" else "")


def nominal_voxels(condition: Condition) -> str:
    """Return the voxel's edges before and after, in words."""
    fine = np.linalg.norm(condition.affine[:3, :3], axis=0)
    ratio = [n / m for n, m in zip(condition.shape[:2], condition.acquired, strict=True)]
    sizes = (fine * [*ratio, 1], fine)
    before, after = (" × ".join(f"{edge:.1f}" for edge in size) for size in sizes)
    return f"Nominal voxel {before} mm → {after} mm"
