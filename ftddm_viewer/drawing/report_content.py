"""What a report page shows of one map and slice: images, figures, settings, checks and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.arrays import affine_over
from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.sampling.check_words import check_line
from ftddm_core.sampling.condition import Condition
from ftddm_core.sampling.weighting import Weighting
from ftddm_core.saving.names import study_label
from ftddm_core.saving.sidecar import fingerprints
from ftddm_core.saving.software import version_of
from ftddm_core.settings import SamplerSettings, controls
from ftddm_viewer.drawing.image_rows import Panel
from ftddm_viewer.session.fidelity import fidelity
from ftddm_viewer.session.first_view import most_varied_slice, upper_limit
from ftddm_viewer.session.messages import nominal_voxels, self_check, value_words
from ftddm_viewer.session.scene import DEVIATION_TOP, resolve

if TYPE_CHECKING:
    from ftddm_core.sampling.result import Result
    from ftddm_viewer.session.model import Model
    from ftddm_viewer.session.state import State

Rows = tuple[tuple[str, str], ...]

MRI_PIXEL = 1.0
"""In mm: an MRI is shown no finer than that."""

UNKNOWN = "not known"


@dataclass(frozen=True, eq=False)
class ReportPage:
    """One page: a map of a study in one slice.

    Parameters
    ----------
    title, subtitle
        Study, metabolite and slice; lines on what was done.
    images
        Single slices, from the left, row by row.
    unit
        Of the maps.
    tables
        Heading -> names and values.
    texts
        Heading -> sentences.
    """

    title: str
    subtitle: tuple[str, ...]
    images: tuple[Panel, ...]
    unit: str
    tables: Mapping[str, Rows]
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)


def page_of_state(
    state: State,
    model: Model,
    limits: tuple[float, float] | None = None,
    colours: str = "viridis",
) -> ReportPage:
    """Return the page of the image that a session shows.

    Parameters
    ----------
    state
        With a computed image.
    model
        The networks in use.
    limits, colours
        Of the maps, as they are displayed; None for the usual limits.

    Raises
    ------
    FormatError
        If nothing was computed of the current map and slice.
    """
    view, image = state.view, state.image
    if view is None or image is None:
        raise FormatError("Nothing to report yet: the image of this slice was not computed.")
    prepared, name, k = view.prepared, state.metabolite, state.slice_index
    condition, scene = prepared.conditions[name], resolve(state)
    reference = prepared.reference
    truth = None if reference is None else reference.maps[name].data[..., k]
    maps = {"Input (zero-filled)": condition.lowres[..., k]}
    maps[_output_name(view.settings)] = image.shown(view.detail(name))
    usual = (0.0, prepared.top(name))
    images = _images(
        prepared.case.study, condition, k, maps, truth, image.deviation, limits or usual, colours
    )
    weights = Weighting(view.mri_weight or 0.0, view.detail(name))
    figures = _figures(fidelity(view, name, k), condition, view.asked)
    if not image.final:
        figures = (("State", "unfinished estimate"), *figures)
    return ReportPage(
        title=scene.title.partition(". ")[0],
        subtitle=(scene.mode, f"{nominal_voxels(condition)}."),
        images=tuple(images),
        unit=condition.unit,
        tables={
            "Settings": _settings(view.asked, weights, condition),
            "Figures of this slice": figures,
            "Made with": _made(model.name, model.digest, model.place or UNKNOWN),
            "Inputs (SHA-256)": _inputs(prepared.case.inputs, name),
        },
        texts={"Self-check": [_bare(self_check(state))], "To know": list(state.notes)},
    )


def pages_of_result(result: Result, study: Study, notes: Sequence[str]) -> list[ReportPage]:
    """Return a page for every map of a result, all of the slice with the largest variation.

    Parameters
    ----------
    result, study
        As for `save_result`.
    notes
        What a careful user would want to know.
    """
    conditions = result.conditions
    k = most_varied_slice([(c.lowres, c.mask) for c in conditions.values()])
    inputs = fingerprints(study)
    pages = []
    for name, condition in conditions.items():
        maps = {"Input (zero-filled)": condition.lowres[..., k]}
        maps[_output_name(result.settings)] = result.maps[name].data[..., k]
        spread = result.deviation.get(name)
        deviation = None if spread is None else spread.data[..., k]
        top = upper_limit(np.concatenate([m[condition.mask[..., k]] for m in maps.values()]))
        images = _images(study, condition, k, maps, None, deviation, (0.0, top), "viridis")
        found = result.residual[name]
        figures = {"residual": found.shown, "noise": found.noise}
        weights = result.weighting[name]
        pages.append(
            ReportPage(
                title=f"{study_label(study)}: {name}, slice {k + 1} of {condition.shape[2]}",
                subtitle=(
                    f"Enlarged {condition.upscale:.3g}× from what was measured; there is no "
                    "reference.",
                    f"{nominal_voxels(condition)}.",
                ),
                images=tuple(images),
                unit=condition.unit,
                tables={
                    "Settings": _settings(result.settings, weights, condition),
                    "Figures of this volume": _figures(figures, condition, result.settings),
                    "Made with": _made(result.weights, result.digest, result.device),
                    "Inputs (SHA-256)": _inputs(inputs, name),
                },
                texts={
                    "Self-check": [_bare(check_line(result.check, {name: weights}))],
                    "To know": list(notes),
                },
            )
        )
    return pages


# ---------------------------------------------------------------- images


def _images(
    study: Study,
    condition: Condition,
    k: int,
    maps: Mapping[str, Any],
    truth: Any,
    deviation: Any,
    limits: tuple[float, float],
    colours: str,
) -> Iterator[Panel]:
    """Yield the images of a slice: MRI, maps, difference, deviation."""
    mask, grid = condition.mask[..., k], condition.volume(condition.lowres).slab(k, k + 1)

    def inside(values: Any) -> Volume:
        return grid.with_data(np.where(mask, values, np.nan)[..., None].astype(np.float32))

    for column, mri in (("T1", study.t1), ("FLAIR", study.flair)):
        shown = None if mri is None else _on_slice(mri, grid)
        if shown is not None:
            yield Panel(column, shown, "gray", (0.0, upper_limit(shown.data[shown.data > 0])))
    every = {name: inside(values) for name, values in maps.items()}
    if truth is not None:
        every["Reference"] = inside(truth)
    for name, volume in every.items():
        yield Panel(name, volume, colours, limits, bar=True)
    first, output = list(every)[:2]
    other = "Reference" if truth is not None else first
    change = every[output].data - every[other].data
    bound = upper_limit(np.abs(change))
    words = "reference" if truth is not None else "input"
    yield Panel(f"Output − {words}", grid.with_data(change), "RdBu_r", (-bound, bound), bar=True)
    if deviation is not None:
        top = DEVIATION_TOP * limits[1]
        yield Panel("Deviation of the samples", inside(deviation), "magma", (0.0, top), bar=True)


def _on_slice(image: Volume, grid: Volume) -> Volume | None:
    """Return an MRI on the plane of a slice with finer pixels; None where they do not meet."""
    finer = [max(1, round(size / MRI_PIXEL)) for size in grid.voxel_size[:2]]
    shape = (grid.shape[0] * finer[0], grid.shape[1] * finer[1], 1)
    try:
        return regrid_mean(image, shape, affine_over(grid.affine, grid.shape, shape))
    except GeometryError:
        return None


def _output_name(settings: SamplerSettings) -> str:
    several = settings.samples > 1
    return f"Output, mean of {settings.samples} samples" if several else "Output, AI-generated"


# ---------------------------------------------------------------- words


def _settings(asked: SamplerSettings, used: Weighting, condition: Condition) -> Rows:
    """Return every setting, an automatic one with what it stands for."""
    stands = {
        "upscale": f"{condition.upscale:.3g}×",
        "mri_weight": f"{used.mri_weight:.2g}",
        "detail": f"{used.detail:.2g}",
        "noise": f"{100 * condition.measurement.typical_noise:.2g} %",
        "steps": str(asked.t_trunc),
        "sampler": asked.sampler_used,
    }
    rows = []
    for control in controls():
        value = getattr(asked, control.name)
        words = value_words(control, value)
        if value is None or value == "automatic":
            words = f"{words} ({stands[control.name]})"
        known = control.symbol.casefold() in control.label.casefold().split()
        rows.append((control.label if known else f"{control.label} ({control.symbol})", words))
    return tuple(rows)


def _figures(found: Mapping[str, float], condition: Condition, asked: SamplerSettings) -> Rows:
    rows = []
    if "psnr" in found:
        for name, label, form, unit in (
            ("psnr", "PSNR", ".1f", " dB"),
            ("ssim", "SSIM", ".3f", ""),
        ):
            now, before = found[name], found[f"input_{name}"]
            rows.append((label, f"{now:{form}}{unit} (input {before:{form}}{unit})"))
    if "residual" in found:
        noise = f"{found['noise']:.2g}"
        rows.append(("k-space residual", f"{found['residual']:.2g} (noise alone {noise})"))
    held = condition.measurement.with_noise(asked.noise)
    rows.append(
        ("Noise of the measurement", f"{100 * held.typical_noise:.2g} % ({held.noise_source})")
    )
    return tuple(rows)


def _made(name: str, digest: str, device: str) -> Rows:
    return (
        ("Weights", f"{name} (SHA-256 {digest[:8]}…)"),
        ("Device", device),
        ("Program", f"ftddm-viewer {version_of('ftddm-viewer')}"),
    )


def _inputs(inputs: Mapping[str, Mapping[str, str]], metabolite: str) -> Rows:
    """Return the files that a map was made from, with the beginning of their SHA-256."""
    own = [r for r in inputs if r == metabolite or r.startswith(f"{metabolite}_")]
    shared = [r for r in ("mask", "t1", "flair", "spikes", "failed") if r in inputs]
    return tuple((r, f"{inputs[r]['Name']} ({inputs[r]['SHA256'][:8]}…)") for r in own + shared)


def _bare(line: str) -> str:
    """Return a self-check's line without its heading."""
    words = line.removeprefix("Self-check: ")
    return words[:1].upper() + words[1:]
