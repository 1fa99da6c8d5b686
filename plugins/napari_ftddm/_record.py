"""What a layer knows of itself, and the files that are written from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ftddm_core.errors import FormatError
from ftddm_core.imaging.io import encode_volume
from ftddm_core.imaging.volume import Volume
from ftddm_core.sampling.gathered import joined
from ftddm_core.sampling.weighting import Weighting
from ftddm_core.saving.names import result_stem, study_label
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_core.saving.pair import encode_json, encode_pair
from ftddm_viewer.session.messages import nominal_voxels
from ftddm_viewer.session.ratios import ratio_name, ratio_slice
from ftddm_viewer.session.scene import RATIOS, LayerSpec, Scene
from ftddm_viewer.session.state import Finished, State, View
from napari_ftddm._bridge import ORDER
from napari_ftddm._derived_record import DERIVED, OF_THE_OUTPUT, derived_output

if TYPE_CHECKING:
    from napari.layers import Layer

    from ftddm_viewer.session.model import Model

COMPUTED = {"output": "ftddm", "deviation": "ftddmSd"}
"""Role -> the description in a result's file names."""

CHANGED = "changed"
"""Role of a layer that the user made from another by napari's means."""


def known_of(layer: Layer) -> dict[str, Any]:
    """Return what this plugin knows of a layer; empty for other layers."""
    found = layer.metadata.get("ftddm")
    return found if isinstance(found, dict) else {}


def leave_to_user(layer: Layer) -> None:
    """Manage a layer no longer, or never, that napari copied or made from a managed one.

    A copy keeps its words. What holds other values, such as a projection, says so.
    """
    say_if_changed(layer)
    known = known_of(layer)
    if known.get("managed"):
        layer.metadata["ftddm"] = {**known, "managed": False, "copy": True}


def say_if_changed(layer: Layer) -> None:
    """Let a new layer say so if it does not hold the values that its words are about.

    Napari gives what it makes of a layer, a projection for instance, that layer's own words.
    """
    known = known_of(layer)
    if not {"caption", "volume"} <= known.keys() or "swipe" in known or known["role"] == CHANGED:
        return
    made = known["volume"].data.transpose(2, 1, 0)
    if np.array_equal(layer.data, made, equal_nan=True):
        return
    words = {"name": f"{known['name']}, changed by hand",
             "caption": f"CHANGED BY HAND, from: {known['caption']}"}  # fmt: skip
    layer.metadata["ftddm"] = {**known, **words, "managed": False, "role": CHANGED}


def on_this_side(known: dict[str, Any], point: Any) -> bool:
    """Return whether a layer of a swipe, by its metadata, is the one to be read at a point."""
    place = known.get("swipe")
    if place is None:
        return True
    axis, position, low_side = place
    return bool((point[axis - len(ORDER)] < position) is low_side)


def complete(known: dict[str, Any]) -> bool:
    """Return whether every slice of a computed layer holds an image."""
    view: View | None = known.get("view")
    if view is None:
        return False
    name = known["metabolite"]
    return all((name, k) in view.images for k in range(view.prepared.n_slices))


def about(spec: LayerSpec, state: State, scene: Scene, model: Model) -> dict[str, Any]:
    """Return the metadata of a managed layer: all that its words and files need."""
    case, view = state.case, state.view
    known: dict[str, Any] = {"role": spec.role, "managed": True, "volume": spec.volume}
    if case is not None:
        path = case.study.source.get(spec.role.lower(), "")
        known |= {"case": case, "study": case.study, "label": case.label, "frame": case.frame}
        known |= {"path": path, "caption": scene.captions[spec.role], "voxels": ""}
    known |= {"unit": spec.volume.unit, "name": spec.role}
    if view is not None and spec.role not in ("T1", "FLAIR"):
        known |= {
            "name": state.metabolite,
            "voxels": nominal_voxels(view.prepared.conditions[state.metabolite]),
            "metabolite": state.metabolite,
            "unit": view.prepared.conditions[state.metabolite].unit,
            "settings": view.settings,
            "view": view,
            "finished": _finished_of(state.finished, view),
            "model": model,
            "display": state.display,
            "ratio": state.ratio,
        }
    if spec.role in RATIOS and state.ratio is not None:
        known |= {"name": ratio_name(state.ratio), "unit": spec.volume.unit}
    return known


def _finished_of(finished: Finished | None, view: View) -> Finished | None:
    """Return a whole volume if it is what a view shows."""
    if finished is None or finished.prepared is not view.prepared:
        return None
    drawn = finished.drawn
    same = view.settings == drawn.settings.replace(detail=view.asked.detail)
    weights = {weights.mri_weight for weights in drawn.weighting.values()}
    return finished if same and weights == {view.mri_weight} else None


