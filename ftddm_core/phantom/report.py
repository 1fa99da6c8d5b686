"""Statistics of simulated patients compared with the literature, as a plausibility check.

Ratios are taken from the noise-free maps, i.e. from a perfect scan of this resolution. Regions on
the maps' grid:

grey, white
    Voxels of more than 95 % cortex, or cerebral white matter, without tumour (cells < 0.01).
hotspot
    The tenth of the tumour's voxels (cells > 0.3, brain > 0.9) with the most cells. Published hot
    spots are selected on the same map they are read from, which overestimates them; these are not.
brain
    Voxels of more than half brain and fluid.
peritumoral
    Brain outside the tumour that is visible as solid or necrotic in MRI, with oedema or with cells
    > 0.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftddm_core.imaging.volume import Study
from ftddm_core.phantom.anatomy import BRAIN, TISSUES, world_points
from ftddm_core.phantom.literature import LITERATURE
from ftddm_core.phantom.patient import Patient

Mask = NDArray[np.bool_]

TUMOUR_METABOLITES = ("Gln", "Gly", "Ins", "tCho")
"""Metabolites shown relative to tNAA."""

ENOUGH = 10
"""Smallest number of voxels of a region for its statistics; a hotspot needs 3."""

Statistics = dict[str, float]


def patient_statistics(patient: Patient, measured: Study, noise_free: Study) -> Statistics:
    """Return quantity -> value for one patient, NaN if undefined.

    Parameters
    ----------
    patient
        The scanned patient.
    measured, noise_free
        Result of `ftddm_core.phantom.patient.simulate_study`.
    """
    grid = measured.grid
    fractions = patient.fractions(grid.shape, grid.affine)
    points = world_points(grid.shape, grid.affine)
    places = _places(patient, fractions, points)
    exact = {name: volume.data for name, volume in noise_free.maps.items()}
    statistics: Statistics = {}
    for name, data in exact.items():
        grey, white = (_median(data, places[place]) for place in ("grey", "white"))
        statistics[f"grey/white {name}"] = _ratio(grey, white)
    naa = np.maximum(exact["tNAA"], 1e-3)
    for place in ("hotspot", "peritumoral", "white"):
        for name in TUMOUR_METABOLITES:
            statistics[f"{place} {name}/tNAA"] = _median(exact[name] / naa, places[place])
    statistics |= _quality(measured, exact, places["brain"])
    return statistics | _contrast(patient, measured)


def summarise(patients: Sequence[Mapping[str, float]]) -> list[dict[str, Any]]:
    """Return a table, one line per quantity: median, 10th and 90th percentile over the patients.

    The literature's value and source are added; a quantity that is undefined for all patients is
    left out. "T1w grey brighter" is the share of the patients whose T1w grey/white exceeds 1.
    """
    table = []
    values = {name: [p[name] for p in patients] for name in patients[0]}
    t1w = np.array(values["T1w grey/white"])
    if (seen := np.isfinite(t1w)).any():
        values["T1w grey brighter (% of patients)"] = [100 * float((t1w[seen] > 1).mean())]
    order = [*(name for name in LITERATURE if name in values),
             *(name for name in values if name not in LITERATURE)]  # fmt: skip
    for name in order:
        known = np.array(values[name])[np.isfinite(values[name])]
        if not known.size:
            continue
        low, high = np.percentile(known, (10, 90))
        reference = LITERATURE.get(name)
        table.append(
            {
                "quantity": name,
                "simulated": float(np.median(known)),
                "10 %": float(low),
                "90 %": float(high),
                "patients": len(known) if len(values[name]) == len(patients) else int(seen.sum()),
                "literature": str(reference) if reference else "–",
                "source": reference.source if reference else "–",
            }
        )
    return table


def _places(patient: Patient, fractions: NDArray[Any], points: NDArray[Any]) -> dict[str, Mask]:
    """Return the regions (X, Y, Z) of the module docstring, and the brain."""
    share = dict(zip(TISSUES, fractions, strict=True))
    brain = np.asarray(sum(share[name] for name in BRAIN))
    places: dict[str, Mask] = {"brain": brain + share["csf"] > 0.5}
    healthy = np.ones(brain.shape, bool)
    for name in ("hotspot", "peritumoral"):
        places[name] = np.zeros(brain.shape, bool)
    if patient.glioma is not None:
        lesion = patient.glioma(points)
        healthy = (lesion.cells < 0.01) & (lesion.necrosis < 0.01)
        tumour = (lesion.cells > 0.3) & (brain > 0.9)
        if tumour.any():
            places["hotspot"] = tumour & (lesion.cells >= np.quantile(lesion.cells[tumour], 0.9))
        outside = lesion.solid + lesion.necrosis < 0.05
        near = (lesion.oedema > 0.5) | (lesion.cells > 0.1)
        places["peritumoral"] = (brain > 0.9) & outside & near
    places["grey"] = healthy & (share["cortex"] > 0.95)
    places["white"] = healthy & (share["white"] > 0.95)
    return {name: _if_enough(place, 3 if name == "hotspot" else ENOUGH)
            for name, place in places.items()}  # fmt: skip


def _quality(measured: Study, exact: Mapping[str, NDArray[Any]], brain: Mask) -> Statistics:
    """Return signal to noise, and the shares in % of failing voxels and outliers in the brain.

    SNR is the trusted voxels' median over 1.4826 times the median size of the noise there. An
    outlier exceeds twice the map's largest trusted noise-free value; its share is the maps' mean.
    """
    trusted = brain
    outliers = np.zeros(brain.shape)
    statistics: Statistics = {}
    for name, truth in exact.items():
        shown, mask = measured.maps[name].data, measured.mask_of(name)
        trusted = brain if mask is None else np.asarray(mask.data > 0)
        sure = trusted & (shown > 0)  # clipped values have lost their noise
        deviation = 1.4826 * _median(np.abs(shown - truth), sure)
        statistics[f"SNR {name}"] = _ratio(_median(truth, sure), deviation)
        outliers += (shown > 2 * truth[trusted].max(initial=0)) / len(exact)
    statistics["failing voxels (%)"] = 100 * _ratio((~trusted & brain).sum(), brain.sum())
    statistics["outliers (%)"] = 100 * _ratio(outliers[brain].sum(), brain.sum())
    inside = 100 * _ratio(outliers[trusted].sum(), trusted.sum())
    return statistics | {"outliers inside the mask (%)": inside}


def _contrast(patient: Patient, measured: Study) -> Statistics:
    """Return the ratio of cortex to white matter in T1w and FLAIR, in pure voxels of the MRI."""
    statistics: Statistics = {}
    for name, image in (("T1w", measured.t1), ("FLAIR", measured.flair)):
        ratio = np.nan
        if image is not None:
            fractions = patient.fractions(image.shape, image.affine)
            places = _places(patient, fractions, world_points(image.shape, image.affine))
            grey, white = (_median(image.data, places[place]) for place in ("grey", "white"))
            ratio = _ratio(grey, white)
        statistics[f"{name} grey/white"] = ratio
    return statistics


def _if_enough(place: Mask, least: int) -> Mask:
    return place if place.sum() >= least else np.zeros_like(place)


def _median(data: NDArray[Any], place: Mask) -> float:
    return float(np.median(data[place])) if place.any() else np.nan


def _ratio(above: float, below: float) -> float:
    return float(above / below) if below > 0 else np.nan
