"""A study as napari layers, as plain tuples: neither napari nor Qt is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ftddm_core.imaging.volume import Study, Volume
from napari_ftddm._bridge import placement, to_layer

LayerTuple = tuple[Any, dict[str, Any], str]
"""(data, keyword arguments, kind of layer), as napari's readers return them."""

PERCENTILE = 99.5
"""Upper contrast limit among the values that are not 0: wild voxels must not darken the rest."""


def study_layers(study: Study, suffix: str = "") -> list[LayerTuple]:
    """Return the layers of a study, the lowest first: T1, FLAIR, maps, masks.

    The MRI lies below the first map; the other maps and the masks are there but hidden. CRLB maps
    are left out. Names end in `suffix`; `metadata["ftddm"]` holds role, unit and the file's path.
    """
    layers = []
    for role, image in (("T1", study.t1), ("FLAIR", study.flair)):
        if image is not None:
            path = study.source.get(role.lower(), "")
            layers.append(_image(image, role + suffix, role, path, "gray", visible=role == "T1"))
    for number, (name, volume) in enumerate(study.maps.items()):
        path = study.source.get(name, "")
        layers.append(_image(volume, name + suffix, "map", path, "viridis", visible=number == 0))
    if isinstance(study.mask, Mapping):
        for name, mask in study.mask.items():
            path = study.source.get(f"{name}_mask", study.source.get("mask", ""))
            layers.append(_labels(mask, f"mask of {name}{suffix}", path))
    elif study.mask is not None:
        layers.append(_labels(study.mask, f"mask{suffix}", study.source.get("mask", "")))
    return layers


def _image(
    volume: Volume, name: str, role: str, path: str, colormap: str, *, visible: bool
) -> LayerTuple:
    data, affine = to_layer(volume)
    arguments = {
        "name": name,
        "colormap": colormap,
        "contrast_limits": contrast_limits(volume),
        "interpolation2d": "nearest",
        "visible": visible,
        "metadata": {"ftddm": {"role": role, "unit": volume.unit, "path": path}},
        **placement(affine),
    }
    return data, arguments, "image"


def _labels(mask: Volume, name: str, path: str) -> LayerTuple:
    data, affine = to_layer(mask)
    arguments = {
        "name": name,
        "visible": False,
        "opacity": 0.4,
        "metadata": {"ftddm": {"role": "mask", "unit": "", "path": path}},
        **placement(affine),
    }
    # The rule of the conditions: trusted is what is above 0, and a NaN is not.
    return (np.nan_to_num(data) > 0).astype(np.uint8), arguments, "labels"


def contrast_limits(volume: Volume) -> tuple[float, float]:
    """Return limits from 0, or from the lowest value if negative, to the 99.5th percentile."""
    values = volume.data[np.isfinite(volume.data) & (volume.data != 0)]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, [100 - PERCENTILE, PERCENTILE])
    low = min(0.0, float(low))
    return low, float(high) if high > low else low + 1.0
