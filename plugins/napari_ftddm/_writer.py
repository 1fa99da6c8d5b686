"""One layer of this plugin as NIfTI with a JSON sidecar, for napari's File > Save."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftddm_core.errors import FormatError
from ftddm_viewer.session.saving import save_files
from napari_ftddm._bridge import saved_volume
from napari_ftddm._record import files_of

ENDINGS = (".nii.gz", ".nii")


def write_layer(path: str, data: Any, arguments: dict[str, Any]) -> list[str]:
    """Write a layer on the study's own grid, oblique or not; return the files' paths.

    Raises
    ------
    FormatError
        If the layer is not of this plugin, was not computed in every slice, was changed by hand,
        or the files cannot be written.
    """
    known = (arguments.get("metadata") or {}).get("ftddm") or {}
    if "frame" not in known or "volume" not in known:
        raise FormatError(
            f"The layer '{arguments.get('name', '')}' is not one of FTDDM Viewer's: its position "
            "in patient space is unknown. Save it with another writer."
        )
    ending = next((each for each in ENDINGS if path.lower().endswith(each)), None)
    if ending is None:
        raise FormatError(f"{Path(path).name} is not a NIfTI name: end it in .nii.gz or .nii.")
    name = Path(path).name
    image, sidecar = files_of(known, saved_volume(data, arguments), ending == ".nii.gz")
    files = {name: image, f"{name[: -len(ending)]}.json": sidecar}
    # napari's dialog has asked already whether files may be replaced.
    return [str(each) for each in save_files(files, Path(path).parent, overwrite=True)]
