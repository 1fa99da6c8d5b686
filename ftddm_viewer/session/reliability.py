"""How far a voxel's value can be relied on: the fit's CRLB, and the spread of the samples.

Colour shows the value, opacity the reliability: front ends cover each voxel with a grey veil of
opacity 1 - reliability. Grey is no colour of the maps', so a faded voxel is not mistaken for a low
value, and no value is hidden completely. Pure numpy, without a toolkit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.fit_quality import FAILED_CRLB, crlb_on_grid, failed_fit
from ftddm_core.imaging.volume import Volume
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.display import Display
from ftddm_viewer.session.state import State, View

FloatArray = NDArray[np.floating[Any]]

AT_LIMIT = 0.5
"""Reliability just above the limit, so that the limit is seen as an edge."""

LEAST = 0.1
"""Reliability of a failed fit: its colour can still be made out."""

VEIL = 0.4
"""Grey value of the veil, 0..1."""

NO_CRLB = "This study has no CRLB map of {name}: nothing is known of the reliability of its fits."

FADE = "Fade unreliable voxels"
FADE_HELP = (
    "Grey covers the voxels whose fit is less certain than the limit. Values under the pointer and "
    "in saved files stay as they are."
)
LIMIT_HELP = "CRLB above which a voxel counts as unreliable, in per cent."
BY_DEVIATION = "by samples too"
BY_DEVIATION_HELP = (
    "A voxel also counts as unreliable where the deviation of the samples exceeds the same share "
    "of its value."
)

_veils: WeakKeyDictionary[Volume, tuple[tuple[Any, ...], Volume]] = WeakKeyDictionary()


def reliability(error: FloatArray, limit: float) -> FloatArray:
    """Return the reliability of values with a relative error: 1 up to the limit, less above it.

    r = 1 for error <= limit, else max(0.1, limit / (2 error)).

    Parameters
    ----------
    error
        In per cent of the value, of any shape; what is not finite is unreliable.
    limit
        In per cent, positive.
    """
    error = np.where(np.isfinite(error), error, np.inf)
    above = AT_LIMIT * limit / np.maximum(error, limit)
    return np.where(error <= limit, 1.0, np.maximum(LEAST, above))


def crlb_reliability(bound: FloatArray, limit: float) -> FloatArray:
    """Return the reliability of fits from their CRLB in per cent; failed fits (0, 999) get 0.1."""
    return reliability(np.where(failed_fit(bound), np.inf, bound), limit)


def relative_deviation(deviation: FloatArray, value: FloatArray) -> FloatArray:
    """Return a deviation in per cent of the value; infinite where only the value is 0."""
    size = np.abs(value)
    share = np.divide(deviation, size, out=np.full(size.shape, np.inf), where=size > 0)
    return np.where(deviation == 0, 0.0, 100 * share)


def judged_by(view: View, name: str, display: Display) -> str:
    """Return what fades a map's voxels, "CRLB" for one; "" where nothing is known of them."""
    known = ["CRLB"] if name in view.prepared.case.study.crlb else []
    if display.by_deviation and view.settings.samples > 1:
        known.append("samples' deviation")
    return " or ".join(known)


def veil(view: View, name: str, display: Display) -> Volume | None:
    """Return 1 - reliability of a map's voxels in display space, NaN outside the mask.

    It is the same object as long as nothing it depends on changes; None where nothing is known.
    """
    bound = view.prepared.crlb(name)
    several = display.by_deviation and view.settings.samples > 1
    spread = view.stacked(name, "deviation") if several else None
    owner = bound if spread is None else spread
    if owner is None:
        return None
    key = (display.limit, spread is None)
    known = _veils.get(owner)
    if known is None or known[0] != key:
        known = key, _veil(owner, bound, spread, view.stacked(name), display.limit)
        _veils[owner] = known
    return known[1]


def _veil(
    grid: Volume, bound: Volume | None, spread: Volume | None, value: Volume, limit: float
) -> Volume:
    left: FloatArray = np.ones(grid.shape)
    if bound is not None:
        left = crlb_reliability(bound.data, limit)
    if spread is not None:  # NaN where no image was computed, which fades nothing
        relative = relative_deviation(np.nan_to_num(spread.data), np.nan_to_num(value.data))
        left = np.minimum(left, reliability(relative, limit))
    inside = np.isfinite((grid if bound is None else bound).data)
    return replace(grid, data=np.where(inside, 1 - left, np.nan).astype(np.float32), unit="")


def share_beyond(case: Case, name: str, limit: float) -> float | None:
    """Return the share of a map's trusted voxels whose CRLB is above a limit or whose fit failed.

    It is counted on the map's own grid; None without a CRLB map or without trusted voxels.
    """
    bound, trusted = crlb_on_grid(case.study, name), case.trusted[name]
    if bound is None or not trusted.any():
        return None
    failed = failed_fit(bound)
    return float((failed | (np.where(failed, FAILED_CRLB, bound) > limit))[trusted].mean())


def share_words(state: State) -> str:
    """Return the share of unreliable voxels of the map that is shown, or why it is unknown; ""
    without a study. Those that the samples make unreliable are counted in the slice."""
    view = state.view
    if view is None:
        return ""
    name, limit = state.metabolite, state.display.limit
    share = share_beyond(view.prepared.case, name, limit)
    words = NO_CRLB.format(name=name)
    if share is not None:
        words = (
            f"{name}: CRLB above {limit:g} % or failed fit in {share:.0%} of the trusted voxels."
        )
    judge, covering = judged_by(view, name, state.display), veil(view, name, state.display)
    if covering is None or judge in ("", "CRLB") or state.image is None:
        return words
    frame, k = view.prepared.case.frame, state.slice_index
    shown = np.take(covering.data, -1 - k if frame.reversed else k, axis=frame.axis)
    here = shown[np.isfinite(shown)]
    above = float((here > 0).mean()) if here.size else 0.0
    return f"{words} {judge[0].upper()}{judge[1:]} above {limit:g} % in {above:.0%} of this slice."


def reliability_notes(case: Case, limit: float) -> tuple[str, ...]:
    """Return the share of unreliable trusted voxels of every map in one note, if it is known."""
    shares = {name: share_beyond(case, name, limit) for name in case.study.maps}
    known = [f"{name} {share:.0%}" for name, share in shares.items() if share is not None]
    if not known:
        return ()
    return (
        f"CRLB above {limit:g} % or a failed fit, share of the trusted voxels: {', '.join(known)}.",
    )
