"""Maps on the grid of the T1w image, for programs that show both only on one grid."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np

from ftddm_core.errors import FormatError
from ftddm_core.imaging.geometry import check_overlap, regrid_linear
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.saving.names import ENDINGS, IN_T1, MAP_ENDING, SHOWN
from ftddm_core.saving.notice import NOTICE
from ftddm_core.saving.pair import encode_pair

NO_T1 = "The study has no T1w image, so there is no T1 space: give one, or leave it out."


def resampled(volume: Volume, trusted: Volume, t1: Volume) -> Volume:
    r"""Return a map on the grid of a T1w image.

    Trilinear interpolation that takes no part of untrusted voxels, which are 0:
    L(m x) / L(m) where L(m) >= 1/2, else 0, with interpolation L and mask m.

    Parameters
    ----------
    volume
        The map (X, Y, Z) in its unit.
    trusted
        Its mask on the same grid, 0 or 1.
    t1
        The image whose grid is taken.

    Raises
    ------
    GeometryError
        If the two do not overlap.
    """
    check_overlap(volume, t1.shape, t1.affine)
    weight = regrid_linear(trusted, t1.shape, t1.affine).data
    value = regrid_linear(volume.with_data(volume.data * trusted.data), t1.shape, t1.affine).data
    inside = weight >= 0.5
    data = np.divide(value, weight, out=np.zeros_like(value), where=inside)
    return replace(t1, data=data.astype(np.float32), unit=volume.unit)


def t1_files(result: Any, study: Study, files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the maps of a result in T1 space, with sidecars that name the maps they are from.

    Parameters
    ----------
    result, study
        The result, and the study that it was made from.
    files
        Those of the result: name -> content.

    Raises
    ------
    FormatError
        If the study has no T1w image.
    GeometryError
        If it does not overlap with the maps.
    """
    if study.t1 is None:
        raise FormatError(NO_T1)
    found: dict[str, bytes] = {}
    names = [name for name in files if name.endswith(f"_desc-{SHOWN}_mrsi{MAP_ENDING}")]
    for (metabolite, volume), name in zip(result.maps.items(), names, strict=True):
        mask = volume.with_data(result.conditions[metabolite].mask.astype(np.float32))
        record = {
            "Notice": NOTICE,
            "Metabolite": metabolite,
            "Unit": volume.unit or "as the input",
            "ResampledFrom": {"Name": name, "SHA256": sha256(files[name]).hexdigest()},
            "Interpolation": "trilinear, of trusted voxels only",
            "Space": "grid of the T1w image; the resolution is still that of the map it is from",
            "MapVoxelSize_mm": [round(size, 6) for size in volume.voxel_size],
        }
        pair = encode_pair(resampled(volume, mask, study.t1), record)
        stem = name.removesuffix(f"_desc-{SHOWN}_mrsi{MAP_ENDING}")
        found |= zip((f"{stem}_desc-{IN_T1}_mrsi{ending}" for ending in ENDINGS), pair, strict=True)
    return found
