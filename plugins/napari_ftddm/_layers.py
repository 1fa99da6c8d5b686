"""A study as napari layers, as plain tuples: neither napari nor Qt is imported.

They lie in display space, so that napari shows them right in 2D: maps and masks voxel by voxel, the
MRI on its own extent. The widget recognises them by `metadata["ftddm"]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.saving.notice import RESEARCH_ONLY
from ftddm_viewer.session.case import Case
from ftddm_viewer.session.first_view import upper_limit
from napari_ftddm._bridge import LayerTuple, image_layer, placement, to_layer


def study_layers(study: Study, suffix: str = "", label: str = "") -> list[LayerTuple]:
    """Return the layers of a study, the lowest first: T1, FLAIR, maps, masks.

    The T1, or else the FLAIR, lies below the map to look at first, tNAA where there is one; all
    others are there but hidden. A map's limits are those of its trusted voxels. CRLB maps are left
    out. Names end in `suffix`; `metadata["ftddm"]` holds role, caption, unit, path, case, study,
    label, frame and, in display space, the volume.

    Raises
    ------
    GeometryError
        If a mask or an MRI does not overlap the maps.
    """
    case = Case.of(study, label)
    layers = []
    for number, (role, image) in enumerate(case.mri.items()):
        about = _about(case, role, role, image, study.source.get(role.lower(), ""))
        limits = (0.0, case.mri_tops[role])
        layers.append(
            image_layer(image, role + suffix, "gray", limits, visible=number == 0, about=about)
        )
    for name, volume in study.maps.items():
        shown = case.frame.show(volume)
        about = _about(case, "map", name, shown, study.source.get(name, ""))
        about["metabolite"] = name
        limits = (0.0, upper_limit(volume.data[case.trusted[name]]))
        first = name == case.first_metabolite
        layers.append(
            image_layer(shown, name + suffix, "viridis", limits, visible=first, about=about)
        )
    if isinstance(study.mask, Mapping):
        for name in study.mask:
            path = study.source.get(f"{name}_mask", study.source.get("mask", ""))
            layers.append(_labels(case, name, f"mask of {name}{suffix}", path))
    elif study.mask is not None:
        path = study.source.get("mask", "")
        layers.append(_labels(case, next(iter(study.maps)), f"mask{suffix}", path))
    return layers


def _about(case: Case, role: str, name: str, shown: Volume, path: str) -> dict[str, Any]:
    what = {"map": f"{name}, as acquired", "mask": f"Mask of {name}"}.get(role, name)
    return {
        "role": role,
        "name": name,
        "caption": f"{what}. {RESEARCH_ONLY}.",
        "voxels": "",
        "case": case,
        "unit": shown.unit,
        "path": path,
        "study": case.study,
        "label": case.label,
        "frame": case.frame,
        "volume": shown,
    }


def _labels(case: Case, metabolite: str, name: str, path: str) -> LayerTuple:
    """Return the voxels of the maps' grid that a mask says to trust."""
    trusted = case.study.grid.with_data(case.trusted[metabolite].astype(np.float32))
    shown = case.frame.show(trusted)
    data, affine = to_layer(shown)
    arguments = {
        "name": name,
        "visible": False,
        "opacity": 0.4,
        "metadata": {"ftddm": {**_about(case, "mask", metabolite, shown, path), "unit": ""}},
        **placement(affine),
    }
    return data.astype(np.uint8), arguments, "labels"
