"""Three views of an MRI with the outlines of the maps, to check that they belong together."""

from __future__ import annotations

from io import BytesIO
from itertools import product

import numpy as np
from matplotlib.figure import Figure
from nibabel.orientations import io_orientation

from ftddm_core.errors import FormatError, GeometryError
from ftddm_core.imaging.geometry import regrid_mean, regrid_nearest
from ftddm_core.imaging.volume import FloatArray, Study, Volume
from ftddm_viewer.drawing.figures import draw_panel, save_figure
from ftddm_viewer.drawing.image_rows import Panel
from ftddm_viewer.drawing.orientation import radiological_slice
from ftddm_viewer.drawing.style import COLOURS, add_notice, new_figure

PIXEL_MM = 2.0
MARGIN_MM = 6.0
MOST_PIXELS = 300
"""Largest number of pixels along an edge: a field of view may be enormous by mistake."""
INCHES = 2.6
"""Edge of a view."""
TRUSTED, FIELD = COLOURS[4], COLOURS[5]
VIEWS = ("sagittal", "coronal", "axial")
"""Name of the view along each axis of the world."""


def placement_figure(study: Study, role: str = "t1") -> Figure:
    """Draw an MRI in three planes with the outlines of the trusted voxels and the field of view.

    The planes are parallel to the maps' axes and meet in the middle of the trusted voxels. Where
    the MRI has no values they are black.

    Parameters
    ----------
    study
        Maps, with or without a mask, and the MRI.
    role
        "t1" or "flair".

    Raises
    ------
    FormatError
        If the study lacks this MRI.
    """
    image: Volume | None = {"t1": study.t1, "flair": study.flair}.get(role)
    if image is None:
        raise FormatError(f"The study has no {role.upper()} to show.")
    trusted = _trusted(study)
    names = io_orientation(study.grid.affine)[:, 0].astype(int)
    title = f"{role.upper()}: outlines of the trusted voxels (orange) and of the maps (blue)"
    figure, axes = new_figure(1, 3, (3 * INCHES + 0.4, INCHES + 0.9), title)
    for place, world in zip(axes[0], (2, 1, 0), strict=True):
        plane = _plane(study.grid, trusted, image, int(np.flatnonzero(names == world)[0]))
        shown = _mean(image, plane)
        high = float(np.percentile(shown.data, 99.5)) or 1.0
        draw_panel(place, Panel(VIEWS[world], shown, "gray", (0.0, high)), 0)
        field = Volume(np.ones(study.grid.shape, np.float32), study.grid.affine)
        for volume, colour in ((field, FIELD), (trusted, TRUSTED)):
            outline, _, _ = radiological_slice(_nearest(volume, plane), 0)
            if outline.any() and not outline.all():
                place.contour(outline > 0, [0.5], colors=[colour], linewidths=1.2)
        place.set_title(VIEWS[world], fontsize=9)
    add_notice(figure)
    return figure


def placement_png(study: Study | None) -> bytes:
    """Return `placement_figure` of the T1, else of the FLAIR, as a PNG file; empty without one."""
    if study is None or (study.t1 is None and study.flair is None):
        return b""
    content = BytesIO()
    save_figure(placement_figure(study, "flair" if study.t1 is None else "t1"), content)
    return content.getvalue()


def _trusted(study: Study) -> Volume:
    """Return the voxels that are trusted in any map, on the maps' grid."""
    found = np.zeros(study.grid.shape, bool)
    for name, volume in study.maps.items():
        mask = study.mask_of(name)
        if mask is None:
            found |= np.isfinite(volume.data) & (volume.data != 0)
        else:
            found |= _nearest(mask, volume).data > 0
    return Volume(found.astype(np.float32), study.grid.affine)


def _plane(grid: Volume, trusted: Volume, image: Volume, normal: int) -> Volume:
    """Return an empty image, one slice, that holds maps and MRI, normal to an axis of the maps."""
    directions = grid.affine[:3, :3] / np.array(grid.voxel_size)
    inside = np.argwhere(trusted.data) if trusted.data.any() else np.array([grid.shape]) / 2
    centre = grid.affine @ [*np.round(np.median(inside, axis=0)), 1]
    corners = np.concatenate([_corners(grid), _corners(image)]) - centre[:3]
    along = corners @ np.linalg.inv(directions).T  # in mm along each axis of the maps
    low, high = along.min(axis=0) - MARGIN_MM, along.max(axis=0) + MARGIN_MM
    axes = [axis for axis in range(3) if axis != normal]
    size = max(PIXEL_MM, float((high - low)[axes].max()) / MOST_PIXELS)
    count = np.ceil((high - low)[axes] / size).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = directions[:, [*axes, normal]] * size
    affine[:3, 3] = centre[:3] + directions[:, axes] @ low[axes]
    return Volume(np.zeros((*count, 1), np.float32), affine)


def _corners(volume: Volume) -> FloatArray:
    edges = np.array([(*c, 1) for c in product(*((-0.5, n - 0.5) for n in volume.shape))])
    found: FloatArray = (edges @ volume.affine.T)[:, :3]
    return found


def _mean(image: Volume, plane: Volume) -> Volume:
    try:
        return regrid_mean(image, plane.shape, plane.affine)
    except GeometryError:  # the plane does not meet it
        return plane


def _nearest(volume: Volume, plane: Volume) -> Volume:
    try:
        return regrid_nearest(volume, plane.shape, plane.affine)
    except GeometryError:
        return plane.with_data(np.zeros(plane.shape, np.float32))
