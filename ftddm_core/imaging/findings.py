"""What a careful user would want to know about a study, from its images alone."""

from __future__ import annotations

import numpy as np

from ftddm_core.errors import GeometryError
from ftddm_core.imaging.degrade import WILD
from ftddm_core.imaging.fit_quality import top_of
from ftddm_core.imaging.geometry import regrid_nearest
from ftddm_core.imaging.mri_fit import doubts_about_mri
from ftddm_core.imaging.scope import scope_notes
from ftddm_core.imaging.volume import Study

MOSTLY = 0.8
"""Share of negative values beyond which a map may hold no amounts: noise about 0 has half."""


def findings(study: Study) -> tuple[str, ...]:
    """Return doubts about a study, one sentence each.

    Wild voxels, maps that hold no amounts or those of another, MRI that do not lie on the maps, and
    what lies outside the patients that the networks were trained on. `open_study` puts them into
    `Study.notes`.
    """
    return (
        *_wild(study),
        *_no_amounts(study),
        *_copies(study),
        *doubts_about_mri(study),
        *scope_notes(study),
    )


def missing(study: Study) -> tuple[str, ...]:
    """Return what a study lacks, and what that means, one sentence each."""
    found = [
        f"No {name} provided: the model can run without it, with less anatomical guidance."
        for name, image in (("T1", study.t1), ("FLAIR", study.flair))
        if image is None
    ]
    unmasked = [name for name in study.maps if study.mask_of(name) is None]
    if unmasked:
        found.append(f"No mask for {', '.join(unmasked)}: every voxel with a value is trusted.")
    return tuple(found)


def _no_amounts(study: Study) -> list[str]:
    """Return which maps hold one value alone, or mostly negative ones."""
    found = []
    for name, volume in study.maps.items():
        held = volume.data[np.isfinite(volume.data) & (volume.data != 0)]
        if held.size > 1 and held.min() == held.max():
            found.append(f"{name} is constant: it holds {held[0]:g} or nothing, like a mask.")
        elif held.size and np.mean(held < 0) > MOSTLY:
            found.append(
                f"{name}: {np.mean(held < 0):.0%} of its values are negative: is it a difference, "
                "or its sign inverted?"
            )
    return found


def _copies(study: Study) -> list[str]:
    """Return which maps hold the same values as others."""
    groups: dict[bytes, list[str]] = {}
    for name, volume in study.maps.items():
        groups.setdefault(np.ascontiguousarray(volume.data).tobytes(), []).append(name)
    return [
        f"{', '.join(same[:-1])} and {same[-1]} hold the same values: is one a copy under a "
        "wrong name?"
        for same in groups.values()
        if len(same) > 1
    ]


def _wild(study: Study) -> list[str]:
    """Return which maps have trusted voxels far beyond the others."""
    found = []
    for name, volume in study.maps.items():
        data = np.asarray(volume.data, np.float64)
        trusted = np.isfinite(data) & (data != 0)
        if (mask := study.mask_of(name)) is not None:
            try:
                inside = regrid_nearest(mask, volume.shape, volume.affine).data
            except GeometryError:
                continue  # refused with its own words when the maps are prepared
            trusted &= np.nan_to_num(inside) > 0
        top = top_of(data, trusted)
        count = int((trusted & (np.abs(data) > WILD * top)).sum()) if top > 0 else 0
        if count:
            found.append(
                f"{name}: {count} wild voxel{'s' * (count > 1)} beyond ten times the 99th "
                "percentile of the trusted ones: limited to that, and not used as measurements."
            )
    return found
