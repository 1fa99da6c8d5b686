"""The built-in head: tissue of the ICBM152 2009 average brain, inside a schematic skull and scalp.

Grey, white and brain probabilities come with nilearn (ICBM 152 nonlinear symmetric 2009a, 1 mm;
Fonov et al., NeuroImage 2011, doi 10.1016/j.neuroimage.2010.07.033), so nothing is downloaded. A
voxel of the brain mask gets the most probable of grey, white and fluid, where fluid is 1 minus grey
and white. An average of many brains has smooth, shallow sulci and little fluid between the gyri,
and at 1.7 l it is larger than most brains; a label map of a single head is a better anatomy.

The region of a voxel is determined by simple surfaces in MNI coordinates x, y, z in mm (right,
front, up), accurate to some millimetres:

brainstem
    Within an ellipse around the line from midbrain to medulla, see `STEM`.
cerebellum
    Behind the brainstem's middle, y < -34 - 0.25 max(0, |x| - 15), and below the tentorium, a
    ridge z = 2 - 0.6 |x| - 0.3 max(0, -60 - y) - 0.02 |x| max(0, y + 55).
deep grey
    Within ellipsoids around basal ganglia and thalamus, and around hippocampus and amygdala, see
    `DEEP`, where grey is more probable than 0.4; the insula lies outside.
ventricular wall
    Between fluid and white matter, the average brain has a rim classified as grey; where it is
    thinner than 4 mm and touches the ventricles, it is set to white matter.

Around the brain are shells of constant thickness, see `SHELLS`, made on a grid of 2 mm: this
schematic head has no face, no neck and no air-filled sinus, and the shells close below the
brainstem.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ftddm_core.errors import FormatError
from ftddm_core.phantom.anatomy import TISSUES, Anatomy

Mask = NDArray[np.bool_]
Coordinates = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]

NAME = "icbm152"
MARGIN = 22
"""Voxels of 1 mm added on every side, for skull and scalp."""

STEM = ((-75.0, -43.0, 9.0, 8.0), (-50.0, -37.0, 11.0, 10.0), (-35.0, -28.0, 18.0, 13.0),
        (-20.0, -25.0, 17.0, 12.0), (-6.0, -26.0, 13.0, 11.0))  # fmt: skip
"""Height z, middle y, and half-widths in x and y of the brainstem in mm, from bottom to top."""

DEEP = (((17.0, -3.0, 6.0), (16.0, 31.0, 20.0)), ((26.0, -18.0, -16.0), (10.0, 21.0, 9.0)))
"""Centre (\\|x\\|, y, z) and half-axes in mm: basal ganglia and thalamus; hippocampus, amygdala."""

FLUID, CLOSING = 2, 30
"""Thickness in mm of the fluid around the brain, and radius of the closing of its outline: hollows,
as between temporal lobe and cerebellum, are filled with bone."""

SHELLS = (("bone", 6.0), ("fat", 4.0), ("soft_tissue", 2.0))
"""Thickness in mm of the shells around that outline, from inside to outside."""


def template() -> Anatomy:
    """Return the built-in anatomy, 1 mm, in MNI coordinates.

    Raises
    ------
    FormatError
        If nilearn, which provides the probabilities, is not installed.
    """
    grey, white, mask, affine = _probabilities()
    x, y, z = (
        (affine[axis, 3] + np.arange(n, dtype=np.float32)).reshape(
            [-1 if other == axis else 1 for other in range(3)]
        )
        for axis, n in enumerate(mask.shape)
    )
    tissue = np.zeros(mask.shape, np.uint8)
    kind = np.stack([1 - grey - white, grey, white]).argmax(0)
    fluid, is_grey, is_white = (mask & (kind == number) for number in range(3))
    rim = _ventricular_rim(fluid, is_grey, (x, y, z))
    is_grey, is_white = is_grey & ~rim, is_white | rim

    stem, cerebellum, deep = _regions((x, y, z))
    nuclei = deep & (grey > 0.4) & ~fluid & ~rim
    for name, where in (
        ("csf", fluid),
        ("white", is_white),
        ("cortex", is_grey),
        ("deep_grey", nuclei),
        ("cerebellar_white", is_white & cerebellum),
        ("cerebellar_grey", is_grey & cerebellum),
        ("brainstem", (is_grey | is_white) & stem),
    ):
        tissue[where] = TISSUES.index(name)
    _add_shells(tissue, mask)
    return Anatomy(NAME, tissue, affine)


def _probabilities() -> tuple[NDArray[np.float32], NDArray[np.float32], Mask, NDArray[np.float64]]:
    """Return grey, white, brain mask (X, Y, Z) and the affine in mm, with a margin all around."""
    try:
        from nilearn import datasets
    except ImportError:
        raise FormatError(
            "The built-in anatomy needs nilearn, which is not installed: "
            "pip install 'ftddm-viewer[simulate]', or give a label map."
        ) from None
    images = [
        load()
        for load in (
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_brain_mask,
        )
    ]
    grey, white, mask = (np.pad(np.asarray(image.dataobj, np.float32), MARGIN) for image in images)
    affine = np.array(images[0].affine, float)
    affine[:3, 3] -= MARGIN * affine[:3, :3].sum(1)
    return grey, white, mask > 0.5, affine


def _regions(coordinates: Coordinates) -> tuple[Mask, Mask, Mask]:
    """Return the masks (X, Y, Z) of brainstem, cerebellum and deep nuclei; see the module
    docstring."""
    x, y, z = coordinates
    side = np.abs(x)
    height, middle, half_x, half_y = np.array(STEM).T
    centre, wide, long = (np.interp(z, height, v) for v in (middle, half_x, half_y))
    stem = ((x / wide) ** 2 + ((y - centre) / long) ** 2 < 1) & (z < height[-1])
    behind = (y < centre) & (y < -34 - 0.25 * np.maximum(0, side - 15))
    ridge = 2 - 0.6 * side - 0.3 * np.maximum(0, -60 - y) - 0.02 * side * np.maximum(0, y + 55)
    deep = np.zeros(stem.shape, bool)
    for (cx, cy, cz), (a, b, c) in DEEP:
        deep |= ((side - cx) / a) ** 2 + ((y - cy) / b) ** 2 + ((z - cz) / c) ** 2 < 1
    return stem, behind & (z < ridge) & ~stem, deep


def _ventricular_rim(fluid: Mask, grey: Mask, coordinates: Coordinates) -> Mask:
    """Return the thin grey rim of the ventricles."""
    # The ventricles lie in this box; sulci and the fissure between the hemispheres do not.
    box = tuple(
        slice(*(int(np.argmin(np.abs(axis.ravel() - end))) for end in ends))
        for axis, ends in zip(coordinates, ((-40, 40), (-65, 35), (-22, 32)), strict=True)
    )
    ball = ndimage.generate_binary_structure(3, 1)
    thin = grey[box] & ~ndimage.binary_opening(grey[box], ball, 2)
    wall = ndimage.binary_dilation(ndimage.binary_opening(fluid[box], ball)) & thin
    rim = np.zeros(grey.shape, bool)
    rim[box] = ndimage.binary_propagation(wall, mask=thin)
    return rim


def _add_shells(tissue: NDArray[np.uint8], mask: Mask) -> None:
    """Add fluid, skull and scalp around the brain, in place."""
    room = CLOSING // 2 + 1
    coarse = np.pad(mask[::2, ::2, ::2], room)
    near = 2 * ndimage.distance_transform_edt(~coarse) <= CLOSING
    closed = 2 * ndimage.distance_transform_edt(near) > CLOSING - FLUID
    beyond = 2 * ndimage.distance_transform_edt(~closed)[room:-room, room:-room, room:-room]
    for axis, n in enumerate(mask.shape):
        beyond = beyond.repeat(2, axis).take(range(n), axis)
    empty = ~mask
    tissue[empty & (beyond <= 0)] = TISSUES.index("bone")
    inner = 0.0
    for name, thickness in SHELLS:
        tissue[empty & (beyond > inner) & (beyond <= inner + thickness)] = TISSUES.index(name)
        inner += thickness
    tissue[empty & ndimage.binary_dilation(mask, iterations=FLUID)] = TISSUES.index("csf")
