"""What is known at one point besides the value that is shown: deviation, CRLB and ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ftddm_core.imaging.fit_quality import failed_fit
from ftddm_core.imaging.metabolites import Ratio
from ftddm_core.imaging.volume import Volume
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.ratios import Source, ratio_name, ratio_volume
from ftddm_viewer.session.state import View

OUTSIDE = "outside the mask"
NO_RATIO = "no ratio here: outside the mask, or the denominator is too small"
NOT_COMPUTED = "not computed"
"""What is said where there is no value."""

Point = Sequence[float]
"""Position (x, y, z) in display space, in mm."""

SOURCES: dict[str, Source] = {
    "input": "input",
    "reference": "reference",
    "output": "output",
    "deviation": "output",
    "ratio input": "input",
    "ratio reference": "reference",
    "ratio output": "output",
}
"""Role of a layer -> which of the maps it belongs to."""


def value_at(volume: Volume | None, point: Point) -> float:
    """Return the value of the voxel at a point in the volume's world; NaN beyond its voxels."""
    if volume is None:
        return math.nan
    inside = np.linalg.inv(volume.affine) @ [*point, 1.0]
    index = np.floor(inside[:3] + 0.5).astype(int)
    if (index < 0).any() or (index >= volume.shape).any():
        return math.nan
    return float(volume.data[tuple(index)])


def value_words(value: float, deviation: float = math.nan, unit: str = "") -> str:
    """Return a value with its deviation, if known, and its unit.

    >>> value_words(2.5, unit="mM"), value_words(2.5, 0.125, "mM")
    ('2.5 mM', '2.5 ± 0.12 mM')
    """
    words = f"{value:.4g}" if math.isnan(deviation) else f"{value:.4g} ± {deviation:.2g}"
    return f"{words} {unit}".rstrip()


def deviation_at(view: View, role: str, metabolite: str, pair: Ratio | None, point: Point) -> float:
    """Return the standard deviation of the samples behind the value of a layer; NaN if unknown."""
    if view.asked.samples < 2:
        return math.nan
    if role == "ratio output" and pair is not None:
        return value_at(ratio_volume(view, pair, "deviation"), point)
    return value_at(view.stacked(metabolite, "deviation"), point) if role == "output" else math.nan


def crlb_words(case: Case, metabolite: str, point: Point) -> str:
    """Return the CRLB of the acquired voxel at a point; "" where it is unknown."""
    bound = case.study.crlb.get(metabolite)
    world = np.linalg.inv(case.frame.turn) @ [*point, 1.0]
    value = value_at(bound, world[:3].tolist())
    if math.isnan(value):
        return ""
    return "fit failed" if failed_fit(np.array(value)) else f"CRLB {value:.3g} %"


def details(
    case: Case, view: View | None, role: str, metabolite: str, pair: Ratio | None, point: Point
) -> list[str]:
    """Return what is known of the maps of a layer at a point, besides its value.

    Parameters
    ----------
    case, view
        What is open, and its images if there are any.
    role, metabolite
        Of the layer; one of a ratio shows the ratio's own maps.
    pair
        The ratio that is shown; None for none.
    point
        In display space, in mm.
    """
    words = []
    source = SOURCES.get(role)
    if role.startswith("ratio") and pair is not None:
        for name in pair:
            crlb = crlb_words(case, name, point)
            value = value_at(_map(view, name, source), point)
            said = "" if math.isnan(value) else value_words(value, unit=case.study.maps[name].unit)
            if said or crlb:
                words.append(f"{name} {', '.join(filter(None, (said, crlb)))}")
        return words
    if crlb := crlb_words(case, metabolite, point):
        words.append(crlb)
    if pair is not None and view is not None and source is not None:
        value = value_at(ratio_volume(view, pair, source), point)
        if not math.isnan(value):
            role = f"ratio {source}"
            deviation = deviation_at(view, role, metabolite, pair, point)
            words.append(f"{ratio_name(pair)} {value_words(value, deviation)}")
    return words


def _map(view: View | None, name: str, source: Source | None) -> Volume | None:
    if view is None or source is None:
        return None
    if source == "input":
        return view.prepared.input(name)
    return view.prepared.truth(name) if source == "reference" else view.stacked(name)
