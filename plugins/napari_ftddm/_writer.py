"""Layers of this plugin as NIfTI with JSON sidecars, for napari's File > Save."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError
from ftddm_core.saving.files import save_files
from napari_ftddm._bridge import LayerTuple, saved_volume
from napari_ftddm._record import files_of

ENDINGS = (".nii.gz", ".nii")


def write_layers(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write layers on the study's own grid, oblique or not; return the files' paths.

    One layer gets the name that is given; of several, each adds its own to it. A name without an
    ending is that of a folder.

    Raises
    ------
    FormatError
        If a layer is not of this plugin, was not computed in every slice, was changed by hand, or
        the files cannot be written or are the study's own. Nothing is written then.
    """
    folder, stem, ending = _place(Path(path))
    files: dict[str, bytes] = {}
    inputs: list[str] = []
    for data, arguments, _ in layers:
        known = _known(arguments)
        own = _slug(str(arguments.get("name", known["role"])))
        name = stem if stem and len(layers) == 1 else "_".join(filter(None, (stem, own)))
        while f"{name}{ending}" in files:
            name += "_"
        image, sidecar = files_of(known, saved_volume(data, arguments), ending == ".nii.gz")
        files |= {f"{name}.json": sidecar, f"{name}{ending}": image}
        inputs += known["study"].source.values()
    # napari's dialog has asked already whether files may be replaced.
    return [str(each) for each in save_files(files, folder, overwrite=True, inputs=inputs)]


def _place(path: Path) -> tuple[Path, str, str]:
    """Return the folder, the beginning of the files' names and their ending."""
    for ending in ENDINGS:
        if path.name.lower().endswith(ending):
            return path.parent, path.name[: -len(ending)], ending
    if path.suffix:
        raise FormatError(f"{path.name} is not a NIfTI name: end it in .nii.gz or .nii.")
    return path, "", ENDINGS[0]


def _known(arguments: Mapping[str, Any]) -> dict[str, Any]:
    known = (arguments.get("metadata") or {}).get("ftddm") or {}
    if "frame" not in known or "volume" not in known:
        raise FormatError(
            f"The layer '{arguments.get('name', '')}' is not one of FTDDM Viewer's: its position "
            "in patient space is unknown. Save it with another writer."
        )
    return dict(known)


def _slug(name: str) -> str:
    """Return a layer's name as a file's: letters, digits, points and dashes."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.")
