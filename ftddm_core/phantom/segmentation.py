"""Segmentation of a real head into grey matter, white matter and fluid by MRI intensity.

Simple and approximate on purpose: it only provides anatomy for simulated metabolites.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ftddm_core.imaging.volume import Volume

FloatArray = NDArray[np.float32]
Mask = NDArray[np.bool_]

CLASSES = ("csf", "cortex", "white")
"""Tissue classes, in T1w from dark to bright."""

SHADING = 25.0
"""Standard deviation in mm of the Gaussian that estimates the slow shading."""

ROUNDS = 3
"""Number of alternating updates of classes and shading."""

WHITE_SHARE = 0.42
"""Assumed share of white matter in brain tissue; the contrast of many T1w is too low to measure
it."""


def tissue_classes(t1w: Volume, flair: Volume, head: Mask, lesion: Mask) -> NDArray[np.uint8]:
    """Return the class (X, Y, Z) of each voxel of a head: 0 fluid, 1 grey, 2 white matter.

    Both images are divided by their shading, the Gaussian mean of what is not fluid. Fluid is the
    darkest of three k-means classes of the T1w; of the rest, the `WHITE_SHARE` with the highest T1w
    - FLAIR / 2 is white matter. Then the shading is estimated again, as the mean of image over
    class mean.

    Parameters
    ----------
    t1w, flair
        Skull-stripped, on one grid.
    head, lesion
        Voxels of the brain with its fluid, and those of unknown tissue, which count as white
        matter.
    """
    sigma = 0.7 / np.array(t1w.voxel_size)
    images = [
        ndimage.gaussian_filter(np.clip(image.data, 0, None).astype(np.float32), sigma)
        for image in (t1w, flair)
    ]
    sure = head & ~lesion
    # Initially, everything except fluid is one class, so that shading is not mistaken for tissue.
    solid = images[0] > 0.6 * np.median(images[0][sure])
    classes: NDArray[np.uint8] = solid.astype(np.uint8)
    for _ in range(ROUNDS):
        t1, other = (_unshaded(image, classes, sure, t1w.voxel_size) for image in images)
        fluid, grey, _ = _k_means(t1[sure], np.array([0.4, 0.85, 1.1]))
        solid = t1 > (fluid + grey) / 2
        whiteness = t1 - other / 2
        limit = np.quantile(whiteness[sure & solid], 1 - WHITE_SHARE)
        classes = np.where(solid, 1 + (whiteness > limit), 0).astype(np.uint8)
    classes[lesion] = CLASSES.index("white")
    return classes


def _unshaded(
    image: FloatArray, classes: NDArray[np.uint8], sure: Mask, size: tuple[float, float, float]
) -> FloatArray:
    """Return an image divided by its shading: about 1 in grey and white matter."""
    known = sure & (classes > 0)  # fluid is little informative about the coil: its signal is small
    means = np.ones(len(CLASSES), np.float32)
    for number in np.unique(classes[known]):
        means[number] = image[known & (classes == number)].mean() / image[known].mean()
    weight = known.astype(np.float32)
    ratio, share = (
        ndimage.gaussian_filter(part, SHADING / np.array(size), truncate=2)
        for part in (weight * image / means[classes], weight)
    )
    shading = ratio / np.maximum(share, 1e-3)
    flat: FloatArray = image / np.maximum(shading, 0.1 * np.median(shading[sure]))
    return flat


def _k_means(values: FloatArray, centres: NDArray[Any]) -> NDArray[np.float64]:
    """Return the ascending class means after twenty rounds of k-means on a sorted sample."""
    ordered = np.sort(values[:: max(1, values.size // 100_000)]).astype(float)
    means = np.asarray(centres, float)
    for _ in range(20):
        ends = np.searchsorted(ordered, (means[1:] + means[:-1]) / 2)
        groups = np.split(ordered, ends)
        means = np.array([g.mean() if g.size else m for g, m in zip(groups, means, strict=True)])
    return means
