"""A study as files that can be read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftddm_core.imaging.io import encode_volume
from ftddm_core.imaging.volume import Study, Volume
from ftddm_core.saving.names import MAP_ENDING
from ftddm_core.saving.pair import encode_json


def study_files(study: Study, label: str, record: Mapping[str, Any]) -> dict[str, bytes]:
    """Return name -> content of a study that `open_study` can read, with one sidecar `record`."""
    volumes = {f"{label}_met-{name}_desc-signal_mrsi": v for name, v in study.maps.items()}
    if isinstance(study.mask, Volume):
        volumes[f"{label}_mask"] = study.mask
    for name, image in (("T1w", study.t1), ("FLAIR", study.flair)):
        if image is not None:
            volumes[f"{label}_{name}"] = image
    files = {f"{stem}{MAP_ENDING}": encode_volume(volume) for stem, volume in volumes.items()}
    return files | {f"{label}.json": encode_json(record)}