def files_of(known: dict[str, Any], shown: Volume, compress: bool) -> tuple[bytes, bytes]:
    """Return NIfTI and sidecar of a layer, on the study's own grid.

    Parameters
    ----------
    known
        Its metadata.
    shown
        What the layer holds, in display space.
    compress
        Whether the NIfTI is gzipped.

    Raises
    ------
    FormatError
        If slices were not computed, if the layer was changed by hand, but for a mask, or if it is
        one half of a swipe.
    """
    role = str(known["role"])
    if known.get("swipe"):
        raise FormatError(
            "This layer is one half of the swipe: end the swipe, then save the output or the "
            "pinned output itself."
        )
    edited = not _unchanged(shown, known["volume"])
    if edited and role != "mask":
        raise FormatError(
            "This layer was changed or moved by hand after it was made, so that its record would "
            "be wrong: compute it again, then save it."
        )
    if role in COMPUTED:
        finished = _whole(known, role)
        name = known["metabolite"]
        stem = result_stem(study_label(finished.prepared.acquired), name, COMPUTED[role])
        sidecar, image = encode_pair(*finished.outputs()[stem], compress=compress)
        return image, sidecar
    if role in DERIVED:
        output = None
        if role in OF_THE_OUTPUT:
            finished = _whole(known, role)
            stem = result_stem(study_label(finished.prepared.acquired), known["metabolite"])
            output = finished.outputs()[stem]
        sidecar, image = encode_pair(*derived_output(known, output), compress=compress)
        return image, sidecar
    record: dict[str, Any] = {
        "Notice": f"{RESEARCH_ONLY}.",
        "Role": role,
        "Unit": known["unit"] or "as the input",
    }
    if "metabolite" in known:
        record["Metabolite"] = known["metabolite"]
    if "settings" in known:
        record["EffectiveUpscale"] = known["settings"].upscale
    if role in ("T1", "FLAIR"):
        record["AsShown"] = "on its own extent; resampled where it was oblique to the maps"
    if role in RATIOS:
        _check_ratio(known)
        del record["Metabolite"]
        record["Ratio"] = known["name"]
        record["Caption"] = known["caption"]
        known = {**known, "view": None}  # it is saved as it is shown
    if known.get("path"):
        record["Source"] = Path(known["path"]).name
    if role == "mask":
        record["EditedByHand"] = edited
        known = {**known, "volume": shown}
    return encode_volume(_on_grid(known), compress=compress), encode_json(record)


def _check_ratio(known: dict[str, Any]) -> None:
    """Refuse a ratio of which slices were not computed."""
    view: View = known["view"]
    if known["role"] != "ratio output":
        return
    n_slices = view.prepared.n_slices
    missing = sum(ratio_slice(view, known["ratio"], k) is None for k in range(n_slices))
    if missing:
        raise FormatError(
            f"{missing} of {n_slices} slices of this ratio were not computed: press 'Whole "
            "volume' first, then save."
        )


def _on_grid(known: dict[str, Any]) -> Volume:
    """Return what was given to a layer: on the screen, maps are cut to what is trusted."""
    view: View | None = known.get("view")
    if view is None:
        restored: Volume = known["frame"].restore(known["volume"])
        return replace(restored, unit=known["unit"])
    condition = view.prepared.conditions[known["metabolite"]]
    if known["role"] == "reference" and view.prepared.reference is not None:
        return view.prepared.reference.maps[condition.metabolite]
    return condition.volume(condition.lowres)


def _unchanged(shown: Volume, made: Volume) -> bool:
    return shown.on_grid_of(made) and np.array_equal(shown.data, made.data, equal_nan=True)


def _whole(known: dict[str, Any], role: str) -> Finished:
    """Return the whole volume that a layer shows.

    Raises
    ------
    FormatError
        If slices of it were not computed.
    """
    view: View | None = known.get("view")
    if view is None:
        raise FormatError("Nothing was computed yet: press 'Whole volume' first, then save.")
    name, n_slices = known["metabolite"], view.prepared.n_slices
    images = [view.images.get((name, k)) for k in range(n_slices)]
    missing = sum(image is None or not image.final for image in images)
    if missing:
        raise FormatError(
            f"{missing} of {n_slices} slices of this {role} were not computed: press 'Whole "
            "volume' first, then save."
        )
    return known["finished"] or _gathered(view, name, known["model"])


def _gathered(view: View, name: str, model: Model) -> Finished:
    """Return slices that were computed one by one as a whole volume."""
    from ftddm_core.sampling.result import Result

    condition = view.prepared.conditions[name]
    images = [view.images[name, k] for k in range(view.prepared.n_slices)]
    spread = [image.deviation for image in images if image.deviation is not None]
    x, z = (
        condition.volume(np.stack(images, axis=-1))
        for images in (
            [image.drawn for image in images],
            [image.alone for image in images],
        )
    )
    held = condition.measurement.with_noise(view.asked.noise)
    resolver = model.load()
    result = Result(
        maps={name: x},
        drawn={name: x},
        alone={name: z},
        deviation={name: x.with_data(np.stack(spread, axis=-1))} if spread else {},
        conditions={name: condition},
        settings=view.settings,
        weighting={name: Weighting(view.mri_weight or 0.0, view.detail(name))},
        noise={name: (held.typical_noise, held.noise_source)},
        check=view.check,
        residual={},
        weights=resolver.weights.name,
        digest=resolver.weights.digest,
        device=resolver.where,
        seconds=0.0,
        traces={name: joined([p.traces for p in images if p.traces is not None])},
    )
    return Finished.of(result.showing(view.asked.detail, view.check), view.prepared)
