"""Contact sheets of simulated patients: one slice each, one row per patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ftddm_core.imaging.degrade import degrade
from ftddm_core.imaging.geometry import regrid_mean
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.drawing.orientation import radiological_slice
from ftddm_viewer.drawing.style import add_notice, new_figure
from ftddm_viewer.session.first_view import most_varied_slice, upper_limit

COLUMNS = ("T1w", "FLAIR", "tNAA", "tCho", "Gln", "tCho/tNAA", "mask", "tCho, 4× coarser")
ROWS = 12
"""Largest number of patients on one sheet."""

PANEL, DPI = 1.35, 110
"""Inches along the longer side of a panel; dots per inch."""

COARSER, FINER = 4.0, 2
"""Factor of degradation of the last column, and of the finer display of the MRI."""


@dataclass(frozen=True, eq=False)
class SheetRow:
    """One patient on a sheet.

    Parameters
    ----------
    label
        Text left of the row.
    images
        Column -> a single slice; a column may be absent.
    tops
        Column -> upper colour limit.
    """

    label: str
    images: dict[str, Volume]
    tops: dict[str, float]


def sheet_row(label: str, study: Study, height: float | None = None) -> SheetRow:
    """Cut one slice of a measured study.

    Parameters
    ----------
    label
        Text left of the row.
    study
        High-resolution maps of tNAA, tCho and Gln, with one mask.
    height
        World position z in mm of the slice; None for the slice with the largest variation.
    """
    trusted = np.asarray(study.mask_of("tNAA").data > 0)  # type: ignore[union-attr]
    grid = study.grid
    if height is None:
        k = most_varied_slice([(volume.data, trusted) for volume in study.maps.values()])
    else:
        k = round((height - grid.affine[2, 3]) / grid.affine[2, 2])
        k = min(max(k, 0), grid.shape[2] - 1)
    images: dict[str, Volume] = {}
    tops = {"mask": 1.0}
    seen = trusted[:, :, k].repeat(FINER, 0).repeat(FINER, 1)
    for name, image in (("T1w", study.t1), ("FLAIR", study.flair)):
        if image is not None:
            images[name] = _on_slice(image, grid.slab(k, k + 1))
            tops[name] = upper_limit(images[name].data[seen])  # without the bright scalp
    # Outliers lie outside the mask: measured maps are shown unchanged, scaled by the trusted
    # voxels.
    for name in ("tNAA", "tCho", "Gln"):
        images[name] = study.maps[name].slab(k, k + 1)
        tops[name] = upper_limit(study.maps[name].data[trusted])
    naa = np.maximum(study.maps["tNAA"].data, 0.05 * tops["tNAA"])
    ratio = np.where(trusted, study.maps["tCho"].data / naa, np.nan)
    images["tCho/tNAA"] = grid.with_data(ratio).slab(k, k + 1)
    tops["tCho/tNAA"] = upper_limit(ratio)
    images["mask"] = grid.with_data(trusted.astype(np.float32)).slab(k, k + 1)
    coarse = degrade(study, COARSER).maps["tCho"]
    images[COLUMNS[-1]] = coarse.slab(k, k + 1)
    tops[COLUMNS[-1]] = tops["tCho"]
    return SheetRow(label, images, tops)


def contact_sheet(rows: Sequence[SheetRow], title: str) -> Figure:
    """Draw at most `ROWS` patients; every row has its own colour limits.

    Parameters
    ----------
    rows
        One row or more.
    title
        Above the panels.

    Returns
    -------
    Figure
        With an Agg canvas, ready for `ftddm_viewer.drawing.figures.save_figure`.
    """
    shape: NDArray[Any] = radiological_slice(next(iter(rows[0].images.values())), 0).image
    inches = PANEL / max(shape.shape)
    size = (
        shape.shape[1] * inches * len(COLUMNS) + 0.9,
        shape.shape[0] * inches * len(rows) + 0.9,
    )
    figure, grid = new_figure(len(rows), len(COLUMNS), size, title, dpi=DPI)
    for axes, row in zip(grid, rows, strict=True):
        for place, column in zip(axes, COLUMNS, strict=True):
            place.set(xticks=[], yticks=[])
            if column not in row.images:
                place.set_frame_on(False)
                continue
            image, _, aspect = radiological_slice(row.images[column], 0)
            grey = column in ("T1w", "FLAIR", "mask")
            place.imshow(
                image,
                "gray" if grey else "viridis",
                aspect=aspect,
                interpolation="nearest",
                vmin=0,
                vmax=row.tops[column],
            )
            place.set_facecolor("black")
        axes[0].set_ylabel(row.label, fontsize=7)
    for place, column in zip(grid[0], COLUMNS, strict=True):
        place.set_title(column, fontsize=8)
    add_notice(figure, f"SIMULATED patients. {RESEARCH_ONLY}")
    return figure


def _on_slice(image: Volume, grid: Volume) -> Volume:
    """Return an MRI on one slice of the maps, with smaller voxels in the plane."""
    shape = (grid.shape[0] * FINER, grid.shape[1] * FINER, 1)
    affine = grid.affine * np.array([1 / FINER, 1 / FINER, 1, 1])
    # The outer edges coincide: the first centre moves back by half the difference in voxel size.
    affine[:3, 3] += grid.affine[:3, :2] @ np.full(2, (1 / FINER - 1) / 2)
    return regrid_mean(image, shape, affine)
