"""Figures of maps: one slice restored by every main method, with MRI and truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ftddm_core.conventions import channel
from ftddm_core.evaluation.cases import Case
from ftddm_core.evaluation.checks import Roles
from ftddm_core.evaluation.metrics import psnr
from ftddm_core.evaluation.outcome import extra_plans
from ftddm_core.evaluation.protocol import MethodPlan, Protocol
from ftddm_core.evaluation.real import ENLARGEMENT, Enlarged
from ftddm_core.evaluation.runner import Runner
from ftddm_core.imaging.degrade import coarse_matrix
from ftddm_core.imaging.volume import Volume
from ftddm_viewer.drawing.orientation import radiological_slice
from ftddm_viewer.drawing.style import add_notice, new_figure
from ftddm_viewer.session.first_view import most_varied_slice, upper_limit

PANEL = 1.25
"""Inches along the longer side of a panel."""

SHOWN_FACTORS = (2.0, 4.0, 8.0)

Panels = dict[str, tuple[NDArray[Any], str]]
"""Column -> slice (Nx, Ny) and the text below it."""


def method_rows(
    runner: Runner, protocol: Protocol, case: Case, metabolite: str, *, real: str = ""
) -> Figure:
    """Draw one metabolite of one case, one row per factor, one column per method.

    Parameters
    ----------
    runner
        Holds the maps.
    protocol
        Its methods and factors are shown, as far as they were run.
    case
        Its slice with the largest variation is shown.
    metabolite
        Its map.
    real
        Description for the title where the maps are not of a simulated patient; for a real
        measurement the factor is that of the restoration.
    """
    plans = [plan for plan in _plans(protocol, case, real) if runner.runs(plan)]
    wanted = [s for s in SHOWN_FACTORS if any(s in m.factors for m in plans)]
    factors = wanted or sorted({factor for m in plans for factor in m.factors})
    mask, truth = case.mask(metabolite), case.truth(metabolite)
    k = most_varied_slice([(truth, mask)])
    limit = upper_limit(truth[..., k][mask[..., k]])
    rows: dict[str, Panels] = {}
    for factor in factors:
        condition = runner.conditions(case, factor)[metabolite]
        panels: Panels = {}
        for role, word in (("t1", "T1w"), ("flair", "FLAIR")):
            image = condition.channels[channel(role), : condition.shape[0], : condition.shape[1], k]
            if image.any():
                panels[word] = (image, "")
        acquired = coarse_matrix(case.matrix, factor)
        for plan in plans:
            if factor in plan.factors and metabolite in plan.metabolites:
                image = runner.images(plan, case, factor, metabolite)[0][..., k]
                found = psnr(image.astype(np.float64), truth[..., k], mask[..., k], acquired)
                panels[plan.name] = (np.where(mask[..., k], image, np.nan), f"{found:.1f} dB")
        panels["truth" if case.simulated or not real else "measured"] = (
            np.where(mask[..., k], truth[..., k], np.nan), "",
        )  # fmt: skip
        rows[f"{factor:g}×"] = panels
    kind = real or ("SIMULATED patient" if case.simulated else "measured study")
    title = f"{metabolite}, {case.name}, slice {k}: {kind}, 0 to {limit:.3g} {case.study.grid.unit}"
    return _draw(rows, case.study.grid, limit, title)


def enlarged_rows(enlarged: Mapping[str, Enlarged], name: str) -> Figure:
    """Draw a measured study: zero-filled and enlarged maps, one row per metabolite, without
    truth."""
    maps = [(e.condition.lowres, e.condition.mask) for e in enlarged.values()]
    k = most_varied_slice(maps)
    rows: dict[str, Panels] = {}
    grid = None
    for metabolite, found in enlarged.items():
        condition, mask = found.condition, found.condition.mask[..., k]
        top = upper_limit(condition.lowres[..., k][mask])
        nx, ny, _ = condition.shape
        t1 = condition.channels[channel("t1"), :nx, :ny, k]
        panels: Panels = {"T1w": (t1, "")} if t1.any() else {}
        for word, image in (("zero-filled", condition.lowres), ("FTDDM-100, default τ",
                                                                found.output)):  # fmt: skip
            panels[word] = (np.where(mask, image[..., k] / top, np.nan), "")
        rows[metabolite] = panels
        grid = Volume(condition.lowres, condition.affine)
    if grid is None:
        raise ValueError("There is no map to draw.")
    title = f"{name}, slice {k}: MEASURED maps enlarged {ENLARGEMENT:g}×, no truth available"
    return _draw(rows, grid, 1.0, title)


def _plans(protocol: Protocol, case: Case, real: str) -> list[MethodPlan]:
    if real:
        return extra_plans(protocol, case)
    roles = Roles.of(protocol)
    names = (roles.zero_filling, roles.guided_tv, roles.regression, roles.at_zero,
             roles.at_default, roles.at_one, roles.full_chain)  # fmt: skip
    found = {m.name: m for m in protocol.methods}
    shown = [found[name] for name in dict.fromkeys(names) if name]
    return shown or [m for m in protocol.methods if m.samples == 1]


def _draw(rows: Mapping[str, Panels], grid: Volume, limit: float, title: str) -> Figure:
    columns = list(dict.fromkeys(column for panels in rows.values() for column in panels))
    # The truth, or its closest substitute, is the last column.
    columns.sort(key=lambda column: column in ("truth", "measured"))
    first = radiological_slice(grid, 0)
    height = first.image.shape[0] * first.aspect
    inches = PANEL / max(first.image.shape[1], height)
    size = (
        max(first.image.shape[1] * inches * len(columns) + 0.5, 5.0),
        (height * inches + 0.15) * len(rows) + 0.8,
    )
    figure, axes = new_figure(len(rows), len(columns), size, title, fontsize=8)
    for line, (label, panels) in zip(axes, rows.items(), strict=True):
        for place, column in zip(line, columns, strict=True):
            _panel(place, panels.get(column), grid, limit, column in ("T1w", "FLAIR"))
        line[0].set_ylabel(label, fontsize=8, fontweight="bold")
    for place, column in zip(axes[0], columns, strict=True):
        place.set_title(_wrap(column), fontsize=6.5)
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.set(w_pad=0.01, h_pad=0.03, wspace=0.01, hspace=0.01)  # type: ignore[call-arg]
    add_notice(figure, fontsize=7)
    return figure


def _panel(
    place: Axes, panel: tuple[NDArray[Any], str] | None, grid: Volume, limit: float, mri: bool
) -> None:
    place.set(xticks=[], yticks=[])
    if panel is None:
        place.set_frame_on(False)
        return
    image, words = panel
    shown = radiological_slice(grid.with_data(image[..., None]), 0)
    place.imshow(shown.image, "gray" if mri else "viridis", aspect=shown.aspect,
                 interpolation="nearest", vmin=0, vmax=1 if mri else limit)  # fmt: skip
    place.set_facecolor("black")
    place.set_xlabel(words, fontsize=6, labelpad=1)


def _wrap(text: str) -> str:
    return text.replace(", ", "\n").replace(" in ", "\nin ")


def shown_metabolites(names: Sequence[str]) -> list[str]:
    """Return the metabolites to draw: those that every method runs on, two at most."""
    preferred = [name for name in ("tNAA", "tCho") if name in names]
    return (preferred or list(names))[:2]
