"""What is on the screen, as plain data: (state) -> layers and words. Pure, and without a toolkit.

Every layer lies in display space (`frame.Frame`), its axes along x, y, z; front ends draw them,
napari as its layers and the page as images. Layers that did not change are the very same objects
from one scene to the next, so that a front end need only look for what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ftddm_core.imaging.volume import Volume
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.settings import Value, controls
from ftddm_viewer.session.case import Case, Mode
from ftddm_viewer.session.derived import FADED, derived_captions, derived_layers, faded
from ftddm_viewer.session.display import DerivedRole, Display
from ftddm_viewer.session.fidelity import fidelity
from ftddm_viewer.session.messages import called, nominal_voxels, value_words
from ftddm_viewer.session.ratios import (
    Source,
    ratio_detail,
    ratio_name,
    ratio_slice,
    ratio_top,
    ratio_volume,
    ratio_words,
)
from ftddm_viewer.session.state import Activity, State, View

Role = Literal[
    "T1",
    "FLAIR",
    "input",
    "reference",
    "output",
    "deviation",
    DerivedRole,
    "veil",
    "ratio input",
    "ratio reference",
    "ratio output",
]
RATIOS: Mapping[Role, Source] = {
    "ratio input": "input",
    "ratio reference": "reference",
    "ratio output": "output",
}
"""Role of each layer of a ratio -> of which maps."""

SELDOM = ("samples", "consistency", "noise", "sampler")
"""Settings that a caption names only where they are not the default."""

NOT_COMPUTED: Mapping[Role, str] = {
    "output": f"OUTPUT not computed for this slice. {RESEARCH_ONLY}.",
    "deviation": f"DEVIATION not computed for this slice. {RESEARCH_ONLY}.",
    "difference": f"DIFFERENCE not computed for this slice. {RESEARCH_ONLY}.",
    "detail": f"DRAWN DETAIL not computed for this slice. {RESEARCH_ONLY}.",
    "flow": f"FLOW'S IMAGE not computed for this slice. {RESEARCH_ONLY}.",
    "estimate": f"FIRST ESTIMATE not computed for this slice. {RESEARCH_ONLY}.",
    "ratio output": f"RATIO of the OUTPUT not computed for this slice. {RESEARCH_ONLY}.",
}
"""What the caption of a layer is where it is still empty."""

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
        the current slice lies.
    title
        Study, metabolite, slice and voxel.
    mode
        What s does here, in a sentence: enlarged, or degraded and restored.
    captions
        Role -> what a layer is, how it was made, and what it is not for.
    computed
        Whether the output of the current slice was computed.
    metrics
        How faithful the output is, as far as that is known; may be empty.
    """

    layers: tuple[LayerSpec, ...] = ()
    axis: int = 2
    position: float = 0.0
    title: str = ""
    mode: str = ""
    captions: Mapping[Role, str] = field(default_factory=dict)
    computed: bool = False
    metrics: str = ""

    def caption(self, role: Role = "output") -> str:
        """Return what belongs on every image whose topmost layer is of a role."""
        if not self.computed and role in self.captions and role in NOT_COMPUTED:
            return NOT_COMPUTED[role]
        return self.captions.get(role, RESEARCH_ONLY)

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
        layers=(
            *layers,
            *_shown(_maps(view, state.metabolite), state.display),
            *(LayerSpec(*each) for each in derived_layers(state, view)),
            *_shown(_ratios(state, view), state.display),
        ),
        axis=case.frame.axis,
        position=float(case.positions[state.slice_index]),
        title=title_of(
            case,
            state.metabolite,
            state.slice_index,
            nominal_voxels(view.prepared.conditions[state.metabolite]),
        ),
        mode=_mode(state, view),
        captions=_captions(state, view),
        computed=state.image is not None,
        metrics=_metrics(state),
    )


def _shown(layers: Iterator[LayerSpec], display: Display) -> Iterator[LayerSpec]:
    """Yield layers with the colours that are chosen for those that share them."""
    for layer in layers:
        limits = display.limits(layer.limits)
        yield replace(layer, colormap=display.colormap, limits=limits) if layer.linked else layer


def _maps(view: View, name: str) -> Iterator[LayerSpec]:
    prepared = view.prepared
    limits = (0.0, prepared.top(name))
    shared: dict[str, Any] = {"colormap": "viridis", "limits": limits, "linked": True}
    yield LayerSpec("input", f"Input {name} (zero-filled)", prepared.input(name), **shared)
    if (truth := prepared.truth(name)) is not None:
        yield LayerSpec("reference", f"Reference {name}", truth, visible=False, **shared)
    several = view.settings.samples > 1
    what = f"Mean of {view.settings.samples} samples" if several else "Output"
    title = f"{what} {name} {_factor(view, name)}"
    yield LayerSpec("output", title, view.stacked(name), **shared)
    if several:
        spread, top = view.stacked(name, "deviation"), DEVIATION_TOP * limits[1]
        yield LayerSpec("deviation", f"Deviation {name}", spread, "magma", (0.0, top), False)


