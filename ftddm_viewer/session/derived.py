"""Layers that are made from the images on demand: what was measured and what was drawn, told apart.

- difference: output - reference where there is one, else output - input;
- detail: output - z, the part of the output that the model drew, z following from the measurement;
- flow: x_{T_trunc}, where the chain starts, and estimate: the first x0 from it;
- veil: 1 - reliability, see `reliability`.

The first two are signed: their colours diverge from 0, with limits that the study alone decides.
None is a map of a metabolite, and no caption calls it one. Pure numpy, without a toolkit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ftddm_core.conventions import N_TRAIN_STEPS
from ftddm_core.imaging.volume import Volume
from ftddm_viewer.session.reliability import judged_by, veil
from ftddm_viewer.session.state import State, View

SIGNED_TOP = 0.25
"""Upper limit of the colours of a difference, relative to the maps'; the lower is its negative."""

DIVERGING = "coolwarm"
SENSES = "blue below 0, red above"
STARTING = "inferno"

FADED = ("input", "reference", "output", "difference", "detail")
"""Roles of the layers whose unreliable voxels are faded: those made of fitted values."""

BUTTONS: Mapping[str, str] = {
    "difference": "Difference",
    "detail": "Drawn detail",
    "deviation": "Deviation",
    "flow": "Flow's image",
    "estimate": "First estimate",
}
"""Role -> what the button says that shows it."""

HELP: Mapping[str, str] = {
    "difference": "Output minus reference; without a reference, output minus input.",
    "detail": "Output minus what the measurement alone says: the part that the model drew.",
    "deviation": "Standard deviation of the samples.",
    "flow": "The flow's image, from which the denoising starts: noisy by design. Where it is "
    "wrong, the denoising cannot repair it.",
    "estimate": "The first denoised estimate from the flow's image.",
}

NO_SAMPLES = "There is one sample only: set several to see their deviation."
NO_CASE = "No study is open."

_differences: WeakKeyDictionary[Volume, tuple[Volume, Volume]] = WeakKeyDictionary()


class Derived(NamedTuple):
    """The arguments of a `scene.LayerSpec`."""

    role: Any
    name: str
    volume: Volume
    colormap: str
    limits: tuple[float, float]
    visible: bool = True


def difference(output: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float32]:
    """Return output - other of images of one shape; NaN where either is."""
    return np.asarray(output - other, np.float32)


def derived_layers(state: State, view: View) -> Iterator[Derived]:
    """Yield the layers that a state asks for, the lowest first."""
    name, asked = state.metabolite, state.display.layers
    top = view.prepared.top(name)
    signed = (-SIGNED_TOP * top, SIGNED_TOP * top)
    if "difference" in asked:
        title = f"Difference {name} ({compared(view)})"
        yield Derived("difference", title, _difference(view, name), DIVERGING, signed)
    if "detail" in asked:
        title = f"Drawn detail {name}"
        yield Derived("detail", title, view.stacked(name, "detail"), DIVERGING, signed)
    at = f"{name} at T_trunc {view.asked.t_trunc}"
    if "flow" in asked:
        yield Derived("flow", f"Flow {at}", view.stacked(name, "flow"), STARTING, (0, top))
    if "estimate" in asked:
        title = f"First estimate {at}"
        yield Derived("estimate", title, view.stacked(name, "estimate"), STARTING, (0, top))
    covering = veil(view, name, state.display)
    if covering is not None:
        yield Derived("veil", "Unreliable voxels", covering, "gray", (0, 1), state.display.fade)


def compared(view: View) -> str:
    """Return what a difference is, in words."""
    return f"output − {'input' if view.prepared.reference is None else 'reference'}"


def _difference(view: View, name: str) -> Volume:
    """Return the difference in display space; the same object for the same images."""
    output = view.stacked(name)
    truth = view.prepared.truth(name)
    other = view.prepared.input(name) if truth is None else truth
    known = _differences.get(output)
    if known is None or known[0] is not other:
        data = difference(output.data, other.data)
        known = other, replace(output, data=data)
        _differences[output] = known
    return known[1]


def derived_captions(state: State, view: View, made: str) -> dict[Any, str]:
    """Return what each derived layer is, without the notice.

    Parameters
    ----------
    made
        How the output was made.
    """
    t, image = view.asked.t_trunc, state.image
    unit = f", in {view.prepared.conditions[state.metabolite].unit or 'a.u.'}"
    start = f"where the denoising starts, not a map. {made}"
    first = "NOISE" if t == N_TRAIN_STEPS else "FLOW'S IMAGE"
    if image is None or image.start is None:
        start = "not computed for this slice"
    return {
        "difference": f"DIFFERENCE, {compared(view)}{unit}; {SENSES}. {made}",
        "detail": f"DRAWN DETAIL, output − measurement alone{unit}; {SENSES}. {made}",
        "flow": f"{first} at T_trunc {t}{_sample(view)}, {start}",
        "estimate": f"FIRST ESTIMATE at T_trunc {t}{_sample(view)}, {start}",
        "veil": f"UNRELIABLE VOXELS, {faded(state, view)}",
    }


def _sample(view: View) -> str:
    return f" of sample 1 of {view.settings.samples}" if view.settings.samples > 1 else ""


def faded(state: State, view: View) -> str:
    """Return what fades voxels of the current map, in words; "" where nothing does."""
    judge = judged_by(view, state.metabolite, state.display)
    return f"faded: {judge} above {state.display.limit:g} %" if judge else ""


def unavailable(state: State, role: str) -> str:
    """Return why a derived layer cannot be shown; "" where it can."""
    if state.view is None:
        return NO_CASE
    if role == "deviation" and state.view.settings.samples == 1:
        return NO_SAMPLES
    return ""
