"""What is on the screen, as plain data: (state) -> layers and words. Pure, and without a toolkit.

Every layer lies in display space (`frame.Frame`), its axes along x, y, z; faces draw them, napari
as its layers and the page as pictures. Layers that did not change are the very same objects from
one scene to the next, so that a face need only look for what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ftddm_core.imaging.volume import Volume
from ftddm_core.settings import Value, controls
from ftddm_viewer import RESEARCH_ONLY
from ftddm_viewer.session.case import Mode
from ftddm_viewer.session.fidelity import fidelity
from ftddm_viewer.session.messages import called, nominal_voxels, value_words
from ftddm_viewer.session.state import Activity, State, View

Role = Literal["T1", "FLAIR", "input", "reference", "output", "deviation"]

SELDOM = ("samples", "consistency", "noise", "sampler")
"""Settings that a caption names only where they are not the default."""

DEVIATION_TOP = 0.25
"""Upper limit of the deviation's colours, relative to the maps'."""


@dataclass(frozen=True, eq=False)
class LayerSpec:
    """One image on the screen.

    Parameters
    ----------
    role
        What it is; there is one layer of each role at most.
    name
        For the list of layers.
    volume
        In display space; NaN where there is no value to show.
    colormap
        Named alike in matplotlib and napari.
    limits
        Values of the first and the last colour.
    visible
        Whether it is shown at first.
    linked
        Whether it shares limits, colours and gamma with the other linked layers.
    """

    role: Role
    name: str
    volume: Volume
    colormap: str
    limits: tuple[float, float]
    visible: bool = True
    linked: bool = False


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything on the screen.

    Parameters
    ----------
    layers
        The lowest first.
    axis, position
        Display axis (0, 1, 2: x, y, z) along which slices are stacked, and where along it, in mm,
        the slice lies that is looked at.
    title
        What is looked at.
    mode
        What s does here, in a sentence: enlarged, or degraded and restored.
    captions
        Role -> what a layer is, how it was made, and what it is not for: belongs on every image
        whose topmost layer it is.
    figures
        How faithful the output is, as far as that is known; may be empty.
    """

    layers: tuple[LayerSpec, ...] = ()
    axis: int = 2
    position: float = 0.0
    title: str = ""
    mode: str = ""
    captions: Mapping[Role, str] = field(default_factory=dict)
    figures: str = ""

    @property
    def caption(self) -> str:
        """The output's."""
        return self.captions.get("output", RESEARCH_ONLY)

    def layer(self, role: Role) -> LayerSpec | None:
        """Return the layer of a role, if there is one."""
        return next((layer for layer in self.layers if layer.role == role), None)


def resolve(state: State) -> Scene:
    """Return what a state looks like."""
    view = state.view
    if view is None:
        return Scene()
    case = view.prepared.case
    layers = [
        LayerSpec(name, name, image, "gray", (0.0, case.mri_tops[name]), number == 0)
        for number, (name, image) in enumerate(case.mri.items())
    ]
    return Scene(
        layers=(*layers, *_maps(view, state.metabolite)),
        axis=case.frame.axis,
        position=float(case.positions[state.slice_index]),
        title=_title(state, view),
        mode=_mode(state, view),
        captions=_captions(state, view),
        figures=_figures(state),
    )


def _maps(view: View, name: str) -> Iterator[LayerSpec]:
    prepared = view.prepared
    limits = (0.0, prepared.top(name))
    shared: dict[str, Any] = {"colormap": "viridis", "limits": limits, "linked": True}
    yield LayerSpec("input", f"Input {name} (zero-filled)", prepared.input(name), **shared)
    if (truth := prepared.truth(name)) is not None:
        yield LayerSpec("reference", f"Reference {name}", truth, visible=False, **shared)
    title = f"Output {name} {_factor(view, name)}"
    yield LayerSpec("output", title, view.stacked(name), **shared)
    if view.settings.samples > 1:
        spread, top = view.stacked(name, "deviation"), DEVIATION_TOP * limits[1]
        yield LayerSpec("deviation", f"Deviation {name}", spread, "magma", (0.0, top), False)


def _title(state: State, view: View) -> str:
    condition = view.prepared.conditions[state.metabolite]
    where = f"slice {state.slice_index + 1} of {view.prepared.n_slices}"
    return f"{view.prepared.case.label}: {state.metabolite}, {where}. {nominal_voxels(condition)}"


def _mode(state: State, view: View) -> str:
    factor = _factor(view, state.metabolite)
    if view.prepared.mode is Mode.RESTORE:
        return f"Degraded {factor} on purpose, then restored; the original is the reference."
    return f"Enlarged {factor} from what was measured; there is no reference."


def _factor(view: View, metabolite: str) -> str:
    """Return the effective factor s: that of the matrices, not the one asked for."""
    return f"×{view.prepared.conditions[metabolite].upscale:.3g}"


def _captions(state: State, view: View) -> dict[Role, str]:
    """Return what each layer is: no image may do without."""
    degraded = view.prepared.mode is Mode.RESTORE
    origin = f"degraded {_factor(view, state.metabolite)} on purpose" if degraded else "as acquired"
    made = _made(state, view)
    what: dict[Role, str] = {
        "T1": "T1",
        "FLAIR": "FLAIR",
        "input": f"INPUT, {origin}, zero-filled",
        "reference": "REFERENCE, as acquired",
        "output": made or "OUTPUT not computed for this slice",
        "deviation": f"DEVIATION of the samples. {made}" if made else "DEVIATION not computed",
    }
    return {role: f"{words}. {RESEARCH_ONLY}." for role, words in what.items()}


def _made(state: State, view: View) -> str:
    """Return how the output that is looked at was made; "" where it is still to be computed."""
    picture = state.picture
    if picture is None:
        return ""
    words, study = [], view.prepared.case.study
    used: dict[str, Value] = {
        "mri_weight": view.mri_weight,
        "detail": view.detail(state.metabolite),
    }
    for control in controls():
        value = getattr(view.asked, control.name)
        if control.name == "upscale":
            words.append(_factor(view, state.metabolite))
        elif control.name == "mri_weight" and study.t1 is None and study.flair is None:
            continue
        elif control.name in used:
            words.append(f"{called(control)} {used[control.name]:.2g}")
        elif value != control.default or control.name not in SELDOM:
            words.append(f"{called(control)} {value_words(control, value)}")
    if not picture.final and state.activity is Activity.IDLE:
        words.append("unfinished")
    return f"OUTPUT, AI-generated, {', '.join(words)}"


def _figures(state: State) -> str:
    """Return the fidelity of the picture, before and after, in words."""
    f = {} if state.view is None else fidelity(state.view, state.metabolite, state.slice_index)
    if not f:
        return ""
    words = [f"k-space residual {f['residual']:.2g} (noise alone {f['noise']:.2g})"]
    if "psnr" in f:
        words.insert(0, f"PSNR {f['psnr']:.1f} dB (input {f['input_psnr']:.1f})")
        words.insert(1, f"SSIM {f['ssim']:.3f} (input {f['input_ssim']:.3f})")
    return ", ".join(words)