def _ratios(state: State, view: View) -> Iterator[LayerSpec]:
    pair, case = state.ratio, view.prepared.case
    if pair is None:
        return
    limits = (0.0, ratio_top(case, view.prepared.mode, pair))
    for role, source in RATIOS.items():
        if (volume := ratio_volume(view, pair, source)) is not None:
            name = f"Ratio {source} {ratio_name(pair)}"
            seen = role != "ratio reference"
            yield LayerSpec(role, name, volume, "viridis", limits, seen, linked=True)


def title_of(case: Case, name: str, k: int, voxels: str) -> str:
    """Return the title of a case's map or MRI in slice k, with its nominal voxels if any."""
    where = f"{case.label}: {name}, slice {k + 1} of {case.study.grid.shape[2]}"
    return f"{where}. {voxels}" if voxels else where


def _mode(state: State, view: View) -> str:
    factor = _factor(view, state.metabolite)
    if view.prepared.mode is Mode.RESTORE:
        return f"Degraded {factor} on purpose, then restored; the original is the reference."
    return f"Enlarged {factor} from what was measured; there is no reference."


def _factor(view: View, metabolite: str) -> str:
    """Return the effective factor s: that of the matrices, not the one asked for."""
    return f"{view.prepared.conditions[metabolite].upscale:.3g}×"


def _captions(state: State, view: View) -> dict[Role, str]:
    """Return what each layer is, as far as it was computed: no image may do without."""
    degraded = view.prepared.mode is Mode.RESTORE
    origin = f"degraded {_factor(view, state.metabolite)} on purpose" if degraded else "as acquired"
    made = _made(state, view)
    what: dict[Role, str] = {
        "T1": "T1",
        "FLAIR": "FLAIR",
        "input": f"INPUT, {origin}, zero-filled",
        "reference": "REFERENCE, as acquired",
        "output": made,
        "deviation": f"DEVIATION of the samples. {made}",
        **derived_captions(state, view, made),
    }
    if state.display.fade and (words := faded(state, view)):
        what |= {role: f"{what[role]}; {words}" for role in what if role in FADED}
    for role, source in RATIOS.items() if state.ratio is not None else ():
        what[role] = _ratio_caption(state, view, source)
    return {role: f"{words}. {RESEARCH_ONLY}." for role, words in what.items()}


def _ratio_caption(state: State, view: View, source: Source) -> str:
    pair = state.ratio
    if pair is None:
        return ""
    words = ratio_words(view, pair, source)
    if source != "output":
        return words
    if ratio_slice(view, pair, state.slice_index) is None:
        return NOT_COMPUTED["ratio output"].removesuffix(f". {RESEARCH_ONLY}.")
    made = _made(replace(state, metabolite=pair.above), view, ratio_detail(view, pair))
    return f"{words}. {made}"


def _made(state: State, view: View, detail: str = "") -> str:
    """Return how the output was made; `detail` replaces the words on its share of detail."""
    image = state.image
    words, study, several = [], view.prepared.case.study, ""
    used: dict[str, Value] = {
        "mri_weight": view.mri_weight,
        "detail": view.detail(state.metabolite),
    }
    for control in controls():
        value = getattr(view.asked, control.name)
        if control.name == "upscale":
            words.append(_factor(view, state.metabolite))
        elif control.name == "steps" and view.asked.t_trunc == 0:
            words.append("no steps")
        elif control.name == "samples" and value != 1:
            several = f", mean of {value} samples"
        elif control.name == "mri_weight" and study.t1 is None and study.flair is None:
            continue
        elif control.name == "detail" and detail:
            words.append(detail)
        elif control.name in used:
            words.append(f"{called(control)} {used[control.name]:.2g}")
        elif value != control.default or control.name not in SELDOM:
            words.append(f"{called(control)} {value_words(control, value)}")
    if image is not None and not image.final and state.activity is Activity.IDLE:
        words.append("unfinished")
    return f"OUTPUT{several}, AI-generated, {', '.join(words)}"


def _metrics(state: State) -> str:
    """Return the fidelity of the image, before and after, in words."""
    f = {} if state.view is None else fidelity(state.view, state.metabolite, state.slice_index)
    if not f:
        return ""
    words = [f"k-space residual {f['residual']:.2g} (noise alone {f['noise']:.2g})"]
    if "psnr" in f:
        words.insert(0, f"PSNR {f['psnr']:.1f} dB (input {f['input_psnr']:.1f})")
        words.insert(1, f"SSIM {f['ssim']:.3f} (input {f['input_ssim']:.3f})")
    return ", ".join(words)
